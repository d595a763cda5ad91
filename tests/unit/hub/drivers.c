/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "drivers.h"
#include "postgres_server.h"

static int stop_server(void **state)
{
	(void)state;
	postgres_end();
	return 0;
}

static size_t add(struct CMUnitTest *all, size_t at, const struct CMUnitTest *tests, size_t count,
                  char *driver, char (*names)[120])
{
	for (size_t i = 0; i < count; i++, at++) {
		all[at] = tests[i];
		all[at].initial_state = driver;
		snprintf(names[at], sizeof names[at], "%s on %s", tests[i].name, driver);
		all[at].name = names[at];
	}
	return at;
}

int run_on_drivers(const struct CMUnitTest *tests, size_t count, const struct CMUnitTest *sqlite,
                   size_t sqlite_count)
{
	static char on_sqlite[] = "sqlite", on_postgres[] = "postgres";
	const struct CMUnitTest missing[] = { cmocka_unit_test(postgres_is_not_installed) };
	static struct CMUnitTest all[100];
	static char names[100][120];
	size_t n;

	if (2 * count + sqlite_count + 1 > sizeof all / sizeof *all)
		return 1;
	n = add(all, 0, tests, count, on_sqlite, names);
	n = add(all, n, sqlite, sqlite_count, on_sqlite, names);
	if (postgres_installed())
		n = add(all, n, tests, count, on_postgres, names);
	else
		n = add(all, n, missing, 1, on_postgres, names);
	return _cmocka_run_group_tests("drivers", all, n, NULL, stop_server);
}
