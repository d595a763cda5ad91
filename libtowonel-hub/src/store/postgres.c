/* SPDX-License-Identifier: MIT */

/*
 * PostgreSQL, through libpq.
 *
 * Writers come one at a time, over all hubs of a database: each begins by taking a lock that it
 * holds until its commit is visible, and as every statement after that sees what was committed
 * before it (READ COMMITTED), a writer sees what the writers before it left. So versions are
 * visible in the order of their numbers, and who has seen one has seen all below it. Readers see
 * one state (REPEATABLE READ) and wait for nobody.
 *
 * A connection is made when it is first needed, and anew when it was lost:
 *
 *     _begin: connected? ── yes ─► BEGIN ── the connection was dead ─► once more
 *                 │ no                                                     │
 *                 └─ gate open? ── no ─► TOW_EUNAVAILABLE at once          ▼
 *                        └ yes ─► connect ─► failed: close the gate, for longer each time
 */

#include "store/db.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/loop.h>

#include "store/dsn.h"
#include "store/libpq.h"

#define CHANNEL "towonel_routes"
/* Of all towonel hubs: the bytes "towonel" as a number. */
#define WRITERS "32773656059733356"

#define GATE_FIRST_NS (100 * TOW_NSEC_PER_MSEC)
#define GATE_LAST_NS  (2 * TOW_NSEC_PER_SEC)

/* Types that parameters have, by their numbers in every PostgreSQL. */
enum { OID_UNKNOWN = 0, OID_BYTEA = 17, OID_INT8 = 20, OID_TEXT = 25 };

#define ARGS_MAX 16

/* How long an answer is waited for: a little longer than the server tries to give one (setup, in
 * connect_). A script is one that makes or changes tables. */
#define ANSWER_MS 12000
#define SCRIPT_MS (3600 * 1000)

struct postgres {
	struct tow__db db;
	const struct tow__pq *pq;
	char *dsn;
	PGconn *conn;       /* NULL: there is none */
	const char **known; /* SQL that this connection has prepared, as statement "sINDEX" */
	size_t known_count, known_cap;
	int stale;     /* the connection is not to be used for another transaction */
	int late;      /* an answer did not come in time */
	int listening; /* this connection has said LISTEN */
};

struct result {
	const struct tow__pq *pq;
	PGresult *rows;
	int row, count;
};

static struct postgres *of(struct tow__db *db)
{
	return (struct postgres *)db;
}

/* --- errors ------------------------------------------------------------------------------- */

enum { RETRY = 1, DROP = 2 }; /* the transaction, the connection */

/* By class or whole code, the first that matches. */
static const struct {
	const char *state;
	int code, what;
} states[] = {
	{ "23", TOW_ECONFLICT, 0 },                  /* a constraint */
	{ "25006", TOW_EUNAVAILABLE, DROP },         /* read-only: the primary is elsewhere now */
	{ "26000", TOW_EUNAVAILABLE, RETRY | DROP }, /* a prepared statement has gone */
	{ "0A000", TOW_EUNAVAILABLE, RETRY | DROP }, /* or was made for other tables */
	{ "40", TOW_EUNAVAILABLE, RETRY },           /* serialisation failure, deadlock */
	{ "42501", TOW_EDENIED, 0 },
	{ "08", TOW_EUNAVAILABLE, DROP },    /* connection */
	{ "25P03", TOW_EUNAVAILABLE, DROP }, /* we took too long */
	{ "53", TOW_EUNAVAILABLE, 0 },       /* disk full, out of memory */
	{ "55", TOW_EUNAVAILABLE, 0 },       /* a lock was not to be had in time */
	{ "57", TOW_EUNAVAILABLE, 0 },       /* timeout, shutting down */
	{ "58", TOW_EUNAVAILABLE, 0 },       /* input/output errors */
};

