/* SPDX-License-Identifier: MIT */

#include "http/requests.h"

#include <assert.h>
#include <string.h>
#include <towonel/wire/limits.h>

/* --- llhttp's callbacks, of a body and of its trailer --- */

static struct requests *of(llhttp_t *parser)
{
	return parser->data;
}

static int keep(struct requests *r, int rc)
{
	r->rc = rc;
	return rc == 0 ? 0 : HPE_USER;
}

static int on_headers_complete(llhttp_t *parser)
{
	struct requests *r = of(parser);
	int chunked = (parser->flags & F_CHUNKED) != 0;
	uint64_t length = (parser->flags & F_CONTENT_LENGTH) != 0 ? parser->content_length : 0;

	if (chunked != r->head.chunked || (!chunked && length != r->head.length))
		return HPE_USER;
	tow_buf_clear(&r->collected);
	return 0;
}

static int on_body(llhttp_t *parser, const char *bytes, size_t len)
{
	struct requests *r = of(parser);
	int rc = r->head.chunked ? tow_buf_printf(r->to, "%zx\r\n", len) : 0;

	if (rc == 0)
		rc = tow_buf_append(r->to, bytes, len);
	if (rc == 0 && r->head.chunked)
		rc = tow_buf_append(r->to, "\r\n", 2);
	return keep(r, rc);
}

/* The head's fields come here too, but are not looked at again. */
static int on_field_name(llhttp_t *parser, const char *bytes, size_t len)
{
	struct requests *r = of(parser);

	if (r->state != REQUESTS_BODY)
		return 0;
	if (!r->in_name)
		r->trailer_name = tow_buf_len(&r->collected);
	r->in_name = 1;
	if (tow_buf_len(&r->collected) + len > TOW_REQUEST_TRAILER_MAX)
		return HPE_USER;
	return keep(r, tow_buf_append(&r->collected, bytes, len));
}

static int on_field_name_end(llhttp_t *parser)
{
	struct requests *r = of(parser);

	if (r->state != REQUESTS_BODY)
		return 0;
	r->in_name = 0;
	return keep(r, tow_buf_append(&r->collected, ": ", 2));
}

static int on_field_value(llhttp_t *parser, const char *bytes, size_t len)
{
	struct requests *r = of(parser);

	if (r->state != REQUESTS_BODY)
		return 0;
	if (tow_buf_len(&r->collected) + len > TOW_REQUEST_TRAILER_MAX)
		return HPE_USER;
	for (size_t i = 0; i < len; i++) {
		if ((uint8_t)bytes[i] < ' ' && bytes[i] != '\t')
			return HPE_USER;
	}
	return keep(r, tow_buf_append(&r->collected, bytes, len));
}

static int on_field_value_end(llhttp_t *parser)
{
	struct requests *r = of(parser);
	struct tow_slice name = tow_buf_peek(&r->collected);
	const uint8_t *colon;

	if (r->state != REQUESTS_BODY)
		return 0;
	name = tow_slice_make(name.base + r->trailer_name, name.len - r->trailer_name);
	colon = memchr(name.base, ':', name.len);
	assert(colon != NULL);
	name.len = (size_t)(colon - name.base);
	if (!tow__request_trailer_allowed(name)) {
		r->collected.tail = r->collected.head + r->trailer_name;
		return 0;
	}
	return keep(r, tow_buf_append(&r->collected, "\r\n", 2));
}

static int on_message_complete(llhttp_t *parser)
{
	struct requests *r = of(parser);
	int rc = 0;

	r->complete = 1;
	if (r->head.chunked) {
		rc = tow_buf_append(r->to, "0\r\n", 3);
		if (rc == 0)
			rc = tow_buf_append(r->to, tow_buf_peek(&r->collected).base,
			                    tow_buf_len(&r->collected));
		if (rc == 0)
			rc = tow_buf_append(r->to, "\r\n", 2);
	}
	return keep(r, rc) != 0 ? HPE_USER : HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_header_field = on_field_name,
	.on_header_field_complete = on_field_name_end,
	.on_header_value = on_field_value,
	.on_header_value_complete = on_field_value_end,
	.on_message_complete = on_message_complete,
};

/* --- states --- */

void tow__requests_init(struct requests *r, const struct http_place *place)
{
	*r = (struct requests){ .place = *place };
}

void tow__requests_deinit(struct requests *r)
{
	tow_buf_deinit(&r->collected);
}

void tow__requests_refuse(struct requests *r, unsigned status)
{
	r->refused_inside = r->state == REQUESTS_BODY;
	r->state = REQUESTS_REFUSED;
	r->status = status;
	tow_buf_deinit(&r->collected);
}

static int refuse(struct requests *r, unsigned status)
{
	tow__requests_refuse(r, status);
	return TOW_EHTTP;
}

static void next_request(struct requests *r)
{
	tow_buf_deinit(&r->collected);
	r->searched = 0;
	r->empty_lines = 0;
	r->state = r->head.upgrade ? REQUESTS_UPGRADING : REQUESTS_HEAD;
}

