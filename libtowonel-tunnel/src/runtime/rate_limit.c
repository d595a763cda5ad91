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

struct key {
	uint8_t bytes[1 + TOW_ID_SIZE]; /* family, 1 for an identity; and what counts of it */
};

struct bucket {
	struct key who;
	uint64_t full_ns;
};

struct tow_rate_limit {
	uint64_t cost_ns, burst_ns;
	uint8_t hash_key[16]; /* so that nobody can choose addresses of one set */
	struct bucket sets[SETS][WAYS];
};

struct tow_rate_limit *tow_rate_limit_new(unsigned per_second, unsigned burst)
{
	struct tow_rate_limit *limit = calloc(1, sizeof *limit);

	if (!limit)
		return NULL;
	limit->cost_ns = TOW_NSEC_PER_SEC / per_second;
	limit->burst_ns = limit->cost_ns * burst;
	tow_random(limit->hash_key, sizeof limit->hash_key);
	return limit;
}

void tow_rate_limit_free(struct tow_rate_limit *limit)
{
	free(limit);
}

static struct key key_of(const struct tow_addr *addr)
{
	struct key key = { { addr->family } };

	memcpy(key.bytes + 1, addr->bytes, addr->family == 6 ? 8 : 4);
	return key;
}

static struct bucket *set_of(struct tow_rate_limit *limit, const struct key *who)
{
	uint8_t hash[TOW_HASH_SIZE];

	tow_hash(tow_slice_make(who->bytes, sizeof who->bytes), limit->hash_key,
	         sizeof limit->hash_key, hash);
	return limit->sets[(hash[0] | hash[1] << 8) % SETS];
}

/* NULL: there is none. */
static struct bucket *find(struct bucket *set, const struct key *who)
{
	for (size_t i = 0; i < WAYS; i++)
		if (!memcmp(&set[i].who, who, sizeof *who))
			return &set[i];
	return NULL;
}

static struct bucket *find_or_make(struct bucket *set, const struct key *who)
{
	struct bucket *bucket = find(set, who);

	if (bucket)
		return bucket;
	bucket = set;
	for (size_t i = 1; i < WAYS; i++)
		if (set[i].full_ns < bucket->full_ns)
			bucket = &set[i];
	*bucket = (struct bucket){ .who = *who };
	return bucket;
}

static uint64_t take(struct tow_rate_limit *limit, const struct key *who, uint64_t now_ns)
{
	struct bucket *bucket = find_or_make(set_of(limit, who), who);
	uint64_t full = bucket->full_ns > now_ns ? bucket->full_ns : now_ns;

	full += limit->cost_ns;
	if (full > now_ns + limit->burst_ns)
		return (full - now_ns - limit->burst_ns) / TOW_NSEC_PER_MSEC + 1;
	bucket->full_ns = full;
	return 0;
}

uint64_t tow_rate_limit_take(struct tow_rate_limit *limit, const struct tow_addr *from,
                             uint64_t now_ns)
{
	struct key who = key_of(from);

	return take(limit, &who, now_ns);
}

uint64_t tow_rate_limit_take_id(struct tow_rate_limit *limit, const struct tow_id *id,
                                uint64_t now_ns)
{
	struct key who = { { 1 } };

	memcpy(who.bytes + 1, id->bytes, sizeof id->bytes);
	return take(limit, &who, now_ns);
}

void tow_rate_limit_give(struct tow_rate_limit *limit, const struct tow_addr *from)
{
	struct key who = key_of(from);
	struct bucket *bucket = find(set_of(limit, &who), &who);

	if (bucket && bucket->full_ns > limit->cost_ns)
		bucket->full_ns -= limit->cost_ns;
}
