/* SPDX-License-Identifier: MIT */
#include <towonel/wire/nearest.h>
#include <towonel/wire/service.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HTTPS TOW_SERVICE_HTTPS
#define TCP   TOW_SERVICE_TCP
#define UDP   TOW_SERVICE_UDP

static struct tow_service_list list_of(enum tow_service_kind kind, const char *json)
{
	struct tow_service_list list = { 0 };
	struct tow_error err;

	if (tow_service_list_parse(&list, kind, tow_slice_of(json), &err))
		fail_msg("%s: %s", json, err.text);
	return list;
}

static void add(struct tow_service_list *list, enum tow_service_kind kind, const char *json)
{
	assert_int_equal(tow_service_list_parse(list, kind, tow_slice_of(json), NULL), 0);
}

static void services_are_read_whole(void **state)
{
	struct tow_service_list list = list_of(
		HTTPS,
		"[{\"hostname\":\"App.Alice.example.eu.\",\"origin\":\"127.0.0.1:8080\","
		"\"origin_server_name\":\"Inner.lan\",\"tls_mode\":{\"mode\":\"terminate\"},"
		"\"proxy_protocol\":\"v2\"},"
		" {\"hostname\":\"*.alice.example.eu\",\"origin\":\"[2001:DB8:0::1]:443\"}]");
	const struct tow_service *s;
	char text[TOW_AUTHORITY_SIZE];

	(void)state;
	add(&list, TCP,
	    "[{\"name\":\"forgejo-ssh\",\"origin\":\"Forgejo:22\",\"listen_port\":2222}]");
	add(&list, UDP,
	    "[{\"name\":\"d\xc3\xa9 ns\",\"origin\":\"127.0.0.1:5353\",\"listen_port\":65535,"
	    "\"proxy_protocol\":\"v2\"},"
	    "{\"name\":\"game\",\"origin\":\"127.0.0.1:65024\",\"listen_port\":1000,\"ports\":512,"
	    "\"idle_timeout_secs\":3600}]");
	assert_int_equal(list.count, 5);
	s = &list.items[0];
	assert_int_equal(s->kind, HTTPS);
	assert_string_equal(s->name, "app.alice.example.eu");
	assert_string_equal(s->origin_host, "127.0.0.1");
	assert_int_equal(s->origin_port, 8080);
	assert_string_equal(s->origin_server_name, "inner.lan");
	assert_int_equal(s->tls_mode, TOW_TLS_TERMINATE);
	assert_int_equal(s->proxy_protocol, TOW_PROXY_V2);
	assert_int_equal(s->listen_port, 0);
	assert_int_equal(s->port_count, 0);
	assert_int_equal(s->idle_timeout_secs, 0);
	assert_string_equal(tow_service_authority(s, text), "app.alice.example.eu");
	s = &list.items[1];
	assert_string_equal(s->origin_host, "2001:db8::1");
	assert_string_equal(s->origin_server_name, "");
	assert_int_equal(s->tls_mode, TOW_TLS_PASSTHROUGH);
	assert_int_equal(s->proxy_protocol, TOW_PROXY_V2);
	s = &list.items[2];
	assert_int_equal(s->kind, TCP);
	assert_string_equal(s->origin_host, "forgejo");
	assert_int_equal(s->proxy_protocol, TOW_PROXY_NONE);
	assert_int_equal(s->listen_port, 2222);
	assert_int_equal(s->port_count, 1);
	assert_int_equal(s->idle_timeout_secs, 0);
	assert_string_equal(tow_service_authority(s, text), "tcp:forgejo-ssh");
	s = &list.items[3];
	assert_int_equal(s->kind, UDP);
	assert_int_equal(s->proxy_protocol, TOW_PROXY_V2);
	assert_int_equal(s->listen_port, 65535);
	assert_int_equal(s->port_count, 1);
	assert_int_equal(s->idle_timeout_secs, 60);
	assert_string_equal(tow_service_authority(s, text), "udp:d\xc3\xa9 ns");
	s = &list.items[4];
	assert_int_equal(s->port_count, 512);
	assert_int_equal(s->idle_timeout_secs, 3600);
	assert_int_equal(tow_service_list_check(&list, NULL), 0);
	tow_service_list_deinit(&list);
	assert_null(list.items);
	list = list_of(HTTPS, "[{\"hostname\":\"a.b\",\"origin\":\"c:1\",\"tls_mode\":{\"mode\":"
	                      "\"terminate\"}}]");
	assert_int_equal(list.items[0].proxy_protocol, TOW_PROXY_NONE);
	assert_int_equal(list.items[0].http_mode, TOW_HTTP_FORWARDED);
	tow_service_list_deinit(&list);
}

