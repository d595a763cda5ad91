/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_CLI_H
#define TOWONEL_BIN_CLI_H

/*
 * The command line's frame: a table of commands, the options that all of them take, and one call of
 * the hub's API at a time.
 */

#include <getopt.h>
#include <jansson.h>
#include <towonel/tunnel/hub_client.h>

struct cli;

struct command {
	const char *noun, *verb;
	const char *arguments; /* for the usage line */
	const char *summary;
	const char *details;          /* for --help; may be NULL */
	const struct option *options; /* of its own; ends with a zero row; values from 256 on */
	int (*option)(struct cli *cli, int value, const char *argument); /* exit status, 0: fine */
	int (*run)(struct cli *cli);                                     /* exit status */
};

struct cli {
	const struct command *command;
	char *hub_url, *api_key; /* owned */
	int json;
	void *options; /* of the command */
};

extern const struct command invite_create, invite_list, invite_revoke;

/* Runs one request against the hub. On success *body is the answer (owned by the caller) and 0 is
 * returned; otherwise the failure has been printed and an exit status is returned. body may be
 * NULL. */
int cli_call(struct cli *cli, const char *method, const char *path, json_t *request,
             enum tow_hub_auth auth, json_t **body, uint64_t *total);
/* Follows a list over its pages and gives all items of the array `name`. */
int cli_list(struct cli *cli, const char *path, const char *name, json_t **items);

int cli_usage_error(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_print_json(const json_t *value); /* exit status */

/* A table with aligned columns; cells are copied. */
struct table;
struct table *table_new(const char *const *headings, size_t columns);
void table_add(struct table *table, const char *const *cells);
void table_print(const struct table *table);
void table_free(struct table *table);

/* "2026-01-02 03:04" in UTC, or "never" for 0. */
char *cli_format_time(uint64_t unix_ms, char out[32]);
/* "48h", "7d", "30m", "90s", "never" (0). Returns 0, or -1. */
int cli_parse_duration(const char *text, uint64_t *seconds);
/* "a, b" as a JSON array of strings; empty items are dropped. */
json_t *cli_split_list(const char *text);

#endif
