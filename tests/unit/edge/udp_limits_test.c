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

static int enter_as(struct udp_limits *limits, uint64_t who, const char *from, uint16_t port,
                    uint64_t now_ns)
{
	struct tow_addr addr = address(from);
	struct udp_newcomer newcomer = { .from = &addr, .who = who, .port = port };
	enum udp_refusal why;

	return tow__udp_limits_enter(limits, &newcomer, now_ns, &why) == 0 ? -1 : (int)why;
}

/* As a hash would be (SplitMix64). */
static uint64_t hash_of(uint64_t number)
{
	number = (number * 0x9e3779b97f4a7c15 ^ number >> 30) * 0xbf58476d1ce4e5b9;
	number = (number ^ number >> 27) * 0x94d049bb133111eb;
	return number ^ number >> 31;
}

/* Somebody whom nobody has seen before. */
static int enter(struct udp_limits *limits, const char *from, uint16_t port, uint64_t now_ns)
{
	static uint64_t count;

	return enter_as(limits, hash_of(++count), from, port, now_ns);
}

static void in_all_and_on_a_listener(void **state)
{
	struct udp_limits limits = fresh(0);
	struct tow_addr addr = address("192.0.2.1");

	(void)state;
	limits.max = 3;
	limits.per_listener = 2;
	assert_int_equal(enter(&limits, "192.0.2.1", 53, 1), -1);
	assert_int_equal(enter(&limits, "192.0.2.2", 53, 1), -1);
	assert_int_equal(enter(&limits, "192.0.2.1", 53, 1), UDP_REFUSED_LISTENER_LIMIT);
	assert_true(tow__udp_limits_full(&limits, 53) && !tow__udp_limits_full(&limits, 54));
	assert_int_equal(enter(&limits, "192.0.2.1", 54, 1), -1);
	assert_int_equal(enter(&limits, "192.0.2.1", 54, 1), UDP_REFUSED_LIMIT);
	assert_true(tow__udp_limits_full(&limits, 54));
	tow__udp_limits_leave(&limits, &addr, 53);
	assert_int_equal(enter(&limits, "192.0.2.1", 54, 1), -1);
	assert_int_equal(enter(&limits, "192.0.2.1", 53, 1), UDP_REFUSED_LIMIT);
	tow__udp_limits_leave(&limits, &addr, 54);
	assert_int_equal(enter(&limits, "192.0.2.1", 53, 1), -1);
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
	tow__udp_limits_leave(&limits, &addr, 0);
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

/* Who asks again comes before those who are new, as long as the reserve lasts; and it is filled
 * before they are let in again. */
static void who_asks_again(void **state)
{
	struct udp_limits limits = fresh(0);
	uint64_t now = 1000 * TOW_NSEC_PER_SEC, tenth = TOW_NSEC_PER_SEC / 10;

	(void)state;
	limits.burst = 5;
	limits.reserve = 2;
	for (int i = 0; i < 5; i++)
		assert_int_equal(enter(&limits, "192.0.2.1", 0, now), -1);
	for (uint64_t who = 1; who <= 3; who++)
		assert_int_equal(enter_as(&limits, who, "192.0.2.1", 0, now), UDP_REFUSED_RATE);
	assert_int_equal(enter(&limits, "192.0.2.1", 0, now), UDP_REFUSED_RATE);
	assert_int_equal(enter_as(&limits, 1, "192.0.2.1", 0, now), -1);
	assert_int_equal(enter_as(&limits, 2, "192.0.2.1", 0, now), -1);
	assert_int_equal(enter_as(&limits, 3, "192.0.2.1", 0, now), UDP_REFUSED_RATE);
	now += tenth;
	assert_int_equal(enter(&limits, "192.0.2.1", 0, now), UDP_REFUSED_RATE);
	assert_int_equal(enter_as(&limits, 3, "192.0.2.1", 0, now), -1);
	now += 2 * tenth;
	assert_int_equal(enter(&limits, "192.0.2.1", 0, now), UDP_REFUSED_RATE);
	now += tenth;
	assert_int_equal(enter(&limits, "192.0.2.1", 0, now), -1);
	tow__udp_limits_deinit(&limits);
}

/* One who has as many as he may does not use up what others might begin. */
static void who_has_enough_takes_nothing(void **state)
{
	struct udp_limits limits = fresh(2);

	(void)state;
	limits.burst = 4;
	for (int i = 0; i < 2; i++)
		assert_int_equal(enter(&limits, "192.0.2.1", 0, 1), -1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(enter(&limits, "192.0.2.1", 0, 1), UDP_REFUSED_ADDRESS_LIMIT);
	for (int i = 0; i < 2; i++)
		assert_int_equal(enter(&limits, "192.0.2.2", 0, 1), -1);
	assert_int_equal(enter(&limits, "192.0.2.3", 0, 1), UDP_REFUSED_RATE);
	tow__udp_limits_deinit(&limits);
}

/* What is noted is forgotten after two periods at the latest, and what is not has not been here. */
static void the_turned_away(void **state)
{
	struct turned_away away = { .present = 0 };
	uint64_t now = 1000 * TOW_NSEC_PER_SEC, taken = 0;

	(void)state;
	assert_false(tow__turned_away_has(&away, 7, now));
	tow__turned_away_note(&away, 7, now);
	assert_true(tow__turned_away_has(&away, 7, now + 4 * TOW_NSEC_PER_SEC));
	assert_true(tow__turned_away_has(&away, 7, now + 6 * TOW_NSEC_PER_SEC));
	assert_false(tow__turned_away_has(&away, 7, now + 12 * TOW_NSEC_PER_SEC));
	tow__turned_away_note(&away, 7, now + 13 * TOW_NSEC_PER_SEC);
	assert_false(tow__turned_away_has(&away, 7, now + 60 * TOW_NSEC_PER_SEC));
	now += 100 * TOW_NSEC_PER_SEC;
	for (uint64_t i = 1; i <= 500000; i++)
		tow__turned_away_note(&away, hash_of(i), now);
	for (uint64_t i = 1; i <= 1000; i++)
		assert_true(tow__turned_away_has(&away, hash_of(i * 500), now));
	for (uint64_t i = 500001; i <= 600000; i++)
		taken += (uint64_t)tow__turned_away_has(&away, hash_of(i), now);
	assert_in_range(taken, 0, 100000 / 250);
	tow__turned_away_deinit(&away);
}

static void the_usual_ones_let_a_thousand_begin_at_once(void **state)
{
	struct udp_limits limits;

	(void)state;
	tow__udp_limits_init(&limits, 0, 0, 0);
	for (size_t i = 0; i < TOW_UDP_SESSIONS_BURST; i++)
		assert_int_equal(enter(&limits, "192.0.2.1", (uint16_t)i, TOW_NSEC_PER_SEC), -1);
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
		cmocka_unit_test(who_asks_again),
		cmocka_unit_test(who_has_enough_takes_nothing),
		cmocka_unit_test(the_turned_away),
		cmocka_unit_test(the_usual_ones_let_a_thousand_begin_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
