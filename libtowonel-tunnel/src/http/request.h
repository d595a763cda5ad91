/* SPDX-License-Identifier: MIT */
#ifndef TOW__HTTP_REQUEST_H
#define TOW__HTTP_REQUEST_H

/*
 * A request on its way in: bytes go into tow__request_feed in pieces of any size until it is whole
 * or refused. No I/O and no clock here, so that the parsing can be fuzzed by itself.
 */

#include <llhttp.h>
#include <towonel/tunnel/http_server.h>
#include <towonel/wire/limits.h>

#include <stdbool.h>

#include "http/router.h"

struct tow__connection;

struct tow__request_rules {
	const struct tow_http_route *routes;
	size_t route_count;
	const struct tow_http_route *fallback; /* NULL: none */
	size_t head_max;
};

struct tow__field {
	uint32_t name, value; /* offsets in head */
};

struct tow__refusal {
	int status; /* 0: not refused */
	const char *code, *message;
};

struct tow_http_request {
	const struct tow__request_rules *rules;
	struct tow_http_server *server;
	struct tow__connection *connection; /* NULL: the client has gone */
	struct tow_addr peer;
	char id[TOW_REQUEST_ID_MAX + 1];

	llhttp_t parser;
	enum { TOW__READING_HEAD, TOW__READING_BODY, TOW__WHOLE } progress;
	size_t head_size; /* bytes read so far, of the head and of the whole body
	                   * with its framing */
	size_t body_size;
	size_t body_max;
	bool expects_continue;
	bool keep_alive; /* as far as the request is concerned */
	struct tow__refusal refusal;

	struct tow_buf head; /* the target, then names and values of the fields, each with a NUL */
	struct tow__field fields[TOW_HTTP_HEADERS_COUNT_MAX];
	size_t field_count;
	bool in_field; /* between the first byte of a name and the end of its value */
	const char *method;
	struct tow__target target;
	struct tow__route_match match;
	struct tow_buf body;

	struct tow_buf extra; /* header lines that the handler adds to the answer */
};

/* NULL: out of memory. */
struct tow_http_request *tow__request_new(const struct tow__request_rules *rules,
                                          const struct tow_addr *peer);
void tow__request_free(struct tow_http_request *request);

/* Returns 0 when the request is whole; TOW_MORE; TOW_EHTTP when the connection can't go on after
 * the answer. *consumed is how much belonged to this request. refusal tells, in all three cases,
 * whether the request is to be answered with an error without asking the handler. */
int tow__request_feed(struct tow_http_request *request, const void *bytes, size_t len,
                      size_t *consumed);

#endif
