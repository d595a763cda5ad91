/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/limits.h>

#include "quic/cid_map.h"
#include "quic/connection.h"
#include "quic/stateless.h"

/*
 * The I/O of QUIC: one UDP socket, the connections on it, their timers, and one task that at the
 * end of a turn lets every connection that has something to say fill packets, in turns of one batch
 * each.
 *
 *      packet ─► connection id ─► link ─► connection ─┐
 *      timer  ─────────────────► link ─► connection ─┼─► dirty list ─► task: flush ─► one sendmsg
 * per batch public calls ────────────────────────────────-┘                  └─► ended: retire
 *
 * A link outlives its connection: for a while it answers what still comes with the same
 * CONNECTION_CLOSE, or with silence when the peer was the one who closed (RFC 9000 section 10.2).
 * Only those bytes are kept.
 *
 * Callbacks may do anything, free the endpoint included. Memory goes only when nothing of ours is
 * on the stack
 * (`depth`), at the latest in the task.
 */

#define BATCHES_PER_RUN         32
#define LINGERING_MAX           4096
#define PTOS_TO_LINGER          3
#define REPLIES_PER_SECOND      10000
#define RECENT_RETRIES          32
#define ACK_DELAY_NS            TOW_NSEC_PER_MSEC
#define RETRY_AGAIN_NS          (50 * TOW_NSEC_PER_MSEC)
#define SOCKET_BUFFER           (4 * 1024 * 1024)
#define DEFAULT_MAX_CONNECTIONS 65536
#define DEFAULT_RETRY_ABOVE     64

struct link {
	struct tow_quic_endpoint *endpoint;
	struct tow_quic_conn *conn; /* NULL: lingering */
	struct link *prev, *next;
	struct link *dirty_next;
	unsigned dirty : 1;
	unsigned handshaking : 1; /* counted for Retry */
	unsigned client : 1;      /* counted */
	struct tow_timer timer;
	struct tow__cid_entry *cids;
	ngtcp2_cid
		first_dcid; /* what a client's first packets are sent to, until it is established */
	uint8_t *farewell;  /* lingering: what is said again */
	size_t farewell_len;
	struct tow_addr farewell_local, farewell_remote;
	uint64_t heard; /* lingering: packets that came */
};

struct metrics {
	struct tow_metric *connections, *accepted, *failed, *packets, *bytes_in, *bytes_out,
		*unknown, *replies;
	struct tow_metric *retries, *resets;
};

struct tow_quic_endpoint {
	struct tow__quic_host host;
	struct tow_udp_socket *socket;
	struct tow_udp_socket
		*old_socket; /* after a rebind, until nothing of it can be on the stack */
	struct tow_addr addr;
	struct tow__cid_map map;
	struct link *links;                     /* with a connection */
	struct link *lingering, *lingering_end; /* without, oldest first */
	size_t connections, handshakes, client_count, lingering_count;
	struct link *dirty, **dirty_end;
	struct tow_task task;
	uint64_t batch_ns; /* when this batch of packets came; 0: it has not */
	unsigned depth;
	unsigned freeing : 1;
	uint64_t free_code;
	uint8_t *buf;                 /* one batch */
	struct tow__quic_batch stuck; /* what the socket has not taken of it */
	size_t stuck_at;
	uint64_t replies_second;
	unsigned replies;
	struct {
		uint32_t hash;
		uint64_t until_ns;
	} recent[RECENT_RETRIES];
	unsigned recent_next;
	struct tow_log_gate gate;
	struct metrics metrics;
	struct tow_metric nowhere;
};

static void destroy(struct tow_quic_endpoint *endpoint);

static void enter(struct tow_quic_endpoint *endpoint)
{
	endpoint->depth++;
}

static void leave(struct tow_quic_endpoint *endpoint)
{
	endpoint->depth--;
}

/* --- links
 * -------------------------------------------------------------------------------------------------
 */

static void link_wake(void *owner)
{
	struct link *link = owner;
	struct tow_quic_endpoint *endpoint = link->endpoint;

	if (link->dirty || !link->conn)
		return;
	link->dirty = 1;
	link->dirty_next = NULL;
	*endpoint->dirty_end = link;
	endpoint->dirty_end = &link->dirty_next;
	tow_task_schedule(&endpoint->task);
}

