/* SPDX-License-Identifier: MIT */
#include "forward/tcp.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <towonel/tunnel/pipe.h>
#include <towonel/wire/control_message.h>
#include <towonel/wire/proxy_header.h>

#define HEADER_TIMEOUT_NS (10 * TOW_NSEC_PER_SEC)

enum forward_error {
	ERROR_NONE,
	ERROR_HEADER,
	ERROR_UNKNOWN_SERVICE,
	ERROR_ORIGIN_REFUSED,
	ERROR_ORIGIN_TIMEOUT,
	ERROR_ORIGIN_RESET,
	ERROR_VISITOR_RESET,
	ERROR_TUNNEL_LOST,
	ERROR_OTHER,
};

static const struct {
	const char *reason;
	enum tow_tunnel_error code;
} errors[] = {
	[ERROR_NONE] = { "none", TOW_TUNNEL_OK },
	[ERROR_HEADER] = { "bad_header", TOW_TUNNEL_PROTOCOL },
	[ERROR_UNKNOWN_SERVICE] = { "unknown_service", TOW_TUNNEL_UNKNOWN_SERVICE },
	[ERROR_ORIGIN_REFUSED] = { "origin_refused", TOW_TUNNEL_ORIGIN_REFUSED },
	[ERROR_ORIGIN_TIMEOUT] = { "origin_timeout", TOW_TUNNEL_ORIGIN_TIMEOUT },
	[ERROR_ORIGIN_RESET] = { "origin_reset", TOW_TUNNEL_PEER_RESET },
	[ERROR_VISITOR_RESET] = { "visitor_reset", TOW_TUNNEL_PEER_RESET },
	[ERROR_TUNNEL_LOST] = { "tunnel_lost", TOW_TUNNEL_INTERNAL },
	[ERROR_OTHER] = { "other", TOW_TUNNEL_INTERNAL },
};

enum state {
	HEADER, /* collecting the PROXY header */
	DIAL,   /* reaching the origin, or just handed to the host */
	PIPE,   /* the pipe has stream and socket */
};

struct forward {
	struct forwards *owner;
	struct forward *next, **link;
	enum state state;
	struct tow_quic_stream *stream; /* HEADER, DIAL */
	int stream_finished;
	struct tow_buf received;    /* HEADER, DIAL: not consumed yet */
	struct tow_timer timer;     /* HEADER */
	struct origin_dial *dial;   /* DIAL */
	struct tow_task handed;     /* DIAL, to the host */
	int fd;                     /* our end towards it; -1 */
	struct tow_pipe *pipe;      /* PIPE */
	struct tow_service service; /* its origin_port is the one for this visitor's port */
	uint8_t id[TOW_UNIQUE_ID_SIZE];
	struct tow_addr visitor;
};

static void forward_free(struct forward *f)
{
	struct forwards *owner = f->owner;
	tow_timer_stop(&f->timer);
	tow_buf_deinit(&f->received);
	*f->link = f->next;
	if (f->next)
		f->next->link = f->link;
	owner->active--;
	tow_metric_dec(owner->streams_active);
	free(f);
	if (owner->active == 0 && owner->idle)
		owner->idle(owner->user);
}

static void count(struct forward *f, enum forward_error error)
{
	if (error == ERROR_NONE)
		tow_metric_inc(f->owner->completed);
	else
		tow_metric_inc(f->owner->errors[error]);
}

/* Ends a forward that has no pipe yet. */
static void fail(struct forward *f, enum forward_error error)
{
	count(f, error);
	if (f->dial)
		tow__origin_dial_cancel(f->dial);
	if (f->fd >= 0) {
		tow_task_cancel(&f->handed);
		close(f->fd);
	}
	if (f->stream)
		tow_quic_stream_abandon(f->stream, errors[error].code);
	forward_free(f);
}

/* --- PIPE --- */

