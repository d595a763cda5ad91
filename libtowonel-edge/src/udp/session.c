/* SPDX-License-Identifier: MIT */

/*
 * A visitor's UDP session:
 *
 *     DIAL ── accepted ──► OPEN ──► (gone)      no datagram for the service's idle timeout, or the
 *     │  ▲ '─ next agent                        agent's stream is over
 *     │  └─── (at another worker)               which has an agent when there is none here
 *     └─────► (gone)                            no agent left, or none that answers
 *
 * What comes before an agent has accepted is framed on its stream, and kept for the next one as far
 * as TOW_REPLAY_MAX goes; then it is dropped. A session that is gone begins anew with the visitor's
 * next datagram: that is how it gets over an agent that goes away.
 */

#include "session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <towonel/wire/proxy_header.h>
#include <towonel/wire/udp_frame.h>
#include "../agent_session.h"
#include "../worker.h"

#define LOOK_EVERY_NS (100 * TOW_NSEC_PER_MSEC)

static struct worker *worker_of(const struct udp_session *s)
{
	return s->listener->worker;
}

static void drop(struct worker *w, enum udp_drop why)
{
	tow_metric_inc(w->metrics.udp_dropped[why]);
}

/* Nobody knows when a session is over; one that is to end soon is over when it pauses. */
static uint64_t idle_ns(const struct udp_session *s)
{
	const struct worker *w = worker_of(s);

	return w->hurried && s->idle_ns > w->timing.udp_drain_ns ? w->timing.udp_drain_ns
	                                                         : s->idle_ns;
}

/* --- limits, which hold for all workers --- */

static int enter_limits(struct worker *w, const struct udp_newcomer *newcomer,
                        enum udp_refusal *why)
{
	uint64_t now = tow_loop_now_ns(w->loop);
	int rc;

	pthread_mutex_lock(&w->all->limits_lock);
	rc = tow__udp_limits_enter(&w->all->udp, newcomer, now, why);
	pthread_mutex_unlock(&w->all->limits_lock);
	if (rc == 0)
		atomic_fetch_add(&w->all->sessions, 1);
	return rc;
}

static void leave_limits(struct worker *w, const struct tow_addr *from, uint16_t port)
{
	pthread_mutex_lock(&w->all->limits_lock);
	tow__udp_limits_leave(&w->all->udp, from, port);
	pthread_mutex_unlock(&w->all->limits_lock);
	tow__workers_left(w, &w->all->sessions);
}

/* --- the table --- */

static uint64_t long_hash_of(const struct worker *w, const uint8_t key[UDP_KEY_SIZE])
{
	uint64_t value;

	static_assert(sizeof(value) == crypto_shorthash_BYTES, "a hash is one number");
	crypto_shorthash((uint8_t *)&value, key, UDP_KEY_SIZE, w->all->udp.sources.hash_key);
	return value;
}

unsigned tow__udp_key_hash(const struct worker *w, const uint8_t key[UDP_KEY_SIZE])
{
	return (unsigned)long_hash_of(w, key);
}

struct udp_session *tow__udp_session_find(const struct udp_listener *listener,
                                          const uint8_t key[UDP_KEY_SIZE])
{
	struct udp_session *session;

	HASH_FIND_BYHASHVALUE(hh, listener->sessions, key, UDP_KEY_SIZE,
	                      tow__udp_key_hash(listener->worker, key), session);
	return session;
}

static void on_timer(void *user);

int tow__udp_session_link(struct udp_session *s, struct udp_listener *listener)
{
	HASH_ADD_BYHASHVALUE(hh, listener->sessions, key, UDP_KEY_SIZE,
	                     tow__udp_key_hash(listener->worker, s->key), s);
	if (s->hh.tbl == NULL)
		return TOW_ENOMEM;
	s->listener = listener;
	tow_timer_init(&s->timer, listener->worker->loop, on_timer, s);
	if (!s->two_sided)
		DL_APPEND(listener->one_sided, s);
	return 0;
}

void tow__udp_session_unlink(struct udp_session *s)
{
	struct udp_listener *listener = s->listener;

	HASH_DEL(listener->sessions, s);
	if (!s->two_sided)
		DL_DELETE(listener->one_sided, s);
	if (listener->last == s)
		listener->last = NULL;
	s->listener = NULL;
}

