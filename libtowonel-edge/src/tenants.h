/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TENANTS_H
#define TOW_EDGE_TENANTS_H

/*
 * What each tenant uses of this edge just now, on all workers, within what the operator allows:
 * connections, which are visitors and UDP sessions, and bytes a second each way. All of a tenant's
 * connections share its paces, which need no lock. There is an entry while a connection is open,
 * and as long as bytes are limited: what was used up is so for the next connection, too.
 */

#include <pthread.h>
#include <towonel/tunnel/pace.h>
#include <towonel/wire/route_table.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct tenant_use {
	struct tow_id id;
	size_t connections;
	struct tow_pace in, out; /* from visitors, and to them */
	UT_hash_handle hh;
};

struct tenants {
	pthread_mutex_t lock;
	struct tenant_use *uses;
};

void tow__tenants_init(struct tenants *tenants);
/* One connection more of a tenant that the table may know. The table is locked meanwhile, so that a
 * change of it comes before or after. Returns 0, TOW_ELIMIT, TOW_ENOMEM. */
int tow__tenants_enter(struct tenants *tenants, const struct tow_route_table *table,
                       const struct tow_id *id, struct tenant_use **out);
void tow__tenants_leave(struct tenants *tenants, struct tenant_use *use); /* NULL is fine */
/* The table has changed: those who are here have other paces perhaps. */
void tow__tenants_refresh(struct tenants *tenants, const struct tow_route_table *table);
void tow__tenants_deinit(struct tenants *tenants);

#endif
