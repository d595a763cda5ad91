/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <string.h>

#include <towonel/wire/limits.h>

struct tenant_call {
	struct tow__call call;
	struct tow_id id;
	struct tow__page page;
	uint64_t now_ms;
	unsigned which; /* of the limits are set */
	struct tow_tenant_limits limits;
};

static const char *const limit_keys[] = { "connections", "bytes_in_per_sec", "bytes_out_per_sec" };

static struct tenant_call *new_call(struct tow_hub *hub, struct tow_http_request *request)
{
	struct tenant_call *t = tow__call_new(hub, request, sizeof *t);

	if (t)
		t->now_ms = tow_wall_ms();
	return t;
}

/* --- list --- */

/* A member of what the agent said of itself, or nothing of the kind. */
static json_t *said(json_t *report, const char *key, json_t *fallback)
{
	json_t *value = json_object_get(report, key);

	if (!value)
		return fallback;
	json_decref(fallback);
	return json_incref(value);
}

static json_t *agents_of(const struct tow__tenant *tenant)
{
	json_t *list = json_array();
	char hash[TOW_HEX_SIZE(TOW_HASH_SIZE)];

	for (size_t i = 0; i < tenant->agent_count; i++) {
		const struct tow__agent *a = &tenant->agents[i];
		json_t *report = json_loads(a->report, 0, NULL);
		json_array_append_new(
			list,
			json_pack("{s:o, s:I, s:s, s:I, s:o, s:o, s:o}", "agent_id",
		                  tow__json_id(&a->id), "generation", (json_int_t)a->generation,
		                  "services_hash",
		                  tow_hex_encode(a->services_hash, sizeof a->services_hash, hash),
		                  "expires_at_ms", (json_int_t)a->expires_ms, "version",
		                  said(report, "version", json_null()), "services",
		                  said(report, "services", json_array()), "refused",
		                  said(report, "refused", json_array())));
		json_decref(report);
	}
	return list;
}

static json_t *ports_of(const struct tow__tenant *tenant)
{
	json_t *list = json_array();

	for (size_t i = 0; i < tenant->port_count; i++)
		json_array_append_new(list, tow__json_port(&tenant->ports[i]));
	return list;
}

static json_t *access_of(const struct tow__tenant *tenant)
{
	json_t *list = json_array();

	for (size_t i = 0; i < tenant->access_count; i++) {
		const struct tow__hostname_access *a = &tenant->access[i];
		json_array_append_new(
			list, json_pack("{s:s, s:o, s:o}", "hostname", a->pattern, "allow_from",
		                        tow__json_access(&a->access, TOW_ACCESS_ALLOW), "deny_from",
		                        tow__json_access(&a->access, TOW_ACCESS_DENY)));
	}
	return list;
}

static json_t *json_limits(const struct tow_tenant_limits *limits)
{
	return json_pack("{s:I, s:I, s:I}", limit_keys[0], (json_int_t)limits->connections,
	                 limit_keys[1], (json_int_t)limits->bytes_in_per_sec, limit_keys[2],
	                 (json_int_t)limits->bytes_out_per_sec);
}

json_t *tow__json_tenant(const struct tow__tenant *tenant)
{
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "tenant_id",
	                 tow__json_id(&tenant->id), "name", tenant->name, "allowed_hostnames",
	                 tow__json_names(&tenant->patterns), "hostnames",
	                 tow__json_names(&tenant->hostnames), "hostname_access", access_of(tenant),
	                 "limits", json_limits(&tenant->limits), "agents", agents_of(tenant),
	                 "ports", ports_of(tenant), "created_at_ms",
	                 (json_int_t)tenant->created_ms);
}

static int add_to_list(void *user, const struct tow__tenant *tenant)
{
	struct tow__call *call = user;

	return json_array_append_new(json_object_get(call->answer, "tenants"),
	                             tow__json_tenant(tenant))
	               ? TOW_ENOMEM
	               : 0;
}

static void list_work(struct tow__call *call, struct tow__store *store)
{
	struct tenant_call *t = (struct tenant_call *)call;

	call->answer = json_pack("{s:[]}", "tenants");
	call->counted = 1;
	tow__store_tenant_list(store, &t->page, t->now_ms, add_to_list, call, &call->total_count,
	                       &call->fault);
}

/* What only this hub has heard. */
static void add_heard(struct tow_hub *hub, json_t *agent)
{
	const char *text = json_string_value(json_object_get(agent, "agent_id"));
	const struct tow__heard_agent *heard = NULL;
	struct tow_id id;

	if (text && !tow_id_parse(tow_slice_of(text), &id))
		heard = tow__heard_find(hub->heard, &id);
	json_object_set_new(agent, "heard_at_ms", tow__json_time(heard ? heard->heard_ms : 0));
	json_object_set_new(agent, "tunnels",
	                    heard && heard->tunnels ? json_loads(heard->tunnels, 0, NULL)
	                                            : json_array());
}

void tow__tenant_add_heard(struct tow_hub *hub, json_t *tenant)
{
	json_t *agent;
	size_t index;

	json_array_foreach(json_object_get(tenant, "agents"), index, agent) add_heard(hub, agent);
}

