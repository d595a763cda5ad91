/* SPDX-License-Identifier: MIT */

/*
 * Two sets of hashes. What is new goes into the young one; after twice the window of freshness the
 * young one becomes the old one and the old one, in which nothing can be fresh any more, is
 * emptied. (Twice, because a request may come from a clock that is a whole window ahead, and stays
 * fresh for two.)
 */

#include "replay.h"

#include <stdlib.h>
#include <string.h>

#include <towonel/wire/limits.h>

#define HASH_SIZE 16
#define FIRST_CAP 256

struct set {
	uint8_t (*slots)[HASH_SIZE]; /* open addressing; all-zero: free */
	size_t count, cap;           /* cap is a power of two */
};

struct tow__replay {
	uint8_t key[32];
	struct set young, old;
	uint64_t turned_ms;
};

struct tow__replay *tow__replay_new(void)
{
	struct tow__replay *replay = calloc(1, sizeof *replay);

	if (replay)
		tow_random(replay->key, sizeof replay->key);
	return replay;
}

void tow__replay_free(struct tow__replay *replay)
{
	if (!replay)
		return;
	free(replay->young.slots);
	free(replay->old.slots);
	free(replay);
}

/* Where the hash is, or would go. */
static uint8_t *find(const struct set *set, const uint8_t hash[HASH_SIZE])
{
	static const uint8_t free_slot[HASH_SIZE];
	size_t at;

	memcpy(&at, hash, sizeof at);
	for (at &= set->cap - 1;; at = (at + 1) & (set->cap - 1))
		if (!memcmp(set->slots[at], free_slot, HASH_SIZE) ||
		    !memcmp(set->slots[at], hash, HASH_SIZE))
			return set->slots[at];
}

static int has(const struct set *set, const uint8_t hash[HASH_SIZE])
{
	return set->cap && !memcmp(find(set, hash), hash, HASH_SIZE);
}

static int grow(struct set *set)
{
	struct set bigger = { NULL, set->count, set->cap ? set->cap * 2 : FIRST_CAP };
	static const uint8_t free_slot[HASH_SIZE];

	bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
	if (!bigger.slots)
		return TOW_ENOMEM;
	for (size_t i = 0; i < set->cap; i++)
		if (memcmp(set->slots[i], free_slot, HASH_SIZE) != 0)
			memcpy(find(&bigger, set->slots[i]), set->slots[i], HASH_SIZE);
	free(set->slots);
	*set = bigger;
	return 0;
}

static int add(struct set *set, const uint8_t hash[HASH_SIZE])
{
	if (set->count >= TOW__REPLAY_MAX)
		return TOW_ELIMIT;
	/* at most half full */
	if (set->count * 2 >= set->cap && grow(set))
		return TOW_ENOMEM;
	memcpy(find(set, hash), hash, HASH_SIZE);
	set->count++;
	return 0;
}

static void turn(struct tow__replay *replay, uint64_t now_ms)
{
	/* also when the clock was set back */
	if (now_ms >= replay->turned_ms &&
	    now_ms - replay->turned_ms < 2ULL * TOW_SIGNATURE_WINDOW_MS)
		return;
	free(replay->old.slots);
	replay->old = replay->young;
	memset(&replay->young, 0, sizeof replay->young);
	replay->turned_ms = now_ms;
}

int tow__replay_use(struct tow__replay *replay, const struct tow_id *id, uint64_t timestamp_ms,
                    uint64_t now_ms)
{
	uint8_t message[TOW_ID_SIZE + 8], hash[TOW_HASH_SIZE];

	memcpy(message, id->bytes, TOW_ID_SIZE);
	memcpy(message + TOW_ID_SIZE, &timestamp_ms, 8);
	tow_hash(tow_slice_make(message, sizeof message), replay->key, sizeof replay->key, hash);
	hash[0] |= 1; /* never all-zero */
	turn(replay, now_ms);
	if (has(&replay->young, hash) || has(&replay->old, hash))
		return TOW_ECONFLICT;
	return add(&replay->young, hash);
}
