/* SPDX-License-Identifier: MIT */
#include "quic/connection.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/quic_carrier.h>
#include <towonel/wire/limits.h>

#include "quic/path.h"
#include "quic/steering.h"

#define FIRST_STREAM_WINDOW (256 * 1024)
#define FIRST_WINDOW        (1024 * 1024)
#define WINDOW_MAX          (24 * 1024 * 1024) /* bounds what comes out of order */
#define VECTORS             16

static ngtcp2_conn *conn_of_ref(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct tow_quic_conn *)ref->user_data)->quic;
}

/* --- birth --- */

/* Sizes to try, in order: a failure ends the search, and what is larger is never sent. Tunnels
 * (WireGuard 1420, PPPoE 1492), Ethernet over IPv6 and IPv4, jumbo frames, loopback. On an ordinary
 * path that is three probes that succeed and one that does not. */
static const uint16_t probe_sizes[] = { 1372, 1452,  1472,  4048,
	                                8952, 16336, 32720, TOW__QUIC_PAYLOAD_MAX };
#define PROBES_MAX (sizeof(probe_sizes) / sizeof(probe_sizes[0]) + 1)

static size_t choose_probes(size_t max, uint16_t *out)
{
	size_t n = 0, i;

	for (i = 0; i < sizeof(probe_sizes) / sizeof(probe_sizes[0]); i++)
		if (probe_sizes[i] < max)
			out[n++] = probe_sizes[i];
	if (max > NGTCP2_MAX_UDP_PAYLOAD_SIZE)
		out[n++] = (uint16_t)max;
	return n;
}

static void choose_settings(const struct tow__quic_conn_params *params, uint16_t *probes,
                            ngtcp2_settings *settings, ngtcp2_transport_params *transport)
{
	const struct tow_quic_config *config = &params->host->config;

	ngtcp2_settings_default(settings);
	settings->initial_ts = params->now_ns;
	settings->cc_algo =
		config->congestion == TOW_QUIC_CUBIC ? NGTCP2_CC_ALGO_CUBIC : NGTCP2_CC_ALGO_BBR;
	settings->rand_ctx.native_handle = params->host;
	settings->max_tx_udp_payload_size = config->max_udp_payload;
	settings->pmtud_probes = probes;
	settings->pmtud_probeslen = choose_probes(config->max_udp_payload, probes);
	settings->no_pmtud = settings->pmtud_probeslen == 0 || params->carried;
	if (params->carried) {
		settings->max_tx_udp_payload_size = TOW__QUIC_CARRIED_PAYLOAD;
		settings->no_tx_udp_payload_size_shaping = 1;
	}
	settings->max_window = WINDOW_MAX;
	settings->max_stream_window = config->stream_window;
	settings->handshake_timeout = config->handshake_timeout_ns;

	ngtcp2_transport_params_default(transport);
	transport->initial_max_data = FIRST_WINDOW;
	transport->initial_max_stream_data_bidi_local = config->stream_window < FIRST_STREAM_WINDOW
	                                                        ? config->stream_window
	                                                        : FIRST_STREAM_WINDOW;
	transport->initial_max_stream_data_bidi_remote =
		transport->initial_max_stream_data_bidi_local;
	transport->initial_max_streams_bidi = config->max_streams;
	transport->initial_max_streams_uni = 0;
	transport->max_idle_timeout = config->idle_timeout_ns;
	transport->max_datagram_frame_size = TOW_DATAGRAM_MAX;
	transport->active_connection_id_limit = 4;
	if (params->initial) {
		settings->token = params->initial->token;
		settings->tokenlen = params->initial->tokenlen;
		transport->original_dcid_present = 1;
		if (params->original_dcid) {
			settings->token_type = NGTCP2_TOKEN_TYPE_RETRY;
			transport->original_dcid = *params->original_dcid;
			transport->retry_scid = params->initial->dcid;
			transport->retry_scid_present = 1;
		} else {
			settings->token = NULL;
			settings->tokenlen = 0;
			transport->original_dcid = params->initial->dcid;
		}
		transport->stateless_reset_token_present = 1;
		tow__quic_reset_token(&params->host->crypto, params->scid.data,
		                      params->scid.datalen, transport->stateless_reset_token);
	}
}

