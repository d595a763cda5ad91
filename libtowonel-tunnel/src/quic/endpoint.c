/* SPDX-License-Identifier: MIT */
#include "quic/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/limits.h>

#include "quic/steering.h"

#define BATCHES_PER_RUN         32
#define PTOS_TO_LINGER          3
#define REPLIES_PER_SECOND      10000
#define SOCKET_BUFFER           (4 * 1024 * 1024)
#define DEFAULT_MAX_CONNECTIONS 65536
#define DEFAULT_RETRY_ABOVE     64

static void destroy(struct tow_quic_endpoint *endpoint);

/* --- out --- */

/* Sends buf, or notes what was not taken: nothing else is sent before. */
static void transmit(struct tow_quic_endpoint *endpoint, const struct tow__quic_batch *batch,
                     size_t at)
{
	size_t sent = 0;
	int ret = tow_udp_send(endpoint->socket, &batch->remote, &batch->local, batch->ecn,
	                       endpoint->buf + batch->at + at, batch->len - at, batch->segment,
	                       &sent);

	endpoint->stuck.len = 0;
	if (ret == TOW_BLOCKED) {
		endpoint->stuck = *batch;
		endpoint->stuck_at = at + sent;
	} else {
		sent = batch->len - at; /* what the path does not take is lost, as packets are */
	}
	tow_metric_add(endpoint->metrics.bytes_out, (int64_t)sent);
}

static void transmit_for(struct tow__link *link, struct tow__quic_batch *batch)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;

	if (link->carried) {
		if (link->carrier)
			tow__carrier_send(link->carrier, endpoint->buf + batch->at, batch->len,
			                  batch->segment);
		return;
	}
	/* A client lets the kernel choose: its address may change under it. */
	if (!link->conn->server)
		memset(&batch->local, 0, sizeof(batch->local));
	transmit(endpoint, batch, 0);
}

void tow__endpoint_reply(struct tow_quic_endpoint *endpoint, struct tow_quic_carrier *carrier,
                         const struct tow_addr *local, const struct tow_addr *remote,
                         const uint8_t *bytes, size_t len)
{
	uint64_t second = tow_loop_now_ns(endpoint->host.config.loop) / TOW_NSEC_PER_SEC;
	size_t sent;

	if (second != endpoint->replies_second) {
		endpoint->replies_second = second;
		endpoint->replies = 0;
	}
	if (len == 0 || endpoint->replies >= REPLIES_PER_SECOND)
		return;
	endpoint->replies++;
	tow_metric_inc(endpoint->metrics.replies);
	if (carrier)
		tow__carrier_send(carrier, bytes, len, len);
	else
		(void)tow_udp_send(endpoint->socket, remote, local, 0, bytes, len, 0, &sent);
}

/* The connection has ended: says so to the peer, tells the owner, and keeps the link
 * for a while. */
static void retire(struct tow__link *link)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;
	struct tow_quic_conn *conn = link->conn;
	struct tow__quic_batch batch;
	uint64_t linger_ns = PTOS_TO_LINGER * ngtcp2_conn_get_pto2(conn->quic);
	int forgotten = conn->reason.status == TOW_ETIMEDOUT || conn->reason.status == TOW_ERESET;

	if (tow__quic_conn_write_close(conn, endpoint->buf, tow_now_ns(), &batch)) {
		transmit_for(link, &batch);
		if (!link->carried)
			link->farewell = malloc(batch.len);
		if (link->farewell) {
			memcpy(link->farewell, endpoint->buf, batch.len);
			link->farewell_len = batch.len;
			link->farewell_local = batch.local;
			link->farewell_remote = batch.remote;
		}
	}
	if (!conn->announced)
		tow_metric_inc(endpoint->metrics.failed);
	tow_log_debug(endpoint->host.config.log, "QUIC connection ended",
	              tow_f_addr("peer", &conn->remote),
	              tow_f_str("status", tow_strerror(conn->reason.status)),
	              tow_f_uint("code", conn->reason.code), tow_f_str("text", conn->reason.text));
	tow__quic_conn_finish(conn);
	if (endpoint->freeing)
		return; /* one of its callbacks freed the endpoint; the rest of it will do */
	/* On a carrier nothing is lost, and nothing comes late. */
	if (forgotten || link->carried)
		tow__link_drop(link);
	else
		tow__link_linger(link, linger_ns);
}

