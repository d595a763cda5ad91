/* SPDX-License-Identifier: MIT */

#include "tls/cert_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <towonel/tunnel/key_file.h>
#include <towonel/wire/hostname.h>

#define CHAIN  ".crt"
#define KEY    ".key"
#define RECORD ".json"

static int path_of(char path[PATH_MAX], const char *directory, const char *name, const char *suffix)
{
	int len = snprintf(path, PATH_MAX, "%s/%s%s", directory, name, suffix);

	return len > 0 && len < PATH_MAX ? 0 : TOW_EIO;
}

int tow__cert_files_each(const char *directory, void (*visit)(void *user, const char *name),
                         void *user, struct tow_error *err)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	if (dir == NULL)
		return tow_error_set(err,
		                     errno == ENOENT   ? TOW_ENOTFOUND
		                     : errno == EACCES ? TOW_EDENIED
		                                       : TOW_EIO,
		                     "cannot read %s: %s", directory, strerror(errno));
	while ((entry = readdir(dir)) != NULL) {
		const char *dot = strrchr(entry->d_name, '.');
		char name[TOW_HOSTNAME_SIZE];

		if (dot != NULL && (strcmp(dot, CHAIN) == 0 || strcmp(dot, RECORD) == 0) &&
		    tow_hostname_parse(tow_slice_make(entry->d_name, (size_t)(dot - entry->d_name)),
		                       TOW_HOSTNAME_EXACT, name, NULL) == 0)
			visit(user, name);
	}
	closedir(dir);
	return 0;
}

static int stamp_file(const char *directory, const char *name, const char *suffix, uint64_t out[3])
{
	char path[PATH_MAX];
	struct stat st;

	if (path_of(path, directory, name, suffix) != 0 || stat(path, &st) != 0)
		return TOW_ENOTFOUND;
	out[0] = (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
	out[1] = (uint64_t)st.st_ino;
	out[2] = (uint64_t)st.st_size;
	return 0;
}

void tow__cert_files_stamp(const char *directory, const char *name, struct cert_stamp *out)
{
	if (stamp_file(directory, name, CHAIN, out->chain) != 0 ||
	    stamp_file(directory, name, KEY, out->key) != 0)
		*out = (struct cert_stamp){ .chain = { 0 } };
}

int tow__cert_files_read(const char *directory, const char *name, struct tow_buf *chain,
                         struct tow_buf *key, int *open_to_others, struct tow_error *err)
{
	char path[PATH_MAX];
	struct stat st;
	int rc = path_of(path, directory, name, CHAIN);

	if (rc == 0)
		rc = tow_file_read(path, TOW_CERT_CHAIN_MAX, chain, err);
	if (rc == 0)
		rc = path_of(path, directory, name, KEY);
	if (rc == 0)
		rc = tow_file_read(path, TOW_CERT_KEY_MAX, key, err);
	if (rc == 0)
		*open_to_others = stat(path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0;
	return rc;
}

int tow__cert_files_read_chain(const char *directory, const char *name, struct tow_buf *out)
{
	char path[PATH_MAX];
	int rc = path_of(path, directory, name, CHAIN);

	return rc != 0 ? rc : tow_file_read(path, TOW_CERT_CHAIN_MAX, out, NULL);
}

int tow__cert_files_read_record(const char *directory, const char *name, struct tow_buf *out)
{
	char path[PATH_MAX];
	int rc = path_of(path, directory, name, RECORD);

	return rc != 0 ? rc : tow_file_read(path, TOW_CERT_RECORD_MAX, out, NULL);
}

static int replace(const char *directory, const char *name, const char *suffix,
                   struct tow_slice bytes, unsigned mode, struct tow_error *err)
{
	char path[PATH_MAX];

	if (bytes.len == 0)
		return 0;
	if (path_of(path, directory, name, suffix) != 0)
		return tow_error_set(err, TOW_EIO, "the path of %s is too long", name);
	return tow_file_replace(path, bytes, mode, err);
}

int tow__cert_files_write(const char *directory, const char *name, struct tow_slice chain,
                          struct tow_slice key, struct tow_slice record, struct tow_error *err)
{
	int rc = tow_directory_make(directory, err);

	if (rc == 0)
		rc = replace(directory, name, RECORD, record, 0600, err);
	if (rc == 0)
		rc = replace(directory, name, KEY, key, 0600, err);
	if (rc == 0)
		rc = replace(directory, name, CHAIN, chain, 0644, err);
	return rc;
}

int tow__cert_files_remove(const char *directory, const char *name, struct tow_error *err)
{
	static const char *const suffixes[] = { CHAIN, KEY, RECORD };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		if (path_of(path, directory, name, suffixes[i]) != 0)
			return tow_error_set(err, TOW_EIO, "the path of %s is too long", name);
		if (unlink(path) != 0 && errno != ENOENT)
			return tow_error_set(err, TOW_EIO, "cannot remove %s: %s", path,
			                     strerror(errno));
	}
	return 0;
}
