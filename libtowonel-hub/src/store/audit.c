/* SPDX-License-Identifier: MIT */

/*
 * The audit: one row for each thing that the operator did or a tenant signed, in the transaction
 * that did it. It is bounded for each actor by itself, so that a tenant that floods the hub pushes
 * out nobody's acts but its own.
 */

#include "store/private.h"

void tow__store_asked_by(struct tow__store *store, const struct tow__asker *asker)
{
	store->asker = asker;
}

/* The number after the last one, of all or of one actor. */
static uint64_t next_of(struct tow__db_rows rows)
{
	uint64_t last = 0;

	while (tow__db_next(&rows))
		last = tow__db_is_null(&rows, 0) ? 0 : tow__db_get_int(&rows, 0);
	return last + 1;
}

void tow__store_audit(struct tow__store *store, const struct tow_id *by, const char *action,
                      const struct tow_id *tenant, const char *subject)
{
	struct tow__db *db = store->db;
	const struct tow__asker *asker = store->asker;
	struct tow__db_value actor = by ? tow__db_id(by) : tow__db_blob("", 0);
	uint64_t kept = store->config.audit_kept;
	uint64_t id, nth;

	if (!asker || tow__db_failed(db))
		return;
	if (!kept)
		kept = by ? TOW__AUDIT_PER_TENANT : TOW__AUDIT_OF_OPERATORS;
	id = next_of(tow__db_query(db, "SELECT max(id) FROM audit", TOW__NO_ARGS));
	nth = next_of(
		tow__db_query(db, "SELECT max(nth) FROM audit WHERE actor = $1", TOW__ARGS(actor)));
	tow__db_run(db,
	            "INSERT INTO audit (id, at_ms, actor, nth, action, tenant_id, subject, source, "
	            "request_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	            TOW__ARGS(tow__db_int(id), tow__db_int(asker->now_ms), actor, tow__db_int(nth),
	                      tow__db_text(action), tenant ? tow__db_id(tenant) : tow__db_null(),
	                      tow__db_text(subject), tow__db_text(asker->source),
	                      tow__db_text(asker->request_id)));
	if (nth > kept)
		tow__db_run(db, "DELETE FROM audit WHERE actor = $1 AND nth <= $2",
		            TOW__ARGS(actor, tow__db_int(nth - kept)));
}

void tow__audit_sweep(struct tow__store *store, uint64_t now_ms)
{
	/* the newest stays, since the next one counts from it */
	tow__db_run(store->db,
	            "DELETE FROM audit WHERE at_ms < $1 AND id < (SELECT max(id) FROM audit)",
	            TOW__ARGS(tow__db_int(now_ms - TOW__AUDIT_KEPT_MS)));
}

#define COLUMNS                                                                                    \
	"a.id, a.at_ms, length(a.actor), a.tenant_id, i.name, a.action, a.subject, a.source, "     \
	"a.request_id FROM audit a LEFT JOIN invites i ON i.tenant_id = a.tenant_id "

static void read_event(const struct tow__db_rows *rows, struct tow__audit_event *out)
{
	*out = (struct tow__audit_event){
		.id = tow__db_get_int(rows, 0),
		.at_ms = tow__db_get_int(rows, 1),
		.by_operator = !tow__db_get_int(rows, 2),
		.has_tenant = !tow__db_is_null(rows, 3),
	};
	if (out->has_tenant)
		tow__db_get_exactly(rows, 3, out->tenant_id.bytes, sizeof out->tenant_id.bytes);
	if (!tow__db_is_null(rows, 4))
		tow__db_get_text(rows, 4, out->tenant_name, sizeof out->tenant_name);
	tow__db_get_text(rows, 5, out->action, sizeof out->action);
	tow__db_get_text(rows, 6, out->subject, sizeof out->subject);
	tow__db_get_text(rows, 7, out->source, sizeof out->source);
	tow__db_get_text(rows, 8, out->request_id, sizeof out->request_id);
}

int tow__store_audit_list(struct tow__store *store, const struct tow_id *tenant,
                          const struct tow__page *page,
                          int (*visit)(void *user, const struct tow__audit_event *event),
                          void *user, struct tow__fault *fault)
{
	struct tow__db *db = store->db;
	struct tow__db_value before = tow__db_int(page->offset ? page->offset : UINT64_MAX);
	struct tow__db_rows rows;
	struct tow__audit_event event;

	tow__store_begin(store, TOW__DB_READ);
	rows = tenant ? tow__db_query(
				db,
				"SELECT " COLUMNS "WHERE a.tenant_id = $1 AND a.id < $2 "
				"ORDER BY a.id DESC LIMIT $3",
				TOW__ARGS(tow__db_id(tenant), before, tow__db_int(page->limit)))
	              : tow__db_query(db,
	                              "SELECT " COLUMNS "WHERE a.id < $1 "
	                              "ORDER BY a.id DESC LIMIT $2",
	                              TOW__ARGS(before, tow__db_int(page->limit)));
	while (tow__db_next(&rows)) {
		read_event(&rows, &event);
		if (visit(user, &event))
			tow__db_fail(db, TOW_ENOMEM, "out of memory");
	}
	return tow__store_finish(store, fault);
}
