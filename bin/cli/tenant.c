/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <towonel/wire/limits.h>

#include "common.h"

/* --- list --- */

static void add_row(struct table *table, const json_t *tenant)
{
	struct tow_buf names = { 0 }, allowed = { 0 };
	char agents[24], ports[24];
	snprintf(agents, sizeof agents, "%zu", json_array_size(json_object_get(tenant, "agents")));
	snprintf(ports, sizeof ports, "%zu", json_array_size(json_object_get(tenant, "ports")));
	const char *cells[] = {
		cli_text(tenant, "tenant_id"),
		cli_text(tenant, "name"),
		agents,
		ports,
		cli_join(json_object_get(tenant, "hostnames"), &names),
		cli_join(json_object_get(tenant, "allowed_hostnames"), &allowed),
	};
	table_add(table, cells);
	tow_buf_deinit(&names);
	tow_buf_deinit(&allowed);
}

static void print_tenants(const json_t *tenants)
{
	static const char *const headings[] = { "TENANT", "NAME",      "AGENTS",
		                                "PORTS",  "HOSTNAMES", "ALLOWED" };
	struct table *table = table_new(headings, sizeof headings / sizeof *headings);
	size_t index;
	json_t *tenant;
	json_array_foreach(tenants, index, tenant) add_row(table, tenant);
	table_print(table);
	table_free(table);
}

static int run_list(struct cli *cli)
{
	json_t *tenants;
	int status = cli_list(cli, "/v1/tenants", "tenants", &tenants);
	if (status != 0)
		return status;
	return cli_print_list(cli, "tenants", tenants,
	                      "No tenants. An invite makes one: towonel invite create --hostnames "
	                      "app.example.eu",
	                      print_tenants);
}

const struct command tenant_list = {
	.noun = "tenant",
	.verb = "list",
	.arguments = "",
	.summary = "list tenants and what they have",
	.details = "HOSTNAMES are those that agents serve, ALLOWED those that the invite allows.\n",
	.who = CLI_OPERATOR,
	.run = run_list,
};

/* --- limit --- */

static const struct {
	char letter;
	const char *key;
	uint64_t max;
} limits[] = {
	{ 'c', "connections", UINT32_MAX },
	{ 'i', "bytes_in_per_sec", TOW_TENANT_RATE_MAX },
	{ 'o', "bytes_out_per_sec", TOW_TENANT_RATE_MAX },
};

static const struct option limit_options[] = {
	{ "tenant-id", required_argument, NULL, 't' },
	{ "connections", required_argument, NULL, 'c' },
	{ "bytes-in", required_argument, NULL, 'i' },
	{ "bytes-out", required_argument, NULL, 'o' },
	{ NULL, 0, NULL, 0 },
};

static int read_limits(struct cli *cli, json_t *out)
{
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		const char *given = cli->given[(int)limits[i].letter];
		uint64_t number;
		if (!given)
			continue;
		if (cli_parse_number(given, 0, limits[i].max, &number) != 0)
			return cli_usage_error(cli, "--%s \"%s\" is no number from 0 to %" PRIu64,
			                       limit_options[i + 1].name, given, limits[i].max);
		json_object_set_new(out, limits[i].key, json_integer((json_int_t)number));
	}
	if (json_object_size(out) == 0)
		return cli_usage_error(cli, "none of --connections, --bytes-in and --bytes-out "
		                            "is there");
	return 0;
}

static void print_limit(const json_t *body, const char *key, const char *what)
{
	uint64_t number = cli_number(json_object_get(body, "limits"), key);
	if (number)
		printf("%-12s %" PRIu64 "\n", what, number);
	else
		printf("%-12s no limit\n", what);
}

static int run_limit(struct cli *cli)
{
	char path[TOW_ID_TEXT_SIZE + 16];
	const char *tenant;
	json_t *asked = json_object(), *request = NULL, *body;
	int status = cli_tenant_id(cli, &tenant);
	if (status == 0 && !tenant)
		status = cli_usage_error(cli, "--tenant-id is missing");
	if (status == 0)
		status = read_limits(cli, asked);
	if (status == 0) {
		snprintf(path, sizeof path, "/v1/tenants/%s", tenant);
		request = json_pack("{s:O}", "limits", asked);
		status = cli_call(cli, "PATCH", path, request, TOW_HUB_OPERATOR, &body, NULL);
	}
	json_decref(asked);
	if (status != 0)
		return status;
	if (cli->json) {
		status = cli_print_json(body);
	} else {
		print_limit(body, "connections", "Connections");
		print_limit(body, "bytes_in_per_sec", "Bytes in/s");
		print_limit(body, "bytes_out_per_sec", "Bytes out/s");
	}
	json_decref(body);
	return status;
}

const struct command tenant_limit = {
	.noun = "tenant",
	.verb = "limit",
	.arguments = "--tenant-id HEX [--connections N] [--bytes-in N] [--bytes-out N]",
	.summary = "limit what a tenant may use of each edge",
	.details =
		"  --tenant-id HEX    as shown by `towonel tenant list`\n"
		"  --connections N    visitors and UDP sessions at once\n"
		"  --bytes-in N       bytes a second from its visitors\n"
		"  --bytes-out N      bytes a second to them\n"
		"\n"
		"0 is no limit; what is not named stays as it is. Each edge counts for itself.\n",
	.options = limit_options,
	.who = CLI_OPERATOR,
	.run = run_limit,
};

/* --- remove --- */

static int run_remove(struct cli *cli)
{
	char path[TOW_ID_TEXT_SIZE + 16];
	const char *tenant;
	int status = cli_tenant_id(cli, &tenant);
	if (status != 0)
		return status;
	if (!tenant)
		return cli_usage_error(cli, "--tenant-id is missing");
	snprintf(path, sizeof path, "/v1/tenants/%s", tenant);
	return cli_remove(cli, path,
	                  "Removed. Its hostnames and ports are free, its tunnels are closed, its "
	                  "token is dead.");
}

static const struct option remove_options[] = {
	{ "tenant-id", required_argument, NULL, 't' },
	{ NULL, 0, NULL, 0 },
};

const struct command tenant_remove = {
	.noun = "tenant",
	.verb = "remove",
	.arguments = "--tenant-id HEX",
	.summary = "remove a tenant with all that it has",
	.details = "  --tenant-id HEX    as shown by `towonel tenant list`\n",
	.options = remove_options,
	.who = CLI_OPERATOR,
	.run = run_remove,
};

/* --- leave --- */

static int run_leave(struct cli *cli)
{
	struct tow_entry entry = { .op = TOW_ENTRY_LEAVE };
	char path[TOW_ID_TEXT_SIZE + 32], id[TOW_ID_TEXT_SIZE];
	json_t *body;
	int status = cli_find_tenant(cli);
	if (status != 0)
		return status;
	snprintf(path, sizeof path, "/v1/tenants/%s/leave",
	         tow_id_format(tow_tenant_key_id(cli->tenant.key), id));
	status = cli_submit(cli, &entry, path, &body);
	if (status != 0)
		return status;
	if (cli->json)
		status = cli_print_json(body);
	else
		printf("Left. The hostnames and ports of tenant %s are free, its tunnels are "
		       "closed, its token is dead.\n",
		       id);
	json_decref(body);
	return status;
}

const struct command tenant_leave = {
	.noun = "tenant",
	.verb = "leave",
	.arguments = "[--key-path FILE | --token TOKEN]",
	.summary = "give up a tenant of one's own, for good",
	.who = CLI_TENANT,
	.run = run_leave,
};
