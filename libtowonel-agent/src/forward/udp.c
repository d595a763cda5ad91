/* SPDX-License-Identifier: MIT */
#include "forward/udp.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <towonel/tunnel/tcp.h>
#include <towonel/tunnel/udp.h>
#include <towonel/tunnel/udp_flow.h>
#include <towonel/wire/control_message.h>
#include <towonel/wire/limits.h>

struct udp_forward {
	struct udp_forwards *owner;
	struct udp_forward *next, **link;
	struct tow_resolve *resolve; /* RESOLVE */
	struct tow_buf early;        /* RESOLVE: from the stream, not consumed yet */
	struct tow_udp_socket *socket;
	struct tow_udp_flow flow;
	struct tow_buf greeting; /* what the first datagram to the origin begins with */
	struct tow_timer timer;
	uint64_t idle_ns, active_ns;
	/* as the service list said: another origin is for another session */
	char *authority, *origin_host;
	uint16_t public_port, origin_port;
	uint8_t id[TOW_UNIQUE_ID_SIZE];
};

static const char *const drop_names[] = {
#define UDP_DROP_NAME(name, label) [name] = label,
	UDP_DROP_TABLE(UDP_DROP_NAME)
#undef UDP_DROP_NAME
};

static void end(struct udp_forward *f, uint64_t code)
{
	struct udp_forwards *owner = f->owner;

	tow_log_debug(owner->log, "UDP session is over", tow_f_hex("id", f->id, sizeof f->id),
	              tow_f_str("reason", tow_tunnel_error_name(code)));
	if (f->resolve)
		tow_resolve_cancel(f->resolve);
	if (f->flow.stream)
		tow_quic_stream_abandon(f->flow.stream, code);
	tow_udp_flow_deinit(&f->flow);
	tow_udp_socket_free(f->socket);
	tow_buf_deinit(&f->early);
	tow_buf_deinit(&f->greeting);
	free(f->authority);
	free(f->origin_host);
	tow_timer_stop(&f->timer);
	*f->link = f->next;
	if (f->next)
		f->next->link = f->link;
	owner->active--;
	tow_metric_dec(owner->sessions);
	free(f);
	if (owner->active == 0 && owner->idle)
		owner->idle(owner->user);
}

static void touch(struct udp_forward *f)
{
	f->active_ns = tow_loop_now_ns(f->owner->loop);
}

static uint64_t idle_ns(const struct udp_forward *f)
{
	uint64_t most = TOW_UDP_DRAIN_IDLE_MS * TOW_NSEC_PER_MSEC;

	return f->owner->draining && f->idle_ns > most ? most : f->idle_ns;
}

static void on_timer(void *user)
{
	struct udp_forward *f = user;

	if (tow_loop_now_ns(f->owner->loop) - f->active_ns >= idle_ns(f) ||
	    tow_timer_start(&f->timer, f->active_ns + idle_ns(f)) != 0)
		end(f, f->owner->draining ? TOW_TUNNEL_DRAINING : TOW_TUNNEL_IDLE);
}

/* --- the origin's side --- */

static void on_packet(void *user, const struct tow_udp_packet *packet)
{
	struct udp_forward *f = user;
	struct udp_forwards *owner = f->owner;
	int rc;

	touch(f);
	tow_metric_inc(owner->datagrams_out);
	tow_metric_add(owner->bytes_out, (int64_t)packet->bytes.len);
	rc = tow_udp_flow_send(&f->flow, packet->bytes);
	if (rc == 0)
		return;
	tow_metric_inc(owner->dropped[rc == TOW_BLOCKED ? UDP_DROP_TUNNEL_FULL : UDP_DROP_UNSENT]);
	if (rc != TOW_BLOCKED)
		end(f, TOW_TUNNEL_INTERNAL);
}

static void on_lost(void *user, int code)
{
	struct udp_forward *f = user;

	tow_metric_inc(f->owner->dropped[code == TOW_BLOCKED    ? UDP_DROP_SOCKET_FULL
	                                 : code == TOW_ETOOBIG  ? UDP_DROP_TOO_BIG
	                                 : code == TOW_EREFUSED ? UDP_DROP_ORIGIN_REFUSED
	                                                        : UDP_DROP_UNSENT]);
}

static const struct tow_udp_events udp_events = { .packet = on_packet, .lost = on_lost };

static void to_origin(void *user, struct tow_slice payload)
{
	struct udp_forward *f = user;
	struct udp_forwards *owner = f->owner;

	if (!f->socket)
		return; /* the edge does not wait for the accept byte */
	touch(f);
	tow_metric_inc(owner->datagrams_in);
	tow_metric_add(owner->bytes_in, (int64_t)payload.len);
	if (tow_buf_len(&f->greeting) == 0) {
		tow_udp_queue(f->socket, NULL, NULL, payload);
		return;
	}
	if (tow_buf_append(&f->greeting, payload.base, payload.len) != 0) {
		tow_metric_inc(owner->dropped[UDP_DROP_UNSENT]);
		return;
	}
	tow_udp_queue(f->socket, NULL, NULL, tow_buf_peek(&f->greeting));
	tow_buf_deinit(&f->greeting);
}

