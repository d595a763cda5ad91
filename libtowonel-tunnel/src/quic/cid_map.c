/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

/* An insertion that finds no memory leaves the table as it was. */
#define HASH_NONFATAL_OOM          1
#define uthash_nonfatal_oom(entry) ((entry)->owner = NULL)

#include "quic/cid_map.h"

#include <string.h>

#include <sodium.h>

#include <towonel/wire/error.h>
#include <towonel/wire/identity.h>

void tow__cid_map_init(struct tow__cid_map *map)
{
	map->table = NULL;
	tow_random(map->key, sizeof(map->key));
}

uint32_t tow__cid_map_hash(const struct tow__cid_map *map, const uint8_t *cid, size_t len)
{
	uint8_t out[crypto_shorthash_BYTES];
	uint32_t hash;

	crypto_shorthash(out, cid, len, map->key); /* SipHash-2-4 */
	memcpy(&hash, out, sizeof(hash));
	return hash;
}

void *tow__cid_map_find(const struct tow__cid_map *map, const uint8_t *cid, size_t len)
{
	struct tow__cid_entry *entry = NULL;
	uint32_t hash = tow__cid_map_hash(map, cid, len);

	HASH_FIND_BYHASHVALUE(hh, map->table, cid, (unsigned)len, hash, entry);
	return entry ? entry->owner : NULL;
}

int tow__cid_map_add(struct tow__cid_map *map, const uint8_t *cid, size_t len, void *owner,
                     struct tow__cid_entry **list)
{
	struct tow__cid_entry *entry;
	uint32_t hash;

	if (len > TOW__CID_MAX)
		return TOW_ETOOBIG;
	if (tow__cid_map_find(map, cid, len))
		return TOW_ECONFLICT;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return TOW_ENOMEM;
	entry->owner = owner;
	entry->len = (uint8_t)len;
	memcpy(entry->bytes, cid, len);
	hash = tow__cid_map_hash(map, cid, len);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, map->table, entry->bytes, (unsigned)len, hash, entry);
	if (!entry->owner) {
		free(entry);
		return TOW_ENOMEM;
	}
	entry->sibling = *list;
	*list = entry;
	return 0;
}

static void delete (struct tow__cid_map *map, struct tow__cid_entry **link)
{
	struct tow__cid_entry *entry = *link;

	*link = entry->sibling;
	HASH_DEL(map->table, entry);
	free(entry);
}

void tow__cid_map_remove(struct tow__cid_map *map, const uint8_t *cid, size_t len,
                         struct tow__cid_entry **list)
{
	struct tow__cid_entry **link;

	for (link = list; *link; link = &(*link)->sibling) {
		if ((*link)->len == len && memcmp((*link)->bytes, cid, len) == 0) {
			delete (map, link);
			return;
		}
	}
}

void tow__cid_map_remove_all(struct tow__cid_map *map, struct tow__cid_entry **list)
{
	while (*list)
		delete (map, list);
}