/* Runs llhttp. Returns 0, TOW_EHTTP, TOW_ENOMEM. */
static int run(struct requests *r, struct tow_slice bytes, size_t *taken)
{
	enum llhttp_errno error = llhttp_execute(&r->parser, (const char *)bytes.base, bytes.len);

	*taken = bytes.len;
	if (r->rc != 0)
		return r->rc;
	if (error == HPE_OK)
		return 0;
	if (!r->complete)
		return refuse(r, error == HPE_INVALID_METHOD ? 501 : 400);
	*taken = (size_t)(llhttp_get_error_pos(&r->parser) - (const char *)bytes.base);
	return 0;
}

/* The head is complete: both readings of it, and the next state. */
static int end_head(struct requests *r, struct tow_buf *to)
{
	struct tow_slice head = tow_buf_peek(&r->collected);
	size_t before = tow_buf_len(to), taken;
	struct tow_buf text = r->collected;
	int rc = tow__request_head_rewrite(head, &r->place, &r->head, to);

	if (rc == 0) {
		llhttp_init(&r->parser, HTTP_REQUEST, &settings);
		r->parser.data = r;
		r->rc = r->complete = 0;
		r->collected = (struct tow_buf){ NULL, 0, 0, 0 };
		r->in_name = 0;
		rc = run(r, head, &taken);
		if (rc == 0 && r->complete && taken != head.len)
			rc = refuse(r, 400);
		tow_buf_deinit(&text);
	} else if (rc == TOW_EHTTP) {
		rc = refuse(r, r->head.status);
	}
	if (rc != 0) {
		to->tail = to->head + before; /* nothing of it goes on */
		return rc;
	}
	if (r->complete)
		next_request(r);
	else
		r->state = REQUESTS_BODY;
	return TOW_MORE;
}

/* Empty lines before a request are a habit of old clients (RFC 9112 section 2.2). Returns 0,
 * TOW_EHTTP, TOW_ENOMEM. */
static int skip_empty_lines(struct requests *r, struct tow_slice bytes, size_t *skipped)
{
	size_t n = 0;

	for (; n < bytes.len && tow_buf_len(&r->collected) < 2; n++) {
		int in_line = tow_buf_len(&r->collected) == 1;

		if (!in_line && bytes.base[n] != '\r')
			break;
		if (in_line &&
		    (bytes.base[n] != '\n' || ++r->empty_lines > TOW_REQUEST_EMPTY_LINES_MAX))
			return refuse(r, 400);
		tow_buf_clear(&r->collected);
		if (!in_line && tow_buf_append(&r->collected, "\r", 1) != 0)
			return TOW_ENOMEM;
	}
	*skipped = n;
	return 0;
}

static int feed_head(struct requests *r, struct tow_slice bytes, size_t *taken, struct tow_buf *to)
{
	size_t skipped = 0, before, len, from;
	const uint8_t *end;
	struct tow_slice all;
	int rc = 0;

	if (tow_buf_len(&r->collected) < 2 && r->searched == 0)
		rc = skip_empty_lines(r, bytes, &skipped);
	if (rc != 0)
		return rc;
	before = tow_buf_len(&r->collected);
	bytes = tow_slice_make(bytes.base + skipped, bytes.len - skipped);
	len = bytes.len;
	if (len > TOW_REQUEST_HEAD_MAX + 1 - before)
		len = TOW_REQUEST_HEAD_MAX + 1 - before;
	*taken = skipped;
	if (len == 0)
		return 0;
	if (tow_buf_append(&r->collected, bytes.base, len) != 0)
		return TOW_ENOMEM;
	all = tow_buf_peek(&r->collected);
	from = r->searched > 3 ? r->searched - 3 : 0;
	end = memmem(all.base + from, all.len - from, "\r\n\r\n", 4);
	r->searched = all.len;
	if (end == NULL) {
		*taken += len;
		if (all.len > TOW_REQUEST_HEAD_MAX)
			return refuse(r, 431);
		return 0;
	}
	*taken += (size_t)(end - all.base) + 4 - before;
	r->collected.tail = r->collected.head + (size_t)(end - all.base) + 4;
	return end_head(r, to);
}

static int feed_body(struct requests *r, struct tow_slice bytes, size_t *taken)
{
	int rc = run(r, bytes, taken);

	if (rc == 0 && r->complete)
		next_request(r);
	return rc;
}

int tow__requests_feed(struct requests *r, struct tow_slice bytes, size_t *taken,
                       struct tow_buf *to)
{
	size_t n = 0;
	int rc = 0;

	r->to = to;
	*taken = 0;
	while (rc == 0 && *taken < bytes.len) {
		struct tow_slice rest = tow_slice_make(bytes.base + *taken, bytes.len - *taken);

		switch (r->state) {
		case REQUESTS_HEAD: rc = feed_head(r, rest, &n, to); break;
		case REQUESTS_BODY: rc = feed_body(r, rest, &n); break;
		case REQUESTS_RAW:
			n = rest.len;
			rc = tow_buf_append(to, rest.base, rest.len);
			break;
		case REQUESTS_UPGRADING: return TOW_BLOCKED;
		case REQUESTS_REFUSED: return TOW_EHTTP;
		}
		*taken += n;
	}
	return rc;
}

void tow__requests_upgraded(struct requests *r, int accepted)
{
	if (r->state == REQUESTS_UPGRADING)
		r->state = accepted ? REQUESTS_RAW : REQUESTS_HEAD;
}

int tow__requests_partial(const struct requests *r)
{
	return r->state == REQUESTS_BODY ||
	       (r->state == REQUESTS_HEAD && tow_buf_len(&r->collected) > 0);
}
