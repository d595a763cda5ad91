/* SPDX-License-Identifier: MIT */
#ifndef DRIVERS_H
#define DRIVERS_H

/* Runs tests once on each driver: the initial state that their setup gets is the driver's name.
 * Without PostgreSQL on this machine its half is left out, which is said. Include after cmocka.h. */

/* Those of the second list run on SQLite alone. Returns what main does. */
int run_on_drivers(const struct CMUnitTest *tests, size_t count, const struct CMUnitTest *sqlite,
                   size_t sqlite_count);

#endif
