/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

struct invite_options {
	const char *hostnames, *name, *expires, *id;
};

static int option(struct cli *cli, int value, const char *argument)
{
	static struct invite_options options;
	cli->options = &options;
	switch (value) {
	case 'H': options.hostnames = argument; break;
	case 'n': options.name = argument; break;
	case 'e': options.expires = argument; break;
	case 'i': options.id = argument; break;
	}
	return 0;
}

static struct invite_options options_of(const struct cli *cli)
{
	static const struct invite_options none;
	return cli->options ? *(const struct invite_options *)cli->options : none;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static uint64_t number_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* --- create --- */

static int run_create(struct cli *cli)
{
	struct invite_options options = options_of(cli);
	uint64_t seconds = 0;
	char when[32];
	json_t *body;

	if (!options.hostnames)
		return cli_usage_error(cli, "--hostnames is missing");
	json_t *hostnames = cli_split_list(options.hostnames);
	if (json_array_size(hostnames) == 0) {
		json_decref(hostnames);
		return cli_usage_error(cli, "--hostnames names no hostname");
	}
	if (options.expires && cli_parse_duration(options.expires, &seconds) != 0) {
		json_decref(hostnames);
		return cli_usage_error(cli, "--expires \"%s\" is not like 48h, 7d or never",
		                       options.expires);
	}
	json_t *request = json_pack("{s:o}", "hostnames", hostnames);
	if (options.name)
		json_object_set_new(request, "name", json_string(options.name));
	if (seconds)
		json_object_set_new(request, "expires_in_secs", json_integer((json_int_t)seconds));
	int status = cli_call(cli, "POST", "/v1/invites", request, TOW_HUB_OPERATOR, &body, NULL);
	if (status != 0)
		return status;
	if (cli->json) {
		status = cli_print_json(body);
	} else {
		fprintf(stderr,
		        "Invite %s for %s; it expires: %s.\n"
		        "Give this token to the agent as TOWONEL_INVITE_TOKEN. It is shown only "
		        "now:\n",
		        text_of(body, "invite_id"), text_of(body, "name"),
		        cli_format_time(number_of(body, "expires_at_ms"), when));
		printf("%s\n", text_of(body, "token"));
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
	.details = "  --hostnames LIST   names and wildcards (*.example.eu) the tenant may use, "
		   "comma-separated\n"
		   "  --name NAME        what to call it in lists\n"
		   "  --expires TIME     how long the token can start agents: 90s, 30m, 48h, 7d; "
		   "default never\n",
	.options = create_options,
	.option = option,
	.run = run_create,
};

/* --- list --- */

static void add_row(struct table *table, const json_t *invite)
{
	char when[32], expires[32];
	struct tow_buf names = { 0 };
	size_t index;
	json_t *hostname;
	json_array_foreach(json_object_get(invite, "hostnames"), index, hostname)
	{
		tow_buf_append_text(&names, index ? "," : "");
		tow_buf_append_text(&names, json_string_value(hostname));
	}
	tow_buf_append(&names, "", 1);
	const char *cells[] = {
		text_of(invite, "invite_id"),
		text_of(invite, "name"),
		text_of(invite, "status"),
		cli_format_time(number_of(invite, "created_at_ms"), when),
		cli_format_time(number_of(invite, "expires_at_ms"), expires),
		(const char *)tow_buf_peek(&names).base,
	};
	table_add(table, cells);
	tow_buf_deinit(&names);
}

static int run_list(struct cli *cli)
{
	static const char *const headings[] = { "ID",      "NAME",    "STATUS",
		                                "CREATED", "EXPIRES", "HOSTNAMES" };
	json_t *invites, *invite;
	size_t index;
	int status = cli_list(cli, "/v1/invites", "invites", &invites);
	if (status != 0)
		return status;
	if (cli->json) {
		json_t *document = json_pack("{s:O}", "invites", invites);
		status = cli_print_json(document);
		json_decref(document);
	} else if (json_array_size(invites) == 0) {
		printf("No invites. Make one: towonel invite create --hostnames app.example.eu\n");
	} else {
		struct table *table = table_new(headings, sizeof headings / sizeof *headings);
		json_array_foreach(invites, index, invite) add_row(table, invite);
		table_print(table);
		table_free(table);
	}
	json_decref(invites);
	return status;
}

const struct command invite_list = {
	.noun = "invite",
	.verb = "list",
	.arguments = "",
	.summary = "list invites",
	.run = run_list,
};

/* --- revoke --- */

static int run_revoke(struct cli *cli)
{
	struct invite_options options = options_of(cli);
	char path[128];
	json_t *body;
	if (!options.id)
		return cli_usage_error(cli, "--id is missing");
	if (strlen(options.id) != TOW_INVITE_ID_TEXT_SIZE - 1 ||
	    strspn(options.id,
	           "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") !=
	            TOW_INVITE_ID_TEXT_SIZE - 1)
		return cli_usage_error(cli, "--id \"%s\" is no invite id; see towonel invite list",
		                       options.id);
	snprintf(path, sizeof path, "/v1/invites/%s", options.id);
	int status = cli_call(cli, "DELETE", path, NULL, TOW_HUB_OPERATOR, &body, NULL);
	if (status != 0)
		return status;
	if (cli->json)
		status = cli_print_json(body);
	else
		printf("Revoked. Its hostnames and ports are free, its tunnels are closed.\n");
	json_decref(body);
	return status;
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
	.option = option,
	.run = run_revoke,
};
