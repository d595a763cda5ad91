/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/control_message.h>
#include <towonel/wire/limits.h>

#include "quic/connection.h"

/* Less than a packet: it goes ahead of streams that have much, and keeps them waiting for next to
 * nothing. */
#define SMALL 1024

static void wake(struct tow_quic_stream *stream)
{
	stream->conn->host->wake(stream->conn->owner);
}

struct tow_quic_stream *tow__quic_stream_new(struct tow_quic_conn *conn, int64_t id)
{
	struct tow_quic_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->conn = conn;
	stream->id = id;
	stream->next = conn->streams;
	if (conn->streams)
		conn->streams->prev = stream;
	conn->streams = stream;
	conn->open_streams++;
	return stream;
}

void tow__quic_stream_free(struct tow_quic_stream *stream)
{
	struct tow_quic_conn *conn = stream->conn;

	assert(!stream->noted);
	tow__quic_stream_unready(stream);
	tow__quic_datagrams_drop(stream);
	if (stream->prev)
		stream->prev->next = stream->next;
	else
		conn->streams = stream->next;
	if (stream->next)
		stream->next->prev = stream->prev;
	conn->open_streams--;
	tow__send_queue_deinit(&stream->queue, &conn->chunks);
	free(stream);
}

void tow__quic_stream_note(struct tow_quic_stream *stream)
{
	struct tow_quic_conn *conn = stream->conn;

	if (stream->noted)
		return;
	stream->noted = 1;
	stream->note_next = NULL;
	*conn->notes_end = stream;
	conn->notes_end = &stream->note_next;
}

void tow__quic_stream_ready(struct tow_quic_stream *stream)
{
	struct tow_quic_conn *conn = stream->conn;
	struct tow_quic_stream *head = conn->ready;

	conn->unhurried = 0;
	if (stream->ready_next || stream->gone || stream->sending_ended ||
	    conn->state >= TOW__QUIC_ENDING)
		return;
	if (!head) {
		stream->ready_next = stream;
		stream->ready_prev = stream;
		conn->ready = stream;
		return;
	}
	stream->ready_prev = head->ready_prev; /* before the head: at the ring's end */
	stream->ready_next = head;
	head->ready_prev->ready_next = stream;
	head->ready_prev = stream;
	if (tow__send_queue_unsent(&stream->queue) <= SMALL)
		conn->ready = stream;
}

void tow__quic_stream_unready(struct tow_quic_stream *stream)
{
	struct tow_quic_conn *conn = stream->conn;

	if (!stream->ready_next)
		return;
	if (stream->ready_next == stream) {
		conn->ready = NULL;
	} else {
		stream->ready_prev->ready_next = stream->ready_next;
		stream->ready_next->ready_prev = stream->ready_prev;
		if (conn->ready == stream)
			conn->ready = stream->ready_next;
	}
	stream->ready_next = NULL;
	stream->ready_prev = NULL;
}

void tow__quic_stream_delivered(struct tow_quic_stream *stream, size_t len)
{
	struct tow_quic_conn *conn = stream->conn;

	stream->delivered += len;
	conn->held += len;
	conn->host->held += len;
	ngtcp2_conn_extend_max_offset(conn->quic, len);
}

static uint64_t held(const struct tow_quic_stream *stream)
{
	return stream->delivered - stream->consumed;
}

/* Of itself, or of what all hold together more than its share. */
static int holds_too_much(const struct tow_quic_conn *conn)
{
	const struct tow__quic_host *host = conn->host;

	return conn->held > host->config.held_max ||
	       (host->config.held_all_max && host->held > host->config.held_all_max &&
	        conn->held >= host->held / host->connections);
}

void tow__quic_conn_relieve(struct tow_quic_conn *conn)
{
	struct tow_quic_stream *stream, *most = NULL;

	if (conn->state >= TOW__QUIC_ENDING || !holds_too_much(conn))
		return;
	for (stream = conn->streams; stream; stream = stream->next)
		if (!stream->given_up && (!most || held(stream) > held(most)))
			most = stream;
	if (!most)
		return;
	most->given_up = 1;
	if (conn->host->given_up)
		tow_metric_inc(conn->host->given_up);
	tow_quic_stream_reset(most, TOW_TUNNEL_OVERLOADED);
	tow_quic_stream_stop(most, TOW_TUNNEL_OVERLOADED);
	if (most->events.reset)
		most->events.reset(most->user, TOW_TUNNEL_OVERLOADED);
}

void tow__quic_stream_credit(struct tow_quic_stream *stream, size_t len)
{
	struct tow_quic_conn *conn = stream->conn;

	stream->consumed += len;
	conn->held -= len;
	conn->host->held -= len;
	if (len > 0 && !stream->gone)
		(void)ngtcp2_conn_extend_max_stream_offset(conn->quic, stream->id, len);
}

/* --- public --- */

int tow_quic_open_stream(struct tow_quic_conn *conn, const struct tow_quic_stream_events *events,
                         void *user, struct tow_quic_stream **out)
{
	struct tow_quic_stream *stream;
	int rv;

	if (conn->state >= TOW__QUIC_ENDING)
		return TOW_ECLOSED;
	if (ngtcp2_conn_get_streams_bidi_left2(conn->quic) == 0) {
		conn->streams_short = 1;
		return TOW_BLOCKED;
	}
	stream = tow__quic_stream_new(conn, -1);
	if (!stream)
		return TOW_ENOMEM;
	rv = ngtcp2_conn_open_bidi_stream(conn->quic, &stream->id, stream);
	if (rv != 0) {
		tow__quic_stream_free(stream);
		if (rv == NGTCP2_ERR_STREAM_ID_BLOCKED) {
			conn->streams_short = 1;
			return TOW_BLOCKED;
		}
		return TOW_ENOMEM;
	}
	tow_quic_stream_set_events(stream, events, user);
	*out = stream;
	return 0;
}

