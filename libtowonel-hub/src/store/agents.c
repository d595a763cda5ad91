/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "store/log.h"

static void check(struct tow__store *store, const struct tow_id *tenant, const struct tow_id *agent,
                  uint64_t now_ms, struct tow__fault *fault)
{
	struct tow__db_rows rows = tow__db_query(
		store->db,
		"SELECT revoked, expires_ms FROM agents WHERE tenant_id = $1 AND id = $2",
		TOW__ARGS(tow__db_id(tenant), tow__db_id(agent)));

	if (!tow__db_next(&rows))
		tow__fault_set(fault, TOW__TENANT_NOT_ALLOWED,
		               "the tenant has no such agent: submit its upsert_agent entry");
	else if (tow__db_get_int(&rows, 0))
		tow__fault_set(fault, TOW__AGENT_REVOKED, "the agent was revoked");
	else if (tow__db_get_int(&rows, 1) <= now_ms)
		tow__fault_set(fault, TOW__TENANT_NOT_ALLOWED,
		               "the agent's entry has expired: submit a new upsert_agent entry");
	tow__db_end(&rows);
}

int tow__store_agent_check(struct tow__store *store, const struct tow_id *tenant,
                           const struct tow_id *agent, uint64_t now_ms, struct tow__fault *fault)
{
	tow__store_begin(store, TOW__DB_READ);
	check(store, tenant, agent, now_ms, fault);
	return tow__store_finish(store, fault);
}

static void find_elders(struct tow__store *store, const struct tow_id *tenant,
                        const struct tow_id *agent, uint64_t now_ms, struct tow__siblings *out)
{
	struct tow__db_rows rows = tow__db_query(
		store->db,
		"SELECT id FROM agents WHERE tenant_id = $1 AND id <> $2 AND announced_ms <= $3 "
		"AND expires_ms > $4 AND revoked = 0 ORDER BY announced_ms LIMIT $5",
		TOW__ARGS(tow__db_id(tenant), tow__db_id(agent),
	                  tow__db_int(now_ms - TOW__AGENT_SILENT_MS), tow__db_int(now_ms),
	                  tow__db_int(TOW__ELDERS_MAX)));

	for (out->elder_count = 0; tow__db_next(&rows); out->elder_count++)
		tow__db_get_exactly(&rows, 0, out->elder[out->elder_count].bytes,
		                    sizeof out->elder->bytes);
	tow__db_end(&rows);
}

/* Checks, and looks at what there is beside it. */
static void look_around(struct tow__store *store, const struct tow_id *tenant,
                        const struct tow__agent *agent, uint64_t now_ms, struct tow__siblings *out,
                        struct tow__fault *fault)
{
	struct tow__db_rows rows;

	check(store, tenant, &agent->id, now_ms, fault);
	find_elders(store, tenant, &agent->id, now_ms, out);
	rows = tow__db_query(
		store->db,
		"SELECT 1 FROM agents WHERE tenant_id = $1 AND services_hash <> $2 "
		"AND generation > $3 AND expires_ms > $4 AND revoked = 0 LIMIT 1",
		TOW__ARGS(tow__db_id(tenant),
	                  tow__db_blob(agent->services_hash, sizeof agent->services_hash),
	                  tow__db_int(agent->generation), tow__db_int(now_ms)));
	out->superseded = tow__db_next(&rows);
	tow__db_end(&rows);
}

int tow__store_agent_siblings(struct tow__store *store, const struct tow_id *tenant,
                              const struct tow__agent *agent, uint64_t now_ms,
                              struct tow__siblings *out, struct tow__fault *fault)
{
	tow__store_begin(store, TOW__DB_READ);
	look_around(store, tenant, agent, now_ms, out, fault);
	return tow__store_finish(store, fault);
}

/* How much the tenant's other agents say of themselves. */
static uint64_t others_say(struct tow__store *store, const struct tow_id *tenant,
                           const struct tow_id *agent)
{
	struct tow__db_rows rows;
	uint64_t total = 0;

	for (rows = tow__db_query(store->db,
	                          "SELECT length(report) FROM agents WHERE tenant_id = $1 "
	                          "AND id <> $2",
	                          TOW__ARGS(tow__db_id(tenant), tow__db_id(agent)));
	     tow__db_next(&rows);)
		total += tow__db_get_int(&rows, 0);
	return total;
}

int tow__store_agent_report(struct tow__store *store, const struct tow_id *tenant,
                            const struct tow__agent *agent, const char *report, uint64_t now_ms,
                            struct tow__siblings *out, struct tow__fault *fault)
{
	do {
		tow__store_begin(store, TOW__DB_WRITE);
		look_around(store, tenant, agent, now_ms, out, fault);
		if (others_say(store, tenant, &agent->id) + strlen(report) >
		    TOW__REPORTS_PER_TENANT)
			report = "";
		tow__db_run(store->db,
		            "UPDATE agents SET report = $1 WHERE tenant_id = $2 AND id = $3 "
		            "AND report <> $1",
		            TOW__ARGS(tow__db_text(report), tow__db_id(tenant),
		                      tow__db_id(&agent->id)));
	} while (tow__store_finish(store, fault) && tow__store_again(store, fault));
	return fault->kind;
}

int tow__store_sweep(struct tow__store *store, uint64_t now_ms, struct tow__fault *fault)
{
	/* edges forget revocations by their own clocks, so the routes have not changed */
	do {
		tow__store_begin(store, TOW__DB_WRITE);
		tow__log_sweep(store, now_ms);
		tow__db_run(store->db, "DELETE FROM agents WHERE expires_ms <= $1",
		            TOW__ARGS(tow__db_int(now_ms)));
		tow__audit_sweep(store, now_ms);
		tow__edges_sweep(store, now_ms);
	} while (tow__store_finish(store, fault) && tow__store_again(store, fault));
	return fault->kind;
}
