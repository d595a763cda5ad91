/* SPDX-License-Identifier: MIT */

#include "http/short_answer.h"

#include <string.h>
#include <strings.h>
#include <towonel/wire/error.h>

static int stop(struct short_answer *a, int rc)
{
	a->rc = rc;
	return HPE_USER;
}

/* What an interim answer said is not what is waited for. */
static int on_begin(llhttp_t *parser)
{
	struct short_answer *a = parser->data;

	a->content_type[0] = a->location[0] = '\0';
	return 0;
}

static int on_field(llhttp_t *parser, const char *text, size_t len)
{
	struct short_answer *a = parser->data;
	size_t used = strnlen(a->name, sizeof(a->name));

	if (len > sizeof(a->name) - used)
		len = sizeof(a->name) - used;
	memcpy(a->name + used, text, len);
	return 0;
}

static int on_field_end(llhttp_t *parser)
{
	struct short_answer *a = parser->data;

	a->value = NULL;
	a->value_len = 0;
	if (strncasecmp(a->name, "Content-Type", sizeof(a->name)) == 0) {
		a->value = a->content_type;
		a->value_size = sizeof(a->content_type);
	} else if (strncasecmp(a->name, "Location", sizeof(a->name)) == 0) {
		a->value = a->location;
		a->value_size = sizeof(a->location);
	}
	memset(a->name, 0, sizeof(a->name));
	return 0;
}

static int on_value(llhttp_t *parser, const char *text, size_t len)
{
	struct short_answer *a = parser->data;

	if (a->value == NULL)
		return 0;
	if (len >= a->value_size - a->value_len)
		return stop(a, TOW_ETOOBIG);
	memcpy(a->value + a->value_len, text, len);
	a->value_len += len;
	a->value[a->value_len] = '\0';
	return 0;
}

static int on_body(llhttp_t *parser, const char *bytes, size_t len)
{
	struct short_answer *a = parser->data;

	return tow_buf_append(&a->body, bytes, len) == 0 ? 0 : stop(a, TOW_ENOMEM);
}

static int on_end(llhttp_t *parser)
{
	struct short_answer *a = parser->data;

	if (parser->status_code < 200)
		return 0;
	a->status = parser->status_code;
	return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
	.on_message_begin = on_begin,
	.on_header_field = on_field,
	.on_header_field_complete = on_field_end,
	.on_header_value = on_value,
	.on_body = on_body,
	.on_message_complete = on_end,
};

void tow__short_answer_init(struct short_answer *a)
{
	memset(a, 0, sizeof(*a));
	llhttp_init(&a->parser, HTTP_RESPONSE, &callbacks);
	a->parser.data = a;
}

void tow__short_answer_deinit(struct short_answer *a)
{
	tow_buf_deinit(&a->body);
}

int tow__short_answer_feed(struct short_answer *a, struct tow_slice bytes, int fin)
{
	llhttp_errno_t rc = HPE_OK;

	if (bytes.len > TOW_SHORT_ANSWER_MAX - a->total)
		return TOW_ETOOBIG;
	a->total += bytes.len;
	if (bytes.len > 0)
		rc = llhttp_execute(&a->parser, (const char *)bytes.base, bytes.len);
	if (rc == HPE_OK && fin)
		rc = llhttp_finish(&a->parser);
	if (a->status != 0)
		return 0;
	if (rc == HPE_USER)
		return a->rc;
	return rc == HPE_OK && !fin ? TOW_MORE : TOW_EPARSE;
}
