/* SPDX-License-Identifier: MIT */
#include "http/peer_check.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "tls/identity_cert.h"
#include "tls/preferences.h"

#define SYSTEM_CA_FILE "/etc/ssl/certs/ca-certificates.crt"

void tow__peer_checks_deinit(struct tow__peer_checks *checks)
{
	while (checks->pins) {
		struct tow__pin *pin = checks->pins;
		checks->pins = pin->next;
		free(pin);
	}
	free(checks->ca_file);
	tow_node_key_wipe(&checks->key);
}

/* curl pins the hash of a SubjectPublicKeyInfo; for Ed25519 that is a fixed head and the key (RFC
 * 8410). */
static void format_for_curl(struct tow__pin *pin)
{
	static const uint8_t head[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
		                        0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
	uint8_t info[sizeof head + TOW_ID_SIZE], hash[crypto_hash_sha256_BYTES];

	memcpy(info, head, sizeof head);
	memcpy(info + sizeof head, pin->id.bytes, TOW_ID_SIZE);
	crypto_hash_sha256(hash, info, sizeof info);
	memcpy(pin->curl_text, "sha256//", 8);
	sodium_bin2base64(pin->curl_text + 8, sizeof pin->curl_text - 8, hash, sizeof hash,
	                  sodium_base64_VARIANT_ORIGINAL);
}

struct tow__pin *tow__peer_checks_pin(struct tow__peer_checks *checks, const struct tow_id *id)
{
	struct tow__pin *pin;

	for (pin = checks->pins; pin; pin = pin->next)
		if (tow_id_equal(&pin->id, id))
			return pin;
	pin = calloc(1, sizeof *pin);
	if (!pin)
		return NULL;
	pin->checks = checks;
	pin->id = *id;
	format_for_curl(pin);
	pin->next = checks->pins;
	checks->pins = pin;
	return pin;
}

/* wolfSSL asks once or twice for each certificate; the key decides every time. That the server has
 * the private half is shown by the handshake. */
static int check_pin(int preverify, WOLFSSL_X509_STORE_CTX *store)
{
	struct tow__pin *pin = store->userCtx;
	struct tow_id shown = { { 0 } };

	(void)preverify;
	if (!tow__identity_cert_of_peer(store, &shown) && tow_id_equal(&shown, &pin->id))
		return 1;
	pin->refused = true;
	pin->shown = shown;
	return 0;
}

static CURLcode prepare(struct tow__peer_checks *checks, WOLFSSL_CTX *ctx)
{
	if (tow__tls_prefer(ctx, TOW__TLS_CLIENT))
		return CURLE_SSL_CIPHER;
	if (checks->has_key && tow__identity_cert_install(ctx, &checks->key, NULL))
		return CURLE_SSL_CERTPROBLEM;
	return CURLE_OK;
}

static CURLcode by_pin(CURL *easy, void *ssl_ctx, void *user)
{
	struct tow__pin *pin = user;

	(void)easy;
	wolfSSL_CTX_set_verify(ssl_ctx, WOLFSSL_VERIFY_PEER, check_pin);
	wolfSSL_CTX_SetCertCbCtx(ssl_ctx, pin);
	return prepare(pin->checks, ssl_ctx);
}

static CURLcode by_chain(CURL *easy, void *ssl_ctx, void *user)
{
	struct tow__peer_checks *checks = user;

	(void)easy;
	if (checks->ca_file &&
	    wolfSSL_CTX_load_verify_locations(ssl_ctx, checks->ca_file, NULL) != WOLFSSL_SUCCESS)
		return CURLE_SSL_CACERT_BADFILE;
	return prepare(checks, ssl_ctx);
}

CURLcode tow__peer_checks_apply(struct tow__peer_checks *checks, CURL *easy, struct tow__pin *pin)
{
	CURLcode rc = CURLE_OK;
	void *user = pin ? (void *)pin : checks;

	if (pin)
		pin->refused = false;
	rc |= curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	rc |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	rc |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, pin ? 0L : 2L);
	rc |= curl_easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, pin ? pin->curl_text : NULL);
	rc |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	rc |= curl_easy_setopt(easy, CURLOPT_CAINFO, pin ? NULL : SYSTEM_CA_FILE);
	rc |= curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, pin ? by_pin : by_chain);
	rc |= curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, user);
	return rc;
}
