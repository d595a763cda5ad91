/* SPDX-License-Identifier: MIT */
/*
 * text/event-stream, as the HTML standard has it: an event is lines of "field: value" and an empty
 * line; data that has lines becomes as many data fields. The answer has no length and ends with the
 * connection. What a turn of the loop queues leaves together.
 */
#include <stdlib.h>
#include <string.h>

#include "http/answer.h"
#include "http/connection.h"

struct tow_http_event_stream {
	struct tow__connection *connection;
	void (*closed)(void *user);
	void *user;
};

struct tow_http_event_stream *tow_http_event_stream_start(struct tow_http_request *request,
                                                          void (*closed)(void *user), void *user)
{
	struct tow__connection *connection = request->connection;
	struct tow_http_event_stream *stream = NULL;
	struct tow_buf *out;

	if (!strcmp(request->method, "HEAD")) {
		tow_http_respond(request, 200, "text/event-stream", tow_slice_of(""));
		return NULL;
	}
	if (connection)
		stream = calloc(1, sizeof *stream);
	if (!stream) {
		tow_http_respond_error(request, 503, "unavailable", "out of memory");
		return NULL;
	}
	out = tow__connection_out(connection);
	if (tow__answer_head(request, 200, "text/event-stream", out) ||
	    tow_buf_append_text(out, "Cache-Control: no-store\r\nConnection: close\r\n\r\n")) {
		free(stream);
		tow__request_finish(request, 503);
		tow__connection_answered(connection, false);
		tow__connection_abort(connection);
		return NULL;
	}
	stream->connection = connection;
	stream->closed = closed;
	stream->user = user;
	tow__connection_events(connection, stream);
	tow__request_finish(request, 200);
	return stream;
}

/* A field per line of the value. CR, LF and CRLF end lines; none may get into a field. */
static int add_field(struct tow_buf *out, const char *name, struct tow_slice value)
{
	size_t at = 0;
	int rc = 0;

	do {
		size_t end = at;
		while (end < value.len && value.base[end] != '\n' && value.base[end] != '\r')
			end++;
		rc = tow_buf_printf(out, "%s: ", name);
		if (!rc)
			rc = tow_buf_append(out, value.base ? value.base + at : NULL, end - at);
		if (!rc)
			rc = tow_buf_append(out, "\n", 1);
		if (end + 1 < value.len && value.base[end] == '\r' && value.base[end + 1] == '\n')
			end++;
		at = end + 1;
	} while (!rc && at <= value.len);
	return rc;
}

/* An event that was added in part would damage the next one; take it back. */
static int finish(struct tow_http_event_stream *stream, struct tow_buf *out, size_t before, int rc)
{
	if (rc)
		out->tail = out->head + before;
	else
		tow__connection_flush(stream->connection);
	return rc;
}

int tow_http_event_stream_send(struct tow_http_event_stream *stream, uint64_t id, const char *event,
                               struct tow_slice data)
{
	struct tow_buf *out = tow__connection_out(stream->connection);
	size_t before = tow_buf_len(out);
	int rc = 0;

	if (tow__connection_is_failed(stream->connection))
		return TOW_ECLOSED;
	if (id)
		rc = tow_buf_printf(out, "id: %llu\n", (unsigned long long)id);
	if (!rc && event)
		rc = add_field(out, "event", tow_slice_make(event, strcspn(event, "\r\n")));
	if (!rc)
		rc = add_field(out, "data", data);
	if (!rc)
		rc = tow_buf_append(out, "\n", 1);
	return finish(stream, out, before, rc);
}

int tow_http_event_stream_comment(struct tow_http_event_stream *stream, const char *text)
{
	struct tow_buf *out = tow__connection_out(stream->connection);
	size_t before = tow_buf_len(out);
	int rc;

	if (tow__connection_is_failed(stream->connection))
		return TOW_ECLOSED;
	rc = tow_buf_printf(out, ": %.*s\n\n", (int)strcspn(text, "\r\n"), text);
	return finish(stream, out, before, rc);
}

size_t tow_http_event_stream_queued(const struct tow_http_event_stream *stream)
{
	return tow_buf_len(tow__connection_out(stream->connection));
}

void tow_http_event_stream_end(struct tow_http_event_stream *stream)
{
	tow__connection_end_events(stream->connection);
	tow__event_stream_lost(stream);
}

void tow__event_stream_lost(struct tow_http_event_stream *stream)
{
	if (stream->closed)
		stream->closed(stream->user);
	free(stream);
}
