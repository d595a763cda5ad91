/* SPDX-License-Identifier: MIT */
/*
 * Signs whatever a test makes up, with the key of a seed in base64url:
 *
 *   sign_tool SEED ids                               node id and tenant id
 *   sign_tool SEED jws                               each line of standard input, as a signed entry
 *   sign_tool SEED node-request DOMAIN TIME_MS       the body on standard input: the header's value
 *   sign_tool SEED tenant-request DOMAIN TIME_MS     the same, as a tenant
 */
#include <towonel/wire.h>
#include <towonel/wire/request_signature.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t input[1 << 20];
static struct tow_slice body;

static int jws(const struct tow_tenant_key *key, struct tow_slice line)
{
	static const char header[] = "{\"alg\":\"ML-DSA-65\"}";
	static char payload[TOW_BASE64URL_SIZE(sizeof input)], message[sizeof payload + 64];
	char protected_[TOW_BASE64URL_SIZE(sizeof header - 1)];
	char text[TOW_BASE64URL_SIZE(TOW_MLDSA_SIGNATURE_SIZE)];
	uint8_t signature[TOW_MLDSA_SIGNATURE_SIZE];

	tow_base64url_encode(header, sizeof header - 1, protected_);
	tow_base64url_encode(line.base, line.len, payload);
	snprintf(message, sizeof message, "%s.%s", protected_, payload);
	if (tow_tenant_key_sign(key, tow_slice_of(message), signature) != 0)
		return 1;
	printf("{\"payload\":\"%s\",\"protected\":\"%s\",\"signature\":\"%s\"}\n", payload,
	       protected_, tow_base64url_encode(signature, sizeof signature, text));
	return 0;
}

static int jws_each(const struct tow_tenant_key *key)
{
	int status = 0;

	while (!status && body.len) {
		const uint8_t *end = memchr(body.base, '\n', body.len);
		size_t len = end ? (size_t)(end - body.base) : body.len;

		status = jws(key, tow_slice_make(body.base, len));
		len += end != NULL;
		body = tow_slice_make(body.base + len, body.len - len);
	}
	return status;
}

static int run(const struct tow_tenant_key *tenant, const struct tow_node_key *node, char **words)
{
	char header[TOW_TENANT_REQUEST_SIGNATURE_SIZE], node_text[TOW_ID_TEXT_SIZE],
		tenant_text[TOW_ID_TEXT_SIZE];

	if (strcmp(words[0], "ids") == 0) {
		printf("%s\n%s\n", tow_id_format(&node->id, node_text),
		       tow_id_format(tow_tenant_key_id(tenant), tenant_text));
		return 0;
	}
	if (strcmp(words[0], "jws") == 0)
		return jws_each(tenant);
	if (!words[1] || !words[2])
		return 2;
	if (strcmp(words[0], "node-request") == 0)
		tow_request_sign(node, words[1], strtoull(words[2], NULL, 10), body, header);
	else if (tow_tenant_request_sign(tenant, words[1], strtoull(words[2], NULL, 10), body,
	                                 header) != 0)
		return 1;
	puts(header);
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t seed[TOW_SEED_SIZE];
	struct tow_tenant_key *tenant = NULL;
	struct tow_node_key node;
	int status;

	if (argc < 3 ||
	    tow_base64url_decode(tow_slice_of(argv[1]), seed, sizeof seed) != sizeof seed ||
	    tow_tenant_key_new(seed, &tenant) != 0) {
		fprintf(stderr, "usage: sign_tool SEED ids | jws | node-request DOMAIN TIME |"
		                " tenant-request DOMAIN TIME\n");
		return 2;
	}
	tow_node_key_from_seed(seed, &node);
	if (strcmp(argv[2], "ids") != 0)
		body = tow_slice_make(input, fread(input, 1, sizeof input, stdin));
	status = run(tenant, &node, argv + 2);
	tow_tenant_key_free(tenant);
	return status;
}
