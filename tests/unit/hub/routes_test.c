/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers.h"

/* Asks from the table's version and applies the answer. Returns its kind, or -1 when there was
 * nothing. */
static int follow(struct fixture *f, struct tow_route_table *table, size_t *bytes)
{
	struct tow_buf json = { 0 };
	struct tow__fault fault = { 0 };
	struct tow_error err;
	enum tow_route_event_kind kind;
	uint64_t from = tow_route_table_version(table), version = 0;

	if (tow__store_routes_since(f->store, from, NOW, &kind, &version, &json, &fault))
		fail_msg("%s", fault.text);
	if (bytes)
		*bytes = tow_buf_len(&json);
	if (version == from) {
		assert_int_equal(tow_buf_len(&json), 0);
		return -1;
	}
	if (tow_route_table_apply(table, tow_buf_peek(&json), NULL, NULL, &err))
		fail_msg("%s", err.text);
	assert_int_equal(tow_route_table_version(table), version);
	tow_buf_deinit(&json);
	return (int)kind;
}

/* Both tables say the same of everything that the test makes. */
static void same_tables(struct tow_route_table *a, struct tow_route_table *b,
                        struct tenant *tenants, size_t count)
{
	char name[64];

	assert_int_equal(tow_route_table_version(a), tow_route_table_version(b));
	assert_int_equal(tow_route_table_hostname_count(a), tow_route_table_hostname_count(b));
	for (size_t t = 0; t < count; t++) {
		const struct tow_id *id = &tenants[t].invite.tenant_id;
		assert_int_equal(!tow_route_lookup_tenant(a, id), !tow_route_lookup_tenant(b, id));
		for (uint8_t i = 0; i < 8; i++) {
			struct tow_id agent;
			memset(agent.bytes, i, sizeof agent.bytes);
			assert_int_equal(tow_route_agent_revoked(a, id, &agent),
			                 tow_route_agent_revoked(b, id, &agent));
		}
	}
	for (int t = 0; t < 3; t++)
		for (int i = 0; i < 8; i++) {
			const struct tow_route_hostname *x, *y;
			snprintf(name, sizeof name, "h%d.t%d.eu", i, t);
			x = tow_route_lookup(a, name);
			y = tow_route_lookup(b, name);
			assert_int_equal(!x, !y);
			if (x) {
				assert_string_equal(x->pattern, y->pattern);
				assert_int_equal(x->tls_mode, y->tls_mode);
				assert_int_equal(x->http_mode, y->http_mode);
				assert_int_equal(tow_access_compare(x->access, y->access), 0);
				assert_true(tow_id_equal(&x->tenant_id, &y->tenant_id));
			}
		}
	for (int protocol = 0; protocol < 2; protocol++)
		for (uint16_t port = 3000; port < 3010; port++) {
			const struct tow_route_port *x =
				tow_route_lookup_port(a, (enum tow_protocol)protocol, port);
			const struct tow_route_port *y =
				tow_route_lookup_port(b, (enum tow_protocol)protocol, port);
			assert_int_equal(!x, !y);
			if (x) {
				assert_string_equal(x->service, y->service);
				assert_int_equal(x->idle_timeout_secs, y->idle_timeout_secs);
				assert_int_equal(tow_access_compare(x->access, y->access), 0);
				assert_true(tow_id_equal(&x->tenant_id, &y->tenant_id));
			}
		}
}

static void random_access(struct tow_access *access)
{
	static const char *const lists[] = { "", "192.0.2.0/24", "192.0.2.7,2001:db8::/32" };

	for (int list = 0; list < 2; list++)
		assert_int_equal(tow_access_parse(access, list ? TOW_ACCESS_DENY : TOW_ACCESS_ALLOW,
		                                  tow_slice_of(lists[random() % 3]), NULL), 0);
}

static struct tow_entry random_entry(struct tenant *t, int index)
{
	static const enum tow_entry_op ops[] = {
		TOW_ENTRY_UPSERT_HOSTNAME,    TOW_ENTRY_UPSERT_HOSTNAME,
		TOW_ENTRY_DELETE_HOSTNAME,    TOW_ENTRY_SET_HOSTNAME_TLS,
		TOW_ENTRY_UPSERT_AGENT,       TOW_ENTRY_REVOKE_AGENT,
		TOW_ENTRY_UPSERT_TCP_SERVICE, TOW_ENTRY_DELETE_TCP_SERVICE,
		TOW_ENTRY_UPSERT_UDP_SERVICE, TOW_ENTRY_DELETE_UDP_SERVICE,
	};
	enum tow_entry_op op = ops[(size_t)random() % (sizeof ops / sizeof *ops)];
	struct tow_entry e = entry_of(t, op, NULL);
	int which = (int)(random() % 8);

