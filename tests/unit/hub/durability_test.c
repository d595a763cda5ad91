/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "drivers.h"

static void a_newer_database_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tow_error err;
	struct tow__store *store = NULL;

	tow__store_close(f->store);
	f->store = NULL;
	fixture_sql(f, "UPDATE meta SET value = value + 1 WHERE key = 'schema'");
	assert_int_equal(tow__store_open(&f->config, 1, &store, &err), TOW_EDB);
	assert_non_null(strstr(err.text, "newer version"));
	assert_non_null(strstr(err.text, f->dsn[0] ? "/postgres: " : f->path));
	fixture_sql(f, "UPDATE meta SET value = value - 1 WHERE key = 'schema'");
	fixture_reopen(f);
}

/* A start that dies in the middle of a migration has done nothing. */
static void a_migration_is_one_transaction(void **state)
{
	struct fixture *f = *state;
	struct tow_error err;
	struct tow__store *store = NULL;

	tow__store_close(f->store);
	f->store = NULL;
	fixture_empty(f);
	fixture_sql(f, "CREATE TABLE agents (in_the_way INT)");
	assert_int_equal(tow__store_open(&f->config, 1, &store, &err), TOW_EDB);
	fixture_sql(f, "DROP TABLE agents");
	/* meta or tenants, left behind, would be in the way now */
	fixture_reopen(f);
}

static void what_cannot_be_opened_is_named(void **state)
{
	struct fixture *f = *state;
	struct tow__store_config config = f->config;
	struct tow__store *store = NULL;
	struct tow_error err;
	struct stat st;
	char path[128];
	FILE *file;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	config.driver = "oracle";
	assert_int_equal(tow__store_open(&config, 1, &store, &err), TOW_ECONFIG);
	assert_non_null(strstr(err.text, "oracle"));
	config = f->config;
	snprintf(path, sizeof path, "%s/no/such/hub.db", f->dir);
	config.dsn = path;
	assert_int_equal(tow__store_open(&config, 1, &store, &err), TOW_EIO);
	assert_non_null(strstr(err.text, path));
	snprintf(path, sizeof path, "%s/text", f->dir);
	file = fopen(path, "w");
	assert_non_null(file);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", file);
	fclose(file);
	assert_int_equal(tow__store_open(&config, 1, &store, &err), TOW_EDB);
	assert_non_null(strstr(err.text, path));
	unlink(path);
}

/* A limit on the size of files, as a full disk: the write that does not fit is refused whole, the
 * hub goes on reading, and the same write works when there is room. */
static void a_full_disk_refuses_and_recovers(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	struct tow__fault fault = { 0 };
	struct tow_entry e;
	struct rlimit before, small;
	char name[64], wal[100];
	struct stat st;
	uint64_t version = 0;
	int accepted = 0, r = 0;

	signal(SIGXFSZ, SIG_IGN);
	tenant_make_ok(f, &t, "t", "*.t.eu");
	snprintf(wal, sizeof wal, "%s-wal", f->path);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = (rlim_t)st.st_size + 256 * 1024;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 1000 && !r; i++) {
		snprintf(name, sizeof name, "n%d.t.eu", i);
		e = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, name);
		version = tow__store_version(f->store);
		r = submit(f, &t, &e, 1, &fault);
		accepted += !r;
	}
	assert_int_equal(r, TOW__UNAVAILABLE);
	assert_true(accepted > 3);
	assert_int_equal(tow__store_version(f->store), version);
	fault.kind = TOW__NO_FAULT;
	assert_int_equal(tow__store_ping(f->store, &fault), 0);
	assert_int_equal(submit(f, &t, &e, 1, &fault), TOW__UNAVAILABLE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	submit_ok(f, &t, e);
	fixture_reopen(f);
	submit_refused(f, &t, e, TOW__SEQUENCE_CONFLICT, "");
	e = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, "more.t.eu");
	submit_ok(f, &t, e);
	tenant_deinit(&t);
}

static int sum(void *user, uint64_t sequence, struct tow_slice jws)
{
	struct tow_entry e;

	assert_int_equal(tow_entry_peek(jws, &e, NULL), 0);
	assert_int_equal(e.sequence, sequence);
	((uint8_t *)user)[sequence] = 1;
	return 0;
}

static int find_tenant(void *user, const struct tow__tenant *tenant)
{
	*(size_t *)user = tenant->hostnames.count;
	return 0;
}

/* The child says a number once its entry is acknowledged; killed at any moment, it leaves behind
 * all that it said, and for each entry in the log the hostname, and for no other. */
