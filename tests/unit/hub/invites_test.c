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

static void patterns_of_two_tenants_never_overlap(void **state)
{
	static const struct {
		const char *patterns;
		enum tow__fault_kind kind;
		const char *text;
	} cases[] = {
		{ "app.a.eu", TOW__HOSTNAME_CONFLICT, "\"app.a.eu\" belongs to tenant \"first\"" },
		{ "free.eu,x.wild.eu", TOW__HOSTNAME_CONFLICT,
		  "\"x.wild.eu\" overlaps \"*.wild.eu\", which belongs to tenant \"first\"" },
		{ "*.a.eu", TOW__HOSTNAME_CONFLICT, "\"*.a.eu\" overlaps \"app.a.eu\"" },
		{ "*.wild.eu", TOW__HOSTNAME_CONFLICT, "belongs to tenant" },
		{ "wild.eu,x.y.wild.eu,*.app.a.eu,a.eu,free.eu", TOW__NO_FAULT, "" },
	};
	struct fixture *f = *state;
	struct tenant first, other;
	struct tow__fault fault;

	tenant_make_ok(f, &first, "first", "app.a.eu,*.wild.eu,y.wild.eu");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fault.text[0] = '\0';
		assert_int_equal(tenant_make(f, &other, "other", cases[i].patterns, &fault),
		                 cases[i].kind);
		if (!strstr(fault.text, cases[i].text))
			fail_msg("%s", fault.text);
		tenant_deinit(&other);
	}
	tenant_deinit(&first);
}

static int count(void *user, const struct tow__invite *invite)
{
	uint64_t *seen = user;

	/* oldest first */
	assert_true(invite->created_ms >= seen[1]);
	seen[1] = invite->created_ms;
	seen[0]++;
	return 0;
}

static void invites_are_found_and_listed_in_pages(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow__invite got;
	struct tow__fault fault = { 0 };
	struct tow__page page = { 4, 0 };
	uint64_t total, seen[2];
	char name[32];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "t%d.eu", i);
		tenant_make_ok(f, &t, name, name);
		if (i < 9)
			tenant_deinit(&t);
	}
	assert_int_equal(tow__store_invite_get(f->store, t.invite.id, &got, &fault), 0);
	assert_string_equal(got.name, "t9.eu");
	assert_true(tow_id_equal(&got.tenant_id, &t.invite.tenant_id));
	assert_int_equal(got.created_ms, NOW);
	assert_int_equal(got.expires_ms, 0);
	assert_int_equal(got.revoked_ms, 0);
	assert_int_equal(got.hostnames.count, 1);
	assert_string_equal(got.hostnames.items[0], "t9.eu");
	tow__invite_deinit(&got);
	for (page.offset = 0; page.offset < 16; page.offset += 4) {
		memset(seen, 0, sizeof seen);
		assert_int_equal(
			tow__store_invite_list(f->store, &page, count, seen, &total, &fault), 0);
		assert_int_equal(total, 10);
		assert_int_equal(seen[0], page.offset == 8 ? 2 : page.offset < 8 ? 4 : 0);
	}
	t.invite.id[0] ^= 1;
	assert_int_equal(tow__store_invite_get(f->store, t.invite.id, &got, &fault),
	                 TOW__NOT_FOUND);
	tenant_deinit(&t);
}

