/* SPDX-License-Identifier: MIT */
/* Whole errands against a script of answers: each line is what is asked next, and what comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tls/acme_errand.h"

#define URN "urn:ietf:params:acme:error:"
#define DIRECTORY                                                                                  \
	"{\"newNonce\":\"https://ca/nonce\",\"newAccount\":\"https://ca/account\","                \
	"\"newOrder\":\"https://ca/order\",\"revokeCert\":\"https://ca/revoke\"}"
#define DIRECTORY_ARI                                                                              \
	"{\"newNonce\":\"https://ca/nonce\",\"newAccount\":\"https://ca/account\","                \
	"\"newOrder\":\"https://ca/order\",\"renewalInfo\":\"https://ca/renewal\"}"
#define ORDER(status)                                                                              \
	"{\"status\":\"" status "\",\"authorizations\":[\"https://ca/authz\"],"                    \
	"\"finalize\":\"https://ca/finalize\",\"certificate\":\"https://ca/cert\"}"
#define ORDER_INVALID                                                                              \
	"{\"status\":\"invalid\",\"authorizations\":[\"https://ca/authz\"],\"finalize\":\"https:/" \
	"/ca/finalize\","                                                                          \
	"\"error\":{\"type\":\"" URN "caa\",\"detail\":\"CAA forbids\"}}"
#define AUTHZ(status, more)                                                                        \
	"{\"status\":\"" status                                                                    \
	"\",\"challenges\":[{\"type\":\"http-01\",\"url\":\"https://ca/http\","                    \
	"\"token\":\"tok\"" more                                                                   \
	"},{\"type\":\"tls-alpn-01\",\"url\":\"https://ca/alpn\",\"token\":\"tik\"}]}"
#define PROBLEM(type)   "{\"type\":\"" URN type "\",\"detail\":\"because\"}"
#define FAILED_BY(type) ",\"error\":" PROBLEM(type)

struct line {
	const char *asked; /* "METHOD URL"; "pause", "publish" */
	int status;
	const char *body, *nonce, *location, *retry_after;
};

#define BEGIN                                                                                      \
	{ "GET https://ca/dir", 200, DIRECTORY, NULL, NULL, NULL },                                \
		{ "HEAD https://ca/nonce", 200, "", "n1", NULL, NULL },                            \
	{                                                                                          \
		"POST https://ca/account", 201, "{}", "n2", "https://ca/account/1", NULL           \
	}
#define ORDERED                                                                                    \
	{                                                                                          \
		"POST https://ca/order", 201, ORDER("pending"), "n3", "https://ca/order/1", NULL   \
	}
#define CHALLENGED                                                                                 \
	{ "POST https://ca/authz", 200, AUTHZ("pending", ""), "n4", NULL, NULL },                  \
		{ "publish", 0, NULL, NULL, NULL, NULL },                                          \
		{ "POST https://ca/http", 200, "{}", "n5", NULL, NULL },                           \
	{                                                                                          \
		"pause", 0, NULL, NULL, NULL, NULL                                                 \
	}
#define PROVEN                                                                                     \
	{ "POST https://ca/authz", 200, AUTHZ("valid", ""), "n6", NULL, NULL },                    \
	{                                                                                          \
		"POST https://ca/order/1", 200, ORDER("ready"), "n7", NULL, NULL                   \
	}
#define ISSUED                                                                                     \
	{ "POST https://ca/finalize", 200, ORDER("valid"), "n8", NULL, NULL },                     \
	{                                                                                          \
		"POST https://ca/cert", 200, "CHAIN", "n9", NULL, NULL                             \
	}
#define ANSWER(what, code, text)                                                                   \
	{                                                                                          \
		what, code, text, "n", NULL, NULL                                                  \
	}
#define END                                                                                        \
	{                                                                                          \
		NULL, 0, NULL, NULL, NULL, NULL                                                    \
	}

