/* SPDX-License-Identifier: MIT */

#include "dial.h"

#include <utlist.h>
#include "agent_session.h"
#include "worker.h"

/* Anybody can make up sources for sessions of UDP, and these are not to take all streams. */
#define UDP_STREAMS_MAX (TOW_STREAMS_PER_AGENT - TOW_STREAMS_NOT_OF_UDP)

static void enter(struct dial *d, enum dial_state state)
{
	if (d->state == DIAL_WAITING)
		DL_DELETE2(d->worker->agents.waiting, d, waiting_prev, waiting_next);
	d->state = state;
	if (state == DIAL_WAITING)
		DL_APPEND2(d->worker->agents.waiting, d, waiting_prev, waiting_next);
}

static void leave(struct dial *d, uint64_t code)
{
	if (d->stream != NULL)
		tow_quic_stream_abandon(d->stream, code);
	d->stream = NULL;
	if (d->agent != NULL)
		tow__agent_session_release(d->agent);
	d->agent = NULL;
	tow_timer_stop(&d->silence);
}

void tow__dial_fail(struct dial *d, uint64_t failure)
{
	leave(d, TOW_TUNNEL_OK);
	tow_buf_deinit(&d->reply);
	d->reply_finished = 0;
	d->failure = failure;
	enter(d, DIAL_FAILED);
}

static void on_data(void *user, struct tow_slice bytes, int fin)
{
	struct dial *d = user;

	if (d->state == DIAL_WAITING && bytes.len > 0 && bytes.base[0] == TOW_STREAM_ACCEPTED) {
		enter(d, DIAL_ACCEPTED);
		tow_quic_stream_consume(d->stream, 1);
		bytes.base++;
		bytes.len--;
	}
	d->reply_finished = fin;
	if (d->state != DIAL_ACCEPTED)
		tow__dial_fail(d, TOW_TUNNEL_PROTOCOL);
	else if (tow_buf_append(&d->reply, bytes.base, bytes.len) != 0)
		tow__dial_fail(d, TOW_TUNNEL_INTERNAL);
	d->changed(d->user);
}

static void on_reset(void *user, uint64_t code)
{
	struct dial *d = user;

	tow__dial_fail(d, code);
	d->changed(d->user);
}

static void on_stopped(void *user, uint64_t code)
{
	struct dial *d = user;

	(void)code;
	d->stopped = 1;
}

static void on_closed(void *user)
{
	struct dial *d = user;

	d->stream = NULL;
	d->tried[d->tried_count - 1].before = 0; /* its other tunnels may stand */
	tow__dial_fail(d, TOW_TUNNEL_OK);
	d->changed(d->user);
}

static void on_writable(void *user)
{
	(void)user; /* never asked for: TOW_REPLAY_MAX is the bound */
}

static void on_datagram(void *user, struct tow_slice payload)
{
	struct dial *d = user;

	if (d->datagram != NULL)
		d->datagram(d->user, payload);
}

static const struct tow_quic_stream_events stream_events = {
	.data = on_data,
	.writable = on_writable,
	.reset = on_reset,
	.stopped = on_stopped,
	.datagram = on_datagram,
	.closed = on_closed,
};

int tow__dial_send(struct dial *d)
{
	struct tow_slice bytes = tow_buf_peek(&d->bytes);
	int rc;

	if (d->state != DIAL_WAITING || d->stopped || d->sent == bytes.len)
		return 0;
	rc = tow_quic_stream_write(d->stream,
	                           tow_slice_make(bytes.base + d->sent, bytes.len - d->sent));
	if (rc == 0)
		d->sent = bytes.len;
	/* When its connection is ending, on_closed will say so. */
	return rc == TOW_ECLOSED ? 0 : rc;
}

static struct agent_session *pick(const struct dial *d)
{
	struct worker *w = d->worker;

