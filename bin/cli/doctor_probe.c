/* SPDX-License-Identifier: MIT */
#include "cli/doctor_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <towonel/tunnel/http_client.h>

#include "cli/cli.h"

#define AT_ONCE         32
#define TIMEOUT_NS      (5 * TOW_NSEC_PER_SEC)
#define HTTP_TIMEOUT_NS (10 * TOW_NSEC_PER_SEC)
#define ANSWER_MAX      ((size_t)16 << 20)
/* The search for the largest packet is over when so many looks saw none that is larger. */
#define LOOK_EVERY_NS (100 * TOW_NSEC_PER_MSEC)
#define LOOKS         10

struct probes {
	struct tow_loop *loop;
	struct tow_http_client *http;
	struct tow_node_key key; /* nobody knows it, which a handshake does not mind */
	struct tow_quic_endpoint *endpoints[2]; /* IPv4, IPv6; NULL until one is needed */
	struct probe *next, *end;
	size_t under_way;
};

static void go_on(struct probes *all);

static void finish(struct probe *probe)
{
	probe->took_ns = tow_now_ns() - probe->began_ns;
	probe->ended_ms = tow_wall_ms();
	probe->all->under_way--;
	go_on(probe->all);
}

/* --- names --- */

static void resolved(void *user, int status, const struct tow_addr *addrs, size_t count,
                     const struct tow_error *err)
{
	struct probe *probe = user;
	if (status != 0)
		probe->error = *err;
	for (size_t i = 0; status == 0 && i < count && i < TOW_RESOLVE_MAX; i++)
		probe->addrs[probe->addr_count++] = addrs[i];
	finish(probe);
}

/* --- TCP --- */

static void dialled(void *user, int status, int fd, const struct tow_error *err)
{
	struct probe *probe = user;
	if (status != 0)
		probe->error = *err;
	else
		close(fd);
	finish(probe);
}

/* --- QUIC --- */

static void look(void *user)
{
	struct probe *probe = user;
	struct tow_quic_stats stats;
	tow_quic_conn_stats(probe->conn, &stats);
	probe->looks = stats.max_udp_payload > probe->payload ? 0 : probe->looks + 1;
	probe->payload = stats.max_udp_payload;
	if (probe->looks < LOOKS)
		tow_timer_start_in(&probe->timer, LOOK_EVERY_NS);
	else
		tow_quic_conn_close(probe->conn, 0, "");
}

static void established(void *user)
{
	struct probe *probe = user;
	look(probe);
}

static void stream_opened(void *user, struct tow_quic_stream *stream)
{
	(void)user;
	tow_quic_stream_abandon(stream, 0);
}

static void unreachable(void *user)
{
	struct probe *probe = user;
	if (probe->payload > 0)
		return;
	tow_error_set(&probe->error, TOW_EREFUSED, "nobody listens there, an ICMP message says");
	tow_quic_conn_close(probe->conn, 0, "");
}

static void closed(void *user, const struct tow_quic_close_reason *reason)
{
	struct probe *probe = user;
	tow_timer_stop(&probe->timer);
	if (probe->payload == 0 && probe->error.code == 0)
		tow_error_set(&probe->error, reason->status ? reason->status : TOW_ECLOSED, "%s",
		              reason->status == TOW_ETIMEDOUT ? "no answer"
		              : reason->text[0]               ? reason->text
		                                              : tow_strerror(reason->status));
	finish(probe);
}

static int connect_quic(struct probe *probe)
{
	static const struct tow_quic_conn_events events = {
		.established = established,
		.stream_opened = stream_opened,
		.unreachable = unreachable,
		.closed = closed,
	};
	struct probes *all = probe->all;
	struct tow_quic_endpoint **endpoint = &all->endpoints[probe->addr.family == 6];
	const struct tow_quic_config config = {
		.loop = all->loop,
		.key = &all->key,
		.alpn = "towonel/1",
		.udp = { .bind = { .family = probe->addr.family } },
		.handshake_timeout_ns = TIMEOUT_NS,
	};
	int rc = *endpoint ? 0 : tow_quic_endpoint_new(&config, endpoint, &probe->error);
	if (rc != 0)
		return rc;
	tow_timer_init(&probe->timer, all->loop, look, probe);
	return tow_quic_connect(*endpoint, &probe->addr, &probe->id, &events, probe, &probe->conn);
}

/* --- HTTP --- */

static void answered(void *user, const struct tow_http_result *result)
{
	struct probe *probe = user;
	probe->error = result->error;
	probe->status = result->status;
	if (tow_buf_append(&probe->text, result->body.base, result->body.len) == 0 &&
	    tow_buf_append(&probe->text, "", 1) == 0)
		probe->answer = json_loadb((const char *)result->body.base, result->body.len,
		                           JSON_REJECT_DUPLICATES, NULL);
	finish(probe);
}

