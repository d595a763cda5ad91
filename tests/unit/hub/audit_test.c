/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "drivers.h"

struct seen {
	size_t count;
	struct tow__audit_event events[64];
};

static int keep(void *user, const struct tow__audit_event *event)
{
	struct seen *seen = user;

	assert_true(seen->count < 64);
	seen->events[seen->count++] = *event;
	return 0;
}

static void list(struct fixture *f, const struct tow_id *tenant, uint64_t limit, uint64_t before,
                 struct seen *seen)
{
	struct tow__page page = { limit, before };
	struct tow__fault fault = { 0 };

	seen->count = 0;
	if (tow__store_audit_list(f->store, tenant, &page, keep, seen, &fault))
		fail_msg("%s", fault.text);
}

static const struct tow__asker asker = { NOW + 5, "203.0.113.9", "request-7" };

static void expect_event(const struct tow__audit_event *e, int by_operator, const char *action,
                         const char *subject, const struct tenant *t)
{
	assert_string_equal(e->action, action);
	assert_string_equal(e->subject, subject);
	assert_int_equal(e->by_operator, by_operator);
	assert_int_equal(e->at_ms, asker.now_ms);
	assert_string_equal(e->source, asker.source);
	assert_string_equal(e->request_id, asker.request_id);
	assert_true(e->has_tenant);
	assert_true(tow_id_equal(&e->tenant_id, &t->invite.tenant_id));
	assert_string_equal(e->tenant_name, t->invite.name);
}

static void what_operators_and_tenants_do_is_recorded(void **state)
{
	struct fixture *f = *state;
	struct tenant a, b;
	struct tow__names add, now = { 0 };
	struct tow__fault fault = { 0 };
	struct tow_entry e;
	struct seen seen;
	char agent[TOW_ID_TEXT_SIZE];

	tow__store_asked_by(f->store, &asker);
	tenant_make_ok(f, &a, "alice", "a.eu");
	tenant_make_ok(f, &b, "bob", "b.eu");
	names_of("x.a.eu", &add);
	tow__store_invite_add_hostnames(f->store, a.invite.id, &add, &now, &fault);
	tow__names_deinit(&now);
	tow__names_deinit(&add);
	submit_ok(f, &a, entry_of(&a, TOW_ENTRY_UPSERT_HOSTNAME, "x.a.eu"));
	e = entry_of(&a, TOW_ENTRY_UPSERT_TCP_SERVICE, "ssh");
	e.listen_port = 2222;
	submit_ok(f, &a, e);
	e = agent_entry_of(&a, 1, 10, 3, NOW + 1000);
	submit_ok(f, &a, e);
	/* the same again: it lives on */
	submit_ok(f, &a, agent_entry_of(&a, 1, 10, 3, NOW + 2000));
	tow__store_invite_remove_hostname(f->store, a.invite.id, "x.a.eu", &now, &fault);
	tow__names_deinit(&now);
	submit_ok(f, &b, entry_of(&b, TOW_ENTRY_LEAVE, NULL));
	tow__store_invite_revoke(f->store, a.invite.id, NOW, &fault);
	assert_int_equal(fault.kind, TOW__NO_FAULT);

	list(f, NULL, 60, 0, &seen);
	assert_int_equal(seen.count, 9);
	for (size_t i = 1; i < seen.count; i++)
		assert_true(seen.events[i].id < seen.events[i - 1].id);
	expect_event(&seen.events[0], 1, "invite.revoke", "alice", &a);
	expect_event(&seen.events[1], 0, "entry.leave", "", &b);
	expect_event(&seen.events[2], 1, "invite.remove_hostname", "x.a.eu", &a);
	expect_event(&seen.events[3], 0, "entry.upsert_agent", tow_id_format(&e.agent_id, agent),
	             &a);
	expect_event(&seen.events[4], 0, "entry.upsert_tcp_service", "ssh 2222", &a);
	expect_event(&seen.events[5], 0, "entry.upsert_hostname", "x.a.eu passthrough", &a);
	expect_event(&seen.events[6], 1, "invite.add_hostname", "x.a.eu", &a);
	expect_event(&seen.events[7], 1, "invite.create", "bob", &b);
	expect_event(&seen.events[8], 1, "invite.create", "alice", &a);
	/* a tenant's, which outlive it */
	list(f, &b.invite.tenant_id, 60, 0, &seen);
	assert_int_equal(seen.count, 2);
	tenant_deinit(&a);
	tenant_deinit(&b);
}

