/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common.h"

/* --protocol, and with needed --port and --tenant-id too, each checked. Returns an exit status. */
static int read_options(struct cli *cli, int port_needed, int tenant_needed)
{
	const char *protocol = cli->given['p'], *number = cli->given['n'], *tenant;
	uint64_t port;
	int status = cli_tenant_id(cli, &tenant);
	if (status != 0)
		return status;
	if (tenant_needed && !tenant)
		return cli_usage_error(cli, "--tenant-id is missing; see towonel tenant list");
	if (!protocol)
		return cli_usage_error(cli, "--protocol is missing: tcp or udp");
	if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
		return cli_usage_error(cli, "--protocol \"%s\" is neither tcp nor udp", protocol);
	if (port_needed && !number)
		return cli_usage_error(cli, "--port is missing");
	if (number && cli_parse_number(number, 1, 65535, &port) != 0)
		return cli_usage_error(cli, "--port \"%s\" is no port", number);
	return 0;
}

/* --- available --- */

static int run_available(struct cli *cli)
{
	const char *protocol = cli->given['p'], *given = cli->given['c'];
	char path[128];
	uint64_t count = 20;
	json_t *body, *port;
	size_t index;
	int status = read_options(cli, 0, 0);
	if (status != 0)
		return status;
	if (given && cli_parse_number(given, 1, 200, &count) != 0)
		return cli_usage_error(cli, "--count \"%s\" is no number from 1 to 200", given);
	snprintf(path, sizeof path, "/v1/ports/available?protocol=%s&count=%" PRIu64, protocol,
	         count);
	status = cli_call(cli, "GET", path, NULL, TOW_HUB_OPERATOR, &body, NULL);
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
	.summary = "show public ports that are nobody's",
	.details = "  --protocol tcp|udp\n"
		   "  --count N          how many, 1 to 200; default 20\n",
	.options = available_options,
	.who = CLI_OPERATOR,
	.run = run_available,
};

/* --- list --- */

/* Does the port continue the row that ends with last? */
static int continues(const json_t *port, const json_t *last)
{
	static const char *const alike[] = { "protocol", "tenant_id", "service", "reserved",
		                             "label" };
	for (size_t i = 0; i < sizeof alike / sizeof *alike; i++)
		if (!json_equal(json_object_get(port, alike[i]), json_object_get(last, alike[i])))
			return 0;
	return cli_number(port, "port") == cli_number(last, "port") + 1;
}

static void add_row(struct table *table, const json_t *first, const json_t *last)
{
	char number[32], when[32];
	const char *label = cli_text(first, "label");
	if (first == last)
		snprintf(number, sizeof number, "%" PRIu64 "/%s", cli_number(first, "port"),
		         cli_text(first, "protocol"));
	else
		snprintf(number, sizeof number, "%" PRIu64 "-%" PRIu64 "/%s",
		         cli_number(first, "port"), cli_number(last, "port"),
		         cli_text(first, "protocol"));
	const char *cells[] = {
		number,
		cli_text(first, "service"),
		cli_text(first, "tenant_id"),
		cli_format_time(cli_number(first, "claimed_at_ms"), when),
		!json_is_true(json_object_get(first, "reserved")) ? ""
		: label[0]                                        ? label
								  : "yes",
	};
	table_add(table, cells);
}

/* A service's range is one row. */
static void print_ports(const json_t *ports)
{
	static const char *const headings[] = { "PORT", "SERVICE", "TENANT", "SINCE", "RESERVED" };
	struct table *table = table_new(headings, sizeof headings / sizeof *headings);
	const json_t *first = NULL, *last = NULL;
	json_t *port;
	size_t index;
	json_array_foreach(ports, index, port)
	{
		if (last && !continues(port, last)) {
			add_row(table, first, last);
			first = NULL;
		}
		first = first ? first : port;
		last = port;
	}
	add_row(table, first, last);
	table_print(table);
	table_free(table);
}

static int run_list(struct cli *cli)
{
	char path[TOW_ID_TEXT_SIZE + 32] = "/v1/ports";
	const char *tenant;
	json_t *ports;
	int status = cli_tenant_id(cli, &tenant);
	if (status != 0)
		return status;
	if (tenant)
		snprintf(path, sizeof path, "/v1/tenants/%s/ports", tenant);
	status = cli_list(cli, path, "ports", &ports);
	if (status != 0)
		return status;
	return cli_print_list(cli, "ports", ports,
	                      "No service has a public port. Agents claim them: "
	                      "TOWONEL_AGENT_TCP_SERVICES",
	                      print_ports);
}