static void piped(void *user, const struct tow_pipe_result *result)
{
	static const enum forward_error ends[] = {
		[TOW_PIPE_FINISHED] = ERROR_NONE,
		[TOW_PIPE_SOCKET_RESET] = ERROR_ORIGIN_RESET,
		[TOW_PIPE_STREAM_RESET] = ERROR_VISITOR_RESET,
		[TOW_PIPE_CONNECTION_LOST] = ERROR_TUNNEL_LOST,
		[TOW_PIPE_IDLE] = ERROR_NONE,
		[TOW_PIPE_ABORTED] = ERROR_OTHER,
	};
	struct forward *f = user;
	tow_log_debug(f->owner->log, "visitor is done", tow_f_hex("id", f->id, sizeof f->id),
	              tow_f_str("service", f->service.name),
	              tow_f_str("end", errors[ends[result->end]].reason),
	              tow_f_uint("to_origin", result->bytes_to_socket),
	              tow_f_uint("from_origin", result->bytes_to_stream));
	count(f, ends[result->end]);
	forward_free(f);
}

static void dialled(void *user, int status, int fd, struct tow_tls *tls,
                    const struct tow_error *err)
{
	static const uint8_t accepted = TOW_STREAM_ACCEPTED;
	struct forward *f = user;
	struct forwards *owner = f->owner;
	uint64_t suppressed;

	f->dial = NULL;
	f->fd = -1;
	if (status != 0) {
		if (tow_log_gate_open(&owner->gate, tow_loop_now_ns(owner->loop), &suppressed))
			tow_log_warn(owner->log, "the origin cannot be reached",
			             tow_f_str("service", f->service.name),
			             tow_f_str("origin", f->service.origin_host),
			             tow_f_uint("port", f->service.origin_port),
			             tow_f_str("error", err->text),
			             tow_f_uint("suppressed", suppressed));
		fail(f, status == TOW_ETIMEDOUT ? ERROR_ORIGIN_TIMEOUT : ERROR_ORIGIN_REFUSED);
		return;
	}

	struct tow_pipe_config pipe = {
		.loop = owner->loop,
		.fd = fd,
		.tls = tls,
		.stream = f->stream,
		.to_socket = f->received,
		.to_socket_credit = tow_buf_len(&f->received),
		.stream_finished = f->stream_finished,
		.to_stream = owner->bytes_out,
		.to_socket_count = owner->bytes_in,
		.done = piped,
		.user = f,
	};
	/* The origin's first bytes may take it along. A stream that takes no more bytes is about to
	 * say so to the pipe. */
	(void)tow_quic_stream_write_unhurried(f->stream, (struct tow_slice){ &accepted, 1 });
	memset(&f->received, 0, sizeof f->received);
	f->stream = NULL;
	f->state = PIPE;
	if (tow_pipe_start(&pipe, &f->pipe) != 0)
		fail(f, ERROR_OTHER);
}

/* --- HEADER --- */

/* The visitor's addresses for the origin, when it wants them; the name goes along
 * as the authority. */
static size_t greeting(const struct forward *f, const struct tow_proxy_header *from, uint8_t *out,
                       size_t cap)
{
	struct tow_proxy_header header = *from;
	if (f->service.proxy_protocol != TOW_PROXY_V2)
		return 0;
	if (f->service.kind != TOW_SERVICE_HTTPS)
		header.authority.len = 0;
	int len = tow_proxy_header_write(&header, 0, out, cap);
	return len > 0 ? (size_t)len : 0;
}

static void handed(void *user)
{
	struct forward *f = user;
	dialled(f, 0, f->fd, NULL, NULL);
}

/* The pipe starts when the stream's callback, in which this is, has returned. */
static void hand_over(struct forward *f, const struct tow_proxy_header *header,
                      struct tow_slice hello)
{
	f->state = DIAL;
	if (tow__inproc_offer(&f->owner->host, &f->service, header, hello, &f->fd) != 0) {
		fail(f, ERROR_ORIGIN_REFUSED);
		return;
	}
	tow_task_init(&f->handed, f->owner->loop, handed, f);
	tow_task_schedule(&f->handed);
}

