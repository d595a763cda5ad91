/* SPDX-License-Identifier: MIT */
#include "replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <towonel/wire/limits.h>

#define NOW 1700000000000ULL

static void each_request_is_good_once(void **state)
{
	struct tow__replay *replay = tow__replay_new();
	struct tow_id a = { { 1 } }, b = { { 2 } };

	(void)state;
	for (uint64_t ts = NOW; ts < NOW + 5000; ts++) {
		assert_int_equal(tow__replay_use(replay, &a, ts, NOW), 0);
		assert_int_equal(tow__replay_use(replay, &b, ts, NOW), 0);
	}
	for (uint64_t ts = NOW; ts < NOW + 5000; ts++) {
		assert_int_equal(tow__replay_use(replay, &a, ts, NOW), TOW_ECONFLICT);
		assert_int_equal(tow__replay_use(replay, &b, ts, NOW), TOW_ECONFLICT);
	}
	tow__replay_free(replay);
}

/* A request is remembered for as long as it is fresh, whenever it came in the life of a set. */
static void none_is_forgotten_while_it_is_fresh(void **state)
{
	(void)state;
	for (uint64_t start = 0; start < 4ULL * TOW_SIGNATURE_WINDOW_MS; start += 7000) {
		struct tow__replay *replay = tow__replay_new();
		struct tow_id other = { { 1 } }, id = { { 2 } };
		uint64_t signed_at =
			NOW + start + TOW_SIGNATURE_WINDOW_MS; /* the clock is ahead by a window */

		assert_int_equal(tow__replay_use(replay, &other, NOW, NOW), 0);
		assert_int_equal(tow__replay_use(replay, &id, signed_at, NOW + start), 0);
		for (uint64_t now = NOW + start; now <= signed_at + TOW_SIGNATURE_WINDOW_MS;
		     now += 3000)
			assert_int_equal(tow__replay_use(replay, &id, signed_at, now),
			                 TOW_ECONFLICT);
		tow__replay_free(replay);
	}
}

static void when_it_is_full_it_refuses(void **state)
{
	struct tow__replay *replay = tow__replay_new();
	struct tow_id id = { { 1 } };

	(void)state;
	for (uint64_t i = 0; i < TOW__REPLAY_MAX; i++)
		assert_int_equal(tow__replay_use(replay, &id, i, NOW), 0);
	assert_int_equal(tow__replay_use(replay, &id, TOW__REPLAY_MAX, NOW), TOW_ELIMIT);
	assert_int_equal(tow__replay_use(replay, &id, 7, NOW), TOW_ECONFLICT);
	/* and takes again once the old ones have gone stale */
	assert_int_equal(tow__replay_use(replay, &id, 1000000, NOW + 2 * TOW_SIGNATURE_WINDOW_MS),
	                 0);
	tow__replay_free(replay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_is_good_once),
		cmocka_unit_test(none_is_forgotten_while_it_is_fresh),
		cmocka_unit_test(when_it_is_full_it_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
