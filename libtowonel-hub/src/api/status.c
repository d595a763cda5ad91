/* SPDX-License-Identifier: MIT */
/* What is up: the hub, its store, edges, tenants. A store that fails is part of the answer. And the
 * page that shows it, to the operator, who has a key, and on the health listener, where nobody is
 * asked for one. */
#include "api/api.h"

#include <stdio.h>
#include <string.h>

#include <towonel/wire/addr.h>

#include "page/page.h"
#include "standing.h"
#include "summary.h"

struct status {
	struct tow__call call;
	struct tow__page page;
	uint64_t now_ms;
	json_t *tenants; /* as the list of tenants has them */
	int nameless;
};

static int add_tenant(void *user, const struct tow__tenant *tenant)
{
	struct status *s = user;

	return json_array_append_new(s->tenants, tow__json_tenant(tenant)) ? TOW_ENOMEM : 0;
}

static void work(struct tow__call *call, struct tow__store *store)
{
	struct status *s = (struct status *)call;

	s->tenants = json_array();
	call->counted = 1;
	tow__store_tenant_list(store, &s->page, s->now_ms, add_tenant, s, &call->total_count,
	                       &call->fault);
}

static json_t *hub_of(const struct tow_hub *hub, const char *store)
{
	json_t *json = tow__json_health(hub);

	json_object_set_new(json, "url", json_string(hub->public_url));
	json_object_set_new(json, "store", json_string(store));
	return json;
}

static json_t *standings(const struct status *s, const json_t *edges)
{
	struct tow__edges_said said;
	json_t *list = json_array(), *tenant;
	size_t index;

	tow__edges_said_init(&said, edges);
	json_array_foreach(s->tenants, index, tenant)
	{
		tow__tenant_add_heard(s->call.hub, tenant);
		json_array_append_new(list, tow__tenant_standing(tenant, &said, tow_wall_ms()));
	}
	tow__edges_said_deinit(&said);
	return list;
}

static void make(struct status *s, const char *store)
{
	json_t *edges = tow__edges_for_all(s->call.hub->edges, 1);
	json_t *document = json_pack("{s:o, s:O, s:o}", "hub", hub_of(s->call.hub, store), "edges",
	                             edges, "tenants", standings(s, edges));

	s->call.answer = s->nameless ? tow__status_summary(document) : json_incref(document);
	json_decref(document);
	json_decref(edges);
}

static void respond(struct tow__call *call)
{
	make((struct status *)call, "ok");
}

static void failed(struct tow__call *call)
{
	struct status *s = (struct status *)call;
	struct tow__fault fault = call->fault;

	if (tow__fault_status(fault.kind) < 500)
		return;
	call->fault.kind = TOW__NO_FAULT;
	call->counted = 0;
	json_array_clear(s->tenants);
	make(s, fault.text);
}

static void release(struct tow__call *call)
{
	json_decref(((struct status *)call)->tenants);
}

static void ask(struct tow_hub *hub, struct tow_http_request *request, int nameless)
{
	struct status *s = tow__call_new(hub, request, sizeof *s);

	if (!s)
		return;
	s->nameless = nameless;
	s->now_ms = tow_wall_ms();
	s->call.work = work;
	s->call.respond = respond;
	s->call.failed = failed;
	s->call.release = release;
	tow__call_page(&s->call, &s->page);
	tow__call_run(&s->call);
}

void tow__api_status(void *user, struct tow_http_request *request)
{
	ask(user, request, 0);
}

void tow__api_page(void *user, struct tow_http_request *request)
{
	(void)user;
	tow__page_respond(request);
}

/* --- on the health listener --- */

/* A page of some site whose name was made to lead to this host asks in a browser that can get here.
 * It cannot help sending its name. */
static int asks_by_name(const struct tow_http_request *request)
{
	const char *asked = tow_http_header(request, "Host");
	char host[254], text[300];
	struct tow_addr addr;
	uint16_t port;

	if (!asked)
		return 0;
	if (tow_host_port_split(tow_slice_of(asked), host, &port, NULL)) {
		snprintf(text, sizeof text, "%.253s:80", asked);
		if (tow_host_port_split(tow_slice_of(text), host, &port, NULL))
			return 1;
	}
	return strcmp(host, "localhost") != 0 && tow_addr_parse_host(tow_slice_of(host), &addr);
}

static void show_status(void *user, struct tow_http_request *request)
{
	struct tow_hub *hub = user;

	if (!tow__api_limited(hub, request))
		ask(hub, request, !hub->health_names || asks_by_name(request));
}

const struct tow_http_route tow_hub_health_pages[TOW_HUB_HEALTH_PAGES] = {
	{ "GET", "/status", .handle = tow__api_page },
	{ "GET", "/status.json", .handle = show_status },
};
