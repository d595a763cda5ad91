/* SPDX-License-Identifier: MIT */
#include "http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <cmocka.h>

#define CLOSE "Connection: close\r\n\r\n"

static int starts(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static int ends(const char *text, const char *with)
{
	size_t len = strlen(text), with_len = strlen(with);

	return len >= with_len && !strcmp(text + len - with_len, with);
}

static size_t occurrences(const char *text, const char *of)
{
	size_t count = 0;

	for (; (text = strstr(text, of)); text += strlen(of))
		count++;
	return count;
}

static void wait_for(_Atomic int *value, int wanted)
{
	for (int i = 0; *value != wanted && i < 3000; i++)
		usleep(1000);
	assert_int_equal(*value, wanted);
}

static void a_request_is_answered(void **state)
{
	struct fixture f;
	const char *answer;

	(void)state;
	fixture_start(&f, 0, NULL);
	answer = client_talk(&f,
	                     "GET /hello?x HTTP/1.1\r\nHost: h\r\nX-Request-Id: abc-1\r\n" CLOSE);
	assert_true(starts(answer, "HTTP/1.1 200 OK\r\nDate: "));
	assert_true(ends(answer, "\r\n\r\nhello\n"));
	assert_non_null(strstr(answer, "\r\nX-Request-Id: abc-1\r\n"));
	assert_non_null(strstr(answer, "\r\nContent-Type: text/plain\r\n"));
	assert_non_null(strstr(answer, "\r\nContent-Length: 6\r\n"));
	assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(answer, "\r\nX-Test: yes\r\n"));
	assert_null(strstr(answer, "X-Injected"));
	answer = client_talk(&f, "GET /hello HTTP/1.1\r\nHost: h\r\nX-Request-Id: a b\r\n" CLOSE);
	assert_null(strstr(answer, "X-Request-Id: a b"));
	assert_int_equal(strspn(strstr(answer, "X-Request-Id: ") + 14, "0123456789abcdef"), 24);
	answer = client_talk(&f, "GET /items/a%2Fb?limit=3%20x HTTP/1.1\r\nHost: h\r\n" CLOSE);
	assert_true(ends(answer, "{\"id\":\"a/b\",\"limit\":\"3 x\",\"method\":\"GET\"}"));
	answer = client_talk(&f, "HEAD /hello HTTP/1.1\r\nHost: h\r\n" CLOSE);
	assert_non_null(strstr(answer, "\r\nContent-Length: 6\r\n"));
	assert_true(ends(answer, "\r\n\r\n"));
	answer = client_talk(&f, "GET /guarded HTTP/1.1\r\nHost: h\r\n" CLOSE);
	assert_true(starts(answer, "HTTP/1.1 401 Unauthorized\r\n"));
	answer = client_talk(&f, "GET /hello HTTP/1.0\r\n\r\n");
	assert_true(starts(answer, "HTTP/1.1 200 "));
	assert_int_equal(f.answers, 6);
	assert_int_equal(f.last_status, 200);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

/* What a proxy in front and this server could read differently, and what is simply wrong. */
static void bad_requests_are_refused(void **state)
{
	static const struct {
		const char *request, *status, *code;
	} cases[] = {
		{ "GET /nothing HTTP/1.1\r\nHost: h\r\n" CLOSE, "404", "not_found" },
		{ "PATCH /echo HTTP/1.1\r\nHost: h\r\n" CLOSE, "405", "method_not_allowed" },
		{ "GET /hello HTTP/1.1\r\n" CLOSE, "400", "invalid_request" },
		{ "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n" CLOSE, "400", "invalid_request" },
		{ "GET /%zz HTTP/1.1\r\nHost: h\r\n" CLOSE, "400", "invalid_request" },
		{ "GET hello HTTP/1.1\r\nHost: h\r\n" CLOSE, "400", "invalid_request" },
		{ "BREW /hello HTTP/1.1\r\nHost: h\r\n" CLOSE, "400", "invalid_request" },
		{ "get /hello HTTP/1.1\r\nHost: h\r\n" CLOSE, "400", "invalid_request" },
		{ "GET /hello HTTP/2.0\r\nHost: h\r\n" CLOSE, "505", "invalid_request" },
		{ "GET /hello HTTP/1.2\r\nHost: h\r\n" CLOSE, "400", "invalid_request" },
		{ "GET /hello\r\n\r\n", "505", "invalid_request" },
		{ "\x16\x03\x01\x02\x00\x01", "400", "invalid_request" },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", "invalid_request" },
		{ "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", "400", "invalid_request" },
		/* two lengths */
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n"
		  "0\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n",
		  "400", "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: "
		  "5\r\n\r\n"
		  "0\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n",
		  "400", "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: "
		  "6\r\n\r\nhello!",
		  "400", "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nhello", "400",
		  "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello", "400",
		  "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", "400",
		  "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n",
		  "400", "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "400",
		  "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, "
		  "identity\r\n\r\n0\r\n\r\n",
		  "400", "invalid_request" },
		{ "POST /echo HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		  "400", "invalid_request" },
		/* chunks */
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		  "400", "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
		  "400", "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n",
		  "400", "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5 "
		  "\r\nhello\r\n",
		  "400", "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n5\nhello\r\n",
		  "400", "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n3\r\nhello\r\n",
		  "400", "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
		  "chunked\r\n\r\nfffffffffffffffff\r\n",
		  "400", "invalid_request" },
		/* line ends and white space */
		{ "GET /hello HTTP/1.1\nHost: h\n\n", "400", "invalid_request" },
		{ "GET /hello HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", "400", "invalid_request" },
		{ "GET /hello HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", "400", "invalid_request" },
		{ "GET /hello HTTP/1.1\r\nHost : h\r\n\r\n", "400", "invalid_request" },
		{ "GET /hello HTTP/1.1\r\n Host: h\r\n\r\n", "400", "invalid_request" },
		{ "GET /hello HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", "400",
		  "invalid_request" },
		{ "GET /hello HTTP/1.1\r\nHost: h\r\n: y\r\n\r\n", "400", "invalid_request" },
		{ "GET /hello HTTP/1.1\r\nHost: h\r\nX\x01: y\r\n\r\n", "400", "invalid_request" },
		{ "GET /hello HTTP/1.1\r\nHost: h\r\nX: \x01\r\n\r\n", "400", "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: a-miracle\r\nContent-Length: "
		  "1\r\n\r\nx",
		  "417", "invalid_request" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n", "413",
		  "payload_too_large" },
		{ "POST /nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", "404",
		  "not_found" },
	};
	struct fixture f;

	(void)state;
	fixture_start(&f, 0, NULL);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *answer = client_talk(&f, cases[i].request);
		char expected[64];
		snprintf(expected, sizeof expected, "HTTP/1.1 %s ", cases[i].status);
		if (!starts(answer, expected))
			fail_msg("case %zu (%s): %s", i, cases[i].request, answer);
		snprintf(expected, sizeof expected, "{\"error\":{\"code\":\"%s\",\"message\":\"",
		         cases[i].code);
		assert_non_null(strstr(answer, expected));
		assert_int_equal(occurrences(answer, "\r\nDate: "), 1);
		if (!strstr(answer, "\r\nConnection: close\r\n"))
			fail_msg("case %zu (%s): %s", i, cases[i].request, answer);
	}
	assert_int_equal(f.answers, sizeof cases / sizeof cases[0]);
	assert_int_equal(f.handled, 0);
	assert_non_null(strstr(client_talk(&f, "PATCH /echo HTTP/1.1\r\nHost: h\r\n" CLOSE),
	                       "\r\nAllow: POST, PUT\r\n"));
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static void an_error_keeps_a_connection_that_is_in_order(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	fixture_start(&f, 0, NULL);
	fd = client_connect(&f);
	client_send(fd, "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_non_null(
		strstr(client_read_until(fd, "}}", 2000), "\r\nConnection: keep-alive\r\n"));
	client_send(
		fd,
		"GET /hello HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
	assert_true(starts(client_read_until(fd, "hello\n", 2000), "HTTP/1.1 200 "));
	close(fd);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static const char several[] =
	"\r\nGET /items/1 HTTP/1.1\r\nHost: h\r\nEmpty:\r\nX-Request-Id: \t one \t\r\n\r\n"
	"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world"
	"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
	"5;name=\"val;ue\"\r\nhello\r\n00006\r\n there\r\n0\r\nX-Trailer: 5\r\nHost: x\r\n\r\n"
	"HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\n"
	"GET /later HTTP/1.1\r\nHost: h\r\n\r\n"
	"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n"
	"GET /items/2 HTTP/1.1\r\nHost: h\r\n" CLOSE;

static void check_several(const char *answer)
{
	static const char *const in_order[] = {
		"HTTP/1.1 200 ",         "X-Request-Id: one\r\n", "\"id\":\"1\"", "HTTP/1.1 200 ",
		"hello world",           "HTTP/1.1 200 ",         "hello there",  "HTTP/1.1 200 ",
		"Content-Length: 6\r\n", "\r\n\r\nHTTP/1.1 200 ", "late\n",       "HTTP/1.1 404 ",
		"HTTP/1.1 200 ",         "Connection: close",     "\"id\":\"2\"",
	};
	const char *at = answer;

	for (size_t i = 0; i < sizeof in_order / sizeof in_order[0]; i++) {
		const char *found = strstr(at, in_order[i]);
		if (!found)
			fail_msg("no \"%s\" in: %s", in_order[i], at);
		at = found + strlen(in_order[i]) - (i == 8 ? 2 : 0);
	}
	assert_int_equal(occurrences(answer, "HTTP/1.1 "), 7);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, 0, NULL);
	check_several(client_talk(&f, several));
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static void a_split_at_every_byte_changes_nothing(void **state)
{
	static const struct tow__http_limits patient = {
		5 * TOW_NSEC_PER_SEC, 5 * TOW_NSEC_PER_SEC, 5 * TOW_NSEC_PER_SEC,
		5 * TOW_NSEC_PER_SEC, TOW_NSEC_PER_SEC,     64,
	};
	struct fixture f;
	char byte[2] = "";
	int fd;

	(void)state;
	fixture_start(&f, 0, &patient);
	fd = client_connect(&f);
	for (size_t i = 0; several[i]; i++) {
		byte[0] = several[i];
		client_send(fd, byte);
		usleep(300);
	}
	check_several(client_read_all(fd, 3000));
	close(fd);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static void heads_are_bounded(void **state)
{
	static char text[TOW_HTTP_HEADER_MAX + 4096];
	struct fixture f;
	size_t len;

	(void)state;
	fixture_start(&f, 0, NULL);
	/* one field that is too long; then as long as it may be */
	for (int over = 1; over >= 0; over--) {
		len = (size_t)snprintf(text, sizeof text,
		                       "GET /hello HTTP/1.1\r\nHost: h\r\n"
		                       "Connection: close\r\nX: ");
		memset(text + len, 'x', TOW_HTTP_HEADER_MAX - 4 - len + (size_t)over);
		memcpy(text + TOW_HTTP_HEADER_MAX - 4 + over, "\r\n\r\n", 5);
		assert_true(
			starts(client_talk(&f, text), over ? "HTTP/1.1 431 " : "HTTP/1.1 200 "));
	}
	/* too many fields; then as many as there may be */
	for (size_t over = 2; over-- > 0;) {
		len = (size_t)snprintf(text, sizeof text, "GET /hello HTTP/1.1\r\nHost: h\r\n");
		for (size_t i = 0; i < TOW_HTTP_HEADERS_COUNT_MAX - 2 + over; i++)
			len += (size_t)snprintf(text + len, sizeof text - len, "X: y\r\n");
		snprintf(text + len, sizeof text - len, CLOSE);
		assert_true(
			starts(client_talk(&f, text), over ? "HTTP/1.1 431 " : "HTTP/1.1 200 "));
	}
	/* a target without end */
	memset(text, 'x', sizeof text - 1);
	memcpy(text, "GET /", 5);
	text[sizeof text - 1] = '\0';
	assert_true(starts(client_talk(&f, text), "HTTP/1.1 431 "));
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static void bodies_are_bounded(void **state)
{
	static char text[150000];
	struct fixture f;
	const char *answer;
	size_t len;
	int fd;

	(void)state;
	fixture_start(&f, 0, NULL);
	/* the answer comes before the body */
	fd = client_connect(&f);
	client_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n"
	                "Expect: 100-continue\r\n\r\n");
	assert_true(starts(client_read_all(fd, 2000), "HTTP/1.1 413 "));
	close(fd);
	/* and reaches a client that sends on without looking */
	len = (size_t)snprintf(text, sizeof text,
	                       "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 140000\r\n\r\n");
	memset(text + len, 'x', 140000);
	answer = client_talk(&f, text);
	assert_true(starts(answer, "HTTP/1.1 413 "));
	assert_true(ends(answer, "}}"));
	/* chunked: as soon as it is too much */
	len = (size_t)snprintf(
		text, sizeof text,
		"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n");
	memset(text + len, 'x', 65537);
	text[len + 65537] = '\0';
	assert_true(starts(client_talk(&f, text), "HTTP/1.1 413 "));
	/* a row with a limit of its own */
	len = (size_t)snprintf(text, sizeof text,
	                       "PUT /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
	                       "Content-Length: 100000\r\n\r\n");
	memset(text + len, 'x', 100000);
	text[len + 100000] = '\0';
	answer = client_talk(&f, text);
	assert_true(starts(answer, "HTTP/1.1 200 "));
	assert_int_equal(strlen(strstr(answer, "\r\n\r\n") + 4), 100000);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

/* Chunks with more around them than in them. */
static void framing_is_bounded(void **state)
{
	struct fixture f;
	char chunk[1100];
	int fd;

	(void)state;
	fixture_start(&f, 0, NULL);
	fd = client_connect(&f);
	client_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
	memset(chunk, 'x', sizeof chunk);
	memcpy(chunk, "1;", 2);
	memcpy(chunk + 1000, "\r\nx\r\n", 6);
	for (int i = 0; i < 1000; i++)
		client_send(fd, chunk);
	assert_true(starts(client_read_all(fd, 2000), "HTTP/1.1 413 "));
	close(fd);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static void a_client_that_asks_may_continue(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	fixture_start(&f, 0, NULL);
	fd = client_connect(&f);
	client_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: "
	                "100-Continue\r\n" CLOSE);
	assert_string_equal(client_read_until(fd, "\r\n\r\n", 2000),
	                    "HTTP/1.1 100 Continue\r\n\r\n");
	client_send(fd, "body");
	assert_true(ends(client_read_all(fd, 2000), "\r\n\r\nbody"));
	close(fd);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static void slow_clients_time_out(void **state)
{
	struct fixture f;
	int fd;
	uint64_t start = tow_now_ns();

	(void)state;
	fixture_start(&f, 0, NULL);
	/* a byte of the head now and then */
	fd = client_connect(&f);
	client_send(fd, "GET /hello HTTP/1.1\r\n");
	for (int i = 0; i < 10; i++) {
		client_send(fd, "X: y\r\n");
		usleep(50000);
	}
	assert_true(starts(client_read_all(fd, 2000), "HTTP/1.1 408 Request Timeout\r\n"));
	close(fd);
	/* a body that does not come */
	fd = client_connect(&f);
	client_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
	assert_true(starts(client_read_all(fd, 2000), "HTTP/1.1 408 "));
	close(fd);
	/* nothing at all, and nothing after a request: closed without a word */
	fd = client_connect(&f);
	assert_string_equal(client_read_all(fd, 2000), "");
	close(fd);
	fd = client_connect(&f);
	client_send(fd, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_true(ends(client_read_all(fd, 2000), "hello\n"));
	close(fd);
	assert_true(tow_now_ns() - start < 6 * TOW_NSEC_PER_SEC);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static void count_connections(void *user)
{
	size_t *out = ((void **)user)[1];

	*out = ((struct fixture *)((void **)user)[0])->server->connection_count;
}

static size_t connections(struct fixture *f)
{
	size_t count = 0;
	void *pair[] = { f, &count };

	fixture_run(f, count_connections, pair);
	return count;
}

static void a_client_that_does_not_read_times_out(void **state)
{
	struct fixture f;
	int small = 4096;
	int fd;

	(void)state;
	fixture_start(&f, 0, NULL);
	fd = client_connect(&f);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	for (int i = 0; !connections(&f) && i < 300; i++)
		usleep(1000);
	assert_int_equal(connections(&f), 1);
	client_send(fd, "GET /big?size=10000000 HTTP/1.1\r\nHost: h\r\n\r\n");
	for (int i = 0; connections(&f) && i < 300; i++)
		usleep(10000);
	assert_int_equal(connections(&f), 0);
	close(fd);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static void an_answer_to_nobody_is_dropped(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	fixture_start(&f, 0, NULL);
	fd = client_connect(&f);
	client_send(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_for(&f.handled, 1);
	close(fd);
	wait_for(&f.answers, 1);
	for (int i = 0; connections(&f) && i < 100; i++)
		usleep(10000);
	assert_int_equal(connections(&f), 0);
	/* after half a request */
	fd = client_connect(&f);
	client_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
	usleep(20000);
	close(fd);
	for (int i = 0; connections(&f) && i < 100; i++)
		usleep(10000);
	assert_int_equal(connections(&f), 0);
	assert_int_equal(f.answers, 1);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static void send_many(void *user)
{
	struct fixture *f = user;
	static char data[8192];

	memset(data, 'd', sizeof data);
	for (int i = 0; f->stream && i < 2000; i++)
		assert_int_equal(tow_http_event_stream_send(f->stream, 8, NULL,
		                                            tow_slice_make(data, sizeof data)),
		                 0);
}

static void end_stream(void *user)
{
	tow_http_event_stream_end(((struct fixture *)user)->stream);
}

static void events_are_streamed(void **state)
{
	struct fixture f;
	const char *answer;
	int fd;

	(void)state;
	fixture_start(&f, 0, NULL);
	fd = client_connect(&f);
	client_send(fd, "GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
	answer = client_read_until(fd, "data: \n\n", 2000);
	assert_non_null(strstr(answer, "\r\nContent-Type: text/event-stream\r\n"));
	assert_true(ends(answer, "\r\n\r\n: welcome\n\nid: 7\nevent: delta\ndata: one\ndata: two\n"
	                         "data: three\n\ndata: \n\n"));
	/* the client says things that nobody wants to hear; the deadlines of requests
	 * do not count */
	client_send(fd, "what?");
	usleep(700000);
	assert_int_equal(f.streams_closed, 0);
	fixture_run(&f, end_stream, &f);
	assert_int_equal(f.streams_closed, 1);
	assert_string_equal(client_read_all(fd, 2000), "");
	close(fd);
	/* the client goes */
	fd = client_connect(&f);
	client_send(fd, "GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_for(&f.streams_opened, 2);
	close(fd);
	wait_for(&f.streams_closed, 2);
	/* the client stops reading */
	fd = client_connect(&f);
	client_send(fd, "GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_for(&f.streams_opened, 3);
	fixture_run(&f, send_many, &f);
	wait_for(&f.streams_closed, 3);
	close(fd);
	/* HEAD has no events */
	assert_true(
		ends(client_talk(&f, "HEAD /events HTTP/1.1\r\nHost: h\r\n" CLOSE), "\r\n\r\n"));
	assert_int_equal(f.streams_opened, 3);
	/* the server goes */
	fd = client_connect(&f);
	client_send(fd, "GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_for(&f.streams_opened, 4);
	fixture_stop(&f, 2 * TOW_NSEC_PER_SEC);
	assert_int_equal(f.streams_closed, 4);
	assert_true(ends(client_read_all(fd, 2000), "data: \n\n"));
	close(fd);
}

static void there_are_only_so_many_connections(void **state)
{
	static const struct tow__http_limits few = {
		2 * TOW_NSEC_PER_SEC, 5 * TOW_NSEC_PER_SEC, TOW_NSEC_PER_SEC,
		TOW_NSEC_PER_SEC,     TOW_NSEC_PER_SEC,     3,
	};
	struct fixture f;
	int fds[3], fd;

	(void)state;
	fixture_start(&f, 0, &few);
	for (int i = 0; i < 3; i++) {
		fds[i] = client_connect(&f);
		client_send(fds[i], "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
		assert_true(ends(client_read_until(fds[i], "hello\n", 2000), "hello\n"));
	}
	/* the one that has been idle for longest has to go */
	assert_true(ends(client_talk(&f, "GET /hello HTTP/1.1\r\nHost: h\r\n" CLOSE), "hello\n"));
	assert_string_equal(client_read_all(fds[0], 2000), "");
	/* then the one that has been at its request for longest */
	close(fds[0]);
	fds[0] = client_connect(&f);
	for (int i = 0; i < 3; i++)
		client_send(fds[i], "GET /hello HTTP/1.1\r\n");
	usleep(50000);
	assert_true(ends(client_talk(&f, "GET /hello HTTP/1.1\r\nHost: h\r\n" CLOSE), "hello\n"));
	assert_string_equal(client_read_all(fds[1], 2000), "");
	client_send(fds[0], "Host: h\r\n\r\n");
	assert_true(ends(client_read_until(fds[0], "hello\n", 2000), "hello\n"));
	client_send(fds[2], "Host: h\r\n\r\n");
	assert_true(ends(client_read_until(fds[2], "hello\n", 2000), "hello\n"));
	/* those that are being answered stay */
	close(fds[1]);
	for (int i = 0; i < 3; i++) {
		if (i == 1)
			fds[i] = client_connect(&f);
		client_send(fds[i], "GET /big?size=30000000 HTTP/1.1\r\nHost: h\r\n\r\n");
	}
	usleep(100000);
	fd = client_connect(&f);
	assert_string_equal(client_read_all(fd, 1000), "");
	close(fd);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

static void closing_lets_answers_finish(void **state)
{
	struct fixture f;
	int busy, idle;

	(void)state;
	fixture_start(&f, 0, NULL);
	idle = client_connect(&f);
	client_send(idle, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
	client_read_until(idle, "hello\n", 2000);
	busy = client_connect(&f);
	client_send(busy,
	            "GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_for(&f.handled, 2);
	fixture_stop(&f, 2 * TOW_NSEC_PER_SEC);
	assert_string_equal(client_read_all(idle, 1000), "");
	const char *answer = client_read_all(busy, 1000);
	assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
	assert_true(ends(answer, "late\n"));
	close(idle);
	close(busy);
	/* without grace: the request outlives the server, and is answered to nobody */
	fixture_start(&f, 0, NULL);
	busy = client_connect(&f);
	client_send(busy, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_for(&f.handled, 1);
	fixture_stop(&f, 0);
	assert_int_equal(f.answers, 0);
	close(busy);
}

static int run_program(const char *command, char *out, size_t cap)
{
	FILE *pipe = popen(command, "r");
	size_t len;

	assert_non_null(pipe);
	len = fread(out, 1, cap - 1, pipe);
	out[len] = '\0';
	return pclose(pipe);
}

static int curl(const struct fixture *f, const char *path_and_options, char *out, size_t cap)
{
	char command[512];

	snprintf(command, sizeof command, "curl -skS %s://127.0.0.1:%u%s 2>&1",
	         f->tls ? "https" : "http", f->addr.port, path_and_options);
	return run_program(command, out, cap);
}

static void other_peoples_clients_are_served(void **state)
{
	static char out[300000];
	struct fixture f;

	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		static const struct tow__http_limits patient = {
			5 * TOW_NSEC_PER_SEC, 5 * TOW_NSEC_PER_SEC, 5 * TOW_NSEC_PER_SEC,
			5 * TOW_NSEC_PER_SEC, TOW_NSEC_PER_SEC,     64,
		};
		fixture_start(&f, tls, &patient);
		assert_int_equal(curl(&f, "/hello", out, sizeof out), 0);
		assert_string_equal(out, "hello\n");
		assert_int_equal(curl(&f, "/echo -d a=b", out, sizeof out), 0);
		assert_string_equal(out, "a=b");
		assert_int_equal(curl(&f, "/items/[1-3]", out, sizeof out), 0);
		assert_int_equal(occurrences(out, "\"id\":"), 3);
		assert_int_equal(curl(&f, "/big?size=250000", out, sizeof out), 0);
		assert_int_equal(strlen(out), 250000);
		/* a body that curl asks leave for */
		assert_int_equal(curl(&f,
		                      "/echo -X PUT --data-binary @/bin/sh -H Expect:100-continue "
		                      "-o /dev/null -w '%{http_code}'",
		                      out, sizeof out),
		                 0);
		assert_true(starts(out, "200") || starts(out, "413"));
		fixture_stop(&f, TOW_NSEC_PER_SEC);
	}
}

static void tls_is_modern(void **state)
{
	static const struct {
		const char *command;
		int works;
	} cases[] = {
		{ "-tls1_3", 1 },
		{ "-tls1_2", 1 },
		{ "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384", 1 },
		{ "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305", 1 },
		{ "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256", 1 },
		{ "-tls1_3 -groups P-256", 1 },
		{ "-tls1_3 -alpn http/1.1", 1 },
		{ "-tls1_3 -alpn h2", 0 },
		{ "-tls1_2 -cipher ECDHE-ECDSA-AES256-SHA", 0 },
		{ "-tls1_1 -cipher DEFAULT@SECLEVEL=0", 0 },
	};
	static char out[65536];
	char command[512];
	struct fixture f;

	(void)state;
	fixture_start(&f, 1, NULL);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		snprintf(command, sizeof command,
		         "printf 'GET /hello HTTP/1.1\\r\\nHost: h\\r\\nConnection: "
		         "close\\r\\n\\r\\n' | "
		         "openssl s_client -quiet -ign_eof -connect 127.0.0.1:%u %s 2>/dev/null",
		         f.addr.port, cases[i].command);
		run_program(command, out, sizeof out);
		if (ends(out, "\r\n\r\nhello\n") != cases[i].works)
			fail_msg("%s: %s", cases[i].command, out);
	}
	/* plain HTTP where TLS is spoken: a hint instead of a riddle */
	assert_non_null(
		strstr(client_talk(&f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "use https://"));
	/* and what is neither */
	client_talk(&f, "\x16nonsense");
	client_talk(&f, "nonsense");
	assert_string_equal(client_talk(&f, ""), "");
	for (int i = 0; connections(&f) && i < 300; i++)
		usleep(10000);
	assert_int_equal(connections(&f), 0);
	fixture_stop(&f, TOW_NSEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_answered),
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(an_error_keeps_a_connection_that_is_in_order),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(a_split_at_every_byte_changes_nothing),
		cmocka_unit_test(heads_are_bounded),
		cmocka_unit_test(bodies_are_bounded),
		cmocka_unit_test(framing_is_bounded),
		cmocka_unit_test(a_client_that_asks_may_continue),
		cmocka_unit_test(slow_clients_time_out),
		cmocka_unit_test(a_client_that_does_not_read_times_out),
		cmocka_unit_test(an_answer_to_nobody_is_dropped),
		cmocka_unit_test(events_are_streamed),
		cmocka_unit_test(there_are_only_so_many_connections),
		cmocka_unit_test(closing_lets_answers_finish),
		cmocka_unit_test(other_peoples_clients_are_served),
		cmocka_unit_test(tls_is_modern),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