static void flush(void *user)
{
	struct tow_quic_endpoint *endpoint = user;
	struct tow__quic_batch batches[TOW__QUIC_BATCHES_MAX];
	struct tow__link *link;
	uint64_t now_ns;
	int count, budget = BATCHES_PER_RUN;

	if (endpoint->freeing) {
		destroy(endpoint);
		return;
	}
	tow__endpoint_enter(endpoint);
	if (endpoint->old_socket) {
		tow_udp_socket_free(endpoint->old_socket);
		endpoint->old_socket = NULL;
	}
	while (!endpoint->freeing && endpoint->stuck.len == 0 && budget > 0 &&
	       (link = endpoint->dirty) != NULL) {
		endpoint->dirty = link->dirty_next;
		if (!endpoint->dirty)
			endpoint->dirty_end = &endpoint->dirty;
		link->dirty = 0;
		now_ns = tow_now_ns();
		if (link->carrier && link->conn->state < TOW__QUIC_ENDING &&
		    tow__carrier_full(link->carrier))
			continue;
		if (tow__link_may_wait(link, now_ns)) {
			tow__link_set_timer(link, now_ns);
			continue;
		}
		link->owed = 0;
		link->owed_bytes = 0;
		link->asked = 0;
		count = tow__quic_conn_write(link->conn, endpoint->buf, now_ns, batches);
		/* What follows one that is stuck is as good as lost. */
		for (int i = 0; i < count && endpoint->stuck.len == 0; i++)
			transmit_for(link, &batches[i]);
		if (count > 0 && batches[count - 1].more)
			tow__link_look(link);
		budget -= count;
		if (endpoint->freeing)
			break;
		if (link->conn->state >= TOW__QUIC_ENDING) {
			if (endpoint->stuck.len == 0)
				retire(link);
			else
				tow__link_look(link);
		} else {
			tow__link_set_timer(link, now_ns);
		}
	}
	if (endpoint->freeing || (endpoint->dirty && endpoint->stuck.len == 0))
		tow_task_schedule(&endpoint->task);
	tow__endpoint_leave(endpoint);
}

void tow__endpoint_batch_end(struct tow_quic_endpoint *endpoint)
{
	endpoint->batch_ns = 0;
	/* the task sends, after all batches of the turn */
}

static void on_batch_end(void *user)
{
	tow__endpoint_batch_end(user);
}

static void on_writable(void *user)
{
	struct tow_quic_endpoint *endpoint = user;
	struct tow__quic_batch batch = endpoint->stuck;

	if (endpoint->freeing)
		return;
	if (batch.len > 0)
		transmit(endpoint, &batch, endpoint->stuck_at);
	if (endpoint->stuck.len == 0 && endpoint->dirty)
		tow_task_schedule(&endpoint->task);
}

static const struct tow_udp_events udp_events = {
	.packet = tow__endpoint_packet,
	.unreachable = tow__endpoint_unreachable,
	.batch_end = on_batch_end,
	.writable = on_writable,
};

/* --- public --- */

static void fill_config(struct tow_quic_config *config)
{
	config->key = NULL; /* the crypto has what it needs of them */
	config->alpn = NULL;
	config->metrics_prefix = NULL;
	if (!config->idle_timeout_ns)
		config->idle_timeout_ns = 45 * TOW_NSEC_PER_SEC;
	if (!config->keep_alive_ns)
		config->keep_alive_ns = 15 * TOW_NSEC_PER_SEC;
	if (!config->handshake_timeout_ns)
		config->handshake_timeout_ns = 10 * TOW_NSEC_PER_SEC;
	if (!config->max_udp_payload || config->max_udp_payload > TOW__QUIC_PAYLOAD_MAX)
		config->max_udp_payload = TOW__QUIC_PAYLOAD_MAX;
	if (config->max_udp_payload < NGTCP2_MAX_UDP_PAYLOAD_SIZE)
		config->max_udp_payload = NGTCP2_MAX_UDP_PAYLOAD_SIZE;
	if (!config->max_streams)
		config->max_streams = TOW_STREAMS_PER_AGENT;
	if (!config->max_connections)
		config->max_connections = DEFAULT_MAX_CONNECTIONS;
	if (!config->retry_above)
		config->retry_above = DEFAULT_RETRY_ABOVE;
	if (!config->handshakes_per_second)
		config->handshakes_per_second = TOW_HANDSHAKES_PER_SECOND;
	if (!config->stream_window)
		config->stream_window = 4 * 1024 * 1024;
	if (!config->held_max)
		config->held_max = TOW_HELD_MAX;
	config->udp.urgent = 1;
	if (config->workers > 1)
		config->udp.sharing = config->worker == 0 ? TOW_PORT_FOUND : TOW_PORT_JOIN;
	config->udp.dont_fragment = 1;
	if (!config->udp.receive_buffer)
		config->udp.receive_buffer = SOCKET_BUFFER;
	if (!config->udp.send_buffer)
		config->udp.send_buffer = SOCKET_BUFFER;
}

