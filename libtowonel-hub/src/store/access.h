/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_STORE_ACCESS_H
#define TOWONEL_HUB_STORE_ACCESS_H

/*
 * Who may come to a service, as a column has it: "192.0.2.0/24,2001:db8::/32!192.0.2.7", those
 * allowed before the mark, those denied after it; "" for everybody.
 */

#include <towonel/wire/access.h>

#include "store/db.h"

#define TOW__ACCESS_TEXT_SIZE (TOW_ACCESS_PREFIXES_MAX * TOW_PREFIX_TEXT_SIZE)

/* Returns out. */
char *tow__access_text(const struct tow_access *access, char out[TOW__ACCESS_TEXT_SIZE]);
/* What is there but no such text is a failure of the transaction: nobody is let in by mistake. */
void tow__access_get(const struct tow__db_rows *rows, int column, struct tow_access *out);

#endif