/* It gets the visitor's address otherwise: no PROXY header unless it is asked for. */
static void test_an_origin_in_process(void **state)
{
	struct tow_service_list list = list_of(HTTPS, "[{\"hostname\":\"a.b\",\"origin\":\"inproc:web.1\"}]");
	(void)state;
	assert_string_equal(tow_service_inproc(&list.items[0]), "web.1");
	assert_int_equal(list.items[0].proxy_protocol, TOW_PROXY_NONE);
	tow_service_list_deinit(&list);
	list = list_of(TCP, "[{\"name\":\"n\",\"origin\":\"inproc:x\",\"listen_port\":7,\"proxy_protocol\":\"v2\"},"
			    " {\"name\":\"inproc\",\"origin\":\"inproc.lan:8\",\"listen_port\":8}]");
	assert_string_equal(tow_service_inproc(&list.items[0]), "x");
	assert_int_equal(list.items[0].proxy_protocol, TOW_PROXY_V2);
	assert_null(tow_service_inproc(&list.items[1]));
	tow_service_list_deinit(&list);
}

#define H "[{\"hostname\":\"a.b\",\"origin\":\"c:1\""
#define T "[{\"name\":\"n\",\"origin\":\"c:1\""

static void how_http_is_served_is_told(void **state)
{
#define TERMINATED H ",\"tls_mode\":{\"mode\":\"terminate\"}"
	static const struct {
		const char *json;
		enum tow_http_mode mode;
	} cases[] = {
		{ H "}]", TOW_HTTP_FORWARDED },
		{ TERMINATED "}]", TOW_HTTP_FORWARDED },
		{ TERMINATED ",\"forwarded_headers\":true}]", TOW_HTTP_FORWARDED },
		{ TERMINATED ",\"forwarded_headers\":false}]", TOW_HTTP_PLAIN },
		{ TERMINATED ",\"origin_protocol\":\"http/1.1\"}]", TOW_HTTP_FORWARDED },
		{ TERMINATED ",\"origin_protocol\":\"http/1.1\",\"forwarded_headers\":false}]", TOW_HTTP_PLAIN },
		{ TERMINATED ",\"origin_protocol\":\"h2c\"}]", TOW_HTTP_H2C },
		{ TERMINATED ",\"origin_protocol\":\"h2c\",\"forwarded_headers\":false}]", TOW_HTTP_H2C },
		{ H ",\"http_origin\":\"c:2\"}]", TOW_HTTP_CHALLENGE },
		{ H ",\"tls_mode\":{\"mode\":\"passthrough\"},\"http_origin\":\"[::0]:65535\"}]", TOW_HTTP_CHALLENGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_service_list list = list_of(HTTPS, cases[i].json);
		assert_int_equal(list.items[0].http_mode, cases[i].mode);
		tow_service_list_deinit(&list);
	}
}

static void who_may_come_is_told(void **state)
{
	static const enum tow_service_kind kinds[] = { HTTPS, TCP, UDP };

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct tow_buf json = { 0 };
		struct tow_service_list list;
		struct tow_addr addr;

		assert_int_equal(tow_buf_printf(&json, "%s,\"allow_from\":[\"192.0.2.0/24\",\"2001:db8::/32\"],"
		                                "\"deny_from\":[\"::ffff:192.0.2.7\"]}]",
		                                kinds[i] == HTTPS ? H : T ",\"listen_port\":1"), 0);
		assert_int_equal(tow_buf_append(&json, "", 1), 0);
		list = list_of(kinds[i], (const char *)json.base);
		assert_int_equal(list.items[0].access.counts[TOW_ACCESS_ALLOW], 2);
		assert_int_equal(list.items[0].access.counts[TOW_ACCESS_DENY], 1);
		assert_int_equal(tow_addr_parse_host(tow_slice_of("192.0.2.7"), &addr), 0);
		assert_false(tow_access_permits(&list.items[0].access, &addr));
		tow_service_list_deinit(&list);
		tow_buf_deinit(&json);
	}
}

