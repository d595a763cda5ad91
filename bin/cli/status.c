/* SPDX-License-Identifier: MIT */
/* What is up, at a glance: the hub, its store, the edges, the tenants. */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common.h"

struct picture {
	json_t *health, *edges, *tenants; /* tenants NULL: the store does not answer */
	struct tow_error store;
};

/* Every page of the tenants, or why there is none: this is how the store is asked. */
static int look_into_store(struct cli *cli, struct picture *picture)
{
	picture->tenants = json_array();
	for (;;) {
		struct cli_answer answer;
		char path[64];
		size_t before = json_array_size(picture->tenants);
		snprintf(path, sizeof path, "/v1/tenants?limit=500&offset=%zu", before);
		int status = cli_ask(cli, "GET", path, NULL, TOW_HUB_OPERATOR, &answer);
		if (status == 0 && answer.error.code != 0 && answer.status < 500)
			status = cli_refused(cli, TOW_HUB_OPERATOR, &answer);
		if (status == 0)
			json_array_extend(picture->tenants,
			                  json_object_get(answer.body, "tenants"));
		json_decref(answer.body);
		if (status != 0)
			return status;
		if (answer.error.code != 0) {
			picture->store = answer.error;
			json_decref(picture->tenants);
			picture->tenants = NULL;
			return 0;
		}
		if (json_array_size(picture->tenants) >= answer.total ||
		    json_array_size(picture->tenants) == before)
			return 0;
	}
}

static int look(struct cli *cli, struct picture *picture)
{
	json_t *body = NULL;
	int status =
		cli_call(cli, "GET", "/v1/health", NULL, TOW_HUB_OPERATOR, &picture->health, NULL);
	if (status == 0)
		status = cli_call(cli, "GET", "/v1/edges", NULL, TOW_HUB_OPERATOR, &body, NULL);
	if (status == 0) {
		picture->edges = json_incref(json_object_get(body, "edges"));
		json_decref(body);
		status = look_into_store(cli, picture);
	}
	return status;
}

/* --- what is printed --- */

static size_t count_of(const json_t *tenant, const char *key)
{
	return json_array_size(json_object_get(tenant, key));
}

static json_t *document_of(const struct cli *cli, const struct picture *picture)
{
	json_t *hub = json_deep_copy(picture->health), *tenants = json_array(), *tenant;
	size_t index;
	json_object_set_new(hub, "url", json_string(cli->asked));
	json_object_set_new(hub, "store",
	                    json_string(picture->tenants ? "ok" : picture->store.text));
	json_array_foreach(picture->tenants, index, tenant) json_array_append_new(
		tenants, json_pack("{s:s, s:s, s:I, s:I, s:I}", "tenant_id",
	                           cli_text(tenant, "tenant_id"), "name", cli_text(tenant, "name"),
	                           "agents", (json_int_t)count_of(tenant, "agents"), "hostnames",
	                           (json_int_t)count_of(tenant, "hostnames"), "ports",
	                           (json_int_t)count_of(tenant, "ports")));
	return json_pack("{s:o, s:O, s:o}", "hub", hub, "edges", picture->edges, "tenants",
	                 tenants);
}

static void print_edges(const json_t *edges)
{
	static const char *const headings[] = { "EDGE", "NAME", "LIVE", "ADDRESSES" };
	json_t *edge;
	size_t index;
	if (json_array_size(edges) == 0) {
		printf("\nNo edge: nothing takes visitors.\n");
		return;
	}
	struct table *table = table_new(headings, sizeof headings / sizeof *headings);
	json_array_foreach(edges, index, edge)
	{
		struct tow_buf addresses = { 0 };
		const char *cells[] = {
			cli_text(edge, "node_id"),
			cli_text(edge, "name"),
			json_is_true(json_object_get(edge, "live")) ? "yes" : "no",
			cli_join(json_object_get(edge, "addresses"), &addresses),
		};
		table_add(table, cells);
		tow_buf_deinit(&addresses);
	}
	putchar('\n');
	table_print(table);
	table_free(table);
}

static void print_tenants(const json_t *tenants)
{
	static const char *const headings[] = { "TENANT", "NAME", "AGENTS", "HOSTNAMES", "PORTS" };
	json_t *tenant;
	size_t index;
	if (json_array_size(tenants) == 0) {
		printf("\nNo tenants. An invite makes one: towonel invite create --hostnames "
		       "app.example.eu\n");
		return;
	}
	struct table *table = table_new(headings, sizeof headings / sizeof *headings);
	json_array_foreach(tenants, index, tenant)
	{
		char agents[24], hostnames[24], ports[24];
		snprintf(agents, sizeof agents, "%zu", count_of(tenant, "agents"));
		snprintf(hostnames, sizeof hostnames, "%zu", count_of(tenant, "hostnames"));
		snprintf(ports, sizeof ports, "%zu", count_of(tenant, "ports"));
		const char *cells[] = { cli_text(tenant, "tenant_id"), cli_text(tenant, "name"),
			                agents, hostnames, ports };
		table_add(table, cells);
	}
	putchar('\n');
	table_print(table);
	table_free(table);
}

static void print_picture(const struct cli *cli, const struct picture *picture)
{
	printf("Hub    %s, version %s\n"
	       "Id     %s\n"
	       "Store  %s\n",
	       cli->asked, cli_text(picture->health, "version"),
	       cli_text(picture->health, "node_id"),
	       picture->tenants ? "answers" : picture->store.text);
	print_edges(picture->edges);
	if (picture->tenants)
		print_tenants(picture->tenants);
}

/* Is everything up that should be? */
static int is_well(const struct picture *picture)
{
	json_t *edge;
	size_t index;
	json_array_foreach(picture->edges, index, edge)
	{
		if (!json_is_true(json_object_get(edge, "live")))
			return 0;
	}
	return picture->tenants && json_array_size(picture->edges) > 0;
}

static int run_status(struct cli *cli)
{
	struct picture picture = { 0 };
	int status = look(cli, &picture);
	if (status == 0 && cli->json) {
		json_t *document = document_of(cli, &picture);
		status = cli_print_json(document);
		json_decref(document);
	} else if (status == 0) {
		print_picture(cli, &picture);
	}
	if (status == 0 && !is_well(&picture))
		status = EXIT_FAILED;
	json_decref(picture.health);
	json_decref(picture.edges);
	json_decref(picture.tenants);
	return status;
}

const struct command status_all = {
	.noun = "status",
	.arguments = "",
	.summary = "what is up: hub, store, edges, tenants",
	.details = "Exit status 0: the hub, its store and every edge are up; 1: not all of them.\n",
	.who = CLI_OPERATOR,
	.run = run_status,
};
