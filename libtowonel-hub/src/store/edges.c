/* SPDX-License-Identifier: MIT */

/*
 * Edges: who was invited, and what each said last. The routes do not depend on any of it; a
 * revocation is a version all the same, because that is what hubs on one database tell one another.
 */

#include "store/private.h"

#include <string.h>

#define COLUMNS "id, node_id, name, created_ms, revoked_ms"

static void read_invite(const struct tow__db_rows *rows, struct tow__edge_invite *out)
{
	memset(out, 0, sizeof *out);
	tow__db_get_exactly(rows, 0, out->id, sizeof out->id);
	tow__db_get_exactly(rows, 1, out->node_id.bytes, sizeof out->node_id.bytes);
	tow__db_get_text(rows, 2, out->name, sizeof out->name);
	out->created_ms = tow__db_get_int(rows, 3);
	out->revoked_ms = tow__db_is_null(rows, 4) ? 0 : tow__db_get_int(rows, 4);
}

static int create(struct tow__store *store, const struct tow__edge_invite *invite,
                  const uint8_t *secret_hash, struct tow__fault *fault)
{
	tow__store_begin(store, TOW__DB_WRITE);
	if (!tow__db_run(store->db,
	                 "INSERT INTO edge_invites (id, node_id, name, secret_hash, created_ms) "
	                 "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
	                 TOW__ARGS(tow__db_blob(invite->id, sizeof invite->id),
	                           tow__db_id(&invite->node_id), tow__db_text(invite->name),
	                           secret_hash ? tow__db_blob(secret_hash, TOW_HASH_SIZE)
	                                       : tow__db_null(),
	                           tow__db_int(invite->created_ms))))
		tow__fault_set(fault, TOW__INVALID_REQUEST,
		               "an edge with this key was invited before; one that was revoked "
		               "needs a new key");
	tow__store_audit(store, NULL, "edge_invite.create", NULL, invite->name);
	return tow__store_finish(store, fault);
}

int tow__store_edge_invite_create(struct tow__store *store, const struct tow__edge_invite *invite,
                                  const uint8_t *secret_hash, struct tow__fault *fault)
{
	while (create(store, invite, secret_hash, fault) && tow__store_again(store, fault))
		;
	return fault->kind;
}

int tow__store_edge_invite_list(struct tow__store *store, const struct tow__page *page,
                                int (*visit)(void *user, const struct tow__edge_invite *invite),
                                void *user, uint64_t *total, struct tow__fault *fault)
{
	struct tow__db *db = store->db;
	struct tow__edge_invite invite;
	struct tow__db_rows rows;

	tow__store_begin(store, TOW__DB_READ);
	for (rows = tow__db_query(db, "SELECT count(*) FROM edge_invites", TOW__NO_ARGS);
	     tow__db_next(&rows);)
		*total = tow__db_get_int(&rows, 0);
	for (rows = tow__db_query(db,
	                          "SELECT " COLUMNS " FROM edge_invites ORDER BY created_ms, id "
	                          "LIMIT $1 OFFSET $2",
	                          TOW__ARGS(tow__db_int(page->limit), tow__db_int(page->offset)));
	     tow__db_next(&rows);) {
		read_invite(&rows, &invite);
		if (!tow__db_failed(db) && visit(user, &invite))
			tow__db_fail(db, TOW_ENOMEM, "out of memory");
	}
	return tow__store_finish(store, fault);
}

static int revoke(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE], uint64_t now_ms,
                  struct tow_id *node_id, struct tow__fault *fault)
{
	struct tow__db *db = store->db;
	struct tow__edge_invite invite = { .revoked_ms = 1 };
	struct tow__db_rows rows;

	tow__store_begin(store, TOW__DB_WRITE);
	for (rows = tow__db_query(db, "SELECT " COLUMNS " FROM edge_invites WHERE id = $1",
	                          TOW__ARGS(tow__db_blob(id, TOW_INVITE_ID_SIZE)));
	     tow__db_next(&rows);)
		read_invite(&rows, &invite);
	if (invite.revoked_ms)
		tow__fault_set(fault, TOW__NOT_FOUND,
		               "there is no such edge invite, or it was revoked");
	tow__db_run(db, "UPDATE edge_invites SET revoked_ms = $1 WHERE id = $2",
	            TOW__ARGS(tow__db_int(now_ms), tow__db_blob(id, TOW_INVITE_ID_SIZE)));
	tow__db_run(db, "DELETE FROM edges WHERE node_id = $1",
	            TOW__ARGS(tow__db_id(&invite.node_id)));
	tow__store_next_version(store);
	tow__store_audit(store, NULL, "edge_invite.revoke", NULL, invite.name);
	if (!tow__store_finish(store, fault))
		*node_id = invite.node_id;
	return fault->kind;
}

