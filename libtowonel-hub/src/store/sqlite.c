/* SPDX-License-Identifier: MIT */

/*
 * SQLite. WAL, so that readers do not wait for the writer; synchronous=FULL, so that what was
 * acknowledged is on disk. A failed write (disk full, limit on file size) rolls the transaction
 * back and leaves the connection usable: the next attempt works when there is room again.
 */

#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 5000

/* A statement prepared once, known by where its text is. */
struct statement {
	const char *sql;
	sqlite3_stmt *stmt;
};

struct sqlite {
	struct tow__db db;
	sqlite3 *handle;
	struct statement *statements;
	size_t count, cap;
};

static struct sqlite *of(struct tow__db *db)
{
	return (struct sqlite *)db;
}

static int translate(int code)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PERM: return TOW_EUNAVAILABLE;
	case SQLITE_CONSTRAINT: return TOW_ECONFLICT;
	case SQLITE_NOMEM: return TOW_ENOMEM;
	default: return TOW_EDB;
	}
}

static void fail(struct sqlite *s, int code)
{
	tow__db_fail(&s->db, translate(code), "the database answers: %s",
	             sqlite3_errmsg(s->handle));
}

static void close_(struct tow__db *db)
{
	struct sqlite *s = of(db);

	for (size_t i = 0; i < s->count; i++)
		sqlite3_finalize(s->statements[i].stmt);
	free(s->statements);
	sqlite3_close(s->handle);
	free(s);
}

/* SQLite creates files with the umask's permissions; ours are the owner's business only. Its other
 * files (-wal, -shm) take the permissions of this one. */
static int create(const char *path, struct tow_error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return tow_error_set(err, errno == EACCES || errno == EROFS ? TOW_EDENIED : TOW_EIO,
		                     "cannot open the database %s: %s", path, strerror(errno));
	close(fd);
	return 0;
}

/* Turning a new database to WAL wants it alone, and does not wait as other statements do when
 * another process is at the same. */
static int setup(sqlite3 *handle)
{
	static const char sql[] =
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;";
	const struct timespec pause = { 0, 10 * 1000 * 1000 };
	int code;

	for (int waited_ms = 0;; waited_ms += 10) {
		code = sqlite3_exec(handle, sql, NULL, NULL, NULL);
		if ((code & 0xff) != SQLITE_BUSY || waited_ms >= BUSY_TIMEOUT_MS)
			return code;
		nanosleep(&pause, NULL);
	}
}

static int open_(const char *dsn, struct tow__db **out, struct tow_error *err)
{
	struct sqlite *s;
	int code, r;

	/* which would become a file's name, and its password part of a message */
	if (!strncmp(dsn, "postgres", 8) && strstr(dsn, "://"))
		return tow_error_set(err, TOW_ECONFIG,
		                     "this is a PostgreSQL database, for the driver \"postgres\"");
	r = create(dsn, err);
	if (r)
		return r;
	s = calloc(1, sizeof *s);
	if (!s)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	snprintf(s->db.place, sizeof s->db.place, "%s", dsn);
	code = sqlite3_open_v2(dsn, &s->handle,
	                       SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
	                       NULL);
	if (!code)
		code = sqlite3_busy_timeout(s->handle, BUSY_TIMEOUT_MS);
	if (!code)
		code = setup(s->handle);
	if (code) {
		r = translate(code);
		tow_error_set(err, r, "cannot use the database %s: %s", dsn,
		              s->handle ? sqlite3_errmsg(s->handle) : "out of memory");
		close_(&s->db);
		return r;
	}
	*out = &s->db;
	return 0;
}

static void script(struct tow__db *db, const char *sql)
{
	int code = sqlite3_exec(of(db)->handle, sql, NULL, NULL, NULL);

	if (code)
		fail(of(db), code);
}

static void begin(struct tow__db *db, enum tow__db_access access)
{
	script(db, access == TOW__DB_WRITE ? "BEGIN IMMEDIATE" : "BEGIN");
}

static void commit(struct tow__db *db)
{
	script(db, "COMMIT");
}

static void rollback(struct tow__db *db)
{
	/* some errors have rolled back already */
	if (!sqlite3_get_autocommit(of(db)->handle))
		sqlite3_exec(of(db)->handle, "ROLLBACK", NULL, NULL, NULL);
}

static sqlite3_stmt *prepared(struct sqlite *s, const char *sql)
{
	sqlite3_stmt *stmt;
	int code;

	for (size_t i = 0; i < s->count; i++)
		if (s->statements[i].sql == sql)
			return s->statements[i].stmt;
	if (s->count == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 32;
		struct statement *more = reallocarray(s->statements, cap, sizeof *more);
		if (!more) {
			fail(s, SQLITE_NOMEM);
			return NULL;
		}
		s->statements = more;
		s->cap = cap;
	}
	code = sqlite3_prepare_v3(s->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
	if (code) {
		fail(s, code);
		return NULL;
	}
	s->statements[s->count++] = (struct statement){ sql, stmt };
	return stmt;
}

static int bind(sqlite3_stmt *stmt, int at, const struct tow__db_value *value)
{
	/* a NULL pointer would bind NULL */
	const void *bytes = value->bytes.len ? (const void *)value->bytes.base : "";

	switch (value->type) {
	case TOW__DB_INT: return sqlite3_bind_int64(stmt, at, value->i);
	case TOW__DB_TEXT:
		return sqlite3_bind_text(stmt, at, bytes, (int)value->bytes.len, SQLITE_STATIC);
	case TOW__DB_BLOB:
		return sqlite3_bind_blob(stmt, at, bytes, (int)value->bytes.len, SQLITE_STATIC);
	case TOW__DB_NULL: break;
	}
	return sqlite3_bind_null(stmt, at);
}

static void end(struct tow__db *db, void *handle)
{
	(void)db;
	sqlite3_reset(handle);
	sqlite3_clear_bindings(handle);
}

/* "$1" is a name to SQLite, numbered by first appearance: the same number, as SQL
 * here is written. */
static void *start(struct tow__db *db, const char *sql, const struct tow__db_value *args,
                   size_t count)
{
	sqlite3_stmt *stmt = prepared(of(db), sql);
	int code = SQLITE_OK;

	for (size_t i = 0; stmt && !code && i < count; i++)
		code = bind(stmt, (int)i + 1, &args[i]);
	if (code) {
		fail(of(db), code);
		end(db, stmt);
		return NULL;
	}
	return stmt;
}

static int step(struct tow__db *db, void *handle)
{
	int code = sqlite3_step(handle);

	if (code == SQLITE_ROW)
		return 1;
	if (code != SQLITE_DONE)
		fail(of(db), code);
	return 0;
}

static uint64_t changed(struct tow__db *db, void *handle)
{
	(void)handle;
	return (uint64_t)sqlite3_changes64(of(db)->handle);
}

static int is_null(void *handle, int column)
{
	return sqlite3_column_type(handle, column) == SQLITE_NULL;
}

static int64_t get_int(void *handle, int column)
{
	return sqlite3_column_int64(handle, column);
}

static struct tow_slice get_bytes(void *handle, int column)
{
	const void *base = sqlite3_column_blob(handle, column);

	return tow_slice_make(base, base ? (size_t)sqlite3_column_bytes(handle, column) : 0);
}

const struct tow__db_driver tow__db_sqlite = {
	.name = "sqlite",
	.connections = 4,
	.open = open_,
	.close = close_,
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
};
