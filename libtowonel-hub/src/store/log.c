/* SPDX-License-Identifier: MIT */
#include "store/log.h"

#include <stdio.h>

#define SUBJECT_SIZE (TOW_HOSTNAME_SIZE + 16)

enum effect {
	ADDS,     /* to what was said of the subject before */
	REPLACES, /* all of it */
	ENDS,     /* the subject */
};

static const struct {
	const char *subject;
	enum effect effect;
} kinds[] = {
	[TOW_ENTRY_UPSERT_HOSTNAME] = { "hostname", REPLACES },
	[TOW_ENTRY_DELETE_HOSTNAME] = { "hostname", ENDS },
	[TOW_ENTRY_SET_HOSTNAME_TLS] = { "hostname", ADDS },
	[TOW_ENTRY_UPSERT_AGENT] = { "agent", REPLACES },
	[TOW_ENTRY_REVOKE_AGENT] = { "agent", ENDS },
	[TOW_ENTRY_UPSERT_TCP_SERVICE] = { "tcp", REPLACES },
	[TOW_ENTRY_DELETE_TCP_SERVICE] = { "tcp", ENDS },
	[TOW_ENTRY_UPSERT_UDP_SERVICE] = { "udp", REPLACES },
	[TOW_ENTRY_DELETE_UDP_SERVICE] = { "udp", ENDS },
	[TOW_ENTRY_LEAVE] = { "tenant", ENDS },
};

static int about_agent(const struct tow_entry *e)
{
	return e->op == TOW_ENTRY_UPSERT_AGENT || e->op == TOW_ENTRY_REVOKE_AGENT;
}

static void subject_of(const struct tow_entry *e, char out[SUBJECT_SIZE])
{
	char id[TOW_ID_TEXT_SIZE];

	snprintf(out, SUBJECT_SIZE, "%s/%s", kinds[e->op].subject,
	         about_agent(e) ? tow_id_format(&e->agent_id, id) : e->name);
}

/* So many entries have been dropped, the highest of which had this sequence. */
static void dropped(struct tow__store *store, const struct tow_id *tenant, uint64_t count,
                    uint64_t sequence)
{
	tow__db_run(store->db,
	            "UPDATE tenants SET entry_count = entry_count - $1, pruned_sequence = "
	            "CASE WHEN pruned_sequence < $2 THEN $2 ELSE pruned_sequence END WHERE id = $3",
	            TOW__ARGS(tow__db_int(count), tow__db_int(sequence), tow__db_id(tenant)));
}

static void forget_older(struct tow__store *store, const struct tow_entry *e, const char *subject)
{
	struct tow__db *db = store->db;
	struct tow__db_rows rows;
	uint64_t highest = 0, count;

	for (rows = tow__db_query(
		     db,
		     "SELECT sequence FROM entries WHERE tenant_id = $1 AND subject = $2 "
		     "AND sequence <> $3 ORDER BY sequence",
		     TOW__ARGS(tow__db_id(&e->tenant_id), tow__db_text(subject),
	                       tow__db_int(e->sequence)));
	     tow__db_next(&rows);)
		highest = tow__db_get_int(&rows, 0);
	if (!highest)
		return;
	count = tow__db_run(
		db, "DELETE FROM entries WHERE tenant_id = $1 AND subject = $2 AND sequence <> $3",
		TOW__ARGS(tow__db_id(&e->tenant_id), tow__db_text(subject),
	                  tow__db_int(e->sequence)));
	dropped(store, &e->tenant_id, count, highest);
}

void tow__log_append(struct tow__store *store, const struct tow_entry *e, struct tow_slice jws,
                     uint64_t now_ms, struct tow__fault *fault)
{
	struct tow__db *db = store->db;
	struct tow__db_value text = { TOW__DB_TEXT, 0, jws };
	struct tow__db_rows rows;
	uint64_t pruned = 0, last = 0;
	char subject[SUBJECT_SIZE];

	subject_of(e, subject);
	for (rows = tow__db_query(
		     db, "SELECT pruned_sequence, last_sequence FROM tenants WHERE id = $1",
		     TOW__ARGS(tow__db_id(&e->tenant_id)));
	     tow__db_next(&rows);) {
		pruned = tow__db_get_int(&rows, 0);
		last = tow__db_get_int(&rows, 1);
	}
	if (e->sequence <= pruned ||
	    !tow__db_run(
		    db,
		    "INSERT INTO entries (tenant_id, sequence, subject, effect, jws, accepted_ms) "
		    "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, sequence) DO NOTHING",
		    TOW__ARGS(tow__db_id(&e->tenant_id), tow__db_int(e->sequence),
	                      tow__db_text(subject), tow__db_int(kinds[e->op].effect), text,
	                      tow__db_int(now_ms)))) {
		tow__fault_set(fault, TOW__SEQUENCE_CONFLICT,
		               "sequence %llu has been used; the latest is %llu",
		               (unsigned long long)e->sequence, (unsigned long long)last);
		return;
	}
	tow__db_run(db,
	            "UPDATE tenants SET entry_count = entry_count + 1, last_sequence = "
	            "CASE WHEN last_sequence < $1 THEN $1 ELSE last_sequence END WHERE id = $2",
	            TOW__ARGS(tow__db_int(e->sequence), tow__db_id(&e->tenant_id)));
	if (about_agent(e))
		forget_older(store, e, subject);
}

