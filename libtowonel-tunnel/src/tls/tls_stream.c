/* SPDX-License-Identifier: MIT */
/*
 * A TLS session on a non-blocking socket. wolfSSL reads and writes through the two functions here,
 * because its own write would raise SIGPIPE, and because they know which way the session is
 * blocked: reading may have to wait for room to write, and the other way round.
 */
#include "tls/tls_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfio.h>

#include <towonel/tunnel/loop.h>

#include "tls/context.h"
#include "tls/identity_cert.h"
#include "tls/preferences.h"

#define RECORD_MAX 16384 /* RFC 8446 section 5.1 */

struct tow_tls {
	WOLFSSL *ssl;
	int fd;
	struct tow_buf early; /* read from fd before the session was made */
	int events;           /* what the last call waits for */
	int more;             /* another record follows at once */
	int finished;         /* the peer has sent FIN */
	int reset;            /* the connection is broken */
	int failed;           /* nothing may be sent any more, close_notify neither */
	struct tow_id pin;
	int refused; /* the peer has another key */
};

static int receive_early(struct tow_tls *tls, char *to, size_t cap)
{
	struct tow_slice bytes = tow_buf_peek(&tls->early);
	size_t n = bytes.len < cap ? bytes.len : cap;

	memcpy(to, bytes.base, n);
	tow_buf_consume(&tls->early, n);
	if (!tow_buf_len(&tls->early))
		tow_buf_deinit(&tls->early);
	return (int)n;
}

static int receive(WOLFSSL *ssl, char *to, int cap, void *user)
{
	struct tow_tls *tls = user;
	ssize_t n;

	(void)ssl;
	if (tls->early.base)
		return receive_early(tls, to, (size_t)cap);
	do
		n = recv(tls->fd, to, (size_t)cap, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return (int)n;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		tls->events = TOW_IO_READ;
		return WOLFSSL_CBIO_ERR_WANT_READ;
	}
	if (n == 0)
		tls->finished = 1;
	else
		tls->reset = 1;
	return n == 0 ? WOLFSSL_CBIO_ERR_CONN_CLOSE : WOLFSSL_CBIO_ERR_CONN_RST;
}

static int transmit(WOLFSSL *ssl, char *from, int len, void *user)
{
	struct tow_tls *tls = user;
	ssize_t n;

	(void)ssl;
	do
		n = send(tls->fd, from, (size_t)len, MSG_NOSIGNAL | (tls->more ? MSG_MORE : 0));
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (int)n;
	if (errno == EAGAIN || errno == EWOULDBLOCK) {
		tls->events = TOW_IO_WRITE;
		return WOLFSSL_CBIO_ERR_WANT_WRITE;
	}
	tls->reset = 1;
	return WOLFSSL_CBIO_ERR_CONN_RST;
}

void tow__tls_set_io(WOLFSSL_CTX *ctx)
{
	wolfSSL_CTX_SetIORecv(ctx, receive);
	wolfSSL_CTX_SetIOSend(ctx, transmit);
	/* a write returns with the record that fits, not when the last byte is gone */
	wolfSSL_CTX_set_mode(ctx, WOLFSSL_MODE_ENABLE_PARTIAL_WRITE);
}

static int is_address(const char *name)
{
	struct in6_addr out;

	return inet_pton(AF_INET, name, &out) == 1 || inet_pton(AF_INET6, name, &out) == 1;
}

static int set_peer_name(const struct tow_tls_context *context, WOLFSSL *ssl, const char *name)
{
	int rc = WOLFSSL_SUCCESS;

	if (!name)
		return 0;
	if (is_address(name)) { /* which is no host name, and not for SNI (RFC 6066 section 3) */
		if (context->verifies)
			rc = wolfSSL_check_ip_address(ssl, name);
	} else {
		rc = wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, name, (unsigned short)strlen(name));
		/* wolfSSL_check_domain_name takes full names only, and at home there are others */
		if (rc == WOLFSSL_SUCCESS && context->verifies)
			rc = wolfSSL_X509_VERIFY_PARAM_set1_host(wolfSSL_get0_param(ssl), name, 0);
	}
	return rc == WOLFSSL_SUCCESS ? 0 : TOW_ENOMEM;
}

