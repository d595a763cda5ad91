/* SPDX-License-Identifier: MIT */
#include "postgres_server.h"

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "store/db.h"

#define STARTS_WITHIN_MS 60000

static struct {
	char dir[64];
	pid_t pid; /* 0: does not run */
	unsigned schemas;
} server;

/* The newest version's programs; 0: there are none. */
static int find_programs(char *out, size_t cap)
{
	glob_t found;
	int version = 0;

	if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found))
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		long this = strtol(found.gl_pathv[i] + strlen("/usr/lib/postgresql/"), NULL, 10);
		if (this > version) {
			version = (int)this;
			snprintf(out, cap, "%.*s", (int)(strlen(found.gl_pathv[i]) - strlen("/postgres")),
			         found.gl_pathv[i]);
		}
	}
	globfree(&found);
	return version;
}

int postgres_installed(void)
{
	char path[128];

	return find_programs(path, sizeof path) > 0;
}

void postgres_is_not_installed(void **state)
{
	(void)state;
	fprintf(stderr, "# PostgreSQL is not installed: the tests on it are left out\n");
}

/* PostgreSQL refuses to be run by root. */
static const struct passwd *user(void)
{
	const struct passwd *pw = NULL;

	if (geteuid() == 0) {
		pw = getpwnam("postgres");
		if (!pw)
			pw = getpwnam("nobody");
		assert_non_null(pw);
	}
	return pw;
}

/* arguments: after the program's name, NULL at the end. */
static pid_t run(const char *program, const char *const *arguments)
{
	const struct passwd *pw = user();
	char path[160], log[80];
	char *argv[24] = { path };
	pid_t pid, parent = getpid();

	assert_true(find_programs(path, sizeof path - 16));
	strncat(path, "/", 2);
	strncat(path, program, 12);
	snprintf(log, sizeof log, "%s/log", server.dir);
	for (size_t i = 0; arguments[i]; i++)
		argv[i + 1] = (char *)(uintptr_t)arguments[i];
	pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	if (pw && (setgroups(0, NULL) || setgid(pw->pw_gid) || setuid(pw->pw_uid)))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
	if (getppid() != parent)
		_exit(126);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || chdir(server.dir))
		_exit(126);
	execv(path, argv);
	_exit(127);
}

static void show_log(void)
{
	char path[80], line[500];
	FILE *file;

	snprintf(path, sizeof path, "%s/log", server.dir);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file))
		fprintf(stderr, "# %s", line);
	if (file)
		fclose(file);
}

static void dsn_of(const char *schema, char dsn[POSTGRES_DSN_SIZE])
{
	snprintf(dsn, POSTGRES_DSN_SIZE, "postgres://towonel@/postgres?host=%s%s%s", server.dir,
	         schema ? "&options=-csearch_path%3D" : "", schema ? schema : "");
}

static int answers(void)
{
	char dsn[POSTGRES_DSN_SIZE];
	struct tow__db *db;
	int ok;

	dsn_of(NULL, dsn);
	if (tow__db_open("postgres", dsn, NULL, &db, NULL))
		return 0;
	tow__db_begin(db, TOW__DB_WRITE);
	ok = !tow__db_commit(db, NULL);
	tow__db_close(db);
	return ok;
}

void postgres_start(void)
{
	char data[80];
	const char *const arguments[] = { "-D", data,  "-k", server.dir, "-c", "listen_addresses=",
		                    "-c", "shared_buffers=16MB", "-c", "fsync=on", NULL };

	assert_int_equal(server.pid, 0);
	snprintf(data, sizeof data, "%s/data", server.dir);
	for (int waited_ms = 0;; waited_ms += 20) {
		if (!server.pid)
			server.pid = run("postgres", arguments);
		usleep(20 * 1000);
		/* after a kill it ends until the last trace of the old one has gone */
		if (waitpid(server.pid, NULL, WNOHANG) == server.pid)
			server.pid = 0;
		else if (answers())
			return;
		if (waited_ms > STARTS_WITHIN_MS) {
			show_log();
			fail_msg("PostgreSQL does not start");
		}
	}
}

static void make(void)
{
	const struct passwd *pw = user();
	char data[80];
	const char *const arguments[] = { "-D", data, "-U", "towonel", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
		                    "--no-sync", NULL };
	int status;

	snprintf(server.dir, sizeof server.dir, "/tmp/towonel-pg-XXXXXX");
	assert_non_null(mkdtemp(server.dir));
	if (pw)
		assert_int_equal(chown(server.dir, pw->pw_uid, pw->pw_gid), 0);
	snprintf(data, sizeof data, "%s/data", server.dir);
	assert_true(waitpid(run("initdb", arguments), &status, 0) > 0);
	if (status) {
		show_log();
		fail_msg("initdb fails");
	}
	postgres_start();
}

static void execute(const char *sql)
{
	char dsn[POSTGRES_DSN_SIZE];
	struct tow__db *db;
	struct tow_error err;

	dsn_of(NULL, dsn);
	assert_int_equal(tow__db_open("postgres", dsn, NULL, &db, NULL), 0);
	tow__db_begin(db, TOW__DB_WRITE);
	tow__db_script(db, sql);
	if (tow__db_commit(db, &err))
		fail_msg("%s: %s", sql, err.text);
	tow__db_close(db);
}

void postgres_schema_make(char dsn[POSTGRES_DSN_SIZE])
{
	char schema[16], sql[80];

	if (!server.dir[0])
		make();
	else if (!server.pid)
		postgres_start(); /* a test that failed has left it down */
	if (dsn[0]) {
		snprintf(schema, sizeof schema, "%s", strstr(dsn, "search_path%3D") + strlen("search_path%3D"));
	} else {
		snprintf(schema, sizeof schema, "s%u", ++server.schemas);
		dsn_of(schema, dsn);
	}
	snprintf(sql, sizeof sql, "CREATE SCHEMA %s", schema);
	execute(sql);
}

void postgres_schema_drop(const char *dsn)
{
	char sql[80];

	if (!server.pid)
		postgres_start();
	snprintf(sql, sizeof sql, "DROP SCHEMA %s CASCADE", strstr(dsn, "search_path%3D") + strlen("search_path%3D"));
	execute(sql);
}

static void end_with(int signal)
{
	assert_true(server.pid > 0);
	kill(server.pid, signal);
	assert_int_equal(waitpid(server.pid, NULL, 0), server.pid);
	server.pid = 0;
}

void postgres_stop(void)
{
	end_with(SIGINT);
}

/* Sends a signal to the processes that the server has started. */
static void signal_children(int signal)
{
	char path[80], line[4096] = "";
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)server.pid, (int)server.pid);
	file = fopen(path, "r");
	assert_non_null(file);
	if (fgets(line, sizeof line, file))
		for (char *at = line, *end; *at && *at != '\n'; at = end) {
			pid_t child = (pid_t)strtol(at, &end, 10);
			if (end == at)
				break;
			kill(child, signal);
		}
	fclose(file);
}

void postgres_kill(void)
{
	/* so that it makes no more of them while they are counted */
	kill(server.pid, SIGSTOP);
	signal_children(SIGKILL);
	end_with(SIGKILL);
}

void postgres_freeze(int freeze)
{
	if (freeze)
		kill(server.pid, SIGSTOP);
	signal_children(freeze ? SIGSTOP : SIGCONT);
	if (!freeze)
		kill(server.pid, SIGCONT);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void postgres_end(void)
{
	if (!server.dir[0])
		return;
	if (server.pid)
		end_with(SIGINT);
	nftw(server.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	server.dir[0] = '\0';
}