/* --- the edge's side --- */

static void read_stream(struct udp_forward *f, struct tow_slice bytes)
{
	tow_quic_stream_consume(f->flow.stream, bytes.len);
	if (tow_udp_flow_read(&f->flow, bytes, to_origin, f) != 0)
		end(f, TOW_TUNNEL_INTERNAL);
}

static void on_data(void *user, struct tow_slice bytes, int fin)
{
	struct udp_forward *f = user;

	if (fin)
		end(f, TOW_TUNNEL_OK);
	else if (f->socket)
		read_stream(f, bytes);
	else if (tow_buf_append(&f->early, bytes.base, bytes.len) != 0)
		end(f, TOW_TUNNEL_INTERNAL);
}

static void on_over(void *user, uint64_t code)
{
	end(user, code);
}

static void on_closed(void *user)
{
	struct udp_forward *f = user;

	f->flow.stream = NULL;
	end(f, TOW_TUNNEL_OK);
}

static const struct tow_quic_stream_events stream_events = {
	.data = on_data,
	.reset = on_over,
	.stopped = on_over,
	.datagram = to_origin,
	.closed = on_closed,
};

/* --- the way up --- */

static void unreachable(struct udp_forward *f, const struct tow_error *err)
{
	struct udp_forwards *owner = f->owner;
	uint64_t suppressed;

	if (tow_log_gate_open(&owner->gate, tow_loop_now_ns(owner->loop), &suppressed))
		tow_log_warn(owner->log, "the origin cannot be reached",
		             tow_f_str("error", err->text), tow_f_uint("suppressed", suppressed));
	tow_metric_inc(owner->unreachable);
	end(f, TOW_TUNNEL_ORIGIN_REFUSED);
}

static int connect_to(struct udp_forward *f, const struct tow_addr *origin, struct tow_error *err)
{
	const struct tow_udp_config config = {
		.connect = *origin,
		.receive_buffer = TOW_UDP_SESSION_BUFFER,
		.send_buffer = TOW_UDP_SESSION_BUFFER,
	};

	return tow_udp_socket_new(f->owner->loop, &config, &udp_events, f, &f->socket, err);
}

static void resolved(void *user, int status, const struct tow_addr *addrs, size_t count,
                     const struct tow_error *err)
{
	static const uint8_t accepted = TOW_STREAM_ACCEPTED;
	struct udp_forward *f = user;
	struct tow_error reason = { 0 };
	struct tow_buf early = f->early;

	f->resolve = NULL;
	for (size_t i = 0; i < count && !f->socket; i++)
		status = connect_to(f, &addrs[i], &reason);
	if (status != 0) {
		unreachable(f, count > 0 ? &reason : err);
		return;
	}
	f->early = (struct tow_buf){ 0 };
	touch(f);
	if (tow_quic_stream_write(f->flow.stream, tow_slice_make(&accepted, 1)) != 0 ||
	    tow_timer_start_in(&f->timer, idle_ns(f)) != 0)
		end(f, TOW_TUNNEL_INTERNAL);
	else
		read_stream(f, tow_buf_peek(&early));
	tow_buf_deinit(&early);
}

static int prepare(struct udp_forward *f, const struct tow_proxy_header *header,
                   const struct tow_service *service)
{
	struct tow_proxy_header to_write = *header;
	char authority[TOW_AUTHORITY_SIZE];
	uint8_t bytes[TOW_PROXY_HEADER_MAX];
	int len;

	f->public_port = header->destination.port;
	if (tow_service_origin_port(service, f->public_port, &f->origin_port) != 0)
		return TOW_ENOTFOUND;
	f->authority = strdup(tow_service_authority(service, authority));
	f->origin_host = strdup(service->origin_host);
	if (!f->authority || !f->origin_host)
		return TOW_ENOMEM;
	if (service->proxy_protocol == TOW_PROXY_V2) {
		to_write.authority.len = 0;
		len = tow_proxy_header_write(&to_write, 0, bytes, sizeof bytes);
		if (len < 0 || tow_buf_append(&f->greeting, bytes, (size_t)len) != 0)
			return TOW_ENOMEM;
	}
	return tow_resolve_start(f->owner->loop, service->origin_host, f->origin_port, resolved, f,
	                         &f->resolve);
}

