/* SPDX-License-Identifier: MIT */
/*
 * Parsing is llhttp's, in its strict mode: what two parsers could read in two ways (a length
 * besides chunks, two lengths, bare CR or LF, white space before a colon) is refused, and the
 * connection ends with the answer. What is decided from the head alone (host, target, route, size
 * of the body) is decided at its end, before a byte of the body is taken.
 */
#include "http/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Chunk sizes, extensions and trailers, as a multiple of the body's limit and a bit. */
#define FRAMING_FACTOR 8
#define FRAMING_EXTRA  16384

static int refuse(struct tow_http_request *request, int status, const char *code,
                  const char *message)
{
	if (!request->refusal.status)
		request->refusal = (struct tow__refusal){ status, code, message };
	return HPE_USER;
}

static int refuse_for_memory(struct tow_http_request *request)
{
	return refuse(request, 503, "unavailable", "out of memory");
}

/* --- llhttp's callbacks, in the order they come --- */

static int add_text(struct tow_http_request *request, const char *text, size_t len)
{
	if (tow_buf_append(&request->head, text, len))
		return refuse_for_memory(request);
	return 0;
}

static int on_url(llhttp_t *parser, const char *text, size_t len)
{
	return add_text(parser->data, text, len);
}

static int end_text(llhttp_t *parser)
{
	return add_text(parser->data, "", 1);
}

/* Before anything that can be refused, so that an error can be answered to a HEAD as such. */
static int on_method_end(llhttp_t *parser)
{
	struct tow_http_request *request = parser->data;

	request->method = llhttp_method_name(llhttp_get_method(parser));
	return 0;
}

/* Trailers come through the same callbacks as header fields, after the body; they are dropped. */
static int on_field(llhttp_t *parser, const char *text, size_t len)
{
	struct tow_http_request *request = parser->data;

	if (request->progress != TOW__READING_HEAD)
		return 0;
	if (request->field_count == TOW_HTTP_HEADERS_COUNT_MAX)
		return refuse(request, 431, "invalid_request", "too many header fields");
	if (!request->in_field) { /* the first piece of a name */
		request->fields[request->field_count].name = (uint32_t)tow_buf_len(&request->head);
		request->in_field = true;
	}
	return add_text(request, text, len);
}

static int on_field_end(llhttp_t *parser)
{
	struct tow_http_request *request = parser->data;
	int rc;

	if (request->progress != TOW__READING_HEAD)
		return 0;
	rc = end_text(parser);
	request->fields[request->field_count].value = (uint32_t)tow_buf_len(&request->head);
	return rc;
}

static int on_value(llhttp_t *parser, const char *text, size_t len)
{
	struct tow_http_request *request = parser->data;

	return request->progress == TOW__READING_HEAD ? add_text(request, text, len) : 0;
}

static int on_value_end(llhttp_t *parser)
{
	struct tow_http_request *request = parser->data;
	struct tow__field *field = &request->fields[request->field_count];
	char *base, *end;

	if (request->progress != TOW__READING_HEAD)
		return 0;
	if (end_text(parser))
		return HPE_USER;
	/* optional white space behind a value is not part of it (RFC 9110 section 5.5) */
	base = (char *)request->head.base + field->value;
	end = (char *)request->head.base + request->head.tail - 1;
	while (end > base && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	request->in_field = false;
	request->field_count++;
	return 0;
}

static size_t count_fields(const struct tow_http_request *request, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < request->field_count; i++)
		count += !strcasecmp((char *)request->head.base + request->fields[i].name, name);
	return count;
}

/* Visible, and of characters that mean nothing to a log, a shell or a page. */
static bool is_request_id(const char *text)
{
	size_t len = strlen(text);

	return len && len <= TOW_REQUEST_ID_MAX &&
	       strspn(text,
	              "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:/+=@~") ==
	               len;
}

