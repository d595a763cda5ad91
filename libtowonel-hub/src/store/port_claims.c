/* SPDX-License-Identifier: MIT */
#include "store/ports.h"

/* A range as rows of one column. The last is $2. */
#define CLAIMED                                                                                    \
	"WITH RECURSIVE claimed (port) AS (SELECT $1 UNION ALL SELECT port + 1 FROM claimed "      \
	"WHERE port < $2) "

/* Those of them that will be something else: protocol $3, service $4, timeout $5, access $6. */
#define CHANGING                                                                                   \
	"SELECT port FROM claimed WHERE NOT EXISTS (SELECT 1 FROM ports p WHERE p.protocol = $3 "  \
	"AND p.port = claimed.port AND p.service = $4 AND p.idle_timeout_secs = $5 "               \
	"AND p.access = $6)"

/* What a service has of ports outside of a range. */
#define LEFT "protocol = $1 AND tenant_id = $2 AND service = $3 AND (port < $4 OR port > $5)"

static enum tow_protocol protocol_of(enum tow_entry_op op)
{
	return op == TOW_ENTRY_UPSERT_UDP_SERVICE || op == TOW_ENTRY_DELETE_UDP_SERVICE
	               ? TOW_PROTOCOL_UDP
	               : TOW_PROTOCOL_TCP;
}

static uint16_t last_port(const struct tow_entry *e)
{
	return (uint16_t)(e->listen_port + e->port_count - 1);
}

/* Does the service have exactly this already? */
static int is_so(struct tow__taking *s, const struct tow_entry *e, const char *access)
{
	struct tow__db_rows rows = tow__db_query(
		s->store->db,
		"SELECT count(*), min(port), max(port), min(idle_timeout_secs), min(access) "
		"FROM ports "
		"WHERE protocol = $1 AND tenant_id = $2 AND service = $3",
		TOW__ARGS(tow__db_int(protocol_of(e->op)), tow__db_id(&e->tenant_id),
	                  tow__db_text(e->name)));
	int so = tow__db_next(&rows) && tow__db_get_int(&rows, 0) == e->port_count &&
	         tow__db_get_int(&rows, 1) == e->listen_port &&
	         tow__db_get_int(&rows, 2) == last_port(e) &&
	         tow__db_get_int(&rows, 3) == e->idle_timeout_secs &&
	         tow_slice_equal(tow__db_get_bytes(&rows, 4), tow_slice_of(access));

	tow__db_end(&rows);
	return so;
}

/* Is one of the ports another service's or another tenant's? The first of them is to blame. */
static void check_free(struct tow__taking *s, const struct tow_entry *e)
{
	struct tow__port taken;
	struct tow__db_rows rows = tow__db_query(
		s->store->db,
		"SELECT " TOW__PORT_COLUMNS " FROM ports "
		"WHERE protocol = $1 AND port >= $2 AND port <= $3 "
		"AND (tenant_id <> $4 OR service NOT IN ('', $5)) ORDER BY port LIMIT 1",
		TOW__ARGS(tow__db_int(protocol_of(e->op)), tow__db_int(e->listen_port),
	                  tow__db_int(last_port(e)), tow__db_id(&e->tenant_id),
	                  tow__db_text(e->name)));

	if (!tow__db_next(&rows))
		return;
	tow__port_read(&rows, &taken);
	tow__db_end(&rows);
	tow__port_refuse(s->store, &taken, &e->tenant_id, s->fault);
}

/* Ports that the tenant would have besides those of this entry. */
static uint64_t count_others(struct tow__taking *s, const struct tow_entry *e)
{
	struct tow__db_rows rows = tow__db_query(
		s->store->db,
		"SELECT count(*) FROM ports WHERE tenant_id = $1 AND NOT (protocol = $2 "
		"AND (port >= $3 AND port <= $4 OR service = $5 AND reserved = 0))",
		TOW__ARGS(tow__db_id(&e->tenant_id), tow__db_int(protocol_of(e->op)),
	                  tow__db_int(e->listen_port), tow__db_int(last_port(e)),
	                  tow__db_text(e->name)));
	uint64_t count = tow__db_next(&rows) ? tow__db_get_int(&rows, 0) : 0;

	tow__db_end(&rows);
	return count;
}