static void plain_http_has_an_origin_of_its_own(void **state)
{
	struct tow_service_list list = list_of(
		HTTPS, "[{\"hostname\":\"a.b\",\"origin\":\"inproc:x\",\"proxy_protocol\":"
		       "\"v2\",\"http_origin\":\"Web.LAN:80\"},"
		       "{\"hostname\":\"*.b.e\",\"origin\":\"c:443\",\"origin_server_name\":"
		       "\"c.d\",\"http_origin\":\"[0:0::1]:8080\"},"
		       "{\"hostname\":\"c.d\",\"origin\":\"c:1\"}]");
	static const char *const unknown[] = { "http:c.d",      "http:",        "http:a.b:80",
		                               "http:http:a.b", "http:tcp:a.b", "HTTP:a.b",
		                               "http:b.e" };
	struct tow_service service;

	(void)state;
	assert_ptr_equal(tow_service_list_find(&list, "http:a.b"), &list.items[0]);
	assert_ptr_equal(tow_service_list_find(&list, "http:other.b.e"), &list.items[1]);
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
		assert_null(tow_service_list_find(&list, unknown[i]));
	assert_true(tow_service_is_plain_http("http:a.b"));
	assert_false(tow_service_is_plain_http("a.b"));
	assert_false(tow_service_is_plain_http("tcp:http"));
	service = list.items[0];
	tow_service_take_plain_http(&service);
	assert_string_equal(service.origin_host, "web.lan");
	assert_int_equal(service.origin_port, 80);
	assert_int_equal(service.proxy_protocol, TOW_PROXY_NONE);
	assert_null(tow_service_inproc(&service));
	service = list.items[1];
	tow_service_take_plain_http(&service);
	assert_string_equal(service.origin_host, "::1");
	assert_string_equal(service.origin_server_name, "");
	tow_service_list_deinit(&list);
}

static void empty_texts_are_empty_lists(void **state)
{
	static const char *const texts[] = { "", " ", "\r\n\t ", "[]", " [ ] " };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct tow_service_list list = list_of(TCP, texts[i]);
		assert_int_equal(list.count, 0);
		tow_service_list_deinit(&list);
	}
}