/* Errors here leave the framing of the message intact, so the connection may go on. */
static void judge_head(struct tow_http_request *request)
{
	const char *text = (const char *)request->head.base;
	const char *expect = tow_http_header(request, "Expect");
	const char *id = tow_http_header(request, "X-Request-Id");
	size_t hosts = count_fields(request, "Host");
	int rc;

	if (id && is_request_id(id))
		memcpy(request->id, id, strlen(id) + 1);
	if (hosts > 1 || (!hosts && request->parser.http_minor >= 1)) {
		refuse(request, 400, "invalid_request", "a request needs one Host header field");
		return;
	}
	if (expect && strcasecmp(expect, "100-continue")) {
		refuse(request, 417, "invalid_request", "this expectation cannot be met");
		return;
	}
	request->expects_continue = expect && request->parser.http_minor >= 1;
	rc = tow__target_parse(tow_slice_of(text), &request->target);
	if (rc == TOW_ENOMEM) {
		refuse_for_memory(request);
		return;
	}
	if (rc && !request->rules->fallback) {
		refuse(request, 400, "invalid_request", "the path or query is malformed");
		return;
	}
	if (!rc)
		rc = tow__route_find(request->rules->routes, request->rules->route_count,
		                     request->method, &request->target, &request->match);
	if (rc && request->rules->fallback) {
		request->match.route = request->rules->fallback;
		rc = 0;
	}
	if (rc == TOW_EDENIED)
		refuse(request, 405, "method_not_allowed", "this path does not have that method");
	else if (rc)
		refuse(request, 404, "not_found", "there is nothing at this path");
	else if (request->match.route->body_max)
		request->body_max = request->match.route->body_max;
}

static int on_head_end(llhttp_t *parser)
{
	struct tow_http_request *request = parser->data;
	bool has_body = parser->flags & F_CHUNKED || parser->content_length > 0;
	uint64_t expected;

	request->keep_alive = llhttp_should_keep_alive(parser) && parser->method != HTTP_CONNECT;
	parser->upgrade =
		0; /* a wish to speak something else is ignored, as RFC 9110 section 7.8 lets us */
	request->progress = TOW__READING_BODY;
	if (parser->http_major != 1)
		return refuse(request, 505, "invalid_request",
		              "only HTTP/1.0 and HTTP/1.1 are spoken here");
	if (parser->flags & F_CHUNKED && parser->http_minor == 0)
		return refuse(request, 400, "invalid_request", "HTTP/1.0 has no transfer codings");
	judge_head(request);
	if (!has_body)
		return 0;
	if (parser->flags & F_CONTENT_LENGTH && parser->content_length > request->body_max)
		refuse(request, 413, "payload_too_large",
		       "the body is larger than this path takes");
	if (request->refusal.status)
		return HPE_USER; /* the body is not read */
	/* Secrets are in small bodies, and these are not moved around as they grow. Room for a
	 * large one is made as it comes, not because somebody promised it. */
	expected = parser->flags & F_CONTENT_LENGTH ? parser->content_length : 0;
	if (expected > TOW_HTTP_BODY_MAX)
		expected = TOW_HTTP_BODY_MAX;
	if (!tow_buf_reserve(&request->body, (size_t)expected))
		return refuse_for_memory(request);
	return 0;
}

static int on_body(llhttp_t *parser, const char *bytes, size_t len)
{
	struct tow_http_request *request = parser->data;

	if (len > request->body_max - tow_buf_len(&request->body))
		return refuse(request, 413, "payload_too_large",
		              "the body is larger than this path takes");
	if (tow_buf_append(&request->body, bytes, len))
		return refuse_for_memory(request);
	return 0;
}

static int on_end(llhttp_t *parser)
{
	struct tow_http_request *request = parser->data;

	request->progress = TOW__WHOLE;
	return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
	.on_method_complete = on_method_end,
	.on_url = on_url,
	.on_url_complete = end_text,
	.on_header_field = on_field,
	.on_header_field_complete = on_field_end,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_end,
	.on_headers_complete = on_head_end,
	.on_body = on_body,
	.on_message_complete = on_end,
};

/* --- the request --- */

struct tow_http_request *tow__request_new(const struct tow__request_rules *rules,
                                          const struct tow_addr *peer)
{
	struct tow_http_request *request = calloc(1, sizeof *request);
	uint8_t id[12];

	if (!request)
		return NULL;
	request->rules = rules;
	request->peer = *peer;
	request->body_max = TOW_HTTP_BODY_MAX;
	request->method = "";
	tow_random(id, sizeof id);
	tow_hex_encode(id, sizeof id, request->id);
	llhttp_init(&request->parser, HTTP_REQUEST, &callbacks);
	request->parser.data = request;
	return request;
}

