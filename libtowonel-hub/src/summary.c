/* SPDX-License-Identifier: MIT */
#include "summary.h"

/* What anybody may know: a member that is added to a document is not shown before it is here. */
static const char *const of_hub[] = { "status",           "node_id", "version",
	                              "protocol_version", "time_ms", "store" };
static const char *const of_edge[] = { "node_id", "name",         "addresses", "live",
	                               "version", "last_seen_ms", "traffic" };
#define COUNT(list) (sizeof(list) / sizeof *(list))

static json_t *members(const json_t *object, const char *const *keys, size_t count)
{
	json_t *some = json_object();

	for (size_t i = 0; i < count; i++) {
		json_t *value = json_object_get(object, keys[i]);
		if (value)
			json_object_set(some, keys[i], value);
	}
	return some;
}

static void count(json_t *counts, const char *key)
{
	if (key)
		json_object_set_new(
			counts, key,
			json_integer(1 + json_integer_value(json_object_get(counts, key))));
}

/* How many items have each value of the member. */
static void count_by(json_t *counts, const json_t *list, const char *member)
{
	json_t *item;
	size_t index;

	json_array_foreach(list, index, item)
		count(counts, json_string_value(json_object_get(item, member)));
}

static json_t *length_of(const json_t *object, const char *key)
{
	return json_integer((json_int_t)json_array_size(json_object_get(object, key)));
}

static json_t *edge_of(const json_t *edge)
{
	json_t *some = members(edge, of_edge, COUNT(of_edge)), *certificates = json_object();

	count_by(certificates, json_object_get(edge, "certificates"), "state");
	json_object_set_new(some, "agents", length_of(edge, "agents"));
	json_object_set_new(some, "failed_ports", length_of(edge, "failed_ports"));
	json_object_set_new(some, "certificates", certificates);
	return some;
}

static json_t *sums(const json_t *tenants)
{
	json_t *agents = json_pack("{s:i, s:i}", "live", 0, "gone", 0);
	json_t *services = json_object(), *tenant, *agent;
	size_t index, k;

	json_array_foreach(tenants, index, tenant)
	{
		json_array_foreach(json_object_get(tenant, "agents"), k, agent) count(
			agents, json_is_true(json_object_get(agent, "live")) ? "live" : "gone");
		count_by(services, json_object_get(tenant, "services"), "state");
	}
	return json_pack("{s:I, s:o, s:o}", "tenants", (json_int_t)json_array_size(tenants),
	                 "agents", agents, "services", services);
}

json_t *tow__status_summary(const json_t *document)
{
	json_t *edges = json_array(), *edge;
	size_t index;

	json_array_foreach(json_object_get(document, "edges"), index, edge)
		json_array_append_new(edges, edge_of(edge));
	return json_pack("{s:o, s:o, s:o}", "hub",
	                 members(json_object_get(document, "hub"), of_hub, COUNT(of_hub)), "edges",
	                 edges, "summary", sums(json_object_get(document, "tenants")));
}
