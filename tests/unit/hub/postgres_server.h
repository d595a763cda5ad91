/* SPDX-License-Identifier: MIT */
#ifndef POSTGRES_SERVER_H
#define POSTGRES_SERVER_H

/*
 * A PostgreSQL of the test's own, from the system's package: in a temporary directory, on a socket
 * there, as another user when the tests run as root. It starts when a schema is first asked for,
 * and ends with _end, or with the program. Failures end the test.
 */

int postgres_installed(void);
/* The test to run when it is not: says so, where it is seen. (cmocka's skip() writes "not ok", which
 * is a failure to what reads it.) */
void postgres_is_not_installed(void **state);

#define POSTGRES_DSN_SIZE 160
/* An empty schema, which is where the dsn leads; dsn[0] != 0: the same again. */
void postgres_schema_make(char dsn[POSTGRES_DSN_SIZE]);
void postgres_schema_drop(const char *dsn);

void postgres_stop(void); /* in order; clients are cut off */
void postgres_kill(void); /* every process of it, as a power cut would */
void postgres_start(void);
void postgres_freeze(int freeze); /* every process of it stands still; 0: goes on */
void postgres_end(void); /* stops, and removes the directory; nothing when it never started */

#endif