static const struct {
	const char *name;
	enum acme_step end;
	enum acme_failure_kind kind;
	uint64_t retry_after_ms;
	const char *reason, *advice; /* parts of them; NULL: "" */
	struct line lines[20];
} cases[] = {
	{ "a first certificate",
	  ACME_DONE,
	  0,
	  0,
	  NULL,
	  NULL,
	  { BEGIN, ORDERED, CHALLENGED, PROVEN, ISSUED, END } },
	{ "a name that was proven before",
	  ACME_DONE,
	  0,
	  0,
	  NULL,
	  NULL,
	  { BEGIN, ORDERED, PROVEN, ISSUED, END } },
	{ "an order that is ready at once",
	  ACME_DONE,
	  0,
	  0,
	  NULL,
	  NULL,
	  { BEGIN,
	    { "POST https://ca/order", 201, ORDER("ready"), "n", "https://ca/order/1", NULL },
	    ISSUED,
	    END } },
	{ "slow validation, slow issuance",
	  ACME_DONE,
	  0,
	  0,
	  NULL,
	  NULL,
	  { BEGIN,
	    ORDERED,
	    CHALLENGED,
	    ANSWER("POST https://ca/authz", 200, AUTHZ("pending", "")),
	    ANSWER("pause", 0, NULL),
	    { "POST https://ca/authz", 200, AUTHZ("valid", ""), "n", NULL, NULL },
	    { "POST https://ca/order/1", 200, ORDER("pending"), "n", NULL, "3" },
	    ANSWER("pause", 3000, NULL),
	    ANSWER("POST https://ca/order/1", 200, ORDER("ready")),
	    ANSWER("POST https://ca/finalize", 200, ORDER("processing")),
	    ANSWER("pause", 0, NULL),
	    ANSWER("POST https://ca/order/1", 200, ORDER("valid")),
	    ANSWER("POST https://ca/cert", 200, "CHAIN"),
	    END } },
	{ "refused nonces, with and without a new one",
	  ACME_DONE,
	  0,
	  0,
	  NULL,
	  NULL,
	  { { "GET https://ca/dir", 200, DIRECTORY, NULL, NULL, NULL },
	    { "HEAD https://ca/nonce", 200, "", "n1", NULL, NULL },
	    { "POST https://ca/account", 400, PROBLEM("badNonce"), "n2", NULL, NULL },
	    { "POST https://ca/account", 400, PROBLEM("badNonce"), NULL, NULL, NULL },
	    { "HEAD https://ca/nonce", 204, "", "n3", NULL, NULL },
	    { "POST https://ca/account", 201, "{}", "n4", "https://ca/account/1", NULL },
	    ORDERED,
	    PROVEN,
	    ISSUED,
	    END } },
	{ "a server that has forgotten the account",
	  ACME_DONE,
	  0,
	  0,
	  NULL,
	  NULL,
	  { BEGIN,
	    ANSWER("POST https://ca/order", 400, PROBLEM("accountDoesNotExist")),
	    { "POST https://ca/account", 201, "{}", "n", "https://ca/account/2", NULL },
	    ORDERED,
	    PROVEN,
	    ISSUED,
	    END } },
	{ "the server is away",
	  ACME_FAILED,
	  ACME_TRANSIENT,
	  0,
	  "cannot be reached: connection refused",
	  NULL,
	  { { "GET https://ca/dir", 0, "", NULL, NULL, NULL }, END } },
	{ "the directory is a page",
	  ACME_FAILED,
	  ACME_TRANSIENT,
	  0,
	  "not JSON",
	  NULL,
	  { { "GET https://ca/dir", 200, "<html>", NULL, NULL, NULL }, END } },
	{ "the directory has moved",
	  ACME_FAILED,
	  ACME_TRANSIENT,
	  0,
	  "status 301",
	  NULL,
	  { { "GET https://ca/dir", 301, "", NULL, NULL, NULL }, END } },
	{ "no nonce",
	  ACME_FAILED,
	  ACME_TRANSIENT,
	  0,
	  "no nonce",
	  NULL,
	  { { "GET https://ca/dir", 200, DIRECTORY, NULL, NULL, NULL },
	    { "HEAD https://ca/nonce", 200, "", "not\"a nonce", NULL, NULL },
	    END } },
	{ "an internal error",
	  ACME_FAILED,
	  ACME_TRANSIENT,
	  0,
	  "serverInternal",
	  NULL,
	  { BEGIN, ANSWER("POST https://ca/order", 500, PROBLEM("serverInternal")), END } },
	{ "an error without a document",
	  ACME_FAILED,
	  ACME_TRANSIENT,
	  60000,
	  "status 503",
	  NULL,
	  { BEGIN, { "POST https://ca/order", 503, "gone", "n", NULL, "60" }, END } },
	{ "an account that has to be bound",
	  ACME_FAILED,
	  ACME_REFUSED,
	  0,
	  "because",
	  "TOWONEL_EDGE_TLS_ACME_EAB_KID",
	  { { "GET https://ca/dir", 200, DIRECTORY, "n", NULL, NULL },
	    ANSWER("POST https://ca/account", 403, PROBLEM("externalAccountRequired")),
	    END } },
	{ "an account without a place",
	  ACME_FAILED,
	  ACME_TRANSIENT,
	  0,
	  "where the account is",
	  NULL,
	  { { "GET https://ca/dir", 200, DIRECTORY, "n", NULL, NULL },
	    ANSWER("POST https://ca/account", 201, "{}"),
	    END } },
	{ "a limit",
	  ACME_FAILED,
	  ACME_RATE_LIMITED,
	  172800000,
	  "rateLimited: because",
	  NULL,
	  { BEGIN,
	    { "POST https://ca/order", 429, PROBLEM("rateLimited"), "n", NULL, "172800" },
	    END } },
	{ "a limit without a document",
	  ACME_FAILED,
	  ACME_RATE_LIMITED,
	  0,
	  "rateLimited",
	  NULL,
	  { BEGIN, ANSWER("POST https://ca/order", 429, ""), END } },
	{ "a name that is not wanted",
	  ACME_FAILED,
	  ACME_REFUSED,
	  0,
	  "rejectedIdentifier",
	  "another authority",
	  { BEGIN, ANSWER("POST https://ca/order", 400, PROBLEM("rejectedIdentifier")), END } },
	{ "an order for too much",
	  ACME_FAILED,
	  ACME_TRANSIENT,
	  0,
	  "2 authorizations",
	  NULL,
	  { BEGIN,
	    { "POST https://ca/order", 201,
	      "{\"status\":\"pending\",\"finalize\":\"https://ca/f\",\"authorizations\":[\"https://"
	      "ca/a\",\"https://ca/b\"]}",
	      "n", "https://ca/order/1", NULL },
	    END } },
	{ "an authorization that is lost already",
	  ACME_FAILED,
	  ACME_REFUSED,
	  0,
	  "no proof",
	  NULL,
	  { BEGIN, ORDERED, ANSWER("POST https://ca/authz", 200, AUTHZ("deactivated", "")), END } },
	{ "no such challenge",
	  ACME_FAILED,
	  ACME_UNREACHABLE,
	  0,
	  "http-01",
	  NULL,
	  { BEGIN, ORDERED,
	    ANSWER("POST https://ca/authz", 200, "{\"status\":\"pending\",\"challenges\":[]}"),
	    END } },
	{ "the port is closed",
	  ACME_FAILED,
	  ACME_UNREACHABLE,
	  0,
	  "connection: because",
	  "port 80 of a.test",
	  { BEGIN, ORDERED, CHALLENGED,
	    ANSWER("POST https://ca/authz", 200, AUTHZ("invalid", FAILED_BY("connection"))),
	    END } },
	{ "no DNS",
	  ACME_FAILED,
	  ACME_REFUSED,
	  0,
	  "dns: because",
	  "DNS records (A, AAAA) of a.test",
	  { BEGIN, ORDERED, CHALLENGED,
	    ANSWER("POST https://ca/authz", 200, AUTHZ("invalid", FAILED_BY("dns"))), END } },
	{ "another server",
	  ACME_FAILED,
	  ACME_REFUSED,
	  0,
	  "unauthorized: because",
	  "is not this edge",
	  { BEGIN, ORDERED, CHALLENGED,
	    ANSWER("POST https://ca/authz", 200, AUTHZ("invalid", FAILED_BY("unauthorized"))),
	    END } },
	{ "the order fails at the end",
	  ACME_FAILED,
	  ACME_REFUSED,
	  0,
	  "CAA forbids",
	  "CAA record of a.test",
	  { BEGIN, ORDERED, CHALLENGED, PROVEN,
	    ANSWER("POST https://ca/finalize", 200, ORDER_INVALID), END } },
	{ "the order is dropped",
	  ACME_FAILED,
	  ACME_REFUSED,
	  0,
	  "dropped the order",
	  NULL,
	  { BEGIN, ORDERED, CHALLENGED, ANSWER("POST https://ca/authz", 200, AUTHZ("valid", "")),
	    ANSWER("POST https://ca/order/1", 200, ORDER("invalid")), END } },
};