static void start_dial(struct forward *f, const struct tow_proxy_header *header)
{
	char authority[TOW_ASKED_SIZE] = "";
	uint8_t bytes[TOW_PROXY_HEADER_MAX];
	const struct tow_service *service = NULL;

	if (header->authority.len < sizeof authority) {
		memcpy(authority, header->authority.base, header->authority.len);
		authority[header->authority.len] = 0;
		service = tow_service_list_find(f->owner->services, authority);
	}
	if (!service) {
		tow_log_debug(f->owner->log, "no such service here",
		              tow_f_str("service", authority));
		fail(f, ERROR_UNKNOWN_SERVICE);
		return;
	}
	if (service->kind == TOW_SERVICE_UDP) {
		struct tow_quic_stream *stream = f->stream;
		f->stream = NULL;
		tow__udp_forward_start(&f->owner->udp, stream, header, service, &f->received);
		forward_free(f);
		return;
	}
	f->service = *service;
	if (tow_service_is_plain_http(authority))
		tow_service_take_plain_http(&f->service);
	if (tow_service_origin_port(&f->service, header->destination.port,
	                            &f->service.origin_port)) {
		tow_log_debug(f->owner->log, "the service does not have this port",
		              tow_f_str("service", authority),
		              tow_f_uint("port", header->destination.port));
		fail(f, ERROR_UNKNOWN_SERVICE);
		return;
	}
	f->visitor = header->source;
	if (header->unique_id.len == sizeof f->id)
		memcpy(f->id, header->unique_id.base, sizeof f->id);
	tow_log_debug(f->owner->log, "visitor", tow_f_hex("id", f->id, sizeof f->id),
	              tow_f_str("service", authority), tow_f_addr("visitor", &f->visitor));

	struct tow_slice hello = { bytes, greeting(f, header, bytes, sizeof bytes) };
	if (tow_service_inproc(&f->service)) {
		hand_over(f, header, hello);
		return;
	}
	int rc = tow__origin_dial(f->owner->loop, &f->owner->tls, &f->service, hello, dialled, f,
	                          &f->dial);
	f->state = DIAL;
	if (rc != 0)
		fail(f, ERROR_OTHER);
}

static void read_header(struct forward *f)
{
	struct tow_proxy_header header;
	size_t len = 0;
	int rc = tow_proxy_header_read(tow_buf_peek(&f->received), &header, &len);
	if (rc == TOW_MORE && !f->stream_finished)
		return;
	if (rc != 0) {
		fail(f, ERROR_HEADER);
		return;
	}
	tow_timer_stop(&f->timer);
	/* The header is consumed, its bytes stay in place until start_dial has read
	 * what they say. */
	tow_quic_stream_consume(f->stream, len);
	struct tow_buf all = f->received;
	struct tow_buf rest = { 0 };
	struct tow_slice left = tow_buf_peek(&all);
	if (tow_buf_append(&rest, left.base + len, left.len - len) != 0) {
		fail(f, ERROR_OTHER);
		return;
	}
	f->received = rest;
	start_dial(f, &header);
	tow_buf_deinit(&all);
}

static void stream_data(void *user, struct tow_slice bytes, int fin)
{
	struct forward *f = user;
	if (tow_buf_append(&f->received, bytes.base, bytes.len) != 0) {
		fail(f, ERROR_OTHER);
		return;
	}
	f->stream_finished = fin;
	if (f->state == HEADER)
		read_header(f);
}

static void stream_reset(void *user, uint64_t code)
{
	(void)code;
	fail(user, ERROR_VISITOR_RESET);
}