void tow__udp_forward_start(struct udp_forwards *forwards, struct tow_quic_stream *stream,
                            const struct tow_proxy_header *header,
                            const struct tow_service *service, struct tow_buf *early)
{
	struct udp_forward *f = forwards->active < forwards->max ? calloc(1, sizeof *f) : NULL;
	int rc;

	if (!f) {
		tow_quic_stream_abandon(stream, TOW_TUNNEL_OVERLOADED);
		tow_buf_deinit(early);
		return;
	}
	f->owner = forwards;
	f->flow.stream = stream;
	f->early = *early;
	memset(early, 0, sizeof *early);
	f->idle_ns = service->idle_timeout_secs * TOW_NSEC_PER_SEC;
	if (header->unique_id.len == sizeof f->id)
		memcpy(f->id, header->unique_id.base, sizeof f->id);
	f->next = forwards->first;
	f->link = &forwards->first;
	if (f->next)
		f->next->link = &f->next;
	forwards->first = f;
	forwards->active++;
	tow_metric_inc(forwards->sessions);
	tow_metric_inc(forwards->sessions_total);
	tow_timer_init(&f->timer, forwards->loop, on_timer, f);
	tow_quic_stream_set_events(stream, &stream_events, f);
	tow_log_debug(forwards->log, "UDP session", tow_f_hex("id", f->id, sizeof f->id),
	              tow_f_str("service", service->name), tow_f_addr("visitor", &header->source));
	rc = prepare(f, header, service);
	if (rc != 0)
		end(f, rc == TOW_ENOTFOUND ? TOW_TUNNEL_UNKNOWN_SERVICE : TOW_TUNNEL_INTERNAL);
}

/* --- all of them --- */

/* Visitors of other services need descriptors, too. */
static size_t descriptors_for_sessions(void)
{
	struct rlimit limit;
	size_t left;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return SIZE_MAX;
	if (limit.rlim_cur <= TOW_AGENT_DESCRIPTORS_KEPT)
		return 1;
	left = (size_t)limit.rlim_cur - TOW_AGENT_DESCRIPTORS_KEPT;
	return left - left / 4;
}

void tow__udp_forwards_init(struct udp_forwards *f, struct tow_metrics *m)
{
	static const char datagrams[] =
		"Datagrams of UDP sessions; in is from the visitor to the origin.";
	static const char bytes[] = "Payload of those datagrams.";
	char label[64];

	f->max = descriptors_for_sessions();
	f->sessions = tow_metrics_series(m, TOW_METRIC_GAUGE, "towonel_agent_udp_sessions", NULL,
	                                 "UDP sessions now.");
	f->sessions_total =
		tow_metrics_series(m, TOW_METRIC_COUNTER, "towonel_agent_udp_sessions_total", NULL,
	                           "UDP sessions begun.");
	f->unreachable = tow_metrics_series(
		m, TOW_METRIC_COUNTER, "towonel_agent_stream_errors_total",
		"reason=\"origin_refused\"", "Visitor streams that ended badly, by reason.");
	f->datagrams_in =
		tow_metrics_series(m, TOW_METRIC_COUNTER, "towonel_agent_udp_datagrams_total",
	                           "direction=\"in\"", datagrams);
	f->datagrams_out =
		tow_metrics_series(m, TOW_METRIC_COUNTER, "towonel_agent_udp_datagrams_total",
	                           "direction=\"out\"", datagrams);
	f->bytes_in = tow_metrics_series(m, TOW_METRIC_COUNTER, "towonel_agent_udp_bytes_total",
	                                 "direction=\"in\"", bytes);
	f->bytes_out = tow_metrics_series(m, TOW_METRIC_COUNTER, "towonel_agent_udp_bytes_total",
	                                  "direction=\"out\"", bytes);
	for (size_t i = 0; i < UDP_DROP_COUNT; i++)
		f->dropped[i] = tow_metrics_series(
			m, TOW_METRIC_COUNTER, "towonel_agent_udp_dropped_total",
			tow_metric_label(label, sizeof label, "reason", drop_names[i]),
			"Datagrams that were not forwarded, by reason.");
}

void tow__udp_forwards_drain(struct udp_forwards *forwards)
{
	struct udp_forward *f, *next;

	forwards->draining = 1;
	for (f = forwards->first; f; f = next) {
		next = f->next;
		if (f->socket)
			on_timer(f);
	}
}

static int is_as_before(const struct udp_forward *f, const struct tow_service_list *services)
{
	const struct tow_service *service = tow_service_list_find(services, f->authority);
	uint16_t port;

	return service && tow_service_origin_port(service, f->public_port, &port) == 0 &&
	       port == f->origin_port && strcmp(service->origin_host, f->origin_host) == 0;
}

void tow__udp_forwards_reload(struct udp_forwards *forwards,
                              const struct tow_service_list *services)
{
	struct udp_forward *f, *next;

	for (f = forwards->first; f; f = next) {
		next = f->next;
		if (!is_as_before(f, services))
			end(f, TOW_TUNNEL_UNKNOWN_SERVICE);
	}
}

void tow__udp_forwards_deinit(struct udp_forwards *forwards)
{
	forwards->idle = NULL;
	while (forwards->first)
		end(forwards->first, TOW_TUNNEL_DRAINING);
}
