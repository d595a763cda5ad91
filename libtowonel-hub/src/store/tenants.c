/* SPDX-License-Identifier: MIT */
#include "store/ports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t tow__store_count_of(struct tow__store *store, const char *sql, const struct tow_id *tenant)
{
	struct tow__db_rows rows;
	uint64_t n = 0;

	for (rows = tow__db_query(store->db, sql, TOW__ARGS(tow__db_id(tenant)));
	     tow__db_next(&rows);)
		n = tow__db_get_int(&rows, 0);
	return n;
}

int tow__store_drop_tenant(struct tow__store *store, const struct tow_id *tenant, uint64_t now_ms)
{
	/* what it has goes with it, here as on every edge */
	if (!tow__db_run(store->db, "DELETE FROM tenants WHERE id = $1",
	                 TOW__ARGS(tow__db_id(tenant))))
		return 0;
	tow__db_run(store->db, "UPDATE invites SET revoked_ms = $1 WHERE tenant_id = $2",
	            TOW__ARGS(tow__db_int(now_ms), tow__db_id(tenant)));
	tow__store_changed_tenant(store, tenant);
	return 1;
}

int tow__store_tenant_remove(struct tow__store *store, const struct tow_id *id, uint64_t now_ms,
                             struct tow__fault *fault)
{
	do {
		tow__store_begin(store, TOW__DB_WRITE);
		if (!tow__store_drop_tenant(store, id, now_ms))
			tow__fault_set(fault, TOW__NOT_FOUND, "there is no such tenant");
		tow__store_audit(store, NULL, "tenant.remove", id, "");
	} while (tow__store_finish(store, fault) && tow__store_again(store, fault));
	return fault->kind;
}

static int find_limits(struct tow__store *store, const struct tow_id *id,
                       struct tow_tenant_limits *out)
{
	struct tow__db_rows rows = tow__db_query(
		store->db,
		"SELECT connections_max, bytes_in_per_sec, bytes_out_per_sec FROM tenants "
		"WHERE id = $1",
		TOW__ARGS(tow__db_id(id)));
	int found = tow__db_next(&rows);

	if (found)
		tow__store_read_limits(&rows, 0, out);
	tow__db_end(&rows);
	return found;
}

static void limit(struct tow__store *store, const struct tow_id *id, unsigned which,
                  struct tow_tenant_limits *limits, struct tow__fault *fault)
{
	struct tow_tenant_limits now;
	char subject[120];

	if (!find_limits(store, id, &now)) {
		tow__fault_set(fault, TOW__NOT_FOUND, "there is no such tenant");
		return;
	}
	if (which & TOW__LIMIT_CONNECTIONS)
		now.connections = limits->connections;
	if (which & TOW__LIMIT_IN)
		now.bytes_in_per_sec = limits->bytes_in_per_sec;
	if (which & TOW__LIMIT_OUT)
		now.bytes_out_per_sec = limits->bytes_out_per_sec;
	*limits = now;
	tow__db_run(store->db,
	            "UPDATE tenants SET connections_max = $1, bytes_in_per_sec = $2, "
	            "bytes_out_per_sec = $3 WHERE id = $4",
	            TOW__ARGS(tow__db_int(now.connections), tow__db_int(now.bytes_in_per_sec),
	                      tow__db_int(now.bytes_out_per_sec), tow__db_id(id)));
	tow__store_changed_tenant(store, id);
	snprintf(subject, sizeof subject, "connections %u, bytes in %llu/s, out %llu/s",
	         now.connections, (unsigned long long)now.bytes_in_per_sec,
	         (unsigned long long)now.bytes_out_per_sec);
	tow__store_audit(store, NULL, "tenant.limit", id, subject);
}

int tow__store_tenant_limit(struct tow__store *store, const struct tow_id *id, unsigned which,
                            struct tow_tenant_limits *limits, struct tow__fault *fault)
{
	const struct tow_tenant_limits asked = *limits;

	do {
		*limits = asked;
		tow__store_begin(store, TOW__DB_WRITE);
		limit(store, id, which, limits, fault);
	} while (tow__store_finish(store, fault) && tow__store_again(store, fault));
	return fault->kind;
}

static int find_key(struct tow__store *store, const struct tow_id *id,
                    uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE])
{
	struct tow__db_rows rows =
		tow__db_query(store->db, "SELECT public_key FROM tenants WHERE id = $1",
	                      TOW__ARGS(tow__db_id(id)));
	int found = tow__db_next(&rows);

	if (found)
		tow__db_get_exactly(&rows, 0, public_key, TOW_MLDSA_PUBLIC_SIZE);
	tow__db_end(&rows);
	return found;
}

int tow__store_tenant_key(struct tow__store *store, const struct tow_id *id,
                          uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE], struct tow__fault *fault)
{
	tow__store_begin(store, TOW__DB_READ);
	if (!find_key(store, id, public_key))
		tow__fault_set(fault, TOW__TENANT_NOT_ALLOWED,
		               "the hub does not know this tenant, or it was removed");
	return tow__store_finish(store, fault);
}

static void deinit(struct tow__tenant *tenant)
{
	tow__names_deinit(&tenant->patterns);
	tow__names_deinit(&tenant->hostnames);
	for (size_t i = 0; i < tenant->agent_count; i++)
		free(tenant->agents[i].report);
	free(tenant->agents);
	free(tenant->access);
	free(tenant->ports);
}

