/* SPDX-License-Identifier: MIT */

/*
 * The edge's end of a control stream:
 *
 *     HELLO ──► (judge) ──► SERVING ──► RETIRED     superseded, or the agent drains
 *                 │ ▲            '──────── '──────► GONE
 *                 │ '── TENANT  the route table does not know the tenant yet
 *                 '───► REFUSED ──► GONE            the reason is sent before the connection closes
 *
 * An agent proves itself with one entry, signed by its tenant: it names the key that the TLS
 * handshake has shown the agent to have. The tenant's public key comes from the route table, so no
 * hub is asked. An agent may say hello again on the same stream, with a new entry and service list;
 * it is judged like the first.
 */

#include "agent_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <towonel/tunnel/quic_carrier.h>
#include <utlist.h>
#include "dial.h"
#include "hello.h"
#include "worker.h"

/* As if the oldest ping without an answer were as old as the clock. */
#define DOUBTED 1

static void unref(struct agent_session *s)
{
	if (--s->refs > 0)
		return;
	tow_timer_stop(&s->timer);
	tow_buf_deinit(&s->input);
	tow_control_message_deinit(&s->hello);
	for (size_t i = 0; i < s->service_count; i++)
		free(s->services[i]);
	free(s->services);
	free(s);
}

static void leave_pending(struct agent_session *s)
{
	struct agents *agents = &s->worker->agents;

	DL_DELETE2(agents->pending, s, pending_prev, pending_next);
	agents->pending_count--;
	agents->pending_bytes -= tow_buf_len(&s->input) + s->hello_size;
	s->hello_size = 0;
}

static int is_pending(enum agent_state state)
{
	return state == AGENT_HELLO || state == AGENT_TENANT || state == AGENT_REFUSED;
}

/* The one place where the state changes. */
static void enter(struct agent_session *s, enum agent_state state)
{
	struct worker *w = s->worker;
	const struct timing *t = &w->timing;
	const uint64_t timeouts[] = {
		[AGENT_HELLO] = t->agent_hello_ns,
		[AGENT_TENANT] = t->tenant_wait_ns,
		[AGENT_REFUSED] = t->agent_close_ns,
	};
	enum agent_state old = s->state;

	if (state == old)
		return;
	if (is_pending(old) && !is_pending(state))
		leave_pending(s);
	s->state = state;
	if (state == AGENT_GONE)
		tow_timer_stop(&s->timer);
	else if (is_pending(state) && tow_timer_start_in(&s->timer, timeouts[state]) != 0)
		tow__agent_session_cut(s, TOW_TUNNEL_INTERNAL, "out of memory");
	if (old != AGENT_SERVING && state != AGENT_SERVING)
		return;
	if (old == AGENT_SERVING)
		tow__roster_leave(&w->all->roster, s);
	if (s->carried)
		tow_metric_add(w->metrics.agents_carried, state == AGENT_SERVING ? 1 : -1);
	tow__worker_changed(w);
}

/* Bounded by what the peer leaves unread, as it is the peer who makes us answer. */
static void send_message(struct agent_session *s, const struct tow_control_message *message)
{
	struct tow_buf out = { NULL, 0, 0, 0 };

	if (s->control == NULL || s->conn == NULL)
		return;
	if (tow_quic_stream_unsent(s->control) > TOW_CONTROL_UNSENT_MAX)
		tow__agent_session_cut(s, TOW_TUNNEL_PROTOCOL, "control messages pile up unread");
	else if (tow_control_write(message, &out) != 0 ||
	         tow_quic_stream_write(s->control, tow_buf_peek(&out)) != 0)
		tow__agent_session_cut(s, TOW_TUNNEL_INTERNAL, "cannot send a control message");
	tow_buf_deinit(&out);
}

void tow__agent_session_cut(struct agent_session *s, uint64_t code, const char *text)
{
	if (s->conn == NULL || s->state == AGENT_GONE)
		return;
	enter(s, AGENT_GONE);
	tow_quic_conn_close(s->conn, code, text);
}

