/* SPDX-License-Identifier: MIT */

/*
 * A visitor, from accept to close:
 *
 *     HELLO ──► ROUTE ──► DIAL ──► PIPE ──► CLOSING
 *       │         │ │      │ ▲ '─ next agent    ▲
 *       │         │ │      │ '─────────────┐    │
 *       │         │ '─► CERT ─► HANDSHAKE ─► REQUEST
 *       '─────────┴────────┴────► ALERT ────────'
 *
 * HELLO collects the ClientHello; a visitor of a TCP service has none and begins in ROUTE. Where
 * TLS ends here, CERT has or waits for the name's certificate, HANDSHAKE answers the hello that was
 * read, and REQUEST waits for the first bytes that an agent is worth being asked for. An agent
 * without UDP goes from ROUTE to HANDSHAKE, and leaves there as a carrier. DIAL has
 * opened a stream, written the PROXY header and all that was read, and waits for the agent's status
 * byte; what is sent is kept until then, so that another agent can be tried when this one cannot
 * serve. PIPE is tunnel/pipe's work. ALERT says why not in the visitor's own protocol (from any
 * state before PIPE), and stays until that was read: a close with unread bytes in the socket would
 * be a reset, which may overtake the alert.
 *
 * Any of them up to DIAL may end in MOVE: the visitor then goes on at another worker.
 *
 * What is only needed before PIPE is in struct opening, which goes then, so that an idle visitor is
 * small.
 */

#include "visitor_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>
#include <towonel/wire/proxy_header.h>
#include "agent_session.h"
#include "carriers.h"

static enum state do_hello(struct visitor *v);
static enum state do_route(struct visitor *v);
static enum state do_dial(struct visitor *v);
static enum state do_pipe(struct visitor *v);
static void do_closing(struct visitor *v);

#define TIMEOUT(member) offsetof(struct timing, member)
#define NO_TIMEOUT      SIZE_MAX

static const struct {
	const char *name;
	enum state (*run)(struct visitor *v);
	size_t timeout; /* where struct timing has it */
} states[] = {
	[HELLO] = { "hello", do_hello, TIMEOUT(client_hello_ns) },
	[ROUTE] = { "route", do_route, NO_TIMEOUT },
	[CERT] = { "cert", tow__visitor_cert, TIMEOUT(cert_wait_ns) },
	[HANDSHAKE] = { "handshake", tow__visitor_handshake, TIMEOUT(handshake_ns) },
	[REQUEST] = { "request", tow__visitor_request, TIMEOUT(request_ns) },
	[DIAL] = { "dial", do_dial, TIMEOUT(dial_ns) },
	[PIPE] = { "pipe", do_pipe, NO_TIMEOUT },
	[ALERT] = { "alert", tow__visitor_alert, TIMEOUT(linger_ns) },
	[MOVE] = { "move", NULL, NO_TIMEOUT },
	[CLOSING] = { "closing", NULL, NO_TIMEOUT },
};

int tow__visitor_restart_timer(struct visitor *v)
{
	uint64_t delay;

	v->timed_out = 0;
	tow_timer_stop(&v->timer);
	if (states[v->state].timeout == NO_TIMEOUT)
		return 0;
	memcpy(&delay, (const char *)&v->worker->timing + states[v->state].timeout, sizeof(delay));
	return tow_timer_start_in(&v->timer, delay);
}

/* The one place where the state changes. v may be gone afterwards. */
void tow__visitor_step(struct visitor *v)
{
	enum state next;

	v->again = 1;
	if (v->stepping)
		return;
	v->stepping = 1;
	while (v->again) {
		v->again = 0;
		next = v->aborted ? CLOSING : states[v->state].run(v);
		if (next == v->state)
			continue;
		if (v->state == HANDSHAKE)
			atomic_fetch_sub(&v->worker->all->handshakes, 1);
		if (next == HANDSHAKE)
			atomic_fetch_add(&v->worker->all->handshakes, 1);
		tow_log_trace(v->worker->log, "visitor", tow_f_hex("id", v->id, sizeof(v->id)),
		              tow_f_str("from", states[v->state].name),
		              tow_f_str("to", states[next].name));
		v->state = next;
		v->again = 1;
		if (next == MOVE) {
			tow__visitor_depart(v);
			return;
		}
		if (next == CLOSING || tow__visitor_restart_timer(v) != 0) {
			do_closing(v);
			return;
		}
	}
	v->stepping = 0;
}

