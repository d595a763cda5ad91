/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_CLI_ENV_FILE_H
#define TOWONEL_BIN_CLI_ENV_FILE_H

/*
 * The environment that a service runs in: this process's own, and what a file adds to it, read as
 * systemd reads an EnvironmentFile: NAME=VALUE on lines, comments after "#" or ";", values bare or
 * in quotes, which may hold several lines.
 */

#include <stddef.h>
#include <towonel/wire/error.h>

struct env {
	char **items; /* NULL-terminated, as environ is; a reader of settings may take some out */
	char **owned;
	size_t count;
};

void env_init(struct env *env);   /* a copy of this process's */
void env_deinit(struct env *env); /* wipes it: some are secrets */
/* What is set already stays. Returns 0; TOW_EPARSE; or as tow_file_read. */
int env_add_file(struct env *env, const char *path, struct tow_error *err);
void env_add(struct env *env, const char *name, const char *value);
const char *env_get(const struct env *env, const char *name); /* NULL: not set, or empty */

#endif
