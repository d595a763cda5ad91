/* SPDX-License-Identifier: MIT */
/*
 * Do these libraries do what towonel needs of them? Run once after they are
 * built, and for `make DEPS=system`. Exit code 1: something is missing. A slow
 * AES-GCM is told, and is no failure: it works, thirty times slower.
 */
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/dilithium.h>
#include <wolfssl/wolfcrypt/random.h>

#include <curl/curl.h>
#include <llhttp.h>
#include <nghttp3/nghttp3.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto_wolfssl.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PACKET = 1200, ROUNDS = 20000, ENOUGH_MB_PER_SECOND = 800 };

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double aes_gcm_mb_per_second(void)
{
	static unsigned char packet[PACKET];
	unsigned char key[16] = { 1 }, iv[12] = { 2 }, tag[16], head[16] = { 3 };
	double start;
	Aes aes;

	if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0 ||
	    wc_AesGcmSetKey(&aes, key, sizeof(key)) != 0)
		return 0;
	start = seconds();
	for (int i = 0; i < ROUNDS; i++) {
		if (wc_AesGcmEncrypt(&aes, packet, packet, PACKET, iv, sizeof(iv), tag, sizeof(tag),
				     head, sizeof(head)) != 0)
			return 0;
	}
	wc_AesFree(&aes);
	return (double)PACKET * ROUNDS / 1e6 / (seconds() - start);
}

static int has_mldsa65(void)
{
	static unsigned char signature[DILITHIUM_ML_DSA_65_SIG_SIZE];
	static const unsigned char seed[32] = { 7 }, message[] = "towonel";
	word32 length = sizeof(signature);
	dilithium_key key;
	WC_RNG rng;
	int verified = 0;

	if (wc_InitRng(&rng) != 0)
		return 0;
	if (wc_dilithium_init(&key) == 0) {
		if (wc_dilithium_set_level(&key, WC_ML_DSA_65) == 0 &&
		    wc_dilithium_make_key_from_seed(&key, seed) == 0 &&
		    wc_dilithium_sign_ctx_msg(NULL, 0, message, sizeof(message), signature, &length,
					      &key, &rng) == 0 &&
		    wc_dilithium_verify_ctx_msg(signature, length, NULL, 0, message,
						sizeof(message), &verified, &key) != 0)
			verified = 0;
		wc_dilithium_free(&key);
	}
	wc_FreeRng(&rng);
	return verified;
}

/* TLS 1.3 with the group and the ciphers of the tunnel, set up for QUIC. */
static int has_tunnel_tls(void)
{
	int groups[] = { WOLFSSL_X25519MLKEM768, WOLFSSL_ECC_X25519 };
	WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfTLSv1_3_server_method());
	int ok;

	if (ctx == NULL)
		return 0;
	ok = ngtcp2_crypto_wolfssl_configure_server_context(ctx) == 0 &&
	     wolfSSL_CTX_set_groups(ctx, groups, 2) == WOLFSSL_SUCCESS &&
	     wolfSSL_CTX_set_cipher_list(
		     ctx, "TLS13-AES128-GCM-SHA256:TLS13-CHACHA20-POLY1305-SHA256") ==
	             WOLFSSL_SUCCESS;
	wolfSSL_CTX_free(ctx);
	return ok;
}

static int claim(int holds, const char *what)
{
	if (!holds)
		printf("probe: %s is missing\n", what);
	return holds;
}

int main(void)
{
	const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
	llhttp_settings_t settings;
	double speed;
	int ok = 1;

	llhttp_settings_init(&settings);
	if (wolfSSL_Init() != WOLFSSL_SUCCESS)
		return 1;
	ok &= claim(has_mldsa65(), "ML-DSA-65 (FIPS 204)");
	ok &= claim(has_tunnel_tls(), "QUIC with X25519MLKEM768");
	ok &= claim((curl->features & CURL_VERSION_SSL) && strstr(curl->ssl_version, "wolfSSL"),
		    "libcurl on wolfSSL");
	ok &= claim((curl->features & CURL_VERSION_ASYNCHDNS) != 0, "libcurl's threaded resolver");
	ok &= claim(nghttp3_version(0) != NULL && ngtcp2_version(0) != NULL, "ngtcp2 or nghttp3");
	speed = aes_gcm_mb_per_second();
	printf("probe: wolfSSL %s, ngtcp2 %s, curl %s, nghttp3 %s, llhttp %d.%d; AES-128-GCM %.0f "
	       "MB/s\n",
	       LIBWOLFSSL_VERSION_STRING, ngtcp2_version(0)->version_str, curl->version,
	       nghttp3_version(0)->version_str, LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, speed);
	if (speed < ENOUGH_MB_PER_SECOND)
		printf("probe: this wolfSSL does not use AES instructions; tunnels will be slow\n");
	wolfSSL_Cleanup();
	return ok ? 0 : 1;
}
