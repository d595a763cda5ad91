/* SPDX-License-Identifier: MIT */
/*
 * Requests one after the other, as on a kept-alive connection: fed whole, byte by byte, and in
 * pieces whose sizes come from the input. All three must see the same requests and end at the same
 * byte.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct tow_http_route routes[] = {
	{ "GET", "/v1/health", 0, 0, NULL },
	{ "POST", "/v1/entries", 256, 0, NULL },
	{ "DELETE", "/v1/invites/{id}/hostnames/{hostname}", 0, 0, NULL },
};
static const struct tow__request_rules rules = { routes, 3, NULL, 1024 };

struct outcome {
	size_t requests, consumed;
	int rc, status;
	uint8_t hash[TOW_HASH_SIZE]; /* of what the last whole request says */
};

/* Touches everything that a handler can ask. */
static void look(const struct tow_http_request *request, struct outcome *out)
{
	struct tow_slice body = tow_http_body(request);
	struct tow_buf all = { 0 };
	const char *texts[] = {
		tow_http_method(request),         tow_http_path(request),
		tow_http_header(request, "Host"), tow_http_header(request, "Authorization"),
		tow_http_param(request, "id"),    tow_http_param(request, "hostname"),
		tow_http_query(request, "limit"), tow_http_query(request, ""),
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (tow_buf_append_text(&all, texts[i] ? texts[i] : "\1") ||
		    tow_buf_append(&all, "", 1))
			abort();
	assert(body.len <= request->body_max);
	assert(strlen(tow_http_request_id(request)) <= TOW_REQUEST_ID_MAX);
	assert(request->refusal.status || tow_http_route_of(request));
	if (tow_buf_append(&all, body.base, body.len))
		abort();
	tow_hash(tow_buf_peek(&all), NULL, 0, out->hash);
	tow_buf_deinit(&all);
}

/* piece 0: everything at once; 1: byte by byte; 2: by the input's own bytes */
static void run(const uint8_t *bytes, size_t len, int piece, struct outcome *out)
{
	static const struct tow_addr peer = { 4, 1234, { 192, 0, 2, 1 } };

	memset(out, 0, sizeof *out);
	out->rc = TOW_MORE;
	while (out->consumed < len) {
		struct tow_http_request *request = tow__request_new(&rules, &peer);
		int rc = TOW_MORE;

		if (!request)
			abort();
		while (rc == TOW_MORE && out->consumed < len) {
			size_t left = len - out->consumed, n = left, consumed;
			if (piece)
				n = piece == 1 ? 1 : bytes[out->consumed] % 32 + 1u;
			if (n > left)
				n = left;
			rc = tow__request_feed(request, bytes + out->consumed, n, &consumed);
			assert(consumed <= n);
			assert(rc != TOW_MORE || consumed == n);
			out->consumed += consumed;
		}
		out->rc = rc;
		out->status = request->refusal.status;
		if (rc == 0) {
			out->requests++;
			look(request, out);
		}
		tow__request_free(request);
		if (rc == TOW_EHTTP)
			break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct outcome whole, other;

	run(bytes, len, 0, &whole);
	for (int piece = 1; piece < 3; piece++) {
		run(bytes, len, piece, &other);
		assert(whole.requests == other.requests);
		assert(!memcmp(whole.hash, other.hash, sizeof whole.hash));
		assert(whole.rc == other.rc);
		/* Of two faults in one piece either may be named. */
		if (whole.rc != TOW_EHTTP)
			assert(whole.status == other.status && whole.consumed == other.consumed);
	}
	return 0;
}
