/* SPDX-License-Identifier: MIT */
#include "quic/crypto.h"

#include <string.h>

#include <ngtcp2/ngtcp2_crypto_wolfssl.h>
#include <wolfssl/openssl/evp.h>
#include <wolfssl/wolfcrypt/aes.h>

#include "tls/cpu.h"
#include "tls/identity_cert.h"

#define AES_FIRST "TLS13-AES128-GCM-SHA256:TLS13-CHACHA20-POLY1305-SHA256:TLS13-AES256-GCM-SHA384"
#define CHACHA_FIRST                                                                               \
	"TLS13-CHACHA20-POLY1305-SHA256:TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384"

/* Called twice per certificate in wolfSSL 5.9.2, the first time with preverify 0: no CA stands
 * behind it. That is no news; the key decides, each time. */
static int check_peer(int preverify, WOLFSSL_X509_STORE_CTX *store)
{
	struct tow__quic_peer *peer = store->userCtx;
	struct tow_id id;

	(void)preverify;
	if (!peer)
		return 0;
	if (tow__identity_cert_of_peer(store, &id) != 0 ||
	    ((peer->pinned || peer->known) && !tow_id_equal(&id, &peer->id))) {
		peer->refused = 1;
		peer->known = 0;
		return 0;
	}
	peer->id = id;
	peer->known = 1;
	return 1;
}

static int context_new(int server, const struct tow_node_key *key, WOLFSSL_CTX **out,
                       struct tow_error *err)
{
	WOLFSSL_CTX *ctx =
		wolfSSL_CTX_new(server ? wolfTLSv1_3_server_method() : wolfTLSv1_3_client_method());
	/* Both want both: the tunnel has no anonymous end. */
	int verify = WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	int ret;

	if (!ctx)
		return tow_error_set(err, TOW_ENOMEM, "cannot make a TLS context");
	if ((server ? ngtcp2_crypto_wolfssl_configure_server_context(ctx)
	            : ngtcp2_crypto_wolfssl_configure_client_context(ctx)) != 0 ||
	    wolfSSL_CTX_set_cipher_list(ctx, tow__cpu_has_aes() ? AES_FIRST : CHACHA_FIRST) !=
	            WOLFSSL_SUCCESS ||
	    wolfSSL_CTX_set1_groups_list(ctx, "X25519MLKEM768:X25519") != WOLFSSL_SUCCESS ||
	    (server && wolfSSL_CTX_no_ticket_TLSv13(ctx) != 0)) {
		wolfSSL_CTX_free(ctx);
		return tow_error_set(err, TOW_ECRYPTO, "this wolfSSL lacks what QUIC needs");
	}
	wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
	wolfSSL_CTX_set_verify(ctx, verify, check_peer);
	ret = tow__identity_cert_install(ctx, key, err);
	if (ret != 0) {
		wolfSSL_CTX_free(ctx);
		return ret;
	}
	*out = ctx;
	return 0;
}

int tow__quic_crypto_init(struct tow__quic_crypto *crypto, const struct tow_node_key *key,
                          const char *alpn, struct tow_error *err)
{
	int ret;

	memset(crypto, 0, sizeof(*crypto));
	if (strlen(alpn) >= sizeof(crypto->alpn) || alpn[0] == '\0')
		return tow_error_set(err, TOW_EINVAL, "ALPN identifier of the wrong length");
	memcpy(crypto->alpn, alpn, strlen(alpn) + 1);
	wolfSSL_Init();
	tow_hash(tow_slice_of("towonel quic stateless reset"), key->seed, sizeof(key->seed),
	         crypto->reset_key);
	tow_hash(tow_slice_of("towonel quic retry"), key->seed, sizeof(key->seed),
	         crypto->retry_key);
	ret = context_new(1, key, &crypto->server, err);
	if (ret == 0)
		ret = context_new(0, key, &crypto->client, err);
	if (ret != 0)
		tow__quic_crypto_deinit(crypto);
	return ret;
}

void tow__quic_crypto_deinit(struct tow__quic_crypto *crypto)
{
	if (crypto->server)
		wolfSSL_CTX_free(crypto->server);
	if (crypto->client)
		wolfSSL_CTX_free(crypto->client);
	tow_wipe(crypto, sizeof(*crypto));
}

WOLFSSL *tow__quic_session_new(struct tow__quic_crypto *crypto, int server,
                               struct tow__quic_peer *peer, ngtcp2_crypto_conn_ref *ref)
{
	WOLFSSL *session = wolfSSL_new(server ? crypto->server : crypto->client);

