/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <towonel/wire/error.h>

#include "http/short_answer.h"

static int feed(struct short_answer *a, const char *text, size_t len, int fin)
{
	return tow__short_answer_feed(a, tow_slice_make(text, len), fin);
}

static int has_body(const struct short_answer *a, const char *body)
{
	return tow_slice_equal(tow_buf_peek(&a->body), tow_slice_of(body));
}

#define OK "HTTP/1.1 200 OK\r\n"

static const struct {
	const char *text;
	int fin; /* the origin closes behind it */
	unsigned status;
	const char *body, *content_type, *location;
} good[] = {
	{ OK "Content-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello", 0, 200, "hello",
	  "text/plain", "" },
	{ OK "content-length: 0\r\n\r\n", 0, 200, "", "", "" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 0, 200, "hello",
	  "", "" },
	{ "HTTP/1.0 200 OK\r\n\r\nhello", 1, 200, "hello", "", "" },
	{ "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", 0, 404, "no", "", "" },
	{ "HTTP/1.1 301 There\r\nLOCATION: https://app.test/x\r\nContent-Length: 0\r\n\r\n", 0, 301,
	  "", "", "https://app.test/x" },
	{ "HTTP/1.1 103 Early\r\nLocation: /y\r\n\r\n" OK
	  "Locations: /z\r\nContent-Length: 1\r\n\r\n!",
	  0, 200, "!", "", "" },
	{ "HTTP/1.1 204 None\r\n\r\n", 0, 204, "", "", "" },
	{ OK "X-Location-Of-The-Thing: /z\r\nContent-Length: 1\r\n\r\n!", 0, 200, "!", "", "" },
};

/* In one piece, and in two, cut anywhere. */
static void an_answer_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		size_t len = strlen(good[i].text);

		for (size_t cut = 0; cut <= len; cut++) {
			struct short_answer a;
			int rc = TOW_MORE;

			tow__short_answer_init(&a);
			if (cut < len)
				rc = feed(&a, good[i].text, cut, 0);
			assert_int_equal(rc, TOW_MORE);
			rc = feed(&a, good[i].text + (cut < len ? cut : 0),
			          cut < len ? len - cut : len, good[i].fin);
			assert_int_equal(rc, 0);
			assert_int_equal(a.status, good[i].status);
			assert_true(has_body(&a, good[i].body));
			assert_string_equal(a.content_type, good[i].content_type);
			assert_string_equal(a.location, good[i].location);
			tow__short_answer_deinit(&a);
		}
	}
}

/* The origin has gone before its answer was whole. */
static void a_prefix_is_no_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		for (size_t len = 0; !good[i].fin && len < strlen(good[i].text); len++) {
			struct short_answer a;

			tow__short_answer_init(&a);
			assert_int_equal(feed(&a, good[i].text, len, 1), TOW_EPARSE);
			tow__short_answer_deinit(&a);
		}
	}
}

static void what_is_no_answer_is_refused(void **state)
{
	static const char *const bad[] = {
		"SSH-2.0-OpenSSH_9.2\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
		OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		OK "Content-Length: x\r\n\r\n",
		OK "Location: a\rb\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct short_answer a;

		tow__short_answer_init(&a);
		assert_int_equal(feed(&a, bad[i], strlen(bad[i]), 1), TOW_EPARSE);
		tow__short_answer_deinit(&a);
	}
}

static void a_long_answer_is_refused(void **state)
{
	char *text = malloc(TOW_SHORT_ANSWER_MAX + 1);
	struct short_answer a;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', TOW_SHORT_ANSWER_MAX + 1);
	tow__short_answer_init(&a);
	assert_int_equal(feed(&a, "HTTP/1.0 200 OK\r\n\r\n", 19, 0), TOW_MORE);
	assert_int_equal(feed(&a, text, TOW_SHORT_ANSWER_MAX - 19, 0), TOW_MORE);
	assert_int_equal(feed(&a, text, 1, 0), TOW_ETOOBIG);
	tow__short_answer_deinit(&a);
	tow__short_answer_init(&a);
	assert_int_equal(feed(&a, OK "Location: ", strlen(OK "Location: "), 0), TOW_MORE);
	assert_int_equal(feed(&a, text, TOW_URL_MAX, 0), TOW_ETOOBIG);
	tow__short_answer_deinit(&a);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_read),
		cmocka_unit_test(a_prefix_is_no_answer),
		cmocka_unit_test(what_is_no_answer_is_refused),
		cmocka_unit_test(a_long_answer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
