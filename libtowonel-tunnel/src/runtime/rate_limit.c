/* SPDX-License-Identifier: MIT */

/*
 * A bucket is one number: the time at which it will be full again ("theoretical arrival time" in
 * the cell-rate algorithm of ATM). A request moves it ahead by what one costs; it may not be
 * further ahead of now than a burst.
 */

#include <towonel/tunnel/rate_limit.h>

#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/loop.h>
#include <towonel/wire/identity.h>

#define SETS 1024
#define WAYS 4

struct bucket {
	uint8_t who[9]; /* family, and the bytes that count */
	uint64_t full_ns;
};

struct tow_rate_limit {
	uint64_t cost_ns, burst_ns;
	uint8_t key[16]; /* so that nobody can choose addresses of one set */
	struct bucket sets[SETS][WAYS];
};

struct tow_rate_limit *tow_rate_limit_new(unsigned per_second, unsigned burst)
{
	struct tow_rate_limit *limit = calloc(1, sizeof *limit);

	if (!limit)
		return NULL;
	limit->cost_ns = TOW_NSEC_PER_SEC / per_second;
	limit->burst_ns = limit->cost_ns * burst;
	tow_random(limit->key, sizeof limit->key);
	return limit;
}

void tow_rate_limit_free(struct tow_rate_limit *limit)
{
	free(limit);
}

static struct bucket *find(struct tow_rate_limit *limit, const struct tow_addr *from)
{
	uint8_t who[9] = { from->family }, hash[TOW_HASH_SIZE];
	struct bucket *set, *oldest;

	memcpy(who + 1, from->bytes, from->family == 6 ? 8 : 4);
	tow_hash(tow_slice_make(who, sizeof who), limit->key, sizeof limit->key, hash);
	set = limit->sets[(hash[0] | hash[1] << 8) % SETS];
	oldest = set;
	for (size_t i = 0; i < WAYS; i++) {
		if (!memcmp(set[i].who, who, sizeof who))
			return &set[i];
		if (set[i].full_ns < oldest->full_ns)
			oldest = &set[i];
	}
	memcpy(oldest->who, who, sizeof who);
	oldest->full_ns = 0;
	return oldest;
}

uint64_t tow_rate_limit_take(struct tow_rate_limit *limit, const struct tow_addr *from,
                             uint64_t now_ns)
{
	struct bucket *bucket = find(limit, from);
	uint64_t full = bucket->full_ns > now_ns ? bucket->full_ns : now_ns;

	full += limit->cost_ns;
	if (full > now_ns + limit->burst_ns)
		return (full - now_ns - limit->burst_ns) / TOW_NSEC_PER_MSEC + 1;
	bucket->full_ns = full;
	return 0;
}