static int new_session(struct tow_tls_context *context, int fd, const char *alpn,
                       const char *server_name, struct tow_slice early, struct tow_tls **out)
{
	struct tow_tls *tls = calloc(1, sizeof *tls);

	if (!tls)
		return TOW_ENOMEM;
	if (early.len && tow_buf_append(&tls->early, early.base, early.len))
		goto fail;
	tls->fd = fd;
	tls->events = context->is_server ? TOW_IO_READ : TOW_IO_WRITE;
	tls->ssl = wolfSSL_new(context->ctx);
	if (!tls->ssl)
		goto fail;
	wolfSSL_SetIOReadCtx(tls->ssl, tls);
	wolfSSL_SetIOWriteCtx(tls->ssl, tls);
	if (context->is_server)
		wolfSSL_set_accept_state(tls->ssl);
	else
		wolfSSL_set_connect_state(tls->ssl);
	if (alpn && wolfSSL_UseALPN(tls->ssl, (char *)(uintptr_t)alpn, (unsigned)strlen(alpn),
	                            WOLFSSL_ALPN_FAILED_ON_MISMATCH) != WOLFSSL_SUCCESS)
		goto fail;
	if (!context->is_server && set_peer_name(context, tls->ssl, server_name))
		goto fail;
	*out = tls;
	return 0;
fail:
	tow_tls_free(tls);
	return TOW_ENOMEM;
}

int tow_tls_new(struct tow_tls_context *context, int fd, const char *server_name,
                struct tow_tls **out)
{
	return new_session(context, fd, context->alpn, server_name, tow_slice_make(NULL, 0), out);
}

/* wolfSSL asks once or twice for each certificate; the key decides every time. */
int tow__tls_check_pin(int preverify, WOLFSSL_X509_STORE_CTX *store)
{
	struct tow_tls *tls = store->userCtx;
	struct tow_id shown;

	(void)preverify;
	tls->refused =
		tow__identity_cert_of_peer(store, &shown) != 0 || !tow_id_equal(&shown, &tls->pin);
	return !tls->refused;
}

int tow_tls_new_pinned(struct tow_tls_context *context, int fd, const char *server_name,
                       const struct tow_id *peer, struct tow_tls **out)
{
	int rc = tow_tls_new(context, fd, server_name, out);

	if (rc)
		return rc;
	(*out)->pin = *peer;
	wolfSSL_SetCertCbCtx((*out)->ssl, *out);
	return 0;
}

int tow_tls_accept(struct tow_tls_context *context, int fd, const char *alpn,
                   struct tow_slice early, struct tow_tls **out)
{
	return new_session(context, fd, alpn ? alpn : context->alpn, NULL, early, out);
}

void tow_tls_free(struct tow_tls *tls)
{
	if (!tls)
		return;
	wolfSSL_free(tls->ssl);
	tow_buf_deinit(&tls->early);
	free(tls);
}

/* What a call of wolfSSL's means that gave no bytes. */
static int translate(struct tow_tls *tls, int ret, int *wolfssl_error)
{
	int error = wolfSSL_get_error(tls->ssl, ret);

	if (error == WOLFSSL_ERROR_WANT_READ || error == WOLFSSL_ERROR_WANT_WRITE)
		return TOW_BLOCKED; /* the functions above have set the events */
	if (error == WOLFSSL_ERROR_ZERO_RETURN)
		return TOW_EOF;
	tls->failed = 1;
	*wolfssl_error = error;
	if (tls->reset)
		return TOW_ERESET;
	return tls->finished ? TOW_EOF : TOW_ETLS;
}

