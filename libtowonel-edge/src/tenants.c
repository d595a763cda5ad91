/* SPDX-License-Identifier: MIT */

#include "tenants.h"

#include <stdlib.h>

void tow__tenants_init(struct tenants *tenants)
{
	*tenants = (struct tenants){ .uses = NULL };
	pthread_mutex_init(&tenants->lock, NULL);
}

static void set_paces(struct tenant_use *use, const struct tow_route_tenant *tenant)
{
	tow_pace_set(&use->in, tenant != NULL ? tenant->limits.bytes_in_per_sec : 0);
	tow_pace_set(&use->out, tenant != NULL ? tenant->limits.bytes_out_per_sec : 0);
}

static struct tenant_use *make_use(struct tenants *tenants, const struct tow_id *id)
{
	struct tenant_use *use = calloc(1, sizeof(*use));

	if (use == NULL)
		return NULL;
	use->id = *id;
	HASH_ADD(hh, tenants->uses, id, sizeof(use->id), use);
	if (use->hh.tbl == NULL) {
		free(use);
		return NULL;
	}
	return use;
}

static int enter(struct tenants *tenants, const struct tow_route_tenant *tenant,
                 const struct tow_id *id, struct tenant_use **out)
{
	struct tenant_use *use;

	HASH_FIND(hh, tenants->uses, id, sizeof(*id), use);
	if (use != NULL && tenant != NULL && tenant->limits.connections != 0 &&
	    use->connections >= tenant->limits.connections)
		return TOW_ELIMIT;
	if (use == NULL) {
		use = make_use(tenants, id);
		if (use == NULL)
			return TOW_ENOMEM;
		set_paces(use, tenant);
	}
	use->connections++;
	*out = use;
	return 0;
}

int tow__tenants_enter(struct tenants *tenants, const struct tow_route_table *table,
                       const struct tow_id *id, struct tenant_use **out)
{
	int rc;

	pthread_mutex_lock(&tenants->lock);
	rc = enter(tenants, tow_route_lookup_tenant(table, id), id, out);
	pthread_mutex_unlock(&tenants->lock);
	return rc;
}

static void drop_if_unused(struct tenants *tenants, struct tenant_use *use)
{
	if (use->connections > 0 || tow_pace_is_set(&use->in) || tow_pace_is_set(&use->out))
		return;
	HASH_DEL(tenants->uses, use);
	free(use);
}

void tow__tenants_leave(struct tenants *tenants, struct tenant_use *use)
{
	if (use == NULL)
		return;
	pthread_mutex_lock(&tenants->lock);
	use->connections--;
	drop_if_unused(tenants, use);
	pthread_mutex_unlock(&tenants->lock);
}

void tow__tenants_refresh(struct tenants *tenants, const struct tow_route_table *table)
{
	struct tenant_use *use, *next;

	pthread_mutex_lock(&tenants->lock);
	HASH_ITER(hh, tenants->uses, use, next)
	{
		set_paces(use, tow_route_lookup_tenant(table, &use->id));
		drop_if_unused(tenants, use);
	}
	pthread_mutex_unlock(&tenants->lock);
}

void tow__tenants_deinit(struct tenants *tenants)
{
	struct tenant_use *use, *next;

	HASH_ITER(hh, tenants->uses, use, next)
	{
		HASH_DEL(tenants->uses, use);
		free(use);
	}
	pthread_mutex_destroy(&tenants->lock);
}
