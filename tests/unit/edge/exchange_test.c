/* SPDX-License-Identifier: MIT */
#include "http/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define SECOND 1000000000ULL
#define HOST   "Host: app.test\r\n"
/* What the edge says at the end of each head. */
#define SAID_OF(host)                                                                              \
	"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: " host        \
	"\r\nForwarded: for=192.0.2.7;host=\"" host "\";proto=https\r\n\r\n"
#define SAID SAID_OF("app.test")
#define OK   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static struct exchange *start(void)
{
	struct tow_addr addr;
	struct exchange *x;

	assert_int_equal(tow_addr_parse_host(tow_slice_of("192.0.2.7"), &addr), 0);
	x = tow__exchange_new("app.test", &addr, SECOND);
	assert_non_null(x);
	return x;
}

static struct tow_slice text(const char *bytes)
{
	return tow_slice_of(bytes);
}

static void expect(struct tow_buf *got, const char *wanted)
{
	assert_int_equal(tow_buf_append(got, "", 1), 0);
	assert_string_equal((char *)tow_buf_peek(got).base, wanted);
	tow_buf_deinit(got);
}

/* What goes on of bytes that come in pieces of a size. */
static int feed(struct exchange *x, struct tow_slice bytes, size_t piece, struct tow_buf *out)
{
	int rc = 0;

	while (bytes.len > 0 && rc == 0) {
		size_t n = bytes.len < piece ? bytes.len : piece;

		rc = tow__exchange_from_visitor(x, SECOND, tow_slice_make(bytes.base, n), out);
		bytes = tow_slice_make(bytes.base + n, bytes.len - n);
	}
	return rc;
}

static const struct {
	const char *in, *out;
} good[] = {
	{ "GET / HTTP/1.1\r\n" HOST "\r\n", "GET / HTTP/1.1\r\n" HOST SAID },
	{ "\r\n\r\nGET /a?b=c HTTP/1.1\r\nA: 1\r\nhost:app.test\r\nB:\t 2 \r\n\r\n",
	  "GET /a?b=c HTTP/1.1\r\n" HOST "A: 1\r\nB: 2\r\n" SAID },
	{ "GET / HTTP/1.1\r\nHost: APP.test.:8443\r\n\r\n",
	  "GET / HTTP/1.1\r\nHost: APP.test.:8443\r\n" SAID_OF("APP.test.:8443") },
	{ "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n" HOST SAID },
	{ "GET https://app.test HTTP/1.1\r\n" HOST "\r\n", "GET / HTTP/1.1\r\n" HOST SAID },
	{ "GET HTTP://App.test?q HTTP/1.1\r\n" HOST "\r\n", "GET /?q HTTP/1.1\r\n" HOST SAID },
	{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS * HTTP/1.1\r\n" HOST SAID },
	/* a visitor's own claims, in any spelling */
	{ "GET / HTTP/1.1\r\n" HOST
	  "X-Forwarded-For: 1.1.1.1\r\nx_forwarded_for: 2\r\nX-Forwarded-Anything: 3\r\nForwarded: "
	  "for=4\r\nX-Real-IP: 5\r\n"
	  "Proxy: 6\r\nProxy-Connection: 7\r\nKeep-Alive: 8\r\nX-Forward: 9\r\n\r\n",
	  "GET / HTTP/1.1\r\n" HOST "X-Forward: 9\r\n" SAID },
	/* what is for this hop only */
	{ "GET / HTTP/1.1\r\n" HOST
	  "Connection: keep-alive, Foo\r\nFOO: 1\r\nConnection: close\r\nTE: trailers\r\n\r\n",
	  "GET / HTTP/1.1\r\n" HOST "Connection: close, keep-alive\r\n" SAID },
	{ "GET / HTTP/1.1\r\n" HOST "Connection: TE\r\nTE: trailers\r\n\r\n",
	  "GET / HTTP/1.1\r\n" HOST "TE: trailers\r\nConnection: TE\r\n" SAID },
	{ "GET / HTTP/1.1\r\n" HOST "Connection: X-Forwarded-For, x-real-ip\r\n\r\n",
	  "GET / HTTP/1.1\r\n" HOST SAID },
	/* bodies */
	{ "POST / HTTP/1.1\r\n" HOST
	  "Content-Length: 007\r\nExpect: 100-continue\r\n\r\nabc\r\n\r\n",
	  "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 7\r\n" SAID
	  "abc\r\n\r\n" },
	{ "GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
	  "GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" SAID "GET / HTTP/1.1\r\n" HOST SAID },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
	  "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" SAID "0\r\n\r\n" },
	{ "POST / HTTP/1.1\r\n" HOST
	  "Transfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\nHost: evil\r\nHost: evil\r\n"
	  "X-Forwarded-For: 1\r\nB: 2 3\r\n\r\nGET / HTTP/1.0\r\n\r\n",
	  "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" SAID
	  "0\r\nA: 1\r\nB: 2 3\r\n\r\n"
	  "GET / HTTP/1.0\r\n" HOST SAID },
	/* upgrades to what cannot be looked into are not passed on */
	{ "GET / HTTP/1.1\r\n" HOST
	  "Upgrade: h2c\r\nHTTP2-Settings: x\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
	  "GET / HTTP/1.1\r\n" HOST SAID },
	{ "GET / HTTP/1.1\r\n" HOST
	  "Upgrade: websocket, h2c\r\nConnection: keep-alive, Upgrade\r\n\r\n",
	  "GET / HTTP/1.1\r\n" HOST
	  "Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n" SAID },
	{ "GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n\r\n", "GET / HTTP/1.1\r\n" HOST SAID },
	{ "POST / HTTP/1.1\r\n" HOST
	  "Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nx",
	  "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n" SAID "x" },
};

