/* SPDX-License-Identifier: MIT */
#include "http/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void escapes_are_decoded(void **state)
{
	static const struct {
		const char *in, *out;
		int plus;
	} cases[] = {
		{ "", "", 0 },
		{ "abc", "abc", 0 },
		{ "a+b", "a+b", 0 },
		{ "a+b", "a b", 1 },
		{ "%2a.example.eu", "*.example.eu", 0 },
		{ "%2A", "*", 0 },
		{ "a%2Fb", "a/b", 0 },
		{ "%25", "%", 0 },
		{ "%c3%a9", "\xc3\xa9", 0 },
		{ "%F0%9F%98%80", "\xf0\x9f\x98\x80", 0 },
		{ "%", NULL, 0 },
		{ "%4", NULL, 0 },
		{ "%4g", NULL, 0 },
		{ "%00", NULL, 0 },
		{ "a%0d%0a", NULL, 0 },
		{ "%7f", NULL, 0 },
		{ "%ff", NULL, 0 },
		{ "%c3", NULL, 0 },
		{ "%c0%af", NULL, 0 }, /* overlong slash */
		{ "%e0%80%af", NULL, 0 },
		{ "%ed%a0%80", NULL, 0 },    /* a surrogate */
		{ "%f4%90%80%80", NULL, 0 }, /* past U+10FFFF */
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int rc = tow__percent_decode(tow_slice_of(cases[i].in), cases[i].plus, out);
		if (!cases[i].out) {
			assert_int_equal(rc, TOW_EPARSE);
			continue;
		}
		assert_int_equal(rc, strlen(cases[i].out));
		assert_string_equal(out, cases[i].out);
	}
}

static const struct tow_http_route routes[] = {
	{ "GET", "/", 0, 0, NULL },
	{ "GET", "/v1/invites", 0, 0, NULL },
	{ "POST", "/v1/invites", 0, 0, NULL },
	{ "GET", "/v1/invites/{id}", 0, 0, NULL },
	{ "DELETE", "/v1/invites/{id}", 0, 0, NULL },
	{ "DELETE", "/v1/invites/{id}/hostnames/{hostname}", 0, 0, NULL },
	{ "GET", "/v1/ports/available", 0, 0, NULL },
	{ "GET", "/v1/ports", 0, 0, NULL },
};

