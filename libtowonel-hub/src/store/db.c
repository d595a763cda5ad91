/* SPDX-License-Identifier: MIT */
#include "store/db.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct tow__db_driver *const drivers[] = { &tow__db_sqlite, &tow__db_postgres };

static const struct tow__db_driver *driver_named(const char *name)
{
	for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
		if (!strcmp(drivers[i]->name, name))
			return drivers[i];
	return NULL;
}

struct tow__db_value tow__db_null(void)
{
	return (struct tow__db_value){ TOW__DB_NULL, 0, { NULL, 0 } };
}

struct tow__db_value tow__db_int(uint64_t value)
{
	return (struct tow__db_value){ TOW__DB_INT,
		                       value > INT64_MAX ? INT64_MAX : (int64_t)value,
		                       { NULL, 0 } };
}

struct tow__db_value tow__db_text(const char *text)
{
	return (struct tow__db_value){ TOW__DB_TEXT, 0, tow_slice_of(text) };
}

struct tow__db_value tow__db_blob(const void *bytes, size_t len)
{
	return (struct tow__db_value){ TOW__DB_BLOB, 0, tow_slice_make(bytes, len) };
}

struct tow__db_value tow__db_id(const struct tow_id *id)
{
	return tow__db_blob(id->bytes, sizeof id->bytes);
}

int tow__db_open(const char *name, const char *dsn, struct tow__db_gate *gate, struct tow__db **out,
                 struct tow_error *err)
{
	const struct tow__db_driver *driver = driver_named(name);
	struct tow__db *db;
	int r;

	if (!driver)
		return tow_error_set(err, TOW_ECONFIG,
		                     "there is no database driver \"%s\": sqlite or postgres",
		                     name);
	r = driver->open(dsn, &db, err);
	if (r)
		return r;
	db->driver = driver;
	db->gate = gate ? gate : &db->own_gate;
	*out = db;
	return 0;
}

const char *tow__db_place(const struct tow__db *db)
{
	return db->place;
}

size_t tow__db_connections(const char *name)
{
	const struct tow__db_driver *driver = driver_named(name);

	return driver ? driver->connections : 0;
}

void tow__db_close(struct tow__db *db)
{
	if (db)
		db->driver->close(db);
}

void tow__db_begin(struct tow__db *db, enum tow__db_access access)
{
	assert(!db->in_transaction);
	memset(&db->error, 0, sizeof db->error);
	db->transient = 0;
	db->in_transaction = 1;
	db->driver->begin(db, access);
}

void tow__db_begin_failed(struct tow__db *db, const struct tow_error *err)
{
	assert(!db->in_transaction);
	db->error = *err;
	db->transient = 0;
	db->in_transaction = 1;
}

int tow__db_commit(struct tow__db *db, struct tow_error *err)
{
	assert(db->in_transaction);
	if (!db->error.code)
		db->driver->commit(db);
	if (db->error.code) {
		struct tow_error error = db->error;
		tow__db_rollback(db);
		return tow_error_set(err, error.code, "%s", error.text);
	}
	db->in_transaction = 0;
	return 0;
}

void tow__db_rollback(struct tow__db *db)
{
	assert(db->in_transaction);
	db->driver->rollback(db);
	db->in_transaction = 0;
}

int tow__db_failed(const struct tow__db *db)
{
	return db->error.code;
}

int tow__db_transient(const struct tow__db *db)
{
	return db->transient;
}

void tow__db_announce(struct tow__db *db, uint64_t version)
{
	if (db->driver->announce)
		tow__db_run(db, db->driver->announce, TOW__ARGS(tow__db_int(version)));
}

int tow__db_listen(struct tow__db *db, int wake_fd, uint64_t *version)
{
	assert(!db->in_transaction);
	return db->driver->listen(db, wake_fd, version);
}

int tow__db_is_away(struct tow__db *db)
{
	return db->driver->is_away && db->driver->is_away(db);
}

int tow__db_is_shared(const struct tow__db *db)
{
	return db->driver->listen != NULL;
}

void tow__db_fail(struct tow__db *db, int code, const char *format, ...)
{
	char text[TOW_ERROR_TEXT_SIZE];
	va_list args;

	if (db->error.code)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	tow_error_set(&db->error, code, "%s", text);
}

void tow__db_script(struct tow__db *db, const char *sql)
{
	if (!db->error.code)
		db->driver->script(db, sql);
}

uint64_t tow__db_run(struct tow__db *db, const char *sql, const struct tow__db_value *args,
                     size_t count)
{
	uint64_t changed = 0;
	void *handle;

	assert(db->in_transaction);
	if (db->error.code)
		return 0;
	handle = db->driver->start(db, sql, args, count);
	if (!handle)
		return 0;
	while (db->driver->step(db, handle))
		;
	if (!db->error.code)
		changed = db->driver->changed(db, handle);
	db->driver->end(db, handle);
	return changed;
}

struct tow__db_rows tow__db_query(struct tow__db *db, const char *sql,
                                  const struct tow__db_value *args, size_t count)
{
	struct tow__db_rows rows = { db, NULL };

	assert(db->in_transaction);
	if (!db->error.code)
		rows.handle = db->driver->start(db, sql, args, count);
	return rows;
}

int tow__db_next(struct tow__db_rows *rows)
{
	if (!rows->handle)
		return 0;
	if (!rows->db->error.code && rows->db->driver->step(rows->db, rows->handle))
		return 1;
	tow__db_end(rows);
	return 0;
}

void tow__db_end(struct tow__db_rows *rows)
{
	if (rows->handle)
		rows->db->driver->end(rows->db, rows->handle);
	rows->handle = NULL;
}

int tow__db_is_null(const struct tow__db_rows *rows, int column)
{
	return rows->db->driver->is_null(rows->handle, column);
}

uint64_t tow__db_get_int(const struct tow__db_rows *rows, int column)
{
	int64_t value = rows->db->driver->get_int(rows->handle, column);

	return value < 0 ? 0 : (uint64_t)value;
}

struct tow_slice tow__db_get_bytes(const struct tow__db_rows *rows, int column)
{
	return rows->db->driver->get_bytes(rows->handle, column);
}

void tow__db_get_exactly(const struct tow__db_rows *rows, int column, void *out, size_t len)
{
	struct tow_slice bytes = tow__db_get_bytes(rows, column);

	if (bytes.len != len) {
		memset(out, 0, len);
		tow__db_fail(rows->db, TOW_EDB,
		             "the database has a value of %zu bytes where %zu belong", bytes.len,
		             len);
		return;
	}
	memcpy(out, bytes.base, len);
}

void tow__db_get_text(const struct tow__db_rows *rows, int column, char *out, size_t cap)
{
	struct tow_slice bytes = tow__db_get_bytes(rows, column);
	size_t len = bytes.len < cap ? bytes.len : cap - 1;

	if (len)
		memcpy(out, bytes.base, len);
	out[len] = '\0';
}
