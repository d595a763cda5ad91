/* SPDX-License-Identifier: MIT */
#include "quic/connection.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/tcp.h>
#include <towonel/wire/limits.h>

#define FIRST_STREAM_WINDOW (256 * 1024)
#define FIRST_WINDOW        (1024 * 1024)
#define WRITABLE_BELOW      (TOW_PIPE_UNSENT_MAX / 2)
#define VECTORS             16

/* TLS alerts (RFC 8446 section 6) that mean: I do not accept who you are. */
static int alert_is_about_identity(unsigned alert)
{
	switch (alert) {
	case 42: /* bad_certificate */
	case 43: /* unsupported_certificate */
	case 46: /* certificate_unknown */
	case 48: /* unknown_ca */
	case 49: /* access_denied */
	case 51: /* decrypt_error */
	case 116: /* certificate_required */ return 1;
	default: return 0;
	}
}

/* --- paths
 * -------------------------------------------------------------------------------------------------
 */

struct path {
	struct sockaddr_storage local, remote;
	ngtcp2_path path;
};

static ngtcp2_path *path_of(struct path *out, const struct tow_addr *local,
                            const struct tow_addr *remote)
{
	out->path.local.addr = (ngtcp2_sockaddr *)&out->local;
	out->path.local.addrlen = tow_addr_to_sockaddr(local, &out->local);
	out->path.remote.addr = (ngtcp2_sockaddr *)&out->remote;
	out->path.remote.addrlen = tow_addr_to_sockaddr(remote, &out->remote);
	out->path.user_data = NULL;
	return &out->path;
}

static void path_to_addrs(const ngtcp2_path *path, struct tow_addr *local, struct tow_addr *remote)
{
	(void)tow_addr_from_sockaddr((const struct sockaddr *)path->local.addr, local);
	(void)tow_addr_from_sockaddr((const struct sockaddr *)path->remote.addr, remote);
}

/* --- the end
 * -----------------------------------------------------------------------------------------------
 */

void tow__quic_conn_end(struct tow_quic_conn *conn, int status, enum tow__quic_farewell farewell,
                        uint64_t code, const char *text)
{
	if (conn->state >= TOW__QUIC_ENDING)
		return;
	conn->state = TOW__QUIC_ENDING;
	conn->farewell = farewell;
	conn->reason.status = status;
	conn->reason.by_peer = 0;
	conn->reason.application = farewell == TOW__QUIC_SAY_APPLICATION;
	conn->reason.code = code;
	snprintf(conn->reason.text, sizeof(conn->reason.text), "%s", text ? text : "");
	conn->host->wake(conn->owner);
}

static void end_by_peer(struct tow_quic_conn *conn)
{
	const ngtcp2_ccerr *said = ngtcp2_conn_get_ccerr2(conn->quic);
	int application = said->type == NGTCP2_CCERR_TYPE_APPLICATION;
	uint64_t code = said->error_code;
	char text[sizeof(conn->reason.text)];
	size_t n = said->reasonlen < sizeof(text) - 1 ? said->reasonlen : sizeof(text) - 1, i;
	int status;

	for (i = 0; i < n; i++)
		text[i] = (char)(said->reason[i] >= 0x20 && said->reason[i] < 0x7f ? said->reason[i]
		                                                                   : '?');
	text[n] = '\0';
	if (application || code == NGTCP2_NO_ERROR)
		status = 0;
	else if (code == NGTCP2_CONNECTION_REFUSED)
		status = TOW_EREFUSED;
	else if ((code & ~0xffULL) == NGTCP2_CRYPTO_ERROR && alert_is_about_identity(code & 0xff))
		status = TOW_EAUTH;
	else
		status = TOW_EQUIC;
	tow__quic_conn_end(conn, status, TOW__QUIC_SILENT, code, n ? text : "closed by the peer");
	conn->reason.by_peer = 1;
	conn->reason.application = application;
}