	switch (op) {
	case TOW_ENTRY_UPSERT_HOSTNAME:
	case TOW_ENTRY_DELETE_HOSTNAME:
	case TOW_ENTRY_SET_HOSTNAME_TLS:
		e.tls_mode = random() % 2 ? TOW_TLS_TERMINATE : TOW_TLS_PASSTHROUGH;
		if (which)
			snprintf(e.name, sizeof e.name, "h%d.t%d.eu", which, index);
		else
			snprintf(e.name, sizeof e.name, "*.t%d.eu", index);
		if (op == TOW_ENTRY_DELETE_HOSTNAME)
			e.tls_mode = TOW_TLS_PASSTHROUGH;
		if (op == TOW_ENTRY_UPSERT_HOSTNAME)
			random_access(&e.access);
		if (e.tls_mode == TOW_TLS_TERMINATE)
			e.http_mode = (enum tow_http_mode)(random() % 3);
		else if (op != TOW_ENTRY_DELETE_HOSTNAME && random() % 2)
			e.http_mode = TOW_HTTP_CHALLENGE;
		break;
	case TOW_ENTRY_UPSERT_AGENT:
		e.expires_at_ms = NOW + 100000;
		e.generation = 1;
		/* fall through */
	case TOW_ENTRY_REVOKE_AGENT:
		memset(e.agent_id.bytes, which, sizeof e.agent_id.bytes);
		break;
	case TOW_ENTRY_UPSERT_TCP_SERVICE:
	case TOW_ENTRY_UPSERT_UDP_SERVICE:
		e.listen_port = (uint16_t)(3000 + random() % 8);
		e.port_count = (uint16_t)(1 + random() % 3);
		random_access(&e.access);
		if (op == TOW_ENTRY_UPSERT_UDP_SERVICE)
			e.idle_timeout_secs = (uint16_t)(60 + random() % 2);
		/* fall through */
	default: snprintf(e.name, sizeof e.name, "s%d", which);
	}
	return e;
}

/* One follows every change, one every tenth, one starts anew each time: they agree. Tenants go and
 * come back. */
static void deltas_lead_to_what_a_snapshot_says(void **state)
{
	struct fixture *f = *state;
	struct tow_route_table *close_by = tow_route_table_new(), *behind = tow_route_table_new(),
			       *fresh;
	struct tenant tenants[3];
	struct tow__fault fault;
	char pattern[32], name[32];
	int accepted = 0;

	srandom(42);
	for (int i = 0; i < 3; i++) {
		snprintf(pattern, sizeof pattern, "*.t%d.eu", i);
		tenant_make_ok(f, &tenants[i], pattern, pattern);
	}
	assert_int_equal(follow(f, close_by, NULL), TOW_ROUTE_SNAPSHOT);
	assert_int_equal(follow(f, behind, NULL), TOW_ROUTE_SNAPSHOT);
	assert_int_equal(follow(f, close_by, NULL), -1);
	for (int round = 0; round < 300; round++) {
		int i = (int)(random() % 3);
		struct tow_entry e = random_entry(&tenants[i], i);
		accepted += !submit(f, &tenants[i], &e, 1, &fault);
		if (round % 50 == 49) {
			fault.kind = TOW__NO_FAULT;
			assert_int_equal(tow__store_tenant_remove(f->store,
			                                          &tenants[i].invite.tenant_id, NOW,
			                                          &fault),
			                 0);
			tenant_deinit(&tenants[i]);
			snprintf(name, sizeof name, "*.t%d.eu", i);
			tenant_make_ok(f, &tenants[i], name, name);
		}
		assert_int_not_equal(follow(f, close_by, NULL), TOW_ROUTE_SNAPSHOT);
		if (round % 10)
			continue;
		assert_int_equal(follow(f, behind, NULL), TOW_ROUTE_DELTA);
		fresh = tow_route_table_new();
		assert_int_equal(follow(f, fresh, NULL), TOW_ROUTE_SNAPSHOT);
		same_tables(fresh, close_by, tenants, 3);
		same_tables(fresh, behind, tenants, 3);
		tow_route_table_free(fresh);
	}
	assert_true(accepted > 150);
	for (int i = 0; i < 3; i++)
		tenant_deinit(&tenants[i]);
	tow_route_table_free(close_by);
	tow_route_table_free(behind);
}

