/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls/http_port.h"

static int routed(void *user, const char *name)
{
	(void)user;
	return strcmp(name, "app.test") == 0;
}

static const char *authorization(void *user, const char *token)
{
	(void)user;
	return strcmp(token, "tok_en-1") == 0 ? "tok_en-1.thumbprint" : NULL;
}

static int forward(void *user, const char *name, const char *token,
                   struct tow_http_request *request)
{
	(void)user;
	if (strcmp(name, "own.test") != 0 || strcmp(token, "theirs") != 0)
		return 0;
	tow_http_respond(request, 200, "text/plain", tow_slice_of("theirs.answer"));
	return 1;
}

static struct http_port *open_port(struct fixture *f, uint16_t https_port)
{
	struct http_port_config config = {
		.loop = f->loop,
		.log = f->log,
		.metrics = f->metrics,
		.listen = { .family = 4, .bytes = { 127, 0, 0, 1 } },
		.https_port = https_port,
		.routed = routed,
		.authorization = authorization,
		.forward = forward,
	};
	struct http_port *port;

	assert_int_equal(tow__http_port_new(&config, &port, NULL), 0);
	return port;
}

/* All that comes back until the other side closes. */
static void talk(struct fixture *f, const struct http_port *port, const char *request, char *out,
                 size_t cap)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		                    .sin_port = htons(tow__http_port_addr(port)->port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = 0;
	ssize_t n = -1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL),
	                 (ssize_t)strlen(request));
	while (n != 0 && len + 1 < cap) {
		await(f, (n = recv(fd, out + len, cap - 1 - len, MSG_DONTWAIT)) >= 0 ||
		                 errno != EAGAIN);
		assert_true(n >= 0);
		len += (size_t)n;
	}
	out[len] = '\0';
	close(fd);
}

static void requests_are_answered(void **state)
{
	static const struct {
		uint16_t https_port;
		const char *method, *target, *host;
		const char *status, *part; /* of the answer */
	} cases[] = {
		{ 443, "GET", "/.well-known/acme-challenge/tok_en-1", "app.test", "200",
		  "\r\n\r\ntok_en-1.thumbprint" },
		{ 443, "GET", "/.well-known/acme-challenge/tok_en-1", "whoever", "200",
		  "\r\n\r\ntok_en-1.thumbprint" },
		{ 443, "GET", "/.well-known/acme-challenge/other", "app.test", "404", "" },
		{ 443, "GET", "/.well-known/acme-challenge/theirs", "OWN.test:80", "200",
		  "\r\n\r\ntheirs.answer" },
		{ 443, "GET", "/.well-known/acme-challenge/theirs", "app.test", "404", "" },
		{ 443, "GET", "/.well-known/acme-challenge/theirs", "", "404", "" },
		{ 443, "GET", "/.well-known/acme-challenge/a/b", "unknown.test", "404", "" },
		{ 443, "GET", "/", "app.test", "308", "\r\nLocation: https://app.test/\r\n" },
		{ 443, "GET", "/a//b?c=%20&d", "APP.test:80", "308",
		  "\r\nLocation: https://app.test/a//b?c=%20&d\r\n" },
		{ 8443, "GET", "/x", "app.test", "308",
		  "\r\nLocation: https://app.test:8443/x\r\n" },
		{ 443, "DELETE", "/x", "app.test.", "308", "\r\nLocation: https://app.test/x\r\n" },
		{ 443, "GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20", "app.test",
		  "308", "/19/20\r\n" },
		{ 443, "GET", "/%zz", "app.test", "308", "\r\nLocation: https://app.test/%zz\r\n" },
		{ 443, "GET", "http://other.test/x", "app.test", "308",
		  "\r\nLocation: https://app.test/\r\n" },
		{ 443, "OPTIONS", "*", "app.test", "308", "\r\nLocation: https://app.test/\r\n" },
		{ 443, "GET", "/", "other.test", "404", "" },
		{ 443, "GET", "/", "127.0.0.1", "404", "" },
		{ 443, "GET", "/", "[::1]:80", "404", "" },
		{ 443, "GET", "/", "", "404", "" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_port *port = open_port(f, cases[i].https_port);
		char request[512], answer[4096];

		snprintf(request, sizeof request,
		         "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", cases[i].method,
		         cases[i].target, cases[i].host);
		talk(f, port, request, answer, sizeof answer);
		if (strncmp(answer + 9, cases[i].status, 3) != 0 || !strstr(answer, cases[i].part))
			fail_msg("%s%s", request, answer);
		tow__http_port_free(port);
	}
	assert_int_equal(metric(f, "towonel_edge_http_requests_total", "answer=\"challenge\""), 2);
	assert_int_equal(metric(f, "towonel_edge_http_requests_total", "answer=\"forwarded\""), 1);
	assert_int_equal(metric(f, "towonel_edge_http_requests_total", "answer=\"unknown\""), 8);
}

/* A body is read and thrown away within its bound, as for any other request. */
static void a_post_is_redirected(void **state)
{
	struct fixture *f = *state;
	struct http_port *port = open_port(f, 443);
	char answer[4096];

	talk(f, port,
	     "POST /form HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nConnection: "
	     "close\r\n\r\nhello",
	     answer, sizeof answer);
	assert_non_null(strstr(answer, " 308 "));
	assert_non_null(strstr(answer, "\r\nLocation: https://app.test/form\r\n"));
	tow__http_port_free(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(requests_are_answered, fixture_setup,
		                                fixture_teardown),
		cmocka_unit_test_setup_teardown(a_post_is_redirected, fixture_setup,
		                                fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