static void hostnames_are_added_and_removed(void **state)
{
	struct fixture *f = *state;
	struct tenant a, b;
	struct tow__names add, now = { 0 };
	struct tow__fault fault = { 0 };

	tenant_make_ok(f, &a, "a", "a.eu");
	tenant_make_ok(f, &b, "b", "b.eu");
	names_of("*.a.eu,x.a.eu", &add);
	assert_int_equal(tow__store_invite_add_hostnames(f->store, a.invite.id, &add, &now, &fault),
	                 0);
	assert_int_equal(now.count, 3);
	tow__names_deinit(&now);
	tow__names_deinit(&add);

	/* one's own is a conflict too, and nothing of the request stays */
	names_of("new.eu,a.eu", &add);
	assert_int_equal(tow__store_invite_add_hostnames(f->store, a.invite.id, &add, &now, &fault),
	                 TOW__HOSTNAME_CONFLICT);
	tow__names_deinit(&add);
	fault.kind = 0;
	names_of("new.eu", &add);
	assert_int_equal(tow__store_invite_add_hostnames(f->store, b.invite.id, &add, &now, &fault),
	                 0);
	tow__names_deinit(&now);
	tow__names_deinit(&add);

	/* removing the wildcard releases what is in use under it, and only that */
	submit_ok(f, &a, entry_of(&a, TOW_ENTRY_UPSERT_HOSTNAME, "x.a.eu"));
	submit_ok(f, &a, entry_of(&a, TOW_ENTRY_UPSERT_HOSTNAME, "y.a.eu"));
	submit_ok(f, &a, entry_of(&a, TOW_ENTRY_UPSERT_HOSTNAME, "*.a.eu"));
	submit_ok(f, &a, entry_of(&a, TOW_ENTRY_UPSERT_HOSTNAME, "a.eu"));
	assert_int_equal(
		tow__store_invite_remove_hostname(f->store, a.invite.id, "*.a.eu", &now, &fault),
		0);
	assert_int_equal(now.count, 2);
	tow__names_deinit(&now);
	submit_refused(f, &a, entry_of(&a, TOW_ENTRY_SET_HOSTNAME_TLS, "y.a.eu"),
	               TOW__HOSTNAME_NOT_OWNED, "y.a.eu");
	submit_ok(f, &a, entry_of(&a, TOW_ENTRY_SET_HOSTNAME_TLS, "x.a.eu"));
	submit_ok(f, &a, entry_of(&a, TOW_ENTRY_SET_HOSTNAME_TLS, "a.eu"));

	assert_int_equal(
		tow__store_invite_remove_hostname(f->store, a.invite.id, "b.eu", &now, &fault),
		TOW__NOT_FOUND);
	fault.kind = 0;
	assert_int_equal(
		tow__store_invite_remove_hostname(f->store, a.invite.id, "a.eu", &now, &fault), 0);
	tow__names_deinit(&now);
	assert_int_equal(
		tow__store_invite_remove_hostname(f->store, a.invite.id, "x.a.eu", &now, &fault),
		TOW__INVALID_REQUEST);
	tenant_deinit(&a);
	tenant_deinit(&b);
}

static void only_the_right_secret_of_a_live_invite_opens(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow__invite got;
	struct tow__fault wrong = { 0 }, revoked = { 0 }, unknown = { 0 }, fault = { 0 };
	uint8_t other[TOW_HASH_SIZE] = { 1 }, zero[TOW_HASH_SIZE] = { 0 },
		id[TOW_INVITE_ID_SIZE] = { 2 };

	tenant_make_ok(f, &t, "t", "t.eu,*.t.eu");
	assert_int_equal(
		tow__store_invite_check(f->store, t.invite.id, t.secret_hash, NOW, &got, &fault),
		0);
	assert_true(tow_id_equal(&got.tenant_id, &t.invite.tenant_id));
	assert_int_equal(got.hostnames.count, 2);
	tow__invite_deinit(&got);
	assert_int_equal(tow__store_invite_check(f->store, t.invite.id, other, NOW, &got, &wrong),
	                 TOW__UNAUTHORIZED);
	assert_int_equal(tow__store_invite_check(f->store, id, zero, NOW, &got, &unknown),
	                 TOW__UNAUTHORIZED);
	assert_int_equal(tow__store_invite_revoke(f->store, t.invite.id, NOW, &fault), 0);
	assert_int_equal(
		tow__store_invite_check(f->store, t.invite.id, t.secret_hash, NOW, &got, &revoked),
		TOW__UNAUTHORIZED);
	assert_string_equal(wrong.text, revoked.text);
	assert_string_equal(wrong.text, unknown.text);
	assert_int_equal(tow__store_invite_revoke(f->store, t.invite.id, NOW, &fault),
	                 TOW__NOT_FOUND);
	tenant_deinit(&t);
}