static void run(struct acme_errand *e, const struct line *line, const char *name)
{
	struct acme_request request;
	char asked[TOW_URL_MAX * 2];
	enum acme_step step;

	for (;; line++) {
		step = tow__acme_errand_next(e, &request);
		if (step == ACME_DONE || step == ACME_FAILED) {
			if (line->asked)
				fail_msg("%s: over before %s", name, line->asked);
			return;
		}
		snprintf(asked, sizeof asked, "%s%s%s",
		         step == ACME_SEND    ? request.method
		         : step == ACME_PAUSE ? "pause"
		                              : "publish",
		         step == ACME_SEND ? " " : "", step == ACME_SEND ? request.url : "");
		if (!line->asked || strcmp(asked, line->asked) != 0)
			fail_msg("%s: %s instead of %s", name, asked,
			         line->asked ? line->asked : "an end");
		tow_buf_deinit(&request.body);
		if (step == ACME_PAUSE) {
			assert_true(request.pause_ms > 0);
			if (line->status)
				assert_int_equal(request.pause_ms, line->status);
		} else if (step == ACME_PUBLISH) {
			const struct acme_proof *proof = tow__acme_errand_proof(e);
			assert_string_equal(proof->token, "tok");
			assert_int_equal(strncmp(proof->authorization, "tok.", 4), 0);
			assert_int_equal(strlen(proof->authorization), 4 + 43);
		} else {
			struct acme_answer answer = { .status = line->status,
				                      .error = "connection refused",
				                      .body = tow_slice_of(line->body),
				                      .nonce = line->nonce,
				                      .location = line->location,
				                      .retry_after = line->retry_after,
				                      .now_ms = 1767326400000 };
			tow__acme_errand_answer(e, &answer);
		}
	}
}

