/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TENANTS_H
#define TOW_EDGE_TENANTS_H

/*
 * What each tenant uses of this edge just now, within what the operator allows: connections, which
 * are visitors and UDP sessions, and bytes a second each way. There is an entry only while a
 * connection is open; all of a tenant's connections share its paces. Of several workers each has
 * its share, rounded up.
 */

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
	struct tenant_use *uses; /* all-zero is valid */
	unsigned share;          /* of so many workers, who each have as much; 0: one */
};

/* One connection more of a tenant that the table may know. Returns 0, TOW_ELIMIT, TOW_ENOMEM. */
int tow__tenants_enter(struct tenants *tenants, const struct tow_route_table *table,
                       const struct tow_id *id, struct tenant_use **out);
void tow__tenants_leave(struct tenants *tenants, struct tenant_use *use);
/* The table has changed: those who are here have other paces perhaps. */
void tow__tenants_refresh(struct tenants *tenants, const struct tow_route_table *table);

#endif
