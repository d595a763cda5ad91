/* SPDX-License-Identifier: MIT */
#include "standing.h"

#include <stdio.h>
#include <string.h>

#include <towonel/wire/service.h>

/* An agent says every 20 seconds that it is there; one that was silent for longer is gone, unless
 * an edge has a tunnel to it. */
#define AGENT_SILENT_MS 65000

#define WHY_SIZE   512
#define WHY_ENOUGH 256 /* what is longer is not added to */

static json_t *get(const json_t *object, const char *key)
{
	return json_object_get(object, key);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(get(object, key));

	return text ? text : "";
}

static uint64_t number_of(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

static int is_live(const json_t *object)
{
	return json_is_true(get(object, "live"));
}

/* Of a text that may have been cut within its last character, which is left out then. */
static json_t *whole_characters(const char *text)
{
	size_t len = strlen(text);
	json_t *json = json_string(text);

	for (int i = 0; !json && len > 0 && i < 3; i++)
		json = json_stringn(text, --len);
	return json;
}

/* --- edges --- */

static void say_tunnels(struct tow__edges_said *said, const json_t *edge)
{
	json_t *agents = get(edge, "agents"), *agent;
	size_t index;

	if (!is_live(edge) || !agents)
		return;
	if (!said->tunnels)
		said->tunnels = json_object();
	json_array_foreach(agents, index, agent)
	{
		const char *id = json_string_value(agent);
		if (id)
			json_object_set_new(
				said->tunnels, id,
				json_integer(1 + json_integer_value(get(said->tunnels, id))));
	}
}

static void say_failed(struct tow__edges_said *said, const json_t *edge)
{
	char key[32], why[WHY_SIZE];
	json_t *failed;
	size_t index;

	json_array_foreach(get(edge, "failed_ports"), index, failed)
	{
		const char *protocol = text_of(failed, "protocol"),
			   *reason = text_of(failed, "reason");
		unsigned port = (unsigned)number_of(failed, "port");
		snprintf(key, sizeof key, "%.3s:%u", protocol, port);
		const char *before = text_of(said->failed, key);
		if (strlen(before) > WHY_ENOUGH)
			continue;
		snprintf(why, sizeof why, "%s%sport %u/%.3s cannot be bound on edge %s%s%s", before,
		         *before ? "; " : "", port, protocol, text_of(edge, "name"),
		         *reason ? ": " : "", reason);
		json_object_set_new(said->failed, key, whole_characters(why));
	}
}

void tow__edges_said_init(struct tow__edges_said *said, const json_t *edges)
{
	json_t *edge;
	size_t index;

	*said = (struct tow__edges_said){ .failed = json_object() };
	json_array_foreach(edges, index, edge)
	{
		say_tunnels(said, edge);
		say_failed(said, edge);
	}
}

void tow__edges_said_deinit(struct tow__edges_said *said)
{
	json_decref(said->tunnels);
	json_decref(said->failed);
}

/* --- agents --- */

/* By what its tunnels go, as it said last. */
static json_t *transports_of(const json_t *tunnels)
{
	json_t *list = json_array(), *tunnel;
	size_t index;

	json_array_foreach(tunnels, index, tunnel) json_array_append_new(
		list, json_pack("{s:s, s:s}", "edge_id", text_of(tunnel, "edge_id"), "transport",
	                        text_of(tunnel, "transport")));
	return list;
}

static json_t *agent_standing(const json_t *agent, const struct tow__edges_said *said,
                              uint64_t now_ms)
{
	const char *id = text_of(agent, "agent_id");
	uint64_t heard = number_of(agent, "heard_at_ms");
	uint64_t silent = heard && now_ms > heard ? now_ms - heard : 0;
	uint64_t quiet = UINT64_MAX, rtt = 0;
	json_int_t tunnels = json_integer_value(get(said->tunnels, id));
	int heard_lately = heard && silent <= AGENT_SILENT_MS;
	json_t *tunnel;
	size_t index;

	if (!said->tunnels)
		tunnels = heard_lately ? (json_int_t)json_array_size(get(agent, "tunnels")) : 0;
	json_array_foreach(get(agent, "tunnels"), index, tunnel)
	{
		if (number_of(tunnel, "quiet_ms") < quiet)
			quiet = number_of(tunnel, "quiet_ms");
		if (number_of(tunnel, "rtt_us") > rtt)
			rtt = number_of(tunnel, "rtt_us");
	}
	return json_pack("{s:s, s:O, s:b, s:I, s:o, s:o, s:o, s:o}", "agent_id", id, "version",
	                 get(agent, "version"), "live", tunnels > 0 || heard_lately, "tunnels",
	                 tunnels, "transports", transports_of(get(agent, "tunnels")),
	                 "heard_age_ms", heard ? json_integer((json_int_t)silent) : json_null(),
	                 "last_byte_age_ms",
	                 quiet < UINT64_MAX ? json_integer((json_int_t)silent + (json_int_t)quiet)
	                                    : json_null(),
	                 "rtt_us", rtt ? json_integer((json_int_t)rtt) : json_null());
}

/* --- services --- */

struct view {
	const json_t *tenant;
	const struct tow__edges_said *said;
	json_t *agents;   /* their standing, in the tenant's order */
	json_t *serves;   /* likewise what each of them serves: {authority: true} */
	json_t *access;   /* {authority: what has its lists of who may come} */
	json_t *services; /* the answer */
};

static json_t *set_of(const json_t *strings)
{
	json_t *set = json_object(), *item;
	size_t index;

	json_array_foreach(strings, index, item) if (json_is_string(item))
		json_object_set_new(set, json_string_value(item), json_true());
	return set;
}

static json_t *list_of(const struct view *v, const char *service, const char *key)
{
	json_t *list = get(get(v->access, service), key);

	return list ? json_incref(list) : json_array();
}

static void add(struct view *v, const char *service, const char *state, const char *why,
                json_t *agents)
{
	json_array_append_new(v->services,
	                      json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "service", service,
	                                "state", state, "why", why, "agents", agents, "allow_from",
	                                list_of(v, service, "allow_from"), "deny_from",
	                                list_of(v, service, "deny_from")));
}

