/* SPDX-License-Identifier: MIT */
#include "store/entry_ops.h"

#include <stdio.h>
#include <string.h>

#include "store/ports.h"

/* --- hostnames --- */

static int covered(struct tow__taking *s, const struct tow_entry *e)
{
	char zone[TOW_HOSTNAME_SIZE];
	struct tow__db_rows rows;
	int found;

	tow__store_zone(e->name, zone);
	rows = tow__db_query(
		s->store->db, "SELECT 1 FROM patterns WHERE pattern IN ($1, $2) AND tenant_id = $3",
		TOW__ARGS(tow__db_text(e->name), tow__db_text(zone), tow__db_id(&e->tenant_id)));
	found = tow__db_next(&rows);
	tow__db_end(&rows);
	return found;
}

/* 1: the hostname is in use; by whom and how. */
static int hostname_now(struct tow__taking *s, const char *name, struct tow_route_hostname *now,
                        struct tow_access *access)
{
	struct tow__db_rows rows = tow__db_query(
		s->store->db,
		"SELECT tenant_id, tls_mode, http_mode, access FROM hostnames WHERE pattern = $1",
		TOW__ARGS(tow__db_text(name)));
	int found = tow__db_next(&rows);

	if (found) {
		tow__db_get_exactly(&rows, 0, now->tenant_id.bytes, sizeof now->tenant_id.bytes);
		tow__store_read_modes(&rows, 1, now, access);
	}
	tow__db_end(&rows);
	return found;
}

static void check_hostname(struct tow__taking *s, const struct tow_entry *e)
{
	struct tow_route_hostname now;
	struct tow_access access;
	int used;

	if (!covered(s, e)) {
		tow__fault_set(s->fault, TOW__HOSTNAME_NOT_OWNED,
		               "\"%s\" is outside the hostnames that the invite allows", e->name);
		return;
	}
	used = hostname_now(s, e->name, &now, &access);
	if (used && !tow_id_equal(&now.tenant_id, &e->tenant_id))
		tow__fault_set(s->fault, TOW__HOSTNAME_CONFLICT,
		               "\"%s\" is in use by another tenant", e->name);
	else if (!used && e->op == TOW_ENTRY_SET_HOSTNAME_TLS)
		tow__fault_set(s->fault, TOW__NOT_FOUND,
		               "\"%s\" is not in use: upsert_hostname comes first", e->name);
	else if (!used && e->op == TOW_ENTRY_UPSERT_HOSTNAME &&
	         tow__store_count_of(s->store, "SELECT hostname_count FROM tenants WHERE id = $1",
	                             &e->tenant_id) >= TOW__HOSTNAMES_PER_TENANT)
		tow__fault_set(s->fault, TOW__TENANT_NOT_ALLOWED,
		               "a tenant has at most %d hostnames", TOW__HOSTNAMES_PER_TENANT);
}

static void apply_hostname(struct tow__taking *s, const struct tow_entry *e)
{
	struct tow_route_hostname now;
	struct tow_access before;
	char zone[TOW_HOSTNAME_SIZE], text[TOW__ACCESS_TEXT_SIZE];
	int used = hostname_now(s, e->name, &now, &before);
	const struct tow_access *access =
		e->op == TOW_ENTRY_SET_HOSTNAME_TLS ? &before : &e->access;

	if (used && now.tls_mode == e->tls_mode && now.http_mode == e->http_mode &&
	    !tow_access_compare(access, &before))
		return;
	tow__store_zone(e->name, zone);
	tow__db_run(s->store->db,
	            "INSERT INTO hostnames "
	            "(pattern, zone, tenant_id, tls_mode, http_mode, access, changed_ms) "
	            "VALUES ($1, $2, $3, $4, $5, $6, $7) "
	            "ON CONFLICT (pattern) DO UPDATE SET tls_mode = excluded.tls_mode, "
	            "http_mode = excluded.http_mode, access = excluded.access, "
	            "changed_ms = excluded.changed_ms",
	            TOW__ARGS(tow__db_text(e->name), tow__db_text(zone), tow__db_id(&e->tenant_id),
	                      tow__db_int(e->tls_mode), tow__db_int(e->http_mode),
	                      tow__db_text(tow__access_text(access, text)),
	                      tow__db_int(s->now_ms)));
	if (!used)
		tow__db_run(s->store->db,
		            "UPDATE tenants SET hostname_count = hostname_count + 1 WHERE id = $1",
		            TOW__ARGS(tow__db_id(&e->tenant_id)));
	tow__store_changed_hostname(s->store, e->name);
}

static void apply_delete_hostname(struct tow__taking *s, const struct tow_entry *e)
{
	if (!tow__db_run(s->store->db, "DELETE FROM hostnames WHERE pattern = $1",
	                 TOW__ARGS(tow__db_text(e->name))))
		return;
	tow__db_run(s->store->db,
	            "UPDATE tenants SET hostname_count = hostname_count - 1 WHERE id = $1",
	            TOW__ARGS(tow__db_id(&e->tenant_id)));
	tow__store_changed_hostname(s->store, e->name);
}

/* --- agents --- */

enum agent_state { AGENT_UNKNOWN, AGENT_LIVE, AGENT_REVOKED };

static enum agent_state agent_now(struct tow__taking *s, const struct tow_entry *e)
{
	struct tow__db_rows rows = tow__db_query(
		s->store->db, "SELECT revoked FROM agents WHERE tenant_id = $1 AND id = $2",
		TOW__ARGS(tow__db_id(&e->tenant_id), tow__db_id(&e->agent_id)));
	enum agent_state state = AGENT_UNKNOWN;

