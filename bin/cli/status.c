/* SPDX-License-Identifier: MIT */
/* What is up, at a glance: the hub, its store, the edges, the agents, the services. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "common.h"

/* Every page of the tenants in one document; the hub's and the edges' part is the first page's. */
static int look(struct cli *cli, json_t **out)
{
	json_t *document = NULL, *tenants = NULL;
	uint64_t total = 0;
	size_t before = 0;
	do {
		char path[64];
		json_t *page;
		before = json_array_size(tenants);
		snprintf(path, sizeof path, "/v1/status?limit=500&offset=%zu", before);
		int status = cli_call(cli, "GET", path, NULL, TOW_HUB_OPERATOR, &page, &total);
		if (status != 0) {
			json_decref(document);
			return status;
		}
		if (!document) {
			document = json_incref(page);
			tenants = json_object_get(document, "tenants");
		} else {
			json_array_extend(tenants, json_object_get(page, "tenants"));
		}
		json_decref(page);
	} while (json_array_size(tenants) < total && json_array_size(tenants) > before);
	/* where it was asked, which may be another way to it than tokens have */
	json_object_set_new(json_object_get(document, "hub"), "url", json_string(cli->asked));
	*out = document;
	return 0;
}

static int has_store(const json_t *document)
{
	return strcmp(cli_text(json_object_get(document, "hub"), "store"), "ok") == 0;
}

static int is_up(const json_t *service)
{
	return strcmp(cli_text(service, "state"), "up") == 0;
}

/* Is everything up that should be? */
static int is_well(const json_t *document)
{
	const json_t *edges = json_object_get(document, "edges");
	size_t index, k;
	json_t *item, *service;
	json_array_foreach(edges, index, item)
	{
		if (!json_is_true(json_object_get(item, "live")))
			return 0;
	}
	json_array_foreach(json_object_get(document, "tenants"), index, item)
	{
		json_array_foreach(json_object_get(item, "services"), k, service)
		{
			if (!is_up(service))
				return 0;
		}
	}
	return has_store(document) && json_array_size(edges) > 0;
}

/* --- what is printed --- */

/* "3 s", "12 min"; "-" when it is not known. */
static char *format_age(const json_t *object, const char *key, char out[32])
{
	uint64_t seconds = cli_number(object, key) / 1000;
	if (!json_is_integer(json_object_get(object, key)))
		snprintf(out, 32, "-");
	else if (seconds < 120)
		snprintf(out, 32, "%" PRIu64 " s", seconds);
	else if (seconds < 7200)
		snprintf(out, 32, "%" PRIu64 " min", seconds / 60);
	else
		snprintf(out, 32, "%" PRIu64 " h", seconds / 3600);
	return out;
}

/* "0.3 ms"; "-" when it is not known. */
static char *format_rtt(const json_t *agent, char out[32])
{
	if (json_is_integer(json_object_get(agent, "rtt_us")))
		snprintf(out, 32, "%.1f ms", (double)cli_number(agent, "rtt_us") / 1000);
	else
		snprintf(out, 32, "-");
	return out;
}

static void print_and_free(struct table *table)
{
	putchar('\n');
	table_print(table);
	table_free(table);
}

static void add_edge(struct table *table, json_t *edge, uint64_t now_ms)
{
	struct tow_buf addresses = { 0 }, failed = { 0 };
	char seen[32], agents[24];
	uint64_t last_seen = cli_number(edge, "last_seen_ms");
	json_t *age = last_seen
	                      ? json_pack("{s:I}", "age",
	                                  (json_int_t)(now_ms > last_seen ? now_ms - last_seen : 0))
	                      : NULL;
	size_t index;
	json_t *port;
	json_array_foreach(json_object_get(edge, "failed_ports"), index, port)
		tow_buf_printf(&failed, "%s%" PRIu64 "/%s", index ? "," : "",
	                       cli_number(port, "port"), cli_text(port, "protocol"));
	tow_buf_append(&failed, "", 1);
	snprintf(agents, sizeof agents, "%zu", json_array_size(json_object_get(edge, "agents")));
	const char *cells[] = {
		cli_text(edge, "name"),
		json_is_true(json_object_get(edge, "live")) ? "yes" : "no",
		format_age(age, "age", seen),
		cli_text(edge, "version"),
		agents,
		(const char *)failed.base,
		cli_join(json_object_get(edge, "addresses"), &addresses),
	};
	table_add(table, cells);
	json_decref(age);
	tow_buf_deinit(&addresses);
	tow_buf_deinit(&failed);
}