void tow__udp_session_free(struct udp_session *s, struct worker *w, uint64_t code)
{
	tow_log_debug(w->log, "UDP session is over", tow_f_hex("id", s->id, sizeof(s->id)),
	              tow_f_str("reason", tow_tunnel_error_name(code)));
	if (s->opening != NULL) {
		tow__dial_deinit(&s->opening->dial, code);
		free(s->opening);
	}
	if (s->flow.stream != NULL)
		tow_quic_stream_abandon(s->flow.stream, code);
	tow_udp_flow_deinit(&s->flow);
	if (s->agent != NULL)
		tow__agent_session_release(s->agent);
	tow_timer_stop(&s->timer);
	tow__tenants_leave(&w->all->tenants, s->use);
	leave_limits(w, &s->remote, s->port);
	tow_metric_dec(w->metrics.udp_sessions);
	free(s);
}

void tow__udp_session_end(struct udp_session *s, uint64_t code)
{
	struct worker *w = worker_of(s);

	tow__udp_session_unlink(s);
	if (s->home != w->index)
		tow__udp_session_tell_home(s, w);
	tow__udp_session_free(s, w, code);
}

static void touch(struct udp_session *s)
{
	s->active_ns = tow_loop_now_ns(worker_of(s)->loop);
	if (s->two_sided)
		return;
	DL_DELETE(s->listener->one_sided, s);
	DL_APPEND(s->listener->one_sided, s);
}

/* --- refusals --- */

static void note_refusal(struct worker *w, enum udp_refusal why, const struct tow_addr *from,
                         uint16_t port, uint64_t detail)
{
	uint64_t suppressed;

	tow_metric_inc(w->metrics.udp_refused[why]);
	if (tow_log_gate_open(&w->udp_gate, tow_loop_now_ns(w->loop), &suppressed))
		tow_log_warn(w->log, "UDP session refused",
		             tow_f_str("reason", tow__udp_refusal_name(why)),
		             tow_f_str("detail", tow_tunnel_error_name(detail)),
		             tow_f_addr("from", from), tow_f_uint("port", port),
		             tow_f_uint("more", suppressed));
}

static void refuse(struct udp_session *s, enum udp_refusal why)
{
	struct worker *w = worker_of(s);

	note_refusal(w, why, &s->remote, s->port, s->opening->dial.failure);
	tow_metric_add(w->metrics.udp_dropped[UDP_DROP_REFUSED], (int64_t)s->opening->datagrams);
	tow__udp_session_end(s, TOW_TUNNEL_OK);
}

int tow__udp_sessions_make_room(struct udp_listener *listener, const struct udp_session *keep)
{
	struct udp_session *idle = listener->one_sided;

	if (idle != NULL && idle == keep)
		idle = idle->next;
	if (idle == NULL)
		return 0;
	tow_metric_inc(listener->worker->metrics.udp_refused[UDP_REFUSED_ONE_SIDED]);
	tow__udp_session_end(idle, TOW_TUNNEL_IDLE);
	return 1;
}

/* --- OPEN --- */

/* Within the tenant's bytes a second: what is beyond is dropped, for a datagram that is late is
 * worth less than none. */
static int may_pass(struct udp_session *s, struct tow_pace *pace, size_t len)
{
	struct worker *w = worker_of(s);
	uint64_t now = tow_loop_now_ns(w->loop);

	if (tow_pace_allow(pace, now) == 0) {
		drop(w, UDP_DROP_TENANT_LIMIT);
		return 0;
	}
	tow_pace_spend(pace, len, now);
	return 1;
}

static void to_visitor(void *user, struct tow_slice payload)
{
	struct udp_session *s = user;
	struct worker *w = worker_of(s);

	touch(s);
	s->answered = 1;
	if (!may_pass(s, &s->use->out, payload.len))
		return;
	tow_metric_inc(w->metrics.udp_datagrams_out);
	tow_metric_add(w->metrics.udp_bytes_out, (int64_t)payload.len);
	tow_udp_queue(s->listener->socket, &s->remote, &s->local, payload);
}

