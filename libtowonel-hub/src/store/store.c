/* SPDX-License-Identifier: MIT */
#include "store/private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/schema.h"

/* Times that an operation is done when others are in its way, and what it waits between them. */
#define TRIES    5
#define PAUSE_NS (10 * 1000 * 1000L)

int tow__store_open(const struct tow__store_config *config, enum tow__store_schema schema,
                    struct tow__store **out, struct tow_error *err)
{
	struct tow__store *store = calloc(1, sizeof *store);
	int r;

	if (!store)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	store->config = *config;
	if (!store->config.changes_kept)
		store->config.changes_kept = TOW__CHANGES_KEPT;
	if (!store->config.entries_kept)
		store->config.entries_kept = TOW__ENTRIES_KEPT;
	r = tow__db_open(config->driver, config->dsn, config->gate, &store->db, err);
	store->schema_due = schema == TOW__SCHEMA_WHEN_USED;
	if (!r && schema == TOW__SCHEMA_NOW) {
		r = tow__schema_migrate(store->db, err);
		if (r)
			tow_error_prefix(err, "%s", tow__db_place(store->db));
	}
	if (r) {
		tow__store_close(store);
		return r;
	}
	*out = store;
	return 0;
}

void tow__store_close(struct tow__store *store)
{
	if (!store)
		return;
	tow__db_close(store->db);
	free(store);
}

int tow__store_is_away(struct tow__store *store)
{
	return tow__db_is_away(store->db);
}

uint64_t tow__store_version(const struct tow__store *store)
{
	return store->version;
}

int tow__store_see_version(struct tow__store *store, struct tow__fault *fault)
{
	struct tow__db_rows rows;
	uint64_t version = 0;

	tow__store_begin(store, TOW__DB_READ);
	for (rows = tow__db_query(store->db, "SELECT value FROM meta WHERE key = 'version'",
	                          TOW__NO_ARGS);
	     tow__db_next(&rows);)
		version = tow__db_get_int(&rows, 0);
	if (!tow__store_finish(store, fault))
		store->version = version;
	return fault->kind;
}

int tow__store_is_shared(const struct tow__store *store)
{
	return tow__db_is_shared(store->db);
}

int tow__store_listen(struct tow__store *store, int wake_fd, uint64_t *version)
{
	return tow__db_listen(store->db, wake_fd, version);
}

int tow__store_port_is_hosts(const struct tow__store *store, uint16_t port)
{
	for (size_t i = 0; i < store->config.reserved_port_count; i++)
		if (store->config.reserved_ports[i] == port)
			return 1;
	return 0;
}

void tow__store_begin(struct tow__store *store, enum tow__db_access access)
{
	struct tow_error err;

	store->next = 0;
	if (store->schema_due && tow__schema_migrate(store->db, &err)) {
		tow__db_begin_failed(store->db, &err);
		return;
	}
	store->schema_due = 0;
	tow__db_begin(store->db, access);
}

int tow__store_finish(struct tow__store *store, struct tow__fault *fault)
{
	struct tow_error err;

	/* a broken database gives empty answers, from which a fault may have been concluded */
	if (fault->kind && !tow__db_failed(store->db)) {
		tow__db_rollback(store->db);
		return fault->kind;
	}
	switch (tow__db_commit(store->db, &err)) {
	case 0:
		if (store->next)
			store->version = store->next;
		store->tries = 0;
		return 0;
	case TOW_EUNAVAILABLE:
		return tow__fault_set(fault, TOW__UNAVAILABLE,
		                      "the hub cannot use its database now, try again later: %s",
		                      err.text);
	case TOW_ENOMEM:
		return tow__fault_set(fault, TOW__UNAVAILABLE,
		                      "the hub is out of memory, try again later");
	default:
		return tow__fault_set(fault, TOW__INTERNAL, "the hub's database failed: %s",
		                      err.text);
	}
}

int tow__store_again(struct tow__store *store, struct tow__fault *fault)
{
	uint16_t jitter;
	struct timespec pause = { 0, 0 };

	if (!tow__db_transient(store->db) || ++store->tries >= TRIES) {
		store->tries = 0;
		return 0;
	}
	/* not in step with the other one */
	tow_random(&jitter, sizeof jitter);
	pause.tv_nsec = (long)store->tries * (PAUSE_NS + PAUSE_NS * jitter / UINT16_MAX);
	nanosleep(&pause, NULL);
	memset(fault, 0, sizeof *fault);
	return 1;
}

