/* SPDX-License-Identifier: MIT */

/*
 * The routes as edges follow them. A snapshot is what the tables say; a delta is what they say
 * about the things that the change log names since a version: what is there is an upsert, what is
 * not is a removal. So a delta costs what changed, however often it changed, and applying it gives
 * what a snapshot would have.
 */

#include "store/private.h"

#define SINCE " FROM changes c LEFT JOIN "

void tow__store_read_limits(const struct tow__db_rows *rows, int column,
                            struct tow_tenant_limits *out)
{
	uint64_t connections = tow__db_get_int(rows, column);

	out->connections = connections < UINT32_MAX ? (uint32_t)connections : UINT32_MAX;
	out->bytes_in_per_sec = tow__db_get_int(rows, column + 1);
	out->bytes_out_per_sec = tow__db_get_int(rows, column + 2);
}

static void tenants(struct tow__store *store, uint64_t from, struct tow_route_writer *w)
{
	struct tow__db_rows rows =
		from ? tow__db_query(store->db,
	                             "SELECT DISTINCT c.tenant_id, t.public_key, "
	                             "t.connections_max, t.bytes_in_per_sec, "
	                             "t.bytes_out_per_sec" SINCE
	                             "tenants t ON t.id = c.tenant_id WHERE c.version > $1 "
	                             "AND c.tenant_id IS NOT NULL AND c.agent_id IS NULL",
	                             TOW__ARGS(tow__db_int(from)))
		     : tow__db_query(store->db,
	                             "SELECT id, public_key, connections_max, "
	                             "bytes_in_per_sec, bytes_out_per_sec FROM tenants",
	                             TOW__NO_ARGS);
	struct tow_route_tenant tenant;

	while (tow__db_next(&rows)) {
		tow__db_get_exactly(&rows, 0, tenant.id.bytes, sizeof tenant.id.bytes);
		if (tow__db_is_null(&rows, 1)) {
			tow_route_write_tenant_removed(w, &tenant.id);
			continue;
		}
		tow__db_get_exactly(&rows, 1, tenant.public_key, sizeof tenant.public_key);
		tow__store_read_limits(&rows, 2, &tenant.limits);
		tow_route_write_tenant(w, &tenant);
	}
}

void tow__store_read_modes(struct tow__db_rows *rows, int column, struct tow_route_hostname *out,
                           struct tow_access *access)
{
	uint64_t http = tow__db_get_int(rows, column + 1);

	out->tls_mode = tow__db_get_int(rows, column) ? TOW_TLS_TERMINATE : TOW_TLS_PASSTHROUGH;
	out->http_mode = http <= TOW_HTTP_CHALLENGE ? (enum tow_http_mode)http : TOW_HTTP_FORWARDED;
	tow__access_get(rows, column + 2, access);
	out->access = tow_access_is_open(access) ? NULL : access;
}

static void hostnames(struct tow__store *store, uint64_t from, struct tow_route_writer *w)
{
	struct tow__db_rows rows =
		from ? tow__db_query(store->db,
	                             "SELECT DISTINCT c.pattern, h.tenant_id, h.tls_mode, "
	                             "h.http_mode, h.access" SINCE
	                             "hostnames h ON h.pattern = c.pattern WHERE c.version > $1 "
	                             "AND c.pattern IS NOT NULL",
	                             TOW__ARGS(tow__db_int(from)))
		     : tow__db_query(store->db,
	                             "SELECT pattern, tenant_id, tls_mode, http_mode, access "
	                             "FROM hostnames",
	                             TOW__NO_ARGS);
	struct tow_route_hostname hostname;
	struct tow_access access;

	while (tow__db_next(&rows)) {
		tow__db_get_text(&rows, 0, hostname.pattern, sizeof hostname.pattern);
		if (tow__db_is_null(&rows, 1)) {
			tow_route_write_hostname_removed(w, hostname.pattern);
			continue;
		}
		tow__db_get_exactly(&rows, 1, hostname.tenant_id.bytes,
		                    sizeof hostname.tenant_id.bytes);
		tow__store_read_modes(&rows, 2, &hostname, &access);
		tow_route_write_hostname(w, &hostname);
	}
}

