/* SPDX-License-Identifier: MIT */
/* Reads the input as an event stream, at once and byte by byte, which must give the same events. */
#include <assert.h>
#include <string.h>

#include <towonel/wire/event_parser.h>

/* What an event was, so that two readings can be compared. */
static int take(void *user, const struct tow_event *event)
{
	struct tow_buf *told = user;

	assert(strlen(event->type) <= TOW_EVENT_WORD_MAX);
	assert(strlen(event->id) <= TOW_EVENT_WORD_MAX);
	assert(tow_buf_printf(told, "%s/%s/%zu/", event->type, event->id, event->data.len) == 0);
	assert(tow_buf_append(told, event->data.base, event->data.len) == 0);
	return tow_buf_len(told) > 1 << 20 ? TOW_EOF : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_event_parser parser = { 0 };
	struct tow_buf whole = { 0 }, pieces = { 0 };
	int at_once = tow_event_parse(&parser, tow_slice_make(data, size), take, &whole), rc = 0;

	tow_event_parser_deinit(&parser);
	for (size_t i = 0; rc == 0 && i < size; i++)
		rc = tow_event_parse(&parser, tow_slice_make(data + i, 1), take, &pieces);
	tow_event_parser_deinit(&parser);
	assert(rc == at_once);
	assert(tow_slice_equal(tow_buf_peek(&whole), tow_buf_peek(&pieces)));
	assert(tow_buf_len(&whole) <= 2 * (1 << 20) + 64 * size);
	tow_buf_deinit(&whole);
	tow_buf_deinit(&pieces);
	return 0;
}