static void faults_name_element_and_key(void **state)
{
	static const struct {
		enum tow_service_kind kind;
		const char *json, *why;
	} cases[] = {
		{ HTTPS, "[", "not JSON: line 1" },
		{ HTTPS, "x", "not JSON" },
		{ HTTPS, "[]x", "not JSON" },
		{ HTTPS, "{}", "must be a JSON array" },
		{ HTTPS, "7", "not JSON" },
		{ HTTPS, "[7]", "element 1: must be a JSON object" },
		{ HTTPS, "[[]]", "element 1: must be a JSON object" },
		{ HTTPS, "[{}]", "element 1: \"hostname\" is missing" },
		{ HTTPS, H "},{\"hostname\":\"a.b\",\"orgin\":\"c:1\"}]",
		  "element 2: unknown key \"orgin\" (did you mean \"origin\"?)" },
		{ HTTPS, H ",\"listen_port\":1}]", "element 1: unknown key \"listen_port\"" },
		{ HTTPS, H ",\"hostname\":\"d.e\"}]", "duplicate" },
		{ HTTPS, H ",\"ports\":1}]", "unknown key \"ports\"" },
		{ HTTPS, H ",\"idle_timeout_secs\":1}]", "unknown key \"idle_timeout_secs\"" },
		{ HTTPS, "[{\"hostname\":\"a.b\"}]", "\"origin\" is missing" },
		{ HTTPS, "[{\"hostname\":7,\"origin\":\"c:1\"}]", "\"hostname\" must be a string" },
		{ HTTPS, "[{\"hostname\":null,\"origin\":\"c:1\"}]",
		  "\"hostname\" must be a string" },
		{ HTTPS, "[{\"hostname\":\"a\",\"origin\":\"c:1\"}]", "two labels" },
		{ HTTPS, "[{\"hostname\":\"a.b\\u0000c\",\"origin\":\"c:1\"}]", "not JSON" },
		{ HTTPS, "[{\"hostname\":\"a.b\",\"origin\":\"http://c\"}]",
		  "\"origin\" must be host:port" },
		{ HTTPS, "[{\"hostname\":\"a.b\",\"origin\":\"c\"}]", "port is missing" },
		{ HTTPS, "[{\"hostname\":\"a.b\",\"origin\":\"inproc:\"}]", "comes a name" },
		{ HTTPS, "[{\"hostname\":\"a.b\",\"origin\":\"inproc:a b\"}]", "printable ASCII" },
		{ HTTPS, "[{\"hostname\":\"a.b\",\"origin\":\"inproc:a\",\"origin_server_name\":\"c\"}]",
		  "is not for" },
		{ UDP, "[{\"name\":\"n\",\"origin\":\"inproc:a\",\"listen_port\":1}]", "UDP service has a host:port" },
		{ HTTPS, "[{\"hostname\":\"a.b\",\"origin\":8080}]",
		  "\"origin\" must be a string" },
		{ HTTPS, H ",\"forwarded_headers\":true}]", "\"forwarded_headers\" needs \"tls_mode\"" },
		{ HTTPS, H ",\"origin_protocol\":\"h2c\"}]", "\"origin_protocol\" needs \"tls_mode\"" },
		{ HTTPS, TERMINATED ",\"forwarded_headers\":1}]", "must be true or false" },
		{ HTTPS, TERMINATED ",\"http_origin\":\"c:80\"}]", "\"http_origin\" needs \"tls_mode\"" },
		{ HTTPS, H ",\"http_origin\":\"c\"}]", "\"http_origin\" must be host:port" },
		{ HTTPS, H ",\"http_origin\":\"inproc:x\"}]", "\"http_origin\" must be host:port" },
		{ HTTPS, H ",\"http_origin\":80}]", "\"http_origin\"" },
		{ HTTPS, TERMINATED ",\"origin_protocol\":\"h3\"}]", "\"origin_protocol\" must be" },
		{ HTTPS, TERMINATED ",\"origin_protocol\":\"h2c\",\"forwarded_headers\":true}]", "are not for" },
		{ HTTPS, H ",\"tls_mode\":\"terminate\"}]", "\"tls_mode\" must be {" },
		{ HTTPS, H ",\"tls_mode\":{}}]", "\"tls_mode\": \"mode\" is missing" },
		{ HTTPS, H ",\"tls_mode\":{\"mode\":\"x\"}}]",
		  "\"tls_mode\": \"mode\" must be \"passthrough\" or \"terminate\"" },
		{ HTTPS, H ",\"tls_mode\":{\"moed\":\"x\"}}]", "did you mean \"mode\"?" },
		{ HTTPS, H ",\"proxy_protocol\":\"v1\"}]",
		  "\"proxy_protocol\" must be \"none\" or \"v2\"" },
		{ HTTPS, H ",\"proxy_protocol\":2}]", "\"proxy_protocol\" must be" },
		{ HTTPS, H ",\"allow_from\":\"10.0.0.0/8\"}]", "\"allow_from\" must be an array" },
		{ HTTPS, H ",\"allow_from\":[]}]", "\"allow_from\" has nobody" },
		{ HTTPS, H ",\"allow_from\":null}]", "\"allow_from\" must be an array" },
		{ HTTPS, H ",\"deny_from\":[8]}]", "\"deny_from\" must be an array of strings" },
		{ HTTPS, H ",\"deny_form\":[]}]", "did you mean \"deny_from\"?" },
		{ TCP, T ",\"listen_port\":1,\"deny_from\":[\"10.0.0.1/8\"]}]", "the network is 10.0.0.0/8" },
		{ UDP, T ",\"listen_port\":1,\"allow_from\":[\"example.eu\"]}]",
		  "element 1: \"allow_from\": \"example.eu\"" },
		{ HTTPS, H ",\"origin_server_name\":\"\"}]", "\"origin_server_name\"" },
		{ HTTPS, H ",\"origin_server_name\":\"1.2.3.4\"}]", "address" },
		{ HTTPS, H ",\"origin_server_name\":\"::1\"}]", "address" },
		{ TCP, T "}]", "\"listen_port\" is missing" },
		{ TCP, T ",\"listen_port\":0}]",
		  "\"listen_port\" must be a whole number from 1 to 65535" },
		{ TCP, T ",\"listen_port\":-1}]", "\"listen_port\" must be" },
		{ TCP, T ",\"listen_port\":65536}]", "\"listen_port\" must be" },
		{ TCP, T ",\"listen_port\":22.0}]", "\"listen_port\" must be" },
		{ TCP, T ",\"listen_port\":\"22\"}]", "\"listen_port\" must be" },
		{ TCP, T ",\"listen_port\":99999999999999999999}]", "not JSON" },
		{ TCP, T ",\"tls_mode\":{}}]", "unknown key \"tls_mode\"" },
		{ TCP, T ",\"listen_port\":1,\"ports\":0}]",
		  "element 1: \"ports\" must be a whole number from 1 to 512" },
		{ TCP, T ",\"listen_port\":1,\"ports\":513}]", "\"ports\" must be" },
		{ UDP, T ",\"listen_port\":1,\"ports\":\"2\"}]", "\"ports\" must be" },
		{ UDP, T ",\"listen_port\":1,\"ports\":null}]", "\"ports\" must be" },
		{ TCP, T ",\"listen_port\":65535,\"ports\":2}]",
		  "element 1: 2 \"ports\" from \"listen_port\" 65535 on go beyond 65535" },
		{ TCP, "[{\"name\":\"n\",\"origin\":\"c:65400\",\"listen_port\":1,\"ports\":137}]",
		  "137 \"ports\" from the origin's port 65400 on go beyond 65535" },
		{ TCP, T ",\"listen_port\":1,\"idle_timeout_secs\":60}]",
		  "unknown key \"idle_timeout_secs\"" },
		{ UDP, T ",\"listen_port\":1,\"idle_timeout_secs\":0}]",
		  "\"idle_timeout_secs\" must be a whole number from 1 to 3600" },
		{ UDP, T ",\"listen_port\":1,\"idle_timeout_secs\":3601}]",
		  "\"idle_timeout_secs\" must be" },
		{ UDP, T ",\"listen_port\":1,\"idle_timeout_sec\":1}]", "did you mean" },
		{ UDP, "[{\"name\":\"\",\"origin\":\"c:1\",\"listen_port\":1}]", "name is empty" },
		{ UDP, "[{\"name\":\"a\\u007f\",\"origin\":\"c:1\",\"listen_port\":1}]",
		  "control" },
		{ UDP, "[{\"name\":\"a\\u0085\",\"origin\":\"c:1\",\"listen_port\":1}]",
		  "control" },
		{ UDP,
		  "[{\"name\":"
		  "\"0123456789012345678901234567890123456789012345678901234567890123x\","
		  "\"origin\":\"c:1\",\"listen_port\":1}]",
		  "longer than 64" },
		{ TCP, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "deep" },
	};
	struct tow_service_list list = list_of(TCP, T ",\"listen_port\":1}]");

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_error err = { 0 };
		int r = tow_service_list_parse(&list, cases[i].kind, tow_slice_of(cases[i].json),
		                               &err);
		if (r != TOW_EPARSE || err.code != r || !strstr(err.text, cases[i].why))
			fail_msg("%s: %d, %s", cases[i].json, r, err.text);
		assert_int_equal(list.count, 1);
	}
	assert_string_equal(list.items[0].name, "n");
	tow_service_list_deinit(&list);
}

