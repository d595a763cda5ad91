/* SPDX-License-Identifier: MIT */
/*
 * What is up and what is not, concluded from what the hub tells of its edges and tenants: one
 * document, which `towonel status` prints as a table or as it is.
 */
#include "cli/standing.h"

#include <stdio.h>
#include <string.h>

/* An agent says every 20 seconds that it is there; one that was silent for longer is gone, unless
 * an edge has a tunnel to it. */
#define AGENT_SILENT_MS 65000

static json_t *get(const json_t *object, const char *key)
{
	return json_object_get(object, key);
}

static int has_text(const json_t *list, const char *text)
{
	size_t index;
	json_t *item;
	json_array_foreach(list, index, item)
	{
		if (json_is_string(item) && strcmp(json_string_value(item), text) == 0)
			return 1;
	}
	return 0;
}

/* --- agents --- */

/* How many live edges say that they have a tunnel to the agent; -1: they do not say. */
static json_int_t edges_with(const json_t *edges, const char *agent)
{
	json_int_t count = -1;
	size_t index;
	json_t *edge;
	json_array_foreach(edges, index, edge)
	{
		if (!json_is_true(get(edge, "live")) || !get(edge, "agents"))
			continue;
		count = (count < 0 ? 0 : count) + has_text(get(edge, "agents"), agent);
	}
	return count;
}

static json_t *agent_standing(const json_t *agent, const json_t *edges, uint64_t now_ms)
{
	const char *id = cli_text(agent, "agent_id");
	uint64_t heard = cli_number(agent, "heard_at_ms");
	uint64_t silent = heard && now_ms > heard ? now_ms - heard : 0;
	uint64_t quiet = UINT64_MAX;
	json_int_t tunnels = edges_with(edges, id);
	int heard_lately = heard && silent <= AGENT_SILENT_MS;
	size_t index;
	json_t *tunnel;
	if (tunnels < 0)
		tunnels = heard_lately ? (json_int_t)json_array_size(get(agent, "tunnels")) : 0;
	json_array_foreach(get(agent, "tunnels"), index, tunnel)
	{
		if (cli_number(tunnel, "quiet_ms") < quiet)
			quiet = cli_number(tunnel, "quiet_ms");
	}
	return json_pack(
		"{s:s, s:O, s:b, s:I, s:o, s:o}", "agent_id", id, "version", get(agent, "version"),
		"live", tunnels > 0 || heard_lately, "tunnels", tunnels, "heard_age_ms",
		heard ? json_integer((json_int_t)silent) : json_null(), "last_byte_age_ms",
		quiet < UINT64_MAX ? json_integer((json_int_t)(silent + quiet)) : json_null());
}

/* --- services --- */

struct view {
	const json_t *tenant, *edges;
	json_t *agents;   /* their standing, in the tenant's order */
	json_t *services; /* the answer */
};

static void add(struct view *v, const char *service, const char *state, const char *why,
                json_t *agents)
{
	json_array_append_new(v->services, json_pack("{s:s, s:s, s:s, s:o}", "service", service,
	                                             "state", state, "why", why, "agents", agents));
}

/* Which edges cannot bind a port of the service; "" for none. */
static void failed_on(const struct view *v, const char *protocol, const char *service, char *out,
                      size_t cap)
{
	size_t e, p, f;
	json_t *edge, *port, *failed;
	*out = 0;
	json_array_foreach(get(v->tenant, "ports"), p, port)
	{
		if (strcmp(cli_text(port, "protocol"), protocol) != 0 ||
		    strcmp(cli_text(port, "service"), service) != 0)
			continue;
		json_array_foreach(v->edges, e, edge)
		{
			json_array_foreach(get(edge, "failed_ports"), f, failed)
			{
				size_t len = strlen(out);
				const char *reason = cli_text(failed, "reason");
				if (cli_number(failed, "port") == cli_number(port, "port") &&
				    strcmp(cli_text(failed, "protocol"), protocol) == 0)
					snprintf(out + len, cap - len,
					         "%sport %llu/%s cannot be bound on edge %s%s%s",
					         len ? "; " : "",
					         (unsigned long long)cli_number(port, "port"),
					         protocol, cli_text(edge, "name"),
					         *reason ? ": " : "", reason);
			}
		}
	}
}

