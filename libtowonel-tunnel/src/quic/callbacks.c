/* SPDX-License-Identifier: MIT */

/*
 * What ngtcp2 tells of a connection. It is on the stack then: nothing here reads or writes packets,
 * and what the application does in its callbacks only queues.
 */

#include <assert.h>

#include <towonel/wire/udp_frame.h>

#include "quic/connection.h"
#include "quic/steering.h"

/* Ends ngtcp2's work on a packet early when what it told has ended the connection. */
static int done(const struct tow_quic_conn *conn)
{
	return conn->state >= TOW__QUIC_ENDING ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static void on_rand(uint8_t *out, size_t len, const ngtcp2_rand_ctx *context)
{
	const struct tow__quic_host *host = context->native_handle;

	if (host->random)
		host->random(host->random_user, out, len);
	else
		tow_random(out, len);
}

static int on_crypto_data(ngtcp2_conn *quic, ngtcp2_encryption_level level, uint64_t offset,
                          const uint8_t *data, size_t len, void *user)
{
	struct tow_quic_conn *conn = user;

	/* After the handshake a peer has nothing to say: there are no tickets, and keys are updated
	 * by QUIC. */
	if (!conn->tls) {
		ngtcp2_conn_set_tls_alert(quic, 10); /* unexpected_message */
		return NGTCP2_ERR_CRYPTO;
	}
	return ngtcp2_crypto_recv_crypto_data_cb(quic, level, offset, data, len, user);
}

static int on_handshake_completed(ngtcp2_conn *quic, void *user)
{
	struct tow_quic_conn *conn = user;

	(void)quic;
	if (tow__quic_session_check(&conn->host->crypto, conn->tls, &conn->peer) != 0) {
		tow__quic_conn_end(conn, TOW_EAUTH, TOW__QUIC_SAY_TRANSPORT,
		                   NGTCP2_CRYPTO_ERROR | 120,
		                   "the peer does not speak our protocol");
		return NGTCP2_ERR_CALLBACK_FAILURE;
	}
	if (!conn->server)
		return 0; /* the server may still refuse us */
	conn->state = TOW__QUIC_UP;
	conn->confirmed = 1;
	conn->announced = 1;
	conn->host->accepted(conn->owner);
	return done(conn);
}

static int on_handshake_confirmed(ngtcp2_conn *quic, void *user)
{
	struct tow_quic_conn *conn = user;

	if (conn->server || conn->state != TOW__QUIC_CONNECTING)
		return 0;
	conn->state = TOW__QUIC_UP;
	conn->confirmed = 1;
	ngtcp2_conn_set_keep_alive_timeout(quic, conn->host->config.keep_alive_ns);
	if (conn->events.established)
		conn->events.established(conn->user);
	return done(conn);
}

static int on_stream_open(ngtcp2_conn *quic, int64_t id, void *user)
{
	struct tow_quic_conn *conn = user;
	struct tow_quic_stream *stream = tow__quic_stream_new(conn, id);

	if (!stream)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	(void)ngtcp2_conn_set_stream_user_data(quic, id, stream);
	if (conn->events.stream_opened)
		conn->events.stream_opened(conn->user, stream);
	else
		tow_quic_stream_abandon(stream, 0);
	return done(conn);
}

static int on_stream_data(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t len, void *user, void *stream_user)
{
	struct tow_quic_conn *conn = user;
	struct tow_quic_stream *stream = stream_user;

	(void)quic;
	(void)id;
	(void)offset;
	tow__quic_stream_delivered(stream, len);
	if (stream->abandoned || !stream->events.data)
		tow__quic_stream_credit(stream, len);
	else
		stream->events.data(stream->user, tow_slice_make(data, len),
		                    (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
	tow__quic_conn_relieve(conn);
	return done(conn);
}

static int on_stream_acked(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t len, void *user,
                           void *stream_user)
{
	struct tow_quic_conn *conn = user;
	struct tow_quic_stream *stream = stream_user;

	(void)quic;
	(void)id;
	if (!stream)
		return 0;
	stream->acked = offset + len;
	tow__send_queue_acked(&stream->queue, &conn->chunks, offset + len);
	return 0;
}

static int on_stream_close(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code, void *user,
                           void *stream_user)
{
	struct tow_quic_stream *stream = stream_user;

	(void)flags;
	(void)code;
	(void)user;
	if (!ngtcp2_conn_is_local_stream2(quic, id))
		ngtcp2_conn_extend_max_streams_bidi(quic, 1);
	if (!stream)
		return 0;
	stream->gone = 1;
	tow__quic_stream_unready(stream);
	tow__quic_stream_note(stream);
	return 0;
}

static int on_stream_reset(ngtcp2_conn *quic, int64_t id, uint64_t final_size, uint64_t code,
                           void *user, void *stream_user)
{
	struct tow_quic_conn *conn = user;
	struct tow_quic_stream *stream = stream_user;

	(void)quic;
	(void)id;
	(void)final_size;
	if (stream && !stream->given_up && stream->events.reset)
		stream->events.reset(stream->user, code);
	return done(conn);
}

static int on_stop_sending(ngtcp2_conn *quic, int64_t id, uint64_t code, void *user,
                           void *stream_user)
{
	struct tow_quic_conn *conn = user;
	struct tow_quic_stream *stream = stream_user;

	(void)quic;
	(void)id;
	if (!stream || stream->sending_ended)
		return 0;
	/* ngtcp2 answers with RESET_STREAM of the same code by itself. */
	stream->sending_ended = 1;
	tow__quic_stream_unready(stream);
	tow__quic_datagrams_drop(stream);
	tow__send_queue_cut(&stream->queue, &conn->chunks);
	if (stream->events.stopped)
		stream->events.stopped(stream->user, code);
	return done(conn);
}

static int on_more_stream_data(ngtcp2_conn *quic, int64_t id, uint64_t max, void *user,
                               void *stream_user)
{
	struct tow_quic_stream *stream = stream_user;

	(void)quic;
	(void)id;
	(void)max;
	(void)user;
	if (stream && tow__send_queue_unsent(&stream->queue) > 0)
		tow__quic_stream_ready(stream);
	return 0;
}

static int on_more_streams(ngtcp2_conn *quic, uint64_t max, void *user)
{
	struct tow_quic_conn *conn = user;

	(void)quic;
	(void)max;
	if (conn->streams_short) {
		conn->streams_short = 0;
		if (conn->events.streams_available)
			conn->events.streams_available(conn->user);
	}
	return done(conn);
}

static int on_datagram(ngtcp2_conn *quic, uint32_t flags, const uint8_t *data, size_t len,
                       void *user)
{
	struct tow_quic_conn *conn = user;
	struct tow_quic_stream *stream = NULL;
	struct tow_slice payload;
	uint64_t id;

	(void)flags;
	if (tow_udp_datagram_read(tow_slice_make(data, len), &id, &payload) == 0)
		stream = ngtcp2_conn_get_stream_user_data2(quic, (int64_t)id);
	if (stream && stream->events.datagram)
		stream->events.datagram(stream->user, payload);
	else
		tow__quic_datagram_count(conn, TOW__QUIC_DATAGRAM_STRAY);
	return done(conn);
}

/* Frames are given their size as id. */
static int on_datagram_acked(ngtcp2_conn *quic, uint64_t id, void *user)
{
	(void)quic;
	tow__quic_narrow_frame_acked(user, (size_t)id);
	return 0;
}

static int on_datagram_lost(ngtcp2_conn *quic, uint64_t id, void *user)
{
	(void)quic;
	(void)id;
	tow__quic_datagram_count(user, TOW__QUIC_DATAGRAM_LOST);
	return 0;
}

void tow__quic_host_cid(struct tow__quic_host *host, ngtcp2_cid *out)
{
	out->datalen = TOW__QUIC_CID_SIZE;
	tow_random(out->data, out->datalen);
	if (host->config.workers > 1)
		tow__steer_cid(out, host->config.worker, host->config.workers);
}

static int on_new_cid(ngtcp2_conn *quic, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token,
                      size_t len, void *user)
{
	struct tow_quic_conn *conn = user;

	(void)quic;
	assert(len == TOW__QUIC_CID_SIZE);
	tow__quic_host_cid(conn->host, cid);
	tow__quic_reset_token(&conn->host->crypto, cid->data, cid->datalen, token->data);
	return conn->host->cid_add(conn->owner, cid->data, cid->datalen) == 0
	               ? 0
	               : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int on_cid_removed(ngtcp2_conn *quic, const ngtcp2_cid *cid, void *user)
{
	struct tow_quic_conn *conn = user;

	(void)quic;
	conn->host->cid_remove(conn->owner, cid->data, cid->datalen);
	return 0;
}

static int on_stateless_reset(ngtcp2_conn *quic, const ngtcp2_pkt_stateless_reset2 *reset,
                              void *user)
{
	(void)quic;
	(void)reset;
	tow__quic_conn_end(user, TOW_ERESET, TOW__QUIC_SILENT, 0,
	                   "the peer has lost the connection");
	((struct tow_quic_conn *)user)->reason.by_peer = 1;
	return 0;
}

static int on_new_path(ngtcp2_conn *quic, uint32_t flags, const ngtcp2_path *path,
                       const ngtcp2_path *before, void *user)
{
	struct tow_quic_conn *conn = user;

	(void)quic;
	(void)flags;
	(void)path;
	(void)before;
	conn->narrow.moved = 1;
	return 0;
}

const ngtcp2_callbacks tow__quic_callbacks = {
	.client_initial = ngtcp2_crypto_client_initial_cb,
	.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
	.recv_crypto_data = on_crypto_data,
	.handshake_completed = on_handshake_completed,
	.handshake_confirmed = on_handshake_confirmed,
	.encrypt = tow__quic_encrypt,
	.decrypt = tow__quic_decrypt,
	.hp_mask = tow__quic_hp_mask,
	.recv_retry = ngtcp2_crypto_recv_retry_cb,
	.rand = on_rand,
	.update_key = ngtcp2_crypto_update_key_cb,
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb,
	.get_path_challenge_data2 = ngtcp2_crypto_get_path_challenge_data2_cb,
	.get_new_connection_id2 = on_new_cid,
	.remove_connection_id = on_cid_removed,
	.recv_stateless_reset2 = on_stateless_reset,
	.stream_open = on_stream_open,
	.recv_stream_data = on_stream_data,
	.acked_stream_data_offset = on_stream_acked,
	.stream_close = on_stream_close,
	.stream_reset = on_stream_reset,
	.recv_stop_sending = on_stop_sending,
	.extend_max_stream_data = on_more_stream_data,
	.extend_max_local_streams_bidi = on_more_streams,
	.recv_datagram = on_datagram,
	.ack_datagram = on_datagram_acked,
	.lost_datagram = on_datagram_lost,
	.begin_path_validation = on_new_path,
};