static void there_are_limits(void **state)
{
	struct tow_buf json = { 0 };
	struct tow_service_list list = { 0 };

	(void)state;
	assert_int_equal(tow_buf_append_text(&json, "["), 0);
	for (int i = 0; i < TOW_SERVICES_MAX; i++)
		assert_int_equal(
			tow_buf_printf(&json,
		                       "%s{\"name\":\"%d\",\"origin\":\"c:1\",\"listen_port\":%d}",
		                       i ? "," : "", i, i + 1),
			0);
	assert_int_equal(tow_buf_append_text(&json, "]"), 0);
	assert_int_equal(tow_service_list_parse(&list, TCP, tow_buf_peek(&json), NULL), 0);
	assert_int_equal(list.count, TOW_SERVICES_MAX);
	assert_int_equal(tow_service_list_check(&list, NULL), 0);
	assert_int_equal(tow_service_list_parse(&list, HTTPS, tow_slice_of(H "}]"), NULL),
	                 TOW_ETOOBIG);
	tow_service_list_deinit(&list);
	tow_buf_clear(&json);
	for (int i = 0; i <= TOW_SERVICES_TEXT_MAX; i++)
		assert_int_equal(tow_buf_append_text(&json, "["), 0);
	assert_int_equal(tow_service_list_parse(&list, TCP, tow_buf_peek(&json), NULL),
	                 TOW_ETOOBIG);
	json.tail--;
	assert_int_equal(tow_service_list_parse(&list, TCP, tow_buf_peek(&json), NULL), TOW_EPARSE);
	tow_buf_deinit(&json);
}