static struct tow_metric *series(struct tow_quic_endpoint *endpoint, const char *prefix,
                                 enum tow_metric_kind kind, const char *name, const char *labels,
                                 const char *help)
{
	char full[128];

	if (!endpoint->host.config.metrics)
		return &endpoint->nowhere;
	snprintf(full, sizeof(full), "%s_%s", prefix, name);
	return tow_metrics_series(endpoint->host.config.metrics, kind, full, labels, help);
}

static void make_metrics(struct tow_quic_endpoint *endpoint, const char *prefix)
{
	static const char *const losses[] = {
		[TOW__QUIC_DATAGRAM_LOST] = "lost",
		[TOW__QUIC_DATAGRAM_LARGE] = "large",
		[TOW__QUIC_DATAGRAM_STRAY] = "stray",
	};
	struct tow__endpoint_metrics *m = &endpoint->metrics;
	char label[64];

	m->connections = series(endpoint, prefix, TOW_METRIC_GAUGE, "connections", NULL,
	                        "QUIC connections, handshakes under way included.");
	m->accepted = series(endpoint, prefix, TOW_METRIC_COUNTER, "handshakes_total",
	                     "result=\"accepted\"", "Handshakes that clients began, by outcome.");
	m->failed = series(endpoint, prefix, TOW_METRIC_COUNTER, "handshakes_total",
	                   "result=\"failed\"", "Handshakes that clients began, by outcome.");
	m->deferred = series(endpoint, prefix, TOW_METRIC_COUNTER, "handshakes_total",
	                     "result=\"deferred\"", "Handshakes that clients began, by outcome.");
	m->packets = series(endpoint, prefix, TOW_METRIC_COUNTER, "datagrams_received_total", NULL,
	                    "UDP datagrams received.");
	m->bytes_in = series(endpoint, prefix, TOW_METRIC_COUNTER, "received_bytes_total", NULL,
	                     "UDP payload received.");
	m->bytes_out = series(endpoint, prefix, TOW_METRIC_COUNTER, "sent_bytes_total", NULL,
	                      "UDP payload sent.");
	m->unknown = series(endpoint, prefix, TOW_METRIC_COUNTER, "datagrams_dropped_total", NULL,
	                    "Datagrams that are no QUIC, or belong to no connection.");
	for (int i = 0; i < TOW__QUIC_DATAGRAM_LOSSES; i++)
		endpoint->host.datagram_losses[i] =
			series(endpoint, prefix, TOW_METRIC_COUNTER, "datagram_frames_lost_total",
		               tow_metric_label(label, sizeof(label), "reason", losses[i]),
		               "DATAGRAM frames that did not arrive, or for no stream.");
	endpoint->host.given_up = series(
		endpoint, prefix, TOW_METRIC_COUNTER, "streams_given_up_total", NULL,
		"Streams reset because too much of what they brought waited for its reader.");
	m->replies = series(endpoint, prefix, TOW_METRIC_COUNTER, "stateless_replies_total", NULL,
	                    "Datagrams sent outside a connection.");
	m->retries = series(endpoint, prefix, TOW_METRIC_COUNTER, "retries_total", NULL,
	                    "Retry packets sent because many handshakes were open.");
	m->carriers = series(endpoint, prefix, TOW_METRIC_GAUGE, "carriers", NULL,
	                     "TLS connections that carry QUIC where UDP is blocked.");
	m->resets = series(endpoint, prefix, TOW_METRIC_COUNTER, "unknown_connection_total", NULL,
	                   "Packets of connections that this process does not know.");
	m->strays = &endpoint->nowhere;
	if (endpoint->host.config.accepted)
		m->strays =
			series(endpoint, prefix, TOW_METRIC_COUNTER, "strays_total", NULL,
		               "Datagrams that came to another worker than their connection's.");
}