static void end_with_tls(struct tow_quic_conn *conn)
{
	unsigned alert = ngtcp2_conn_get_tls_alert2(conn->quic);
	char text[sizeof(conn->reason.text)];

	if (conn->peer.refused) {
		tow__quic_conn_end(conn, TOW_EAUTH, TOW__QUIC_SAY_TRANSPORT,
		                   NGTCP2_CRYPTO_ERROR | 42,
		                   "the peer's key is not the expected one");
	} else if (conn->server && !conn->peer.known && alert_is_about_identity(alert)) {
		tow__quic_conn_end(conn, TOW_EAUTH, TOW__QUIC_SAY_TRANSPORT,
		                   NGTCP2_CRYPTO_ERROR | alert, "the peer showed no certificate");
	} else {
		snprintf(text, sizeof(text), "TLS handshake failed with alert %u", alert);
		tow__quic_conn_end(conn, alert_is_about_identity(alert) ? TOW_EAUTH : TOW_EQUIC,
		                   TOW__QUIC_SAY_TRANSPORT, NGTCP2_CRYPTO_ERROR | alert, text);
	}
}

/* What ngtcp2 returned from reading, writing or a deadline. */
static void end_with(struct tow_quic_conn *conn, int liberr)
{
	switch (liberr) {
	case NGTCP2_ERR_DRAINING: end_by_peer(conn); break;
	case NGTCP2_ERR_CRYPTO: end_with_tls(conn); break;
	case NGTCP2_ERR_IDLE_CLOSE:
		tow__quic_conn_end(conn, TOW_ETIMEDOUT, TOW__QUIC_SILENT, 0,
		                   "nothing heard from the peer");
		break;
	case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
		tow__quic_conn_end(conn, TOW_ETIMEDOUT, TOW__QUIC_SILENT, 0, "handshake timed out");
		break;
	case NGTCP2_ERR_RETRY: /* the second half of a ClientHello came first: it is kept for known
	                          addresses only */
		conn->wants_retry = 1;
		/* fall through */
	case NGTCP2_ERR_DROP_CONN:
		conn->never_was = 1;
		/* fall through */
	case NGTCP2_ERR_CLOSING:
		tow__quic_conn_end(conn, TOW_EQUIC, TOW__QUIC_SILENT, 0, "dropped");
		break;
	case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
		tow__quic_conn_end(conn, TOW_EVERSION, TOW__QUIC_SILENT, 0,
		                   "the peer speaks no QUIC v1");
		break;
	default:
		tow__quic_conn_end(conn, liberr == NGTCP2_ERR_NOMEM ? TOW_ENOMEM : TOW_EQUIC,
		                   TOW__QUIC_SAY_TRANSPORT,
		                   ngtcp2_err_infer_quic_transport_error_code(liberr),
		                   ngtcp2_strerror(liberr));
		break;
	}
}

int tow__quic_conn_write_close(struct tow_quic_conn *conn, uint8_t *buf, uint64_t now_ns,
                               struct tow__quic_batch *batch)
{
	ngtcp2_path_storage storage;
	ngtcp2_pkt_info info = { 0 };
	ngtcp2_ccerr error;
	ngtcp2_ssize n;
	size_t len = strlen(conn->reason.text);

	if (conn->farewell == TOW__QUIC_SILENT || conn->inside)
		return 0;
	ngtcp2_ccerr_default(&error);
	if (conn->farewell == TOW__QUIC_SAY_APPLICATION)
		ngtcp2_ccerr_set_application_error(&error, conn->reason.code,
		                                   (const uint8_t *)conn->reason.text, len);
	else /* why we failed is for our log, not for whoever caused it */
		ngtcp2_ccerr_set_transport_error(&error, conn->reason.code, NULL, 0);
	ngtcp2_path_storage_zero(&storage);
	conn->inside = 1;
	n = ngtcp2_conn_write_connection_close(conn->quic, &storage.path, &info, buf,
	                                       NGTCP2_MAX_UDP_PAYLOAD_SIZE, &error, now_ns);
	conn->inside = 0;
	conn->farewell = TOW__QUIC_SILENT;
	if (n <= 0)
		return 0;
	batch->len = (size_t)n;
	batch->segment = (size_t)n;
	batch->ecn = info.ecn;
	path_to_addrs(&storage.path, &batch->local, &batch->remote);
	return 1;
}

/* --- ngtcp2's callbacks
 * ------------------------------------------------------------------------------------ */

