/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_SOURCE_LIMIT_H
#define TOW_EDGE_SOURCE_LIMIT_H

/*
 * How many connections each source address has open. A source is an IPv4 address, or the /64 of an
 * IPv6 one: a single host has all of it to choose from. There is an entry only while a connection
 * is open. Whoever connects chooses the address, so the table's hash is keyed: nobody can pick
 * colliding ones.
 */

#include <sodium.h>
#include <towonel/wire/addr.h>

struct source;

struct source_limit {
	size_t max; /* 0: none, and nothing is counted */
	struct source *sources;
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
};

void tow__source_limit_init(struct source_limit *limit, size_t max);
/* Would one more be too many? */
int tow__source_limit_reached(const struct source_limit *limit, const struct tow_addr *addr);
/* Counts one more. Returns 0, TOW_ELIMIT, TOW_ENOMEM. */
int tow__source_limit_enter(struct source_limit *limit, const struct tow_addr *addr);
/* One that entered has left. */
void tow__source_limit_leave(struct source_limit *limit, const struct tow_addr *addr);
void tow__source_limit_deinit(struct source_limit *limit);

#endif
