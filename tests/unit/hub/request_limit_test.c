/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include <towonel/wire/request_signature.h>

#include "hub.h"
#include "member.h"

static void a_flood_from_one_address_is_slowed(void **state)
{
	struct live_hub *h = *state;
	struct reply r = { 0 };
	int taken = 0;

	/* how many are taken depends on the time they take; rate_limit_test counts */
	for (; taken < 1000; taken++) {
		r = ask(h, "GET", "/v1/health", NULL, NULL);
		if (r.status != 200)
			break;
		reply_deinit(&r);
	}
	assert_true(taken >= 30 && taken < 1000);
	assert_true(strtol(r.retry_after, NULL, 10) >= 1);
	expect(r, 429, "rate_limited");
	/* the operator is not in the crowd */
	expect(ask_as_operator(h, "GET", "/v1/health", NULL), 200, "");
	sleep(1);
	expect(ask(h, "GET", "/v1/health", NULL, NULL), 200, "");
}

/* So that a limit is met however slow the machine is. */
static void limit(struct tow_rate_limit **which, unsigned burst)
{
	tow_rate_limit_free(*which);
	*which = tow_rate_limit_new(1, burst);
	assert_non_null(*which);
}

static void limit_addresses(struct live_hub *h)
{
	limit(&h->hub->rate_limit, TOW_REQUESTS_BURST);
}

static void limit_all(struct live_hub *h)
{
	limit_addresses(h);
	limit(&h->hub->member_limit, 10);
}

/* As a thousand agents behind one address are, who tell the truth. */
static void who_is_known_is_not_slowed(void **state)
{
	struct live_hub *h = *state;
	const char *domain = TOW_DOMAIN_AGENT_HEARTBEAT;
	char auth[TOW_REQUEST_SIGNATURE_SIZE], secret[64], body[256], path[128];
	struct tow_node_key agent, other;
	struct member m;
	struct reply r;
	int taken = 0;

	live_hub_do(h, limit_addresses);
	member_invite(h, &m, "{\"hostnames\":[\"a.eu\"]}");
	tow_node_key_generate(&agent);
	tow_node_key_generate(&other);
	member_announce(h, &m, &agent);
	tow_base64url_encode(m.token.secret, sizeof m.token.secret, secret);
	snprintf(body, sizeof body, "{\"invite_id\":\"%s\",\"invite_secret\":\"%s\"}", m.invite,
	         secret);
	snprintf(path, sizeof path, "/v1/tenants/%s/entries", m.id);
	for (int i = 0; i < 40; i++) {
		expect(ask(h, "POST", "/v1/bootstrap", NULL, body), 200, "");
		expect(member_heartbeat(h, &m, &agent, &agent, domain, i, auth), 200, "");
		tow_request_sign(&agent, TOW_DOMAIN_TENANT_ENTRIES,
		                 tow_wall_ms() - 50000 + (uint64_t)i, tow_slice_of(""), auth);
		expect(ask(h, "GET", path, auth, NULL), 200, "");
		/* signed in order, and still not right */
		expect(member_submit(h, &m, member_entry(&m, TOW_ENTRY_UPSERT_HOSTNAME, "b.eu", 0)),
		       403, "hostname_not_owned");
	}
	/* who says that he is somebody, and is not, counts as before */
	for (; taken < 1000; taken++) {
		r = member_heartbeat(h, &m, &agent, &other, domain, taken, auth);
		if (r.status != 401)
			break;
		reply_deinit(&r);
	}
	assert_true(taken >= 20 && taken < 1000);
	expect(r, 429, "rate_limited");
	member_deinit(&m);
}

/* Who is known and asks without an end is as slow as any. */
static void nobody_may_ask_without_an_end(void **state)
{
	struct live_hub *h = *state;
	struct member m;
	struct reply r = { 0 };
	int taken = 0;

	member_invite(h, &m, "{\"hostnames\":[\"a.eu\"]}");
	live_hub_do(h, limit_all);
	for (; taken < 1000; taken++) {
		r = member_submit(h, &m, member_entry(&m, TOW_ENTRY_UPSERT_HOSTNAME, "b.eu", 0));
		if (r.status != 403)
			break;
		reply_deinit(&r);
	}
	assert_true(taken >= 10 + TOW_REQUESTS_BURST && taken < 1000);
	expect(r, 429, "rate_limited");
	member_deinit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, live_hub_setup, live_hub_teardown)
		T(a_flood_from_one_address_is_slowed),
		T(who_is_known_is_not_slowed),
		T(nobody_may_ask_without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
