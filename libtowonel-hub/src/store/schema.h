/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_STORE_SCHEMA_H
#define TOWONEL_HUB_STORE_SCHEMA_H

/* The files schema/NNN.sql, compiled in, and the bringing up to date of a database by them. */

#include "store/db.h"

/* In one transaction, so that a start that is cut short has done nothing. Returns 0; TOW_EDB for a
 * database that a newer program has been at, or what the database says. */
int tow__schema_migrate(struct tow__db *db, struct tow_error *err);

#endif