int tow__store_edge_invite_revoke(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                                  uint64_t now_ms, struct tow_id *node_id, struct tow__fault *fault)
{
	while (revoke(store, id, now_ms, node_id, fault) && tow__store_again(store, fault))
		;
	return fault->kind;
}

/* --- what they say --- */

static void check(struct tow__store *store, const struct tow_id *node_id,
                  char name[TOW_TENANT_NAME_MAX + 1], struct tow__fault *fault)
{
	struct tow__db_rows rows = tow__db_query(
		store->db,
		"SELECT name FROM edge_invites WHERE node_id = $1 AND revoked_ms IS NULL",
		TOW__ARGS(tow__db_id(node_id)));

	if (tow__db_next(&rows))
		tow__db_get_text(&rows, 0, name, TOW_TENANT_NAME_MAX + 1);
	else
		tow__fault_set(fault, TOW__EDGE_REFUSED,
		               "this hub has no such edge: its invite was revoked, or is of "
		               "another hub");
	tow__db_end(&rows);
}

int tow__store_edge_check(struct tow__store *store, const struct tow_id *node_id,
                          struct tow__fault *fault)
{
	char name[TOW_TENANT_NAME_MAX + 1];

	tow__store_begin(store, TOW__DB_READ);
	check(store, node_id, name, fault);
	return tow__store_finish(store, fault);
}

int tow__store_edge_report(struct tow__store *store, const struct tow__edge_report *report,
                           char name[TOW_TENANT_NAME_MAX + 1], struct tow__fault *fault)
{
	char found[TOW_TENANT_NAME_MAX + 1] = "";

	do {
		tow__store_begin(store, TOW__DB_WRITE);
		if (!report->own_name)
			check(store, &report->node_id, found, fault);
		tow__db_run(store->db,
		            "INSERT INTO edges (node_id, name, report, seen_ms) "
		            "VALUES ($1, $2, $3, $4) ON CONFLICT (node_id) DO UPDATE SET "
		            "name = excluded.name, report = excluded.report, "
		            "seen_ms = excluded.seen_ms",
		            TOW__ARGS(tow__db_id(&report->node_id),
		                      tow__db_text(report->own_name ? report->own_name : found),
		                      tow__db_text(report->json), tow__db_int(report->now_ms)));
	} while (tow__store_finish(store, fault) && tow__store_again(store, fault));
	if (!fault->kind && name)
		memcpy(name, found, sizeof found);
	return fault->kind;
}

static void visit_rows(struct tow__store *store, struct tow__db_rows rows,
                       int (*visit)(void *user, const struct tow__edge *edge), void *user)
{
	struct tow__edge edge;

	while (tow__db_next(&rows)) {
		memset(&edge, 0, sizeof edge);
		tow__db_get_exactly(&rows, 0, edge.node_id.bytes, sizeof edge.node_id.bytes);
		tow__db_get_text(&rows, 1, edge.name, sizeof edge.name);
		edge.revoked = !tow__db_is_null(&rows, 2);
		if (!tow__db_is_null(&rows, 3)) {
			edge.report = tow__db_get_bytes(&rows, 3);
			edge.seen_ms = tow__db_get_int(&rows, 4);
		}
		if (!tow__db_failed(store->db) && visit(user, &edge))
			tow__db_fail(store->db, TOW_ENOMEM, "out of memory");
	}
}

int tow__store_edge_list(struct tow__store *store, uint64_t revoked_since_ms,
                         int (*visit)(void *user, const struct tow__edge *edge), void *user,
                         struct tow__fault *fault)
{
	tow__store_begin(store, TOW__DB_READ);
	visit_rows(store,
	           tow__db_query(store->db,
	                         "SELECT i.node_id, i.name, i.revoked_ms, e.report, e.seen_ms "
	                         "FROM edge_invites i LEFT JOIN edges e ON e.node_id = i.node_id "
	                         "WHERE i.revoked_ms IS NULL OR i.revoked_ms > $1 "
	                         "ORDER BY i.created_ms, i.id",
	                         TOW__ARGS(tow__db_int(revoked_since_ms))),
	           visit, user);
	visit_rows(store,
	           tow__db_query(store->db,
	                         "SELECT node_id, name, NULL, report, seen_ms FROM edges "
	                         "WHERE node_id NOT IN (SELECT i.node_id FROM edge_invites i) "
	                         "ORDER BY node_id",
	                         TOW__NO_ARGS),
	           visit, user);
	return tow__store_finish(store, fault);
}

void tow__edges_sweep(struct tow__store *store, uint64_t now_ms)
{
	tow__db_run(store->db,
	            "DELETE FROM edges WHERE seen_ms <= $1 "
	            "AND node_id NOT IN (SELECT i.node_id FROM edge_invites i)",
	            TOW__ARGS(tow__db_int(now_ms - TOW__EDGE_KEPT_MS)));
}
