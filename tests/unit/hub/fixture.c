/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "postgres_server.h"
#include "store/db.h"

static const uint16_t reserved[] = { 8443, 20001 };

static void open_store(struct fixture *f)
{
	struct tow_error err;

	if (tow__store_open(&f->config, 1, &f->store, &err))
		fail_msg("%s", err.text);
}

void fixture_sql(struct fixture *f, const char *sql)
{
	struct tow__db *db;
	struct tow_error err;

	assert_int_equal(tow__db_open(f->config.driver, f->config.dsn, NULL, &db, NULL), 0);
	tow__db_begin(db, TOW__DB_WRITE);
	tow__db_script(db, sql);
	if (tow__db_commit(db, &err))
		fail_msg("%s", err.text);
	tow__db_close(db);
}

uint64_t fixture_number(struct fixture *f, const char *sql)
{
	struct tow__db *db;
	struct tow__db_rows rows;
	struct tow_error err;
	uint64_t number = UINT64_MAX;

	assert_int_equal(tow__db_open(f->config.driver, f->config.dsn, NULL, &db, NULL), 0);
	tow__db_begin(db, TOW__DB_READ);
	for (rows = tow__db_query(db, sql, TOW__NO_ARGS); tow__db_next(&rows);)
		number = tow__db_get_int(&rows, 0);
	if (tow__db_commit(db, &err))
		fail_msg("%s", err.text);
	tow__db_close(db);
	return number;
}

static int on_postgres(const struct fixture *f)
{
	return !strcmp(f->config.driver, "postgres");
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	f->config.driver = *state ? *state : "sqlite";
	if (on_postgres(f)) {
		postgres_schema_make(f->dsn);
		f->config.dsn = f->dsn;
	} else {
		snprintf(f->dir, sizeof f->dir, "/tmp/towonel-hub-XXXXXX");
		assert_non_null(mkdtemp(f->dir));
		snprintf(f->path, sizeof f->path, "%s/hub.db", f->dir);
		f->config.dsn = f->path;
	}
	f->config.reserved_ports = reserved;
	f->config.reserved_port_count = sizeof reserved / sizeof *reserved;
	open_store(f);
	*state = f;
	return 0;
}

/* The counters that the store goes by agree with the rows, whatever the test did. */
static void check_counters(struct fixture *f)
{
	static const char sql[] =
		"SELECT count(*) FROM tenants t "
		"WHERE entry_count <> (SELECT count(*) FROM entries WHERE tenant_id = t.id) "
		"OR hostname_count <> (SELECT count(*) FROM hostnames WHERE tenant_id = t.id)";

	assert_int_equal(fixture_number(f, sql), 0);
}

void fixture_empty(struct fixture *f)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
	char path[96];

	if (on_postgres(f)) {
		postgres_schema_drop(f->dsn);
		postgres_schema_make(f->dsn);
		return;
	}
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		snprintf(path, sizeof path, "%s%s", f->path, suffixes[i]);
		unlink(path);
	}
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	tow__store_close(f->store);
	check_counters(f);
	fixture_empty(f);
	if (on_postgres(f))
		postgres_schema_drop(f->dsn);
	else
		assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

void fixture_reopen(struct fixture *f)
{
	tow__store_close(f->store);
	f->store = NULL;
	open_store(f);
}

void names_of(const char *list, struct tow__names *out)
{
	memset(out, 0, sizeof *out);
	while (*list) {
		size_t len = strcspn(list, ",");
		assert_int_equal(tow__names_add(out, tow_slice_make(list, len)), 0);
		list += len + (list[len] == ',');
	}
}

enum tow__fault_kind tenant_make(struct fixture *f, struct tenant *t, const char *name,
                                 const char *patterns, struct tow__fault *fault)
{
	uint8_t seed[TOW_SEED_SIZE];

	memset(t, 0, sizeof *t);
	tow_random(seed, sizeof seed);
	assert_int_equal(tow_tenant_key_new(seed, &t->key), 0);
	tow_random(t->invite.id, sizeof t->invite.id);
	tow_random(t->secret_hash, sizeof t->secret_hash);
	t->invite.tenant_id = *tow_tenant_key_id(t->key);
	t->invite.created_ms = NOW;
	snprintf(t->invite.name, sizeof t->invite.name, "%s", name);
	names_of(patterns, &t->invite.hostnames);
	fault->kind = TOW__NO_FAULT;
	return tow__store_invite_create(f->store, &t->invite, t->secret_hash,
	                                tow_tenant_key_public(t->key), fault);
}

void tenant_make_ok(struct fixture *f, struct tenant *t, const char *name, const char *patterns)
{
	struct tow__fault fault;

	if (tenant_make(f, t, name, patterns, &fault))
		fail_msg("%s", fault.text);
}