/* A service that is the tenant's: who serves it? authority is as agents call it. */
static void add_claimed(struct view *v, const char *authority, const char *failed)
{
	json_t *serving = json_array(), *agent;
	size_t index, live = 0, silent = 0;
	char why[512] = "";
	json_array_foreach(get(v->tenant, "agents"), index, agent)
	{
		const json_t *standing = json_array_get(v->agents, index);
		if (!has_text(get(agent, "services"), authority))
			continue;
		if (!json_is_true(get(standing, "live")))
			silent++;
		else if (cli_number(standing, "tunnels") > 0)
			json_array_append(serving, get(agent, "agent_id"));
		else
			live++;
	}
	const char *state = "up";
	if (json_array_size(serving) > 0) {
		if (*failed)
			state = "port failed";
		snprintf(why, sizeof why, "%s", failed);
	} else if (live) {
		state = "no tunnel";
		snprintf(why, sizeof why, "its agent reaches no edge");
	} else {
		state = "no agent";
		snprintf(why, sizeof why, "%s",
		         silent ? "its agent has not been heard of lately"
		                : "no agent that is there serves it");
	}
	add(v, authority, state, why, serving);
}

static void add_ports(struct view *v)
{
	size_t index, before;
	json_t *port, *done = json_object();
	json_array_foreach(get(v->tenant, "ports"), index, port)
	{
		char authority[TOW_AUTHORITY_SIZE], failed[384];
		const char *service = cli_text(port, "service");
		if (!*service) /* held for the tenant, and nobody wants it yet */
			continue;
		snprintf(authority, sizeof authority, "%s:%s", cli_text(port, "protocol"), service);
		before = json_object_size(done);
		json_object_set_new(done, authority, json_true());
		if (json_object_size(done) == before)
			continue; /* another port of a range */
		failed_on(v, cli_text(port, "protocol"), service, failed, sizeof failed);
		add_claimed(v, authority, failed);
	}
	json_decref(done);
}

static int is_listed(const struct view *v, const char *service, const char *state)
{
	size_t index;
	json_t *item;
	json_array_foreach(v->services, index, item)
	{
		if (strcmp(cli_text(item, "service"), service) == 0 &&
		    strcmp(cli_text(item, "state"), state) == 0)
			return 1;
	}
	return 0;
}

static void add_refused(struct view *v)
{
	size_t index, k;
	json_t *agent, *refusal;
	json_array_foreach(get(v->tenant, "agents"), index, agent)
	{
		if (!json_is_true(get(json_array_get(v->agents, index), "live")))
			continue;
		json_array_foreach(get(agent, "refused"), k, refusal)
		{
			const char *service = cli_text(refusal, "service");
			if (!is_listed(v, service, "refused"))
				add(v, service, "refused", cli_text(refusal, "reason"),
				    json_array());
		}
	}
}

json_t *cli_tenant_standing(const json_t *tenant, const json_t *edges, uint64_t now_ms)
{
	struct view v = { tenant, edges, json_array(), json_array() };
	size_t index;
	json_t *item;
	json_array_foreach(get(tenant, "agents"), index, item)
		json_array_append_new(v.agents, agent_standing(item, edges, now_ms));
	json_array_foreach(get(tenant, "hostnames"), index, item)
		add_claimed(&v, json_string_value(item), "");
	add_ports(&v);
	add_refused(&v);
	return json_pack("{s:s, s:s, s:o, s:o}", "tenant_id", cli_text(tenant, "tenant_id"), "name",
	                 cli_text(tenant, "name"), "agents", v.agents, "services", v.services);
}