void tow_quic_stream_set_events(struct tow_quic_stream *stream,
                                const struct tow_quic_stream_events *events, void *user)
{
	stream->events = *events;
	stream->user = user;
}

struct tow_quic_conn *tow_quic_stream_conn(const struct tow_quic_stream *stream)
{
	return stream->conn;
}

uint64_t tow_quic_stream_id(const struct tow_quic_stream *stream)
{
	return (uint64_t)stream->id;
}

uint8_t *tow_quic_stream_reserve(struct tow_quic_stream *stream, size_t *len)
{
	return tow__send_queue_reserve(&stream->queue, &stream->conn->chunks,
	                               tow_quic_stream_unsent_max(stream), len);
}

void tow_quic_stream_commit(struct tow_quic_stream *stream, size_t len)
{
	if (stream->sending_ended || stream->fin_wanted || stream->gone)
		len = 0; /* nobody wants it any more */
	tow__send_queue_commit(&stream->queue, &stream->conn->chunks, len);
	if (len == 0)
		return;
	tow__quic_stream_ready(stream);
	wake(stream);
}

int tow_quic_stream_write(struct tow_quic_stream *stream, struct tow_slice bytes)
{
	int ret;

	if (stream->sending_ended || stream->fin_wanted || stream->gone ||
	    stream->conn->state >= TOW__QUIC_ENDING)
		return TOW_ECLOSED;
	if (bytes.len == 0)
		return 0;
	ret = tow__send_queue_append(&stream->queue, &stream->conn->chunks, bytes.base, bytes.len);
	if (ret != 0)
		return ret;
	tow__quic_stream_ready(stream);
	wake(stream);
	return 0;
}

int tow_quic_stream_write_unhurried(struct tow_quic_stream *stream, struct tow_slice bytes)
{
	int alone = !tow__quic_conn_has_more(stream->conn);
	int ret = tow_quic_stream_write(stream, bytes);

	stream->conn->unhurried = alone;
	return ret;
}

size_t tow_quic_stream_unsent(const struct tow_quic_stream *stream)
{
	return tow__send_queue_unsent(&stream->queue);
}

/* A quarter of what is left: then all of it never is, whoever comes first and however many there
 * are (Choudhury and Hahne's dynamic thresholds). */
static size_t share(uint64_t max, uint64_t used)
{
	uint64_t left = used < max ? (max - used) / 4 : 0;

	return left < TOW_PIPE_UNSENT_MAX ? (size_t)left : TOW_PIPE_UNSENT_MAX;
}

size_t tow_quic_stream_unsent_max(const struct tow_quic_stream *stream)
{
	const struct tow_quic_conn *conn = stream->conn;
	const struct tow__quic_host *host = conn->host;
	size_t most = share(TOW_QUEUED_MAX, conn->chunks.used), of_all = most;

	if (host->config.queued_all_max)
		of_all = share(host->config.queued_all_max, host->chunks.used);
	if (of_all < most)
		most = of_all;
	return most > TOW_PIPE_UNSENT_MIN ? most : TOW_PIPE_UNSENT_MIN;
}

void tow_quic_stream_want_writable(struct tow_quic_stream *stream)
{
	stream->want_writable = 1;
	if (tow__send_queue_unsent(&stream->queue) <= tow_quic_stream_unsent_max(stream) / 2) {
		tow__quic_stream_note(stream);
		wake(stream);
	}
}

void tow_quic_stream_finish(struct tow_quic_stream *stream)
{
	if (stream->fin_wanted || stream->sending_ended || stream->gone)
		return;
	stream->fin_wanted = 1;
	tow__quic_stream_ready(stream);
	wake(stream);
}

static void end_sending(struct tow_quic_stream *stream)
{
	stream->sending_ended = 1;
	tow__quic_stream_unready(stream);
	tow__quic_datagrams_drop(stream);
	tow__send_queue_cut(&stream->queue, &stream->conn->chunks);
}

void tow_quic_stream_reset(struct tow_quic_stream *stream, uint64_t code)
{
	if (stream->sending_ended || stream->gone)
		return;
	end_sending(stream);
	(void)ngtcp2_conn_shutdown_stream_write(stream->conn->quic, 0, stream->id, code);
	wake(stream);
}

void tow_quic_stream_stop(struct tow_quic_stream *stream, uint64_t code)
{
	if (stream->gone)
		return;
	(void)ngtcp2_conn_shutdown_stream_read(stream->conn->quic, 0, stream->id, code);
	wake(stream);
}

void tow_quic_stream_consume(struct tow_quic_stream *stream, size_t len)
{
	assert(stream->consumed + len <= stream->delivered);
	if (stream->conn->state >= TOW__QUIC_ENDING)
		return;
	tow__quic_stream_credit(stream, len);
	wake(stream);
}

void tow_quic_stream_abandon(struct tow_quic_stream *stream, uint64_t code)
{
	memset(&stream->events, 0, sizeof(stream->events));
	stream->user = NULL;
	stream->abandoned = 1;
	stream->want_writable = 0;
	if (stream->conn->state >= TOW__QUIC_ENDING)
		return;
	tow__quic_stream_credit(stream, (size_t)(stream->delivered - stream->consumed));
	if (!stream->gone) {
		/* A FIN that is on its way stays one: what was sent in order arrives in order. */
		if (!stream->fin_sent)
			tow_quic_stream_reset(stream, code);
		tow_quic_stream_stop(stream, code);
	}
	wake(stream);
}