static void link_unwake(struct link *link)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;
	struct link **at;

	if (!link->dirty)
		return;
	for (at = &endpoint->dirty; *at != link; at = &(*at)->dirty_next)
		;
	*at = link->dirty_next;
	if (endpoint->dirty_end == &link->dirty_next)
		endpoint->dirty_end = at;
	link->dirty = 0;
}

static int link_cid_add(void *owner, const uint8_t *cid, size_t len)
{
	struct link *link = owner;

	return tow__cid_map_add(&link->endpoint->map, cid, len, link, &link->cids);
}

static void link_cid_remove(void *owner, const uint8_t *cid, size_t len)
{
	struct link *link = owner;

	tow__cid_map_remove(&link->endpoint->map, cid, len, &link->cids);
}

static void link_settled(struct link *link)
{
	if (link->handshaking) {
		link->handshaking = 0;
		link->endpoint->handshakes--;
	}
}

static void link_accepted(void *owner)
{
	struct link *link = owner;
	struct tow_quic_endpoint *endpoint = link->endpoint;

	link_settled(link);
	link_cid_remove(link, link->first_dcid.data, link->first_dcid.datalen);
	tow_metric_inc(endpoint->metrics.accepted);
	if (!endpoint->freeing)
		endpoint->host.config.accepted(endpoint->host.config.user, link->conn);
}

static void link_timer(void *user);

static struct link *link_new(struct tow_quic_endpoint *endpoint)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->endpoint = endpoint;
	tow_timer_init(&link->timer, endpoint->host.config.loop, link_timer, link);
	link->next = endpoint->links;
	if (link->next)
		link->next->prev = link;
	endpoint->links = link;
	endpoint->connections++;
	tow_metric_inc(endpoint->metrics.connections);
	return link;
}

static void link_leave_connections(struct link *link)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;

	link_unwake(link);
	link_settled(link);
	if (link->client)
		endpoint->client_count--;
	if (link->prev)
		link->prev->next = link->next;
	else
		endpoint->links = link->next;
	if (link->next)
		link->next->prev = link->prev;
	endpoint->connections--;
	tow_metric_dec(endpoint->metrics.connections);
	tow__quic_conn_free(link->conn);
	link->conn = NULL;
	link->prev = NULL;
	link->next = NULL;
}

static void link_destroy(struct link *link)
{
	tow_timer_stop(&link->timer);
	tow__cid_map_remove_all(&link->endpoint->map, &link->cids);
	free(link->farewell);
	free(link);
}

/* Of one that has a connection, or was about to. */
static void link_drop(struct link *link)
{
	link_leave_connections(link);
	link_destroy(link);
}

static void lingering_remove(struct link *link)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;

	if (link->prev)
		link->prev->next = link->next;
	else
		endpoint->lingering = link->next;
	if (link->next)
		link->next->prev = link->prev;
	else
		endpoint->lingering_end = link->prev;
	endpoint->lingering_count--;
	link_destroy(link);
}

static void linger(struct link *link, uint64_t for_ns)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;

	if (endpoint->lingering_count >= LINGERING_MAX)
		lingering_remove(endpoint->lingering);
	link->prev = endpoint->lingering_end;
	if (link->prev)
		link->prev->next = link;
	else
		endpoint->lingering = link;
	endpoint->lingering_end = link;
	endpoint->lingering_count++;
	if (tow_timer_start_in(&link->timer, for_ns) != 0)
		lingering_remove(link);
}

static int has_more(const struct tow_quic_conn *conn)
{
	return conn->ready != NULL || conn->datagrams != NULL;
}

/* With nothing to pace, what is due soon is an acknowledgement. ngtcp2 wants it after an eighth of
 * the round trip, on a short path a few microseconds: a timer, a wake-up and a packet of its own
 * for each request, when the answer could carry it. */
static void link_set_timer(struct link *link, uint64_t now_ns)
{
	uint64_t deadline_ns = tow__quic_conn_deadline(link->conn);

	if (!has_more(link->conn) && deadline_ns < now_ns + ACK_DELAY_NS)
		deadline_ns = now_ns + ACK_DELAY_NS;
	if (tow_timer_start(&link->timer, deadline_ns) != 0)
		tow__quic_conn_end(link->conn, TOW_ENOMEM, TOW__QUIC_SAY_TRANSPORT,
		                   NGTCP2_INTERNAL_ERROR, "out of memory");
}

