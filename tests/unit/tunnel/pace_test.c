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
	uint64_t now = from_ns, bytes = 0, wait;

	while (now < from_ns + for_ns) {
		size_t may = tow_pace_allow(pace, now, &wait);
		if (may == 0) {
			assert_true(wait > 0);
			now += wait;
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
			assert_in_range(got, rates[i] * seconds * 95 / 100, rates[i] * (seconds + 1) + 16384);
		}
	}
}

static void without_a_rate_there_is_no_limit(void **state)
{
	struct tow_pace pace = { .bytes_per_second = 0 };
	uint64_t wait;

	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_true(tow_pace_allow(&pace, SECOND, &wait) == SIZE_MAX);
		tow_pace_spend(&pace, SIZE_MAX / 2, SECOND);
	}
	/* one that comes holds from then on */
	tow_pace_set(&pace, 1000);
	assert_true(tow_pace_allow(&pace, SECOND, &wait) <= 16384);
	tow_pace_spend(&pace, 100000, SECOND);
	assert_int_equal(tow_pace_allow(&pace, 2 * SECOND, &wait), 0);
	assert_in_range(wait, 82 * SECOND, 84 * SECOND);
	/* and one that goes lets everything pass */
	tow_pace_set(&pace, 0);
	assert_true(tow_pace_allow(&pace, SECOND, &wait) == SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_bytes_a_second),
		cmocka_unit_test(without_a_rate_there_is_no_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