static void print_edges(const json_t *edges, uint64_t now_ms)
{
	static const char *const headings[] = { "EDGE",   "LIVE",         "SEEN",     "VERSION",
		                                "AGENTS", "FAILED PORTS", "ADDRESSES" };
	json_t *edge;
	size_t index;
	if (json_array_size(edges) == 0) {
		printf("\nNo edge: nothing takes visitors.\n");
		return;
	}
	struct table *table = table_new(headings, sizeof headings / sizeof *headings);
	json_array_foreach(edges, index, edge) add_edge(table, edge, now_ms);
	print_and_free(table);
}

static const char *edge_name(const json_t *edges, const char *id)
{
	json_t *edge;
	size_t index;
	json_array_foreach(edges, index, edge)
	{
		if (strcmp(cli_text(edge, "node_id"), id) == 0)
			return cli_text(edge, "name");
	}
	return id;
}

/* What is the same for all of its tunnels is said once. */
static const char *format_transports(const json_t *agent, const json_t *edges, char *out,
                                     size_t cap)
{
	const json_t *list = json_object_get(agent, "transports");
	const char *first = cli_text(json_array_get(list, 0), "transport");
	json_t *tunnel;
	size_t index, len;
	int differ = 0;
	json_array_foreach(list, index, tunnel) differ |=
		strcmp(cli_text(tunnel, "transport"), first) != 0;
	snprintf(out, cap, "%s", differ ? "" : first);
	json_array_foreach(list, index, tunnel)
	{
		len = strlen(out);
		if (differ)
			snprintf(out + len, cap - len, "%s%s to %.40s", index ? ", " : "",
			         cli_text(tunnel, "transport"),
			         edge_name(edges, cli_text(tunnel, "edge_id")));
	}
	return out;
}

static void print_agents(const json_t *tenants, const json_t *edges)
{
	static const char *const headings[] = { "AGENT", "TENANT",    "VERSION",
		                                "LIVE",  "HEARD",     "TUNNELS",
		                                "BY",    "LAST BYTE", "ROUND TRIP" };
	struct table *table = table_new(headings, sizeof headings / sizeof *headings);
	size_t index, k, count = 0;
	json_t *tenant, *agent;
	json_array_foreach(tenants, index, tenant)
	{
		json_array_foreach(json_object_get(tenant, "agents"), k, agent)
		{
			char id[17], heard[32], byte[32], rtt[32], tunnels[24], by[512];
			snprintf(id, sizeof id, "%s", cli_text(agent, "agent_id"));
			snprintf(tunnels, sizeof tunnels, "%" PRIu64, cli_number(agent, "tunnels"));
			const char *cells[] = {
				id,
				cli_text(tenant, "name"),
				cli_text(agent, "version"),
				json_is_true(json_object_get(agent, "live")) ? "yes" : "no",
				format_age(agent, "heard_age_ms", heard),
				tunnels,
				format_transports(agent, edges, by, sizeof by),
				format_age(agent, "last_byte_age_ms", byte),
				format_rtt(agent, rtt),
			};
			table_add(table, cells);
			count++;
		}
	}
	if (count)
		print_and_free(table);
	else
		table_free(table);
}

/* Services that are up are listed as long as that is a glance. */
#define GLANCE_MAX 50