static void link_timer(void *user)
{
	struct link *link = user;
	struct tow_quic_endpoint *endpoint = link->endpoint;

	if (!link->conn) {
		lingering_remove(link);
		return;
	}
	enter(endpoint);
	tow__quic_conn_expire(link->conn, tow_now_ns());
	link_wake(link);
	leave(endpoint);
}

/* --- out
 * ---------------------------------------------------------------------------------------------------
 */

/* Sends buf, or notes what was not taken: nothing else is sent before. */
static void transmit(struct tow_quic_endpoint *endpoint, const struct tow__quic_batch *batch,
                     size_t at)
{
	size_t sent = 0;
	int ret = tow_udp_send(endpoint->socket, &batch->remote, &batch->local, batch->ecn,
	                       endpoint->buf + at, batch->len - at, batch->segment, &sent);

	endpoint->stuck.len = 0;
	if (ret == TOW_BLOCKED) {
		endpoint->stuck = *batch;
		endpoint->stuck_at = at + sent;
	} else {
		sent = batch->len - at; /* what the path does not take is lost, as packets are */
	}
	tow_metric_add(endpoint->metrics.bytes_out, (int64_t)sent);
}

static void transmit_for(struct link *link, struct tow__quic_batch *batch)
{
	/* A client lets the kernel choose: its address may change under it. */
	if (!link->conn->server)
		memset(&batch->local, 0, sizeof(batch->local));
	transmit(link->endpoint, batch, 0);
}

/* One datagram to a stranger, or again to one who has been told; lost when the socket is full. */
static void reply(struct tow_quic_endpoint *endpoint, const struct tow_addr *local,
                  const struct tow_addr *remote, const uint8_t *bytes, size_t len)
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
	(void)tow_udp_send(endpoint->socket, remote, local, 0, bytes, len, 0, &sent);
}

/* The connection has ended: says so to the peer, tells the owner, and keeps the link for a while.
 */
static void retire(struct link *link)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;
	struct tow_quic_conn *conn = link->conn;
	struct tow__quic_batch batch;
	uint64_t linger_ns = PTOS_TO_LINGER * ngtcp2_conn_get_pto2(conn->quic);
	int forgotten = conn->reason.status == TOW_ETIMEDOUT || conn->reason.status == TOW_ERESET;

	if (tow__quic_conn_write_close(conn, endpoint->buf, tow_now_ns(), &batch)) {
		if (!conn->server)
			memset(&batch.local, 0, sizeof(batch.local));
		link->farewell = malloc(batch.len);
		if (link->farewell) {
			memcpy(link->farewell, endpoint->buf, batch.len);
			link->farewell_len = batch.len;
			link->farewell_local = batch.local;
			link->farewell_remote = batch.remote;
		}
		transmit(endpoint, &batch, 0);
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
	link_leave_connections(link);
	if (forgotten)
		link_destroy(link);
	else
		linger(link, linger_ns);
}

static void flush(void *user)
{
	struct tow_quic_endpoint *endpoint = user;
	struct tow__quic_batch batch;
	struct link *link;
	uint64_t now_ns = 0;
	int budget = BATCHES_PER_RUN;

	if (endpoint->freeing) {
		destroy(endpoint);
		return;
	}
	enter(endpoint);
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
		/* The clock goes on for what is paced. A look whether there is anything left to say
		 * happens at the same moment, lest acknowledgements become due between the two. */
		if (now_ns == 0 || has_more(link->conn))
			now_ns = tow_now_ns();
		if (tow__quic_conn_write(link->conn, endpoint->buf, now_ns, &batch)) {
			transmit_for(link, &batch);
			link_wake(link); /* there may be more */
			budget--;
		}
		if (endpoint->freeing)
			break;
		if (link->conn->state >= TOW__QUIC_ENDING) {
			if (endpoint->stuck.len == 0)
				retire(link);
			else
				link_wake(link);
		} else {
			link_set_timer(link, now_ns);
		}
	}
	if (endpoint->freeing || (endpoint->dirty && endpoint->stuck.len == 0))
		tow_task_schedule(&endpoint->task);
	leave(endpoint);
}

/* --- in
 * ----------------------------------------------------------------------------------------------------
 */