static void a_delta_costs_what_changed(void **state)
{
	struct fixture *f = *state;
	struct tow_route_table *table = tow_route_table_new();
	struct tenant t;
	struct tow_entry batch[200];
	struct tow__fault fault;
	char name[32];
	size_t bytes;

	tenant_make_ok(f, &t, "t", "*.t.eu");
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "n%d.t.eu", i);
		batch[i] = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, name);
	}
	assert_int_equal(submit(f, &t, batch, 200, &fault), 0);
	assert_int_equal(follow(f, table, &bytes), TOW_ROUTE_SNAPSHOT);
	assert_true(bytes > 200 * 64);
	submit_ok(f, &t, entry_of(&t, TOW_ENTRY_DELETE_HOSTNAME, "n7.t.eu"));
	assert_int_equal(follow(f, table, &bytes), TOW_ROUTE_DELTA);
	assert_true(bytes < 300);
	assert_null(tow_route_lookup(table, "n7.t.eu"));
	/* what changes nothing makes no version */
	submit_ok(f, &t, entry_of(&t, TOW_ENTRY_DELETE_HOSTNAME, "n7.t.eu"));
	submit_ok(f, &t, entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "n8.t.eu"));
	assert_int_equal(follow(f, table, NULL), -1);
	tenant_deinit(&t);
	tow_route_table_free(table);
}

static void lists_are_kept_until_an_upsert_says_otherwise(void **state)
{
	struct fixture *f = *state;
	struct tow_route_table *table = tow_route_table_new();
	struct tenant t;
	struct tow_entry e;
	struct tow_addr in, out;

	assert_int_equal(tow_addr_parse_host(tow_slice_of("192.0.2.1"), &in), 0);
	assert_int_equal(tow_addr_parse_host(tow_slice_of("192.0.2.7"), &out), 0);
	tenant_make_ok(f, &t, "t", "*.t.eu");
	e = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "a.t.eu");
	assert_int_equal(tow_access_parse(&e.access, TOW_ACCESS_DENY, tow_slice_of("192.0.2.7"), NULL), 0);
	submit_ok(f, &t, e);
	follow(f, table, NULL);
	assert_true(tow_access_permits(tow_route_lookup(table, "a.t.eu")->access, &in));
	assert_false(tow_access_permits(tow_route_lookup(table, "a.t.eu")->access, &out));
	/* the same again is no change */
	e.sequence = ++t.sequence;
	submit_ok(f, &t, e);
	assert_int_equal(follow(f, table, NULL), -1);
	e = entry_of(&t, TOW_ENTRY_SET_HOSTNAME_TLS, "a.t.eu");
	e.tls_mode = TOW_TLS_TERMINATE;
	submit_ok(f, &t, e);
	assert_int_equal(follow(f, table, NULL), TOW_ROUTE_DELTA);
	assert_int_equal(tow_route_lookup(table, "a.t.eu")->tls_mode, TOW_TLS_TERMINATE);
	assert_false(tow_access_permits(tow_route_lookup(table, "a.t.eu")->access, &out));
	e = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "a.t.eu");
	e.tls_mode = TOW_TLS_TERMINATE;
	submit_ok(f, &t, e);
	assert_int_equal(follow(f, table, NULL), TOW_ROUTE_DELTA);
	assert_null(tow_route_lookup(table, "a.t.eu")->access);
	tenant_deinit(&t);
	tow_route_table_free(table);
}

static void who_is_too_far_behind_gets_a_snapshot(void **state)
{
	struct fixture *f = *state;
	struct tow_route_table *table = tow_route_table_new(), *near = tow_route_table_new();
	struct tenant t;
	struct tow_buf json = { 0 };
	struct tow__fault fault = { 0 };
	enum tow_route_event_kind kind;
	uint64_t version;

	f->config.changes_kept = 4;
	fixture_reopen(f);
	tenant_make_ok(f, &t, "t", "*.t.eu");
	follow(f, table, NULL);
	for (int i = 0; i < 5; i++) {
		char name[32];
		snprintf(name, sizeof name, "n%d.t.eu", i);
		submit_ok(f, &t, entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, name));
		if (!i)
			follow(f, near, NULL);
	}
	assert_int_equal(follow(f, near, NULL), TOW_ROUTE_DELTA);
	assert_int_equal(tow_route_table_hostname_count(near), 5);
	assert_int_equal(follow(f, table, NULL), TOW_ROUTE_SNAPSHOT);
	assert_int_equal(tow_route_table_hostname_count(table), 5);
	/* from a version that is not there yet: the database is an older copy */
	assert_int_equal(
		tow__store_routes_since(f->store, 1000, NOW, &kind, &version, &json, &fault), 0);
	assert_int_equal(kind, TOW_ROUTE_SNAPSHOT);
	assert_int_equal(version, tow_route_table_version(table));
	tow_buf_deinit(&json);
	tenant_deinit(&t);
	tow_route_table_free(table);
	tow_route_table_free(near);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(deltas_lead_to_what_a_snapshot_says),
		T(a_delta_costs_what_changed),
		T(lists_are_kept_until_an_upsert_says_otherwise),
		T(who_is_too_far_behind_gets_a_snapshot),
	};
	return run_on_drivers(tests, sizeof tests / sizeof *tests, NULL, 0);
}