static int handshake_failed(struct tow_tls *tls, int rc, int error, struct tow_error *err)
{
	const char *reason = tow__tls_certificate_reason(error);
	WOLFSSL_ALERT_HISTORY alerts;
	char text[WOLFSSL_MAX_ERROR_SZ];

	if (rc == TOW_EOF || rc == TOW_ERESET)
		return tow_error_set(err, TOW_ERESET,
		                     "the peer closed the connection during the TLS handshake");
	if (tls->refused)
		return tow_error_set(err, TOW_EAUTH, "the peer's key is not the expected one");
	if (reason)
		return tow_error_set(err, TOW_ETLS, "the peer is not trusted: %s", reason);
	if (wolfSSL_get_alert_history(tls->ssl, &alerts) == WOLFSSL_SUCCESS &&
	    alerts.last_rx.code >= 0) {
		const char *alert = wolfSSL_alert_desc_string_long(alerts.last_rx.code);
		return tow_error_set(err, TOW_ETLS, "the peer refused the TLS handshake: %s",
		                     alert);
	}
	wolfSSL_ERR_error_string_n((unsigned long)error, text, sizeof text);
	return tow_error_set(err, TOW_ETLS, "TLS handshake failed: %s", text);
}

int tow_tls_handshake(struct tow_tls *tls, struct tow_error *err)
{
	int ret = wolfSSL_negotiate(tls->ssl), error = 0, rc;

	if (ret == WOLFSSL_SUCCESS) {
		tls->events = TOW_IO_READ;
		return 0;
	}
	rc = translate(tls, ret, &error);
	return rc == TOW_BLOCKED ? rc : handshake_failed(tls, rc, error, err);
}

int tow_tls_read(struct tow_tls *tls, void *out, size_t cap, size_t *n)
{
	int ret, error;

	if (tls->failed)
		return tls->finished ? TOW_EOF : tls->reset ? TOW_ERESET : TOW_ETLS;
	tls->events = TOW_IO_READ;
	ret = wolfSSL_read(tls->ssl, out, cap < INT_MAX ? (int)cap : INT_MAX);
	if (ret <= 0)
		return translate(tls, ret, &error);
	*n = (size_t)ret;
	return 0;
}

int tow_tls_write(struct tow_tls *tls, const void *bytes, size_t len, size_t *n)
{
	int ret, error, rc;

	if (tls->failed)
		return tls->reset ? TOW_ERESET : TOW_ETLS;
	tls->events = TOW_IO_WRITE;
	/* The kernel makes one packet of what several records bring. */
	tls->more = len > RECORD_MAX;
	ret = wolfSSL_write(tls->ssl, bytes, len < INT_MAX ? (int)len : INT_MAX);
	tls->more = 0;
	if (ret <= 0) {
		rc = translate(tls, ret, &error);
		return rc == TOW_EOF ? TOW_ERESET : rc;
	}
	*n = (size_t)ret;
	return 0;
}

int tow_tls_shutdown(struct tow_tls *tls)
{
	int ret, error, rc;

	if (tls->failed)
		return tls->reset ? TOW_ERESET : TOW_ETLS;
	ret = wolfSSL_shutdown(tls->ssl);
	if (ret == WOLFSSL_SUCCESS || ret == WOLFSSL_SHUTDOWN_NOT_DONE)
		return 0;
	rc = translate(tls, ret, &error);
	return rc == TOW_EOF ? 0 : rc;
}

int tow_tls_events(const struct tow_tls *tls)
{
	return tls->events;
}

const char *tow_tls_alpn(const struct tow_tls *tls)
{
	unsigned short len;
	char *name;

	return wolfSSL_ALPN_GetProtocol(tls->ssl, &name, &len) == WOLFSSL_SUCCESS ? name : NULL;
}

int tow_tls_resumed(const struct tow_tls *tls)
{
	return wolfSSL_session_reused(tls->ssl);
}

int tow_tls_pending(const struct tow_tls *tls)
{
	return wolfSSL_pending(tls->ssl) > 0;
}