/* A ClientHello takes two Initials nowadays: one Retry answers both. */
static int retried_just_now(struct tow_quic_endpoint *endpoint, const ngtcp2_cid *dcid,
                            uint64_t now_ns)
{
	uint32_t hash = tow__cid_map_hash(&endpoint->map, dcid->data, dcid->datalen);
	unsigned i;

	for (i = 0; i < RECENT_RETRIES; i++)
		if (endpoint->recent[i].hash == hash && endpoint->recent[i].until_ns > now_ns)
			return 1;
	i = endpoint->recent_next++ % RECENT_RETRIES;
	endpoint->recent[i].hash = hash;
	endpoint->recent[i].until_ns = now_ns + RETRY_AGAIN_NS;
	return 0;
}

static void send_retry(struct tow_quic_endpoint *endpoint, const struct tow_udp_packet *packet,
                       const ngtcp2_pkt_hd *initial, uint64_t now_ns)
{
	ngtcp2_cid scid;
	uint8_t out[512];
	size_t len;

	if (retried_just_now(endpoint, &initial->dcid, now_ns))
		return;
	tow__quic_host_cid(&endpoint->host, &scid);
	len = tow__quic_retry(&endpoint->host.crypto, initial, &scid, &packet->remote, now_ns, out,
	                      sizeof(out));
	tow_metric_inc(endpoint->metrics.retries);
	reply(endpoint, &packet->local, &packet->remote, out, len);
}

/* An Initial that belongs to no connection. Returns the new one's link; NULL when there is none to
 * be. */
static struct link *accept_initial(struct tow_quic_endpoint *endpoint,
                                   const struct tow_udp_packet *packet, uint64_t now_ns)
{
	struct tow__quic_host *host = &endpoint->host;
	struct tow__quic_conn_params params = {
		.host = host, .local = &packet->local, .remote = &packet->remote, .now_ns = now_ns
	};
	ngtcp2_pkt_hd initial;
	ngtcp2_cid original_dcid;
	struct link *link;
	uint8_t out[512];
	size_t len;

	if (!host->config.accepted ||
	    ngtcp2_accept(&initial, packet->bytes.base, packet->bytes.len) != 0) {
		tow_metric_inc(endpoint->metrics.unknown);
		return NULL;
	}
	if (endpoint->connections >= host->config.max_connections) {
		len = tow__quic_refusal(&initial, NGTCP2_CONNECTION_REFUSED, out, sizeof(out));
		reply(endpoint, &packet->local, &packet->remote, out, len);
		return NULL;
	}
	if (initial.tokenlen > 0) {
		if (tow__quic_retry_check(&host->crypto, &initial, &packet->remote, now_ns,
		                          &original_dcid) != 0) {
			len = tow__quic_refusal(&initial, NGTCP2_INVALID_TOKEN, out, sizeof(out));
			reply(endpoint, &packet->local, &packet->remote, out, len);
			return NULL;
		}
		params.original_dcid = &original_dcid;
	} else if (endpoint->handshakes >= host->config.retry_above) {
		send_retry(endpoint, packet, &initial, now_ns);
		return NULL;
	}
	link = link_new(endpoint);
	if (!link)
		return NULL;
	tow__quic_host_cid(host, &params.scid);
	params.owner = link;
	params.initial = &initial;
	link->first_dcid = initial.dcid;
	if (link_cid_add(link, params.scid.data, params.scid.datalen) != 0 ||
	    link_cid_add(link, initial.dcid.data, initial.dcid.datalen) != 0 ||
	    tow__quic_conn_new(&params, &link->conn) != 0) {
		link_drop(link);
		return NULL;
	}
	link->handshaking = 1;
	endpoint->handshakes++;
	return link;
}

static void on_lingering(struct link *link)
{
	/* 1st, 2nd, 4th, 8th ... packet: enough for a peer that lost it, no mirror for a flood */
	link->heard++;
	if ((link->heard & (link->heard - 1)) == 0 && link->farewell)
		reply(link->endpoint, &link->farewell_local, &link->farewell_remote, link->farewell,
		      link->farewell_len);
}

static void receive(struct link *link, const struct tow_udp_packet *packet, uint64_t now_ns)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;

	enter(endpoint);
	tow__quic_conn_receive(link->conn, link->conn->server ? &packet->local : &endpoint->addr,
	                       &packet->remote, packet->ecn, packet->bytes, now_ns);
	leave(endpoint);
	link_wake(link);
}

/* A short header with an id that is nobody's. From a server that we are connected to it may be a
 * stateless reset, whose token only its connection knows. From others it may be for a connection
 * of before a restart, which is then reset. */