static void conflicts_in_a_list_are_found(void **state)
{
	static const struct {
		const char *https, *tcp, *udp, *why;
	} cases[] = {
		{ "[{\"hostname\":\"a.b\",\"origin\":\"c:1\"},{\"hostname\":\"A.b\",\"origin\":\"c:"
		  "2\"}]",
		  "", "", "\"a.b\" is declared twice" },
		{ "",
		  "[{\"name\":\"n\",\"origin\":\"c:1\",\"listen_port\":1},"
		  "{\"name\":\"n\",\"origin\":\"c:1\",\"listen_port\":2}]",
		  "", "\"n\" is declared twice" },
		{ "",
		  "[{\"name\":\"n\",\"origin\":\"c:1\",\"listen_port\":7},"
		  "{\"name\":\"m\",\"origin\":\"c:1\",\"listen_port\":7}]",
		  "", "\"n\" and \"m\" both want TCP port 7" },
		{ "", "",
		  "[{\"name\":\"n\",\"origin\":\"c:1\",\"listen_port\":10,\"ports\":5},"
		  "{\"name\":\"m\",\"origin\":\"c:1\",\"listen_port\":6,\"ports\":5}]",
		  "\"n\" and \"m\" both want UDP port 10" },
		{ "",
		  "[{\"name\":\"n\",\"origin\":\"c:1\",\"listen_port\":10,\"ports\":5},"
		  "{\"name\":\"m\",\"origin\":\"c:1\",\"listen_port\":14}]",
		  "", "\"n\" and \"m\" both want TCP port 14" },
		/* next to one another, and right up to the last */
		{ "",
		  "[{\"name\":\"n\",\"origin\":\"c:1\",\"listen_port\":10,\"ports\":5},"
		  "{\"name\":\"m\",\"origin\":\"c:1\",\"listen_port\":5,\"ports\":5},"
		  "{\"name\":\"o\",\"origin\":\"c:1\",\"listen_port\":15,\"ports\":2},"
		  "{\"name\":\"p\",\"origin\":\"c:65024\",\"listen_port\":65024,\"ports\":512}]",
		  "[{\"name\":\"n\",\"origin\":\"c:1\",\"listen_port\":10,\"ports\":5}]", NULL },
		{ "[{\"hostname\":\"a.b\",\"origin\":\"c:1\"}]", "",
		  "[{\"name\":\"A.b\",\"origin\":\"c:1\",\"listen_port\":7}]",
		  "is a hostname and the name of a UDP service" },
		/* tcp and udp are apart; a wildcard and a name below it may stand together */
		{ "[{\"hostname\":\"*.a.b\",\"origin\":\"c:1\"},{\"hostname\":\"x.a.b\",\"origin\":"
		  "\"c:2\"}]",
		  "[{\"name\":\"n\",\"origin\":\"c:1\",\"listen_port\":7}]",
		  "[{\"name\":\"n\",\"origin\":\"c:1\",\"listen_port\":7}]", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_service_list list = list_of(HTTPS, cases[i].https);
		struct tow_error err = { 0 };
		add(&list, TCP, cases[i].tcp);
		add(&list, UDP, cases[i].udp);
		assert_int_equal(tow_service_list_check(&list, &err),
		                 cases[i].why ? TOW_ECONFLICT : 0);
		if (cases[i].why && !strstr(err.text, cases[i].why))
			fail_msg("%s", err.text);
		tow_service_list_deinit(&list);
	}
}

static void shuffle(struct tow_service_list *list, unsigned random)
{
	for (size_t i = list->count; i > 1; i--) {
		struct tow_service tmp = list->items[i - 1];
		size_t j = random % i;
		list->items[i - 1] = list->items[j];
		list->items[j] = tmp;
		random = random * 1664525 + 1013904223;
	}
}

static void add_prefix(struct tow_service *service, enum tow_access_list list)
{
	assert_int_equal(tow_access_parse(&service->access, list, tow_slice_of("192.0.2.0/24"), NULL), 0);
}

static void the_hash_is_that_of_the_set(void **state)
{
	struct tow_service_list list = list_of(
		HTTPS,
		"[{\"hostname\":\"a.b\",\"origin\":\"c:1\"},{\"hostname\":\"*.a.b\",\"origin\":"
		"\"[::1]:1\",\"origin_server_name\":\"x.y\"},{\"hostname\":\"c.b\",\"origin\":"
		"\"c:1\",\"tls_mode\":{\"mode\":\"terminate\"}}]");
	uint8_t hash[TOW_HASH_SIZE], again[TOW_HASH_SIZE], empty[TOW_HASH_SIZE];
	struct tow_service_list copy;

	(void)state;
	tow_service_list_hash(&(struct tow_service_list){ 0 }, empty);
	add(&list, TCP,
	    T ",\"listen_port\":1},{\"name\":\"m\",\"origin\":\"c:1\",\"listen_port\":2}]");
	add(&list, UDP, T ",\"listen_port\":1}]");
	tow_service_list_hash(&list, hash);
	assert_memory_not_equal(hash, empty, sizeof hash);
	assert_int_equal(tow_service_list_copy(&list, &copy), 0);
	for (unsigned i = 0; i < 50; i++) {
		shuffle(&copy, i);
		tow_service_list_hash(&copy, again);
		assert_memory_equal(hash, again, sizeof hash);
	}
	/* every change of every member counts */
	for (size_t i = 0; i < copy.count; i++) {
		for (int member = 0; member < 16; member++) {
			struct tow_service saved = copy.items[i], *s = &copy.items[i];
			switch (member) {
			case 0: s->kind = (s->kind + 1) % 3; break;
			case 1: s->name[0] ^= 1; break;
			case 2: s->origin_host[0] ^= 1; break;
			case 3: s->origin_port ^= 256; break;
			case 4: s->origin_server_name[0] ^= 1; break;
			case 5: s->tls_mode ^= 1; break;
			case 6: s->proxy_protocol ^= 1; break;
			case 7: s->listen_port ^= 1; break;
			case 8: s->port_count ^= 256; break;
			case 9: s->idle_timeout_secs ^= 1; break;
			case 10: s->http_mode ^= 1; break;
			case 11: copy.count--; break;
			case 12: add_prefix(s, TOW_ACCESS_ALLOW); break;
			case 13: add_prefix(s, TOW_ACCESS_DENY); break;
			case 14: s->http_origin_host[0] ^= 1; break;
			case 15: s->http_origin_port ^= 1; break;
			}
			if (member == 11)
				*s = copy.items[copy.count];
			tow_service_list_hash(&copy, again);
			assert_memory_not_equal(hash, again, sizeof hash);
			copy.count = list.count;
			*s = saved;
		}
	}
	tow_service_list_hash(&copy, again);
	assert_memory_equal(hash, again, sizeof hash);
	/* two of the same are not one */
	copy.items[0] = copy.items[1];
	tow_service_list_hash(&copy, hash);
	copy.count--;
	copy.items[0] = copy.items[copy.count];
	tow_service_list_hash(&copy, again);
	assert_memory_not_equal(hash, again, sizeof hash);
	tow_service_list_deinit(&copy);
	tow_service_list_deinit(&list);
	assert_int_equal(tow_service_list_copy(&list, &copy), 0);
	assert_null(copy.items);
}

static void spelling_does_not_change_the_hash(void **state)
{
	struct tow_service_list a = list_of(
		HTTPS,
		"[{\"hostname\":\"A.b.\",\"origin\":\"Localhost:1\"},"
		"{\"hostname\":\"x.b\",\"origin\":\"[0:0::1]:1\",\"proxy_protocol\":\"v2\"}]");
	struct tow_service_list b =
		list_of(HTTPS, "[{\"origin\":\"[::1]:1\",\"hostname\":\"x.b\"},"
	                       "{\"hostname\":\"a.b\",\"origin\":\"localhost:1\",\"tls_mode\":"
	                       "{\"mode\":\"passthrough\"}}]");
	uint8_t one[TOW_HASH_SIZE], other[TOW_HASH_SIZE];

	(void)state;
	tow_service_list_hash(&a, one);
	tow_service_list_hash(&b, other);
	assert_memory_equal(one, other, sizeof one);
	tow_service_list_deinit(&a);
	tow_service_list_deinit(&b);
}

static void authorities_find_their_service(void **state)
{
	static const struct {
		const char *authority, *name;
		enum tow_service_kind kind;
	} cases[] = {
		{ "x.a.b", "x.a.b", HTTPS }, { "y.a.b", "*.a.b", HTTPS }, { "a.b", NULL, HTTPS },
		{ "z.y.a.b", NULL, HTTPS },  { "tcp:n", "n", TCP },       { "udp:n", "n", UDP },
		{ "udp:m", NULL, UDP },      { "n", NULL, TCP },          { "", NULL, TCP },
		{ "tcp:", NULL, TCP },       { "tcp:x.a.b", NULL, TCP },
	};
	struct tow_service_list list =
		list_of(HTTPS, "[{\"hostname\":\"*.a.b\",\"origin\":\"c:1\"},"
	                       "{\"hostname\":\"x.a.b\",\"origin\":\"c:2\"}]");

	(void)state;
	add(&list, TCP, T ",\"listen_port\":1}]");
	add(&list, UDP, T ",\"listen_port\":1}]");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct tow_service *s = tow_service_list_find(&list, cases[i].authority);
		assert_int_equal(s != NULL, cases[i].name != NULL);
		if (s) {
			assert_string_equal(s->name, cases[i].name);
			assert_int_equal(s->kind, cases[i].kind);
		}
	}
	tow_service_list_deinit(&list);
}

