/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_STORE_DB_H
#define TOWONEL_HUB_STORE_DB_H

/*
 * One connection to a database, as little of it as the store needs, so that a driver stays small:
 * SQLite (sqlite.c) and PostgreSQL (postgres.c). SQL is written once, in what the drivers have in
 * common: parameters are $1, $2 ..., in order of first use; INSERT ... ON CONFLICT and RETURNING
 * are there.
 *
 * Errors are sticky from _begin on: after the first one everything does nothing and gives nothing,
 * and _commit reports it (and rolls back). So a transaction reads straight down. A connection
 * belongs to one thread at a time, and every call below is within a transaction.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <towonel/wire/buf.h>
#include <towonel/wire/identity.h>

struct tow__db;
struct tow__db_driver;

enum tow__db_type {
	TOW__DB_NULL,
	TOW__DB_INT,
	TOW__DB_TEXT,
	TOW__DB_BLOB,
};

struct tow__db_value {
	enum tow__db_type type;
	int64_t i;
	struct tow_slice bytes; /* borrowed for the call, and until _end for a query */
};

struct tow__db_value tow__db_null(void);
struct tow__db_value tow__db_int(uint64_t value); /* at most INT64_MAX: larger ones become that */
struct tow__db_value tow__db_text(const char *text);
struct tow__db_value tow__db_blob(const void *bytes, size_t len);
struct tow__db_value tow__db_id(const struct tow_id *id);

/* The last two arguments of _run and _query. */
#define TOW__ARGS(...)                                                                             \
	(const struct tow__db_value[]){ __VA_ARGS__ },                                             \
		sizeof((const struct tow__db_value[]){ __VA_ARGS__ }) /                            \
			sizeof(struct tow__db_value)
#define TOW__NO_ARGS NULL, 0

/* What the connections to one server share: when one of them could not be made, none is tried for
 * a while, longer each time. All-zero, which is a mutex too: open. */
struct tow__db_gate {
	_Atomic uint64_t closed_until_ns;
	_Atomic unsigned failures;
	pthread_mutex_t lock; /* of why the last one could not be made */
	char reason[200];
};

/* Opens, which may create the file. A server is connected to by the first _begin, and again by any
 * later one when the connection was lost. gate: NULL for one of its own. Returns 0; TOW_ECONFIG for
 * a driver that is not there or a dsn that it cannot read, TOW_EDENIED, TOW_EIO, TOW_EDB,
 * TOW_ENOMEM. */
int tow__db_open(const char *driver, const char *dsn, struct tow__db_gate *gate,
                 struct tow__db **out, struct tow_error *err);
void tow__db_close(struct tow__db *db); /* takes NULL */
/* Which database this is, for messages: the dsn without its secrets. */
const char *tow__db_place(const struct tow__db *db);
/* How many connections serve a hub well; 0 for a driver that is not there. */
size_t tow__db_connections(const char *driver);

enum tow__db_access {
	TOW__DB_READ,  /* sees one state throughout */
	TOW__DB_WRITE, /* one at a time */
};
void tow__db_begin(struct tow__db *db, enum tow__db_access access);
/* A transaction that has failed before it began. */
void tow__db_begin_failed(struct tow__db *db, const struct tow_error *err);
/* Returns 0, or what went wrong since _begin, with nothing changed: TOW_EUNAVAILABLE (full, busy,
 * read-only, gone), TOW_ECONFLICT (a constraint), TOW_ENOMEM, TOW_EDB. */
int tow__db_commit(struct tow__db *db, struct tow_error *err);
void tow__db_rollback(struct tow__db *db);
/* The error so far. */
int tow__db_failed(const struct tow__db *db);
/* 1: the last transaction failed only because of others at the same time (a deadlock, a
 * serialisation failure), and may work when it is done again. */
int tow__db_transient(const struct tow__db *db);