static void requests_go_on_however_they_come(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		for (size_t piece = 1; piece <= strlen(good[i].in); piece++) {
			struct exchange *x = start();
			struct tow_buf out = { NULL, 0, 0, 0 };

			if (feed(x, text(good[i].in), piece, &out) != 0)
				fail_msg("case %zu in pieces of %zu is refused: %u", i, piece,
				         tow__exchange_refused(x));
			expect(&out, good[i].out);
			tow__exchange_free(x);
		}
	}
}

static void a_part_of_a_request_is_no_request(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		for (size_t len = 0; len < strlen(good[i].in); len++) {
			struct exchange *x = start();
			struct tow_buf out = { NULL, 0, 0, 0 };

			assert_int_equal(tow__exchange_from_visitor(
						 x, SECOND, tow_slice_make(good[i].in, len), &out),
			                 0);
			assert_true(tow_buf_len(&out) <= strlen(good[i].out));
			if (tow_buf_len(&out) > 0)
				assert_memory_equal(tow_buf_peek(&out).base, good[i].out,
				                    tow_buf_len(&out));
			tow_buf_deinit(&out);
			tow__exchange_free(x);
		}
	}
}

static void an_ipv6_visitor_is_quoted(void **state)
{
	struct tow_buf out = { NULL, 0, 0, 0 };
	struct tow_addr addr;
	struct exchange *x;

	(void)state;
	assert_int_equal(tow_addr_parse_host(tow_slice_of("2001:db8::7"), &addr), 0);
	x = tow__exchange_new("app.test", &addr, SECOND);
	assert_int_equal(feed(x, text("GET / HTTP/1.1\r\n" HOST "\r\n"), 1000, &out), 0);
	expect(&out, "GET / HTTP/1.1\r\n" HOST "X-Forwarded-For: 2001:db8::7\r\nX-Forwarded-Proto: https\r\n"
		     "X-Forwarded-Host: app.test\r\n"
		     "Forwarded: for=\"[2001:db8::7]\";host=\"app.test\";proto=https\r\n\r\n");
	tow__exchange_free(x);
}