static void fail(struct postgres *p, const PGresult *rows)
{
	const char *state = p->pq->PQresultErrorField(rows, PG_DIAG_SQLSTATE),
		   *message = p->pq->PQresultErrorField(rows, PG_DIAG_MESSAGE_PRIMARY);
	int code = TOW_EDB, what = 0;

	if (p->pq->PQstatus(p->conn) == CONNECTION_BAD)
		p->stale = 1;
	if (p->db.error.code)
		return;
	if (!state || !message) {
		tow__db_fail(&p->db,
		             p->stale ? TOW_EUNAVAILABLE
		             : rows   ? TOW_EDB
		                      : TOW_ENOMEM,
		             p->late    ? "the database does not answer"
		             : p->stale ? "the connection to the database was lost"
		             : rows     ? "the database gave an answer that was not asked for"
		                        : "out of memory");
		return;
	}
	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		if (!strncmp(state, states[i].state, strlen(states[i].state))) {
			code = states[i].code;
			what = states[i].what;
			break;
		}
	p->db.transient = (what & RETRY) != 0;
	p->stale |= (what & DROP) != 0;
	tow__db_fail(&p->db, code, "the database answers: %s", message);
}

static int succeeded(const struct postgres *p, const PGresult *rows)
{
	return p->pq->PQresultStatus(rows) == PGRES_COMMAND_OK ||
	       p->pq->PQresultStatus(rows) == PGRES_TUPLES_OK;
}

/* 1: there is something to read. */
static int wait_for_input(struct postgres *p, uint64_t deadline_ns)
{
	struct pollfd fd = { p->pq->PQsocket(p->conn), POLLIN, 0 };
	uint64_t now = tow_now_ns();

	if (now < deadline_ns &&
	    poll(&fd, 1, (int)((deadline_ns - now) / TOW_NSEC_PER_MSEC) + 1) != 0)
		return 1;
	p->late = p->stale = 1;
	return 0;
}

/* The answer to what has been sent (1: it could be); of several, the last one. It is not waited for
 * much longer than the server has for it: one that hangs keeps its connections open. NULL: none
 * came. */
static PGresult *answer(struct postgres *p, int sent, int timeout_ms)
{
	uint64_t deadline = tow_now_ns() + (uint64_t)timeout_ms * TOW_NSEC_PER_MSEC;
	PGresult *last = NULL, *next;

	while (sent) {
		/* reading fails with the connection, and then _getResult says so */
		while (p->pq->PQisBusy(p->conn)) {
			if (!wait_for_input(p, deadline)) {
				p->pq->PQclear(last);
				return NULL;
			}
			if (!p->pq->PQconsumeInput(p->conn))
				break;
		}
		next = p->pq->PQgetResult(p->conn);
		if (!next)
			break;
		p->pq->PQclear(last);
		last = next;
		if (p->pq->PQstatus(p->conn) == CONNECTION_BAD)
			break;
	}
	return last;
}

static PGresult *ask(struct postgres *p, const char *sql)
{
	return answer(p, p->pq->PQsendQuery(p->conn, sql), ANSWER_MS);
}

/* Statements without parameters; what they give is not looked at. */
static int execute(struct postgres *p, const char *sql, int timeout_ms)
{
	PGresult *rows = answer(p, p->pq->PQsendQuery(p->conn, sql), timeout_ms);
	int ok = succeeded(p, rows);

	if (!ok)
		fail(p, rows);
	p->pq->PQclear(rows);
	return ok;
}

/* --- the connection ----------------------------------------------------------------------- */

static void disconnect(struct postgres *p)
{
	p->pq->PQfinish(p->conn);
	p->conn = NULL;
	p->known_count = 0;
	p->stale = p->late = 0;
	p->listening = 0;
}

static int gate_closed(const struct postgres *p)
{
	return tow_now_ns() < atomic_load(&p->db.gate->closed_until_ns);
}

