/* SPDX-License-Identifier: MIT */
#include "store/schema.h"

/* Relative to the top of the source tree, where make runs; lib.mk names the
 * files as prerequisites. */
#define SCHEMA(number)                                                                             \
	__asm__(".pushsection .rodata\n"                                                           \
	        ".local tow__schema_" number "\n"                                                  \
	        "tow__schema_" number ": .incbin \"libtowonel-hub/src/store/schema/" number        \
	        ".sql\"\n"                                                                         \
	        ".byte 0\n"                                                                        \
	        ".popsection\n");
SCHEMA("001")
extern const char tow__schema_001[];

static const char *const files[] = { tow__schema_001 };

static int migrate(struct tow__db *db, struct tow_error *err)
{
	const uint64_t newest = sizeof files / sizeof *files;
	struct tow__db_rows rows;
	uint64_t at = 0;

	tow__db_begin(db, TOW__DB_WRITE);
	tow__db_script(db, "CREATE TABLE IF NOT EXISTS meta (key TEXT NOT NULL PRIMARY KEY, "
	                   "value BIGINT NOT NULL)");
	for (rows = tow__db_query(db, "SELECT value FROM meta WHERE key = 'schema'", TOW__NO_ARGS);
	     tow__db_next(&rows);)
		at = tow__db_get_int(&rows, 0);
	if (at > newest)
		tow__db_fail(db, TOW_EDB,
		             "the database has schema %llu, this program knows up to %llu: it was "
		             "used by a "
		             "newer version; run that one, or restore a backup",
		             (unsigned long long)at, (unsigned long long)newest);
	for (uint64_t i = at; i < newest; i++)
		tow__db_script(db, files[i]);
	if (at != newest)
		tow__db_run(db,
		            "INSERT INTO meta (key, value) VALUES ('schema', $1) "
		            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		            TOW__ARGS(tow__db_int(newest)));
	return tow__db_commit(db, err);
}

int tow__schema_migrate(struct tow__db *db, struct tow_error *err)
{
	int r = migrate(db, err);

	/* another hub on the same tables, once in a blue moon */
	return r && tow__db_transient(db) ? migrate(db, err) : r;
}