int tow__quic_conn_new(const struct tow__quic_conn_params *params, struct tow_quic_conn **out)
{
	struct tow_quic_conn *conn = calloc(1, sizeof(*conn));
	ngtcp2_settings settings;
	ngtcp2_transport_params transport;
	uint16_t probes[PROBES_MAX];
	struct tow__quic_path path;
	ngtcp2_cid dcid;
	int rv;

	if (!conn)
		return TOW_ENOMEM;
	conn->host = params->host;
	conn->host->connections++;
	conn->chunks.above = &conn->host->chunks;
	conn->owner = params->owner;
	conn->server = params->initial != NULL;
	conn->carried = params->carried != 0;
	conn->user = params->user;
	conn->local = *params->local;
	conn->remote = *params->remote;
	conn->notes_end = &conn->notes;
	conn->datagram_room = TOW_DATAGRAM_QUEUES_MIN;
	if (params->events)
		conn->events = *params->events;
	if (params->peer) {
		conn->peer.id = *params->peer;
		conn->peer.pinned = 1;
	}
	conn->announced = !conn->server;
	choose_settings(params, probes, &settings, &transport);
	tow__quic_path_of(&path, params->local, params->remote);
	if (conn->server) {
		rv = ngtcp2_conn_server_new(&conn->quic, &params->initial->scid, &params->scid,
		                            &path.path, params->initial->version,
		                            &tow__quic_callbacks, &settings, &transport, NULL,
		                            conn);
	} else {
		dcid.datalen = TOW__QUIC_CID_SIZE;
		tow_random(dcid.data, dcid.datalen);
		if (params->workers > 1)
			tow__steer_cid(&dcid, params->worker, params->workers);
		rv = ngtcp2_conn_client_new(&conn->quic, &dcid, &params->scid, &path.path,
		                            NGTCP2_PROTO_VER_V1, &tow__quic_callbacks, &settings,
		                            &transport, NULL, conn);
	}
	if (rv != 0) {
		conn->host->connections--;
		free(conn);
		return TOW_ENOMEM;
	}
	conn->ref.get_conn = conn_of_ref;
	conn->ref.user_data = conn;
	conn->tls =
		tow__quic_session_new(&params->host->crypto, conn->server, &conn->peer, &conn->ref);
	if (!conn->tls) {
		tow__quic_conn_free(conn);
		return TOW_ECRYPTO;
	}
	ngtcp2_conn_set_tls_native_handle(conn->quic, conn->tls);
	*out = conn;
	return 0;
}

void tow__quic_conn_free(struct tow_quic_conn *conn)
{
	if (!conn)
		return;
	assert(!conn->inside);
	while (conn->streams) {
		conn->streams->noted = 0;
		tow__quic_stream_free(conn->streams);
	}
	assert(conn->chunks.used == 0);
	ngtcp2_conn_del(conn->quic);
	if (conn->tls)
		wolfSSL_free(conn->tls);
	conn->host->connections--;
	free(conn);
}

/* --- packets and time --- */

void tow__quic_conn_settle(struct tow_quic_conn *conn)
{
	struct tow_quic_stream *stream;

	if (conn->confirmed && conn->tls) {
		ngtcp2_conn_set_tls_native_handle(conn->quic, NULL);
		wolfSSL_free(conn->tls);
		conn->tls = NULL;
	}
	while (conn->state < TOW__QUIC_ENDING && (stream = conn->notes) != NULL) {
		conn->notes = stream->note_next;
		if (!conn->notes)
			conn->notes_end = &conn->notes;
		if (stream->gone) {
			void (*closed)(void *user) = stream->events.closed;
			void *user = stream->user;

			/* What nobody took in time, nobody will. */
			tow__quic_stream_credit(stream,
			                        (size_t)(stream->delivered - stream->consumed));
			if (closed)
				closed(user);
			if (conn->state == TOW__QUIC_ENDED)
				return; /* the endpoint was freed by that; it has told
				         * and will free */
			stream->noted = 0;
			tow__quic_stream_free(stream);
			continue;
		}
		stream->noted = 0;
		if (stream->want_writable && tow__send_queue_unsent(&stream->queue) <=
		                                     tow_quic_stream_unsent_max(stream) / 2) {
			stream->want_writable = 0;
			if (stream->events.writable)
				stream->events.writable(stream->user);
		}
	}
}

