/* SPDX-License-Identifier: MIT */
#include "cli/env_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/key_file.h>
#include <towonel/wire/identity.h>

#define FILE_MAX (1024 * 1024)
#define BLANK    " \t\r"

extern char **environ;

static void add_text(struct env *env, const char *text)
{
	size_t size = (env->count + 2) * sizeof *env->items;
	env->items = realloc(env->items, size);
	env->owned = realloc(env->owned, size);
	char *copy = strdup(text);
	if (!env->items || !env->owned || !copy)
		abort();
	env->items[env->count] = env->owned[env->count] = copy;
	env->count++;
	env->items[env->count] = NULL;
}

void env_init(struct env *env)
{
	*env = (struct env){ 0 };
	for (char **item = environ; item && *item; item++)
		add_text(env, *item);
}

void env_deinit(struct env *env)
{
	for (size_t i = 0; i < env->count; i++) {
		tow_wipe(env->owned[i], strlen(env->owned[i]));
		free(env->owned[i]);
	}
	free(env->items);
	free(env->owned);
}

const char *env_get(const struct env *env, const char *name)
{
	size_t len = strlen(name);
	for (char **item = env->items; item && *item; item++)
		if (strncmp(*item, name, len) == 0 && (*item)[len] == '=')
			return (*item)[len + 1] ? *item + len + 1 : NULL;
	return NULL;
}

void env_add(struct env *env, const char *name, const char *value)
{
	char *text = NULL;
	if (env_get(env, name))
		return;
	if (asprintf(&text, "%s=%s", name, value) < 0)
		abort();
	add_text(env, text);
	tow_wipe(text, strlen(text));
	free(text);
}

/* A value up to the end of its line, into out, which has room for all of it. Returns where it
 * ended, or NULL when a quote has no end. */
static const char *read_value(const char *from, char *out)
{
	char quote = 0, *end = out; /* of what may not be blank at the end of the line */
	from += strspn(from, BLANK);
	for (; *from && (quote || *from != '\n'); from++) {
		if (!quote && (*from == '"' || *from == '\'')) {
			quote = *from;
		} else if (quote && *from == quote) {
			quote = 0;
			end = out;
		} else if (*from == '\\' && quote != '\'' && from[1]) {
			from++;
			if (*from != '\n') /* the line goes on */
				*out++ = *from;
			end = out;
		} else {
			*out++ = *from;
			if (quote || !strchr(BLANK, *from))
				end = out;
		}
	}
	*end = 0;
	return quote ? NULL : from;
}

static int add_line(struct env *env, const char **from, char *value, struct tow_error *err)
{
	char name[128];
	const char *line = *from + strspn(*from, BLANK);
	size_t len = strcspn(line, "=\n");
	*from = line + strcspn(line, "\n");
	if (*line == '#' || *line == ';' || *line == '\n' || !*line)
		return 0;
	if (line[len] != '=' || len == 0 || len >= sizeof name)
		return tow_error_set(err, TOW_EPARSE, "a line is not NAME=VALUE");
	snprintf(name, sizeof name, "%.*s", (int)len, line);
	*from = read_value(line + len + 1, value);
	if (!*from)
		return tow_error_set(err, TOW_EPARSE, "the value of %s has a quote without an end",
		                     name);
	env_add(env, name, value);
	return 0;
}

int env_add_file(struct env *env, const char *path, struct tow_error *err)
{
	struct tow_buf file = { 0 };
	char *value = NULL;
	int rc = tow_file_read(path, FILE_MAX, &file, err);
	if (rc != 0)
		goto out;
	rc = tow_buf_append(&file, "", 1);
	value = rc == 0 ? malloc(tow_buf_len(&file)) : NULL;
	if (!value)
		abort();
	const char *from = (const char *)tow_buf_peek(&file).base;
	while (rc == 0 && *from) {
		rc = add_line(env, &from, value, err);
		if (rc == 0 && *from == '\n')
			from++;
	}
	if (rc != 0)
		tow_error_prefix(err, "%s", path);
	tow_wipe(value, tow_buf_len(&file));
out:
	free(value);
	tow_buf_wipe(&file);
	return rc;
}