/* With the commit, tells who listens on this database, in other processes too, of a version. */
void tow__db_announce(struct tow__db *db, uint64_t version);
/* Waits, on a connection that does nothing else (or asks something between two calls). Returns 0
 * for *version announced; TOW_MORE when listening has begun, so that what was announced before is
 * to be asked for; TOW_EUNAVAILABLE without a connection, which the next call tries to make when
 * the gate opens; TOW_EOF once wake_fd is readable. */
int tow__db_listen(struct tow__db *db, int wake_fd, uint64_t *version);
/* After a failure: is there no server that answers, or none yet? (One that answers and refuses says
 * what is wrong with the dsn.) */
int tow__db_is_away(struct tow__db *db);
/* Can others change this database, so that there is something to listen to? */
int tow__db_is_shared(const struct tow__db *db);

/* Several statements without parameters. */
void tow__db_script(struct tow__db *db, const char *sql);
/* One statement; sql has static storage (prepared statements are kept by its address). Returns how
 * many rows it changed. */
uint64_t tow__db_run(struct tow__db *db, const char *sql, const struct tow__db_value *args,
                     size_t count);

/* A query under way: `for (... = tow__db_query(...); tow__db_next(&rows);)`. A loop that is left
 * early calls _end. The same SQL cannot be under way twice. */
struct tow__db_rows {
	struct tow__db *db;
	void *handle; /* NULL: over */
};
struct tow__db_rows tow__db_query(struct tow__db *db, const char *sql,
                                  const struct tow__db_value *args, size_t count);
int tow__db_next(struct tow__db_rows *rows); /* 1: there is a row */
void tow__db_end(struct tow__db_rows *rows);
/* Columns of the row, from 0; bytes last until the next call of _next or _end. */
int tow__db_is_null(const struct tow__db_rows *rows, int column);
uint64_t tow__db_get_int(const struct tow__db_rows *rows, int column);
struct tow_slice tow__db_get_bytes(const struct tow__db_rows *rows, int column);
/* Copies exactly len bytes; another length is a failure of the transaction (somebody edited the
 * database). */
void tow__db_get_exactly(const struct tow__db_rows *rows, int column, void *out, size_t len);
/* Text as a string, cut to fit. */
void tow__db_get_text(const struct tow__db_rows *rows, int column, char *out, size_t cap);

/* For drivers: records the first failure. */
void tow__db_fail(struct tow__db *db, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct tow__db {
	const struct tow__db_driver *driver;
	int in_transaction;
	int transient; /* what error is */
	struct tow_error error;
	struct tow__db_gate *gate, own_gate;
	char place[256];
};

/* What a driver does. Nothing is called while an error stands, but close, rollback and end. */
struct tow__db_driver {
	const char *name;
	size_t connections; /* see tow__db_connections */
	/* sets place; the rest of struct tow__db is set for it */
	int (*open)(const char *dsn, struct tow__db **out, struct tow_error *err);
	void (*close)(struct tow__db *db);
	void (*begin)(struct tow__db *db, enum tow__db_access access);
	void (*commit)(struct tow__db *db);
	void (*rollback)(struct tow__db *db);
	void (*script)(struct tow__db *db, const char *sql);
	/* NULL after a failure */
	void *(*start)(struct tow__db *db, const char *sql, const struct tow__db_value *args,
	               size_t count);
	int (*step)(struct tow__db *db, void *handle);
	uint64_t (*changed)(struct tow__db *db, void *handle); /* rows, after the last step */
	void (*end)(struct tow__db *db, void *handle);
	int (*is_null)(void *handle, int column);
	int64_t (*get_int)(void *handle, int column);
	struct tow_slice (*get_bytes)(void *handle, int column);
	int (*is_away)(struct tow__db *db); /* NULL: there is no server */
	/* both NULL for a database that is one process's */
	const char *announce; /* SQL with the version as $1 */
	int (*listen)(struct tow__db *db, int wake_fd, uint64_t *version);
};
extern const struct tow__db_driver tow__db_sqlite, tow__db_postgres;

#endif
