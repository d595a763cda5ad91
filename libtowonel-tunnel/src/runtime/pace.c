/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/pace.h>

#include <towonel/tunnel/loop.h>

#define BURST_NS  (50 * TOW_NSEC_PER_MSEC)
#define BURST_MIN 16384                           /* bytes, where that is more */
#define PIECE_NS  (10 * TOW_NSEC_PER_MSEC)        /* worth waking up for, */
#define PIECE_MIN 1200                            /* bytes, where that is more */
#define TURN_MAX  TOW_NSEC_PER_SEC                /* then limit and queue may be others */
#define FASTEST   (UINT64_MAX / TOW_NSEC_PER_SEC) /* beyond it is no limit */

static uint64_t time_of(uint64_t bytes, uint64_t rate)
{
	/* in two steps, which do not overflow */
	return bytes / rate * TOW_NSEC_PER_SEC + bytes % rate * TOW_NSEC_PER_SEC / rate;
}

static uint64_t at_least(uint64_t ns, uint64_t bytes, uint64_t rate)
{
	uint64_t least = time_of(bytes, rate);

	return least > ns ? least : ns;
}

static uint64_t load(const uint64_t *number)
{
	return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static int swap(uint64_t *number, uint64_t *expected, uint64_t value)
{
	return __atomic_compare_exchange_n(number, expected, value, 1, __ATOMIC_RELAXED,
	                                   __ATOMIC_RELAXED);
}

static int is_limit(uint64_t rate)
{
	return rate != 0 && rate <= FASTEST;
}

void tow_pace_set(struct tow_pace *pace, uint64_t bytes_per_second)
{
	__atomic_store_n(&pace->bytes_per_second, bytes_per_second, __ATOMIC_RELAXED);
}

int tow_pace_is_set(const struct tow_pace *pace)
{
	return is_limit(load(&pace->bytes_per_second));
}

size_t tow_pace_allow(const struct tow_pace *pace, uint64_t now_ns)
{
	uint64_t rate = load(&pace->bytes_per_second), full = load(&pace->full_ns);
	uint64_t burst, ahead;

	if (!is_limit(rate))
		return SIZE_MAX;
	burst = at_least(BURST_NS, BURST_MIN, rate);
	ahead = full > now_ns ? full - now_ns : 0;
	return ahead < burst ? (size_t)((burst - ahead) / TOW_NSEC_PER_MSEC * rate / 1000) : 0;
}

uint64_t tow_pace_turn(struct tow_pace *pace, uint64_t now_ns)
{
	uint64_t rate = load(&pace->bytes_per_second), full = load(&pace->full_ns);
	uint64_t last = load(&pace->turn_ns), latest = now_ns + TURN_MAX;
	uint64_t piece, burst, first, turn;

	if (!is_limit(rate))
		return now_ns;
	piece = at_least(PIECE_NS, PIECE_MIN, rate);
	burst = at_least(BURST_NS, BURST_MIN, rate);
	first = (full > now_ns + burst ? full - burst : now_ns) + piece;
	if (first > latest)
		first = latest;
	do
		turn = last + piece > first && last + piece <= latest ? last + piece : first;
	while (!swap(&pace->turn_ns, &last, turn));
	return turn;
}

void tow_pace_spend(struct tow_pace *pace, size_t bytes, uint64_t now_ns)
{
	uint64_t rate = load(&pace->bytes_per_second), full = load(&pace->full_ns), next;

	if (!is_limit(rate))
		return;
	do
		next = (full > now_ns ? full : now_ns) + time_of(bytes, rate);
	while (!swap(&pace->full_ns, &full, next));
}