static void chunks_are_framed_anew(void **state)
{
	struct exchange *x = start();
	struct tow_buf out = { NULL, 0, 0, 0 };

	(void)state;
	assert_int_equal(feed(x,
	                      text("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
	                           "0005;a=b;c=\"d\"\r\nhello\r\nA\r\n 012345678\r\n00\r\n\r\n"),
	                      1000, &out),
	                 0);
	expect(&out, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" SAID
	             "5\r\nhello\r\na\r\n 012345678\r\n0\r\n\r\n");
	tow__exchange_free(x);
}

static void what_can_be_read_in_two_ways_is_refused(void **state)
{
#define POST "POST / HTTP/1.1\r\n" HOST
	static const struct {
		const char *in;
		unsigned status;
		int inside; /* its head goes on */
	} bad[] = {
		{ POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, 0 },
		{ POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400, 0 },
		{ POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, 0 },
		{ POST "Content-Length: 1, 1\r\n\r\n", 400, 0 },
		{ POST "Content-Length: +1\r\n\r\n", 400, 0 },
		{ POST "Content-Length: 0x1\r\n\r\n", 400, 0 },
		{ POST "Content-Length: \r\n\r\n", 400, 0 },
		{ POST "Content-Length: 99999999999999999999\r\n\r\n", 400, 0 },
		{ POST "Content_Length: 1\r\n\r\n", 400, 0 },
		{ POST "Transfer_Encoding: chunked\r\n\r\n", 400, 0 },
		{ POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, 0 },
		{ POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 501, 0 },
		{ POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, 0 },
		{ POST "Transfer-Encoding: identity\r\n\r\n", 501, 0 },
		{ POST "Transfer-Encoding: xchunked\r\n\r\n", 501, 0 },
		{ POST "Transfer-Encoding : chunked\r\n\r\n", 400, 0 },
		{ POST "Transfer-Encoding\r\n: chunked\r\n\r\n", 400, 0 },
		{ POST "Transfer-Encoding:\r\n chunked\r\n\r\n", 501, 0 },
		{ POST "Transfer-Encoding: \x0b"
		       "chunked\r\n\r\n",
		  400, 0 },
		{ POST " Transfer-Encoding: chunked\r\n\r\n", 400, 0 },
		{ "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400, 0 },
		{ POST "A: b\nC: d\r\n\r\n", 400, 0 },
		{ POST "A: b\rC: d\r\n\r\n", 400, 0 },
		{ POST "A: b\r\n c\r\n\r\n", 400, 0 },
		{ POST "A: \x01\r\n\r\n", 400, 0 },
		{ POST "A: \x7f\r\n\r\n", 400, 0 },
		{ POST "A b: c\r\n\r\n", 400, 0 },
		{ POST ": c\r\n\r\n", 400, 0 },
		{ POST "A\r\n\r\n", 400, 0 },
		{ POST "Connection: Content-Length\r\nContent-Length: 5\r\n\r\n", 400, 0 },
		{ POST "Connection: host\r\n\r\n", 400, 0 },
		{ POST "Connection: a b\r\n\r\n", 400, 0 },
		{ POST "Host: app.test\r\n\r\n", 400, 0 },
		{ "GET / HTTP/1.1\r\n\r\n", 400, 0 },
		{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, 0 },
		{ "GET / HTTP/1.1\r\nHost: app.test@evil.test\r\n\r\n", 400, 0 },
		{ "GET / HTTP/1.1\r\nHost: app.test/\r\n\r\n", 400, 0 },
		{ "GET / HTTP/1.1\r\nHost: app.test, evil.test\r\n\r\n", 400, 0 },
		{ "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421, 0 },
		{ "GET / HTTP/1.1\r\nHost: app.test:port\r\n\r\n", 421, 0 },
		{ "GET / HTTP/1.1\r\nHost: app.test:123456\r\n\r\n", 421, 0 },
		{ "GET / HTTP/1.1\r\nHost: xapp.test\r\n\r\n", 421, 0 },
		{ "GET / HTTP/1.1\r\nHost: app.test.evil\r\n\r\n", 421, 0 },
		{ "GET http://evil.test/ HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET http://app.test:80/ HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET http://u@app.test/ HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET ftp://app.test/ HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET a HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET * HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET /#f HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET  / HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET /  HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET / x HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET / http/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "GET /\r\n\r\n", 400, 0 },
		{ "GET / HTTP/1.2\r\n" HOST "\r\n", 505, 0 },
		{ "GET / HTTP/2.0\r\n" HOST "\r\n", 505, 0 },
		{ "PRI * HTTP/2.0\r\n\r\n", 505, 0 },
		{ "FROB / HTTP/1.1\r\n" HOST "\r\n", 501, 0 },
		{ "get / HTTP/1.1\r\n" HOST "\r\n", 501, 0 },
		{ "CONNECT app.test:443 HTTP/1.1\r\n" HOST "\r\n", 405, 0 },
		{ "\x16\x03\x01\r\n\r\n", 400, 0 },
		{ "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n", 400, 0 },
		{ "\rGET / HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ "\nGET / HTTP/1.1\r\n" HOST "\r\n", 400, 0 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n", 400, 1 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n", 400, 1 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n", 400, 1 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n\r\n", 400, 1 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n", 400, 1 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n", 400, 1 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n", 400, 1 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n", 400, 1 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n", 400, 1 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", 400, 1 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n0\r\nA b: c\r\n\r\n", 400, 1 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n\r\n", 400, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		for (size_t piece = 1; piece <= strlen(bad[i].in); piece += piece < 4 ? 1 : 13) {
			struct exchange *x = start();
			struct tow_buf out = { NULL, 0, 0, 0 }, tail = { NULL, 0, 0, 0 };
			char line[16];

			if (feed(x, text(bad[i].in), piece, &out) != TOW_EOF)
				fail_msg("case %zu in pieces of %zu is not refused", i, piece);
			assert_int_equal(tow__exchange_refused(x), bad[i].status);
			assert_int_equal(tow_buf_len(&out) > 0, bad[i].inside);
			tow_buf_clear(&out);
			assert_int_equal(tow__exchange_from_visitor(x, SECOND, text("GET /"), &out),
			                 TOW_EOF);
			assert_int_equal(tow_buf_len(&out), 0);
			assert_int_equal(tow__exchange_from_origin(x, SECOND, text(""), 0, &tail),
			                 TOW_EOF);
			snprintf(line, sizeof(line), "HTTP/1.1 %u ", bad[i].status);
			assert_memory_equal(tow_buf_peek(&tail).base, line, strlen(line));
			tow_buf_deinit(&out);
			tow_buf_deinit(&tail);
			tow__exchange_free(x);
		}
	}
}

static void heads_have_limits(void **state)
{
	static char head[TOW_REQUEST_HEAD_MAX + 100];
	struct tow_buf out = { NULL, 0, 0, 0 };
	struct exchange *x = start();
	size_t len;

	(void)state;
	len = (size_t)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\n" HOST "A: ");
	memset(head + len, 'a', sizeof(head) - len);
	memcpy(head + TOW_REQUEST_HEAD_MAX - 4, "\r\n\r\n", 4);
	assert_int_equal(feed(x, tow_slice_make(head, TOW_REQUEST_HEAD_MAX), 1000, &out), 0);
	assert_true(tow_buf_len(&out) > TOW_REQUEST_HEAD_MAX);
	tow__exchange_free(x);
	tow_buf_deinit(&out);
	x = start();
	memcpy(head + TOW_REQUEST_HEAD_MAX - 4, "aaaaaa\r\n\r\n", 10);
	assert_int_equal(feed(x, tow_slice_make(head, TOW_REQUEST_HEAD_MAX + 6), 1000, &out),
	                 TOW_EOF);
	assert_int_equal(tow__exchange_refused(x), 431);
	tow__exchange_free(x);
	x = start();
	len = (size_t)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\n" HOST);
	for (int i = 0; i < TOW_REQUEST_FIELDS_MAX; i++)
		len += (size_t)snprintf(head + len, sizeof(head) - len, "A: b\r\n");
	len += (size_t)snprintf(head + len, sizeof(head) - len, "\r\n");
	assert_int_equal(feed(x, tow_slice_make(head, len), 100000, &out), TOW_EOF);
	assert_int_equal(tow__exchange_refused(x), 431);
	tow__exchange_free(x);
	tow_buf_deinit(&out);
}

static void a_refusal_waits_for_the_answers_before_it(void **state)
{
	struct tow_buf out = { NULL, 0, 0, 0 }, tail = { NULL, 0, 0, 0 };
	struct exchange *x = start();

	(void)state;
	assert_int_equal(feed(x,
	                      text("HEAD / HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n" HOST
	                           "\r\nGET / HTTP/9.9\r\n\r\n"),
	                      1000, &out),
	                 TOW_EOF);
	expect(&out, "HEAD / HTTP/1.1\r\n" HOST SAID "GET / HTTP/1.1\r\n" HOST SAID);
	assert_int_equal(tow__exchange_from_origin(x, SECOND, text(""), 0, &tail), 0);
	/* an answer to HEAD has no body */
	assert_int_equal(
		tow__exchange_from_origin(
			x, SECOND, text("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), 0, &tail),
		0);
	/* one to come is no answer yet */
	assert_int_equal(
		tow__exchange_from_origin(x, SECOND, text("HTTP/1.1 103 Hints\r\n\r\n"), 0, &tail),
		0);
	assert_int_equal(
		tow__exchange_from_origin(
			x, SECOND, text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"), 0, &tail),
		0);
	assert_int_equal(tow_buf_len(&tail), 0);
	assert_int_equal(tow__exchange_from_origin(x, SECOND, text("k"), 0, &tail), TOW_EOF);
	assert_memory_equal(tow_buf_peek(&tail).base, "HTTP/1.1 505 ", 13);
	tow_buf_deinit(&tail);
	tow__exchange_free(x);
}

static void a_body_that_goes_wrong_is_answered_once(void **state)
{
	struct tow_buf out = { NULL, 0, 0, 0 }, tail = { NULL, 0, 0, 0 };
	static const char *const answers[] = { "", "HTTP/1.1 413 Too Large\r\nContent-Le", OK };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct exchange *x = start();

		assert_int_equal(feed(x, text(POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"),
		                      1000, &out),
		                 0);
		assert_int_equal(tow__exchange_from_origin(x, SECOND, text(answers[i]), 0, &tail),
		                 0);
		assert_int_equal(feed(x, text("zz\r\n"), 1000, &out), TOW_EOF);
		assert_int_equal(tow__exchange_from_origin(x, SECOND, text(""), 0, &tail), TOW_EOF);
		assert_int_equal(tow_buf_len(&tail) > 0, i == 0);
		tow_buf_deinit(&tail);
		tow_buf_deinit(&out);
		tow__exchange_free(x);
	}
}

static void after_an_upgrade_all_goes_as_it_is(void **state)
{
#define UPGRADE "GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"
	static const struct {
		const char *answer, *goes_on;
	} cases[] = {
		{ "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		  "upgrade\r\n\r\n\x81\x01z",
		  "\x81\x02hi GET / HTTP/1.1\r\n\r\n" },
		{ "HTTP/1.1 101 Switching Protocols\r\n\r\n", "\x81\x02hi GET / HTTP/1.1\r\n\r\n" },
		{ OK, NULL }, /* then it is no request */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tow_buf out = { NULL, 0, 0, 0 }, tail = { NULL, 0, 0, 0 };
		struct exchange *x = start();

		assert_int_equal(feed(x, text(UPGRADE), 1000, &out), 0);
		tow_buf_clear(&out);
		assert_int_equal(feed(x, text("\x81\x02hi"), 1000, &out), TOW_BLOCKED);
		assert_int_equal(tow__exchange_from_visitor(x, SECOND, text(""), &out),
		                 TOW_BLOCKED);
		assert_int_equal(tow_buf_len(&out), 0);
		assert_int_equal(
			tow__exchange_from_origin(x, SECOND, text(cases[i].answer), 0, &tail), 0);
		assert_int_equal(tow__exchange_from_visitor(x, SECOND,
		                                            text(" GET / HTTP/1.1\r\n\r\n"), &out),
		                 cases[i].goes_on != NULL ? 0 : TOW_EOF);
		if (cases[i].goes_on != NULL)
			expect(&out, cases[i].goes_on);
		assert_int_equal(tow_buf_len(&out), 0);
		tow_buf_deinit(&out);
		tow__exchange_free(x);
	}
}

static void asking_ahead_has_a_limit(void **state)
{
	struct tow_buf out = { NULL, 0, 0, 0 }, tail = { NULL, 0, 0, 0 };
	struct exchange *x = start();
	size_t one = strlen("GET / HTTP/1.1\r\n" HOST SAID);

	(void)state;
	for (int i = 0; i < TOW_REQUESTS_OPEN_MAX; i++)
		assert_int_equal(feed(x, text("GET / HTTP/1.1\r\n" HOST "\r\n"), 1000, &out), 0);
	assert_int_equal(feed(x,
	                      text("GET / HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n" HOST "\r\n"),
	                      1000, &out),
	                 TOW_BLOCKED);
	assert_int_equal(tow_buf_len(&out), one * TOW_REQUESTS_OPEN_MAX);
	assert_int_equal(tow__exchange_from_origin(x, SECOND, text(OK), 0, &tail), 0);
	assert_int_equal(tow__exchange_from_visitor(x, SECOND, text(""), &out), TOW_BLOCKED);
	assert_int_equal(tow_buf_len(&out), one * (TOW_REQUESTS_OPEN_MAX + 1));
	assert_int_equal(tow__exchange_from_origin(x, SECOND, text(OK OK), 0, &tail), 0);
	assert_int_equal(tow__exchange_from_visitor(x, SECOND, text(""), &out), 0);
	assert_int_equal(tow_buf_len(&out), one * (TOW_REQUESTS_OPEN_MAX + 2));
	tow_buf_deinit(&out);
	tow__exchange_free(x);
}

static void answers_end_as_they_say(void **state)
{
	static const char *const answers[] = {
		OK,
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
		("HTTP/1.1 100 Continue\r\n\r\n" OK),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		for (size_t piece = 1; piece <= strlen(answers[i]); piece++) {
			struct tow_buf out = { NULL, 0, 0, 0 }, tail = { NULL, 0, 0, 0 };
			struct exchange *x = start();
			size_t at = 0;

			assert_int_equal(feed(x, text("GET / HTTP/1.1\r\n" HOST "\r\nBAD\r\n\r\n"),
			                      1000, &out),
			                 TOW_EOF);
			for (; at < strlen(answers[i]); at += piece) {
				size_t n = strlen(answers[i]) - at < piece ? strlen(answers[i]) - at
				                                           : piece;
				int last = at + n == strlen(answers[i]);

				assert_int_equal(tow__exchange_from_origin(
							 x, SECOND,
							 tow_slice_make(answers[i] + at, n), 0,
							 &tail),
				                 last ? TOW_EOF : 0);
			}
			tow_buf_deinit(&out);
			tow_buf_deinit(&tail);
			tow__exchange_free(x);
		}
	}
}

/* Only one that is the last, and comes before the request's end, is the end for the visitor too: any other origin
 * says so itself. */
static void an_early_answer_is_the_end(void **state)
{
	static const struct {
		const char *body; /* that the visitor has sent, of five bytes */
		const char *answer;
		int rc;
	} cases[] = {
		{ "he", "HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", TOW_EOF },
		{ "", "HTTP/1.0 413 No\r\nContent-Length: 2\r\n\r\nno", TOW_EOF },
		{ "he", "HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nn", 0 },
		{ "he", "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno", 0 },
		{ "he", "HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n", 0 },
		{ "hello", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct exchange *x = start();
		struct tow_buf out = { NULL, 0, 0, 0 }, tail = { NULL, 0, 0, 0 };

		assert_int_equal(feed(x, text("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"), 100, &out), 0);
		assert_int_equal(feed(x, text(cases[i].body), 100, &out), 0);
		assert_int_equal(tow__exchange_from_origin(x, SECOND, text(cases[i].answer), 0, &tail), cases[i].rc);
		assert_int_equal(tow_buf_len(&tail), 0);
		tow_buf_deinit(&out);
		tow__exchange_free(x);
	}
}

static void time_runs_out(void **state)
{
	static const struct {
		const char *in, *answer;
		uint64_t secs;
		int reading, expires;
		unsigned status;
	} cases[] = {
		{ "", "", 119, 1, 0, 0 },
		{ "", "", 121, 1, 1, 0 }, /* idle: without a word */
		{ "GET / HT", "", 29, 1, 0, 0 },
		{ "GET / HT", "", 31, 1, 1, 408 },
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", "", 3000, 1, 0, 0 }, /* the origin's turn */
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", OK, 121, 1, 1, 0 },
		{ POST "Content-Length: 5\r\n\r\nabc", "", 59, 1, 0, 0 },
		{ POST "Content-Length: 5\r\n\r\nabc", "", 61, 1, 1, 408 },
		{ POST "Content-Length: 5\r\n\r\nabc", "", 61, 0, 0, 0 },
		{ UPGRADE, "HTTP/1.1 101 OK\r\n\r\n", 3000, 1, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tow_buf out = { NULL, 0, 0, 0 }, tail = { NULL, 0, 0, 0 };
		struct exchange *x = start();

		assert_int_equal(feed(x, text(cases[i].in), 1000, &out), 0);
		assert_int_equal(
			tow__exchange_from_origin(x, SECOND, text(cases[i].answer), 0, &tail), 0);
		if (tow__exchange_expire(x, SECOND * (1 + cases[i].secs), cases[i].reading) !=
		    cases[i].expires)
			fail_msg("case %zu", i);
		assert_int_equal(tow__exchange_refused(x), cases[i].status);
		if (cases[i].expires) {
			assert_int_equal(tow__exchange_from_visitor(x, SECOND, text(""), &out),
			                 TOW_EOF);
			assert_int_equal(tow__exchange_from_origin(x, SECOND, text(""), 0, &tail),
			                 TOW_EOF);
			assert_int_equal(tow_buf_len(&tail) > 0, cases[i].status != 0);
		}
		tow_buf_deinit(&out);
		tow_buf_deinit(&tail);
		tow__exchange_free(x);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_go_on_however_they_come),
		cmocka_unit_test(a_part_of_a_request_is_no_request),
		cmocka_unit_test(an_ipv6_visitor_is_quoted),
		cmocka_unit_test(chunks_are_framed_anew),
		cmocka_unit_test(what_can_be_read_in_two_ways_is_refused),
		cmocka_unit_test(heads_have_limits),
		cmocka_unit_test(a_refusal_waits_for_the_answers_before_it),
		cmocka_unit_test(a_body_that_goes_wrong_is_answered_once),
		cmocka_unit_test(after_an_upgrade_all_goes_as_it_is),
		cmocka_unit_test(asking_ahead_has_a_limit),
		cmocka_unit_test(answers_end_as_they_say),
		cmocka_unit_test(an_early_answer_is_the_end),
		cmocka_unit_test(time_runs_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
