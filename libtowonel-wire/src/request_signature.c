/* SPDX-License-Identifier: MIT */
#include <towonel/wire/request_signature.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SCHEME     "signature "
#define SCHEME_LEN (sizeof SCHEME - 1)
#define DIGITS_MAX 20

/* What is signed; every part after the domain has a fixed form, so no two requests share a text. */
struct signed_text {
	char text[256];
	size_t len;
};

static struct tow_slice compose(struct signed_text *out, const char *domain,
                                const struct tow_id *node_id, uint64_t timestamp_ms,
                                struct tow_slice body)
{
	char id[TOW_ID_TEXT_SIZE], hash_text[TOW_HEX_SIZE(TOW_HASH_SIZE)];
	uint8_t hash[TOW_HASH_SIZE];
	int len;

	tow_hash(body, NULL, 0, hash);
	len = snprintf(out->text, sizeof out->text, "%s/%s/%" PRIu64 "/%s", domain,
	               tow_id_format(node_id, id), timestamp_ms,
	               tow_hex_encode(hash, sizeof hash, hash_text));
	assert(len > 0 && (size_t)len < sizeof out->text); /* domains are the constants above */
	out->len = (size_t)len;
	return tow_slice_make(out->text, out->len);
}

void tow_request_sign(const struct tow_node_key *key, const char *domain, uint64_t timestamp_ms,
                      struct tow_slice body, char out[TOW_REQUEST_SIGNATURE_SIZE])
{
	char id[TOW_ID_TEXT_SIZE], text[TOW_BASE64URL_SIZE(TOW_ED25519_SIGNATURE_SIZE)];
	uint8_t signature[TOW_ED25519_SIGNATURE_SIZE];
	struct signed_text message;

	tow_node_key_sign(key, compose(&message, domain, &key->id, timestamp_ms, body), signature);
	snprintf(out, TOW_REQUEST_SIGNATURE_SIZE, "Signature %s.%" PRIu64 ".%s",
	         tow_id_format(&key->id, id), timestamp_ms,
	         tow_base64url_encode(signature, sizeof signature, text));
}

/* Decimal without leading zeros, so that each time has one spelling: each may be used once. */
static int parse_time(struct tow_slice text, uint64_t *out)
{
	uint64_t value = 0;

	if (!text.len || text.len > DIGITS_MAX || (text.len > 1 && text.base[0] == '0'))
		return TOW_EPARSE;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = text.base[i] - (unsigned)'0';
		if (digit > 9 || value > ((uint64_t)INT64_MAX - digit) / 10)
			return TOW_EPARSE;
		value = value * 10 + digit;
	}
	*out = value;
	return 0;
}

/* "Signature <id>.<ts ms>.<signature of size bytes>" */
static int parse(struct tow_slice value, struct tow_id *id, uint64_t *timestamp_ms,
                 uint8_t *signature, size_t size)
{
	const uint8_t *dot;
	size_t fixed = SCHEME_LEN + TOW_ID_TEXT_SIZE - 1, time_len;

	if (value.len <= fixed + 1)
		return TOW_EPARSE;
	/* schemes are compared without case: RFC 9110 section 11.1 */
	for (size_t i = 0; i < SCHEME_LEN; i++)
		if ((value.base[i] | 0x20) != SCHEME[i])
			return TOW_EPARSE;
	if (value.base[SCHEME_LEN - 1] != ' ' || value.base[fixed] != '.' ||
	    tow_id_parse(tow_slice_make(value.base + SCHEME_LEN, TOW_ID_TEXT_SIZE - 1), id))
		return TOW_EPARSE;
	value = tow_slice_make(value.base + fixed + 1, value.len - fixed - 1);
	dot = memchr(value.base, '.', value.len);
	if (!dot)
		return TOW_EPARSE;
	time_len = (size_t)(dot - value.base);
	if (parse_time(tow_slice_make(value.base, time_len), timestamp_ms))
		return TOW_EPARSE;
	if (tow_base64url_decode(tow_slice_make(dot + 1, value.len - time_len - 1), signature,
	                         size) != (int)size)
		return TOW_EPARSE;
	return 0;
}

int tow_request_signature_parse(struct tow_slice value, struct tow_request_signature *out)
{
	struct tow_request_signature s;

	if (value.len >= TOW_REQUEST_SIGNATURE_SIZE ||
	    parse(value, &s.node_id, &s.timestamp_ms, s.signature, sizeof s.signature))
		return TOW_EPARSE;
	*out = s;
	return 0;
}

int tow_request_signature_verify(const struct tow_request_signature *signature, const char *domain,
                                 struct tow_slice body)
{
	struct signed_text message;

	return tow_node_id_verify(
		&signature->node_id,
		compose(&message, domain, &signature->node_id, signature->timestamp_ms, body),
		signature->signature);
}

int tow_tenant_request_sign(const struct tow_tenant_key *key, const char *domain,
                            uint64_t timestamp_ms, struct tow_slice body,
                            char out[TOW_TENANT_REQUEST_SIGNATURE_SIZE])
{
	char id[TOW_ID_TEXT_SIZE], text[TOW_BASE64URL_SIZE(TOW_MLDSA_SIGNATURE_SIZE)];
	uint8_t signature[TOW_MLDSA_SIGNATURE_SIZE];
	struct signed_text message;
	int r = tow_tenant_key_sign(
		key, compose(&message, domain, tow_tenant_key_id(key), timestamp_ms, body),
		signature);

	if (!r)
		snprintf(out, TOW_TENANT_REQUEST_SIGNATURE_SIZE, "Signature %s.%" PRIu64 ".%s",
		         tow_id_format(tow_tenant_key_id(key), id), timestamp_ms,
		         tow_base64url_encode(signature, sizeof signature, text));
	return r;
}

int tow_tenant_request_signature_parse(struct tow_slice value,
                                       struct tow_tenant_request_signature *out)
{
	struct tow_tenant_request_signature s;

	if (value.len >= TOW_TENANT_REQUEST_SIGNATURE_SIZE ||
	    parse(value, &s.tenant_id, &s.timestamp_ms, s.signature, sizeof s.signature))
		return TOW_EPARSE;
	*out = s;
	return 0;
}

int tow_tenant_request_signature_verify(const struct tow_tenant_request_signature *signature,
                                        const uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE],
                                        const char *domain, struct tow_slice body)
{
	struct signed_text message;

	return tow_tenant_verify(
		public_key,
		compose(&message, domain, &signature->tenant_id, signature->timestamp_ms, body),
		tow_slice_make(signature->signature, sizeof signature->signature));
}
