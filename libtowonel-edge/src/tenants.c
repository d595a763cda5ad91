/* SPDX-License-Identifier: MIT */

#include "tenants.h"

#include <stdlib.h>

static uint64_t share(const struct tenants *tenants, uint64_t whole)
{
	return tenants->share > 1 ? (whole + tenants->share - 1) / tenants->share : whole;
}

static void set_paces(const struct tenants *tenants, struct tenant_use *use,
                      const struct tow_route_tenant *tenant)
{
	tow_pace_set(&use->in,
	             tenant != NULL ? share(tenants, tenant->limits.bytes_in_per_sec) : 0);
	tow_pace_set(&use->out,
	             tenant != NULL ? share(tenants, tenant->limits.bytes_out_per_sec) : 0);
}

int tow__tenants_enter(struct tenants *tenants, const struct tow_route_table *table,
                       const struct tow_id *id, struct tenant_use **out)
{
	const struct tow_route_tenant *tenant = tow_route_lookup_tenant(table, id);
	uint64_t most = tenant != NULL ? share(tenants, tenant->limits.connections) : 0;
	struct tenant_use *use;

	HASH_FIND(hh, tenants->uses, id, sizeof(*id), use);
	if (use != NULL && most != 0 && use->connections >= most)
		return TOW_ELIMIT;
	if (use == NULL) {
		use = calloc(1, sizeof(*use));
		if (use == NULL)
			return TOW_ENOMEM;
		use->id = *id;
		HASH_ADD(hh, tenants->uses, id, sizeof(use->id), use);
		if (use->hh.tbl == NULL) {
			free(use);
			return TOW_ENOMEM;
		}
		set_paces(tenants, use, tenant);
	}
	use->connections++;
	*out = use;
	return 0;
}

void tow__tenants_leave(struct tenants *tenants, struct tenant_use *use)
{
	if (use == NULL || --use->connections > 0)
		return;
	HASH_DEL(tenants->uses, use);
	free(use);
}

void tow__tenants_refresh(struct tenants *tenants, const struct tow_route_table *table)
{
	for (struct tenant_use *use = tenants->uses; use != NULL; use = use->hh.next)
		set_paces(tenants, use, tow_route_lookup_tenant(table, &use->id));
}