static void stream_closed(void *user)
{
	struct forward *f = user;
	f->stream = NULL;
	fail(f, ERROR_TUNNEL_LOST);
}

static void stream_writable(void *user)
{
	(void)user;
}

static const struct tow_quic_stream_events stream_events = {
	.data = stream_data,
	.writable = stream_writable,
	.reset = stream_reset,
	.stopped = stream_reset,
	.closed = stream_closed,
};

static void header_timed_out(void *user)
{
	fail(user, ERROR_HEADER);
}

/* --- all forwards --- */

void tow__forward_accept(struct forwards *forwards, struct tow_quic_stream *stream)
{
	struct forward *f = forwards->draining ? NULL : calloc(1, sizeof *f);
	if (!f) {
		tow_quic_stream_abandon(stream, forwards->draining ? TOW_TUNNEL_DRAINING
		                                                   : TOW_TUNNEL_OVERLOADED);
		return;
	}
	f->owner = forwards;
	f->fd = -1;
	f->stream = stream;
	f->next = forwards->first;
	f->link = &forwards->first;
	if (f->next)
		f->next->link = &f->next;
	forwards->first = f;
	forwards->active++;
	tow_metric_inc(forwards->accepted);
	tow_metric_inc(forwards->streams_active);
	tow_quic_stream_set_events(stream, &stream_events, f);
	tow_timer_init(&f->timer, forwards->loop, header_timed_out, f);
	tow_timer_start_in(&f->timer, HEADER_TIMEOUT_NS);
}

size_t tow__forwards_active(const struct forwards *forwards)
{
	return forwards->active + forwards->udp.active;
}

void tow__forwards_drain(struct forwards *forwards)
{
	forwards->draining = 1;
	tow__udp_forwards_drain(&forwards->udp);
}

void tow__forwards_init(struct forwards *f)
{
	struct tow_metrics *m = f->metrics;
	f->udp.loop = f->loop;
	f->udp.log = f->log;
	f->udp.idle = f->idle;
	f->udp.user = f->user;
	tow__udp_forwards_init(&f->udp, m);
	f->accepted =
		tow_metrics_series(m, TOW_METRIC_COUNTER, "towonel_agent_streams_accepted_total",
	                           NULL, "Visitor streams taken from edges.");
	f->completed =
		tow_metrics_series(m, TOW_METRIC_COUNTER, "towonel_agent_streams_completed_total",
	                           NULL, "Visitor streams that ended in order.");
	f->streams_active = tow_metrics_series(m, TOW_METRIC_GAUGE, "towonel_agent_streams_active",
	                                       NULL, "Visitor streams open now.");
	f->bytes_in = tow_metrics_series(m, TOW_METRIC_COUNTER, "towonel_agent_bytes_total",
	                                 "direction=\"in\"",
	                                 "Bytes forwarded; in is from the visitor to the origin.");
	f->bytes_out = tow_metrics_series(m, TOW_METRIC_COUNTER, "towonel_agent_bytes_total",
	                                  "direction=\"out\"",
	                                  "Bytes forwarded; in is from the visitor to the origin.");
	for (size_t i = ERROR_NONE + 1; i < sizeof errors / sizeof *errors; i++) {
		char label[64];
		f->errors[i] = tow_metrics_series(
			m, TOW_METRIC_COUNTER, "towonel_agent_stream_errors_total",
			tow_metric_label(label, sizeof label, "reason", errors[i].reason),
			"Visitor streams that ended badly, by reason.");
	}
}

void tow__forwards_deinit(struct forwards *forwards)
{
	forwards->idle = NULL;
	tow__udp_forwards_deinit(&forwards->udp);
	while (forwards->first) {
		struct forward *f = forwards->first;
		if (f->state == PIPE)
			tow_pipe_abort(f->pipe, TOW_TUNNEL_DRAINING);
		else
			fail(f, ERROR_OTHER);
	}
	tow__origin_tls_deinit(&forwards->tls);
}