static void on_io(void *user, int events)
{
	struct visitor *v = user;

	(void)events;
	v->readable = 1;
	tow__visitor_step(v);
}

static void on_dial_changed(void *user)
{
	tow__visitor_step(user);
}

static void on_timer(void *user)
{
	struct visitor *v = user;

	v->timed_out = 1;
	tow__visitor_step(v);
}

void tow__visitor_forget_hello(struct opening *o)
{
	tow_client_hello_deinit(&o->parser);
	o->hello.alpn_count = 0;
}

void tow__visitor_forget_opening(struct visitor *v)
{
	if (v->opening == NULL)
		return;
	v->worker->early -= v->opening->early;
	tow__cert_wait_cancel(&v->opening->wait);
	tow_client_hello_deinit(&v->opening->parser);
	tow__dial_deinit(&v->opening->dial, TOW_TUNNEL_PEER_RESET);
	free(v->opening);
	v->opening = NULL;
}

/* Once: for the header, and len bytes behind it. */
static int make_room(struct opening *o, size_t len)
{
	struct tow_buf *bytes = &o->dial.bytes;

	if (bytes->base != NULL)
		return 0;
	if (tow_buf_reserve(bytes, TOW__HEADER_ROOM + len) == NULL)
		return TOW_ENOMEM;
	tow_buf_commit(bytes, TOW__HEADER_ROOM);
	return 0;
}

