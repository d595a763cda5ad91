/* SPDX-License-Identifier: MIT */
/* Where a node keeps what it has. */
#include "cli/doctor_node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ROOM_ILL      (32ULL << 20)
#define ROOM_DOUBTFUL (256ULL << 20)
#define TRIAL_SIZE    65536

/* Writes and syncs a file, as the database does. Returns 0, or errno. */
static int try_to_write(const char *directory)
{
	static const char bytes[TRIAL_SIZE];
	char path[4096];
	int why = 0;
	snprintf(path, sizeof path, "%s/.doctor-XXXXXX", directory);
	int fd = mkstemp(path);
	if (fd < 0)
		return errno;
	if (write(fd, bytes, sizeof bytes) != (ssize_t)sizeof bytes)
		why = errno ? errno : ENOSPC;
	else if (fsync(fd) != 0)
		why = errno;
	close(fd);
	unlink(path);
	return why;
}

static void judge_directory(struct doctor *doctor, const char *directory)
{
	static const char fix[] = "make room on that file system: a hub that cannot write refuses "
				  "every change";
	struct statvfs disk;
	if (statvfs(directory, &disk) != 0) {
		doctor_find(doctor, ILL, "disk", "TOWONEL_DATA_DIR has to be the node's", "%s: %s",
		            directory, strerror(errno));
		return;
	}
	uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
	errno = 0;
	int why = room < ROOM_ILL && room < TRIAL_SIZE ? ENOSPC : try_to_write(directory);
	if (why == EACCES || why == EROFS || why == EPERM)
		doctor_find(doctor, ILL, "disk",
		            "run this as root or as the node's user; the directory has to be that "
		            "user's",
		            "%s cannot be written to: %s", directory, strerror(why));
	else if (why != 0 || room < ROOM_ILL)
		doctor_find(doctor, ILL, "disk", fix, "%s has room for %" PRIu64 " MiB%s%s",
		            directory, room >> 20, why ? ": " : "", why ? strerror(why) : "");
	else
		doctor_find(doctor, room < ROOM_DOUBTFUL ? DOUBTFUL : WELL, "disk",
		            room < ROOM_DOUBTFUL ? fix : NULL,
		            "%s can be written to, and has room for %" PRIu64 " MiB", directory,
		            room >> 20);
}

void doctor_judge_disk(struct doctor *doctor, const struct settings *settings)
{
	const char *file = settings->hub_enabled ? settings->db_dsn : NULL, *slash;
	char directory[4096];
	judge_directory(doctor, settings->data_dir);
	if (!file || strcmp(settings->db_driver, "sqlite") != 0)
		return;
	slash = strrchr(file, '/');
	snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - file) : 1,
	         slash ? file : ".");
	if (directory[0] && strcmp(directory, settings->data_dir) != 0)
		judge_directory(doctor, directory);
}

/* --- the database --- */

static int is_postgres(const struct settings *settings)
{
	return settings->hub_enabled && settings->db_dsn &&
	       strcmp(settings->db_driver, "postgres") == 0;
}

/* postgres://USER:PASSWORD@HOST:PORT/DATABASE?... The password never goes on. */
static int server_of(const char *dsn, char host[TOW_HOSTNAME_SIZE], uint16_t *port)
{
	char authority[TOW_HOSTNAME_SIZE + 8];
	const char *from = strstr(dsn, "://"), *at;
	if (!from)
		return -1;
	from += 3;
	size_t len = strcspn(from, "/?");
	while ((at = memchr(from, '@', len)) != NULL) {
		len -= (size_t)(at + 1 - from);
		from = at + 1;
	}
	int has_port = len > 0 && memchr(from, ':', len) && from[len - 1] != ']';
	if (len == 0 || len >= TOW_HOSTNAME_SIZE)
		return -1;
	snprintf(authority, sizeof authority, "%.*s%s", (int)len, from, has_port ? "" : ":5432");
	return tow_host_port_split(tow_slice_of(authority), host, port, NULL);
}

void doctor_probe_database(const struct settings *settings, struct probe *probe)
{
	char host[TOW_HOSTNAME_SIZE];
	uint16_t port;
	if (is_postgres(settings) && server_of(settings->db_dsn, host, &port) == 0)
		probe_tcp(probe, host, port);
}

void doctor_judge_database(struct doctor *doctor, const struct settings *settings,
                           const struct probe *server, const json_t *status)
{
	const char *store = cli_text(json_object_get(status, "hub"), "store");
	if (server->kind != PROBE_NONE && server->error.code != 0)
		doctor_find(doctor, ILL, "database",
		            "start PostgreSQL, let this host in, or mend TOWONEL_HUB_DB_DSN",
		            "PostgreSQL on %s:%u: %s", server->host, server->port,
		            server->error.text);
	if (*store && strcmp(store, "ok") != 0)
		doctor_find(doctor, ILL, "database",
		            is_postgres(settings) ? "see PostgreSQL's log, and the node's"
		                                  : "is the disk full, or the file another's?",
		            "the hub says: %s", store);
	else if (*store)
		doctor_find(doctor, WELL, "database", NULL, "%s: the hub reads it",
		            is_postgres(settings) ? "PostgreSQL" : "SQLite");
}
