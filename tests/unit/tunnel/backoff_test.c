/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <towonel/tunnel/backoff.h>

static void waits_double_up_to_a_bound(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		struct tow_backoff backoff = { 0 };
		uint64_t span = TOW_BACKOFF_FIRST_NS;
		for (int i = 0; i < 100; i++) {
			uint64_t wait = tow_backoff_next(&backoff);
			assert_true(wait >= span / 2 && wait < span);
			span = span * 2 < TOW_BACKOFF_LAST_NS ? span * 2 : TOW_BACKOFF_LAST_NS;
		}
		tow_backoff_reset(&backoff);
		assert_true(tow_backoff_next(&backoff) < TOW_BACKOFF_FIRST_NS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(waits_double_up_to_a_bound) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
