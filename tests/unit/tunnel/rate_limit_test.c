/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/rate_limit.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <towonel/tunnel/loop.h>
#include <cmocka.h>

#define PER_SECOND 5
#define BURST      30

static struct tow_addr address(const char *text)
{
	struct tow_addr addr;

	assert_int_equal(tow_addr_parse_host(tow_slice_of(text), &addr), 0);
	return addr;
}

/* How many are taken at one moment, at most 100. */
static int taken(struct tow_rate_limit *limit, const char *from, uint64_t now_ns)
{
	struct tow_addr addr = address(from);
	int n = 0;

	while (n < 100 && !tow_rate_limit_take(limit, &addr, now_ns))
		n++;
	return n;
}

static void a_burst_then_so_many_a_second(void **state)
{
	struct tow_rate_limit *limit = tow_rate_limit_new(PER_SECOND, BURST);
	struct tow_addr addr = address("192.0.2.1");
	uint64_t now = 1000 * TOW_NSEC_PER_SEC, wait;

	(void)state;
	assert_int_equal(taken(limit, "192.0.2.1", now), BURST);
	wait = tow_rate_limit_take(limit, &addr, now);
	assert_true(wait > 0 && wait <= 201);
	assert_int_equal(taken(limit, "192.0.2.1", now + wait * TOW_NSEC_PER_MSEC), 1);
	assert_int_equal(taken(limit, "192.0.2.1", now + 2 * TOW_NSEC_PER_SEC),
	                 2 * PER_SECOND - 1);
	/* quiet for long: the burst again, and not more */
	assert_int_equal(taken(limit, "192.0.2.1", now + 3600 * TOW_NSEC_PER_SEC), BURST);
	tow_rate_limit_free(limit);
}

static void each_source_has_its_own(void **state)
{
	static const struct {
		const char *address;
		int taken;
	} cases[] = {
		{ "192.0.2.1", BURST },
		{ "192.0.2.2", BURST },
		{ "192.0.2.1", 0 },
		{ "2001:db8:0:1::1", BURST },
		{ "2001:db8:0:1:ffff::2", 0 },
		{ "2001:db8:0:2::1", BURST },
	};
	struct tow_rate_limit *limit = tow_rate_limit_new(PER_SECOND, BURST);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(taken(limit, cases[i].address, TOW_NSEC_PER_SEC), cases[i].taken);
	tow_rate_limit_free(limit);
}

/* A hundred thousand sources cost no memory, and one that keeps on asking stays limited meanwhile,
 * for it is never the one that was quiet longest. */
static void a_crowd_does_not_wash_a_flood_out(void **state)
{
	struct tow_rate_limit *limit = tow_rate_limit_new(PER_SECOND, BURST);
	struct tow_addr flood = address("192.0.2.1"), other = address("10.0.0.0");
	uint64_t now = TOW_NSEC_PER_SEC;
	int n = 0;

	(void)state;
	for (uint32_t i = 0; i < 100000; i++) {
		memcpy(other.bytes, &i, sizeof i);
		other.bytes[3] = 10;
		tow_rate_limit_take(limit, &other, now);
		n += !tow_rate_limit_take(limit, &flood, now);
	}
	assert_int_equal(n, BURST);
	tow_rate_limit_free(limit);
}

static void what_is_given_back_can_be_taken_again(void **state)
{
	struct tow_rate_limit *limit = tow_rate_limit_new(PER_SECOND, BURST);
	struct tow_addr addr = address("192.0.2.1"), other = address("192.0.2.2");
	uint64_t now = 1000 * TOW_NSEC_PER_SEC;

	(void)state;
	tow_rate_limit_give(limit, &addr); /* nobody took it */
	assert_int_equal(taken(limit, "192.0.2.1", now), BURST);
	tow_rate_limit_give(limit, &other);
	assert_int_equal(taken(limit, "192.0.2.1", now), 0);
	for (int i = 0; i < 3; i++)
		tow_rate_limit_give(limit, &addr);
	assert_int_equal(taken(limit, "192.0.2.1", now), 3);
	/* more than a bucket holds does not go into it */
	now += 3600 * TOW_NSEC_PER_SEC;
	for (int i = 0; i < 3; i++)
		tow_rate_limit_give(limit, &addr);
	assert_int_equal(taken(limit, "192.0.2.1", now), BURST);
	tow_rate_limit_free(limit);
}

static void identities_have_their_own(void **state)
{
	struct tow_rate_limit *limit = tow_rate_limit_new(PER_SECOND, BURST);
	struct tow_id ids[2] = { { { 192, 0, 2, 1 } }, { { 192, 0, 2, 1, [31] = 1 } } };
	uint64_t now = 1000 * TOW_NSEC_PER_SEC;

	(void)state;
	for (int i = 0; i < BURST; i++)
		assert_int_equal(tow_rate_limit_take_id(limit, &ids[0], now), 0);
	assert_true(tow_rate_limit_take_id(limit, &ids[0], now) > 0);
	assert_int_equal(tow_rate_limit_take_id(limit, &ids[1], now), 0);
	assert_int_equal(taken(limit, "192.0.2.1", now), BURST);
	tow_rate_limit_free(limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_then_so_many_a_second),
		cmocka_unit_test(each_source_has_its_own),
		cmocka_unit_test(what_is_given_back_can_be_taken_again),
		cmocka_unit_test(identities_have_their_own),
		cmocka_unit_test(a_crowd_does_not_wash_a_flood_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
