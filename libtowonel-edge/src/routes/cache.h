/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_ROUTES_CACHE_H
#define TOW_EDGE_ROUTES_CACHE_H

/*
 * A copy of the route table on disk, so that an edge that starts while its hub cannot be reached
 * serves what it served before. It is written a moment after a change (many changes, one write),
 * aside and renamed into place, on a thread of the pool: the disk may be slow.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/wire/route_table.h>

struct routes_cache;

struct routes_cache_config {
	struct tow_loop *loop;
	struct tow_log *log;
	const struct tow_route_table *table; /* borrowed */
	const char *path;                    /* copied */
	uint64_t delay_ns;
	void (*settled)(void *user); /* nothing is left to write, after _flush gave TOW_BLOCKED */
	void *user;
};

int tow__routes_cache_new(const struct routes_cache_config *config, struct routes_cache **out);
/* Nothing may be under way: call _flush first. Takes NULL. */
void tow__routes_cache_free(struct routes_cache *cache);

/* Reads what is on disk into a new table. Failures are logged, and leave the table as it is. */
void tow__routes_cache_load(const struct routes_cache *cache, struct tow_route_table *table);
void tow__routes_cache_changed(struct routes_cache *cache);
/* Writes what has not been written. Returns 0 when all is; TOW_BLOCKED: `settled` follows. Takes
 * NULL. */
int tow__routes_cache_flush(struct routes_cache *cache);

#endif
