/* SPDX-License-Identifier: MIT */
#ifndef TOW_QUIC_CRYPTO_H
#define TOW_QUIC_CRYPTO_H

/*
 * The TLS half of a connection: one context per role and endpoint, and sessions that accept a peer
 * by its raw Ed25519 key alone. No resumption, no early data: both would skip the check of that
 * key.
 */

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <ngtcp2/ngtcp2_crypto.h>

#include <towonel/wire/error.h>
#include <towonel/wire/identity.h>

struct tow__quic_crypto {
	WOLFSSL_CTX *server, *client;
	char alpn[32];
	uint8_t reset_key[32]; /* stateless reset tokens and Retry tokens: derived from the node's
	                          key, so that */
	uint8_t retry_key[32]; /* a node that was restarted answers for the one before */
};

/* Returns 0; TOW_ECRYPTO, TOW_ENOMEM, TOW_EINVAL (ALPN). */
int tow__quic_crypto_init(struct tow__quic_crypto *crypto, const struct tow_node_key *key,
                          const char *alpn, struct tow_error *err);
void tow__quic_crypto_deinit(struct tow__quic_crypto *crypto);

/* Who the peer has to be, and who it is. */
struct tow__quic_peer {
	struct tow_id id; /* pinned: expected; known: seen in its certificate */
	unsigned pinned : 1;
	unsigned known : 1;
	unsigned refused : 1; /* its key was another, or could not be read */
};

/* peer and ref live as long as the session. NULL: out of memory. */
WOLFSSL *tow__quic_session_new(struct tow__quic_crypto *crypto, int server,
                               struct tow__quic_peer *peer, ngtcp2_crypto_conn_ref *ref);
/* Has the handshake agreed on our protocol with a peer that showed its key?
 * Returns 0, TOW_EAUTH. */
int tow__quic_session_check(struct tow__quic_crypto *crypto, WOLFSSL *session,
                            const struct tow__quic_peer *peer);

/* Callbacks of ngtcp2. */
int tow__quic_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                      const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *plain, size_t len,
                      const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len);
int tow__quic_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                      const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *sealed, size_t len,
                      const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len);
int tow__quic_hp_mask(uint8_t *dest, const ngtcp2_crypto_cipher *hp,
                      const ngtcp2_crypto_cipher_ctx *hp_ctx, const uint8_t *sample);

/* RFC 9000 section 10.3.2 */
void tow__quic_reset_token(const struct tow__quic_crypto *crypto, const uint8_t *cid, size_t len,
                           uint8_t token[16]);

#endif
