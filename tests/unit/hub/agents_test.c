/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers.h"

struct seen {
	size_t agents, told;
	char first[64];
};

static int look(void *user, const struct tow__tenant *tenant)
{
	struct seen *seen = user;

	seen->agents = tenant->agent_count;
	for (size_t i = 0; i < tenant->agent_count; i++) {
		seen->told += *tenant->agents[i].report != '\0';
		if (!i && strlen(tenant->agents[i].report) < sizeof seen->first)
			memcpy(seen->first, tenant->agents[i].report,
			       strlen(tenant->agents[i].report) + 1);
	}
	return 0;
}

static struct seen list(struct fixture *f)
{
	struct tow__page page = { 10, 0 };
	struct tow__fault fault = { 0 };
	struct seen seen = { .agents = 0 };
	uint64_t total;

	if (tow__store_tenant_list(f->store, &page, NOW, look, &seen, &total, &fault))
		fail_msg("%s", fault.text);
	return seen;
}

static enum tow__fault_kind report(struct fixture *f, const struct tenant *t, uint8_t agent,
                                   const char *text)
{
	struct tow__agent a = { .generation = agent };
	struct tow__fault fault = { 0 };
	struct tow__siblings siblings = { .superseded = 1 };

	memset(a.id.bytes, agent, sizeof a.id.bytes);
	memset(a.services_hash, 3, sizeof a.services_hash);
	if (!tow__store_agent_report(f->store, &t->invite.tenant_id, &a, text, NOW, &siblings,
	                             &fault))
		assert_int_equal(siblings.superseded, 0);
	return fault.kind;
}

static void what_an_agent_says_is_kept(void **state)
{
	struct fixture *f = *state;
	struct tenant t;

	tenant_make_ok(f, &t, "t", "t.eu");
	submit_ok(f, &t, agent_entry_of(&t, 1, 1, 3, NOW + 1000));
	assert_int_equal(list(f).told, 0);
	assert_int_equal(report(f, &t, 1, "{\"services\":[]}"), TOW__NO_FAULT);
	assert_string_equal(list(f).first, "{\"services\":[]}");
	/* that it lives on changes nothing of it, and it may say something else */
	submit_ok(f, &t, agent_entry_of(&t, 1, 1, 3, NOW + 2000));
	fixture_reopen(f);
	assert_string_equal(list(f).first, "{\"services\":[]}");
	assert_int_equal(report(f, &t, 1, "{}"), TOW__NO_FAULT);
	assert_string_equal(list(f).first, "{}");
	/* from one that is none of the tenant's */
	assert_int_equal(report(f, &t, 2, "{}"), TOW__TENANT_NOT_ALLOWED);
	tenant_deinit(&t);
}

static void agents_that_say_too_much_are_not_listened_to(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	const size_t piece = TOW__REPORTS_PER_TENANT / 4;
	char *text = calloc(1, piece + 1);

	assert_non_null(text);
	memset(text, 'x', piece);
	tenant_make_ok(f, &t, "t", "t.eu");
	for (uint8_t i = 1; i <= 6; i++) {
		submit_ok(f, &t, agent_entry_of(&t, i, i, 3, NOW + 1000));
		assert_int_equal(report(f, &t, i, text), TOW__NO_FAULT);
	}
	assert_int_equal(list(f).agents, 6);
	assert_int_equal(list(f).told, 4);
	free(text);
	tenant_deinit(&t);
}

static struct tow__siblings siblings_of(struct fixture *f, const struct tenant *t, uint8_t agent,
                                        uint64_t now_ms)
{
	struct tow__agent a = { .generation = agent };
	struct tow__siblings siblings = { .elder_count = 99 };
	struct tow__fault fault = { 0 };

	memset(a.id.bytes, agent, sizeof a.id.bytes);
	memset(a.services_hash, 3, sizeof a.services_hash);
	assert_int_equal(tow__store_agent_siblings(f->store, &t->invite.tenant_id, &a, now_ms,
	                                           &siblings, &fault),
	                 TOW__NO_FAULT);
	return siblings;
}

/* Who announced itself long ago is one that may be gone: neither the one that asks, nor another tenant's, nor one that
 * is revoked or expired. */
static void elders_are_found(void **state)
{
	const uint64_t later = NOW + TOW__AGENT_SILENT_MS;
	struct fixture *f = *state;
	struct tow__siblings found;
	struct tenant t, other;
	struct tow_entry revoke;

	tenant_make_ok(f, &t, "t", "t.eu");
	tenant_make_ok(f, &other, "other", "other.eu");
	submit_ok(f, &other, agent_entry_of(&other, 9, 1, 3, later + 1000));
	for (uint8_t i = 1; i <= 4; i++)
		submit_ok(f, &t, agent_entry_of(&t, i, 1, 3, i == 4 ? later - 1 : later + 1000));
	assert_int_equal(siblings_of(f, &t, 1, later - 1).elder_count, 0);
	found = siblings_of(f, &t, 1, later);
	assert_int_equal(found.elder_count, 2);
	assert_int_equal(found.elder[0].bytes[0] + found.elder[1].bytes[0], 2 + 3);
	revoke = agent_entry_of(&t, 2, 0, 0, 0);
	revoke.op = TOW_ENTRY_REVOKE_AGENT;
	submit_ok(f, &t, revoke);
	found = siblings_of(f, &t, 1, later);
	assert_int_equal(found.elder_count, 1);
	assert_int_equal(found.elder[0].bytes[0], 3);
	tenant_deinit(&t);
	tenant_deinit(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(what_an_agent_says_is_kept),
		T(agents_that_say_too_much_are_not_listened_to),
		T(elders_are_found),
	};
	return run_on_drivers(tests, sizeof tests / sizeof *tests, NULL, 0);
}