/* Room for one more in an array that grows by doubling. */
static void *grow(struct tow__db *db, void *items, size_t count, size_t size)
{
	void *more;

	if (count & (count - 1))
		return items;
	more = reallocarray(items, count ? count * 2 : 1, size);
	if (!more)
		tow__db_fail(db, TOW_ENOMEM, "out of memory");
	return more;
}

/* A copy; NULL: out of memory. */
static char *text_of(const struct tow__db_rows *rows, int column)
{
	struct tow_slice bytes = tow__db_get_bytes(rows, column);

	return strndup(bytes.len ? (const char *)bytes.base : "", bytes.len);
}

static void read_agents(struct tow__store *store, struct tow__tenant *tenant, uint64_t now_ms)
{
	struct tow__db *db = store->db;
	struct tow__db_rows rows;

	for (rows = tow__db_query(db,
	                          "SELECT id, generation, services_hash, expires_ms, report "
	                          "FROM agents "
	                          "WHERE tenant_id = $1 AND expires_ms > $2 AND revoked = 0 "
	                          "ORDER BY generation, id",
	                          TOW__ARGS(tow__db_id(&tenant->id), tow__db_int(now_ms)));
	     tow__db_next(&rows);) {
		struct tow__agent *agents =
			grow(db, tenant->agents, tenant->agent_count, sizeof *agents);
		if (!agents)
			continue; /* and the next _next ends it */
		tenant->agents = agents;
		agents += tenant->agent_count++;
		tow__db_get_exactly(&rows, 0, agents->id.bytes, sizeof agents->id.bytes);
		agents->generation = tow__db_get_int(&rows, 1);
		tow__db_get_exactly(&rows, 2, agents->services_hash, sizeof agents->services_hash);
		agents->expires_ms = tow__db_get_int(&rows, 3);
		agents->report = text_of(&rows, 4);
		if (!agents->report)
			tow__db_fail(db, TOW_ENOMEM, "out of memory");
	}
}

static void read_ports(struct tow__store *store, struct tow__tenant *tenant)
{
	struct tow__db *db = store->db;
	struct tow__db_rows rows;

	for (rows = tow__db_query(db,
	                          "SELECT " TOW__PORT_COLUMNS " FROM ports WHERE tenant_id = $1 "
	                          "ORDER BY protocol, port",
	                          TOW__ARGS(tow__db_id(&tenant->id)));
	     tow__db_next(&rows);) {
		struct tow__port *ports =
			grow(db, tenant->ports, tenant->port_count, sizeof *ports);
		if (!ports)
			continue;
		tenant->ports = ports;
		ports += tenant->port_count++;
		tow__port_read(&rows, ports);
	}
}

static void read_hostnames(struct tow__store *store, struct tow__tenant *tenant)
{
	struct tow__db *db = store->db;
	struct tow__db_rows rows;

	for (rows = tow__db_query(
		     db,
		     "SELECT pattern, access FROM hostnames WHERE tenant_id = $1 ORDER BY pattern",
		     TOW__ARGS(tow__db_id(&tenant->id)));
	     tow__db_next(&rows);) {
		struct tow__hostname_access *list;
		if (tow__names_add(&tenant->hostnames, tow__db_get_bytes(&rows, 0)))
			tow__db_fail(db, TOW_ENOMEM, "out of memory");
		if (!tow__db_get_bytes(&rows, 1).len)
			continue;
		list = grow(db, tenant->access, tenant->access_count, sizeof *list);
		if (!list)
			continue;
		tenant->access = list;
		list += tenant->access_count++;
		tow__db_get_text(&rows, 0, list->pattern, sizeof list->pattern);
		tow__access_get(&rows, 1, &list->access);
	}
}

int tow__store_tenant_list(struct tow__store *store, const struct tow__page *page, uint64_t now_ms,
                           int (*visit)(void *user, const struct tow__tenant *tenant), void *user,
                           uint64_t *total, struct tow__fault *fault)
{
	struct tow__db *db = store->db;
	struct tow__db_rows rows;

	tow__store_begin(store, TOW__DB_READ);
	for (rows = tow__db_query(db, "SELECT count(*) FROM tenants", TOW__NO_ARGS);
	     tow__db_next(&rows);)
		*total = tow__db_get_int(&rows, 0);
	for (rows = tow__db_query(db,
	                          "SELECT t.id, i.name, t.created_ms, t.connections_max, "
	                          "t.bytes_in_per_sec, t.bytes_out_per_sec FROM tenants t "
	                          "JOIN invites i ON i.tenant_id = t.id "
	                          "ORDER BY t.created_ms, t.id LIMIT $1 OFFSET $2",
	                          TOW__ARGS(tow__db_int(page->limit), tow__db_int(page->offset)));
	     tow__db_next(&rows);) {
		struct tow__tenant tenant = { .agents = NULL };
		tow__db_get_exactly(&rows, 0, tenant.id.bytes, sizeof tenant.id.bytes);
		tow__db_get_text(&rows, 1, tenant.name, sizeof tenant.name);
		tenant.created_ms = tow__db_get_int(&rows, 2);
		tow__store_read_limits(&rows, 3, &tenant.limits);
		tow__store_read_patterns(store, &tenant.id, &tenant.patterns);
		read_hostnames(store, &tenant);
		read_agents(store, &tenant, now_ms);
		read_ports(store, &tenant);
		if (!tow__db_failed(db) && visit(user, &tenant))
			tow__db_fail(db, TOW_ENOMEM, "out of memory");
		deinit(&tenant);
	}
	return tow__store_finish(store, fault);
}