static struct acme_account new_account(void)
{
	struct acme_account account = { .directory_url = "https://ca/dir", .email = "a\"@test" };

	assert_int_equal(tow_ec_key_generate(&account.key), 0);
	return account;
}

static void assert_part(const char *text, const char *part, const char *name)
{
	if (part ? !strstr(text, part) : text[0] != '\0')
		fail_msg("%s: \"%s\" instead of \"%s\"", name, text, part ? part : "");
}

static void errands_end_as_the_script_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct acme_account account = new_account();
		struct acme_request request;
		struct acme_errand *e;

		assert_int_equal(tow__acme_issue(&account, "a.test", ACME_HTTP_01, NULL, &e), 0);
		run(e, cases[i].lines, cases[i].name);
		if (tow__acme_errand_next(e, &request) != cases[i].end)
			fail_msg("%s: ended otherwise: %s", cases[i].name,
			         tow__acme_errand_failure(e)->reason);
		if (cases[i].end == ACME_DONE) {
			assert_true(
				tow_slice_equal(tow__acme_errand_chain(e), tow_slice_of("CHAIN")));
		} else {
			const struct acme_failure *failure = tow__acme_errand_failure(e);
			if (failure->kind != cases[i].kind)
				fail_msg("%s: failure %d", cases[i].name, failure->kind);
			assert_int_equal(failure->retry_after_ms, cases[i].retry_after_ms);
			assert_part(failure->reason, cases[i].reason, cases[i].name);
			assert_part(failure->advice, cases[i].advice, cases[i].name);
		}
		tow__acme_errand_free(e);
		tow_ec_key_free(account.key);
	}
}

