/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <towonel/wire/limits.h>
#include <towonel/wire/route_table.h>
#include "tenants.h"

static struct tow_route_table *table;
static struct tenants tenants;

static int setup(void **state)
{
	tow__tenants_init(&tenants);
	table = tow_route_table_new();
	assert_non_null(table);
	return fixture_setup(state);
}

static int teardown(void **state)
{
	tow_route_table_free(table);
	tow__tenants_deinit(&tenants);
	return fixture_teardown(state);
}

/* As the route feed says it, and the edge hears of it. */
static void limit(struct fixture *f, uint32_t connections, uint64_t in, uint64_t out)
{
	static const struct tow_route_observer nobody;
	uint64_t version = tow_route_table_version(table);
	struct tow_route_writer *w = routes(version, version + 1);
	struct tow_buf json = { NULL, 0, 0, 0 };
	struct tow_error err;

	add_tenant_limited(w, &f->alice, &(struct tow_tenant_limits){ connections, in, out });
	assert_int_equal(tow_route_writer_finish(w, &json), 0);
	tow_route_writer_free(w);
	assert_int_equal(tow_route_table_apply(table, tow_buf_peek(&json), &nobody, NULL, &err), 0);
	tow_buf_deinit(&json);
	tow__tenants_refresh(&tenants, table);
}

static struct tenant_use *enter(const struct tenant *tenant, int rc)
{
	struct tenant_use *use = NULL;

	assert_int_equal(tow__tenants_enter(&tenants, table, &tenant->id, &use), rc);
	return use;
}

static void connections_are_counted(void **state)
{
	struct fixture *f = *state;
	struct tenant_use *one, *two;

	limit(f, 2, 0, 0);
	one = enter(&f->alice, 0);
	two = enter(&f->alice, 0);
	assert_ptr_equal(one, two);
	enter(&f->alice, TOW_ELIMIT);
	tow__tenants_leave(&tenants, enter(&f->bob, 0)); /* nobody's, and without a limit */
	tow__tenants_leave(&tenants, one);
	two = enter(&f->alice, 0);
	limit(f, 1, 0, 0);
	tow__tenants_leave(&tenants, two);
	enter(&f->alice, TOW_ELIMIT);
	tow__tenants_leave(&tenants, two);
	assert_null(tenants.uses);
	tow__tenants_leave(&tenants, NULL);
}

static void paces_are_as_the_table_says(void **state)
{
	struct fixture *f = *state;
	struct tenant_use *use;

	limit(f, 0, 1000, 0);
	use = enter(&f->alice, 0);
	assert_int_equal(use->in.bytes_per_second, 1000);
	assert_int_equal(use->out.bytes_per_second, 0);
	limit(f, 0, 0, 2000);
	assert_int_equal(use->in.bytes_per_second, 0);
	assert_int_equal(use->out.bytes_per_second, 2000);
	limit(f, 0, 0, 0);
	assert_int_equal(use->out.bytes_per_second, 0);
	tow__tenants_leave(&tenants, use);
	assert_null(tenants.uses);
}

/* Else many short connections one after the other would know no limit. */
static void what_was_spent_is_so_for_the_next_connection(void **state)
{
	struct fixture *f = *state;
	struct tenant_use *use;
	uint64_t now = 1000;

	limit(f, 0, 1000, 0);
	use = enter(&f->alice, 0);
	tow_pace_spend(&use->in, 1000000, now);
	tow__tenants_leave(&tenants, use);
	use = enter(&f->alice, 0);
	assert_int_equal(tow_pace_allow(&use->in, now), 0);
	tow__tenants_leave(&tenants, use);
	assert_non_null(tenants.uses);
	limit(f, 0, 0, 0);
	assert_null(tenants.uses);
}

#define TENANTS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TENANTS_TEST(connections_are_counted),
		TENANTS_TEST(paces_are_as_the_table_says),
		TENANTS_TEST(what_was_spent_is_so_for_the_next_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