	if (!session)
		return NULL;
	wolfSSL_SetCertCbCtx(session, peer);
	wolfSSL_set_app_data(session, ref);
	/* The select callback of the OpenSSL API is not called in every build; this is. */
	if (wolfSSL_UseALPN(session, crypto->alpn, (unsigned)strlen(crypto->alpn),
	                    WOLFSSL_ALPN_FAILED_ON_MISMATCH) != WOLFSSL_SUCCESS) {
		wolfSSL_free(session);
		return NULL;
	}
	if (server)
		wolfSSL_set_accept_state(session);
	else
		wolfSSL_set_connect_state(session);
	wolfSSL_set_quic_transport_version(session, 0x39); /* QUIC v1 */
	return session;
}

int tow__quic_session_check(struct tow__quic_crypto *crypto, WOLFSSL *session,
                            const struct tow__quic_peer *peer)
{
	char *name = NULL;
	unsigned short len = 0;

	if (!peer->known || peer->refused)
		return TOW_EAUTH;
	/* A peer that offered no ALPN at all gets through wolfSSL's check. */
	if (wolfSSL_ALPN_GetProtocol(session, &name, &len) != WOLFSSL_SUCCESS || !name ||
	    len != strlen(crypto->alpn) || memcmp(name, crypto->alpn, len) != 0)
		return TOW_EAUTH;
	return 0;
}

void tow__quic_reset_token(const struct tow__quic_crypto *crypto, const uint8_t *cid, size_t len,
                           uint8_t token[16])
{
	uint8_t hash[TOW_HASH_SIZE];

	tow_hash(tow_slice_make(cid, len), crypto->reset_key, sizeof(crypto->reset_key), hash);
	memcpy(token, hash, 16);
}

/*
 * Packet protection. ngtcp2's helper drives wolfSSL's EVP interface: five calls per packet, which
 * look up the cipher, buffer blocks and clear state each time. For AES the key schedule that EVP
 * has made is used directly, in one call; other ciphers take the helper's way.
 */

#define TAG_SIZE 16

static Aes *aes_gcm_of(void *native_handle)
{
	WOLFSSL_EVP_CIPHER_CTX *ctx = native_handle;

	return ctx->cipherType == WC_AES_128_GCM_TYPE || ctx->cipherType == WC_AES_256_GCM_TYPE
	               ? &ctx->cipher.aes
	               : NULL;
}

int tow__quic_encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                      const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *plain, size_t len,
                      const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len)
{
	Aes *aes = aes_gcm_of(ctx->native_handle);

	if (!aes)
		return ngtcp2_crypto_encrypt_cb(dest, aead, ctx, plain, len, nonce, nonce_len, aad,
		                                aad_len);
	return wc_AesGcmEncrypt(aes, dest, plain, (word32)len, nonce, (word32)nonce_len, dest + len,
	                        TAG_SIZE, aad, (word32)aad_len) == 0
	               ? 0
	               : NGTCP2_ERR_CALLBACK_FAILURE;
}

int tow__quic_decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                      const ngtcp2_crypto_aead_ctx *ctx, const uint8_t *sealed, size_t len,
                      const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len)
{
	Aes *aes = aes_gcm_of(ctx->native_handle);

	if (!aes)
		return ngtcp2_crypto_decrypt_cb(dest, aead, ctx, sealed, len, nonce, nonce_len, aad,
		                                aad_len);
	if (len < TAG_SIZE)
		return NGTCP2_ERR_DECRYPT;
	len -= TAG_SIZE;
	return wc_AesGcmDecrypt(aes, dest, sealed, (word32)len, nonce, (word32)nonce_len,
	                        sealed + len, TAG_SIZE, aad, (word32)aad_len) == 0
	               ? 0
	               : NGTCP2_ERR_DECRYPT;
}

int tow__quic_hp_mask(uint8_t *dest, const ngtcp2_crypto_cipher *hp,
                      const ngtcp2_crypto_cipher_ctx *hp_ctx, const uint8_t *sample)
{
	WOLFSSL_EVP_CIPHER_CTX *ctx = hp_ctx->native_handle;

	if (ctx->cipherType != WC_AES_128_ECB_TYPE && ctx->cipherType != WC_AES_256_ECB_TYPE)
		return ngtcp2_crypto_hp_mask_cb(dest, hp, hp_ctx, sample);
	return wc_AesEcbEncrypt(&ctx->cipher.aes, dest, sample, NGTCP2_HP_SAMPLELEN) == 0
	               ? 0
	               : NGTCP2_ERR_CALLBACK_FAILURE;
}