void tow__quic_conn_receive(struct tow_quic_conn *conn, const struct tow_addr *local,
                            const struct tow_addr *remote, uint8_t ecn, struct tow_slice bytes,
                            uint64_t now_ns)
{
	ngtcp2_pkt_info info = { .ecn = ecn };
	struct tow__quic_path path;
	int rv;

	if (conn->state >= TOW__QUIC_ENDING || conn->inside)
		return;
	tow__quic_path_of(&path, local, remote);
	conn->inside = 1;
	rv = ngtcp2_conn_read_pkt(conn->quic, &path.path, &info, bytes.base, bytes.len, now_ns);
	conn->inside = 0;
	if (rv != 0)
		tow__quic_conn_end_with(conn, rv);
	if (conn->narrow.moved)
		tow__quic_narrow_moved(conn, now_ns);
	tow__quic_conn_settle(conn);
}

int tow__quic_conn_is_own(const struct tow_quic_conn *conn, struct tow_slice packet)
{
	const ngtcp2_cid *cid = ngtcp2_conn_get_dcid2(conn->quic);

	/* RFC 9000 section 17.3: a short header has the id right behind its first byte. */
	return conn->state == TOW__QUIC_UP && cid->datalen > 0 && packet.len > cid->datalen &&
	       !(packet.base[0] & 0x80) && memcmp(packet.base + 1, cid->data, cid->datalen) == 0;
}

int tow__quic_conn_has_more(const struct tow_quic_conn *conn)
{
	return (conn->ready && !conn->unhurried) || conn->datagram_streams;
}

uint64_t tow__quic_conn_deadline(const struct tow_quic_conn *conn)
{
	return conn->state >= TOW__QUIC_ENDING ? TOW_NEVER : ngtcp2_conn_get_expiry2(conn->quic);
}

void tow__quic_conn_expire(struct tow_quic_conn *conn, uint64_t now_ns)
{
	int rv;

	if (conn->state >= TOW__QUIC_ENDING || conn->inside)
		return;
	conn->inside = 1;
	rv = ngtcp2_conn_handle_expiry(conn->quic, now_ns);
	conn->inside = 0;
	if (rv != 0)
		tow__quic_conn_end_with(conn, rv);
	tow__quic_narrow_look(conn, now_ns);
	tow__quic_conn_settle(conn);
}

/* What ngtcp2 did with a stream's bytes. */
static void account(struct tow_quic_stream *stream, size_t offered, ngtcp2_ssize taken, int fin)
{
	if (taken < 0)
		return;
	tow__send_queue_advance(&stream->queue, (size_t)taken);
	if (fin && (size_t)taken == offered)
		stream->fin_sent = 1;
	if (tow__send_queue_unsent(&stream->queue) == 0 &&
	    (!stream->fin_wanted || stream->fin_sent))
		tow__quic_stream_unready(stream);
	if (stream->want_writable &&
	    tow__send_queue_unsent(&stream->queue) <= tow_quic_stream_unsent_max(stream) / 2)
		tow__quic_stream_note(stream);
}

/* Adds the streams' bytes to a packet, in turn. Returns as tow__quic_write_datagrams does. */
static ngtcp2_ssize write_streams(struct tow_quic_conn *conn, ngtcp2_path *path,
                                  ngtcp2_pkt_info *info, uint8_t *dest, size_t cap,
                                  ngtcp2_tstamp now_ns)
{
	ngtcp2_conn *quic = conn->quic;
	struct tow_quic_stream *stream;
	ngtcp2_vec vec[VECTORS];
	ngtcp2_ssize n, taken;
	size_t count, total;
	int fin;

	while ((stream = conn->ready) != NULL) {
		count = tow__send_queue_peek(&stream->queue, vec, VECTORS, &total);
		fin = stream->fin_wanted && total == tow__send_queue_unsent(&stream->queue);
		taken = -1;
		n = ngtcp2_conn_writev_stream(quic, path, info, dest, cap, &taken,
		                              NGTCP2_WRITE_STREAM_FLAG_MORE |
		                                      (fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0u),
		                              stream->id, vec, count, now_ns);
		switch (n) {
		case NGTCP2_ERR_WRITE_MORE:
			account(stream, total, taken, fin);
			if (conn->ready == stream)
				conn->ready = stream->ready_next;
			continue;
		case NGTCP2_ERR_STREAM_DATA_BLOCKED:
			/* All streams are when the connection is: they stay in the ring, MAX_DATA
			 * comes without a callback. */
			if (ngtcp2_conn_get_max_data_left2(quic) == 0)
				return NGTCP2_ERR_WRITE_MORE;
			tow__quic_stream_unready(stream);
			continue;
		case NGTCP2_ERR_STREAM_SHUT_WR:
		case NGTCP2_ERR_STREAM_NOT_FOUND: tow__quic_stream_unready(stream); continue;
		default:
			account(stream, total, taken, fin);
			if (n > 0)
				conn->had_its_turn = stream;
			return n;
		}
	}
	return NGTCP2_ERR_WRITE_MORE;
}