static uint64_t error_of(enum hello_outcome outcome)
{
	switch (outcome) {
	case HELLO_VERSION: return TOW_TUNNEL_VERSION_REFUSED;
	case HELLO_PROTOCOL:
	case HELLO_TIMEOUT: return TOW_TUNNEL_PROTOCOL;
	case HELLO_OVERLOADED: return TOW_TUNNEL_OVERLOADED;
	case HELLO_DRAINING: return TOW_TUNNEL_DRAINING;
	default: return TOW_TUNNEL_UNAUTHORIZED;
	}
}

static void refuse(struct agent_session *s, enum hello_outcome outcome, const char *text)
{
	struct worker *w = s->worker;
	struct tow_control_message message = { .type = TOW_CONTROL_REFUSED,
		                               .code = error_of(outcome) };
	uint64_t suppressed;

	tow_metric_inc(w->metrics.hellos[outcome]);
	if (tow_log_gate_open(&w->agent_gate, tow_loop_now_ns(w->loop), &suppressed))
		tow_log_warn(w->log, "agent refused", tow_f_id("agent", &s->agent_id),
		             tow_f_addr("from", tow_quic_conn_remote(s->conn)),
		             tow_f_str("reason", tow__hello_outcome_name(outcome)),
		             tow_f_str("detail", text), tow_f_uint("more", suppressed));
	snprintf(message.text, sizeof(message.text), "%s", text);
	if (!is_pending(s->state) ||
	    s->control == NULL) { /* nobody to tell, or one who should know */
		tow__agent_session_cut(s, message.code, text);
		return;
	}
	send_message(s, &message);
	if (s->state == AGENT_GONE)
		return;
	tow_quic_stream_finish(s->control);
	s->refusal = message.code;
	enter(s, AGENT_REFUSED);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Takes the hello's services, and what the verified entry says. */
static void identify(struct agent_session *s, struct tow_control_message *hello,
                     const struct tow_entry *entry)
{
	tow__roster_leave(&s->worker->all->roster, s); /* others look at what is there */
	for (size_t i = 0; i < s->service_count; i++)
		free(s->services[i]);
	free(s->services);
	s->services = hello->services;
	s->service_count = hello->service_count;
	hello->services = NULL;
	hello->service_count = 0;
	if (s->service_count > 1)
		qsort(s->services, s->service_count, sizeof(*s->services), by_text);
	s->tenant = entry->tenant_id;
	s->generation = entry->generation;
	memcpy(s->services_hash, entry->services_hash, sizeof(s->services_hash));
}

static void tick(struct agent_session *s);

struct carried {
	struct tow_id tenant, agent;
	uint64_t serial;
};

static void on_carried_elsewhere(struct worker *w, void *message)
{
	const struct carried *it = message;

	tow__agents_retire_older(&w->agents, &it->tenant, &it->agent, it->serial);
}

static void on_agent_elsewhere(struct worker *w, void *message)
{
	(void)message;
	tow__dials_agent_came(w);
}

static void admit(struct agent_session *s)
{
	struct worker *w = s->worker;
	struct tow_control_message welcome = { .type = TOW_CONTROL_WELCOME, .edge_id = w->node_id };
	uint64_t generation = 0;
	int rc, again = s->state == AGENT_SERVING;

	tow__agents_leave(&w->agents, s);
	s->heard_ns = tow_loop_now_ns(w->loop);
	rc = tow__agents_admit(&w->agents, s, &generation);
	if (rc == TOW_ECONFLICT) {
		tow_metric_inc(w->metrics.hellos[HELLO_SUPERSEDED]);
		if (is_pending(s->state) &&
		    tow_timer_start_in(&s->timer, w->timing.ping_interval_ns) != 0)
			tow__agent_session_cut(s, TOW_TUNNEL_INTERNAL, "out of memory");
		else
			tow__agent_session_retire(s, generation);
		return;
	}
	if (rc != 0) {
		refuse(s, HELLO_OVERLOADED, "too many agents of this tenant");
		return;
	}
	tow_metric_inc(w->metrics.hellos[HELLO_WELCOME]);
	enter(s, AGENT_SERVING);
	snprintf(welcome.software, sizeof(welcome.software), "%s", w->software);
	if (w->all->count > 1) {
		welcome.worker = w->index;
		welcome.workers = w->all->count;
		welcome.tunnels =
			tow__agents_tunnels(tow__roster_count(&w->all->roster), w->all->count);
	}
	send_message(s, &welcome);
	if (s->state != AGENT_SERVING)
		return;
	tow_log_info(w->log, again ? "agent has a new service list" : "agent is up",
	             tow_f_id("agent", &s->agent_id), tow_f_id("tenant", &s->tenant),
	             tow_f_addr("from", tow_quic_conn_remote(s->conn)),
	             tow_f_str("transport", s->carried ? "tcp" : "udp"),
	             tow_f_uint("services", s->service_count),
	             tow_f_uint("generation", s->generation));
	tick(s);
	if (s->carried && !again) {
		const struct carried it = { s->tenant, s->agent_id, s->serial };

		tow__workers_mail(w, on_carried_elsewhere, &it, sizeof(it));
	}
	tow__dials_agent_came(w);
	tow__workers_mail(w, on_agent_elsewhere, NULL, 0);
}

/* Who waits longest goes when there is no room: an agent that is one says hello at once, so that
 * strangers would have to come by the thousand in that moment to shut it out. */
static void displace_oldest(struct worker *w, const struct agent_session *but)
{
	struct agent_session *s = w->agents.pending;

	if (s == but)
		s = s->pending_next;
	if (s == NULL)
		return;
	tow_metric_inc(w->metrics.hellos[HELLO_OVERLOADED]);
	tow__agent_session_cut(s, TOW_TUNNEL_OVERLOADED, "too many agents at once");
}

/* For what s, which is pending, is about to keep. */
static void make_room(const struct agent_session *s, size_t size)
{
	struct agents *agents = &s->worker->agents;
	size_t most = TOW_AGENTS_PENDING_BYTES / s->worker->all->count;

	while (agents->pending_bytes + size > most && agents->pending_count > 1)
		displace_oldest(s->worker, s);
	agents->pending_bytes += size;
}

/* The tenant may be about to be known. */
static void wait_for_tenant(struct agent_session *s, struct tow_control_message *hello)
{
	s->hello_size = tow__hello_size(hello);
	make_room(s, s->hello_size);
	s->hello = *hello;
	*hello = (struct tow_control_message){ .type = TOW_CONTROL_UNKNOWN };
	enter(s, AGENT_TENANT);
}

static void on_hello(struct agent_session *s, struct tow_control_message *hello)
{
	struct tow_error err = { 0, "" };
	struct tow_entry entry;
	enum hello_outcome outcome;

	if (s->worker->draining) {
		refuse(s, HELLO_DRAINING, "the edge is closing");
		return;
	}
	tow__routes_lock(s->worker);
	outcome = tow__hello_judge(hello, &s->agent_id, s->worker->table, &entry, &err);
	tow__routes_unlock(s->worker);
	if (outcome == HELLO_WELCOME) {
		identify(s, hello, &entry);
		admit(s);
	} else if (outcome == HELLO_UNKNOWN_TENANT && s->state == AGENT_HELLO) {
		wait_for_tenant(s, hello);
	} else if (outcome != HELLO_UNKNOWN_TENANT || s->state != AGENT_TENANT) {
		refuse(s, outcome, err.text);
	}
}

void tow__agent_sessions_routes_changed(struct worker *w)
{
	struct agent_session *s, *next;

	DL_FOREACH_SAFE2(w->agents.pending, s, next, pending_next)
	{
		struct tow_control_message hello = s->hello;

		if (s->state != AGENT_TENANT)
			continue;
		s->hello = (struct tow_control_message){ .type = TOW_CONTROL_UNKNOWN };
		s->refs++;
		on_hello(s, &hello);
		if (s->state == AGENT_TENANT)
			s->hello = hello;
		else
			tow_control_message_deinit(&hello);
		unref(s);
	}
}

/* The farthest and the nearest agent, looked at once in a ping interval. */

static void widen(uint64_t range[2], uint64_t nearest_us, uint64_t farthest_us)
{
	if (nearest_us != 0 && (range[0] == 0 || nearest_us < range[0]))
		range[0] = nearest_us;
	if (farthest_us > range[1])
		range[1] = farthest_us;
}

static void look_at_rtt(void *user, struct agent_session *s)
{
	if (s->state == AGENT_SERVING)
		widen(user, s->rtt_us, s->rtt_us);
}

static void gauge_rtt(struct worker *w)
{
	uint64_t here[2] = { 0, 0 }, all[2] = { 0, 0 };

	tow__agents_each(&w->agents, look_at_rtt, here);
	atomic_store(&w->agents.nearest_us, here[0]);
	atomic_store(&w->agents.farthest_us, here[1]);
	for (unsigned i = 0; i < w->all->count; i++) {
		const struct agents *agents = &w->all->list[i].agents;

		widen(all, atomic_load(&agents->nearest_us), atomic_load(&agents->farthest_us));
	}
	tow_metric_set(w->metrics.rtt_min_us, (int64_t)all[0]);
	tow_metric_set(w->metrics.rtt_max_us, (int64_t)all[1]);
}

static void on_pong(struct agent_session *s, const struct tow_control_message *pong)
{
	struct worker *w = s->worker;
	uint64_t now = tow_now_ns();

	s->heard_ns = now;
	s->waiting_since_ns = 0;
	tow__roster_set_late(&w->all->roster, s, 0);
	if (pong->ping_id != s->ping_id || s->ping_sent_ns == 0)
		return;
	s->rtt_us = (now - s->ping_sent_ns) / 1000 + 1;
	s->ping_sent_ns = 0;
	tow_metric_inc(w->metrics.pongs);
	tow_metric_add(w->metrics.rtt_us, (int64_t)s->rtt_us);
	if (now < w->agents.next_rtt_ns)
		return;
	w->agents.next_rtt_ns = now + w->timing.ping_interval_ns;
	gauge_rtt(w);
}

/* Sends the next ping, or gives the agent up. */
static void tick(struct agent_session *s)
{
	struct worker *w = s->worker;
	uint64_t now = tow_now_ns();
	struct tow_control_message ping = { .type = TOW_CONTROL_PING,
		                            .ping_id = s->ping_id + 1,
		                            .sent_ms = now / TOW_NSEC_PER_MSEC };

	if (s->heard_ns + w->timing.ping_timeout_ns <= now) {
		tow_metric_inc(w->metrics.agents_lost);
		tow_log_warn(w->log, "agent does not answer", tow_f_id("agent", &s->agent_id),
		             tow_f_id("tenant", &s->tenant), tow_f_uint("streams", s->streams));
		tow__agent_session_cut(s, TOW_TUNNEL_IDLE, "pings are not answered");
		return;
	}
	tow__roster_set_late(&w->all->roster, s, s->ping_sent_ns != 0);
	s->ping_id++;
	s->ping_sent_ns = now;
	if (s->waiting_since_ns == 0)
		s->waiting_since_ns = now;
	send_message(s, &ping);
	if (s->state != AGENT_GONE &&
	    tow_timer_start_in(&s->timer, w->timing.ping_interval_ns) != 0)
		tow__agent_session_cut(s, TOW_TUNNEL_INTERNAL, "out of memory");
}

static void on_timer(void *user)
{
	struct agent_session *s = user;

	s->refs++;
	switch (s->state) {
	case AGENT_HELLO: refuse(s, HELLO_TIMEOUT, "no hello came"); break;
	case AGENT_TENANT: refuse(s, HELLO_UNKNOWN_TENANT, "the tenant is not known here"); break;
	case AGENT_REFUSED: tow__agent_session_cut(s, s->refusal, "refused"); break;
	case AGENT_SERVING:
	case AGENT_RETIRED: tick(s); break;
	case AGENT_GONE: break;
	}
	unref(s);
}

/* Each is verified, and told of in the log: no tenant is to make us do little else. */
static int says_hello_too_often(struct agent_session *s)
{
	uint64_t now = tow_loop_now_ns(s->worker->loop);

	if (now - s->hellos_since_ns >= 60 * TOW_NSEC_PER_SEC) {
		s->hellos_since_ns = now;
		s->hellos = 0;
	}
	return ++s->hellos > TOW_AGENT_HELLOS_PER_MINUTE;
}

static void on_message(struct agent_session *s, struct tow_control_message *message)
{
	int said_hello = s->state == AGENT_SERVING || s->state == AGENT_RETIRED;

	/* Reading a message costs more than sending it: strangers are not to make us read many. */
	if ((s->state == AGENT_HELLO && message->type != TOW_CONTROL_HELLO) ||
	    (is_pending(s->state) && s->early_messages++ >= TOW_AGENT_EARLY_MESSAGES)) {
		refuse(s, HELLO_PROTOCOL, "a hello comes first, and little before its answer");
		return;
	}
	switch (message->type) {
	case TOW_CONTROL_HELLO:
		if (said_hello && says_hello_too_often(s))
			refuse(s, HELLO_PROTOCOL, "hellos come too often");
		else if (s->state != AGENT_REFUSED)
			on_hello(s, message);
		break;
	case TOW_CONTROL_PING:
		message->type = TOW_CONTROL_PONG;
		send_message(s, message);
		break;
	case TOW_CONTROL_PONG:
		if (said_hello)
			on_pong(s, message);
		break;
	case TOW_CONTROL_DRAIN:
		if (said_hello)
			tow__agent_session_retire(s, 0);
		break;
	default: /* not for us to hear, or of a newer protocol */ break;
	}
}

static int take(struct agent_session *s, struct tow_slice bytes)
{
	if (tow_buf_append(&s->input, bytes.base, bytes.len) != 0)
		return TOW_ENOMEM;
	if (is_pending(s->state))
		make_room(s, bytes.len);
	return 0;
}

static void consume(struct agent_session *s, size_t len)
{
	tow_buf_consume(&s->input, len);
	if (is_pending(s->state))
		s->worker->agents.pending_bytes -= len;
	if (tow_buf_len(&s->input) == 0 && !is_pending(s->state))
		tow_buf_deinit(&s->input);
}

static void on_control_data(void *user, struct tow_slice bytes, int fin)
{
	struct agent_session *s = user;
	struct tow_control_message message;
	size_t len;
	int rc;

	s->refs++;
	tow_quic_stream_consume(s->control, bytes.len);
	rc = s->state == AGENT_GONE || s->state == AGENT_REFUSED ? TOW_MORE : take(s, bytes);
	if (rc < 0)
		refuse(s, HELLO_OVERLOADED, "out of memory");
	while (rc == 0 && s->state != AGENT_GONE && s->state != AGENT_REFUSED) {
		rc = tow_control_read(tow_buf_peek(&s->input), &message, &len);
		if (rc == 0) {
			consume(s, len);
			on_message(s, &message);
			tow_control_message_deinit(&message);
		} else if (rc != TOW_MORE) {
			refuse(s, HELLO_PROTOCOL, "a control message cannot be read");
		}
	}
	if (fin)
		tow__agent_session_cut(s, s->refusal, "the control stream has ended");
	unref(s);
}

static void on_control_reset(void *user, uint64_t code)
{
	struct agent_session *s = user;

	(void)code;
	s->refs++;
	tow__agent_session_cut(s, TOW_TUNNEL_PROTOCOL, "the control stream was reset");
	unref(s);
}

static void on_control_closed(void *user)
{
	struct agent_session *s = user;

	s->control = NULL;
	s->refs++;
	tow__agent_session_cut(s, TOW_TUNNEL_PROTOCOL, "the control stream was closed");
	unref(s);
}

static void on_control_writable(void *user)
{
	(void)user; /* never asked for */
}

static const struct tow_quic_stream_events control_events = {
	.data = on_control_data,
	.writable = on_control_writable,
	.reset = on_control_reset,
	.stopped = on_control_reset,
	.closed = on_control_closed,
};

static void on_stream_opened(void *user, struct tow_quic_stream *stream)
{
	struct agent_session *s = user;

	if (s->control != NULL || s->state != AGENT_HELLO) {
		tow_quic_stream_abandon(stream, TOW_TUNNEL_PROTOCOL);
		return;
	}
	s->control = stream;
	tow_quic_stream_set_events(stream, &control_events, s);
}

static void on_closed(void *user, const struct tow_quic_close_reason *reason)
{
	struct agent_session *s = user;
	struct worker *w = s->worker;
	int known = s->group != NULL;

	enter(s, AGENT_GONE);
	tow__agents_leave(&w->agents, s);
	if (known)
		tow_log_info(w->log, "agent is gone", tow_f_id("agent", &s->agent_id),
		             tow_f_id("tenant", &s->tenant), tow_f_str("reason", reason->text),
		             tow_f_str("by", reason->by_peer ? "agent" : "edge"),
		             tow_f_str("code", reason->application
		                                       ? tow_tunnel_error_name(reason->code)
		                                       : tow_strerror(reason->status)));
	s->conn = NULL;
	unref(s);
}

/* An agent that was killed, or a NAT that has forgotten it: the one does not come back, the other
 * does with the agent's next packet. */
static void on_unreachable(void *user)
{
	struct agent_session *s = user;

	if (s->asked_ns == 0 || tow__agent_session_packets(s) != s->asked_packets)
		return;
	if (!s->unreachable)
		tow_log_warn(s->worker->log, "agent cannot be reached",
		             tow_f_id("agent", &s->agent_id), tow_f_id("tenant", &s->tenant),
		             tow_f_addr("at", tow_quic_conn_remote(s->conn)));
	s->unreachable = 1;
	tow__dials_agent_unreachable(s->worker, s);
}

static void on_established(void *user)
{
	(void)user; /* it was when it was accepted */
}

static const struct tow_quic_conn_events conn_events = {
	.established = on_established,
	.stream_opened = on_stream_opened,
	.unreachable = on_unreachable,
	.closed = on_closed,
};

/* For a connection that gets no session. */
static void on_orphan_stream(void *user, struct tow_quic_stream *stream)
{
	(void)user;
	tow_quic_stream_abandon(stream, TOW_TUNNEL_OVERLOADED);
}

static void on_orphan_closed(void *user, const struct tow_quic_close_reason *reason)
{
	(void)user;
	(void)reason;
}

static const struct tow_quic_conn_events orphan_events = {
	.established = on_established,
	.stream_opened = on_orphan_stream,
	.closed = on_orphan_closed,
};

void tow__agent_session_accept(void *worker, struct tow_quic_conn *conn)
{
	struct worker *w = worker;
	struct agent_session *s = calloc(1, sizeof(*s));

	if (w->agents.pending_count >= TOW_AGENTS_PENDING_MAX / w->all->count)
		displace_oldest(w, NULL);
	if (s != NULL)
		tow_timer_init(&s->timer, w->loop, on_timer, s);
	if (s == NULL || tow_timer_start_in(&s->timer, w->timing.agent_hello_ns) != 0) {
		free(s);
		tow_metric_inc(w->metrics.hellos[HELLO_OVERLOADED]);
		tow_quic_conn_set_events(conn, &orphan_events, NULL);
		tow_quic_conn_close(conn, TOW_TUNNEL_OVERLOADED, "too many agents at once");
		return;
	}
	s->worker = w;
	s->conn = conn;
	s->state = AGENT_HELLO;
	s->refs = 1;
	s->agent_id = *tow_quic_conn_peer(conn);
	s->carried = tow_quic_conn_is_carried(conn);
	s->serial = atomic_fetch_add(&w->all->next_serial, 1) + 1;
	DL_APPEND2(w->agents.pending, s, pending_prev, pending_next);
	w->agents.pending_count++;
	tow_quic_conn_set_events(conn, &conn_events, s);
}

uint64_t tow__agent_session_mark(const struct agent_session *s)
{
	uint64_t mark;

	memcpy(&mark, &s->agent_id, sizeof(mark));
	return mark;
}

int tow__agent_session_tried(const struct agent_session *s, const struct tried *tried, size_t count)
{
	uint64_t mark = tow__agent_session_mark(s);

	for (size_t i = 0; i < count; i++)
		if (tried[i].serial == s->serial ||
		    (tried[i].agent == mark && s->serial < tried[i].before))
			return 1;
	return 0;
}

static int has_service(const struct agent_session *s, const char *authority)
{
	return s->service_count > 0 && bsearch(&authority, s->services, s->service_count,
	                                       sizeof(*s->services), by_text) != NULL;
}

int tow__agent_session_serves(const struct agent_session *s, const char *authority)
{
	char wildcard[TOW_HOSTNAME_SIZE];

	if (has_service(s, authority))
		return 1;
	return strchr(authority, ':') == NULL &&
	       tow_hostname_wildcard_of(authority, wildcard) == 0 && has_service(s, wildcard);
}

int tow__agent_session_open(struct agent_session *s, const struct tow_quic_stream_events *events,
                            void *user, struct tow_quic_stream **out)
{
	int rc;

	if (s->conn == NULL || s->state != AGENT_SERVING)
		return TOW_ECLOSED;
	rc = tow_quic_open_stream(s->conn, events, user, out);
	if (rc != 0)
		return rc;
	s->streams++;
	s->refs++;
	return 0;
}

/* The process that should have taken over did not, and the agent has come back with another
 * tunnel: it does not close this one itself. */
static void cut_if_left(struct agent_session *s)
{
	if (s->moved && s->state == AGENT_RETIRED && s->streams == 0)
		tow__agent_session_cut(s, TOW_TUNNEL_DRAINING, "the agent has a newer tunnel");
}

void tow__agent_session_release(struct agent_session *s)
{
	s->streams--;
	cut_if_left(s);
	unref(s);
}

uint64_t tow__agent_session_packets(const struct agent_session *s)
{
	struct tow_quic_stats stats = { 0 };

	if (s->conn != NULL)
		tow_quic_conn_stats(s->conn, &stats);
	return stats.packets_received;
}

void tow__agent_session_ask(struct agent_session *s)
{
	uint64_t packets = tow__agent_session_packets(s);

	if (s->asked_ns != 0 && packets == s->asked_packets)
		return;
	s->asked_ns = tow_loop_now_ns(s->worker->loop);
	s->asked_packets = packets;
	s->unreachable = 0;
}

uint64_t tow__agent_session_hope_ns(const struct agent_session *s)
{
	const struct timing *t = &s->worker->timing;

	return s->asked_ns + (s->unreachable ? t->dial_unreachable_ns : t->dial_alone_ns);
}

void tow__agent_session_doubt(struct agent_session *s)
{
	if (s->state != AGENT_SERVING || s->waiting_since_ns == DOUBTED)
		return;
	s->waiting_since_ns = DOUBTED;
	s->refs++;
	tick(s);
	unref(s);
}

void tow__agent_session_retire(struct agent_session *s, uint64_t generation)
{
	struct worker *w = s->worker;
	struct tow_control_message message = { .type = TOW_CONTROL_SUPERSEDED,
		                               .generation = generation };

	if (s->state == AGENT_GONE)
		return;
	enter(s, AGENT_RETIRED);
	if (generation == 0) {
		cut_if_left(s);
		return;
	}
	tow_metric_inc(w->metrics.agents_superseded);
	tow_log_info(w->log, "agent is superseded", tow_f_id("agent", &s->agent_id),
	             tow_f_id("tenant", &s->tenant), tow_f_uint("by_generation", generation),
	             tow_f_uint("streams", s->streams));
	send_message(s, &message);
}

void tow__agent_session_drain(struct agent_session *s)
{
	struct tow_control_message message = { .type = TOW_CONTROL_DRAIN };

	send_message(s, &message);
}

void tow__agent_session_redial(struct agent_session *s)
{
	struct tow_control_message message = { .type = TOW_CONTROL_DRAIN, .redial = 1 };

	if (s->state != AGENT_SERVING)
		return;
	s->moved = 1;
	send_message(s, &message);
}
