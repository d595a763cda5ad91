/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/hostname.h>
#include <towonel/wire/limits.h>

#include "common.h"

/* --- create --- */

static int run_create(struct cli *cli)
{
	uint64_t seconds = 0;
	char when[32];
	json_t *body;

	if (!cli->given['H'])
		return cli_usage_error(cli, "--hostnames is missing");
	int status = cli_check_text(cli, "--hostnames", cli->given['H']);
	if (status == 0)
		status = cli_check_text(cli, "--name", cli->given['n']);
	if (status != 0)
		return status;
	json_t *hostnames = cli_split_list(cli->given['H']);
	if (json_array_size(hostnames) == 0) {
		json_decref(hostnames);
		return cli_usage_error(cli, "--hostnames names no hostname");
	}
	if (cli->given['e'] && cli_parse_duration(cli->given['e'], &seconds) != 0) {
		json_decref(hostnames);
		return cli_usage_error(cli, "--expires \"%s\" is not like 48h, 7d or never",
		                       cli->given['e']);
	}
	if (seconds > TOW_INVITE_EXPIRES_MAX_S) {
		json_decref(hostnames);
		return cli_usage_error(cli,
		                       "--expires \"%s\" is longer than 30d; never is the "
		                       "default",
		                       cli->given['e']);
	}
	json_t *request = json_pack("{s:o}", "hostnames", hostnames);
	if (cli->given['n'])
		json_object_set_new(request, "name", json_string(cli->given['n']));
	if (seconds)
		json_object_set_new(request, "expires_in_secs", json_integer((json_int_t)seconds));
	status = cli_call(cli, "POST", "/v1/invites", request, TOW_HUB_OPERATOR, &body, NULL);
	if (status != 0)
		return status;
	if (cli->json) {
		status = cli_print_json(body);
	} else {
		fprintf(stderr,
		        "Invite %s for %s; it expires: %s.\n"
		        "Give this token to the agent as TOWONEL_INVITE_TOKEN. It is shown only "
		        "now:\n",
		        cli_text(body, "invite_id"), cli_text(body, "name"),
		        cli_format_time(cli_number(body, "expires_at_ms"), when));
		printf("%s\n", cli_text(body, "token"));
	}
	json_decref(body);
	return status;
}

static const struct option create_options[] = {
	{ "hostnames", required_argument, NULL, 'H' },
	{ "name", required_argument, NULL, 'n' },
	{ "expires", required_argument, NULL, 'e' },
	{ NULL, 0, NULL, 0 },
};

const struct command invite_create = {
	.noun = "invite",
	.verb = "create",
	.arguments = "--hostnames LIST [--name NAME] [--expires 48h|7d|never]",
	.summary = "make a tenant and the token for its agents",
	.details =
		"  --hostnames LIST   names and wildcards (*.example.eu) the tenant may use, "
		"comma-separated\n"
		"  --name NAME        what to call it in lists\n"
		"  --expires TIME     how long the token can start agents: 90s, 30m, 48h, 7d (at "
		"most 30d);\n"
		"                     default never\n",
	.options = create_options,
	.who = CLI_OPERATOR,
	.run = run_create,
};

/* --- list --- */

static void add_row(struct table *table, const json_t *invite)
{
	char when[32], expires[32];
	struct tow_buf names = { 0 };
	const char *cells[] = {
		cli_text(invite, "invite_id"),
		cli_text(invite, "name"),
		cli_text(invite, "status"),
		cli_format_time(cli_number(invite, "created_at_ms"), when),
		cli_format_time(cli_number(invite, "expires_at_ms"), expires),
		cli_join(json_object_get(invite, "hostnames"), &names),
	};
	table_add(table, cells);
	tow_buf_deinit(&names);
}

static void print_invites(const json_t *invites)
{
	static const char *const headings[] = { "ID",      "NAME",    "STATUS",
		                                "CREATED", "EXPIRES", "HOSTNAMES" };
	struct table *table = table_new(headings, sizeof headings / sizeof *headings);
	size_t index;
	json_t *invite;
	json_array_foreach(invites, index, invite) add_row(table, invite);
	table_print(table);
	table_free(table);
}

static int run_list(struct cli *cli)
{
	json_t *invites;
	int status = cli_list(cli, "/v1/invites", "invites", &invites);
	if (status != 0)
		return status;
	return cli_print_list(
		cli, "invites", invites,
		"No invites. Make one: towonel invite create --hostnames app.example.eu",
		print_invites);
}

const struct command invite_list = {
	.noun = "invite",
	.verb = "list",
	.arguments = "",
	.summary = "list invites",
	.who = CLI_OPERATOR,
	.run = run_list,
};

/* --- one invite --- */

int cli_invite_path(struct cli *cli, const char *noun, char out[INVITE_PATH_SIZE])
{
	const char *id = cli->given['i'];
	if (!id)
		return cli_usage_error(cli, "--id is missing");
	if (strlen(id) != TOW_INVITE_ID_TEXT_SIZE - 1 ||
	    strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") !=
	            TOW_INVITE_ID_TEXT_SIZE - 1)
		return cli_usage_error(cli, "--id \"%s\" is no invite id; see towonel %s list", id,
		                       noun);
	snprintf(out, INVITE_PATH_SIZE, "/v1/%ss/%s", noun, id);
	return 0;
}

/* --- hostnames --- */