/* A second errand begins with what the first has learnt. */
static void the_account_is_kept(void **state)
{
	static const struct line first[] = { BEGIN, ORDERED, PROVEN, ISSUED, END };
	static const struct line second[] = { { "GET https://ca/dir", 200, DIRECTORY, NULL, NULL,
		                                NULL },
		                              ORDERED,
		                              PROVEN,
		                              ISSUED,
		                              END };
	struct acme_account account = new_account();
	struct acme_errand *e;

	(void)state;
	assert_int_equal(tow__acme_issue(&account, "a.test", ACME_HTTP_01, NULL, &e), 0);
	run(e, first, "first");
	tow__acme_errand_free(e);
	assert_string_equal(account.kid, "https://ca/account/1");
	assert_int_equal(account.nonce_count, 1);
	assert_int_equal(tow__acme_issue(&account, "b.test", ACME_HTTP_01, NULL, &e), 0);
	run(e, second, "second");
	tow__acme_errand_free(e);
	tow_ec_key_free(account.key);
}

/* An account that was there already is told another address, unless it has it; what the authority says to that does not
 * matter for the order. */
static void a_changed_address_is_told(void **state)
{
#define FOUND(body)                                                                                \
	{ "GET https://ca/dir", 200, DIRECTORY, "n1", NULL, NULL }, {                              \
		"POST https://ca/account", 200, body, "n2", "https://ca/account/1", NULL           \
	}
#define TOLD(status, body) { "POST https://ca/account/1", status, body, "n3", NULL, NULL }
	static const struct line lines[][12] = {
		{ FOUND("{\"contact\":[\"mailto:a\\\"@test\"]}"), ORDERED, PROVEN, ISSUED, END },
		{ FOUND("{\"contact\":[\"mailto:b@test\"]}"), TOLD(200, "{}"), ORDERED, PROVEN, ISSUED, END },
		{ FOUND("{}"), TOLD(200, "{}"), ORDERED, PROVEN, ISSUED, END },
		{ FOUND("{\"contact\":[\"mailto:a\\\"@test\",\"mailto:b@test\"]}"),
		  TOLD(400, PROBLEM("badNonce")), TOLD(400, PROBLEM("invalidContact")), ORDERED, PROVEN, ISSUED, END },
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct acme_account account = new_account();
		struct acme_request request;
		struct acme_errand *e;

		assert_int_equal(tow__acme_issue(&account, "a.test", ACME_HTTP_01, NULL, &e), 0);
		run(e, lines[i], "contact");
		assert_int_equal(tow__acme_errand_next(e, &request), ACME_DONE);
		tow__acme_errand_free(e);
		tow_ec_key_free(account.key);
	}
}

