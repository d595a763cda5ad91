/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/pace.h>

#include <towonel/tunnel/loop.h>

#define BURST_NS  (50 * TOW_NSEC_PER_MSEC)
#define BURST_MIN 16384                           /* bytes, where that is more */
#define REFILL_NS (10 * TOW_NSEC_PER_MSEC)        /* worth waking up for */
#define FASTEST   (UINT64_MAX / TOW_NSEC_PER_SEC) /* beyond it is no limit */

static uint64_t time_of(uint64_t bytes, uint64_t rate)
{
	/* in two steps, which do not overflow */
	return bytes / rate * TOW_NSEC_PER_SEC + bytes % rate * TOW_NSEC_PER_SEC / rate;
}

static uint64_t burst_of(uint64_t rate)
{
	uint64_t least = time_of(BURST_MIN, rate);

	return least > BURST_NS ? least : BURST_NS;
}

void tow_pace_set(struct tow_pace *pace, uint64_t bytes_per_second)
{
	__atomic_store_n(&pace->bytes_per_second, bytes_per_second, __ATOMIC_RELAXED);
}

size_t tow_pace_allow(const struct tow_pace *pace, uint64_t now_ns, uint64_t *wait_ns)
{
	uint64_t rate = __atomic_load_n(&pace->bytes_per_second, __ATOMIC_RELAXED);
	uint64_t full = __atomic_load_n(&pace->full_ns, __ATOMIC_RELAXED);
	uint64_t burst, ahead, bytes;

	*wait_ns = 0;
	if (rate == 0 || rate > FASTEST)
		return SIZE_MAX;
	burst = burst_of(rate);
	ahead = full > now_ns ? full - now_ns : 0;
	if (ahead >= burst) {
		*wait_ns = ahead - burst + REFILL_NS;
		return 0;
	}
	bytes = (burst - ahead) / TOW_NSEC_PER_MSEC * rate / 1000;
	if (bytes == 0)
		*wait_ns = REFILL_NS;
	return (size_t)bytes;
}

void tow_pace_spend(struct tow_pace *pace, size_t bytes, uint64_t now_ns)
{
	uint64_t rate = __atomic_load_n(&pace->bytes_per_second, __ATOMIC_RELAXED);
	uint64_t full = __atomic_load_n(&pace->full_ns, __ATOMIC_RELAXED), next;

	if (rate == 0 || rate > FASTEST)
		return;
	do
		next = (full > now_ns ? full : now_ns) + time_of(bytes, rate);
	while (!__atomic_compare_exchange_n(&pace->full_ns, &full, next, 1, __ATOMIC_RELAXED,
	                                    __ATOMIC_RELAXED));
}