void tow__request_free(struct tow_http_request *request)
{
	if (!request)
		return;
	tow__target_deinit(&request->target);
	/* a head may hold an operator's key, a body an invite's secret */
	tow_buf_wipe(&request->head);
	tow_buf_wipe(&request->body);
	tow_buf_deinit(&request->extra);
	free(request);
}

static int syntax_error(struct tow_http_request *request)
{
	const char *reason = llhttp_get_error_reason(&request->parser);

	refuse(request, 400, "invalid_request", reason && *reason ? reason : "not an HTTP request");
	return TOW_EHTTP;
}

static size_t limit_now(struct tow_http_request *request)
{
	if (request->progress == TOW__READING_HEAD)
		return request->rules->head_max - request->head_size;
	return request->body_max * FRAMING_FACTOR + FRAMING_EXTRA - request->body_size;
}

/* One piece that does not go over a limit. */
static int feed_piece(struct tow_http_request *request, const char *bytes, size_t len,
                      size_t *consumed)
{
	bool in_head = request->progress == TOW__READING_HEAD;
	llhttp_errno_t rc = llhttp_execute(&request->parser, bytes, len);

	*consumed = len;
	if (rc != HPE_OK)
		*consumed = (size_t)(llhttp_get_error_pos(&request->parser) - bytes);
	if (in_head)
		request->head_size += *consumed;
	else
		request->body_size += *consumed;
	if (rc == HPE_PAUSED)
		return 0;
	if (rc == HPE_USER)
		return TOW_EHTTP;
	return rc == HPE_OK ? TOW_MORE : syntax_error(request);
}

int tow__request_feed(struct tow_http_request *request, const void *bytes, size_t len,
                      size_t *consumed)
{
	int rc = TOW_MORE;

	*consumed = 0;
	while (rc == TOW_MORE && *consumed < len) {
		size_t room = limit_now(request), piece = len - *consumed;
		if (!room) {
			if (request->progress == TOW__READING_HEAD)
				refuse(request, 431, "invalid_request",
				       "the header fields are too large");
			else
				refuse(request, 413, "payload_too_large",
				       "the body is sent in too many pieces");
			return TOW_EHTTP;
		}
		if (piece > room)
			piece = room;
		rc = feed_piece(request, (const char *)bytes + *consumed, piece, &piece);
		*consumed += piece;
	}
	return rc;
}

/* --- what the handler asks --- */

const char *tow_http_method(const struct tow_http_request *request)
{
	return request->method;
}

const char *tow_http_target(const struct tow_http_request *request)
{
	return (const char *)request->head.base;
}

const char *tow_http_path(const struct tow_http_request *request)
{
	return request->target.path ? request->target.path : "";
}

const struct tow_http_route *tow_http_route_of(const struct tow_http_request *request)
{
	return request->match.route;
}

struct tow_slice tow_http_body(const struct tow_http_request *request)
{
	return tow_buf_peek(&request->body);
}

const char *tow_http_header(const struct tow_http_request *request, const char *name)
{
	const char *texts = (const char *)request->head.base;

	for (size_t i = 0; i < request->field_count; i++)
		if (!strcasecmp(texts + request->fields[i].name, name))
			return texts + request->fields[i].value;
	return NULL;
}

static const char *find_param(const struct tow__param *params, size_t count, const char *name)
{
	struct tow_slice wanted = tow_slice_of(name);

	for (size_t i = 0; i < count; i++)
		if (tow_slice_equal(params[i].name, wanted))
			return params[i].value;
	return NULL;
}

const char *tow_http_param(const struct tow_http_request *request, const char *name)
{
	return find_param(request->match.params, request->match.param_count, name);
}

const char *tow_http_query(const struct tow_http_request *request, const char *name)
{
	return find_param(request->target.query, request->target.query_count, name);
}

const struct tow_addr *tow_http_peer(const struct tow_http_request *request)
{
	return &request->peer;
}

const char *tow_http_request_id(const struct tow_http_request *request)
{
	return request->id;
}
