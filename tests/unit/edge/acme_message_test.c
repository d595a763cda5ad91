/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tls/acme_message.h"

static const char directory_text[] =
	"{\"newNonce\":\"https://ca.test/nonce\",\"newAccount\":\"https://ca.test/account\","
	"\"newOrder\":\"https://ca.test/order\",\"revokeCert\":\"https://ca.test/revoke\","
	"\"keyChange\":\"https://ca.test/key\",\"renewalInfo\":\"https://ca.test/renewal\","
	"\"a1b2\":\"a member that nobody knows\",\"meta\":{\"externalAccountRequired\":true}}";
static const char order_text[] =
	"{\"status\":\"valid\",\"expires\":\"2026-12-01T00:00:00Z\",\"identifiers\":[{\"type\":"
        "\"dns\","
	"\"value\":\"a.test\"}],\"authorizations\":[\"https://ca.test/authz/1\"],"
	"\"finalize\":\"https://ca.test/finalize/1\",\"certificate\":\"https://ca.test/cert/1\"}";
static const char authorization_text[] =
	"{\"status\":\"invalid\",\"identifier\":{\"type\":\"dns\",\"value\":\"a.test\"},"
        "\"challenges\":["
	"{\"type\":\"dns-01\",\"url\":\"https://ca.test/c/"
        "1\",\"token\":\"abc\",\"status\":\"pending\"},"
	"{\"type\":\"http-01\",\"url\":\"https://ca.test/c/"
        "2\",\"token\":\"abc_-9\",\"status\":\"invalid\","
	"\"error\":{\"type\":\"urn:ietf:params:acme:error:connection\",\"detail\":"
        "\"refused\\nhere\"}},"
	"{\"type\":\"tls-alpn-01\",\"url\":\"https://ca.test/c/3\",\"token\":\"../../etc\"}]}";
static const char window_text[] = "{\"suggestedWindow\":{\"start\":\"2026-01-02T04:00:00Z\","
                                  "\"end\":\"2026-01-03T05:30:00.25+01:30\"},"
				  "\"explanationURL\":\"https://ca.test/why\"}";

static void good_messages_are_read(void **state)
{
	struct acme_directory directory;
	struct acme_order_object order;
	struct acme_authorization authorization;
	struct acme_window window;

	(void)state;
	assert_int_equal(tow__acme_read_directory(tow_slice_of(directory_text), &directory, NULL),
	                 0);
	assert_string_equal(directory.new_nonce, "https://ca.test/nonce");
	assert_string_equal(directory.renewal_info, "https://ca.test/renewal");
	assert_true(directory.external_account_required);
	assert_int_equal(tow__acme_read_order(tow_slice_of(order_text), &order, NULL), 0);
	assert_int_equal(order.status, ACME_VALID);
	assert_string_equal(order.authorization, "https://ca.test/authz/1");
	assert_string_equal(order.certificate, "https://ca.test/cert/1");
	assert_int_equal(tow__acme_read_authorization(tow_slice_of(authorization_text),
	                                              &authorization, NULL),
	                 0);
	assert_int_equal(authorization.status, ACME_INVALID);
	assert_string_equal(authorization.challenges[ACME_HTTP_01].token, "abc_-9");
	assert_string_equal(authorization.challenges[ACME_TLS_ALPN_01].url,
	                    ""); /* no token of base64url */
	assert_string_equal(authorization.problem.type, "connection");
	assert_string_equal(authorization.problem.detail, "refused?here");
	assert_int_equal(tow__acme_read_window(tow_slice_of(window_text), &window, NULL), 0);
	assert_int_equal(window.start_ms, 1767326400000);
	assert_int_equal(window.end_ms, 1767412800000);
}

static void prefixes_are_refused(void **state)
{
	struct acme_directory directory;
	struct acme_order_object order;
	struct acme_authorization authorization;
	struct acme_window window;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof directory_text; i++)
		assert_int_equal(tow__acme_read_directory(tow_slice_make(directory_text, i),
		                                          &directory, NULL),
		                 TOW_EPARSE);
	for (size_t i = 0; i + 1 < sizeof order_text; i++)
		assert_int_equal(tow__acme_read_order(tow_slice_make(order_text, i), &order, NULL),
		                 TOW_EPARSE);
	for (size_t i = 0; i + 1 < sizeof authorization_text; i++)
		assert_int_equal(tow__acme_read_authorization(tow_slice_make(authorization_text, i),
		                                              &authorization, NULL),
		                 TOW_EPARSE);
	for (size_t i = 0; i + 1 < sizeof window_text; i++)
		assert_int_equal(
			tow__acme_read_window(tow_slice_make(window_text, i), &window, NULL),
			TOW_EPARSE);
}