/* Ends ngtcp2's work on a packet early when what it told has ended the connection. */
static int done(const struct tow_quic_conn *conn)
{
	return conn->state >= TOW__QUIC_ENDING ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static ngtcp2_conn *conn_of_ref(ngtcp2_crypto_conn_ref *ref)
{
	return ((struct tow_quic_conn *)ref->user_data)->quic;
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
	stream->delivered += len;
	if (stream->abandoned || !stream->events.data)
		tow__quic_stream_credit(stream, len);
	else
		stream->events.data(stream->user, tow_slice_make(data, len),
		                    (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
	return done(conn);
}

static int on_stream_acked(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t len, void *user,
                           void *stream_user)
{
	struct tow_quic_conn *conn = user;
	struct tow_quic_stream *stream = stream_user;

	(void)quic;
	(void)id;
	if (stream)
		tow__send_queue_acked(&stream->queue, &conn->host->chunks, offset + len);
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
	if (stream && stream->events.reset)
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
	tow__send_queue_cut(&stream->queue, &conn->host->chunks);
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

	(void)quic;
	(void)flags;
	if (conn->events.datagram)
		conn->events.datagram(conn->user, tow_slice_make(data, len));
	return done(conn);
}

void tow__quic_host_cid(struct tow__quic_host *host, ngtcp2_cid *out)
{
	out->datalen = TOW__QUIC_CID_SIZE;
	tow_random(out->data, out->datalen);
	out->data[0] = host->worker;
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

static const ngtcp2_callbacks callbacks = {
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
};

/* --- birth
 * -------------------------------------------------------------------------------------------------
 */

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
	settings->no_pmtud = settings->pmtud_probeslen == 0;
	settings->max_window = config->connection_window;
	settings->max_stream_window = config->stream_window;
	settings->handshake_timeout = config->handshake_timeout_ns;

	ngtcp2_transport_params_default(transport);
	transport->initial_max_data =
		config->connection_window < FIRST_WINDOW ? config->connection_window : FIRST_WINDOW;
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
	struct path path;
	ngtcp2_cid dcid;
	int rv;

	if (!conn)
		return TOW_ENOMEM;
	conn->host = params->host;
	conn->owner = params->owner;
	conn->server = params->initial != NULL;
	conn->user = params->user;
	conn->local = *params->local;
	conn->remote = *params->remote;
	conn->notes_end = &conn->notes;
	conn->datagrams_end = &conn->datagrams;
	if (params->events)
		conn->events = *params->events;
	if (params->peer) {
		conn->peer.id = *params->peer;
		conn->peer.pinned = 1;
	}
	conn->announced = !conn->server;
	choose_settings(params, probes, &settings, &transport);
	path_of(&path, params->local, params->remote);
	if (conn->server) {
		rv = ngtcp2_conn_server_new(&conn->quic, &params->initial->scid, &params->scid,
		                            &path.path, params->initial->version, &callbacks,
		                            &settings, &transport, NULL, conn);
	} else {
		dcid.datalen = TOW__QUIC_CID_SIZE;
		tow_random(dcid.data, dcid.datalen);
		rv = ngtcp2_conn_client_new(&conn->quic, &dcid, &params->scid, &path.path,
		                            NGTCP2_PROTO_VER_V1, &callbacks, &settings, &transport,
		                            NULL, conn);
	}
	if (rv != 0) {
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
	struct tow__quic_datagram *datagram;

	if (!conn)
		return;
	assert(!conn->inside);
	while (conn->streams) {
		conn->streams->noted = 0;
		tow__quic_stream_free(conn->streams);
	}
	while ((datagram = conn->datagrams) != NULL) {
		conn->datagrams = datagram->next;
		free(datagram);
	}
	ngtcp2_conn_del(conn->quic);
	if (conn->tls)
		wolfSSL_free(conn->tls);
	free(conn);
}

/* --- packets and time
 * -------------------------------------------------------------------------------------- */

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
				return; /* the endpoint was freed by that; it has told and will free
				         */
			stream->noted = 0;
			tow__quic_stream_free(stream);
			continue;
		}
		stream->noted = 0;
		if (stream->want_writable &&
		    tow__send_queue_unsent(&stream->queue) <= WRITABLE_BELOW) {
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
	struct path path;
	int rv;

	if (conn->state >= TOW__QUIC_ENDING || conn->inside)
		return;
	path_of(&path, local, remote);
	conn->inside = 1;
	rv = ngtcp2_conn_read_pkt(conn->quic, &path.path, &info, bytes.base, bytes.len, now_ns);
	conn->inside = 0;
	if (rv != 0)
		end_with(conn, rv);
	tow__quic_conn_settle(conn);
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
		end_with(conn, rv);
	tow__quic_conn_settle(conn);
}

static void datagram_pop(struct tow_quic_conn *conn)
{
	struct tow__quic_datagram *datagram = conn->datagrams;

	conn->datagrams = datagram->next;
	if (!conn->datagrams)
		conn->datagrams_end = &conn->datagrams;
	conn->datagram_count--;
	conn->datagram_bytes -= datagram->len;
	free(datagram);
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
	if (stream->want_writable && tow__send_queue_unsent(&stream->queue) <= WRITABLE_BELOW)
		tow__quic_stream_note(stream);
}

/* Fills one packet: DATAGRAM frames first, then the streams in turn, as many as fit. */
static ngtcp2_ssize write_packet(ngtcp2_conn *quic, ngtcp2_path *path, ngtcp2_pkt_info *info,
                                 uint8_t *dest, size_t cap, ngtcp2_tstamp now_ns, void *user)
{
	struct tow_quic_conn *conn = user;
	struct tow_quic_stream *stream;
	ngtcp2_vec vec[VECTORS];
	ngtcp2_ssize n, taken;
	size_t count, total;
	int accepted, fin;

	while (conn->datagrams) {
		/* Queued before the path shrank, it would never fit, and hold up everything behind
		 * it. */
		if (conn->datagrams->len > tow_quic_datagram_max(conn)) {
			datagram_pop(conn);
			continue;
		}
		accepted = 0;
		vec[0].base = conn->datagrams->bytes;
		vec[0].len = conn->datagrams->len;
		n = ngtcp2_conn_writev_datagram(quic, path, info, dest, cap, &accepted,
		                                NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, vec, 1, now_ns);
		if (accepted || n == NGTCP2_ERR_INVALID_ARGUMENT || n == NGTCP2_ERR_INVALID_STATE)
			datagram_pop(conn);
		if (n == NGTCP2_ERR_WRITE_MORE || n == NGTCP2_ERR_INVALID_ARGUMENT ||
		    n == NGTCP2_ERR_INVALID_STATE)
			continue;
		return n;
	}
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
				break;
			tow__quic_stream_unready(stream);
			continue;
		case NGTCP2_ERR_STREAM_SHUT_WR:
		case NGTCP2_ERR_STREAM_NOT_FOUND: tow__quic_stream_unready(stream); continue;
		default:
			account(stream, total, taken, fin);
			if (n > 0 && conn->ready == stream)
				conn->ready = stream->ready_next;
			return n;
		}
		break;
	}
	return ngtcp2_conn_writev_stream(quic, path, info, dest, cap, NULL,
	                                 NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, now_ns);
}

static void start_migration(struct tow_quic_conn *conn, uint64_t now_ns)
{
	struct path path;
	ngtcp2_addr local;

	conn->migrating = 0;
	path_of(&path, &conn->local, tow_quic_conn_remote(conn));
	if (ngtcp2_conn_initiate_immediate_migration(conn->quic, &path.path, now_ns) == 0)
		return;
	/* Before the handshake is confirmed, or without a spare connection id: to the peer it looks
	 * as if a NAT had changed its mind. */
	local = path.path.local;
	ngtcp2_conn_set_local_addr(conn->quic, &local);
}

void tow__quic_conn_migrate(struct tow_quic_conn *conn, const struct tow_addr *local)
{
	conn->local = *local;
	conn->migrating = 1;
	conn->host->wake(conn->owner);
}

int tow__quic_conn_write(struct tow_quic_conn *conn, uint8_t *buf, uint64_t now_ns,
                         struct tow__quic_batch *batch)
{
	ngtcp2_path_storage storage;
	ngtcp2_pkt_info info = { 0 };
	ngtcp2_ssize n;
	size_t packets, segment = 0;

	if (conn->state >= TOW__QUIC_ENDING || conn->inside)
		return 0;
	if (conn->migrating)
		start_migration(conn, now_ns);
	packets = ngtcp2_conn_get_send_quantum2(conn->quic) /
	          ngtcp2_conn_get_path_max_tx_udp_payload_size2(conn->quic);
	if (packets < 1)
		packets = 1;
	if (packets > TOW__QUIC_SEGMENTS_MAX)
		packets = TOW__QUIC_SEGMENTS_MAX;
	ngtcp2_path_storage_zero(&storage);
	conn->inside = 1;
	n = ngtcp2_conn_write_aggregate_pkt2(conn->quic, &storage.path, &info, buf,
	                                     TOW__QUIC_PAYLOAD_MAX, &segment, write_packet, packets,
	                                     now_ns);
	if (n >= 0)
		ngtcp2_conn_update_pkt_tx_time(conn->quic, now_ns);
	conn->inside = 0;
	if (n > 0) {
		batch->len = (size_t)n;
		batch->segment = segment;
		batch->ecn = info.ecn;
		path_to_addrs(&storage.path, &batch->local, &batch->remote);
	} else if (n < 0) {
		end_with(conn, (int)n);
	}
	tow__quic_conn_settle(conn);
	return n > 0;
}

void tow__quic_conn_finish(struct tow_quic_conn *conn)
{
	struct tow_quic_conn_events events = conn->events;
	struct tow_quic_stream *stream;
	void *user = conn->user;

	if (conn->state == TOW__QUIC_ENDED)
		return;
	if (conn->state != TOW__QUIC_ENDING)
		tow__quic_conn_end(conn, TOW_ECLOSED, TOW__QUIC_SILENT, 0, "");
	conn->state = TOW__QUIC_ENDED;
	/* Streams stay in the list, in case one of them is on the stack; _free frees them. */
	for (stream = conn->streams; stream; stream = stream->next) {
		void (*closed)(void *user) = stream->events.closed;
		void *stream_user = stream->user;

		memset(&stream->events, 0, sizeof(stream->events));
		stream->abandoned = 1;
		if (closed)
			closed(stream_user);
	}
	memset(&conn->events, 0, sizeof(conn->events));
	if (conn->announced && events.closed)
		events.closed(user, &conn->reason);
}

/* --- public
 * ------------------------------------------------------------------------------------------------
 */

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

	path_to_addrs(ngtcp2_conn_get_path2(conn->quic), &local, &changing->remote);
	return &conn->remote;
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
		.max_udp_payload = ngtcp2_conn_get_path_max_tx_udp_payload_size2(conn->quic),
		.open_streams = conn->open_streams,
	};
}

