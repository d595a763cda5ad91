/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_STORE_DSN_H
#define TOWONEL_HUB_STORE_DSN_H

/* The name of a PostgreSQL database, postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE as
 * libpq reads it. It holds a password, so no message may repeat it. */

#include <stddef.h>
#include <towonel/wire/error.h>

/* Is it one, and one in which nobody can take a piece of the password for the host or the port (and
 * show it in an error)? place: what may be shown of it. Returns 0, TOW_ECONFIG, TOW_ENOMEM. */
int tow__dsn_check(const char *dsn, char *place, size_t cap, struct tow_error *err);

#endif
