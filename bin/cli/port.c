/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common.h"

/* --- available --- */

static int run_available(struct cli *cli)
{
	const char *protocol = cli->given['p'], *given = cli->given['c'];
	char path[128];
	uint64_t count = 20;
	json_t *body, *port;
	size_t index;
	if (!protocol)
		return cli_usage_error(cli, "--protocol is missing: tcp or udp");
	if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
		return cli_usage_error(cli, "--protocol \"%s\" is neither tcp nor udp", protocol);
	if (given && cli_parse_number(given, 1, 200, &count) != 0)
		return cli_usage_error(cli, "--count \"%s\" is no number from 1 to 200", given);
	snprintf(path, sizeof path, "/v1/ports/available?protocol=%s&count=%" PRIu64, protocol,
	         count);
	int status = cli_call(cli, "GET", path, NULL, TOW_HUB_OPERATOR, &body, NULL);
	if (status != 0)
		return status;
	if (cli->json) {
		status = cli_print_json(body);
	} else {
		if (json_array_size(json_object_get(body, "ports")) == 0)
			fprintf(stderr, "No port from %" PRIu64 " to %" PRIu64 " is free for %s.\n",
			        cli_number(body, "range_start"), cli_number(body, "range_end"),
			        protocol);
		json_array_foreach(json_object_get(body, "ports"), index, port)
			printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(port));
	}
	json_decref(body);
	return status;
}

static const struct option available_options[] = {
	{ "protocol", required_argument, NULL, 'p' },
	{ "count", required_argument, NULL, 'c' },
	{ NULL, 0, NULL, 0 },
};

const struct command port_available = {
	.noun = "port",
	.verb = "available",
	.arguments = "--protocol tcp|udp [--count N]",
	.summary = "show public ports that no service has",
	.details = "  --protocol tcp|udp\n"
		   "  --count N          how many, 1 to 200; default 20\n",
	.options = available_options,
	.who = CLI_OPERATOR,
	.run = run_available,
};

/* --- list --- */

static void add_row(struct table *table, const json_t *port)
{
	char number[24], when[32];
	snprintf(number, sizeof number, "%" PRIu64 "/%s", cli_number(port, "port"),
	         cli_text(port, "protocol"));
	const char *cells[] = {
		number,
		cli_text(port, "service"),
		cli_text(port, "tenant_id"),
		cli_format_time(cli_number(port, "claimed_at_ms"), when),
	};
	table_add(table, cells);
}

static int run_list(struct cli *cli)
{
	static const char *const headings[] = { "PORT", "SERVICE", "TENANT", "SINCE" };
	json_t *body, *port;
	size_t index;
	int status = cli_call(cli, "GET", "/v1/ports", NULL, TOW_HUB_OPERATOR, &body, NULL);
	if (status != 0)
		return status;
	if (cli->json) {
		status = cli_print_json(body);
	} else if (json_array_size(json_object_get(body, "ports")) == 0) {
		printf("No service has a public port. Agents claim them: "
		       "TOWONEL_AGENT_TCP_SERVICES\n");
	} else {
		struct table *table = table_new(headings, sizeof headings / sizeof *headings);
		json_array_foreach(json_object_get(body, "ports"), index, port)
			add_row(table, port);
		table_print(table);
		table_free(table);
	}
	json_decref(body);
	return status;
}

const struct command port_list = {
	.noun = "port",
	.verb = "list",
	.arguments = "",
	.summary = "list public ports and whose they are",
	.who = CLI_OPERATOR,
	.run = run_list,
};