int tow_quic_endpoint_new(const struct tow_quic_config *config, struct tow_quic_endpoint **out,
                          struct tow_error *err)
{
	struct tow_quic_endpoint *endpoint = calloc(1, sizeof(*endpoint));
	int ret;

	if (!endpoint)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	endpoint->host.config = *config;
	fill_config(&endpoint->host.config);
	make_metrics(endpoint, config->metrics_prefix ? config->metrics_prefix : "towonel_quic");
	endpoint->host.wake = tow__link_wake;
	endpoint->host.cid_add = tow__link_cid_add;
	endpoint->host.cid_remove = tow__link_cid_remove;
	endpoint->host.accepted = tow__link_accepted;
	endpoint->dirty_end = &endpoint->dirty;
	tow__cid_map_init(&endpoint->map);
	tow_task_init_last(&endpoint->task, config->loop, flush, endpoint);
	endpoint->buf = malloc(TOW__QUIC_PAYLOAD_MAX);
	if (!endpoint->buf) {
		free(endpoint);
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	}
	ret = tow__quic_crypto_init(&endpoint->host.crypto, config->key, config->alpn, err);
	if (ret == 0) {
		ret = tow_udp_socket_new(config->loop, &endpoint->host.config.udp, &udp_events,
		                         endpoint, &endpoint->socket, err);
		if (ret != 0)
			tow__quic_crypto_deinit(&endpoint->host.crypto);
	}
	if (ret != 0) {
		free(endpoint->buf);
		free(endpoint);
		return ret;
	}
	if (config->workers > 1)
		tow__steer_socket(tow_udp_socket_fd(endpoint->socket), config->workers);
	endpoint->addr = *tow_udp_socket_addr(endpoint->socket);
	*out = endpoint;
	return 0;
}

/* All owners have been told; nothing of ours is on the stack. */
static void destroy(struct tow_quic_endpoint *endpoint)
{
	struct tow__quic_batch batch;

	while (endpoint->links) {
		struct tow__link *link = endpoint->links;

		if (link->conn &&
		    tow__quic_conn_write_close(link->conn, endpoint->buf, tow_now_ns(), &batch))
			transmit_for(link, &batch);
		tow__link_drop(link);
	}
	while (endpoint->lingering)
		tow__link_forget(endpoint->lingering);
	tow__carriers_deinit(endpoint);
	tow_task_cancel(&endpoint->task);
	if (endpoint->old_socket)
		tow_udp_socket_free(endpoint->old_socket);
	tow_udp_socket_free(endpoint->socket);
	tow__quic_crypto_deinit(&endpoint->host.crypto);
	tow__chunk_pool_deinit(&endpoint->host.chunks);
	free(endpoint->buf);
	free(endpoint);
}

void tow_quic_endpoint_free(struct tow_quic_endpoint *endpoint, uint64_t code)
{
	struct tow__link *link;

	if (!endpoint || endpoint->freeing)
		return;
	endpoint->freeing = 1;
	tow__endpoint_enter(endpoint);
	for (link = endpoint->links; link; link = link->next) {
		if (!link->conn)
			continue;
		tow_quic_conn_close(link->conn, code, "");
		tow__quic_conn_finish(link->conn);
	}
	tow__carriers_close(endpoint);
	tow__endpoint_leave(endpoint);
	if (endpoint->depth == 0)
		destroy(endpoint);
	else
		tow_task_schedule(&endpoint->task);
}

const struct tow_addr *tow_quic_endpoint_addr(const struct tow_quic_endpoint *endpoint)
{
	return &endpoint->addr;
}