static void close_gate(struct postgres *p, const char *reason)
{
	struct tow__db_gate *gate = p->db.gate;
	unsigned failures = atomic_fetch_add(&p->db.gate->failures, 1);
	uint64_t delay = GATE_FIRST_NS << (failures < 6 ? failures : 6);
	uint16_t jitter;

	if (delay > GATE_LAST_NS)
		delay = GATE_LAST_NS;
	tow_random(&jitter, sizeof jitter);
	delay = delay / 2 + delay / 2 * jitter / UINT16_MAX;
	pthread_mutex_lock(&gate->lock);
	snprintf(gate->reason, sizeof gate->reason, "%s", reason);
	pthread_mutex_unlock(&gate->lock);
	atomic_store(&gate->closed_until_ns, tow_now_ns() + delay);
}

static void fail_at_gate(struct postgres *p)
{
	struct tow__db_gate *gate = p->db.gate;

	pthread_mutex_lock(&gate->lock);
	tow__db_fail(&p->db, TOW_EUNAVAILABLE, "there is no connection to the database: %s",
	             gate->reason);
	pthread_mutex_unlock(&gate->lock);
}

static void open_gate(struct postgres *p)
{
	atomic_store(&p->db.gate->failures, 0);
	atomic_store(&p->db.gate->closed_until_ns, 0);
}

/* libpq says "connection to server at HOST, port PORT failed: REASON", a line for each address. The
 * last reason will do, and where the server is does not concern whoever reads it. */
static void reason_of(const struct postgres *p, char *out, size_t cap)
{
	const char *text = p->pq->PQerrorMessage(p->conn), *next;
	static const char mark[] = "failed: ";
	int marked = 0;

	while ((next = strstr(text, mark))) {
		text = next + strlen(mark);
		marked = 1;
	}
	while (!marked && (next = strstr(text, ": ")))
		text = next + 2;
	if (!strncmp(text, "FATAL:  ", 8))
		text += 8;
	snprintf(out, cap, "%.*s", (int)strcspn(text, "\n"), text);
}

/* A notice is nothing that anybody waits for, and libpq would print it. */
static void ignore_notice(void *user, const PGresult *rows)
{
	(void)user;
	(void)rows;
}

static int connect_(struct postgres *p)
{
	/* What comes before the dsn is a default that it may change. Dead peers are noticed, a
	 * server that only reads is not taken for one that writes. */
	static const char *const keywords[] = {
		"fallback_application_name", "connect_timeout",
		"keepalives_idle",           "keepalives_interval",
		"keepalives_count",          "tcp_user_timeout",
		"target_session_attrs",      "dbname",
		"client_encoding",           NULL,
	};
	const char *const values[] = {
		"towonel", "5", "10", "5", "3", "20000", "read-write", p->dsn, "UTF8", NULL,
	};
	/* No wait is for ever, a hub that hangs does not stop the others for long; and what was
	 * acknowledged is on disk, whatever the server's default is. */
	static const char setup[] = "SET lock_timeout = '5s'; SET statement_timeout = '10s'; "
				    "SET idle_in_transaction_session_timeout = '15s'; "
				    "SELECT set_config('synchronous_commit', 'on', false) "
				    "WHERE current_setting('synchronous_commit') = 'off'";
	char reason[200];

	if (gate_closed(p)) {
		fail_at_gate(p);
		return 0;
	}
	p->conn = p->pq->PQconnectdbParams(keywords, values, 1);
	if (!p->conn) {
		tow__db_fail(&p->db, TOW_ENOMEM, "out of memory");
		return 0;
	}
	if (p->pq->PQstatus(p->conn) != CONNECTION_OK) {
		reason_of(p, reason, sizeof reason);
		tow__db_fail(&p->db, TOW_EUNAVAILABLE, "cannot connect to the database: %s",
		             reason);
		disconnect(p);
		close_gate(p, reason);
		return 0;
	}
	p->pq->PQsetNoticeReceiver(p->conn, ignore_notice, NULL);
	if (!execute(p, setup, ANSWER_MS)) {
		disconnect(p);
		close_gate(p, p->db.error.text);
		return 0;
	}
	open_gate(p);
	return 1;
}

static int is_away(struct tow__db *db)
{
	static const char *const keywords[] = { "connect_timeout", "dbname", NULL };
	struct postgres *p = of(db);
	const char *const values[] = { "5", p->dsn, NULL };
	PGPing answer = p->pq->PQpingParams(keywords, values, 1);

	return answer == PQPING_NO_RESPONSE || answer == PQPING_REJECT;
}

