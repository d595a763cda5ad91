/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/pace.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <towonel/tunnel/loop.h>
#include <cmocka.h>

#define SECOND TOW_NSEC_PER_SEC

/* What goes through in some time when everybody takes what is allowed, and waits as told. */
static uint64_t through(struct tow_pace *pace, uint64_t from_ns, uint64_t for_ns, size_t piece)
{
	uint64_t now = from_ns, bytes = 0;

	while (now < from_ns + for_ns) {
		size_t may = tow_pace_allow(pace, now);
		if (may == 0) {
			uint64_t turn = tow_pace_turn(pace, now);
			assert_in_range(turn, now + 1, now + SECOND);
			now = turn;
			continue;
		}
		if (may > piece)
			may = piece;
		tow_pace_spend(pace, may, now);
		bytes += may;
	}
	return bytes;
}

static void so_many_bytes_a_second(void **state)
{
	static const uint64_t rates[] = { 1, 1000, 65536, 1000000, 125000000, 1000000000000 };
	static const size_t pieces[] = { 1, 1200, 16384, 262144 };

	(void)state;
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		for (size_t k = 1; k < sizeof pieces / sizeof *pieces; k++) {
			uint64_t seconds = rates[i] < 100000000 ? 100 : 1, got;
			struct tow_pace pace = { .bytes_per_second = rates[i] };
			if (rates[i] / pieces[k] > 1000000)
				continue;
			got = through(&pace, 1000 * SECOND, seconds * SECOND, pieces[k]);
			/* and a burst at the start */
			assert_in_range(got, rates[i] * seconds * 95 / 100,
			                rates[i] * (seconds + 1) + 16384);
		}
	}
}

static void without_a_rate_there_is_no_limit(void **state)
{
	struct tow_pace pace = { .bytes_per_second = 0 };
	(void)state;
	assert_false(tow_pace_is_set(&pace));
	for (int i = 0; i < 10; i++) {
		assert_true(tow_pace_allow(&pace, SECOND) == SIZE_MAX);
		tow_pace_spend(&pace, SIZE_MAX / 2, SECOND);
	}
	/* one that comes holds from then on */
	tow_pace_set(&pace, 1000);
	assert_true(tow_pace_allow(&pace, SECOND) <= 16384);
	tow_pace_spend(&pace, 100000, SECOND);
	assert_int_equal(tow_pace_allow(&pace, 2 * SECOND), 0);
	assert_int_equal(tow_pace_allow(&pace, 84 * SECOND), 0);
	assert_true(tow_pace_allow(&pace, 86 * SECOND) > 0);
	assert_true(tow_pace_is_set(&pace));
	/* nobody sleeps through a change */
	assert_in_range(tow_pace_turn(&pace, 2 * SECOND), 2 * SECOND + 1, 3 * SECOND);
	/* and one that goes lets everything pass */
	tow_pace_set(&pace, 0);
	assert_true(tow_pace_allow(&pace, SECOND) == SIZE_MAX);
}

/* Each waits for its own moment, and takes what there is then. */
static void many_who_wait_cost_no_more_than_one(void **state)
{
	static const size_t counts[] = { 1, 10, 90 };

	(void)state;
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		struct tow_pace pace = { .bytes_per_second = 1000000 };
		uint64_t turns[90], bytes[90] = { 0 }, asked = 0, all = 0, now = 0;
		size_t who = 0;

		tow_pace_spend(&pace, 100000, 1);
		for (size_t k = 0; k < counts[i]; k++)
			turns[k] = tow_pace_turn(&pace, 1);
		while (now < 20 * SECOND) {
			size_t may;

			for (size_t k = 0; k < counts[i]; k++)
				who = turns[k] < turns[who] ? k : who;
			now = turns[who];
			may = tow_pace_allow(&pace, now);
			tow_pace_spend(&pace, may, now);
			bytes[who] += may;
			turns[who] = tow_pace_turn(&pace, now);
			asked++;
		}
		assert_in_range(asked, 1800, 2020);
		for (size_t k = 0; k < counts[i]; k++) {
			assert_in_range(bytes[k], 20000000 / counts[i] * 8 / 10,
			                20000000 / counts[i] * 12 / 10);
			all += bytes[k];
		}
		assert_in_range(all, 19800000, 20020000);
	}
}

static void very_many_who_wait_ask_once_a_second(void **state)
{
	struct tow_pace pace = { .bytes_per_second = 1000000 };
	size_t soon = 0;

	(void)state;
	tow_pace_spend(&pace, 100000, SECOND);
	for (size_t i = 0; i < 10000; i++) {
		uint64_t turn = tow_pace_turn(&pace, SECOND);
		assert_in_range(turn, SECOND + 1, 2 * SECOND);
		soon += turn < SECOND + SECOND / 2;
	}
	/* spread out, more or less */
	assert_in_range(soon, 3000, 7000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_bytes_a_second),
		cmocka_unit_test(without_a_rate_there_is_no_limit),
		cmocka_unit_test(many_who_wait_cost_no_more_than_one),
		cmocka_unit_test(very_many_who_wait_ask_once_a_second),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
