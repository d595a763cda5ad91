/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <towonel/tunnel/proxy.h>

static void test_urls(void **state)
{
	static const struct {
		const char *url;
		int rc;
		const char *host;
		uint16_t port;
		const char *user, *password;
	} cases[] = {
		{ "http://proxy.example.eu:3128", 0, "proxy.example.eu", 3128, "", "" },
		{ "http://proxy.example.eu:3128/", 0, "proxy.example.eu", 3128, "", "" },
		{ "HTTP://proxy", 0, "proxy", 80, "", "" },
		{ "proxy:8080", 0, "proxy", 8080, "", "" },
		{ "http://192.0.2.1:8080", 0, "192.0.2.1", 8080, "", "" },
		{ "http://[2001:db8::1]:8080", 0, "2001:db8::1", 8080, "", "" },
		{ "http://[2001:db8::1]", 0, "2001:db8::1", 80, "", "" },
		{ "http://me:secret@proxy:1", 0, "proxy", 1, "me", "secret" },
		{ "http://me@proxy:1", 0, "proxy", 1, "me", "" },
		{ "http://m%40e:s%3Acr%2fet@proxy:1", 0, "proxy", 1, "m@e", "s:cr/et" },
		{ "http://m%3ae:secret@proxy:1", TOW_EPARSE, NULL, 0, NULL, NULL },
		{ "http://me:%zz@proxy:1", TOW_EPARSE, NULL, 0, NULL, NULL },
		{ "http://me:%0a@proxy:1", TOW_EPARSE, NULL, 0, NULL, NULL },
		{ "https://proxy:1", TOW_EPARSE, NULL, 0, NULL, NULL },
		{ "socks5://proxy:1", TOW_EPARSE, NULL, 0, NULL, NULL },
		{ "http://", TOW_EPARSE, NULL, 0, NULL, NULL },
		{ "http://me:secret@", TOW_EPARSE, NULL, 0, NULL, NULL },
		{ "http://proxy:", TOW_EPARSE, NULL, 0, NULL, NULL },
		{ "http://proxy:0", TOW_EPARSE, NULL, 0, NULL, NULL },
		{ "http://proxy:99999", TOW_EPARSE, NULL, 0, NULL, NULL },
		{ "", TOW_EPARSE, NULL, 0, NULL, NULL },
	};
	struct tow_proxy proxy;
	struct tow_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int rc = tow_proxy_parse(tow_slice_of(cases[i].url), &proxy, &err);

		if (rc != cases[i].rc)
			fail_msg("%s: %d", cases[i].url, rc);
		if (rc != 0) {
			assert_null(strstr(err.text, "secret"));
			continue;
		}
		assert_string_equal(proxy.host, cases[i].host);
		assert_int_equal(proxy.port, cases[i].port);
		assert_string_equal(proxy.user, cases[i].user);
		assert_string_equal(proxy.password, cases[i].password);
	}
}

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static void test_environment(void **state)
{
	static const struct {
		const char *upper, *lower, *host; /* NULL: no proxy */
	} cases[] = {
		{ NULL, NULL, NULL },
		{ "", "", NULL },
		{ "http://one:1", NULL, "one" },
		{ NULL, "http://two:1", "two" },
		{ "http://one:1", "http://two:1", "one" },
		{ "", "http://two:1", "two" },
	};
	struct tow_proxies proxies;
	const struct tow_proxy *found;
	struct tow_error err;

	(void)state;
	set("NO_PROXY", NULL);
	set("no_proxy", NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		set("HTTPS_PROXY", cases[i].upper);
		set("https_proxy", cases[i].lower);
		assert_int_equal(tow_proxies_from_environment(&proxies, &err), 0);
		found = tow_proxies_find(&proxies, "hub.example.eu");
		assert_int_equal(found != NULL, cases[i].host != NULL);
		if (found)
			assert_string_equal(found->host, cases[i].host);
		tow_proxies_deinit(&proxies);
	}
	set("HTTPS_PROXY", "ftp://me:secret@one");
	assert_int_equal(tow_proxies_from_environment(&proxies, &err), TOW_EPARSE);
	assert_non_null(strstr(err.text, "HTTPS_PROXY: "));
	assert_null(strstr(err.text, "secret"));
}

static void test_bypass(void **state)
{
	static const struct {
		const char *list, *host;
		int past;
	} cases[] = {
		{ "", "example.eu", 0 },
		{ "", "localhost", 1 },
		{ "", "127.0.0.1", 1 },
		{ "", "127.8.8.8", 1 },
		{ "", "::1", 1 },
		{ "*", "example.eu", 1 },
		{ "example.eu", "example.eu", 1 },
		{ "EXAMPLE.eu", "example.EU", 1 },
		{ "example.eu", "app.example.eu", 1 },
		{ ".example.eu", "app.example.eu", 1 },
		{ "*.example.eu", "app.example.eu", 1 },
		{ "example.eu", "anexample.eu", 0 },
		{ "app.example.eu", "example.eu", 0 },
		{ "a.eu, b.eu  c.eu", "c.eu", 1 },
		{ "a.eu,,b.eu,", "b.eu", 1 },
		{ "a.eu,b.eu", "c.eu", 0 },
		{ "192.0.2.1", "192.0.2.1", 1 },
		{ "192.0.2.1", "192.0.2.10", 0 },
		{ "192.0.2.0/24", "192.0.2.77", 1 },
		{ "192.0.2.0/25", "192.0.2.177", 0 },
		{ "192.0.2.0/0", "198.51.100.1", 1 },
		{ "192.0.2.0/33", "192.0.2.1", 0 },
		{ "192.0.2.0/", "192.0.2.1", 0 },
		{ "2001:db8::/33", "2001:db8:7fff::1", 1 },
		{ "2001:db8::/33", "2001:db8:8000::1", 0 },
		{ "[2001:db8::1]", "2001:db8::1", 1 },
		{ "2001:db8::1", "192.0.2.1", 0 },
		{ ".", "example.eu", 0 },
	};
	struct tow_proxies proxies;

	(void)state;
	set("HTTPS_PROXY", "http://proxy:1");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		set("NO_PROXY", cases[i].list);
		assert_int_equal(tow_proxies_from_environment(&proxies, NULL), 0);
		if ((tow_proxies_find(&proxies, cases[i].host) == NULL) != cases[i].past)
			fail_msg("%s with \"%s\"", cases[i].host, cases[i].list);
		tow_proxies_deinit(&proxies);
	}
}