static void bad_messages_are_refused(void **state)
{
	static const char *const directories[] = {
		"[]",
		"{}",
		"7",
		"\"x\"",
		"nonsense",
		"{\"newNonce\":\"http://ca.test/n\",\"newAccount\":\"https://c/"
		"a\",\"newOrder\":\"https://c/o\"}",
		"{\"newNonce\":\"https://\",\"newAccount\":\"https://c/a\",\"newOrder\":\"https://"
		"c/o\"}",
		"{\"newNonce\":\"https://c/ "
		"n\",\"newAccount\":\"https://c/a\",\"newOrder\":\"https://c/o\"}",
		"{\"newNonce\":\"https://c/\\\"n\",\"newAccount\":\"https://c/"
		"a\",\"newOrder\":\"https://c/o\"}",
		"{\"newNonce\":\"https://c/n\",\"newAccount\":7,\"newOrder\":\"https://c/o\"}",
		"{\"newNonce\":\"https://c/n\",\"newNonce\":\"https://c/"
		"n\",\"newAccount\":\"https://c/a\","
		"\"newOrder\":\"https://c/o\"}",
	};
	static const char *const orders[] = {
		"{\"status\":\"odd\",\"finalize\":\"https://c/f\",\"authorizations\":[\"https://c/"
		"a\"]}",
		"{\"status\":\"pending\",\"authorizations\":[\"https://c/a\"]}",
		"{\"status\":\"pending\",\"finalize\":\"https://c/f\"}",
		"{\"status\":\"pending\",\"finalize\":\"https://c/f\",\"authorizations\":[]}",
		"{\"status\":\"pending\",\"finalize\":\"https://c/f\",\"authorizations\":[1]}",
		"{\"status\":\"pending\",\"finalize\":\"https://c/f\",\"authorizations\":[\"https:/"
		"/c/a\",\"https://c/b\"]}",
		"{\"status\":\"valid\",\"finalize\":\"https://c/f\",\"authorizations\":[\"https://"
		"c/a\"]}",
	};
	static const char *const windows[] = {
		"{}",
		"{\"suggestedWindow\":[]}",
		"{\"suggestedWindow\":{\"start\":\"2026-01-02T04:00:00Z\",\"end\":\"2025-01-02T04:"
		"00:00Z\"}}",
		"{\"suggestedWindow\":{\"start\":\"2026-01-02T04:00:00\",\"end\":\"2026-01-03T04:"
		"00:00\"}}",
		"{\"suggestedWindow\":{\"start\":\"1826-01-02T04:00:00Z\",\"end\":\"2026-01-03T04:"
		"00:00Z\"}}",
		"{\"suggestedWindow\":{\"start\":\"2026-01-02T04:00:00+1:99x\",\"end\":\"2026-01-"
		"03T04:00:00Z\"}}",
	};
	struct acme_directory directory;
	struct acme_order_object order;
	struct acme_window window;
	struct tow_error err;
	static char large[TOW_ACME_ANSWER_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
		assert_int_equal(
			tow__acme_read_directory(tow_slice_of(directories[i]), &directory, &err),
			TOW_EPARSE);
		assert_int_equal(err.code, TOW_EPARSE);
	}
	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
		assert_int_equal(tow__acme_read_order(tow_slice_of(orders[i]), &order, &err),
		                 TOW_EPARSE);
	for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
		assert_int_equal(tow__acme_read_window(tow_slice_of(windows[i]), &window, &err),
		                 TOW_EPARSE);
	assert_int_equal(tow__acme_read_order(tow_slice_make(large, sizeof large), &order, &err),
	                 TOW_ETOOBIG);
}

static void problems_are_read_from_anything(void **state)
{
	static const struct {
		const char *text, *type, *detail;
	} cases[] = {
		{ "", "", "" },
		{ "<html>", "", "" },
		{ "{}", "", "" },
		{ "{\"type\":7}", "", "" },
		{ "{\"type\":\"urn:ietf:params:acme:error:caa\"}", "caa", "" },
		{ "{\"type\":\"urn:ietf:params:acme:error:\",\"detail\":\"x\"}", "unknown", "x" },
		{ "{\"type\":\"about:blank\",\"detail\":[]}", "about:blank", "" },
	};
	struct acme_problem problem;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		tow__acme_read_problem(tow_slice_of(cases[i].text), &problem);
		assert_string_equal(problem.type, cases[i].type);
		assert_string_equal(problem.detail, cases[i].detail);
	}
}

static void retry_after_is_seconds_or_a_date(void **state)
{
	static const struct {
		const char *field;
		uint64_t ms;
	} cases[] = {
		{ NULL, 0 },
		{ "", 0 },
		{ "0", 0 },
		{ "7", 7000 },
		{ "-1", 0 },
		{ "7 ", 0 },
		{ "soon", 0 },
		{ "99999999", TOW_ACME_RETRY_AFTER_MAX_MS },
		{ "99999999999999999999999", TOW_ACME_RETRY_AFTER_MAX_MS },
		{ "Fri, 02 Jan 2026 04:00:10 GMT", 10000 },
		{ "Fri, 02 Jan 2026 03:59:59 GMT", 0 },
		{ "Fri, 02 Jan 2056 03:59:59 GMT", TOW_ACME_RETRY_AFTER_MAX_MS },
		{ "Fri, 02 Jan 2026 04:00:10 GMT and more", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(tow__acme_retry_after(cases[i].field, 1767326400000), cases[i].ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_messages_are_read),
		cmocka_unit_test(prefixes_are_refused),
		cmocka_unit_test(bad_messages_are_refused),
		cmocka_unit_test(problems_are_read_from_anything),
		cmocka_unit_test(retry_after_is_seconds_or_a_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