/* Fills one packet. Where both wait, every other one begins with the streams, so that neither a
 * flood of datagrams nor a bulk transfer leaves the other without. */
static ngtcp2_ssize write_packet(ngtcp2_conn *quic, ngtcp2_path *path, ngtcp2_pkt_info *info,
                                 uint8_t *dest, size_t cap, ngtcp2_tstamp now_ns, void *user)
{
	struct tow_quic_conn *conn = user;
	ngtcp2_ssize n = NGTCP2_ERR_WRITE_MORE;

	cap = tow__quic_packet_room(conn, cap);
	if (conn->ready && conn->datagram_streams && conn->streams_turn)
		n = write_streams(conn, path, info, dest, cap, now_ns);
	conn->streams_turn = !conn->streams_turn;
	if (n == NGTCP2_ERR_WRITE_MORE)
		n = tow__quic_write_datagrams(conn, path, info, dest, cap, now_ns);
	if (n == NGTCP2_ERR_WRITE_MORE)
		n = write_streams(conn, path, info, dest, cap, now_ns);
	if (n != NGTCP2_ERR_WRITE_MORE)
		return n;
	return ngtcp2_conn_writev_stream(quic, path, info, dest, cap, NULL,
	                                 NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, now_ns);
}

/* To the peer it looks as if a NAT had changed its mind, and it validates the path. With another
 * connection id on top (RFC 9000 section 9.5) it would end the connection now and then: packets may
 * have left from the new address before we knew, which is two moves at once, and ngtcp2 then counts
 * an id that it has retired against its limit. */
static void start_migration(struct tow_quic_conn *conn, uint64_t now_ns)
{
	struct tow__quic_path path;
	ngtcp2_addr local;

	conn->migrating = 0;
	tow__quic_path_of(&path, &conn->local, tow_quic_conn_remote(conn));
	local = path.path.local;
	ngtcp2_conn_set_local_addr(conn->quic, &local);
	tow__quic_narrow_moved(conn, now_ns);
}

void tow__quic_conn_migrate(struct tow_quic_conn *conn, const struct tow_addr *local)
{
	conn->local = *local;
	conn->migrating = 1;
	conn->host->wake(conn->owner);
}

/* Returns what ngtcp2 does: bytes written. */
static ngtcp2_ssize write_run(struct tow_quic_conn *conn, uint8_t *buf, size_t at, size_t packets,
                              uint64_t now_ns, struct tow__quic_batch *batch)
{
	ngtcp2_path_storage storage;
	ngtcp2_pkt_info info = { 0 };
	ngtcp2_ssize n;

	ngtcp2_path_storage_zero(&storage);
	batch->at = at;
	batch->segment = 0;
	n = ngtcp2_conn_write_aggregate_pkt2(conn->quic, &storage.path, &info, buf + at,
	                                     TOW__QUIC_PAYLOAD_MAX - at, &batch->segment,
	                                     write_packet, packets, now_ns);
	batch->len = n > 0 ? (size_t)n : 0;
	batch->ecn = info.ecn;
	if (n > 0)
		tow__quic_path_to_addrs(&storage.path, &batch->local, &batch->remote);
	return n;
}

static int joins(const struct tow__quic_batch *batch, const struct tow__quic_batch *next)
{
	return (next->segment == batch->segment || next->len < batch->segment) &&
	       next->ecn == batch->ecn && tow_addr_equal(&next->local, &batch->local) &&
	       tow_addr_equal(&next->remote, &batch->remote);
}

/* ngtcp2 goes on only while packets are as large as the path takes them. Those of datagrams are
 * often a little smaller, but of one size: runs of them are joined to one batch, until something
 * else comes, which is another. Returns as write_run does for the last one. */
