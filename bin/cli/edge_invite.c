/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "common.h"

/* --- create --- */

static int run_create(struct cli *cli)
{
	const char *node_id = cli->given['i'];
	json_t *request, *body;
	struct tow_id id;
	int status = cli_check_text(cli, "--name", cli->given['n']);
	if (status != 0)
		return status;
	request = json_object();
	if (node_id && tow_id_parse(tow_slice_of(node_id), &id) != 0) {
		json_decref(request);
		return cli_usage_error(cli, "--node-id \"%s\" is not 64 lowercase hex digits",
		                       node_id);
	}
	if (cli->given['n'])
		json_object_set_new(request, "name", json_string(cli->given['n']));
	if (node_id)
		json_object_set_new(request, "edge_node_id", json_string(node_id));
	status = cli_call(cli, "POST", "/v1/edge-invites", request, TOW_HUB_OPERATOR, &body, NULL);
	if (status != 0)
		return status;
	if (cli->json) {
		status = cli_print_json(body);
	} else if (node_id) {
		fprintf(stderr, "Edge %s is invited as %s; it may follow this hub now.\n", node_id,
		        cli_text(body, "name"));
		printf("%s\n", cli_text(body, "invite_id"));
	} else {
		fprintf(stderr,
		        "Edge invite %s for %s.\n"
		        "Start towonel-node there with this token as TOWONEL_EDGE_INVITE_TOKEN. It "
		        "is shown only now:\n",
		        cli_text(body, "invite_id"), cli_text(body, "name"));
		printf("%s\n", cli_text(body, "token"));
	}
	json_decref(body);
	return status;
}

static const struct option create_options[] = {
	{ "name", required_argument, NULL, 'n' },
	{ "node-id", required_argument, NULL, 'i' },
	{ NULL, 0, NULL, 0 },
};

const struct command edge_invite_create = {
	.noun = "edge-invite",
	.verb = "create",
	.arguments = "[--name NAME] [--node-id ID]",
	.summary = "invite another server as an edge, and make its token",
	.details = "  --name NAME        what to call it in lists\n"
		   "  --node-id ID       of a node that has a key already (it says so when it "
		   "starts); no token is made\n",
	.options = create_options,
	.who = CLI_OPERATOR,
	.run = run_create,
};

/* --- list --- */

static void add_row(struct table *table, const json_t *invite)
{
	char when[32];
	const char *cells[] = {
		cli_text(invite, "invite_id"),
		cli_text(invite, "name"),
		cli_text(invite, "status"),
		cli_format_time(cli_number(invite, "created_at_ms"), when),
		cli_text(invite, "edge_node_id"),
	};
	table_add(table, cells);
}

static void print_invites(const json_t *invites)
{
	static const char *const headings[] = { "ID", "NAME", "STATUS", "CREATED", "EDGE" };
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
	int status = cli_list(cli, "/v1/edge-invites", "invites", &invites);
	if (status != 0)
		return status;
	return cli_print_list(cli, "invites", invites,
	                      "No edge invites. Make one: towonel edge-invite create --name fra1",
	                      print_invites);
}

const struct command edge_invite_list = {
	.noun = "edge-invite",
	.verb = "list",
	.arguments = "",
	.summary = "list edge invites",
	.who = CLI_OPERATOR,
	.run = run_list,
};

/* --- revoke --- */

static int run_revoke(struct cli *cli)
{
	char path[INVITE_PATH_SIZE];
	int status = cli_invite_path(cli, "edge-invite", path);
	if (status != 0)
		return status;
	return cli_remove(cli, path,
	                  "Revoked. The edge stops; agents let go of it within half a minute.");
}

static const struct option revoke_options[] = {
	{ "id", required_argument, NULL, 'i' },
	{ NULL, 0, NULL, 0 },
};

const struct command edge_invite_revoke = {
	.noun = "edge-invite",
	.verb = "revoke",
	.arguments = "--id ID",
	.summary = "cut an edge off",
	.details = "  --id ID   as shown by `towonel edge-invite list`\n",
	.options = revoke_options,
	.who = CLI_OPERATOR,
	.run = run_revoke,
};