static void an_expired_invite_says_so_to_its_owner_only(void **state)
{
	struct fixture *f = *state;
	struct tow__invite got, invite = { .created_ms = NOW, .expires_ms = NOW + 1000 };
	struct tow__fault fault = { 0 };
	uint8_t hash[TOW_HASH_SIZE] = { 7 }, other[TOW_HASH_SIZE] = { 8 };
	static const uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE];

	names_of("e.eu", &invite.hostnames);
	assert_int_equal(tow__store_invite_create(f->store, &invite, hash, public_key, &fault), 0);
	assert_int_equal(
		tow__store_invite_check(f->store, invite.id, hash, NOW + 999, &got, &fault), 0);
	tow__invite_deinit(&got);
	assert_int_equal(
		tow__store_invite_check(f->store, invite.id, hash, NOW + 1000, &got, &fault),
		TOW__INVITE_EXPIRED);
	fault.kind = 0;
	assert_int_equal(
		tow__store_invite_check(f->store, invite.id, other, NOW + 1000, &got, &fault),
		TOW__UNAUTHORIZED);
	tow__invite_deinit(&invite);
}

static int no_tenant(void *user, const struct tow__tenant *tenant)
{
	(void)tenant;
	++*(int *)user;
	return 0;
}

static void revoking_releases_everything_and_outlives_a_restart(void **state)
{
	struct fixture *f = *state;
	struct tenant t, heir;
	struct tow__invite got;
	struct tow__fault fault = { 0 };
	struct tow__page page = { 10, 0 };
	struct tow_entry e;
	uint64_t total;
	int seen = 0;

	tenant_make_ok(f, &t, "t", "t.eu");
	submit_ok(f, &t, entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "t.eu"));
	e = entry_of(&t, TOW_ENTRY_UPSERT_TCP_SERVICE, "ssh");
	e.listen_port = 2222;
	submit_ok(f, &t, e);
	submit_ok(f, &t, agent_entry_of(&t, 1, 1, 1, NOW + 1000));
	assert_int_equal(tow__store_invite_revoke(f->store, t.invite.id, NOW, &fault), 0);
	fixture_reopen(f);
	assert_int_equal(
		tow__store_tenant_list(f->store, &page, NOW, no_tenant, &seen, &total, &fault), 0);
	assert_int_equal(total, 0);
	assert_int_equal(seen, 0);
	assert_int_equal(tow__store_invite_get(f->store, t.invite.id, &got, &fault), 0);
	assert_int_equal(got.revoked_ms, NOW);
	assert_int_equal(got.hostnames.count, 0);
	submit_refused(f, &t, entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "t.eu"),
	               TOW__TENANT_NOT_ALLOWED, "tenant");
	/* and somebody else can have it */
	tenant_make_ok(f, &heir, "heir", "t.eu");
	submit_ok(f, &heir, entry_of(&heir, TOW_ENTRY_UPSERT_HOSTNAME, "t.eu"));
	e = entry_of(&heir, TOW_ENTRY_UPSERT_TCP_SERVICE, "ssh");
	e.listen_port = 2222;
	submit_ok(f, &heir, e);
	tenant_deinit(&t);
	tenant_deinit(&heir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(patterns_of_two_tenants_never_overlap),
		T(invites_are_found_and_listed_in_pages),
		T(hostnames_are_added_and_removed),
		T(only_the_right_secret_of_a_live_invite_opens),
		T(an_expired_invite_says_so_to_its_owner_only),
		T(revoking_releases_everything_and_outlives_a_restart),
	};
	return run_on_drivers(tests, sizeof tests / sizeof *tests, NULL, 0);
}