static int ask(struct probe *probe)
{
	char bearer[256];
	const char *const headers[] = { bearer, NULL };
	char *body = probe->request ? json_dumps(probe->request, JSON_COMPACT) : NULL;
	struct tow_http_call *call;
	const struct tow_http_call_config config = {
		.method = body ? "POST" : "GET",
		.url = probe->url,
		.headers = probe->bearer ? headers : NULL,
		.body = tow_slice_of(body ? body : ""),
		.content_type = "application/json",
		.pin = tow_id_is_zero(&probe->id) ? NULL : &probe->id,
		.timeout_ns = HTTP_TIMEOUT_NS,
		.body_max = ANSWER_MAX,
		.done = answered,
		.user = probe,
	};
	snprintf(bearer, sizeof bearer, "Authorization: Bearer %s",
	         probe->bearer ? probe->bearer : "");
	int rc = tow_http_call_start(probe->all->http, &config, &call);
	tow_wipe(bearer, sizeof bearer);
	if (body)
		tow_wipe(body, strlen(body));
	free(body);
	return rc;
}

/* --- all of them --- */

static int begin(struct probe *probe)
{
	struct tow_resolve *resolve;
	struct tow_tcp_dial *dial;
	struct tow_loop *loop = probe->all->loop;
	switch (probe->kind) {
	case PROBE_NAME:
		return tow_resolve_start(loop, probe->host, probe->port, resolved, probe, &resolve);
	case PROBE_TCP:
		return tow_tcp_dial_start(loop, probe->host, probe->port, TIMEOUT_NS, dialled,
		                          probe, &dial);
	case PROBE_QUIC: return connect_quic(probe);
	case PROBE_HTTP: return ask(probe);
	case PROBE_NONE: break;
	}
	return TOW_EINVAL;
}

static void go_on(struct probes *all)
{
	while (all->next < all->end && all->under_way < AT_ONCE) {
		struct probe *probe = all->next++;
		probe->all = all;
		probe->began_ns = tow_now_ns();
		if (probe->kind == PROBE_NONE)
			continue;
		int rc = begin(probe);
		if (rc == 0)
			all->under_way++;
		else if (probe->error.code == 0)
			tow_error_set(&probe->error, rc, "%s", tow_strerror(rc));
	}
	if (all->under_way == 0)
		tow_loop_stop(all->loop);
}

void probes_run(struct probe *probes, size_t count)
{
	struct probes all = { .loop = tow_loop_new(), .next = probes, .end = probes + count };
	const struct tow_http_client_config http = { .loop = all.loop,
		                                     .user_agent = "towonel/" TOW_VERSION };
	all.http = all.loop ? tow_http_client_new(&http) : NULL;
	if (!all.http)
		abort();
	tow_node_key_generate(&all.key);
	go_on(&all);
	if (all.under_way > 0)
		tow_loop_run(all.loop);
	for (size_t i = 0; i < 2; i++)
		tow_quic_endpoint_free(all.endpoints[i], 0);
	tow_http_client_free(all.http);
	tow_loop_free(all.loop);
	tow_node_key_wipe(&all.key);
}

void probe_deinit(struct probe *probe)
{
	json_decref(probe->request);
	json_decref(probe->answer);
	tow_buf_deinit(&probe->text);
}

/* --- what to ask --- */

void probe_name(struct probe *probe, const char *host, uint16_t port)
{
	*probe = (struct probe){ .kind = PROBE_NAME, .port = port };
	snprintf(probe->host, sizeof probe->host, "%s", host);
}

void probe_tcp(struct probe *probe, const char *host, uint16_t port)
{
	probe_name(probe, host, port);
	probe->kind = PROBE_TCP;
}

void probe_tcp_local(struct probe *probe, const struct tow_addr *listen)
{
	struct tow_addr addr = cli_reach(listen);
	char text[TOW_ADDR_TEXT_SIZE];
	probe_tcp(probe, tow_addr_format_host(&addr, text), addr.port);
}

void probe_quic(struct probe *probe, const struct tow_addr *addr, const struct tow_id *id)
{
	*probe = (struct probe){ .kind = PROBE_QUIC, .addr = *addr, .id = *id };
}

void probe_http(struct probe *probe, const char *base, const char *path, const struct tow_id *id)
{
	*probe = (struct probe){ .kind = PROBE_HTTP };
	if (id)
		probe->id = *id;
	snprintf(probe->url, sizeof probe->url, "%s%s", base, path);
}

void probe_http_local(struct probe *probe, const char *scheme, const struct tow_addr *listen,
                      const char *path, const struct tow_id *id)
{
	struct tow_addr addr = cli_reach(listen);
	char text[TOW_ADDR_TEXT_SIZE], base[TOW_ADDR_TEXT_SIZE + 16];
	snprintf(base, sizeof base, "%s://%s", scheme, tow_addr_format(&addr, text));
	probe_http(probe, base, path, id);
}

const char *probe_why(const struct probe *probe, char out[TOW_ERROR_TEXT_SIZE])
{
	const json_t *error = json_object_get(probe->answer, "error");
	out[0] = 0;
	if (probe->error.code != 0)
		snprintf(out, TOW_ERROR_TEXT_SIZE, "%s", probe->error.text);
	else if (probe->kind == PROBE_HTTP && probe->status != 200 && cli_text(error, "message")[0])
		snprintf(out, TOW_ERROR_TEXT_SIZE, "%s", cli_text(error, "message"));
	else if (probe->kind == PROBE_HTTP && probe->status != 200)
		snprintf(out, TOW_ERROR_TEXT_SIZE, "it answers with status %d", probe->status);
	return out;
}