static void close_(struct tow__db *db)
{
	struct postgres *p = of(db);

	if (p->conn)
		p->pq->PQfinish(p->conn);
	free(p->known);
	if (p->dsn)
		tow_wipe(p->dsn, strlen(p->dsn));
	free(p->dsn);
	free(p);
}

static int open_(const char *dsn, struct tow__db **out, struct tow_error *err)
{
	struct postgres *p = calloc(1, sizeof *p);
	int r;

	if (p)
		p->dsn = strdup(dsn);
	if (!p || !p->dsn) {
		free(p);
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	}
	p->pq = tow__pq_load(err);
	r = p->pq ? tow__dsn_check(dsn, p->db.place, sizeof p->db.place, err) : TOW_ECONFIG;
	if (r) {
		close_(&p->db);
		return r;
	}
	*out = &p->db;
	return 0;
}

/* --- transactions ------------------------------------------------------------------------- */

static void begin(struct tow__db *db, enum tow__db_access access)
{
	static const char *const sql[] = {
		[TOW__DB_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		[TOW__DB_WRITE] = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; "
				  "SELECT pg_advisory_xact_lock(" WRITERS ")",
	};
	struct postgres *p = of(db);
	int fresh = 0, ok = 0;

	while (!ok && !fresh) {
		PGresult *rows;
		if (p->conn && (p->stale || p->pq->PQstatus(p->conn) == CONNECTION_BAD))
			disconnect(p);
		fresh = !p->conn;
		if (fresh && !connect_(p))
			return;
		rows = ask(p, sql[access]);
		ok = succeeded(p, rows);
		/* one that was left from before the server went: nothing was begun on it */
		if (!ok && (fresh || p->pq->PQstatus(p->conn) != CONNECTION_BAD)) {
			fail(p, rows);
			fresh = 1;
		}
		p->pq->PQclear(rows);
	}
}

static void commit(struct tow__db *db)
{
	struct postgres *p = of(db);
	PGresult *rows = ask(p, "COMMIT");

	/* a transaction that had failed would answer ROLLBACK, successfully */
	if (!succeeded(p, rows) || strcmp(p->pq->PQcmdStatus(rows), "COMMIT") != 0)
		fail(p, rows);
	p->pq->PQclear(rows);
}

static void rollback(struct tow__db *db)
{
	struct postgres *p = of(db);

	if (!p->conn)
		return;
	switch (p->pq->PQtransactionStatus(p->conn)) {
	case PQTRANS_IDLE: break;
	case PQTRANS_INTRANS:
	case PQTRANS_INERROR:
		/* the end of the connection does that, too */
		if (!p->stale)
			p->pq->PQclear(ask(p, "ROLLBACK"));
		break;
	case PQTRANS_ACTIVE:
	case PQTRANS_UNKNOWN: p->stale = 1; break;
	}
	if (p->stale || p->pq->PQstatus(p->conn) == CONNECTION_BAD)
		disconnect(p);
}

/* --- statements --------------------------------------------------------------------------- */

/* The words of the schema that are others here. Text is compared byte by byte, as SQLite does. */
static const struct {
	const char *word, *here;
} words[] = {
	{ "BLOB", "BYTEA" },
	{ "TEXT", "TEXT COLLATE \"C\"" },
};

static int is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The replacement for the word that stands here; its length. */
static const char *translate(const char *at, size_t *len)
{
	*len = 1;
	while (is_letter(*at) && is_letter(at[*len]))
		++*len;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strlen(words[i].word) == *len && !strncmp(at, words[i].word, *len))
			return words[i].here;
	return NULL;
}

