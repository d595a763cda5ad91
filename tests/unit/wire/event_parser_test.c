/* SPDX-License-Identifier: MIT */
#include <towonel/wire/event_parser.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int tell(void *user, const struct tow_event *event)
{
	return tow_buf_printf(user, "[%s|%s|%.*s]", event->type, event->id, (int)event->data.len,
	                      (const char *)event->data.base);
}

/* What the stream says, read in pieces of len bytes, the first one of `first`. */
static void read_stream(struct tow_slice bytes, size_t first, size_t len, struct tow_buf *told)
{
	struct tow_event_parser parser = { 0 };
	size_t at = 0, size = first;

	while (at < bytes.len) {
		size = size < bytes.len - at ? size : bytes.len - at;
		assert_int_equal(
			tow_event_parse(&parser, tow_slice_make(bytes.base + at, size), tell, told),
			0);
		at += size;
		size = len;
	}
	tow_event_parser_deinit(&parser);
}

static const struct {
	const char *stream, *events;
} cases[] = {
	{ "", "" },
	{ "id: 41\nevent: snapshot\ndata: {}\n\n", "[snapshot|41|{}]" },
	/* lines end in three ways */
	{ "data: a\r\n\r\ndata: b\r\rdata: c\n\n", "[||a][||b][||c]" },
	{ "data: a\r\n\ndata: b\n\r\n", "[||a][||b]" },
	/* one space behind the colon is none of the value's, and need not be there */
	{ "data:a\n\ndata:  b\n\ndata: \n\n", "[||a][|| b][||]" },
	/* lines of data */
	{ "data: a\ndata:\ndata: b\n\n", "[||a\n\nb]" },
	{ "data\n\ndata\ndata\n\n", "[||][||\n]" },
	/* an event without data is none, but the id counts */
	{ "id: 7\nevent: x\n\ndata: a\n\n", "[|7|a]" },
	{ "id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", "[|7|a][|7|b][||c]" },
	/* comments and other fields */
	{ ":\n\n: here\ndata: a\nretry: 5\nDATA: b\ndatas: c\ndat: d\n\n", "[||a]" },
	{ "event: a:b\ndata: c:d\n\n", "[a:b||c:d]" },
	{ "a name that is far too long: a\ndata: b\n\n", "[||b]" },
	/* the last type counts, and only for this event */
	{ "event: a\nevent: b\ndata: 1\n\ndata: 2\n\n", "[b||1][||2]" },
	/* a byte order mark, and what only begins like one */
	{ "\xef\xbb\xbf"
	  "data: a\n\n",
	  "[||a]" },
	{ "\xef\xbb"
	  "data: a\ndata: b\n\n",
	  "[||b]" },
	{ "\xef\n\ndata: b\n\n", "[||b]" },
	{ "data: a\n\n\xef\xbb\xbf"
	  "data: b\n\n",
	  "[||a]" },
	/* broken off */
	{ "data: a\n\nid: 8\ndata: b\n", "[||a]" },
};

static void streams_are_read_in_pieces_of_any_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_slice bytes = tow_slice_of(cases[i].stream);

		for (size_t first = 0; first <= bytes.len; first++) {
			for (size_t len = 1; len <= 3; len++) {
				struct tow_buf told = { 0 };

				read_stream(bytes, first, len, &told);
				assert_int_equal(tow_buf_append(&told, "", 1), 0);
				assert_string_equal((const char *)told.base, cases[i].events);
				tow_buf_deinit(&told);
			}
		}
	}
}

/* Each prefix tells the first of what the whole tells. */
static void a_prefix_tells_the_beginning(void **state)
{
	static const char stream[] =
		"\xef\xbb\xbfid: 1\r\nevent: snapshot\r\ndata: {\r\ndata: }\r\n\r\n"
		": \n\nid: 2\nevent: delta\ndata: []\n\n";
	struct tow_buf whole = { 0 };

	(void)state;
	read_stream(tow_slice_of(stream), 1, 1, &whole);
	for (size_t len = 0; len < sizeof stream - 1; len++) {
		struct tow_buf told = { 0 };
		struct tow_slice part;

		read_stream(tow_slice_make(stream, len), len, 1, &told);
		part = tow_buf_peek(&told);
		assert_true(part.len <= tow_buf_len(&whole));
		if (part.len)
			assert_memory_equal(part.base, whole.base, part.len);
		tow_buf_deinit(&told);
	}
	tow_buf_deinit(&whole);
}

static int parse(struct tow_slice bytes, struct tow_buf *told)
{
	struct tow_event_parser parser = { 0 };
	int rc = tow_event_parse(&parser, bytes, tell, told);

	tow_event_parser_deinit(&parser);
	return rc;
}

static void an_id_with_a_nul_is_none(void **state)
{
	static const char stream[] = "id: 7\ndata: a\n\nid: 8\0\ndata: b\n\n";
	struct tow_buf told = { 0 };

	(void)state;
	assert_int_equal(parse(tow_slice_make(stream, sizeof stream - 1), &told), 0);
	assert_memory_equal(told.base, "[|7|a][|7|b]", 12);
	tow_buf_deinit(&told);
}

static void what_is_too_long_ends_the_stream(void **state)
{
	static const char *const fields[] = { "id: ", "event: " };
	char text[TOW_EVENT_WORD_MAX + 32];
	struct tow_buf told = { 0 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		int at = snprintf(text, sizeof text, "%s", fields[i]);

		memset(text + at, 'x', TOW_EVENT_WORD_MAX);
		snprintf(text + at + TOW_EVENT_WORD_MAX, 16, "\ndata: a\n\n");
		assert_int_equal(parse(tow_slice_of(text), &told), 0);
		snprintf(text + at + TOW_EVENT_WORD_MAX, 16, "x\ndata: a\n\n");
		assert_int_equal(parse(tow_slice_of(text), &told), TOW_ETOOBIG);
	}
	tow_buf_deinit(&told);
}

static int refuse(void *user, const struct tow_event *event)
{
	(void)event;
	++*(int *)user;
	return TOW_ECONFLICT;
}

static void whoever_takes_the_events_may_end_it(void **state)
{
	struct tow_event_parser parser = { 0 };
	int taken = 0;

	(void)state;
	assert_int_equal(
		tow_event_parse(&parser, tow_slice_of("data: a\n\ndata: b\n\n"), refuse, &taken),
		TOW_ECONFLICT);
	assert_int_equal(taken, 1);
	tow_event_parser_deinit(&parser);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_are_read_in_pieces_of_any_size),
		cmocka_unit_test(a_prefix_tells_the_beginning),
		cmocka_unit_test(an_id_with_a_nul_is_none),
		cmocka_unit_test(what_is_too_long_ends_the_stream),
		cmocka_unit_test(whoever_takes_the_events_may_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
