/* SPDX-License-Identifier: MIT */

#include "tls/acme_jws.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COORDINATE_SIZE 32
#define JWK_MAX         192

/* The public key as JSON, members in the order that RFC 7638 section 3 hashes. */
static const char *write_jwk(struct tow_ec_key *key, char out[JWK_MAX])
{
	char x[TOW_BASE64URL_SIZE(COORDINATE_SIZE)], y[TOW_BASE64URL_SIZE(COORDINATE_SIZE)];
	uint8_t point[TOW_EC_POINT_SIZE];

	tow_ec_key_public(key, point);
	tow_base64url_encode(point, COORDINATE_SIZE, x);
	tow_base64url_encode(point + COORDINATE_SIZE, COORDINATE_SIZE, y);
	snprintf(out, JWK_MAX, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x,
	         y);
	return out;
}

char *tow__acme_thumbprint(struct tow_ec_key *key, char out[ACME_THUMBPRINT_SIZE])
{
	char jwk[JWK_MAX];
	uint8_t hash[crypto_hash_sha256_BYTES];

	write_jwk(key, jwk);
	crypto_hash_sha256(hash, (const uint8_t *)jwk, strlen(jwk));
	return tow_base64url_encode(hash, sizeof(hash), out);
}

static int append_base64url(struct tow_buf *out, struct tow_slice bytes)
{
	char *room = (char *)tow_buf_reserve(out, TOW_BASE64URL_SIZE(bytes.len));

	if (room == NULL)
		return TOW_ENOMEM;
	tow_base64url_encode(bytes.base, bytes.len, room);
	tow_buf_commit(out, strlen(room));
	return 0;
}

/* The three parts of a JWS. What is signed is the first two with a dot between them. */
struct parts {
	struct tow_buf input;
	size_t header_len; /* of the encoded header */
};

static int encode(struct parts *parts, struct tow_slice header, struct tow_slice payload)
{
	int rc = append_base64url(&parts->input, header);

	parts->header_len = tow_buf_len(&parts->input);
	if (rc == 0)
		rc = tow_buf_append_text(&parts->input, ".");
	if (rc == 0)
		rc = append_base64url(&parts->input, payload);
	return rc;
}

static int assemble(const struct parts *parts, struct tow_slice signature, struct tow_buf *out)
{
	const char *input = (const char *)tow_buf_peek(&parts->input).base;
	size_t len = tow_buf_len(&parts->input);
	int rc =
		tow_buf_printf(out, "{\"protected\":\"%.*s\",\"payload\":\"%.*s\",\"signature\":\"",
	                       (int)parts->header_len, input, (int)(len - parts->header_len - 1),
	                       input + parts->header_len + 1);

	if (rc == 0)
		rc = append_base64url(out, signature);
	if (rc == 0)
		rc = tow_buf_append_text(out, "\"}");
	return rc;
}

/* Nonces and URLs have been checked to be plain: nothing in them needs escaping. */
static int write_header(const struct acme_jws *jws, struct tow_buf *out)
{
	char jwk[JWK_MAX];
	int rc;

	if (jws->kid != NULL)
		rc = tow_buf_printf(out, "{\"alg\":\"ES256\",\"kid\":\"%s\",", jws->kid);
	else
		rc = tow_buf_printf(out, "{\"alg\":\"ES256\",\"jwk\":%s,",
		                    write_jwk(jws->key, jwk));
	if (rc == 0)
		rc = tow_buf_printf(out, "\"nonce\":\"%s\",\"url\":\"%s\"}", jws->nonce, jws->url);
	return rc;
}

int tow__acme_jws_write(const struct acme_jws *jws, struct tow_buf *out)
{
	struct parts parts = { .header_len = 0 };
	struct tow_buf header = { NULL, 0, 0, 0 };
	uint8_t signature[TOW_EC_SIGNATURE_SIZE];
	int rc = write_header(jws, &header);

	if (rc == 0)
		rc = encode(&parts, tow_buf_peek(&header), jws->payload);
	if (rc == 0)
		rc = tow_ec_key_sign(jws->key, tow_buf_peek(&parts.input), signature);
	if (rc == 0)
		rc = assemble(&parts, tow_slice_make(signature, sizeof(signature)), out);
	tow_buf_deinit(&header);
	tow_buf_deinit(&parts.input);
	return rc;
}

int tow__acme_binding_write(struct tow_ec_key *key, const char *kid, struct tow_slice mac_key,
                            const char *url, struct tow_buf *out)
{
	struct parts parts = { .header_len = 0 };
	struct tow_buf header = { NULL, 0, 0, 0 };
	uint8_t mac[crypto_auth_hmacsha256_BYTES];
	crypto_auth_hmacsha256_state state;
	struct tow_slice input;
	char jwk[JWK_MAX];
	int rc = tow_buf_printf(&header, "{\"alg\":\"HS256\",\"kid\":\"%s\",\"url\":\"%s\"}", kid,
	                        url);

	if (rc == 0)
		rc = encode(&parts, tow_buf_peek(&header), tow_slice_of(write_jwk(key, jwk)));
	if (rc == 0) {
		input = tow_buf_peek(&parts.input);
		crypto_auth_hmacsha256_init(&state, mac_key.base, mac_key.len);
		crypto_auth_hmacsha256_update(&state, input.base, input.len);
		crypto_auth_hmacsha256_final(&state, mac);
		sodium_memzero(&state, sizeof(state));
		rc = assemble(&parts, tow_slice_make(mac, sizeof(mac)), out);
	}
	tow_buf_deinit(&header);
	tow_buf_deinit(&parts.input);
	return rc;
}