static void on_unknown(struct tow_quic_endpoint *endpoint, const struct tow_udp_packet *packet,
                       const ngtcp2_version_cid *id, uint64_t now_ns)
{
	struct link *link;
	uint8_t out[256];
	size_t len;

	tow_metric_inc(endpoint->metrics.unknown);
	if (endpoint->client_count > 0) {
		for (link = endpoint->links; link && !endpoint->freeing; link = link->next) {
			if (link->conn->server ||
			    !tow_addr_equal(&link->conn->remote, &packet->remote))
				continue;
			receive(link, packet, now_ns);
			if (link->conn->state >= TOW__QUIC_ENDING)
				return;
		}
	}
	if (endpoint->freeing || !endpoint->host.config.accepted)
		return;
	len = tow__quic_stateless_reset(&endpoint->host.crypto, id, packet->bytes.len, out,
	                                sizeof(out));
	tow_metric_inc(endpoint->metrics.resets);
	reply(endpoint, &packet->local, &packet->remote, out, len);
}

static void on_packet(void *user, const struct tow_udp_packet *packet)
{
	struct tow_quic_endpoint *endpoint = user;
	uint64_t now_ns;
	ngtcp2_version_cid id;
	struct link *link;
	uint8_t out[256];
	size_t len;
	int rv;

	if (endpoint->freeing || packet->bytes.len == 0)
		return;
	if (endpoint->batch_ns == 0)
		endpoint->batch_ns = tow_now_ns();
	now_ns = endpoint->batch_ns;
	tow_metric_inc(endpoint->metrics.packets);
	tow_metric_add(endpoint->metrics.bytes_in, (int64_t)packet->bytes.len);
	rv = ngtcp2_pkt_decode_version_cid(&id, packet->bytes.base, packet->bytes.len,
	                                   TOW__QUIC_CID_SIZE);
	if (rv == NGTCP2_ERR_VERSION_NEGOTIATION && endpoint->host.config.accepted) {
		len = tow__quic_version_negotiation(&id, packet->bytes.len, out, sizeof(out));
		reply(endpoint, &packet->local, &packet->remote, out, len);
		return;
	}
	if (rv != 0) {
		tow_metric_inc(endpoint->metrics.unknown);
		return;
	}
	link = tow__cid_map_find(&endpoint->map, id.dcid, id.dcidlen);
	if (!link && id.version != 0)
		link = accept_initial(endpoint, packet, now_ns);
	if (!link) {
		if (id.version == 0)
			on_unknown(endpoint, packet, &id, now_ns);
		return;
	}
	if (!link->conn) {
		on_lingering(link);
		return;
	}
	receive(link, packet, now_ns);
	if (link->conn->never_was && !endpoint->freeing) {
		ngtcp2_pkt_hd initial;

		if (link->conn->wants_retry &&
		    ngtcp2_accept(&initial, packet->bytes.base, packet->bytes.len) == 0)
			send_retry(endpoint, packet, &initial, now_ns);
		link_drop(link);
	}
}

static void on_batch_end(void *user)
{
	struct tow_quic_endpoint *endpoint = user;

	endpoint->batch_ns = 0;
	/* the task sends, after all batches of the turn */
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
	.packet = on_packet,
	.batch_end = on_batch_end,
	.writable = on_writable,
};