static void list_respond(struct tow__call *call)
{
	json_t *tenant;
	size_t index;

	json_array_foreach(json_object_get(call->answer, "tenants"), index, tenant)
		tow__tenant_add_heard(call->hub, tenant);
}

void tow__api_tenant_list(void *user, struct tow_http_request *request)
{
	struct tenant_call *t = new_call(user, request);

	if (!t)
		return;
	t->call.work = list_work;
	t->call.respond = list_respond;
	tow__call_page(&t->call, &t->page);
	tow__call_run(&t->call);
}

/* --- limit --- */

static void read_limits(struct tenant_call *t)
{
	struct tow__fault *fault = &t->call.fault;
	json_t *limits = fault->kind ? NULL : json_object_get(t->call.body, "limits"), *value;
	uint64_t numbers[3] = { 0 };
	const char *key;

	if (fault->kind)
		return;
	if (!json_is_object(limits) || !json_object_size(limits)) {
		tow__fault_set(fault, TOW__INVALID_REQUEST,
		               "\"limits\" is an object with one of them at least");
		return;
	}
	json_object_foreach(limits, key, value)
	{
		uint64_t max = strcmp(key, limit_keys[0]) ? TOW_TENANT_RATE_MAX : UINT32_MAX;
		size_t i = 0;
		while (i < 3 && strcmp(key, limit_keys[i]) != 0)
			i++;
		if (i == 3)
			tow__fault_set(fault, TOW__INVALID_REQUEST, "\"limits\" has no \"%.40s\"",
			               key);
		else if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		         (uint64_t)json_integer_value(value) > max)
			tow__fault_set(fault, TOW__INVALID_REQUEST,
			               "\"%s\" is a whole number from 0, for no limit, to %llu",
			               key, (unsigned long long)max);
		if (fault->kind)
			return;
		numbers[i] = (uint64_t)json_integer_value(value);
		t->which |= 1u << i; /* as enum tow__limit */
	}
	t->limits = (struct tow_tenant_limits){ (uint32_t)numbers[0], numbers[1], numbers[2] };
}

static void limit_work(struct tow__call *call, struct tow__store *store)
{
	struct tenant_call *t = (struct tenant_call *)call;

	tow__store_tenant_limit(store, &t->id, t->which, &t->limits, &call->fault);
}

static void limited(struct tow__call *call)
{
	struct tenant_call *t = (struct tenant_call *)call;

	tow_log_info(call->hub->log, "tenant limited", tow_f_id("tenant", &t->id),
	             tow_f_uint("connections", t->limits.connections),
	             tow_f_uint("bytes_in_per_sec", t->limits.bytes_in_per_sec),
	             tow_f_uint("bytes_out_per_sec", t->limits.bytes_out_per_sec),
	             tow_f_addr("by", tow_http_peer(call->request)));
	call->answer = json_pack("{s:s, s:o, s:o}", "status", "ok", "tenant_id",
	                         tow__json_id(&t->id), "limits", json_limits(&t->limits));
}

void tow__api_tenant_limit(void *user, struct tow_http_request *request)
{
	static const char *const keys[] = { "limits", NULL };
	struct tenant_call *t = new_call(user, request);

	if (!t)
		return;
	t->call.access = TOW__DB_WRITE;
	t->call.work = limit_work;
	t->call.respond = limited;
	tow__call_path_tenant(&t->call, &t->id);
	tow__call_body(&t->call, keys);
	read_limits(t);
	tow__call_run(&t->call);
}

/* --- remove and leave --- */

static void remove_work(struct tow__call *call, struct tow__store *store)
{
	struct tenant_call *t = (struct tenant_call *)call;

	tow__store_tenant_remove(store, &t->id, t->now_ms, &call->fault);
}

static void removed(struct tow__call *call)
{
	struct tenant_call *t = (struct tenant_call *)call;

	tow_log_info(call->hub->log, "tenant removed", tow_f_id("tenant", &t->id),
	             tow_f_addr("by", tow_http_peer(call->request)));
	call->answer =
		json_pack("{s:s, s:o}", "status", "removed", "tenant_id", tow__json_id(&t->id));
}

void tow__api_tenant_remove(void *user, struct tow_http_request *request)
{
	struct tenant_call *t = new_call(user, request);

	if (!t)
		return;
	t->call.access = TOW__DB_WRITE;
	t->call.work = remove_work;
	t->call.respond = removed;
	tow__call_path_tenant(&t->call, &t->id);
	tow__call_run(&t->call);
}

static void leave_work(struct tow__call *call, struct tow__store *store)
{
	struct tenant_call *t = (struct tenant_call *)call;
	struct tow_slice jws = tow_http_body(call->request);
	struct tow__submission in = { &jws, 1, &t->id, t->now_ms };
	struct tow__submitted out = { 0 };

	tow__store_submit(store, &in, &out, &call->fault);
	call->is_member = out.is_signed;
	call->member = out.tenant;
}

void tow__api_tenant_leave(void *user, struct tow_http_request *request)
{
	struct tenant_call *t = new_call(user, request);

	if (!t)
		return;
	t->call.access = TOW__DB_WRITE;
	t->call.work = leave_work;
	t->call.respond = removed;
	tow__call_path_tenant(&t->call, &t->id);
	tow__call_run(&t->call);
}