static void test_answers(void **state)
{
	static const struct {
		const char *text;
		int rc;
		unsigned status;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\n\r\n", 0, 200 },
		{ "HTTP/1.0 200\r\n\r\n", 0, 200 },
		{ "HTTP/1.1 200 Connection established\r\nVia: 1.1 p\r\n\r\n", 0, 200 },
		{ "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nno!", 0,
		  407 },
		{ "HTTP/2 200 OK\r\n\r\n", TOW_EPARSE, 0 },
		{ "HTTP/1.1 20 OK\r\n\r\n", TOW_EPARSE, 0 },
		{ "HTTP/1.1 2000 OK\r\n\r\n", TOW_EPARSE, 0 },
		{ "SSH-2.0-x\r\n\r\n", TOW_EPARSE, 0 },
	};
	static uint8_t endless[TOW_PROXY_ANSWER_MAX];
	unsigned status;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tow_slice text = tow_slice_of(cases[i].text);

		assert_int_equal(tow_proxy_answer_read(text, &status, &len), cases[i].rc);
		if (cases[i].rc != 0)
			continue;
		assert_int_equal(status, cases[i].status);
		assert_memory_equal(text.base + len - 4, "\r\n\r\n", 4);
		for (size_t n = 0; n < len; n++)
			assert_int_equal(
				tow_proxy_answer_read(tow_slice_make(text.base, n), &status, &len),
				TOW_MORE);
	}
	memset(endless, 'x', sizeof(endless));
	memcpy(endless, "HTTP/1.1 200 ", 13);
	assert_int_equal(
		tow_proxy_answer_read(tow_slice_make(endless, sizeof(endless)), &status, &len),
		TOW_ETOOBIG);
}

/* --- a proxy that answers as it is told --- */

struct asking {
	int done, status;
	char text[sizeof(((struct tow_error *)0)->text)];
};

static void on_done(void *user, int status, const struct tow_error *err)
{
	struct asking *asking = user;

	asking->done = 1;
	asking->status = status;
	snprintf(asking->text, sizeof(asking->text), "%s", err ? err->text : "");
}

static void turn(struct tow_loop *loop)
{
	struct pollfd p = { .fd = tow_loop_fd(loop), .events = POLLIN };
	int wait = tow_loop_timeout_ms(loop);

	(void)poll(&p, 1, wait < 0 || wait > 10 ? 10 : wait);
	tow_loop_dispatch(loop);
}

static void test_connect(void **state)
{
	static const struct {
		const char *answer; /* "": closes; NULL: says nothing */
		int status;
		const char *text;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\n\r\n", 0, "" },
		{ "HTTP/1.1 200 OK\r\n\r\nearly", TOW_EHTTP, "not HTTP" },
		{ "HTTP/1.1 407 No\r\n\r\nwho?", TOW_EDENIED, "407" },
		{ "HTTP/1.1 403 No\r\n\r\n", TOW_EDENIED, "403" },
		{ "HTTP/1.1 502 No\r\n\r\n", TOW_EHTTP, "502" },
		{ "hello\r\n\r\n", TOW_EHTTP, "not HTTP" },
		{ "", TOW_ERESET, "closed" },
		{ NULL, TOW_ETIMEDOUT, "does not answer" },
	};
	const struct tow_proxy proxy = { "proxy", 1, "me", "secret" };
	struct tow_loop *loop = tow_loop_new();
	struct tow_proxy_connect *connect;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct asking asking = { 0 };
		char request[512] = "";
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		assert_int_equal(
			tow_proxy_connect_start(loop, &proxy, fds[0], "2001:db8::1", 443,
		                                (cases[i].answer ? 5000 : 50) * TOW_NSEC_PER_MSEC,
		                                on_done, &asking, &connect),
			0);
		while (!strstr(request, "\r\n\r\n")) {
			turn(loop);
			(void)!read(fds[1], request + strlen(request),
			            sizeof(request) - 1 - strlen(request));
		}
		assert_string_equal(
			request, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"
				 "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n");
		for (const char *c = cases[i].answer; c && *c; c++) {
			assert_int_equal(write(fds[1], c, 1), 1);
			if (c - cases[i].answer < 12)
				tow_loop_dispatch(loop);
		}
		if (cases[i].answer && !*cases[i].answer)
			shutdown(fds[1], SHUT_RDWR);
		while (!asking.done)
			turn(loop);
		assert_int_equal(asking.status, cases[i].status);
		assert_non_null(strstr(asking.text, cases[i].text));
		close(fds[0]);
		close(fds[1]);
	}
	tow_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),    cmocka_unit_test(test_environment),
		cmocka_unit_test(test_bypass),  cmocka_unit_test(test_answers),
		cmocka_unit_test(test_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