/* The names of --add or --remove, as the hub writes them; NULL: said why not. */
static json_t *hostnames_given(struct cli *cli, char letter, const char *option)
{
	json_t *list, *item;
	char name[TOW_HOSTNAME_SIZE];
	struct tow_error err;
	size_t index;
	if (cli_check_text(cli, option, cli->given[(int)letter]) != 0)
		return NULL;
	list = cli_split_list(cli->given[(int)letter]);
	if (json_array_size(list) == 0) {
		json_decref(list);
		cli_usage_error(cli, "%s names no hostname", option);
		return NULL;
	}
	json_array_foreach(list, index, item)
	{
		if (tow_hostname_parse(tow_slice_of(json_string_value(item)), TOW_HOSTNAME_PATTERN,
		                       name, &err) != 0) {
			json_decref(list);
			cli_usage_error(cli, "%s: %s", option, err.text);
			return NULL;
		}
		json_array_set_new(list, index, json_string(name));
	}
	return list;
}

/* Removes one after the other: there is no request for all of them. */
static int remove_hostnames(struct cli *cli, const char *invite, const json_t *names)
{
	char path[INVITE_PATH_SIZE + TOW_HOSTNAME_SIZE + 32];
	size_t index;
	json_t *name;
	json_array_foreach(names, index, name)
	{
		const char *text = json_string_value(name);
		/* of what a pattern may have, the star alone is nothing for a path */
		int wild = text[0] == '*';
		snprintf(path, sizeof path, "%s/hostnames/%s%s", invite, wild ? "%2A" : "",
		         text + wild);
		int status = cli_call(cli, "DELETE", path, NULL, TOW_HUB_OPERATOR, NULL, NULL);
		if (status != 0) {
			complain("towonel",
			         "\"%s\" was not removed; what there is now: towonel invite "
			         "hostnames --id %s",
			         text, cli->given['i']);
			return status;
		}
	}
	return 0;
}

static int print_hostnames(struct cli *cli, const char *path)
{
	json_t *invite, *name;
	size_t index;
	int status = cli_call(cli, "GET", path, NULL, TOW_HUB_OPERATOR, &invite, NULL);
	if (status != 0)
		return status;
	if (cli->json) {
		json_t *document =
			json_pack("{s:O, s:O}", "invite_id", json_object_get(invite, "invite_id"),
		                  "hostnames", json_object_get(invite, "hostnames"));
		status = cli_print_json(document);
		json_decref(document);
	} else {
		json_array_foreach(json_object_get(invite, "hostnames"), index, name)
			printf("%s\n", json_string_value(name));
	}
	json_decref(invite);
	return status;
}

static int run_hostnames(struct cli *cli)
{
	char path[INVITE_PATH_SIZE], add_path[INVITE_PATH_SIZE + 16];
	json_t *add = NULL, *remove = NULL;
	int status = cli_invite_path(cli, "invite", path);
	if (status == 0 && cli->given['a'] && !(add = hostnames_given(cli, 'a', "--add")))
		status = EXIT_USAGE;
	if (status == 0 && cli->given['r'] && !(remove = hostnames_given(cli, 'r', "--remove")))
		status = EXIT_USAGE;
	/* First what is new, so that the last one can be exchanged: an invite has always one. */
	if (status == 0 && add) {
		snprintf(add_path, sizeof add_path, "%s/hostnames", path);
		status = cli_call(cli, "POST", add_path, json_pack("{s:O}", "hostnames", add),
		                  TOW_HUB_OPERATOR, NULL, NULL);
	}
	if (status == 0 && remove)
		status = remove_hostnames(cli, path, remove);
	if (status == 0)
		status = print_hostnames(cli, path);
	json_decref(add);
	json_decref(remove);
	return status;
}

static const struct option hostnames_options[] = {
	{ "id", required_argument, NULL, 'i' },
	{ "add", required_argument, NULL, 'a' },
	{ "remove", required_argument, NULL, 'r' },
	{ NULL, 0, NULL, 0 },
};

const struct command invite_hostnames = {
	.noun = "invite",
	.verb = "hostnames",
	.arguments = "--id ID [--add LIST] [--remove LIST]",
	.summary = "change or show which hostnames a tenant may use",
	.details = "  --id ID         as shown by `towonel invite list`\n"
		   "  --add LIST      names and wildcards that it may use too, comma-separated\n"
		   "  --remove LIST   those that it may no longer use; their services end\n"
		   "\n"
		   "Prints the hostnames as they are then, one on a line.\n",
	.options = hostnames_options,
	.who = CLI_OPERATOR,
	.run = run_hostnames,
};

/* --- revoke --- */

static int run_revoke(struct cli *cli)
{
	char path[INVITE_PATH_SIZE];
	int status = cli_invite_path(cli, "invite", path);
	if (status != 0)
		return status;
	return cli_remove(cli, path,
	                  "Revoked. Its hostnames and ports are free, its tunnels are closed.");
}

static const struct option revoke_options[] = {
	{ "id", required_argument, NULL, 'i' },
	{ NULL, 0, NULL, 0 },
};

const struct command invite_revoke = {
	.noun = "invite",
	.verb = "revoke",
	.arguments = "--id ID",
	.summary = "remove a tenant with all that it has",
	.details = "  --id ID   as shown by `towonel invite list`\n",
	.options = revoke_options,
	.who = CLI_OPERATOR,
	.run = run_revoke,
};