static void script(struct tow__db *db, const char *sql)
{
	struct tow_buf text = { 0 };
	size_t len;
	int r = 0;

	for (const char *at = sql; *at && !r; at += len) {
		const char *here = translate(at, &len);
		r = here ? tow_buf_append_text(&text, here) : tow_buf_append(&text, at, len);
	}
	if (!r)
		r = tow_buf_append(&text, "", 1);
	if (r)
		tow__db_fail(db, TOW_ENOMEM, "out of memory");
	/* tables may be large */
	else if (execute(of(db), "SET LOCAL statement_timeout = 0", ANSWER_MS))
		execute(of(db), (const char *)tow_buf_peek(&text).base, SCRIPT_MS);
	tow_buf_deinit(&text);
}

static Oid oid_of(const struct tow__db_value *value)
{
	switch (value->type) {
	case TOW__DB_INT: return OID_INT8;
	case TOW__DB_TEXT: return OID_TEXT;
	case TOW__DB_BLOB: return OID_BYTEA;
	case TOW__DB_NULL: break;
	}
	return OID_UNKNOWN;
}

/* A statement is known by where its text is, and prepared once for a connection. */
static int prepare(struct postgres *p, const char *sql, const struct tow__db_value *args,
                   size_t count, char name[24])
{
	Oid types[ARGS_MAX];
	PGresult *rows;
	size_t i = 0;
	int ok;

	while (i < p->known_count && p->known[i] != sql)
		i++;
	snprintf(name, 24, "s%zu", i);
	if (i < p->known_count)
		return 1;
	if (p->known_count == p->known_cap) {
		size_t cap = p->known_cap ? p->known_cap * 2 : 32;
		const char **more = reallocarray(p->known, cap, sizeof *more);
		if (!more) {
			tow__db_fail(&p->db, TOW_ENOMEM, "out of memory");
			return 0;
		}
		p->known = more;
		p->known_cap = cap;
	}
	for (size_t arg = 0; arg < count; arg++)
		types[arg] = oid_of(&args[arg]);
	rows = answer(p, p->pq->PQsendPrepare(p->conn, name, sql, (int)count, types), ANSWER_MS);
	ok = succeeded(p, rows);
	if (ok)
		p->known[p->known_count++] = sql;
	else
		fail(p, rows);
	p->pq->PQclear(rows);
	return ok;
}

static void end(struct tow__db *db, void *handle)
{
	struct result *r = handle;

	(void)db;
	r->pq->PQclear(r->rows);
	free(r);
}

static void *start(struct tow__db *db, const char *sql, const struct tow__db_value *args,
                   size_t count)
{
	struct postgres *p = of(db);
	const char *values[ARGS_MAX];
	uint8_t ints[ARGS_MAX][8];
	int lens[ARGS_MAX], formats[ARGS_MAX];
	char name[24];
	struct result *r = NULL;

	if (count > ARGS_MAX) {
		tow__db_fail(db, TOW_EDB, "a statement has more than %d parameters", ARGS_MAX);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		const struct tow__db_value *value = &args[i];
		/* a NULL pointer would be NULL */
		values[i] = value->bytes.len ? (const char *)value->bytes.base : "";
		lens[i] = (int)value->bytes.len;
		formats[i] = 1;
		if (value->type == TOW__DB_NULL)
			values[i] = NULL;
		if (value->type == TOW__DB_INT) {
			for (int byte = 0; byte < 8; byte++)
				ints[i][byte] = (uint8_t)((uint64_t)value->i >> (56 - 8 * byte));
			values[i] = (const char *)ints[i];
			lens[i] = 8;
		}
	}
	if (!prepare(p, sql, args, count, name))
		return NULL;
	r = calloc(1, sizeof *r);
	if (!r) {
		tow__db_fail(db, TOW_ENOMEM, "out of memory");
		return NULL;
	}
	r->pq = p->pq;
	r->row = -1;
	r->rows = answer(
		p, p->pq->PQsendQueryPrepared(p->conn, name, (int)count, values, lens, formats, 1),
		ANSWER_MS);
	if (!succeeded(p, r->rows)) {
		fail(p, r->rows);
		end(db, r);
		return NULL;
	}
	r->count = p->pq->PQntuples(r->rows);
	return r;
}

static int step(struct tow__db *db, void *handle)
{
	struct result *r = handle;

	(void)db;
	return ++r->row < r->count;
}