static void what_was_refused_is_not_recorded(void **state)
{
	struct fixture *f = *state;
	struct tenant a, other;
	struct tow_entry batch[2];
	struct tow__fault fault = { 0 };
	struct seen seen;

	tow__store_asked_by(f->store, &asker);
	tenant_make_ok(f, &a, "a", "a.eu");
	assert_int_equal(tenant_make(f, &other, "b", "a.eu", &fault), TOW__HOSTNAME_CONFLICT);
	tenant_deinit(&other);
	batch[0] = entry_of(&a, TOW_ENTRY_UPSERT_HOSTNAME, "a.eu");
	batch[1] = entry_of(&a, TOW_ENTRY_UPSERT_HOSTNAME, "not.ours.eu");
	assert_int_equal(submit(f, &a, batch, 2, &fault), TOW__HOSTNAME_NOT_OWNED);
	fault.kind = 0;
	assert_int_equal(tow__store_tenant_remove(f->store, &other.invite.tenant_id, NOW, &fault),
	                 TOW__NOT_FOUND);
	list(f, NULL, 60, 0, &seen);
	assert_int_equal(seen.count, 1);
	tenant_deinit(&a);
}

static void pages_go_from_the_newest_to_the_oldest(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct seen seen;
	uint64_t before = 0;
	char name[32];

	tow__store_asked_by(f->store, &asker);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "t%d.eu", i);
		tenant_make_ok(f, &t, name, name);
		tenant_deinit(&t);
	}
	for (int i = 9; i >= 0;) {
		list(f, NULL, 4, before, &seen);
		assert_int_equal(seen.count, i >= 3 ? 4 : i + 1);
		for (size_t k = 0; k < seen.count; k++, i--) {
			snprintf(name, sizeof name, "t%d.eu", i);
			assert_string_equal(seen.events[k].subject, name);
		}
		before = seen.events[seen.count - 1].id;
	}
	list(f, NULL, 4, before, &seen);
	assert_int_equal(seen.count, 0);
}

static void one_that_does_much_pushes_out_its_own_alone(void **state)
{
	struct fixture *f = *state;
	struct tenant a, b;
	struct seen seen;

	f->config.audit_kept = 3;
	fixture_reopen(f);
	tow__store_asked_by(f->store, &asker);
	tenant_make_ok(f, &a, "a", "a.eu");
	tenant_make_ok(f, &b, "b", "b.eu");
	submit_ok(f, &b, entry_of(&b, TOW_ENTRY_UPSERT_HOSTNAME, "b.eu"));
	for (int i = 0; i < 5; i++) {
		submit_ok(f, &a, entry_of(&a, TOW_ENTRY_UPSERT_HOSTNAME, "a.eu"));
		submit_ok(f, &a, entry_of(&a, TOW_ENTRY_DELETE_HOSTNAME, "a.eu"));
	}
	list(f, &a.invite.tenant_id, 60, 0, &seen);
	assert_int_equal(seen.count, 4); /* three of its own, and its making */
	assert_string_equal(seen.events[0].action, "entry.delete_hostname");
	assert_string_equal(seen.events[3].action, "invite.create");
	list(f, &b.invite.tenant_id, 60, 0, &seen);
	assert_int_equal(seen.count, 2);
	tenant_deinit(&a);
	tenant_deinit(&b);
}

static void what_is_old_goes(void **state)
{
	const struct tow__asker later = { NOW + TOW__AUDIT_KEPT_MS + 1000, "::1", "late" };
	struct fixture *f = *state;
	struct tenant a, b;
	struct tow__fault fault = { 0 };
	struct seen seen;

	tow__store_asked_by(f->store, &asker);
	tenant_make_ok(f, &a, "a", "a.eu");
	assert_int_equal(tow__store_sweep(f->store, later.now_ms, &fault), 0);
	list(f, NULL, 60, 0, &seen);
	assert_int_equal(seen.count, 1); /* from which the next one counts */
	tow__store_asked_by(f->store, &later);
	tenant_make_ok(f, &b, "b", "b.eu");
	assert_int_equal(tow__store_sweep(f->store, later.now_ms, &fault), 0);
	list(f, NULL, 60, 0, &seen);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.events[0].subject, "b");
	assert_int_equal(seen.events[0].id, 2);
	tenant_deinit(&a);
	tenant_deinit(&b);
}

static void nobody_leaves_no_trace(void **state)
{
	struct fixture *f = *state;
	struct tenant a;
	struct seen seen;

	tenant_make_ok(f, &a, "a", "a.eu");
	list(f, NULL, 60, 0, &seen);
	assert_int_equal(seen.count, 0);
	tenant_deinit(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(what_operators_and_tenants_do_is_recorded),
		T(what_was_refused_is_not_recorded),
		T(pages_go_from_the_newest_to_the_oldest),
		T(one_that_does_much_pushes_out_its_own_alone),
		T(what_is_old_goes),
		T(nobody_leaves_no_trace),
	};
	return run_on_drivers(tests, sizeof tests / sizeof *tests, NULL, 0);
}