/* Ended subjects, and what a later entry on the same subject has made void. */
#define VOID                                                                                       \
	"FROM entries WHERE tenant_id = $1 AND (effect = 2 OR EXISTS (SELECT 1 FROM entries n "    \
	"WHERE n.tenant_id = entries.tenant_id AND n.subject = entries.subject "                   \
	"AND n.sequence > entries.sequence AND n.effect >= entries.effect))"

void tow__log_compact(struct tow__store *store, const struct tow_id *tenant)
{
	struct tow__db *db = store->db;
	struct tow__db_rows rows;
	uint64_t have = 0, live = 0, highest = 0, count;

	for (rows = tow__db_query(db,
	                          "SELECT entry_count, hostname_count FROM tenants WHERE id = $1",
	                          TOW__ARGS(tow__db_id(tenant)));
	     tow__db_next(&rows);) {
		have = tow__db_get_int(&rows, 0);
		live = tow__db_get_int(&rows, 1);
	}
	/* A hostname may take two entries; agents and ports have limits of their own, and few reach
	 * them. So this does not come back at once. */
	if (have <= 2 * live + store->config.entries_kept)
		return;
	for (rows = tow__db_query(db, "SELECT max(sequence) " VOID, TOW__ARGS(tow__db_id(tenant)));
	     tow__db_next(&rows);)
		highest = tow__db_get_int(&rows, 0);
	count = tow__db_run(db, "DELETE " VOID, TOW__ARGS(tow__db_id(tenant)));
	dropped(store, tenant, count, highest);
}

void tow__log_sweep(struct tow__store *store, uint64_t now_ms)
{
	struct tow__db *db = store->db;
	struct tow_entry e = { .op = TOW_ENTRY_UPSERT_AGENT, .sequence = 0 };
	struct tow__db_rows rows;
	char subject[SUBJECT_SIZE];

	for (rows = tow__db_query(db, "SELECT tenant_id, id FROM agents WHERE expires_ms <= $1",
	                          TOW__ARGS(tow__db_int(now_ms)));
	     tow__db_next(&rows);) {
		tow__db_get_exactly(&rows, 0, e.tenant_id.bytes, sizeof e.tenant_id.bytes);
		tow__db_get_exactly(&rows, 1, e.agent_id.bytes, sizeof e.agent_id.bytes);
		subject_of(&e, subject);
		forget_older(store, &e, subject);
	}
}

int tow__store_entries(struct tow__store *store, const struct tow_id *tenant,
                       const struct tow__page *page,
                       int (*visit)(void *user, uint64_t sequence, struct tow_slice jws),
                       void *user, uint64_t *latest, struct tow__fault *fault)
{
	struct tow__db *db = store->db;
	struct tow__db_rows rows;

	tow__store_begin(store, TOW__DB_READ);
	rows = tow__db_query(db, "SELECT last_sequence FROM tenants WHERE id = $1",
	                     TOW__ARGS(tow__db_id(tenant)));
	if (tow__db_next(&rows))
		*latest = tow__db_get_int(&rows, 0);
	else
		tow__fault_set(fault, TOW__NOT_FOUND, "there is no such tenant");
	tow__db_end(&rows);
	for (rows = tow__db_query(
		     db,
		     "SELECT sequence, jws FROM entries WHERE tenant_id = $1 AND sequence > $2 "
		     "ORDER BY sequence LIMIT $3",
		     TOW__ARGS(tow__db_id(tenant), tow__db_int(page->offset),
	                       tow__db_int(page->limit)));
	     tow__db_next(&rows);)
		if (visit(user, tow__db_get_int(&rows, 0), tow__db_get_bytes(&rows, 1)))
			tow__db_fail(db, TOW_ENOMEM, "out of memory");
	return tow__store_finish(store, fault);
}