void tenant_deinit(struct tenant *t)
{
	tow_tenant_key_free(t->key);
	tow__invite_deinit(&t->invite);
}

struct tow_entry entry_of(struct tenant *t, enum tow_entry_op op, const char *name)
{
	struct tow_entry e;

	memset(&e, 0, sizeof e);
	e.version = TOW_ENTRY_VERSION;
	e.tenant_id = t->invite.tenant_id;
	e.sequence = ++t->sequence;
	e.timestamp_ms = NOW;
	e.op = op;
	snprintf(e.name, sizeof e.name, "%s", name ? name : "");
	return e;
}

struct tow_entry agent_entry_of(struct tenant *t, uint8_t agent, uint64_t generation, uint8_t hash,
                                uint64_t expires_ms)
{
	struct tow_entry e = entry_of(t, TOW_ENTRY_UPSERT_AGENT, NULL);

	memset(e.agent_id.bytes, agent, sizeof e.agent_id.bytes);
	memset(e.services_hash, hash, sizeof e.services_hash);
	e.generation = generation;
	e.expires_at_ms = expires_ms;
	return e;
}

struct tow_entry ports_entry_of(struct tenant *t, enum tow_entry_op op, const char *name,
                                uint16_t port, uint16_t count)
{
	struct tow_entry e = entry_of(t, op, name);

	e.listen_port = port;
	e.port_count = count;
	return e;
}

enum tow__fault_kind submit(struct fixture *f, struct tenant *t, const struct tow_entry *entries,
                            size_t count, struct tow__fault *fault)
{
	struct tow_buf *texts = calloc(count, sizeof *texts);
	struct tow_slice *jws = calloc(count, sizeof *jws);
	struct tow__submission in = { jws, count, NULL, NOW };
	struct tow__submitted out = { 0 };

	assert_non_null(texts);
	assert_non_null(jws);
	for (size_t i = 0; i < count; i++) {
		struct tow_error err;
		if (tow_entry_sign(&entries[i], t->key, &texts[i], &err))
			fail_msg("%s", err.text);
		jws[i] = tow_buf_peek(&texts[i]);
	}
	if (count == 1 && entries[0].op == TOW_ENTRY_LEAVE)
		in.leave = &t->invite.tenant_id;
	fault->kind = TOW__NO_FAULT;
	tow__store_submit(f->store, &in, &out, fault);
	for (size_t i = 0; i < count; i++)
		tow_buf_deinit(&texts[i]);
	free(texts);
	free(jws);
	return fault->kind;
}

void submit_ok(struct fixture *f, struct tenant *t, struct tow_entry entry)
{
	struct tow__fault fault;

	if (submit(f, t, &entry, 1, &fault))
		fail_msg("%s", fault.text);
}

void submit_refused(struct fixture *f, struct tenant *t, struct tow_entry entry,
                    enum tow__fault_kind kind, const char *part)
{
	struct tow__fault fault;

	if (submit(f, t, &entry, 1, &fault) != kind)
		fail_msg("got %s", fault.kind ? fault.text : "success");
	if (!strstr(fault.text, part))
		fail_msg("\"%s\" has no \"%s\"", fault.text, part);
}

/* Ports in a row that are told as one. */
struct run {
	struct tow__port first;
	unsigned last; /* 0: none yet */
	struct tow_buf text;
};

static void tell_run(struct run *run)
{
	const struct tow__port *p = &run->first;
	char to[16] = "";

	if (!run->last)
		return;
	if (run->last != p->number)
		snprintf(to, sizeof to, "-%u", run->last);
	assert_int_equal(tow_buf_printf(&run->text, "%s/%u%s=%s%s ", tow_protocol_name(p->protocol),
	                                p->number, to, p->service, p->reserved ? "!" : ""),
	                 0);
}

static int add_to_run(void *user, const struct tow__port *port)
{
	struct run *run = user;
	struct tow__port *first = &run->first;

	assert_int_equal(port->claimed_ms, NOW);
	if (run->last && port->number == run->last + 1 && port->protocol == first->protocol &&
	    port->reserved == first->reserved && !strcmp(port->service, first->service) &&
	    tow_id_equal(&port->tenant_id, &first->tenant_id)) {
		run->last++;
		return 0;
	}
	tell_run(run);
	*first = *port;
	run->last = port->number;
	return 0;
}

void expect_ports(struct fixture *f, const char *want)
{
	struct run run = { .last = 0 };
	struct tow__page page = { 100000, 0 };
	struct tow__fault fault = { 0 };
	uint64_t total;

	assert_int_equal(
		tow__store_port_list(f->store, NULL, &page, add_to_run, &run, &total, &fault), 0);
	tell_run(&run);
	assert_int_equal(tow_buf_append(&run.text, "", 1), 0);
	assert_string_equal((const char *)tow_buf_peek(&run.text).base, want);
	tow_buf_deinit(&run.text);
}
