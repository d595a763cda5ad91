/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_TLS_H
#define TOWONEL_TUNNEL_TLS_H

/*
 * TLS over a non-blocking socket (wolfSSL): the hub API's server side, the edge's towards visitors
 * whose TLS ends there, and the agent's client side towards an origin that wants TLS. A context is
 * shared by many sessions; a session is one connection, and goes on when its context is freed.
 */

#include <towonel/wire/error.h>
#include <towonel/wire/identity.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_tls_context;
struct tow_tls;

/* Server with the node's self-signed identity certificate; alpn is a comma-separated list or NULL.
 * Returns 0; TOW_ECRYPTO, TOW_ENOMEM. */
int tow_tls_context_new_identity(const struct tow_node_key *key, const char *alpn,
                                 struct tow_tls_context **out, struct tow_error *err);
/* Server with a certificate that ordinary clients believe: chain and key are PEM, the server's own
 * certificate first; RSA or ECDSA. Sessions are resumed by tickets, whose keys are the context's
 * own and change by the hour; there is no early data. Returns 0; TOW_ECRYPTO (err says what is
 * wrong with them), TOW_ENOMEM. */
int tow_tls_context_new_server(struct tow_slice chain, struct tow_slice key, const char *alpn,
                               struct tow_tls_context **out, struct tow_error *err);
/* Is it one of the key exchange groups that servers offer (RFC 8446 section 4.2.7)? wolfSSL asks a
 * client that has none of them for one all the same, which is to be refused before. */
int tow_tls_group_served(uint16_t group);
/* Client that verifies a certificate chain for the server name; ca_file adds trust, NULL for the
 * system's. insecure: any certificate (an origin on the same host, known by its address). */
int tow_tls_context_new_client(const char *ca_file, int insecure, const char *alpn,
                               struct tow_tls_context **out, struct tow_error *err);
/* Client of nodes of ours, each known by its key alone, which the session names. Returns as the
 * others do. */
int tow_tls_context_new_pinning(const char *alpn, struct tow_tls_context **out,
                                struct tow_error *err);
void tow_tls_context_free(struct tow_tls_context *context);

/* fd stays the caller's. server_name: SNI and name to verify (client), else NULL. An address
 * verifies with no certificate: our wolfSSL does not read addresses in them. Returns 0,
 * TOW_ENOMEM. */
int tow_tls_new(struct tow_tls_context *context, int fd, const char *server_name,
                struct tow_tls **out);
/* A session of tow_tls_context_new_pinning: the handshake fails unless the peer shows that it has
 * peer's key. */
int tow_tls_new_pinned(struct tow_tls_context *context, int fd, const char *server_name,
                       const struct tow_id *peer, struct tow_tls **out);
/* A server's session whose first bytes, early, have been read from fd already; they are copied.
 * alpn, if not NULL, counts instead of the context's. Returns 0, TOW_ENOMEM. */
int tow_tls_accept(struct tow_tls_context *context, int fd, const char *alpn,
                   struct tow_slice early, struct tow_tls **out);
void tow_tls_free(struct tow_tls *tls);

/* All return 0; TOW_BLOCKED (wait for tow_tls_events, then call again with the same arguments);
 * TOW_ETLS, TOW_ERESET; handshake also TOW_EAUTH (pinned: another key). read also TOW_EOF after the
 * peer's close_notify or FIN. *n is written on 0 only. */
int tow_tls_handshake(struct tow_tls *tls, struct tow_error *err);
int tow_tls_read(struct tow_tls *tls, void *out, size_t cap, size_t *n);
int tow_tls_write(struct tow_tls *tls, const void *bytes, size_t len, size_t *n);
int tow_tls_shutdown(struct tow_tls *tls); /* sends close_notify */
int tow_tls_events(
	const struct tow_tls *tls); /* TOW_IO_READ or TOW_IO_WRITE: what the last call waits for */
/* The protocol that both sides agreed on (ALPN), after the handshake; NULL: none. Valid as long as
 * the session. */
const char *tow_tls_alpn(const struct tow_tls *tls);
int tow_tls_resumed(const struct tow_tls *tls); /* an earlier session, after the handshake */
int tow_tls_pending(
	const struct tow_tls *tls); /* decrypted bytes wait inside: read before polling */

/* What a certificate says of itself. */
struct tow_tls_certificate {
	char issuer[128]; /* for people: organisation, common name */
	uint64_t not_before_ms, not_after_ms;
	uint8_t fingerprint[TOW_HASH_SIZE]; /* SHA-256 of its DER */
	int covers;                         /* the name that was asked about */
};
/* Reads the first certificate of PEM text. name may be NULL. Returns 0; TOW_EPARSE, TOW_ENOMEM. */
int tow_tls_certificate_read(struct tow_slice pem, const char *name,
                             struct tow_tls_certificate *out, struct tow_error *err);
/* Appends the DER of the first certificate of PEM text. Returns 0; TOW_EPARSE, TOW_ENOMEM. */
int tow_tls_certificate_der(struct tow_slice pem, struct tow_buf *out);
/* By what its authority knows it (RFC 9773 section 4.1). Returns 0; TOW_EPARSE, TOW_ETOOBIG: out is
 * empty then. */
int tow_tls_certificate_renewal_id(struct tow_slice pem, char *out, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