/* "any", "2 networks", "any but 1", "2 networks but 1" */
static char *format_access(const json_t *service, char out[64])
{
	size_t allowed = json_array_size(json_object_get(service, "allow_from"));
	size_t denied = json_array_size(json_object_get(service, "deny_from"));
	char but[32] = "";
	if (denied)
		snprintf(but, sizeof but, " but %zu", denied);
	if (allowed)
		snprintf(out, 64, "%zu network%s%s", allowed, allowed > 1 ? "s" : "", but);
	else
		snprintf(out, 64, "any%s", but);
	return out;
}

static void print_services(const json_t *tenants, int all)
{
	static const char *const headings[] = { "SERVICE", "TENANT", "STATE",
		                                "AGENTS",  "FROM",   "WHY" };
	struct table *table = table_new(headings, sizeof headings / sizeof *headings);
	size_t index, k, count = 0, shown = 0;
	json_t *tenant, *service;
	json_array_foreach(tenants, index, tenant) count +=
		json_array_size(json_object_get(tenant, "services"));
	json_array_foreach(tenants, index, tenant)
	{
		json_array_foreach(json_object_get(tenant, "services"), k, service)
		{
			char agents[24], from[64];
			if (is_up(service) && count > GLANCE_MAX && !all)
				continue;
			snprintf(agents, sizeof agents, "%zu",
			         json_array_size(json_object_get(service, "agents")));
			const char *cells[] = {
				cli_text(service, "service"), cli_text(tenant, "name"),
				cli_text(service, "state"),   agents,
				format_access(service, from), cli_text(service, "why")
			};
			table_add(table, cells);
			shown++;
		}
	}
	if (shown)
		print_and_free(table);
	else
		table_free(table);
	if (shown < count)
		printf("\n%zu services are up; --all lists them.\n", count - shown);
}

static void print_document(const json_t *document, int all)
{
	const json_t *hub = json_object_get(document, "hub");
	const json_t *tenants = json_object_get(document, "tenants");
	printf("Hub    %s, version %s\n"
	       "Id     %s\n"
	       "Store  %s\n",
	       cli_text(hub, "url"), cli_text(hub, "version"), cli_text(hub, "node_id"),
	       has_store(document) ? "answers" : cli_text(hub, "store"));
	print_edges(json_object_get(document, "edges"), cli_number(hub, "time_ms"));
	if (!has_store(document))
		return;
	if (json_array_size(tenants) == 0)
		printf("\nNo tenants. An invite makes one: towonel invite create --hostnames "
		       "app.example.eu\n");
	print_agents(tenants, json_object_get(document, "edges"));
	print_services(tenants, all);
}

static int run_status(struct cli *cli)
{
	json_t *document = NULL;
	int status = look(cli, &document);
	if (status != 0)
		return status;
	if (cli->json)
		status = cli_print_json(document);
	else
		print_document(document, cli->given['a'] != NULL);
	if (status == 0 && !is_well(document))
		status = EXIT_FAILED;
	json_decref(document);
	return status;
}

static const struct option status_options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ NULL, 0, NULL, 0 },
};

const struct command status_all = {
	.noun = "status",
	.arguments = "[--all]",
	.summary = "what is up: hub, store, edges, agents, services",
	.details =
		"  --all              list the services that are up, however many there are\n"
		"\n"
		"An agent's tunnels go BY udp, or by tcp where UDP is blocked. LAST BYTE is how "
		"long ago a\n"
		"byte is known to have gone to an edge and back, ROUND TRIP how long that took. "
		"A service is up,\n"
		"or: no agent (that is there serves it), no tunnel (from its agent to any edge), "
		"port failed\n"
		"(on an edge), refused (by the hub). FROM is how many networks its visitors may "
		"come from; --json\n"
		"has them.\n"
		"\n"
		"Exit status 0: the hub, its store, every edge and every service are up; 1: not "
		"all "
		"of them.\n",
	.options = status_options,
	.who = CLI_OPERATOR,
	.run = run_status,
};
