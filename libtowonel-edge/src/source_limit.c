/* SPDX-License-Identifier: MIT */

#include "source_limit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <towonel/wire/identity.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct source_key {
	uint8_t family;
	uint8_t prefix[8];
};

struct source {
	struct source_key key;
	size_t count;
	UT_hash_handle hh;
};

static struct source_key key_of(const struct tow_addr *addr)
{
	struct source_key key = { .family = addr->family };

	memcpy(key.prefix, addr->bytes, addr->family == 4 ? 4 : sizeof(key.prefix));
	return key;
}

static unsigned hash_of(const struct source_limit *limit, const struct source_key *key)
{
	uint8_t out[crypto_shorthash_BYTES];
	unsigned value;

	crypto_shorthash(out, (const uint8_t *)key, sizeof(*key), limit->hash_key);
	memcpy(&value, out, sizeof(value));
	return value;
}

void tow__source_limit_init(struct source_limit *limit, size_t max)
{
	*limit = (struct source_limit){ .max = max };
	tow_random(limit->hash_key, sizeof(limit->hash_key));
}

static struct source *find(const struct source_limit *limit, const struct source_key *key,
                           unsigned hash)
{
	struct source *source;

	HASH_FIND_BYHASHVALUE(hh, limit->sources, key, sizeof(*key), hash, source);
	return source;
}

int tow__source_limit_reached(const struct source_limit *limit, const struct tow_addr *addr)
{
	struct source_key key = key_of(addr);
	const struct source *source;

	if (limit->max == 0)
		return 0;
	source = find(limit, &key, hash_of(limit, &key));
	return source != NULL && source->count >= limit->max;
}

int tow__source_limit_enter(struct source_limit *limit, const struct tow_addr *addr)
{
	struct source_key key = key_of(addr);
	struct source *source;
	unsigned hash;

	if (limit->max == 0)
		return 0;
	hash = hash_of(limit, &key);
	source = find(limit, &key, hash);
	if (source != NULL) {
		if (source->count >= limit->max)
			return TOW_ELIMIT;
		source->count++;
		return 0;
	}
	source = calloc(1, sizeof(*source));
	if (source == NULL)
		return TOW_ENOMEM;
	source->key = key;
	source->count = 1;
	HASH_ADD_BYHASHVALUE(hh, limit->sources, key, sizeof(source->key), hash, source);
	if (source->hh.tbl == NULL) {
		free(source);
		return TOW_ENOMEM;
	}
	return 0;
}

void tow__source_limit_leave(struct source_limit *limit, const struct tow_addr *addr)
{
	struct source_key key = key_of(addr);
	struct source *source;

	if (limit->max == 0)
		return;
	source = find(limit, &key, hash_of(limit, &key));
	assert(source != NULL && source->count > 0);
	if (--source->count > 0)
		return;
	HASH_DEL(limit->sources, source);
	free(source);
}

void tow__source_limit_deinit(struct source_limit *limit)
{
	struct source *source, *next;

	HASH_ITER(hh, limit->sources, source, next)
	{
		HASH_DEL(limit->sources, source);
		free(source);
	}
}