size_t tow_quic_datagram_max(const struct tow_quic_conn *conn)
{
	const ngtcp2_transport_params *remote;
	size_t path, overhead;

	if (conn->state != TOW__QUIC_UP)
		return 0;
	remote = ngtcp2_conn_get_remote_transport_params2(conn->quic);
	if (!remote || remote->max_datagram_frame_size < 8)
		return 0;
	path = ngtcp2_conn_get_path_max_tx_udp_payload_size2(conn->quic);
	/* short header with connection id and packet number, tag, frame type and length */
	overhead = 1 + ngtcp2_conn_get_dcid2(conn->quic)->datalen + 4 + 16 + 1 +
	           (path > 16383 ? 4 : 2);
	if (path - overhead + 5 > remote->max_datagram_frame_size)
		return (size_t)remote->max_datagram_frame_size - 5;
	return path - overhead;
}

int tow_quic_send_datagram(struct tow_quic_conn *conn, struct tow_slice prefix,
                           struct tow_slice payload)
{
	struct tow__quic_datagram *datagram;
	size_t len = prefix.len + payload.len;

	if (conn->state != TOW__QUIC_UP)
		return TOW_ECLOSED;
	if (len > tow_quic_datagram_max(conn))
		return TOW_ETOOBIG;
	if (conn->datagram_count >= TOW__QUIC_DATAGRAMS_MAX ||
	    conn->datagram_bytes + len > TOW__QUIC_DATAGRAM_BYTES_MAX)
		return TOW_BLOCKED;
	datagram = malloc(sizeof(*datagram) + len);
	if (!datagram)
		return TOW_BLOCKED;
	datagram->next = NULL;
	datagram->len = len;
	if (prefix.len)
		memcpy(datagram->bytes, prefix.base, prefix.len);
	if (payload.len)
		memcpy(datagram->bytes + prefix.len, payload.base, payload.len);
	*conn->datagrams_end = datagram;
	conn->datagrams_end = &datagram->next;
	conn->datagram_count++;
	conn->datagram_bytes += len;
	conn->host->wake(conn->owner);
	return 0;
}