static void on_data(void *user, struct tow_slice bytes, int fin)
{
	struct udp_session *s = user;
	int rc;

	tow_quic_stream_consume(s->flow.stream, bytes.len);
	rc = tow_udp_flow_read(&s->flow, bytes, to_visitor, s);
	if (rc != 0 || fin)
		tow__udp_session_end(s, rc != 0 ? TOW_TUNNEL_INTERNAL : TOW_TUNNEL_OK);
}

static void on_over(void *user, uint64_t code)
{
	tow__udp_session_end(user, code);
}

static void on_closed(void *user)
{
	struct udp_session *s = user;

	s->flow.stream = NULL;
	tow__udp_session_end(s, TOW_TUNNEL_OK);
}

static const struct tow_quic_stream_events stream_events = {
	.data = on_data,
	.reset = on_over,
	.stopped = on_over,
	.datagram = to_visitor,
	.closed = on_closed,
};

static void open_session(struct udp_session *s)
{
	struct udp_opening *o = s->opening;
	struct dial *d = &o->dial;
	struct tow_slice reply = tow_buf_peek(&d->reply);
	int rc;

	s->agent = d->agent;
	s->flow.stream = d->stream;
	d->agent = NULL;
	d->stream = NULL;
	s->opening = NULL;
	tow_quic_stream_set_events(s->flow.stream, &stream_events, s);
	tow_quic_stream_consume(s->flow.stream, reply.len);
	rc = tow_udp_flow_read(&s->flow, reply, to_visitor, s);
	if (rc == 0 && !d->reply_finished && !d->stopped)
		rc = tow_timer_start_in(&s->timer, idle_ns(s));
	else
		rc = TOW_ECLOSED;
	tow__dial_deinit(d, TOW_TUNNEL_OK);
	free(o);
	if (rc != 0)
		tow__udp_session_end(s, TOW_TUNNEL_OK);
}

/* --- DIAL --- */

static enum udp_refusal why_not(const struct dial *d)
{
	if (d->state != DIAL_FAILED)
		return d->blocked ? UDP_REFUSED_LIMIT : UDP_REFUSED_NO_AGENT;
	switch (d->failure) {
	case TOW_TUNNEL_IDLE: return UDP_REFUSED_AGENT_TIMEOUT;
	case TOW_TUNNEL_OVERLOADED: return UDP_REFUSED_LIMIT;
	default: return UDP_REFUSED_ORIGIN;
	}
}

void tow__udp_session_dial(struct udp_session *s)
{
	struct worker *w = worker_of(s);
	struct dial *d = &s->opening->dial;
	int rc = tow__dial_next(d);

	if (rc != 0 && tow__udp_session_move(s))
		return;
	/* Agents are full of what others have begun: there is room when one of these ends. */
	if (rc != 0 && !s->opening->made_room && why_not(d) == UDP_REFUSED_LIMIT &&
	    tow__udp_sessions_make_room(s->listener, s)) {
		s->opening->made_room = 1;
		d->tried_count = 0;
		rc = tow__dial_next(d);
	}
	if (rc != 0)
		refuse(s, why_not(d));
	else if (tow_timer_start_in(&s->timer, w->timing.dial_ns) != 0)
		refuse(s, UDP_REFUSED_INTERNAL);
}

static void on_dial_changed(void *user)
{
	struct udp_session *s = user;

	if (s->opening->dial.state == DIAL_ACCEPTED)
		open_session(s);
	else if (s->opening->dial.state == DIAL_FAILED)
		tow__udp_session_dial(s);
}

static void on_timer(void *user)
{
	struct udp_session *s = user;
	uint64_t now = tow_loop_now_ns(worker_of(s)->loop);

	if (s->opening != NULL) {
		tow__agent_session_doubt(s->opening->dial.agent);
		tow__dial_fail(&s->opening->dial, TOW_TUNNEL_IDLE);
		tow__udp_session_dial(s);
	} else if (now - s->active_ns >= idle_ns(s) ||
	           tow_timer_start(&s->timer, s->active_ns + idle_ns(s)) != 0) {
		tow__udp_session_end(s, TOW_TUNNEL_IDLE);
	}
}

void tow__udp_session_drain(struct udp_session *s)
{
	if (s->opening == NULL)
		on_timer(s);
}