static void public_ports_lead_to_the_origins(void **state)
{
	static const struct {
		uint16_t public_port, origin_port; /* 0: none */
	} cases[] = {
		{ 0, 0 },      { 1, 0 },      { 4999, 0 }, { 5000, 100 },
		{ 5001, 101 }, { 5015, 115 }, { 5016, 0 }, { 65535, 0 },
	};
	struct tow_service_list list = list_of(
		TCP, "[{\"name\":\"n\",\"origin\":\"c:100\",\"listen_port\":5000,\"ports\":16}]");
	uint16_t port = 7;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int r = tow_service_origin_port(&list.items[0], cases[i].public_port, &port);
		assert_int_equal(r, cases[i].origin_port ? 0 : TOW_EINVAL);
		if (!r)
			assert_int_equal(port, cases[i].origin_port);
	}
	assert_int_equal(port, 115);
	add(&list, HTTPS, H "}]");
	assert_int_equal(tow_service_origin_port(&list.items[1], 443, &port), 0);
	assert_int_equal(port, 1);
	tow_service_list_deinit(&list);
}

static void mangle(enum tow_service_kind kind, const char *text)
{
	size_t len = strlen(text);
	char copy[512];
	struct tow_service_list list = { 0 };

	assert_true(len <= sizeof copy);
	for (size_t cut = 1; cut < len; cut++) {
		memcpy(copy + sizeof copy - cut, text, cut);
		assert_int_equal(
			tow_service_list_parse(&list, kind,
		                               tow_slice_make(copy + sizeof copy - cut, cut), NULL),
			TOW_EPARSE);
	}
	for (size_t at = 0; at < len; at++) {
		for (unsigned c = 0; c < 256; c++) {
			memcpy(copy, text, len);
			copy[at] = (char)c;
			if (!tow_service_list_parse(&list, kind, tow_slice_make(copy, len), NULL))
				assert_int_equal(tow_service_list_check(&list, NULL), 0);
			tow_service_list_deinit(&list);
		}
	}
}

