/* SPDX-License-Identifier: MIT */

/* How connections end: who said what to whom, and what the owner is told. */

#include <stdio.h>
#include <string.h>

#include "quic/connection.h"
#include "quic/path.h"

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
void tow__quic_conn_end_with(struct tow_quic_conn *conn, int liberr)
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
	batch->at = 0;
	batch->len = (size_t)n;
	batch->segment = (size_t)n;
	batch->ecn = info.ecn;
	tow__quic_path_to_addrs(&storage.path, &batch->local, &batch->remote);
	return 1;
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