/* One version per transaction, however much it changes. */
uint64_t tow__store_next_version(struct tow__store *store)
{
	struct tow__db *db = store->db;
	struct tow__db_rows rows;
	uint64_t kept = store->config.changes_kept;

	if (store->next || tow__db_failed(db))
		return store->next;
	for (rows = tow__db_query(
		     db, "UPDATE meta SET value = value + 1 WHERE key = 'version' RETURNING value",
		     TOW__NO_ARGS);
	     tow__db_next(&rows);)
		store->next = tow__db_get_int(&rows, 0);
	tow__db_announce(db, store->next);
	if (store->next > kept) {
		uint64_t upto = store->next - kept;
		if (tow__db_run(db, "DELETE FROM changes WHERE version <= $1",
		                TOW__ARGS(tow__db_int(upto))))
			tow__db_run(db, "UPDATE meta SET value = $1 WHERE key = 'pruned'",
			            TOW__ARGS(tow__db_int(upto)));
	}
	return store->next;
}

void tow__store_changed_tenant(struct tow__store *store, const struct tow_id *tenant)
{
	uint64_t version = tow__store_next_version(store);

	tow__db_run(store->db, "INSERT INTO changes (version, tenant_id) VALUES ($1, $2)",
	            TOW__ARGS(tow__db_int(version), tow__db_id(tenant)));
}

void tow__store_changed_agent(struct tow__store *store, const struct tow_id *tenant,
                              const struct tow_id *agent)
{
	uint64_t version = tow__store_next_version(store);

	tow__db_run(store->db,
	            "INSERT INTO changes (version, tenant_id, agent_id) VALUES ($1, $2, $3)",
	            TOW__ARGS(tow__db_int(version), tow__db_id(tenant), tow__db_id(agent)));
}

void tow__store_changed_hostname(struct tow__store *store, const char *pattern)
{
	uint64_t version = tow__store_next_version(store);

	tow__db_run(store->db, "INSERT INTO changes (version, pattern) VALUES ($1, $2)",
	            TOW__ARGS(tow__db_int(version), tow__db_text(pattern)));
}

void tow__store_changed_port(struct tow__store *store, enum tow_protocol protocol, uint16_t port)
{
	uint64_t version = tow__store_next_version(store);

	tow__db_run(store->db, "INSERT INTO changes (version, protocol, port) VALUES ($1, $2, $3)",
	            TOW__ARGS(tow__db_int(version), tow__db_int(protocol), tow__db_int(port)));
}

void tow__store_zone(const char *pattern, char out[TOW_HOSTNAME_SIZE])
{
	if (tow_hostname_wildcard_of(pattern, out))
		out[0] = '\0';
}

int tow__store_ping(struct tow__store *store, struct tow__fault *fault)
{
	struct tow__db_rows rows;

	tow__store_begin(store, TOW__DB_READ);
	rows = tow__db_query(store->db, "SELECT value FROM meta WHERE key = 'schema'",
	                     TOW__NO_ARGS);
	if (!tow__db_next(&rows))
		tow__fault_set(fault, TOW__UNAVAILABLE, "the database has lost its tables");
	tow__db_end(&rows);
	return tow__store_finish(store, fault);
}

int tow__store_try_write(struct tow__store *store, struct tow__fault *fault)
{
	do {
		tow__store_begin(store, TOW__DB_WRITE);
		/* a value that stays the same would not be written */
		tow__db_run(store->db,
		            "INSERT INTO meta (key, value) VALUES ('writes_tried', 1) "
		            "ON CONFLICT (key) DO UPDATE SET value = meta.value + 1",
		            TOW__NO_ARGS);
	} while (tow__store_finish(store, fault) && tow__store_again(store, fault));
	return fault->kind;
}

int tow__store_count_tenants(struct tow__store *store, uint64_t *count, struct tow__fault *fault)
{
	struct tow__db_rows rows;
	uint64_t n = 0;
	int r;

	tow__store_begin(store, TOW__DB_READ);
	for (rows = tow__db_query(store->db, "SELECT count(*) FROM tenants", TOW__NO_ARGS);
	     tow__db_next(&rows);)
		n = tow__db_get_int(&rows, 0);
	r = tow__store_finish(store, fault);
	if (!r)
		*count = n;
	return r;
}