/* Returns 0; TOW_BLOCKED, TOW_EOF, TOW_ERESET, TOW_ETLS. */
static int receive_some(struct visitor *v, void *to, size_t cap, size_t *len)
{
	ssize_t n;
	int rc;

	if (v->tls != NULL) {
		rc = tow_tls_read(v->tls, to, cap, len);
		if (rc == TOW_BLOCKED)
			tow_io_watch(v->io, tow_tls_events(v->tls));
		return rc;
	}
	do {
		n = recv(v->fd, to, cap, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? TOW_BLOCKED : TOW_ERESET;
	*len = (size_t)n;
	return n > 0 ? 0 : TOW_EOF;
}

int tow__visitor_receive(struct visitor *v, size_t cap, struct tow_slice *fresh)
{
	struct tow_buf *bytes = &v->opening->dial.bytes;
	uint8_t read[TOW_HELLO_READ_SIZE];
	size_t n, before;
	struct worker *w = v->worker;
	int rc = w->early_max != 0 && w->early >= w->early_max
	                 ? TOW_ELIMIT
	                 : receive_some(v, read, cap < sizeof(read) ? cap : sizeof(read), &n);

	if (rc != 0)
		return rc;
	w->early += n;
	v->opening->early += n;
	if (make_room(v->opening, n) != 0)
		return TOW_ENOMEM;
	before = tow_buf_len(bytes);
	if (v->exchange != NULL)
		rc = tow__exchange_from_visitor(v->exchange, tow_loop_now_ns(v->worker->loop),
		                                tow_slice_make(read, n), bytes);
	else
		rc = tow_buf_append(bytes, read, n);
	*fresh = tow_buf_peek(bytes);
	*fresh = tow_slice_make(fresh->base + before, fresh->len - before);
	return rc == TOW_BLOCKED || rc == TOW_EOF ? TOW_MORE : rc;
}

static enum state bad_hello(struct visitor *v)
{
	static const char *const methods[] = { "GET ",    "HEAD ",    "POST ",    "PUT ",  "PATCH ",
		                               "DELETE ", "OPTIONS ", "CONNECT ", "PRI * " };
	struct tow_slice bytes = tow_buf_peek(&v->opening->dial.bytes);

	bytes.base += TOW__HEADER_ROOM;
	bytes.len -= TOW__HEADER_ROOM;
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		struct tow_slice method = tow_slice_of(methods[i]);

		if (bytes.len >= method.len && memcmp(bytes.base, method.base, method.len) == 0)
			return tow__visitor_refuse(v, REFUSED_PLAIN_HTTP, ANSWER_HTTP, 0);
	}
	/* A record of a handshake: worth a word. Anything else is no TLS client. */
	return tow__visitor_refuse(v, REFUSED_BAD_HELLO,
	                           bytes.base[0] == 22 ? ANSWER_TLS : ANSWER_NONE,
	                           TOW_ALERT_DECODE_ERROR);
}

static enum state do_hello(struct visitor *v)
{
	struct opening *o = v->opening;
	struct tow_slice fresh;
	int rc;

	if (v->timed_out)
		return tow__visitor_refuse(v, REFUSED_HELLO_TIMEOUT, ANSWER_NONE, 0);
	if (!v->readable)
		return HELLO;
	v->readable = 0;
	rc = tow__visitor_receive(v, TOW_HELLO_READ_SIZE, &fresh);
	if (rc == TOW_BLOCKED)
		return HELLO;
	if (rc == TOW_ENOMEM || rc == TOW_ELIMIT)
		return tow__visitor_refuse_all(v, rc == TOW_ELIMIT ? REFUSED_MEMORY
		                                                   : REFUSED_INTERNAL);
	if (rc != 0)
		return tow__visitor_refuse(v, REFUSED_GONE, ANSWER_NONE, 0);
	rc = tow_client_hello_feed(&o->parser, fresh, &o->hello);
	switch (rc) {
	case 0: return ROUTE;
	case TOW_MORE: return HELLO;
	case TOW_EPARSE: return bad_hello(v);
	case TOW_ETOOBIG:
		return tow__visitor_refuse(v, REFUSED_HELLO_TOO_BIG, ANSWER_TLS,
		                           TOW_ALERT_DECODE_ERROR);
	default: return tow__visitor_refuse_all(v, REFUSED_INTERNAL);
	}
}

int tow__visitor_write_header(struct visitor *v)
{
	struct opening *o = v->opening;
	struct tow_buf *bytes = &o->dial.bytes;
	struct tow_proxy_header header = {
		.command = TOW_PROXY_PROXY,
		.transport = TOW_PROXY_STREAM,
		.source = v->peer,
		.destination = v->local,
		.authority = tow_slice_of(o->dial.authority),
		.unique_id = tow_slice_make(v->id, sizeof(v->id)),
	};
	uint8_t text[TOW__HEADER_ROOM];
	int len;

	if (v->tls != NULL && tow_tls_alpn(v->tls) != NULL)
		header.alpn = tow_slice_of(tow_tls_alpn(v->tls));
	else if (v->tls == NULL && o->hello.alpn_count > 0)
		header.alpn = o->hello.alpn[0];
	len = tow_proxy_header_write(&header, 0, text, sizeof(text));
	if (len < 0)
		return len;
	if (make_room(o, 0) != 0)
		return TOW_ENOMEM;
	v->header_len = (uint16_t)len;
	tow_buf_consume(bytes, TOW__HEADER_ROOM - (size_t)len);
	memcpy(bytes->base + bytes->head, text, (size_t)len);
	return 0;
}

enum state tow__visitor_no_agent(struct visitor *v)
{
	struct worker *w = v->worker;
	struct dial *d = &v->opening->dial;
	uint64_t suppressed, now = tow_loop_now_ns(w->loop);

	if (d->state != DIAL_FAILED) {
		if (tow_log_gate_open(&w->no_agent_gate, now, &suppressed))
			tow_log_warn(w->log, "no agent serves what a visitor wants",
			             tow_f_str("name", d->authority),
			             tow_f_uint("more", suppressed));
		return tow__visitor_refuse_all(v, d->blocked ? REFUSED_LIMIT : REFUSED_NO_AGENT);
	}
	if (tow_log_gate_open(&w->origin_gate, now, &suppressed))
		tow_log_warn(
			w->log, "no agent could serve a visitor", tow_f_str("name", d->authority),
			tow_f_str("reason", tow_tunnel_error_name(d->failure)),
			tow_f_uint("agents_tried", d->tried_count), tow_f_uint("more", suppressed));
	return tow__visitor_refuse_all(v, d->failure == TOW_TUNNEL_IDLE ? REFUSED_AGENT_TIMEOUT
	                                                                : REFUSED_ORIGIN);
}

static int is_for_api(const struct worker *w, const char *name)
{
	return w->api.visitor != NULL &&
	       (strcmp(name, w->api.name) == 0 || strcmp(name, w->api.key_name) == 0);
}

/* The hub goes on with what was read; only a challenge for its name is the edge's to answer. */
static enum state hand_to_api(struct visitor *v)
{
	struct worker *w = v->worker;
	struct tow_slice bytes = tow_buf_peek(&v->opening->dial.bytes);
	int fd = v->fd;

	if (w->index > 0)
		return tow__visitor_move(v, 0, ROUTE);
	if (tow__visitor_is_challenge(v))
		return tow__visitor_terminate(v);
	tow_io_free(v->io);
	v->io = NULL;
	v->fd = -1;
	w->api.visitor(w->api.user, fd, &v->peer,
	               tow_slice_make(bytes.base + TOW__HEADER_ROOM, bytes.len - TOW__HEADER_ROOM));
	return CLOSING;
}

enum state tow__visitor_deny(struct visitor *v)
{
	struct worker *w = v->worker;
	uint64_t suppressed;

	if (tow_log_gate_open(&w->denied_gate, tow_loop_now_ns(w->loop), &suppressed))
		tow_log_warn(w->log, "a service's lists keep a visitor out",
		             tow_f_addr("from", &v->peer),
		             tow_f_str("name", v->opening->dial.authority),
		             tow_f_uint("more", suppressed));
	if (v->tls != NULL)
		return tow__visitor_refuse_inside(v, REFUSED_DENIED, 403);
	return tow__visitor_refuse(v, REFUSED_DENIED,
	                           v->service_port != 0 ? ANSWER_RESET : ANSWER_TLS,
	                           TOW_ALERT_ACCESS_DENIED);
}

/* One more of the tenant's. Returns 0, or why not. */
static int enter_tenant(struct visitor *v, enum refusal *why)
{
	struct worker *w = v->worker;
	int rc;

	tow__routes_lock(w);
	rc = tow__tenants_enter(&w->all->tenants, w->table, &v->opening->dial.tenant, &v->use);
	tow__routes_unlock(w);
	*why = rc == TOW_ELIMIT ? REFUSED_TENANT_LIMIT : REFUSED_INTERNAL;
	return rc;
}

/* Both return 0, TOW_ENOTFOUND. */

static int look_up_port(struct visitor *v)
{
	struct worker *w = v->worker;
	struct dial *d = &v->opening->dial;
	const struct tow_route_port *port;

	tow__routes_lock(w);
	port = tow_route_lookup_port(w->table, TOW_PROTOCOL_TCP, v->service_port);
	if (port != NULL) {
		snprintf(d->authority, sizeof(d->authority), "tcp:%s", port->service);
		d->tenant = port->tenant_id;
		v->opening->denied = !tow_access_permits(port->access, &v->peer);
	}
	tow__routes_unlock(w);
	return port != NULL ? 0 : TOW_ENOTFOUND;
}

static int look_up_name(struct visitor *v, enum tow_tls_mode *tls_mode)
{
	struct worker *w = v->worker;
	struct opening *o = v->opening;
	const struct tow_route_hostname *route;

	tow__routes_lock(w);
	route = tow_route_lookup(w->table, o->hello.server_name);
	if (route != NULL) {
		o->dial.tenant = route->tenant_id;
		o->http_mode = route->http_mode;
		o->denied = !tow_access_permits(route->access, &v->peer);
		*tls_mode = route->tls_mode;
	}
	tow__routes_unlock(w);
	return route != NULL ? 0 : TOW_ENOTFOUND;
}

static enum state do_route(struct visitor *v)
{
	struct worker *w = v->worker;
	struct opening *o = v->opening;
	struct dial *d = &o->dial;
	enum tow_tls_mode tls_mode;
	enum refusal why;
	int terminates;

	if (v->service_port != 0) {
		if (look_up_port(v) != 0)
			return tow__visitor_refuse_all(v, REFUSED_UNKNOWN_NAME);
		if (o->denied)
			return tow__visitor_deny(v);
		if (enter_tenant(v, &why) != 0)
			return tow__visitor_refuse_all(v, why);
	} else if (tow__wants_carrier(&o->hello)) {
		return tow__visitor_carry(v);
	} else {
		if (o->hello.server_name[0] == '\0')
			return tow__visitor_refuse(v, REFUSED_NO_SNI, ANSWER_TLS,
			                           TOW_ALERT_UNRECOGNIZED_NAME);
		snprintf(d->authority, sizeof(d->authority), "%s", o->hello.server_name);
		if (is_for_api(w, o->hello.server_name))
			return hand_to_api(v);
		if (look_up_name(v, &tls_mode) != 0)
			return tow__visitor_refuse(v, REFUSED_UNKNOWN_NAME, ANSWER_TLS,
			                           TOW_ALERT_UNRECOGNIZED_NAME);
		terminates = tls_mode == TOW_TLS_TERMINATE;
		if (!o->denied && !(terminates && tow__visitor_is_challenge(v)) &&
		    enter_tenant(v, &why) != 0)
			return tow__visitor_refuse_all(v, why);
		if (terminates)
			return tow__visitor_terminate(v);
		if (o->denied)
			return tow__visitor_deny(v);
	}
	if (tow__visitor_write_header(v) != 0)
		return tow__visitor_refuse_all(v, REFUSED_INTERNAL);
	tow__visitor_forget_hello(o);
	return DIAL;
}

/* How much more of what follows a hello is read. Each may have a quarter of what is left of a half:
 * so those who talk to an agent that does not answer never have all, and who comes is heard. */
static size_t room_for_early(const struct visitor *v)
{
	const struct worker *w = v->worker;
	size_t len = tow_buf_len(&v->opening->dial.bytes), have = v->opening->early;
	size_t room = len < TOW_REPLAY_MAX ? TOW_REPLAY_MAX - len : 0, left = 0;

	if (w->early_max == 0)
		return room;
	if (w->early < w->early_max / 2)
		left = (w->early_max / 2 - w->early) / 4;
	if (have >= left)
		return 0;
	return left - have < room ? left - have : room;
}

/* What the visitor sends before the agent has answered. Returns 0, or a failure. */
static int read_early(struct visitor *v)
{
	struct tow_slice fresh;
	size_t room;
	int rc;

	v->readable = 0;
	do {
		room = room_for_early(v);
		rc = room > 0 ? tow__visitor_receive(v, room, &fresh) : TOW_EOF;
	} while (rc == 0 && v->tls != NULL); /* what a session holds, no poller sees */
	if (rc == TOW_EOF || rc == TOW_MORE || rc == TOW_ELIMIT) /* or full: the pipe reads on */
		tow_io_watch(v->io, 0);
	return rc < 0 && rc != TOW_ELIMIT ? rc : 0;
}

static void on_pipe_done(void *user, const struct tow_pipe_result *result)
{
	struct visitor *v = user;

	v->pipe = NULL;
	v->result = *result;
	tow__visitor_step(v);
}

static enum state start_pipe(struct visitor *v)
{
	struct worker *w = v->worker;
	struct dial *d = &v->opening->dial;
	const struct tow_pipe_filter filter = {
		.from_socket = tow__exchange_from_visitor,
		.from_stream = tow__exchange_from_origin,
		.user = v->exchange,
	};
	struct tow_pipe_config config = {
		.loop = w->loop,
		.fd = v->fd,
		.io = v->io,
		.tls = v->tls,
		.stream = d->stream,
		.to_socket = d->reply,
		.to_socket_credit = tow_buf_len(&d->reply),
		.stream_finished = d->reply_finished,
		.stream_stopped = d->stopped,
		.filter = v->exchange != NULL ? &filter : NULL,
		.idle_timeout_ns = w->timing.visitor_idle_ns,
		.to_stream = w->metrics.bytes_in,
		.to_socket_count = w->metrics.bytes_out,
		.to_stream_pace = v->use != NULL ? &v->use->in : NULL,
		.to_socket_pace = v->use != NULL ? &v->use->out : NULL,
		.done = on_pipe_done,
		.user = v,
	};

	v->io = NULL;
	v->tls = NULL;
	v->fd = -1;
	v->agent = d->agent;
	tow_metric_add(w->metrics.bytes_in, (int64_t)(tow_buf_len(&d->bytes) - v->header_len));
	d->agent = NULL;
	d->stream = NULL;
	d->reply = (struct tow_buf){ NULL, 0, 0, 0 };
	tow__visitor_forget_opening(v);
	return tow_pipe_start(&config, &v->pipe) == 0 ? PIPE : CLOSING;
}

static enum state try_elsewhere(struct visitor *v)
{
	int worker = tow__dial_elsewhere(&v->opening->dial);

	if (worker == ROSTER_NOBODY || v->opening->moves >= TOW_VISITOR_MOVES_MAX)
		return tow__visitor_no_agent(v);
	return tow__visitor_move(v, (unsigned)worker, DIAL);
}

static enum state do_dial(struct visitor *v)
{
	struct dial *d = &v->opening->dial;

	if (v->timed_out && d->state == DIAL_WAITING) {
		tow__agent_session_doubt(d->agent);
		tow__dial_fail(d, TOW_TUNNEL_IDLE);
	}
	if (d->state == DIAL_ACCEPTED)
		return start_pipe(v);
	if (v->readable && read_early(v) != 0)
		return tow__visitor_refuse(v, REFUSED_GONE, ANSWER_NONE, 0);
	if (d->state == DIAL_WAITING)
		return tow__dial_send(d) == 0 ? DIAL : tow__visitor_refuse_all(v, REFUSED_INTERNAL);
	if (d->state == DIAL_FAILED && tow__visitor_restart_timer(v) != 0)
		return tow__visitor_refuse_all(v, REFUSED_INTERNAL);
	if (tow__dial_next(d) != 0)
		return try_elsewhere(v);
	tow_log_debug(v->worker->log, "visitor goes to an agent",
	              tow_f_hex("id", v->id, sizeof(v->id)), tow_f_addr("from", &v->peer),
	              tow_f_str("name", d->authority), tow_f_id("agent", &d->agent->agent_id));
	return DIAL;
}

static enum state do_pipe(struct visitor *v)
{
	if (v->pipe == NULL)
		return CLOSING;
	if (v->exchange == NULL)
		return PIPE;
	if (v->timed_out && tow__exchange_expire(v->exchange, tow_loop_now_ns(v->worker->loop),
	                                         tow_pipe_reading(v->pipe)))
		tow_pipe_nudge(v->pipe);
	v->timed_out = 0;
	if (v->timer.deadline_ns == TOW_NEVER)
		tow_timer_start_in(&v->timer, v->worker->timing.request_check_ns);
	return PIPE;
}

/* Of all workers together. Descriptors are given out from the lowest on, so a visitor's tells how
 * many there are: the last ones are for the hub, health and files. Returns 0, or why not. */
static int take_in(struct worker *w, int fd, const struct tow_addr *peer, enum refusal *why)
{
	struct workers *all = w->all;
	size_t before = atomic_fetch_add(&all->visitors, 1);
	int rc = 0;

	pthread_mutex_lock(&all->limits_lock);
	*why = REFUSED_RATE;
	if (all->rates != NULL &&
	    tow_rate_limit_take(all->rates, peer, tow_loop_now_ns(w->loop)) != 0)
		rc = TOW_ELIMIT;
	if (rc == 0 && fd >= w->fd_max) {
		*why = REFUSED_DESCRIPTORS;
		rc = TOW_ELIMIT;
	}
	if (rc == 0 && all->visitors_max != 0 &&
	    before + atomic_load(&all->carriers) >= all->visitors_max) {
		*why = REFUSED_LIMIT;
		rc = TOW_ELIMIT;
	}
	if (rc == 0) {
		rc = tow__source_limit_enter(&all->sources, peer);
		*why = rc == TOW_ELIMIT ? REFUSED_ADDRESS_LIMIT : REFUSED_INTERNAL;
	}
	pthread_mutex_unlock(&all->limits_lock);
	if (rc != 0)
		tow__workers_left(w, &all->visitors);
	return rc;
}

static void leave(struct worker *w, const struct tow_addr *peer)
{
	pthread_mutex_lock(&w->all->limits_lock);
	tow__source_limit_leave(&w->all->sources, peer);
	pthread_mutex_unlock(&w->all->limits_lock);
	tow__workers_left(w, &w->all->visitors);
}

static void do_closing(struct visitor *v)
{
	struct worker *w = v->worker;

	tow_log_debug(w->log, "visitor is gone", tow_f_hex("id", v->id, sizeof(v->id)),
	              tow_f_uint("bytes_in", v->result.bytes_to_stream),
	              tow_f_uint("bytes_out", v->result.bytes_to_socket),
	              tow_f_uint("end", v->result.end));
	tow__visitor_forget_opening(v);
	if (v->agent != NULL)
		tow__agent_session_release(v->agent);
	tow_timer_stop(&v->timer);
	if (v->io != NULL)
		tow_io_free(v->io);
	tow_tls_free(v->tls);
	tow__exchange_free(v->exchange);
	if (v->fd >= 0) {
		if (v->answer == ANSWER_RESET || v->aborted)
			tow_tcp_set_reset(v->fd);
		close(v->fd);
	}
	DL_DELETE(w->visitors, v);
	tow__tenants_leave(&w->all->tenants, v->use);
	if (v->carries)
		tow__workers_left(w, &w->all->visitors);
	else
		leave(w, &v->peer);
	tow_metric_dec(w->metrics.active_connections);
	free(v);
}

static void turn_away(struct worker *w, int fd, const struct tow_addr *peer, enum refusal why)
{
	uint64_t suppressed;

	close(fd);
	tow_metric_inc(w->metrics.refused[why]);
	if (tow_log_gate_open(&w->limit_gate, tow_loop_now_ns(w->loop), &suppressed))
		tow_log_warn(w->log, "visitor turned away",
		             tow_f_str("reason", tow__refusal_name(why)), tow_f_addr("from", peer),
		             tow_f_uint("connections", atomic_load(&w->all->visitors)),
		             tow_f_uint("more", suppressed));
}

void tow__visitor_accept(struct worker *w, int fd, const struct tow_addr *peer,
                         const struct tow_addr *local, uint16_t service_port)
{
	struct visitor *v;
	enum refusal why;

	tow_metric_inc(w->metrics.connections);
	if (take_in(w, fd, peer, &why) != 0) {
		turn_away(w, fd, peer, why);
		return;
	}
	v = calloc(1, sizeof(*v));
	if (v == NULL || (v->opening = calloc(1, sizeof(*v->opening))) == NULL) {
		free(v);
		leave(w, peer);
		turn_away(w, fd, peer, REFUSED_INTERNAL);
		return;
	}
	v->worker = w;
	v->fd = fd;
	v->peer = *peer;
	v->local = *local;
	v->service_port = service_port;
	v->state = service_port != 0 ? ROUTE : HELLO;
	v->readable = 1; /* a hello is mostly there by now */
	tow_random(v->id, sizeof(v->id));
	v->opening->home = w->index;
	v->opening->dial.worker = w;
	v->opening->dial.changed = on_dial_changed;
	v->opening->dial.user = v;
	tow__dial_init(&v->opening->dial);
	tow__visitor_join(v);
	tow_metric_inc(w->metrics.active_connections);
	if (v->io == NULL || tow__visitor_restart_timer(v) != 0)
		v->aborted = 1;
	else
		tow_io_watch(v->io, TOW_IO_READ);
	tow__visitor_step(v);
}

void tow__visitor_join(struct visitor *v)
{
	struct worker *w = v->worker;

	v->io = tow_io_new(w->loop, v->fd, on_io, v);
	tow_timer_init(&v->timer, w->loop, on_timer, v);
	DL_PREPEND(w->visitors, v);
}

void tow__visitor_abort(struct visitor *v)
{
	v->aborted = 1;
	if (v->pipe != NULL)
		tow_pipe_abort(v->pipe, TOW_TUNNEL_DRAINING);
	else
		tow__visitor_step(v);
}

struct visitor *tow__visitor_next(const struct visitor *v)
{
	return v->next;
}