/* --- public
 * ------------------------------------------------------------------------------------------------
 */

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
	if (!config->stream_window)
		config->stream_window = 6 * 1024 * 1024;
	if (!config->connection_window)
		config->connection_window = 24 * 1024 * 1024;
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
	struct metrics *m = &endpoint->metrics;

	m->connections = series(endpoint, prefix, TOW_METRIC_GAUGE, "connections", NULL,
	                        "QUIC connections, handshakes under way included.");
	m->accepted = series(endpoint, prefix, TOW_METRIC_COUNTER, "handshakes_total",
	                     "result=\"accepted\"", "Handshakes that clients began, by outcome.");
	m->failed = series(endpoint, prefix, TOW_METRIC_COUNTER, "handshakes_total",
	                   "result=\"failed\"", "Handshakes that clients began, by outcome.");
	m->packets = series(endpoint, prefix, TOW_METRIC_COUNTER, "datagrams_received_total", NULL,
	                    "UDP datagrams received.");
	m->bytes_in = series(endpoint, prefix, TOW_METRIC_COUNTER, "received_bytes_total", NULL,
	                     "UDP payload received.");
	m->bytes_out = series(endpoint, prefix, TOW_METRIC_COUNTER, "sent_bytes_total", NULL,
	                      "UDP payload sent.");
	m->unknown = series(endpoint, prefix, TOW_METRIC_COUNTER, "datagrams_dropped_total", NULL,
	                    "Datagrams that are no QUIC, or belong to no connection.");
	m->replies = series(endpoint, prefix, TOW_METRIC_COUNTER, "stateless_replies_total", NULL,
	                    "Datagrams sent outside a connection.");
	m->retries = series(endpoint, prefix, TOW_METRIC_COUNTER, "retries_total", NULL,
	                    "Retry packets sent because many handshakes were open.");
	m->resets = series(endpoint, prefix, TOW_METRIC_COUNTER, "unknown_connection_total", NULL,
	                   "Packets of connections that this process does not know.");
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
	endpoint->host.wake = link_wake;
	endpoint->host.cid_add = link_cid_add;
	endpoint->host.cid_remove = link_cid_remove;
	endpoint->host.accepted = link_accepted;
	endpoint->dirty_end = &endpoint->dirty;
	tow__cid_map_init(&endpoint->map);
	tow_task_init(&endpoint->task, config->loop, flush, endpoint);
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
	endpoint->addr = *tow_udp_socket_addr(endpoint->socket);
	*out = endpoint;
	return 0;
}

/* All owners have been told; nothing of ours is on the stack. */
static void destroy(struct tow_quic_endpoint *endpoint)
{
	struct tow__quic_batch batch;

	while (endpoint->links) {
		struct link *link = endpoint->links;

		if (link->conn &&
		    tow__quic_conn_write_close(link->conn, endpoint->buf, tow_now_ns(), &batch))
			transmit_for(link, &batch);
		link_drop(link);
	}
	while (endpoint->lingering)
		lingering_remove(endpoint->lingering);
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
	struct link *link;

	if (!endpoint || endpoint->freeing)
		return;
	endpoint->freeing = 1;
	enter(endpoint);
	for (link = endpoint->links; link; link = link->next) {
		if (!link->conn)
			continue;
		tow_quic_conn_close(link->conn, code, "");
		tow__quic_conn_finish(link->conn);
	}
	leave(endpoint);
	if (endpoint->depth == 0)
		destroy(endpoint);
	else
		tow_task_schedule(&endpoint->task);
}

const struct tow_addr *tow_quic_endpoint_addr(const struct tow_quic_endpoint *endpoint)
{
	return &endpoint->addr;
}

size_t tow_quic_endpoint_connections(const struct tow_quic_endpoint *endpoint)
{
	return endpoint->connections;
}

int tow_quic_endpoint_rebind(struct tow_quic_endpoint *endpoint, struct tow_error *err)
{
	struct tow_udp_config config = endpoint->host.config.udp;
	struct tow_udp_socket *socket;
	struct link *link;
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
		if (link->conn && !link->conn->server)
			tow__quic_conn_migrate(link->conn, &endpoint->addr);
	tow_task_schedule(&endpoint->task);
	return 0;
}

int tow_quic_connect(struct tow_quic_endpoint *endpoint, const struct tow_addr *remote,
                     const struct tow_id *peer, const struct tow_quic_conn_events *events,
                     void *user, struct tow_quic_conn **out)
{
	struct tow__quic_conn_params params = { .host = &endpoint->host,
		                                .local = &endpoint->addr,
		                                .remote = remote,
		                                .now_ns = tow_now_ns(),
		                                .peer = peer,
		                                .events = events,
		                                .user = user };
	struct link *link;
	int ret;

	if (endpoint->freeing)
		return TOW_EIO;
	link = link_new(endpoint);
	if (!link)
		return TOW_ENOMEM;
	params.owner = link;
	tow__quic_host_cid(&endpoint->host, &params.scid);
	ret = link_cid_add(link, params.scid.data, params.scid.datalen);
	if (ret == 0)
		ret = tow__quic_conn_new(&params, &link->conn);
	if (ret != 0) {
		link_drop(link);
		return ret == TOW_ECRYPTO ? ret : TOW_ENOMEM;
	}
	link->client = 1;
	endpoint->client_count++;
	*out = link->conn;
	link_wake(link);
	return 0;
}
