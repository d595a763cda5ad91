/* SPDX-License-Identifier: MIT */
/*
 * The table with an allocator that fails at will: whichever allocation of an event fails, the table
 * is what it was before, and the same event succeeds afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static size_t allocations, fail_at = SIZE_MAX;

static void *limited_malloc(size_t size)
{
	return allocations++ == fail_at ? NULL : malloc(size);
}

static void *limited_calloc(size_t count, size_t size)
{
	return allocations++ == fail_at ? NULL : calloc(count, size);
}

#define calloc limited_calloc
#define uthash_malloc limited_malloc
#include "route_table.c" /* NOLINT(bugprone-suspicious-include): its allocator is ours */

enum { HOSTNAMES = 300 };

static void count_port(void *user, const struct tow_route_port *route)
{
	(void)route;
	++*(size_t *)user;
}

static struct tow_slice event_of(uint64_t from, uint64_t version, int first, struct tow_buf *buf)
{
	struct tow_route_writer *w = tow_route_writer_new(from, version);
	struct tow_route_hostname hostname = { .tls_mode = TOW_TLS_PASSTHROUGH };
	struct tow_route_port port = { .protocol = TOW_PROTOCOL_TCP, .service = "s" };
	struct tow_route_tenant tenant = { .id = { { 1 } } };
	struct tow_id agent = { { 9 } };

	assert_non_null(w);
	tow_route_write_tenant(w, &tenant);
	for (int i = first; i < first + HOSTNAMES; i++) {
		snprintf(hostname.pattern, sizeof(hostname.pattern), "n%d.eu", i);
		hostname.tenant_id.bytes[0] = (uint8_t)(i % 7);
		tow_route_write_hostname(w, &hostname);
		port.port = (uint16_t)(1000 + i);
		port.tenant_id.bytes[0] = (uint8_t)(i % 5);
		if (i % 10 == 0) {
			agent.bytes[1] = (uint8_t)(i / 10);
			tow_route_write_port(w, &port);
			tow_route_write_revoked_agent(w, &port.tenant_id, &agent, 1);
		}
	}
	if (from)
		tow_route_write_hostname_removed(w, "n1.eu");
	tow_buf_clear(buf);
	assert_int_equal(tow_route_writer_finish(w, buf), 0);
	tow_route_writer_free(w);
	return tow_buf_peek(buf);
}

static void check_each_failure(uint64_t from)
{
	static const struct tow_route_observer observer = { .port_added = count_port };
	struct tow_route_table *table = tow_route_table_new();
	struct tow_buf json = { .base = NULL }, before = { .base = NULL }, after = { .base = NULL };
	struct tow_slice event;
	size_t failures = 0, ports = 0;
	int rc;

	assert_int_equal(tow_route_table_apply(table, event_of(0, 1, 0, &json), NULL, NULL, NULL), 0);
	assert_int_equal(tow_route_table_dump(table, &before), 0);
	event = event_of(from, 2, HOSTNAMES / 2, &json);
	for (;; failures++) {
		allocations = 0;
		fail_at = failures;
		rc = tow_route_table_apply(table, event, &observer, &ports, NULL);
		fail_at = SIZE_MAX;
		if (rc == 0)
			break;
		assert_int_equal(rc, TOW_ENOMEM);
		assert_int_equal(ports, 0);
		assert_int_equal(tow_route_table_version(table), 1);
		tow_buf_clear(&after);
		assert_int_equal(tow_route_table_dump(table, &after), 0);
		assert_true(tow_slice_equal(tow_buf_peek(&before), tow_buf_peek(&after)));
	}
	assert_true(failures > HOSTNAMES / 2);
	assert_int_equal(ports, HOSTNAMES / 20);
	assert_int_equal(tow_route_table_hostname_count(table), from ? HOSTNAMES * 3 / 2 - 1 : HOSTNAMES);
	assert_int_equal(tow_route_lookup(table, "n1.eu") != NULL, 0);
	assert_non_null(tow_route_lookup(table, "n449.eu"));
	tow_route_table_free(table);
	tow_buf_deinit(&json);
	tow_buf_deinit(&before);
	tow_buf_deinit(&after);
}

static void a_delta_is_applied_whole_or_not_at_all(void **state)
{
	(void)state;
	check_each_failure(1);
}

static void a_snapshot_is_applied_whole_or_not_at_all(void **state)
{
	(void)state;
	check_each_failure(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delta_is_applied_whole_or_not_at_all),
		cmocka_unit_test(a_snapshot_is_applied_whole_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