static ngtcp2_ssize write_batches(struct tow_quic_conn *conn, uint8_t *buf, size_t packets,
                                  size_t max, uint64_t now_ns, struct tow__quic_batch *batches,
                                  int *count)
{
	struct tow__quic_batch *batch = &batches[0], *next = &batches[1];
	size_t written = 0;
	ngtcp2_ssize n = write_run(conn, buf, 0, packets, now_ns, batch);

	*count = n > 0;
	while (n > 0 && *count == 1 && conn->datagram_streams && batch->len % batch->segment == 0) {
		written = batch->len / batch->segment;
		if (written >= packets || batch->len + max > TOW__QUIC_PAYLOAD_MAX)
			break;
		n = write_run(conn, buf, batch->len, packets - written, now_ns, next);
		if (n > 0 && joins(batch, next))
			batch->len += next->len;
		else if (n > 0)
			*count = 2;
	}
	return n;
}

int tow__quic_conn_write(struct tow_quic_conn *conn, uint8_t *buf, uint64_t now_ns,
                         struct tow__quic_batch batches[TOW__QUIC_BATCHES_MAX])
{
	struct tow__quic_batch *last;
	ngtcp2_ssize n;
	size_t packets, max;
	int count;

	if (conn->state >= TOW__QUIC_ENDING || conn->inside)
		return 0;
	if (conn->migrating)
		start_migration(conn, now_ns);
	max = tow__quic_packet_max(conn);
	packets = ngtcp2_conn_get_send_quantum2(conn->quic) / max;
	if (packets < 1)
		packets = 1;
	if (packets > TOW__QUIC_SEGMENTS_MAX)
		packets = TOW__QUIC_SEGMENTS_MAX;
	conn->unhurried = 0;
	conn->had_its_turn = NULL;
	conn->inside = 1;
	n = write_batches(conn, buf, packets, max, now_ns, batches, &count);
	if (n >= 0)
		ngtcp2_conn_update_pkt_tx_time(conn->quic, now_ns);
	conn->inside = 0;
	tow__quic_datagrams_measure(conn);
	if (conn->ready && conn->ready == conn->had_its_turn)
		conn->ready = conn->ready->ready_next;
	if (count > 0) {
		last = &batches[count - 1];
		/* A packet with room left was the last, but in a handshake. */
		last->more = conn->state != TOW__QUIC_UP || tow__quic_conn_has_more(conn) ||
		             (last->len - 1) % last->segment + 1 >= max;
	}
	if (n < 0)
		tow__quic_conn_end_with(conn, (int)n);
	tow__quic_conn_settle(conn);
	return count;
}

/* --- public --- */

void tow_quic_conn_set_events(struct tow_quic_conn *conn, const struct tow_quic_conn_events *events,
                              void *user)
{
	conn->events = *events;
	conn->user = user;
}

const struct tow_id *tow_quic_conn_peer(const struct tow_quic_conn *conn)
{
	return &conn->peer.id;
}

const struct tow_addr *tow_quic_conn_remote(const struct tow_quic_conn *conn)
{
	/* The peer may have moved; what was handed out before changes with it. */
	struct tow_quic_conn *changing = (struct tow_quic_conn *)(uintptr_t)conn;
	struct tow_addr local;

	tow__quic_path_to_addrs(ngtcp2_conn_get_path2(conn->quic), &local, &changing->remote);
	return &conn->remote;
}

int tow_quic_conn_is_carried(const struct tow_quic_conn *conn)
{
	return conn->carried;
}

void tow_quic_conn_close(struct tow_quic_conn *conn, uint64_t code, const char *text)
{
	/* Before the handshake there is no application to speak for. */
	tow__quic_conn_end(conn, 0,
	                   conn->state == TOW__QUIC_UP ? TOW__QUIC_SAY_APPLICATION
	                                               : TOW__QUIC_SAY_TRANSPORT,
	                   conn->state == TOW__QUIC_UP ? code : NGTCP2_APPLICATION_ERROR, text);
}

void tow_quic_conn_stats(const struct tow_quic_conn *conn, struct tow_quic_stats *out)
{
	ngtcp2_conn_info info;

	ngtcp2_conn_get_conn_info2(conn->quic, &info);
	*out = (struct tow_quic_stats){
		.bytes_sent = info.bytes_sent,
		.bytes_received = info.bytes_recv,
		.packets_sent = info.pkt_sent,
		.packets_received = info.pkt_recv,
		.packets_lost = info.pkt_lost,
		.smoothed_rtt_ns = info.smoothed_rtt,
		.min_rtt_ns = info.min_rtt == UINT64_MAX ? 0 : info.min_rtt,
		.congestion_window = info.cwnd,
		.max_udp_payload = tow__quic_packet_max(conn),
		.open_streams = conn->open_streams,
	};
}