/* A service that is the tenant's: who serves it? authority is as agents call it. */
static void add_claimed(struct view *v, const char *authority, const char *failed)
{
	json_t *serving = json_array(), *standing;
	size_t index, live = 0, silent = 0;
	const char *state = "up", *why = failed;

	json_array_foreach(v->agents, index, standing)
	{
		if (!get(json_array_get(v->serves, index), authority))
			continue;
		if (!is_live(standing))
			silent++;
		else if (number_of(standing, "tunnels") > 0)
			json_array_append(serving, get(standing, "agent_id"));
		else
			live++;
	}
	if (json_array_size(serving) > 0) {
		if (*failed)
			state = "port failed";
	} else if (live) {
		state = "no tunnel";
		why = "its agent reaches no edge";
	} else {
		state = "no agent";
		why = silent ? "its agent has not been heard of lately"
		             : "no agent that is there serves it";
	}
	add(v, authority, state, why, serving);
}

/* The ports of a range are one service, and any of them may have failed. */
static void add_ports(struct view *v)
{
	json_t *services = json_object(), *port, *failed;
	const char *authority;
	size_t index;

	json_array_foreach(get(v->tenant, "ports"), index, port)
	{
		const char *service = text_of(port, "service"),
			   *protocol = text_of(port, "protocol");
		char name[TOW_AUTHORITY_SIZE], key[32], why[WHY_SIZE];
		if (!*service) /* held for the tenant, and nobody wants it yet */
			continue;
		snprintf(name, sizeof name, "%s:%s", protocol, service);
		snprintf(key, sizeof key, "%.3s:%u", protocol, (unsigned)number_of(port, "port"));
		const char *before = text_of(services, name),
			   *reason = text_of(v->said->failed, key);
		if (strlen(before) > WHY_ENOUGH)
			continue;
		snprintf(why, sizeof why, "%s%s%.250s", before, *before && *reason ? "; " : "",
		         reason);
		json_object_set_new(services, name, whole_characters(why));
		json_object_set(v->access, name, port);
	}
	json_object_foreach(services, authority, failed)
		add_claimed(v, authority, json_string_value(failed));
	json_decref(services);
}

/* What agents were told that they cannot have; each is told of once. */
static void add_refused(struct view *v)
{
	json_t *told = json_object(), *agent, *refusal;
	size_t index, k;

	json_array_foreach(get(v->tenant, "agents"), index, agent)
	{
		if (!is_live(json_array_get(v->agents, index)))
			continue;
		json_array_foreach(get(agent, "refused"), k, refusal)
		{
			const char *service = text_of(refusal, "service");
			if (get(told, service))
				continue;
			json_object_set_new(told, service, json_true());
			add(v, service, "refused", text_of(refusal, "reason"), json_array());
		}
	}
	json_decref(told);
}

json_t *tow__tenant_standing(const json_t *tenant, const struct tow__edges_said *said,
                             uint64_t now_ms)
{
	struct view v = { tenant, said, json_array(), json_array(), json_object(), json_array() };
	json_t *item;
	size_t index;

	json_array_foreach(get(tenant, "agents"), index, item)
	{
		json_array_append_new(v.agents, agent_standing(item, said, now_ms));
		json_array_append_new(v.serves, set_of(get(item, "services")));
	}
	json_array_foreach(get(tenant, "hostname_access"), index, item)
		json_object_set(v.access, text_of(item, "hostname"), item);
	json_array_foreach(get(tenant, "hostnames"), index, item)
		add_claimed(&v, json_string_value(item), "");
	add_ports(&v);
	add_refused(&v);
	json_decref(v.serves);
	json_decref(v.access);
	return json_pack("{s:s, s:s, s:o, s:o}", "tenant_id", text_of(tenant, "tenant_id"), "name",
	                 text_of(tenant, "name"), "agents", v.agents, "services", v.services);
}