	if (d->tried_count == TOW_DIAL_ATTEMPTS_MAX)
		return NULL;
	return tow__agents_pick(&w->agents, &d->tenant, d->authority, d->tried, d->tried_count,
	                        tow_loop_now_ns(w->loop));
}

static void on_silence(void *user)
{
	struct dial *d = user;
	uint64_t until_ns;

	if (d->state != DIAL_WAITING || tow__agent_session_packets(d->agent) != d->heard_packets)
		return;
	tow__agent_session_doubt(d->agent);
	until_ns = tow__agent_session_hope_ns(d->agent);
	d->in_vain = !tow__dial_possible(d) && tow_loop_now_ns(d->worker->loop) < until_ns;
	if (d->in_vain && tow_timer_start(&d->silence, until_ns) == 0)
		return;
	tow__dial_fail(d, TOW_TUNNEL_IDLE);
	d->changed(d->user);
}

int tow__dial_possible(const struct dial *d)
{
	return pick(d) != NULL || tow__dial_elsewhere(d) != ROSTER_NOBODY;
}

int tow__dial_elsewhere(const struct dial *d)
{
	struct worker *w = d->worker;
	uint32_t spread;

	if (w->all->count == 1 || d->tried_count == TOW_DIAL_ATTEMPTS_MAX)
		return ROSTER_NOBODY;
	tow_random(&spread, sizeof(spread));
	return tow__roster_find(&w->all->roster, &d->tenant, d->authority, d->tried, d->tried_count,
	                        w->index, spread);
}

void tow__dial_moved(struct dial *d, struct worker *to)
{
	d->worker = to;
	tow__dial_init(d);
}

void tow__dial_init(struct dial *d)
{
	tow_timer_init(&d->silence, d->worker->loop, on_silence, d);
}

int tow__dial_next(struct dial *d)
{
	struct worker *w = d->worker;
	struct agent_session *agent;
	int rc;

	while ((agent = pick(d)) != NULL) {
		if (d->tried_count > 0)
			tow_metric_inc(w->metrics.dials_retried);
		d->tried[d->tried_count++] = (struct tried){ .serial = agent->serial };
		rc = d->datagram != NULL && agent->streams >= UDP_STREAMS_MAX
		             ? TOW_BLOCKED
		             : tow__agent_session_open(agent, &stream_events, d, &d->stream);
		d->blocked |= rc == TOW_BLOCKED;
		if (rc != 0)
			continue;
		d->tried[d->tried_count - 1].agent = tow__agent_session_mark(agent);
		d->tried[d->tried_count - 1].before = atomic_load(&w->all->next_serial) + 1;
		d->agent = agent;
		enter(d, DIAL_WAITING);
		d->sent = 0;
		d->stopped = 0;
		d->in_vain = 0;
		d->heard_packets = tow__agent_session_packets(agent);
		tow__agent_session_ask(agent);
		if (tow__dial_send(d) == 0 &&
		    tow_timer_start_in(&d->silence, w->timing.dial_silence_ns) == 0)
			return 0;
		tow__dial_fail(d, TOW_TUNNEL_INTERNAL);
	}
	return TOW_ENOTFOUND;
}

/* Not at once: what follows may be the end of any of them. */
static void look_again(struct dial *d)
{
	(void)tow_timer_start_in(&d->silence, 0);
}

void tow__dials_agent_came(struct worker *w)
{
	struct dial *d;

	DL_FOREACH2(w->agents.waiting, d, waiting_next)
	if (d->in_vain)
		look_again(d);
}

void tow__dials_agent_unreachable(struct worker *w, const struct agent_session *agent)
{
	struct dial *d;

	DL_FOREACH2(w->agents.waiting, d, waiting_next)
	if (d->agent == agent)
		look_again(d);
}

void tow__dial_deinit(struct dial *d, uint64_t code)
{
	leave(d, code);
	enter(d, DIAL_IDLE);
	tow_buf_deinit(&d->bytes);
	tow_buf_deinit(&d->reply);
}