static void endless_servers_are_left(void **state)
{
	static const struct {
		const char *body;
		int status;
	} always[] = {
		{ PROBLEM("badNonce"), 400 },
		{ PROBLEM("accountDoesNotExist"), 400 },
		{ AUTHZ("pending", ""), 200 },
		{ ORDER("processing"), 200 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
		struct acme_account account = new_account();
		struct acme_errand *e;
		int steps = 0, past_order = 0;

		assert_int_equal(tow__acme_issue(&account, "a.test", ACME_HTTP_01, NULL, &e), 0);
		for (;; steps++) {
			struct acme_request request;
			struct acme_answer answer = { .status = 200,
				                      .nonce = "n",
				                      .location = "https://ca/x" };
			enum acme_step step = tow__acme_errand_next(e, &request);
			assert_true(steps < 200);
			tow_buf_deinit(&request.body);
			if (step == ACME_FAILED)
				break;
			assert_int_not_equal(step, ACME_DONE);
			if (step != ACME_SEND)
				continue;
			if (strstr(request.url, "/dir")) {
				answer.body = tow_slice_of(DIRECTORY);
			} else if (strstr(request.url, "/account") && i != 0) {
				answer.body = tow_slice_of("{}");
			} else if (strstr(request.url, "/order") && i >= 2) {
				answer.body = tow_slice_of(ORDER("ready"));
				if (i == 2 && !past_order++)
					answer.body = tow_slice_of(ORDER("pending"));
				if (i == 3 && past_order++)
					answer.body = tow_slice_of(always[i].body);
			} else {
				answer.status = always[i].status;
				answer.body = tow_slice_of(always[i].body);
			}
			tow__acme_errand_answer(e, &answer);
		}
		tow__acme_errand_free(e);
		tow_ec_key_free(account.key);
	}
}

static void a_renewal_names_what_it_replaces_once(void **state)
{
	static const struct line lines[] = {
		{ "GET https://ca/dir", 200, DIRECTORY_ARI, "n", NULL, NULL },
		{ "POST https://ca/account", 201, "{}", "n", "https://ca/account/1", NULL },
		ANSWER("POST https://ca/order", 409, PROBLEM("alreadyReplaced")),
		ORDERED,
		PROVEN,
		ISSUED,
		END
	};
	struct acme_account account = new_account();
	struct acme_errand *e;

	(void)state;
	assert_int_equal(tow__acme_issue(&account, "a.test", ACME_HTTP_01, "aki.serial", &e), 0);
	run(e, lines, "renewal");
	tow__acme_errand_free(e);
	tow_ec_key_free(account.key);
}

static void the_window_is_asked_for(void **state)
{
	static const struct line offered[] = { { "GET https://ca/dir", 200, DIRECTORY_ARI, NULL,
		                                 NULL, NULL },
		                               { "GET https://ca/renewal/aki.serial", 200,
		                                 "{\"suggestedWindow\":{\"start\":\"2026-01-02T04:"
		                                 "00:00Z\",\"end\":\"2026-01-03T04:00:00Z\"}}",
		                                 NULL, NULL, "21600" },
		                               END };
	static const struct line not_offered[] = {
		{ "GET https://ca/dir", 200, DIRECTORY, NULL, NULL, NULL }, END
	};
	struct acme_account account = new_account();
	struct acme_errand *e;

	(void)state;
	assert_int_equal(tow__acme_renewal_info(&account, "aki.serial", &e), 0);
	run(e, offered, "offered");
	assert_int_equal(tow__acme_errand_window(e).start_ms, 1767326400000);
	assert_int_equal(tow__acme_errand_window_retry_ms(e), 21600000);
	tow__acme_errand_free(e);
	assert_int_equal(tow__acme_renewal_info(&account, "aki.serial", &e), 0);
	run(e, not_offered, "not offered");
	assert_int_equal(tow__acme_errand_window(e).end_ms, 0);
	tow__acme_errand_free(e);
	tow_ec_key_free(account.key);
}

static void a_revocation_needs_no_account(void **state)
{
	static const struct line good[] = { { "GET https://ca/dir", 200, DIRECTORY, "n", NULL,
		                              NULL },
		                            { "POST https://ca/revoke", 200, "", NULL, NULL, NULL },
		                            END };
	static const struct line bad[] = {
		{ "GET https://ca/dir", 200, DIRECTORY, "n", NULL, NULL },
		{ "POST https://ca/revoke", 400, PROBLEM("alreadyRevoked"), NULL, NULL, NULL },
		END
	};
	struct acme_account account = { .directory_url = "https://ca/dir" };
	struct acme_request request;
	struct tow_ec_key *key;
	struct acme_errand *e;

	(void)state;
	assert_int_equal(tow_ec_key_generate(&key), 0);
	assert_int_equal(tow__acme_revoke(&account, tow_slice_of("DER"), key, &e), 0);
	run(e, good, "good");
	assert_int_equal(tow__acme_errand_next(e, &request), ACME_DONE);
	tow__acme_errand_free(e);
	assert_int_equal(tow__acme_revoke(&account, tow_slice_of("DER"), key, &e), 0);
	run(e, bad, "bad");
	assert_int_equal(tow__acme_errand_next(e, &request), ACME_FAILED);
	assert_part(tow__acme_errand_failure(e)->reason, "alreadyRevoked", "bad");
	tow__acme_errand_free(e);
	tow_ec_key_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errands_end_as_the_script_says),
		cmocka_unit_test(the_account_is_kept),
		cmocka_unit_test(a_changed_address_is_told),
		cmocka_unit_test(endless_servers_are_left),
		cmocka_unit_test(a_renewal_names_what_it_replaces_once),
		cmocka_unit_test(the_window_is_asked_for),
		cmocka_unit_test(a_revocation_needs_no_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