static const struct option list_options[] = {
	{ "tenant-id", required_argument, NULL, 't' },
	{ NULL, 0, NULL, 0 },
};

const struct command port_list = {
	.noun = "port",
	.verb = "list",
	.arguments = "[--tenant-id HEX]",
	.summary = "list public ports and whose they are",
	.details = "  --tenant-id HEX    those of one tenant, as shown by `towonel tenant list`\n",
	.options = list_options,
	.who = CLI_OPERATOR,
	.run = run_list,
};

/* --- reserve --- */

static json_t *reserve_request(const struct cli *cli)
{
	json_t *request = json_pack("{s:s}", "protocol", cli->given['p']);
	uint64_t number;
	if (cli->given['n'] && cli_parse_number(cli->given['n'], 1, 65535, &number) == 0)
		json_object_set_new(request, "preferred", json_integer((json_int_t)number));
	if (cli->given['l'])
		json_object_set_new(request, "label", json_string(cli->given['l']));
	return request;
}

static int run_reserve(struct cli *cli)
{
	char path[TOW_ID_TEXT_SIZE + 32];
	json_t *body;
	int status = read_options(cli, 0, 1);
	if (status == 0)
		status = cli_check_text(cli, "--label", cli->given['l']);
	if (status != 0)
		return status;
	snprintf(path, sizeof path, "/v1/tenants/%s/ports", cli->given['t']);
	status = cli_call(cli, "POST", path, reserve_request(cli), TOW_HUB_OPERATOR, &body, NULL);
	if (status != 0)
		return status;
	if (cli->json)
		status = cli_print_json(body);
	else
		printf("Port %" PRIu64 "/%s is reserved: no other tenant's service can have it.\n",
		       cli_number(body, "port"), cli_text(body, "protocol"));
	json_decref(body);
	return status;
}

static const struct option reserve_options[] = {
	{ "tenant-id", required_argument, NULL, 't' },
	{ "protocol", required_argument, NULL, 'p' },
	{ "port", required_argument, NULL, 'n' },
	{ "label", required_argument, NULL, 'l' },
	{ NULL, 0, NULL, 0 },
};

const struct command port_reserve = {
	.noun = "port",
	.verb = "reserve",
	.arguments = "--tenant-id HEX --protocol tcp|udp [--port N] [--label TEXT]",
	.summary = "hold a public port for a tenant",
	.details =
		"  --tenant-id HEX    as shown by `towonel tenant list`\n"
		"  --protocol tcp|udp\n"
		"  --port N           which one; default the first that is nobody's\n"
		"  --label TEXT       a note on what it is for\n"
		"\n"
		"Only services of that tenant can have the port then. It stays reserved when they "
		"let go of it.\n",
	.options = reserve_options,
	.who = CLI_OPERATOR,
	.run = run_reserve,
};

/* --- release --- */

static int run_release(struct cli *cli)
{
	char path[TOW_ID_TEXT_SIZE + 48];
	int status = read_options(cli, 1, 1);
	if (status != 0)
		return status;
	snprintf(path, sizeof path, "/v1/tenants/%s/ports/%s/%s", cli->given['t'], cli->given['p'],
	         cli->given['n']);
	return cli_remove(
		cli, path,
		"Released. A service that has the port keeps it until its agent lets go.");
}

static const struct option release_options[] = {
	{ "tenant-id", required_argument, NULL, 't' },
	{ "protocol", required_argument, NULL, 'p' },
	{ "port", required_argument, NULL, 'n' },
	{ NULL, 0, NULL, 0 },
};

const struct command port_release = {
	.noun = "port",
	.verb = "release",
	.arguments = "--tenant-id HEX --protocol tcp|udp --port N",
	.summary = "end a port's reservation",
	.details = "  --tenant-id HEX    as shown by `towonel port list`\n"
		   "  --protocol tcp|udp\n"
		   "  --port N\n",
	.options = release_options,
	.who = CLI_OPERATOR,
	.run = run_release,
};