/* The frames come after the header. */
static int write_header(struct udp_session *s)
{
	struct dial *d = &s->opening->dial;
	const struct tow_proxy_header header = {
		.command = TOW_PROXY_PROXY,
		.transport = TOW_PROXY_DGRAM,
		.source = s->remote,
		.destination = s->local,
		.authority = tow_slice_of(d->authority),
		.unique_id = tow_slice_make(s->id, sizeof(s->id)),
	};
	uint8_t text[TOW_PROXY_HEADER_MAX];
	int len = tow_proxy_header_write(&header, 0, text, sizeof(text));

	if (len < 0)
		return len;
	s->opening->header_len = (size_t)len;
	return tow_buf_append(&d->bytes, text, (size_t)len);
}

static void keep(struct udp_session *s, struct tow_slice payload)
{
	struct udp_opening *o = s->opening;
	size_t frames = tow_buf_len(&o->dial.bytes) - o->header_len;

	if (frames + TOW_UDP_FRAME_HEADER_SIZE + payload.len > TOW_REPLAY_MAX ||
	    tow_udp_frame_append(&o->dial.bytes, payload) != 0)
		drop(worker_of(s), UDP_DROP_REPLAY_FULL);
	else
		o->datagrams++;
}

void tow__udp_session_receive(struct udp_session *s, struct tow_slice payload)
{
	struct worker *w = worker_of(s);
	int rc;

	touch(s);
	if (s->answered && !s->two_sided) {
		DL_DELETE(s->listener->one_sided, s);
		s->two_sided = 1;
	}
	if (!may_pass(s, &s->use->in, payload.len))
		return;
	if (s->opening != NULL) {
		keep(s, payload);
		if (tow__dial_send(&s->opening->dial) != 0)
			refuse(s, UDP_REFUSED_INTERNAL);
		return;
	}
	rc = tow_udp_flow_send(&s->flow, payload);
	if (rc == 0)
		return;
	drop(w, rc == TOW_BLOCKED ? UDP_DROP_TUNNEL_FULL : UDP_DROP_UNSENT);
	if (rc != TOW_BLOCKED)
		tow__udp_session_end(s, TOW_TUNNEL_INTERNAL);
}

/* The port has come to lead elsewhere, or is no longer for this visitor. */
static int is_moved(const struct udp_session *s)
{
	struct worker *w = worker_of(s);
	const struct tow_route_port *route;
	int moved;

	tow__routes_lock(w);
	route = tow_route_lookup_port(w->table, TOW_PROTOCOL_UDP, s->listener->port);
	moved = route != NULL && (!tow_access_permits(route->access, &s->remote) ||
	                          !tow_id_equal(&route->tenant_id, &s->agent->tenant) ||
	                          strcmp(route->service, s->service) != 0);
	tow__routes_unlock(w);
	return moved;
}

/* Nothing at all has come from the agent for a while, though it was written to, and there is
 * another one. Each datagram is acknowledged: an agent that is there sends packets. */
static int is_forsaken(struct udp_session *s, uint64_t now)
{
	struct worker *w = worker_of(s);
	const struct tried tried = { .serial = s->agent->serial };
	uint64_t packets = tow__agent_session_packets(s->agent);
	char authority[TOW_AUTHORITY_SIZE];

	if (packets != s->heard_packets) {
		s->heard_packets = packets;
		s->asked_ns = now;
		return 0;
	}
	if (now - s->asked_ns < w->timing.dial_silence_ns)
		return 0;
	snprintf(authority, sizeof(authority), "udp:%s", s->service);
	if (tow__agents_pick(&w->agents, &s->agent->tenant, authority, &tried, 1, now) == NULL &&
	    tow__roster_find(&w->all->roster, &s->agent->tenant, authority, &tried, 1, w->index,
	                     0) == ROSTER_NOBODY)
		return 0;
	tow__agent_session_doubt(s->agent);
	return 1;
}

int tow__udp_session_outdated(struct udp_session *s)
{
	uint64_t now = tow_loop_now_ns(worker_of(s)->loop);

	if (s->opening != NULL || now - s->looked_ns < LOOK_EVERY_NS)
		return 0;
	s->looked_ns = now;
	return is_moved(s) || is_forsaken(s, now);
}

