/* SPDX-License-Identifier: MIT */
#ifndef TOW_QUIC_CID_MAP_H
#define TOW_QUIC_CID_MAP_H

/*
 * From a connection id to whom it belongs. Some ids are a stranger's choice (the one in a client's
 * first Initial), so they are hashed with a secret key: nobody can aim for one bucket.
 */

#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#define TOW__CID_MAX 20

struct tow__cid_entry {
	UT_hash_handle hh;
	void *owner;
	struct tow__cid_entry *sibling; /* the owner's list */
	uint8_t len;
	uint8_t bytes[TOW__CID_MAX];
};

struct tow__cid_map {
	struct tow__cid_entry *table;
	uint8_t key[16];
};

void tow__cid_map_init(struct tow__cid_map *map);
uint32_t tow__cid_map_hash(const struct tow__cid_map *map, const uint8_t *cid, size_t len);
void *tow__cid_map_find(const struct tow__cid_map *map, const uint8_t *cid,
                        size_t len); /* the owner; NULL */
/* Puts the entry into the owner's list, too. Returns 0; TOW_ENOMEM; TOW_ECONFLICT when the id is
 * taken; TOW_ETOOBIG. */
int tow__cid_map_add(struct tow__cid_map *map, const uint8_t *cid, size_t len, void *owner,
                     struct tow__cid_entry **list);
void tow__cid_map_remove(struct tow__cid_map *map, const uint8_t *cid, size_t len,
                         struct tow__cid_entry **list); /* nothing when it is not in the list */
void tow__cid_map_remove_all(struct tow__cid_map *map, struct tow__cid_entry **list);

#endif
