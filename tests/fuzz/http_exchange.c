/* SPDX-License-Identifier: MIT */

/*
 * Bytes of a visitor through an exchange: whatever they are and however they are cut, what goes on
 * is what llhttp reads as requests of one host, and a second exchange passes it on as it is.
 */

#include "http/exchange.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NAME   "app.test"
#define SECOND 1000000000ULL

struct reading {
	int hosts, requests, in_body, fields;
	int most_fields; /* of any request */
	char name[32];
	size_t name_len;
};

static int on_begin(llhttp_t *parser)
{
	struct reading *r = parser->data;

	r->hosts = r->in_body = r->fields = 0;
	r->requests++;
	return 0;
}

static int on_name(llhttp_t *parser, const char *text, size_t len)
{
	struct reading *r = parser->data;

	for (size_t i = 0; i < len && r->name_len < sizeof(r->name) - 1; i++)
		r->name[r->name_len++] = text[i];
	return 0;
}

static int on_name_end(llhttp_t *parser)
{
	struct reading *r = parser->data;

	r->name[r->name_len] = '\0';
	r->name_len = 0;
	r->hosts += strcasecmp(r->name, "host") == 0;
	assert(!r->in_body || strcasecmp(r->name, "host") != 0);
	if (++r->fields > r->most_fields)
		r->most_fields = r->fields;
	return 0;
}

static int on_head_end(llhttp_t *parser)
{
	struct reading *r = parser->data;

	assert(r->hosts == 1);
	r->in_body = 1;
	return 0;
}

/* A reader that is strict in nothing where ours is. Returns the most fields that a request has. */
static int read_requests(struct tow_slice bytes)
{
	static const llhttp_settings_t settings = {
		.on_message_begin = on_begin,
		.on_header_field = on_name,
		.on_header_field_complete = on_name_end,
		.on_headers_complete = on_head_end,
	};
	struct reading reading = { .hosts = 0 };
	llhttp_t parser;
	enum llhttp_errno error;

	llhttp_init(&parser, HTTP_REQUEST, &settings);
	llhttp_set_lenient_keep_alive(&parser, 1);
	parser.data = &reading;
	error = llhttp_execute(&parser, (const char *)bytes.base, bytes.len);
	assert(error == HPE_OK || error == HPE_PAUSED_UPGRADE);
	return reading.most_fields;
}

/* Returns as the exchange. */
static int pass(struct tow_slice bytes, size_t piece, struct tow_buf *out)
{
	struct tow_addr visitor = { .family = 4, .bytes = { 192, 0, 2, 7 } };
	struct exchange *x = tow__exchange_new(NAME, &visitor, SECOND);
	struct tow_buf tail = { NULL, 0, 0, 0 };
	int rc = 0;

	while (bytes.len > 0 && rc == 0) {
		size_t n = bytes.len < piece ? bytes.len : piece;

		rc = tow__exchange_from_visitor(x, SECOND, tow_slice_make(bytes.base, n), out);
		bytes = tow_slice_make(bytes.base + n, bytes.len - n);
	}
	if (rc == TOW_EOF)
		tow__exchange_from_origin(x, SECOND, tow_slice_make(NULL, 0), 1, &tail);
	tow_buf_deinit(&tail);
	tow__exchange_free(x);
	return rc;
}

static void answers(struct tow_slice bytes)
{
	static const char requests[] =
		"HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\nGET / HTTP/1.1\r\n"
		"Host: app.test\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
	struct tow_addr visitor = { .family = 4, .bytes = { 192, 0, 2, 7 } };
	struct exchange *x = tow__exchange_new(NAME, &visitor, SECOND);
	struct tow_buf out = { NULL, 0, 0, 0 }, tail = { NULL, 0, 0, 0 };

	tow__exchange_from_visitor(x, SECOND, tow_slice_of(requests), &out);
	tow__exchange_from_origin(x, SECOND, bytes, 0, &tail);
	tow__exchange_from_visitor(x, SECOND, tow_slice_of(requests), &out);
	tow__exchange_from_origin(x, SECOND, bytes, 1, &tail);
	tow_buf_deinit(&out);
	tow_buf_deinit(&tail);
	tow__exchange_free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_slice bytes = tow_slice_make(data, size);
	struct tow_buf once = { NULL, 0, 0, 0 }, twice = { NULL, 0, 0, 0 }, cut = { NULL, 0, 0, 0 };
	int rc = pass(bytes, SIZE_MAX, &once);
	int fields = read_requests(tow_buf_peek(&once));

	/* A body that was refused in its middle is no whole request, but all of it is passed on,
	 * unless what was added is beyond the limits. */
	pass(tow_buf_peek(&once), SIZE_MAX, &twice);
	if (fields <= TOW_REQUEST_FIELDS_MAX && tow_buf_len(&once) <= TOW_REQUEST_HEAD_MAX)
		assert(tow_slice_equal(tow_buf_peek(&once), tow_buf_peek(&twice)));
	assert(pass(bytes, 1, &cut) == rc);
	read_requests(tow_buf_peek(&cut));
	answers(bytes);
	tow_buf_deinit(&once);
	tow_buf_deinit(&twice);
	tow_buf_deinit(&cut);
	return 0;
}
