/* SPDX-License-Identifier: MIT */

#include "http/responses.h"

#include <assert.h>

static int on_message_begin(llhttp_t *parser)
{
	struct responses *r = parser->data;

	r->begun = 1;
	return 0;
}

/* Returns 1 when there is no body, whatever the fields say (RFC 9112 section 6.3). */
static int on_headers_complete(llhttp_t *parser)
{
	struct responses *r = parser->data;

	if (parser->status_code == 101)
		r->upgraded = r->count > 0 && r->open[r->first].upgrade;
	return r->count > 0 && r->open[r->first].is_head;
}

static int on_message_complete(llhttp_t *parser)
{
	struct responses *r = parser->data;

	r->begun = 0;
	if (parser->status_code < 200 || r->count == 0) /* more will follow; or nobody has asked */
		return 0;
	r->closes = !llhttp_should_keep_alive(parser);
	r->first = (r->first + 1) % TOW_REQUESTS_OPEN_MAX;
	r->count--;
	return 0;
}

static const llhttp_settings_t settings = {
	.on_message_begin = on_message_begin,
	.on_headers_complete = on_headers_complete,
	.on_message_complete = on_message_complete,
};

void tow__responses_init(struct responses *r)
{
	*r = (struct responses){ .count = 0 };
	llhttp_init(&r->parser, HTTP_RESPONSE, &settings);
	llhttp_set_lenient_headers(&r->parser, 1);
	llhttp_set_lenient_chunked_length(&r->parser, 1);
	llhttp_set_lenient_keep_alive(&r->parser, 1);
	llhttp_set_lenient_optional_cr_before_lf(&r->parser, 1);
	llhttp_set_lenient_optional_lf_after_cr(&r->parser, 1);
	llhttp_set_lenient_spaces_after_chunk_size(&r->parser, 1);
	r->parser.data = r;
}

void tow__responses_expect(struct responses *r, int is_head, int upgrade)
{
	size_t last = (r->first + r->count) % TOW_REQUESTS_OPEN_MAX;

	assert(r->count < TOW_REQUESTS_OPEN_MAX);
	r->open[last].is_head = is_head != 0;
	r->open[last].upgrade = upgrade != 0;
	r->count++;
}

void tow__responses_feed(struct responses *r, const void *bytes, size_t len)
{
	if (!r->lost && !r->upgraded && len > 0 && llhttp_execute(&r->parser, bytes, len) != HPE_OK)
		r->lost = !r->upgraded;
}

void tow__responses_end(struct responses *r)
{
	if (!r->lost && !r->upgraded)
		llhttp_finish(&r->parser);
}