void tow_quic_endpoint_hand(struct tow_quic_endpoint *endpoint, const struct tow_udp_packet *packet)
{
	tow__endpoint_take(endpoint, NULL, packet, 1);
	on_batch_end(endpoint);
}

size_t tow_quic_endpoint_connections(const struct tow_quic_endpoint *endpoint)
{
	return endpoint->connections;
}

struct tow_udp_socket *tow_quic_endpoint_socket(struct tow_quic_endpoint *endpoint)
{
	return endpoint->socket;
}

int tow_quic_endpoint_rebind(struct tow_quic_endpoint *endpoint, struct tow_error *err)
{
	struct tow_udp_config config = endpoint->host.config.udp;
	struct tow_udp_socket *socket;
	struct tow__link *link;
	int ret;

	config.bind.port = 0;
	ret = tow_udp_socket_new(endpoint->host.config.loop, &config, &udp_events, endpoint,
	                         &socket, err);
	if (ret != 0)
		return TOW_EIO;
	if (endpoint->old_socket) /* twice in one turn: the one between has seen nothing */
		tow_udp_socket_free(endpoint->socket);
	else
		endpoint->old_socket = endpoint->socket;
	endpoint->socket = socket;
	endpoint->addr = *tow_udp_socket_addr(socket);
	endpoint->stuck.len = 0;
	for (link = endpoint->links; link; link = link->next)
		if (link->conn && !link->conn->server && !link->carried)
			tow__quic_conn_migrate(link->conn, &endpoint->addr);
	tow_task_schedule(&endpoint->task);
	return 0;
}

/* Of params, what both ways have in common is still to be filled in. */
static int connect_by(struct tow_quic_endpoint *endpoint, struct tow_quic_carrier *carrier,
                      struct tow__quic_conn_params *params, struct tow_quic_conn **out)
{
	struct tow__link *link;
	int ret;

	if (endpoint->freeing)
		return TOW_EIO;
	link = tow__link_new(endpoint);
	if (!link)
		return TOW_ENOMEM;
	params->host = &endpoint->host;
	params->now_ns = tow_now_ns();
	params->owner = link;
	params->carried = carrier != NULL;
	tow__quic_host_cid(&endpoint->host, &params->scid);
	ret = tow__link_cid_add(link, params->scid.data, params->scid.datalen);
	if (ret == 0)
		ret = tow__quic_conn_new(params, &link->conn);
	if (ret == 0 && carrier)
		ret = tow__carrier_begin(carrier, link);
	if (ret != 0) {
		tow__link_drop(link);
		return ret == TOW_ENOMEM || ret == TOW_ECRYPTO ? ret : TOW_EIO;
	}
	link->client = 1;
	endpoint->client_count++;
	*out = link->conn;
	tow__link_wake(link);
	return 0;
}

int tow_quic_connect(struct tow_quic_endpoint *endpoint, const struct tow_addr *remote,
                     const struct tow_id *peer, const struct tow_quic_conn_events *events,
                     void *user, struct tow_quic_conn **out)
{
	return tow_quic_connect_at(endpoint, remote, peer, 0, 0, events, user, out);
}

int tow_quic_connect_at(struct tow_quic_endpoint *endpoint, const struct tow_addr *remote,
                        const struct tow_id *peer, unsigned worker, unsigned workers,
                        const struct tow_quic_conn_events *events, void *user,
                        struct tow_quic_conn **out)
{
	struct tow__quic_conn_params params = { .local = &endpoint->addr,
		                                .remote = remote,
		                                .peer = peer,
		                                .worker = worker,
		                                .workers = workers,
		                                .events = events,
		                                .user = user };

	return connect_by(endpoint, NULL, &params, out);
}

int tow_quic_connect_over(struct tow_quic_carrier *carrier, const struct tow_id *peer,
                          const struct tow_quic_conn_events *events, void *user,
                          struct tow_quic_conn **out)
{
	struct tow__quic_conn_params params = { .local = tow__carrier_local(carrier),
		                                .remote = tow__carrier_remote(carrier),
		                                .peer = peer,
		                                .events = events,
		                                .user = user };

	return connect_by(tow__carrier_endpoint(carrier), carrier, &params, out);
}
