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
#include <towonel/wire/entry.h>

/* Who a command is for: what it takes besides --hub-url, --json and --help. */
enum {
	CLI_OPERATOR = 1, /* --api-key */
	CLI_KEY = 2,      /* --key-path */
	CLI_TOKEN = 4,    /* --token */
	CLI_TENANT = CLI_KEY | CLI_TOKEN,
};

struct cli;

struct command {
	const char *noun, *verb; /* verb NULL: the noun is the whole command */
	const char *arguments;   /* for the usage line */
	const char *summary;
	const char *details;          /* for --help; may be NULL */
	const struct option *options; /* of its own; ends with a zero row; values are letters */
	int who;
	int (*run)(struct cli *cli); /* exit status */
};

struct cli {
	const struct command *command;
	const char *given[128]; /* by the letter of a command's own option; NULL: not given */
	char *hub_url, *api_key, *token; /* owned */
	const char *key_path;
	int json;
	struct {
		struct tow_tenant_key *key; /* NULL until cli_find_tenant */
		uint8_t seed[TOW_SEED_SIZE];
		char hub_url[TOW_URL_MAX]; /* of the token; "" when the key came from a file */
		struct tow_id hub_id;
	} tenant;
	char asked[TOW_URL_MAX]; /* the hub that the last request went to */
};

extern const struct command *const cli_commands[];
extern const size_t cli_command_count;
/* All options of a command, its own first. Returns how many. */
#define CLI_OPTIONS_MAX 24
size_t cli_options(const struct command *command, struct option out[CLI_OPTIONS_MAX + 1]);

extern const struct command invite_create, invite_list, invite_hostnames, invite_revoke;
extern const struct command edge_invite_create, edge_invite_list, edge_invite_revoke;
extern const struct command tenant_list, tenant_limit, tenant_remove, tenant_leave;
extern const struct command tenant_init, tenant_export_key, tenant_import_key;
extern const struct command entry_submit, entry_list, status_all, doctor_all, audit_list;
extern const struct command port_available, port_list, port_reserve, port_release;
extern const struct command cert_list, cert_revoke;
extern const struct command completion_bash, completion_zsh, completion_fish;

/* What --op of `entry submit` takes; ends with NULL. */
extern const char *const cli_entry_ops[];

/* --- the hub: call.c --- */

struct cli_answer {
	int status; /* HTTP; 0: the hub could not be reached */
	struct tow_error error;
	char code[48];
	json_t *body; /* owned by the caller */
	uint64_t total;
};

/* Sends one request (taken), as the operator, as cli->tenant, or as nobody. A hub that says that it
 * is too much at once is asked again later. Returns 0: *answer tells how it went; or an exit
 * status, and the reason has been printed. */
int cli_ask(struct cli *cli, const char *method, const char *path, json_t *request,
            enum tow_hub_auth auth, struct cli_answer *answer);
/* Prints why the hub would not. Returns the exit status. */
int cli_refused(struct cli *cli, enum tow_hub_auth auth, const struct cli_answer *answer);
/* Both. On success *body is the answer (owned by the caller) and 0 is returned; otherwise the
 * failure has been printed and an exit status is returned. body may be NULL. */
int cli_call(struct cli *cli, const char *method, const char *path, json_t *request,
             enum tow_hub_auth auth, json_t **body, uint64_t *total);
/* Where to reach who listens on an address of this host: loopback, for the wildcard. */
struct tow_addr cli_reach(const struct tow_addr *listen);
/* Follows a list over its pages and gives all items of the array `name`. */
int cli_list(struct cli *cli, const char *path, const char *name, json_t **items);

/* --- the tenant: tenant_key.c, submission.c --- */

/* Fills cli->tenant from --key-path, --token or TOWONEL_INVITE_TOKEN. Returns 0, or an exit status:
 * the reason has been printed. */
int cli_find_tenant(struct cli *cli);
void cli_tenant_wipe(struct cli *cli);
/* Fills in who, when and the next sequence, signs, and sends it to path. Returns as cli_call. */
int cli_submit(struct cli *cli, struct tow_entry *entry, const char *path, json_t **body);

/* --- people: towonel-cli.c, format.c, passphrase.c --- */

int cli_usage_error(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For an option's value that becomes JSON; NULL is good. Returns an exit status. */
int cli_check_text(struct cli *cli, const char *option, const char *text);
int cli_print_json(const json_t *value); /* exit status */

/* A passphrase from the file that was given, or from the terminal, without echo: twice, when it is
 * a new one. Wipe *out. Returns 0, or an exit status: the reason has been printed. */
int cli_passphrase(struct cli *cli, const char *file, int is_new, struct tow_buf *out);

/* The path of the invite that --id names; noun: invite, edge-invite. Returns 0, or an exit status:
 * the reason has been printed. */
#define INVITE_PATH_SIZE 64
int cli_invite_path(struct cli *cli, const char *noun, char out[INVITE_PATH_SIZE]);

/* --- commands that are alike: ending.c --- */

/* Of --tenant-id; NULL: not given. Returns 0, or an exit status: the reason has been printed. */
int cli_tenant_id(struct cli *cli, const char **out);
/* What a list command ends with: {name: items} in JSON, else a hint when there are none, or print's
 * table. Takes items. Returns the exit status. */
int cli_print_list(struct cli *cli, const char *name, json_t *items, const char *none,
                   void (*print)(const json_t *items));
/* Asks the hub to remove what is at path, and says so. Returns the exit status. */
int cli_remove(struct cli *cli, const char *path, const char *sentence);

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
/* A whole number of digits alone. Returns 0, or -1. */
int cli_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);
/* "a, b" as a JSON array of strings; empty items are dropped. */
json_t *cli_split_list(const char *text);
/* Members of what the hub answered; "" and 0 when they are not there. */
const char *cli_text(const json_t *object, const char *key);
uint64_t cli_number(const json_t *object, const char *key);
/* The strings of an array, with commas, NUL-terminated; valid until out is freed. */
const char *cli_join(const json_t *strings, struct tow_buf *out);

#endif