static void targets_lead_to_rows(void **state)
{
	static const struct {
		const char *method, *target;
		int rc;
		int row; /* -1: none */
		const char *param, *value;
	} cases[] = {
		{ "GET", "/", 0, 0, NULL, NULL },
		{ "HEAD", "/?a=b", 0, 0, NULL, NULL },
		{ "GET", "/v1/invites", 0, 1, NULL, NULL },
		{ "POST", "/v1/invites", 0, 2, NULL, NULL },
		{ "GET", "/v1/invites?limit=1", 0, 1, NULL, NULL },
		{ "GET", "/v1/%69nvites", 0, 1, NULL, NULL },
		{ "GET", "/v1/invites/", TOW_ENOTFOUND, -1, NULL, NULL },
		{ "GET", "/v1/invites/AbC", 0, 3, "id", "AbC" },
		{ "GET", "/v1/invites/a%2Fb", 0, 3, "id", "a/b" },
		{ "DELETE", "/v1/invites/x/hostnames/%2A.a.eu", 0, 5, "hostname", "*.a.eu" },
		{ "DELETE", "/v1/invites/x/hostnames/%2A.a.eu", 0, 5, "id", "x" },
		{ "DELETE", "/v1/invites//hostnames/a", TOW_ENOTFOUND, -1, NULL, NULL },
		{ "PUT", "/v1/invites/x", TOW_EDENIED, -1, NULL, NULL },
		{ "HEAD", "/v1/invites/x/hostnames/y", TOW_EDENIED, -1, NULL, NULL },
		{ "GET", "/v1/ports/available", 0, 6, NULL, NULL },
		{ "GET", "/v1", TOW_ENOTFOUND, -1, NULL, NULL },
		{ "GET", "//v1/ports", TOW_ENOTFOUND, -1, NULL, NULL },
		{ "GET", "/v1/../v1/ports", TOW_ENOTFOUND, -1, NULL, NULL },
		{ "GET", "https://hub.example.eu/v1/ports?protocol=tcp", 0, 7, NULL, NULL },
		{ "GET", "HTTP://hub.example.eu", 0, 0, NULL, NULL },
		{ "GET", "http://hub.example.eu?x=/", 0, 0, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct tow__target target;
		struct tow__route_match match;
		const char *value = NULL;

		assert_int_equal(tow__target_parse(tow_slice_of(cases[i].target), &target), 0);
		assert_int_equal(tow__route_find(routes, sizeof routes / sizeof routes[0],
		                                 cases[i].method, &target, &match),
		                 cases[i].rc);
		assert_ptr_equal(match.route, cases[i].row < 0 ? NULL : &routes[cases[i].row]);
		for (size_t p = 0; cases[i].param && p < match.param_count; p++)
			if (tow_slice_equal(match.params[p].name, tow_slice_of(cases[i].param)))
				value = match.params[p].value;
		if (cases[i].param)
			assert_string_equal(value, cases[i].value);
		tow__target_deinit(&target);
	}
}

static void a_wrong_method_lists_the_right_ones(void **state)
{
	struct tow__target target;
	struct tow__route_match match;

	(void)state;
	assert_int_equal(tow__target_parse(tow_slice_of("/v1/invites"), &target), 0);
	assert_int_equal(
		tow__route_find(routes, sizeof routes / sizeof routes[0], "PATCH", &target, &match),
		TOW_EDENIED);
	assert_string_equal(match.allow, "GET, HEAD, POST");
	tow__target_deinit(&target);
}

static void a_query_is_taken_apart(void **state)
{
	static const struct {
		const char *target, *name, *value;
	} cases[] = {
		{ "/?limit=5", "limit", "5" }, { "/?a=1&b=2&a=3", "a", "1" },
		{ "/?a=1&b=2", "b", "2" },     { "/?q=a%20b+c", "q", "a b c" },
		{ "/?flag", "flag", "" },      { "/?flag&&x=", "x", "" },
		{ "/?a=b=c", "a", "b=c" },     { "/?%61=1", "a", "1" },
		{ "/?x=/?y", "x", "/?y" },     { "/", "a", NULL },
		{ "/?", "a", NULL },           { "/?ab=1", "a", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct tow__target target;
		const char *value = NULL;

		assert_int_equal(tow__target_parse(tow_slice_of(cases[i].target), &target), 0);
		for (size_t q = target.query_count; q-- > 0;)
			if (tow_slice_equal(target.query[q].name, tow_slice_of(cases[i].name)))
				value = target.query[q].value;
		if (cases[i].value)
			assert_string_equal(value, cases[i].value);
		else
			assert_null(value);
		tow__target_deinit(&target);
	}
}

static void bad_targets_are_refused(void **state)
{
	static const char *const cases[] = {
		"",     "v1/ports", "*",     "hub:443", "ftp://x/", "http://", "http:///v1",
		"/a b", "/a#b",     "/a%zz", "/?a=%0a", "/?%ff=1",  "/\x7f",   "/\xc3\xa9",
	};
	char many[3 * TOW__QUERY_MAX + 8], deep[2 * TOW__PATH_PARTS_MAX + 3];
	struct tow__target target;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(tow__target_parse(tow_slice_of(cases[i]), &target), TOW_EPARSE);
	memcpy(many, "/?", 3);
	for (size_t i = 0; i <= TOW__QUERY_MAX; i++)
		memcpy(many + 2 + 2 * i, "a&", 3);
	assert_int_equal(tow__target_parse(tow_slice_of(many), &target), TOW_ETOOBIG);
	many[2 + 2 * TOW__QUERY_MAX] = '\0';
	assert_int_equal(tow__target_parse(tow_slice_of(many), &target), 0);
	assert_int_equal(target.query_count, TOW__QUERY_MAX);
	tow__target_deinit(&target);
	for (size_t i = 0; i <= TOW__PATH_PARTS_MAX; i++)
		memcpy(deep + 2 * i, "/a", 3);
	assert_int_equal(tow__target_parse(tow_slice_of(deep), &target), TOW_ETOOBIG);
	deep[2 * TOW__PATH_PARTS_MAX] = '\0';
	assert_int_equal(tow__target_parse(tow_slice_of(deep), &target), 0);
	tow__target_deinit(&target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escapes_are_decoded),
		cmocka_unit_test(targets_lead_to_rows),
		cmocka_unit_test(a_wrong_method_lists_the_right_ones),
		cmocka_unit_test(a_query_is_taken_apart),
		cmocka_unit_test(bad_targets_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
