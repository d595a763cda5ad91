/* SPDX-License-Identifier: MIT */
#include "source_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct tow_addr host(const char *text)
{
	struct tow_addr addr;

	assert_int_equal(tow_addr_parse_host(tow_slice_of(text), &addr), 0);
	return addr;
}

static void sources_are_told_apart(void **state)
{
	static const struct {
		const char *a, *b;
		int same;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1", 1 },
		{ "192.0.2.1", "192.0.2.2", 0 },
		{ "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", 1 }, /* one /64 */
		{ "2001:db8:0:1::1", "2001:db8:0:2::1", 0 },
		{ "192.0.2.1", "c000:201::", 0 }, /* the same bytes */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tow_addr a = host(cases[i].a), b = host(cases[i].b);
		struct source_limit limit;

		tow__source_limit_init(&limit, 1);
		assert_int_equal(tow__source_limit_enter(&limit, &a), 0);
		assert_int_equal(tow__source_limit_enter(&limit, &b),
		                 cases[i].same ? TOW_ELIMIT : 0);
		tow__source_limit_deinit(&limit);
	}
}

static void leaving_makes_room(void **state)
{
	struct tow_addr addr = host("192.0.2.1");
	struct source_limit limit;

	(void)state;
	tow__source_limit_init(&limit, 2);
	assert_int_equal(tow__source_limit_enter(&limit, &addr), 0);
	addr.port = 99; /* does not matter */
	assert_int_equal(tow__source_limit_enter(&limit, &addr), 0);
	assert_int_equal(tow__source_limit_enter(&limit, &addr), TOW_ELIMIT);
	tow__source_limit_leave(&limit, &addr);
	assert_int_equal(tow__source_limit_enter(&limit, &addr), 0);
	tow__source_limit_leave(&limit, &addr);
	tow__source_limit_leave(&limit, &addr);
	assert_null(limit.sources);
	tow__source_limit_deinit(&limit);
}

static void no_limit_counts_nothing(void **state)
{
	struct tow_addr addr = host("192.0.2.1");
	struct source_limit limit;

	(void)state;
	tow__source_limit_init(&limit, 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(tow__source_limit_enter(&limit, &addr), 0);
	assert_null(limit.sources);
	tow__source_limit_leave(&limit, &addr);
	tow__source_limit_deinit(&limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources_are_told_apart),
		cmocka_unit_test(leaving_makes_room),
		cmocka_unit_test(no_limit_counts_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