static void killed_at_any_moment_nothing_acknowledged_is_missing(void **state)
{
	struct fixture *f = *state;
	struct tenant t;
	uint64_t next = 1;

	tenant_make_ok(f, &t, "t", "*.t.eu");
	srandom(7);
	for (int round = 0; round < 12; round++) {
		static uint8_t seen[1 << 20];
		struct tow__fault fault = { 0 };
		struct tow__page page = { 1, 0 }, all = { 1 << 20, 0 };
		int fds[2];
		uint64_t said, last, latest = 0, total;
		size_t hostnames = 0, logged = 0;
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		tow__store_close(f->store);
		f->store = NULL;
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			struct tow_error err;
			close(fds[0]);
			if (tow__store_open(&f->config, 1, &f->store, &err))
				_exit(1);
			for (t.sequence = next - 1;;) {
				struct tow_entry e = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, NULL);
				snprintf(e.name, sizeof e.name, "n%llu.t.eu",
				         (unsigned long long)e.sequence);
				if (submit(f, &t, &e, 1, &fault))
					_exit(2);
				if (write(fds[1], &e.sequence, sizeof e.sequence) !=
				    sizeof e.sequence)
					_exit(3);
			}
		}
		close(fds[1]);
		/* at least one, then some time into the next ones */
		assert_int_equal(read(fds[0], &said, sizeof said), sizeof said);
		last = said;
		usleep((useconds_t)(random() % 40000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		while (read(fds[0], &said, sizeof said) == sizeof said)
			last = said;
		close(fds[0]);

		fixture_reopen(f);
		memset(seen, 0, sizeof seen);
		assert_int_equal(tow__store_entries(f->store, &t.invite.tenant_id, &all, sum, seen,
		                                    &latest, &fault),
		                 0);
		assert_true(latest >= last && latest <= last + 1);
		for (uint64_t i = 1; i <= latest; i++)
			logged += seen[i];
		assert_int_equal(logged, latest);
		assert_int_equal(tow__store_tenant_list(f->store, &page, NOW, find_tenant,
		                                        &hostnames, &total, &fault),
		                 0);
		assert_int_equal(hostnames, latest);
		next = latest + 1;
	}
	tenant_deinit(&t);
}

/* Several processes at once on a database that is not there yet: all of them get it, and of those
 * who want the same hostname exactly one does. */
static void processes_that_race_leave_one_winner(void **state)
{
	enum { COUNT = 6 };
	struct fixture *f = *state;

	for (int round = 0; round < 5; round++) {
		pid_t pids[COUNT];
		int gate[2], winners = 0, status;
		char byte;

		tow__store_close(f->store);
		f->store = NULL;
		fixture_empty(f);
		assert_int_equal(pipe(gate), 0);
		for (int i = 0; i < COUNT; i++) {
			pids[i] = fork();
			assert_true(pids[i] >= 0);
			if (!pids[i]) {
				struct tow_error err;
				struct tow__fault fault;
				struct tenant t;
				close(gate[1]);
				if (read(gate[0], &byte, 1) != 0)
					_exit(3);
				if (tow__store_open(&f->config, 1, &f->store, &err)) {
					fprintf(stderr, "%s\n", err.text);
					_exit(4);
				}
				switch (tenant_make(f, &t, "t", "wanted.eu", &fault)) {
				case TOW__NO_FAULT: _exit(0);
				case TOW__HOSTNAME_CONFLICT: _exit(1);
				default: fprintf(stderr, "%s\n", fault.text); _exit(5);
				}
			}
		}
		close(gate[0]);
		close(gate[1]); /* go */
		for (int i = 0; i < COUNT; i++) {
			assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
			assert_true(WIFEXITED(status));
			assert_true(WEXITSTATUS(status) <= 1);
			winners += !WEXITSTATUS(status);
		}
		assert_int_equal(winners, 1);
		fixture_reopen(f);
	}
}

int main(void)
{
	const struct CMUnitTest both[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(a_newer_database_is_refused),
		T(a_migration_is_one_transaction),
		T(processes_that_race_leave_one_winner),
		T(killed_at_any_moment_nothing_acknowledged_is_missing),
	};
	const struct CMUnitTest files[] = {
		T(what_cannot_be_opened_is_named),
		T(a_full_disk_refuses_and_recovers),
	};
	return run_on_drivers(both, sizeof both / sizeof *both, files,
	                      sizeof files / sizeof *files);
}