	if (tow__db_next(&rows))
		state = tow__db_get_int(&rows, 0) ? AGENT_REVOKED : AGENT_LIVE;
	tow__db_end(&rows);
	return state;
}

static void check_agent(struct tow__taking *s, const struct tow_entry *e)
{
	enum agent_state state = agent_now(s, e);

	if (e->op == TOW_ENTRY_UPSERT_AGENT && e->expires_at_ms <= s->now_ms)
		tow__fault_set(
			s->fault, TOW__INVALID_REQUEST,
			"the agent's entry has expired already: is this machine's clock right?");
	else if (e->op == TOW_ENTRY_UPSERT_AGENT && state == AGENT_REVOKED)
		tow__fault_set(s->fault, TOW__AGENT_REVOKED,
		               "the agent was revoked, which is final");
	else if (state == AGENT_UNKNOWN &&
	         tow__store_count_of(s->store, "SELECT count(*) FROM agents WHERE tenant_id = $1",
	                             &e->tenant_id) >= TOW__AGENTS_PER_TENANT)
		tow__fault_set(s->fault, TOW__TENANT_NOT_ALLOWED, "a tenant has at most %d agents",
		               TOW__AGENTS_PER_TENANT);
}

static void apply_upsert_agent(struct tow__taking *s, const struct tow_entry *e)
{
	/* edges hear of it from the agent itself, so the routes have not changed */
	tow__db_run(s->store->db,
	            "INSERT INTO agents (tenant_id, id, generation, services_hash, expires_ms, "
	            "announced_ms, revoked) "
	            "VALUES ($1, $2, $3, $4, $5, $6, 0) "
	            "ON CONFLICT (tenant_id, id) DO UPDATE SET generation = excluded.generation, "
	            "services_hash = excluded.services_hash, expires_ms = excluded.expires_ms, "
	            "announced_ms = excluded.announced_ms",
	            TOW__ARGS(tow__db_id(&e->tenant_id), tow__db_id(&e->agent_id),
	                      tow__db_int(e->generation),
	                      tow__db_blob(e->services_hash, sizeof e->services_hash),
	                      tow__db_int(e->expires_at_ms), tow__db_int(s->now_ms)));
}

static void apply_revoke_agent(struct tow__taking *s, const struct tow_entry *e)
{
	static const uint8_t no_hash[TOW_HASH_SIZE];

	if (agent_now(s, e) == AGENT_REVOKED)
		return;
	/* an edge may have it from the agent while the hub has not: revoked all the same */
	tow__db_run(s->store->db,
	            "INSERT INTO agents (tenant_id, id, generation, services_hash, expires_ms, "
	            "announced_ms, revoked) "
	            "VALUES ($1, $2, 0, $3, $4, $5, 1) ON CONFLICT (tenant_id, id) DO UPDATE SET "
	            "revoked = 1",
	            TOW__ARGS(tow__db_id(&e->tenant_id), tow__db_id(&e->agent_id),
	                      tow__db_blob(no_hash, sizeof no_hash),
	                      tow__db_int(s->now_ms + TOW__REVOCATION_KEPT_MS),
	                      tow__db_int(s->now_ms)));
	tow__store_changed_agent(s->store, &e->tenant_id, &e->agent_id);
}

/* --- leaving --- */

static void apply_leave(struct tow__taking *s, const struct tow_entry *e)
{
	tow__store_drop_tenant(s->store, &e->tenant_id, s->now_ms);
}

void tow__entry_subject(const struct tow_entry *e, char *out, size_t cap)
{
	char id[TOW_ID_TEXT_SIZE];

	switch (e->op) {
	case TOW_ENTRY_UPSERT_AGENT:
	case TOW_ENTRY_REVOKE_AGENT:
		snprintf(out, cap, "%s", tow_id_format(&e->agent_id, id));
		break;
	case TOW_ENTRY_UPSERT_HOSTNAME:
	case TOW_ENTRY_SET_HOSTNAME_TLS:
		snprintf(out, cap, "%s %s", e->name,
		         e->tls_mode == TOW_TLS_TERMINATE ? "terminate" : "passthrough");
		break;
	case TOW_ENTRY_UPSERT_TCP_SERVICE:
	case TOW_ENTRY_UPSERT_UDP_SERVICE:
		if (e->port_count > 1)
			snprintf(out, cap, "%s %u-%u", e->name, e->listen_port,
			         e->listen_port + e->port_count - 1u);
		else
			snprintf(out, cap, "%s %u", e->name, e->listen_port);
		break;
	default: snprintf(out, cap, "%s", e->name); break;
	}
}

const struct tow__entry_op tow__entry_ops[] = {
	[TOW_ENTRY_UPSERT_HOSTNAME] = { check_hostname, apply_hostname },
	[TOW_ENTRY_DELETE_HOSTNAME] = { check_hostname, apply_delete_hostname },
	[TOW_ENTRY_SET_HOSTNAME_TLS] = { check_hostname, apply_hostname },
	[TOW_ENTRY_UPSERT_AGENT] = { check_agent, apply_upsert_agent },
	[TOW_ENTRY_REVOKE_AGENT] = { check_agent, apply_revoke_agent },
	[TOW_ENTRY_UPSERT_TCP_SERVICE] = { tow__port_claim_check, tow__port_claim_apply },
	[TOW_ENTRY_DELETE_TCP_SERVICE] = { NULL, tow__port_claim_drop },
	[TOW_ENTRY_UPSERT_UDP_SERVICE] = { tow__port_claim_check, tow__port_claim_apply },
	[TOW_ENTRY_DELETE_UDP_SERVICE] = { NULL, tow__port_claim_drop },
	[TOW_ENTRY_LEAVE] = { NULL, apply_leave },
};
