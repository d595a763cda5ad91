/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <towonel/tunnel/loop.h>
#include <towonel/wire/limits.h>
#include "udp/limits.h"

static struct tow_addr address(const char *text)
{
	struct tow_addr addr;

	assert_int_equal(tow_addr_parse_host(tow_slice_of(text), &addr), 0);
	return addr;
}

static struct udp_limits fresh(size_t per_address)
{
	struct udp_limits limits = {
		.max = 1000, .per_listener = 1000, .per_second = 10, .burst = 1000
	};

	tow__source_limit_init(&limits.sources, per_address);
	return limits;
}

static int enter(struct udp_limits *limits, const char *from, size_t on_listener, uint64_t now_ns)
{
	struct tow_addr addr = address(from);
	enum udp_refusal why;

	return tow__udp_limits_enter(limits, &addr, on_listener, now_ns, &why) == 0 ? -1 : (int)why;
}

static void in_all_and_on_a_listener(void **state)
{
	struct udp_limits limits = fresh(0);
	struct tow_addr addr = address("192.0.2.1");

	(void)state;
	limits.max = 3;
	limits.per_listener = 2;
	assert_int_equal(enter(&limits, "192.0.2.1", 1, 1), -1);
	assert_int_equal(enter(&limits, "192.0.2.1", 2, 1), UDP_REFUSED_LISTENER_LIMIT);
	assert_int_equal(enter(&limits, "192.0.2.1", 0, 1), -1);
	assert_int_equal(enter(&limits, "192.0.2.1", 0, 1), -1);
	assert_int_equal(enter(&limits, "192.0.2.1", 0, 1), UDP_REFUSED_LIMIT);
	tow__udp_limits_leave(&limits, &addr);
	assert_int_equal(enter(&limits, "192.0.2.1", 0, 1), -1);
	tow__udp_limits_deinit(&limits);
}

static void of_an_address(void **state)
{
	struct udp_limits limits = fresh(2);
	struct tow_addr addr = address("2001:db8::1");

	(void)state;
	assert_int_equal(enter(&limits, "2001:db8::1", 0, 1), -1);
	assert_int_equal(enter(&limits, "2001:db8::ffff:1", 0, 1), -1);
	assert_int_equal(enter(&limits, "2001:db8::2", 0, 1), UDP_REFUSED_ADDRESS_LIMIT);
	assert_int_equal(enter(&limits, "2001:db8:0:1::2", 0, 1), -1);
	assert_int_equal(limits.count, 3);
	tow__udp_limits_leave(&limits, &addr);
	assert_int_equal(enter(&limits, "2001:db8::2", 0, 1), -1);
	tow__udp_limits_deinit(&limits);
}

/* A burst, then so many a second, however long nobody came before. */
static void in_a_second(void **state)
{
	struct udp_limits limits = fresh(0);
	uint64_t now = 1000 * TOW_NSEC_PER_SEC, tenth = TOW_NSEC_PER_SEC / 10;
	int begun = 0;

	(void)state;
	limits.burst = 5;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 5; i++)
			assert_int_equal(enter(&limits, "192.0.2.1", 0, now), -1);
		assert_int_equal(enter(&limits, "192.0.2.1", 0, now), UDP_REFUSED_RATE);
		now += tenth;
		assert_int_equal(enter(&limits, "192.0.2.1", 0, now), -1);
		assert_int_equal(enter(&limits, "192.0.2.1", 0, now), UDP_REFUSED_RATE);
		for (int i = 0; i < 1000; i++)
			begun += enter(&limits, "192.0.2.1", 0, now + (uint64_t)i * tenth / 10) ==
			         -1;
		now += 3600 * TOW_NSEC_PER_SEC;
	}
	assert_in_range(begun, 2 * 99, 2 * 101);
	tow__udp_limits_deinit(&limits);
}

static void the_usual_ones_let_a_thousand_begin_at_once(void **state)
{
	struct udp_limits limits;

	(void)state;
	tow__udp_limits_init(&limits, 0, 0, 0);
	for (size_t i = 0; i < TOW_UDP_SESSIONS_BURST; i++)
		assert_int_equal(enter(&limits, "192.0.2.1", i, TOW_NSEC_PER_SEC), -1);
	assert_int_equal(enter(&limits, "192.0.2.1", 0, TOW_NSEC_PER_SEC), UDP_REFUSED_RATE);
	assert_true(TOW_UDP_SESSIONS_BURST >= 1000);
	tow__udp_limits_deinit(&limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_all_and_on_a_listener),
		cmocka_unit_test(of_an_address),
		cmocka_unit_test(in_a_second),
		cmocka_unit_test(the_usual_ones_let_a_thousand_begin_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