static uint64_t changed(struct tow__db *db, void *handle)
{
	struct result *r = handle;

	(void)db;
	return strtoull(r->pq->PQcmdTuples(r->rows), NULL, 10);
}

static int is_null(void *handle, int column)
{
	struct result *r = handle;

	return r->pq->PQgetisnull(r->rows, r->row, column);
}

static struct tow_slice get_bytes(void *handle, int column)
{
	struct result *r = handle;

	return tow_slice_make(r->pq->PQgetvalue(r->rows, r->row, column),
	                      (size_t)r->pq->PQgetlength(r->rows, r->row, column));
}

/* Any size of integer: a constant is an int4, a count an int8. */
static int64_t get_int(void *handle, int column)
{
	struct tow_slice bytes = get_bytes(handle, column);
	uint64_t value = bytes.len && bytes.base[0] & 0x80 ? UINT64_MAX : 0;

	for (size_t i = 0; i < bytes.len && i < 8; i++)
		value = value << 8 | bytes.base[i];
	return (int64_t)value;
}

/* --- listening ---------------------------------------------------------------------------- */

/* 1: wake_fd is readable. */
static int wait_for(int wake_fd, int fd, int timeout_ms)
{
	struct pollfd fds[] = { { wake_fd, POLLIN, 0 }, { fd, POLLIN, 0 } };

	return poll(fds, 2, timeout_ms) > 0 && fds[0].revents;
}

static int begin_listening(struct postgres *p, int wake_fd)
{
	memset(&p->db.error, 0, sizeof p->db.error);
	if (gate_closed(p)) {
		uint64_t left = atomic_load(&p->db.gate->closed_until_ns) - tow_now_ns();
		if (left > GATE_LAST_NS) /* it has opened meanwhile */
			left = 0;
		if (wait_for(wake_fd, -1, (int)(left / TOW_NSEC_PER_MSEC) + 1))
			return TOW_EOF;
	}
	if (!connect_(p))
		return TOW_EUNAVAILABLE;
	if (!execute(p, "LISTEN " CHANNEL, ANSWER_MS)) {
		disconnect(p);
		close_gate(p, p->db.error.text);
		return TOW_EUNAVAILABLE;
	}
	p->listening = 1;
	return TOW_MORE;
}

/* The newest of those announced; 0: none. */
static uint64_t heard(struct postgres *p)
{
	PGnotify *notify;
	uint64_t newest = 0;

	while ((notify = p->pq->PQnotifies(p->conn))) {
		uint64_t version = strtoull(notify->extra, NULL, 10);
		newest = version > newest ? version : newest;
		p->pq->PQfreemem(notify);
	}
	return newest;
}

static int listen_(struct tow__db *db, int wake_fd, uint64_t *version)
{
	struct postgres *p = of(db);
	uint64_t newest;

	if (wait_for(wake_fd, -1, 0))
		return TOW_EOF;
	if (p->conn && !p->listening)
		disconnect(p);
	if (!p->conn)
		return begin_listening(p, wake_fd);
	for (;;) {
		if (!p->pq->PQconsumeInput(p->conn) || p->pq->PQstatus(p->conn) == CONNECTION_BAD) {
			disconnect(p);
			return TOW_EUNAVAILABLE;
		}
		newest = heard(p);
		if (newest) {
			*version = newest;
			return 0;
		}
		if (wait_for(wake_fd, p->pq->PQsocket(p->conn), -1))
			return TOW_EOF;
	}
}

const struct tow__db_driver tow__db_postgres = {
	.name = "postgres",
	.connections = 25,
	.open = open_,
	.close = close_,
	.is_away = is_away,
	.begin = begin,
	.commit = commit,
	.rollback = rollback,
	.script = script,
	.start = start,
	.step = step,
	.changed = changed,
	.end = end,
	.is_null = is_null,
	.get_int = get_int,
	.get_bytes = get_bytes,
	.announce = "SELECT pg_notify('" CHANNEL "', ($1::bigint)::text)",
	.listen = listen_,
};