static void mangled_lists_do_no_harm(void **state)
{
	(void)state;
	mangle(HTTPS,
	       "[{\"hostname\":\"*.a.b\",\"origin\":\"[::1]:1\",\"origin_server_name\":\"x\","
	       "\"tls_mode\":{\"mode\":\"terminate\"},\"proxy_protocol\":\"none\"}]");
	mangle(UDP, "[{\"name\":\"game\",\"origin\":\"[::1]:1\",\"listen_port\":65535,\"ports\":1,"
	            "\"idle_timeout_secs\":10,\"proxy_protocol\":\"v2\"}]");
}

static void names_and_modes(void **state)
{
	static const uint8_t bad_utf8[] = { 'a', 0xff };
	enum tow_tls_mode mode = TOW_TLS_TERMINATE;

	(void)state;
	assert_int_equal(tow_tls_mode_parse("passthrough", &mode), 0);
	assert_int_equal(mode, TOW_TLS_PASSTHROUGH);
	assert_string_equal(tow_tls_mode_name(TOW_TLS_TERMINATE), "terminate");
	assert_int_equal(tow_tls_mode_parse("Terminate", &mode), TOW_EPARSE);
	assert_int_equal(tow_tls_mode_parse("", &mode), TOW_EPARSE);
	assert_int_equal(tow_service_name_check(tow_slice_make("a\0b", 3), NULL), TOW_EPARSE);
	assert_int_equal(tow_service_name_check(tow_slice_make(bad_utf8, 2), NULL), TOW_EPARSE);
	assert_int_equal(tow_service_name_check(tow_slice_of("a\nb"), NULL), TOW_EPARSE);
	assert_int_equal(
		tow_service_name_check(tow_slice_of("Spiel-Server \xf0\x9f\x8e\xae"), NULL), 0);
}

static void the_nearest_name_is_found(void **state)
{
	static const char *const names[] = { "origin", "hostname", "tls_mode", "name" };
	static const struct {
		const char *word, *nearest;
	} cases[] = {
		{ "orgin", "origin" },
		{ "oriign", "origin" },
		{ "origins", "origin" },
		{ "origim", "origin" },
		{ "host_name", "hostname" },
		{ "tlsmode", "tls_mode" },
		{ "tls-mode", "tls_mode" },
		{ "nmae", "name" },
		{ "xyz", NULL },
		{ "", NULL },
		{ "hosts", NULL },
		{ "ORIGIN", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *found = tow_nearest(tow_slice_of(cases[i].word), names, 4);
		assert_int_equal(found != NULL, cases[i].nearest != NULL);
		if (found)
			assert_string_equal(found, cases[i].nearest);
	}
	assert_null(tow_nearest(tow_slice_of("origin"), NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_origin_in_process),
		cmocka_unit_test(services_are_read_whole),
		cmocka_unit_test(how_http_is_served_is_told),
		cmocka_unit_test(who_may_come_is_told),
		cmocka_unit_test(plain_http_has_an_origin_of_its_own),
		cmocka_unit_test(empty_texts_are_empty_lists),
		cmocka_unit_test(faults_name_element_and_key),
		cmocka_unit_test(there_are_limits),
		cmocka_unit_test(conflicts_in_a_list_are_found),
		cmocka_unit_test(the_hash_is_that_of_the_set),
		cmocka_unit_test(spelling_does_not_change_the_hash),
		cmocka_unit_test(authorities_find_their_service),
		cmocka_unit_test(public_ports_lead_to_the_origins),
		cmocka_unit_test(mangled_lists_do_no_harm),
		cmocka_unit_test(names_and_modes),
		cmocka_unit_test(the_nearest_name_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
