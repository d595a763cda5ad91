/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common.h"

#define PAGE          1000
#define LIMIT_DEFAULT 50
#define LIMIT_MAX     1000000

/* The newest `limit` events, over as many pages as that takes. */
static int fetch(struct cli *cli, const char *tenant, uint64_t limit, json_t **events)
{
	json_t *all = json_array();
	uint64_t before = 0;
	do {
		char path[256];
		json_t *body;
		uint64_t missing = limit - json_array_size(all);
		int len = snprintf(path, sizeof path, "/v1/audit?limit=%" PRIu64,
		                   missing < PAGE ? missing : PAGE);
		if (before)
			len += snprintf(path + len, sizeof path - (size_t)len, "&before=%" PRIu64,
			                before);
		if (tenant)
			snprintf(path + len, sizeof path - (size_t)len, "&tenant_id=%s", tenant);
		int status = cli_call(cli, "GET", path, NULL, TOW_HUB_OPERATOR, &body, NULL);
		if (status != 0) {
			json_decref(all);
			return status;
		}
		json_array_extend(all, json_object_get(body, "events"));
		before = cli_number(body, "next_before");
		json_decref(body);
	} while (before && json_array_size(all) < limit);
	*events = all;
	return 0;
}

static void add_row(struct table *table, const json_t *event)
{
	char when[32], tenant[TOW_TENANT_NAME_MAX + 24] = "";
	if (*cli_text(event, "tenant_id"))
		snprintf(tenant, sizeof tenant, "%s (%.8s)", cli_text(event, "tenant_name"),
		         cli_text(event, "tenant_id"));
	const char *cells[] = {
		cli_format_time(cli_number(event, "at_ms"), when),
		cli_text(event, "actor"),
		cli_text(event, "action"),
		cli_text(event, "subject"),
		tenant,
		cli_text(event, "source"),
		cli_text(event, "request_id"),
	};
	table_add(table, cells);
}

static void print_events(const json_t *events)
{
	static const char *const headings[] = { "WHEN",   "WHO",    "WHAT",   "SUBJECT",
		                                "TENANT", "SOURCE", "REQUEST" };
	struct table *table = table_new(headings, sizeof headings / sizeof *headings);
	size_t index;
	json_t *event;
	json_array_foreach(events, index, event) add_row(table, event);
	table_print(table);
	table_free(table);
}

static int run_audit(struct cli *cli)
{
	const char *tenant, *given = cli->given['l'];
	uint64_t limit = LIMIT_DEFAULT;
	json_t *events;
	int status = cli_tenant_id(cli, &tenant);
	if (status != 0)
		return status;
	if (given && cli_parse_number(given, 1, LIMIT_MAX, &limit) != 0)
		return cli_usage_error(cli, "--limit \"%s\" is no number from 1 to %d", given,
		                       LIMIT_MAX);
	status = fetch(cli, tenant, limit, &events);
	if (status != 0)
		return status;
	return cli_print_list(cli, "events", events,
	                      tenant ? "Nothing has been recorded about this tenant."
	                             : "Nothing has been recorded.",
	                      print_events);
}

static const struct option options[] = {
	{ "tenant-id", required_argument, NULL, 't' },
	{ "limit", required_argument, NULL, 'l' },
	{ NULL, 0, NULL, 0 },
};

const struct command audit_list = {
	.noun = "audit",
	.arguments = "[--tenant-id HEX] [--limit N]",
	.summary = "show who did what to which tenant, newest first",
	.details =
		"  --tenant-id HEX    only what was done to this tenant, also one that is gone\n"
		"  --limit N          how many; default 50\n"
		"\n"
		"What the operator did, and what tenants had signed. The hub keeps the last "
	        "100,000 "
		"acts of\n"
		"operators and 10,000 of each tenant, none for longer than 400 days. Agents that "
		"only say that\n"
		"they are still there are left out.\n",
	.options = options,
	.who = CLI_OPERATOR,
	.run = run_audit,
};