void tow__port_claim_check(struct tow__taking *s, const struct tow_entry *e)
{
	if (tow__ports_allowed(s->store, protocol_of(e->op), e->listen_port, e->port_count,
	                       s->fault))
		return;
	if (count_others(s, e) + e->port_count > TOW__PORTS_PER_TENANT)
		tow__fault_set(s->fault, TOW__TENANT_NOT_ALLOWED, "a tenant has at most %d ports",
		               TOW__PORTS_PER_TENANT);
	else
		check_free(s, e);
}

/* The service lets go of what it has below first and above last. */
static void let_go(struct tow__taking *s, const struct tow_entry *e, uint16_t first, uint16_t last)
{
	struct tow__db *db = s->store->db;
	const struct tow__db_value left[] = { tow__db_int(protocol_of(e->op)),
		                              tow__db_id(&e->tenant_id), tow__db_text(e->name),
		                              tow__db_int(first), tow__db_int(last) };

	/* a range may move to and fro: of each port the last change is enough */
	tow__db_run(db,
	            "DELETE FROM changes WHERE protocol = $1 AND port IN "
	            "(SELECT port FROM ports WHERE " LEFT ")",
	            left, sizeof left / sizeof *left);
	tow__db_run(
		db,
		"WITH gone AS (SELECT protocol, port FROM ports WHERE " LEFT ") "
		"INSERT INTO changes (version, protocol, port) SELECT $6, protocol, port FROM gone",
		TOW__ARGS(left[0], left[1], left[2], left[3], left[4],
	                  tow__db_int(tow__store_next_version(s->store))));
	tow__db_run(db, "DELETE FROM ports WHERE reserved = 0 AND " LEFT, left,
	            sizeof left / sizeof *left);
	tow__db_run(db,
	            "UPDATE ports SET service = '', idle_timeout_secs = 0, access = '' WHERE " LEFT,
	            left, sizeof left / sizeof *left);
}

void tow__port_claim_apply(struct tow__taking *s, const struct tow_entry *e)
{
	struct tow__db *db = s->store->db;
	char text[TOW__ACCESS_TEXT_SIZE];
	const struct tow__db_value first = tow__db_int(e->listen_port),
				   last = tow__db_int(last_port(e)),
				   protocol = tow__db_int(protocol_of(e->op)),
				   idle = tow__db_int(e->idle_timeout_secs),
				   access = tow__db_text(tow__access_text(&e->access, text)),
				   service = tow__db_text(e->name);

	if (is_so(s, e, text))
		return;
	let_go(s, e, e->listen_port, last_port(e));
	tow__db_run(db,
	            CLAIMED "DELETE FROM changes WHERE protocol = $3 AND port IN (" CHANGING ")",
	            TOW__ARGS(first, last, protocol, service, idle, access));
	tow__db_run(db,
	            CLAIMED "INSERT INTO changes (protocol, port, version) "
	                    "SELECT $3, c.port, v.version FROM (" CHANGING ") c "
	                    "CROSS JOIN (SELECT $7 AS version) v",
	            TOW__ARGS(first, last, protocol, service, idle, access,
	                      tow__db_int(tow__store_next_version(s->store))));
	/* that none of them is another tenant's has been checked; the key sees to it */
	if (tow__db_run(db,
	                CLAIMED
	                "INSERT INTO ports (protocol, port, tenant_id, service, idle_timeout_secs, "
	                "access, reserved, label, claimed_ms) "
	                "SELECT $3, port, $4, $5, $6, $7, 0, '', $8 FROM claimed WHERE true "
	                "ON CONFLICT (protocol, port) DO UPDATE SET service = excluded.service, "
	                "idle_timeout_secs = excluded.idle_timeout_secs, access = excluded.access "
	                "WHERE ports.tenant_id = excluded.tenant_id",
	                TOW__ARGS(first, last, protocol, tow__db_id(&e->tenant_id), service, idle,
	                          access, tow__db_int(s->now_ms))) != e->port_count)
		tow__fault_set(s->fault, TOW__PORT_IN_USE, "a port of \"%s\" has just been taken",
		               e->name);
}

void tow__port_claim_drop(struct tow__taking *s, const struct tow_entry *e)
{
	struct tow__db_rows rows = tow__db_query(
		s->store->db,
		"SELECT 1 FROM ports WHERE protocol = $1 AND tenant_id = $2 AND service = $3 "
		"LIMIT 1",
		TOW__ARGS(tow__db_int(protocol_of(e->op)), tow__db_id(&e->tenant_id),
	                  tow__db_text(e->name)));
	int has = tow__db_next(&rows);

	tow__db_end(&rows);
	if (has)
		let_go(s, e, 1, 0);
}