static void ports(struct tow__store *store, uint64_t from, struct tow_route_writer *w)
{
	struct tow__db_rows rows =
		from ? tow__db_query(
			       store->db,
			       "SELECT DISTINCT c.protocol, c.port, p.tenant_id, p.service, "
			       "p.idle_timeout_secs, p.access" SINCE
			       "ports p ON p.protocol = c.protocol AND p.port = c.port "
			       "AND p.service <> '' WHERE c.version > $1 AND c.port IS NOT NULL",
			       TOW__ARGS(tow__db_int(from)))
		     : tow__db_query(store->db,
	                             "SELECT protocol, port, tenant_id, service, "
	                             "idle_timeout_secs, access FROM ports WHERE service <> ''",
	                             TOW__NO_ARGS);
	struct tow_route_port port;
	struct tow_access access;

	while (tow__db_next(&rows)) {
		port.protocol = tow__db_get_int(&rows, 0) ? TOW_PROTOCOL_UDP : TOW_PROTOCOL_TCP;
		port.port = (uint16_t)tow__db_get_int(&rows, 1);
		if (tow__db_is_null(&rows, 2)) {
			tow_route_write_port_removed(w, port.protocol, port.port);
			continue;
		}
		tow__db_get_exactly(&rows, 2, port.tenant_id.bytes, sizeof port.tenant_id.bytes);
		tow__db_get_text(&rows, 3, port.service, sizeof port.service);
		port.idle_timeout_secs = (uint16_t)tow__db_get_int(&rows, 4);
		tow__access_get(&rows, 5, &access);
		port.access = tow_access_is_open(&access) ? NULL : &access;
		tow_route_write_port(w, &port);
	}
}

/* Revocations only ever come; edges forget them when they expire. */
static void revoked_agents(struct tow__store *store, uint64_t from, uint64_t now_ms,
                           struct tow_route_writer *w)
{
	struct tow__db_rows rows =
		from ? tow__db_query(
			       store->db,
			       "SELECT DISTINCT a.tenant_id, a.id, a.expires_ms FROM changes c "
			       "JOIN agents a ON a.tenant_id = c.tenant_id AND a.id = c.agent_id "
			       "WHERE c.version > $1 AND a.revoked = 1 AND a.expires_ms > $2",
			       TOW__ARGS(tow__db_int(from), tow__db_int(now_ms)))
		     : tow__db_query(store->db,
	                             "SELECT tenant_id, id, expires_ms FROM agents "
	                             "WHERE revoked = 1 AND expires_ms > $1",
	                             TOW__ARGS(tow__db_int(now_ms)));
	struct tow_id tenant, agent;

	while (tow__db_next(&rows)) {
		tow__db_get_exactly(&rows, 0, tenant.bytes, sizeof tenant.bytes);
		tow__db_get_exactly(&rows, 1, agent.bytes, sizeof agent.bytes);
		tow_route_write_revoked_agent(w, &tenant, &agent, tow__db_get_int(&rows, 2));
	}
}

int tow__store_routes_since(struct tow__store *store, uint64_t from, uint64_t now_ms,
                            enum tow_route_event_kind *kind, uint64_t *version,
                            struct tow_buf *json, struct tow__fault *fault)
{
	struct tow_route_writer *w = NULL;
	struct tow__db_rows rows;
	uint64_t newest = 0, pruned = 0;

	tow__store_begin(store, TOW__DB_READ);
	for (rows = tow__db_query(
		     store->db,
		     "SELECT v.value, p.value FROM meta v JOIN meta p ON p.key = 'pruned' "
		     "WHERE v.key = 'version'",
		     TOW__NO_ARGS);
	     tow__db_next(&rows);) {
		newest = tow__db_get_int(&rows, 0);
		pruned = tow__db_get_int(&rows, 1);
	}
	if (!tow__db_failed(store->db) && from != newest) {
		/* a version from the future: the database was restored from a backup */
		if (from < pruned || from > newest)
			from = 0;
		w = tow_route_writer_new(from, newest);
		if (w) {
			tenants(store, from, w);
			hostnames(store, from, w);
			ports(store, from, w);
			revoked_agents(store, from, now_ms, w);
		}
		if (!w || (!tow__db_failed(store->db) && tow_route_writer_finish(w, json)))
			tow__db_fail(store->db, TOW_ENOMEM, "out of memory");
		tow_route_writer_free(w);
	}
	if (tow__store_finish(store, fault))
		return fault->kind;
	*kind = from ? TOW_ROUTE_DELTA : TOW_ROUTE_SNAPSHOT;
	*version = newest;
	return 0;
}