static struct udp_session *session_new(struct udp_listener *listener,
                                       const uint8_t key[UDP_KEY_SIZE],
                                       const struct tow_udp_packet *packet)
{
	struct worker *w = listener->worker;
	struct udp_session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->opening = calloc(1, sizeof(*s->opening));
	memcpy(s->key, key, UDP_KEY_SIZE);
	if (s->opening == NULL || tow__udp_session_link(s, listener) != 0) {
		free(s->opening);
		free(s);
		return NULL;
	}
	s->port = listener->port;
	s->home = w->index;
	s->remote = packet->remote;
	s->local = packet->local;
	s->active_ns = tow_loop_now_ns(w->loop);
	tow_random(s->id, sizeof(s->id));
	s->opening->dial.worker = w;
	s->opening->dial.changed = on_dial_changed;
	s->opening->dial.datagram = to_visitor;
	s->opening->dial.user = s;
	tow__dial_init(&s->opening->dial);
	tow_metric_inc(w->metrics.udp_sessions);
	tow_metric_inc(w->metrics.udp_sessions_total);
	return s;
}

/* Returns 0; TOW_ELIMIT and *why. */
static int let_in(struct udp_listener *listener, const uint8_t key[UDP_KEY_SIZE],
                  const struct tow_addr *from, enum udp_refusal *why)
{
	struct worker *w = listener->worker;
	const struct udp_newcomer newcomer = { .from = from,
		                               .who = long_hash_of(w, key),
		                               .port = listener->port };
	int rc, full;

	do {
		rc = enter_limits(w, &newcomer, why);
		full = rc != 0 && (*why == UDP_REFUSED_LISTENER_LIMIT || *why == UDP_REFUSED_LIMIT);
	} while (full && tow__udp_sessions_make_room(listener, NULL));
	if (rc == 0)
		listener->room_asked = 0;
	else if (full)
		tow__udp_sessions_ask_room(listener); /* for whoever comes next */
	return rc;
}

void tow__udp_session_begin(struct udp_listener *listener, const uint8_t key[UDP_KEY_SIZE],
                            const struct tow_udp_packet *packet)
{
	struct worker *w = listener->worker;
	const struct tow_route_port *found;
	struct tow_route_port route;
	enum udp_refusal why = UDP_REFUSED_NO_ROUTE;
	struct udp_session *s = NULL;
	struct dial *d;
	int denied, rc;

	tow__routes_lock(w);
	found = tow_route_lookup_port(w->table, TOW_PROTOCOL_UDP, listener->port);
	denied = found != NULL && !tow_access_permits(found->access, &packet->remote);
	if (found != NULL)
		route = *found;
	tow__routes_unlock(w);
	if (denied)
		why = UDP_REFUSED_DENIED;
	else if (found != NULL && let_in(listener, key, &packet->remote, &why) == 0) {
		s = session_new(listener, key, packet);
		if (s == NULL) {
			leave_limits(w, &packet->remote, listener->port);
			why = UDP_REFUSED_INTERNAL;
		}
	}
	if (s == NULL) {
		drop(w, UDP_DROP_REFUSED);
		note_refusal(w, why, &packet->remote, listener->port, TOW_TUNNEL_OK);
		return;
	}
	d = &s->opening->dial;
	d->tenant = route.tenant_id;
	snprintf(d->authority, sizeof(d->authority), "udp:%s", route.service);
	snprintf(s->service, sizeof(s->service), "%s", route.service);
	s->idle_ns = route.idle_timeout_secs * w->timing.udp_idle_second_ns;
	tow_log_debug(w->log, "UDP session", tow_f_hex("id", s->id, sizeof(s->id)),
	              tow_f_addr("from", &s->remote), tow_f_str("name", d->authority));
	if (write_header(s) != 0) {
		refuse(s, UDP_REFUSED_INTERNAL);
		return;
	}
	keep(s, packet->bytes);
	tow__routes_lock(w);
	rc = tow__tenants_enter(&w->all->tenants, w->table, &d->tenant, &s->use);
	tow__routes_unlock(w);
	if (rc != 0)
		refuse(s, rc == TOW_ELIMIT ? UDP_REFUSED_TENANT_LIMIT : UDP_REFUSED_INTERNAL);
	else
		tow__udp_session_dial(s);
}
