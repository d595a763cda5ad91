/* SPDX-License-Identifier: MIT */

/*
 * An agent is still there. What it says of itself besides is for people who ask how things are: of
 * its tunnels, which only this hub remembers; of its services, which the store keeps, and which is
 * written when it is something new.
 */
#include "api/api.h"

#include <stdlib.h>
#include <string.h>

#include <towonel/wire/limits.h>

#define INTERVAL_SECS 20

struct heartbeat {
	struct tow__call call;
	struct tow_id tenant;
	struct tow__agent agent;
	char *report;
	struct tow__heard_agent heard;
	struct tow__siblings siblings;
};

static void work(struct tow__call *call, struct tow__store *store)
{
	struct heartbeat *h = (struct heartbeat *)call;

	if (call->access == TOW__DB_WRITE)
		tow__store_agent_report(store, &h->tenant, &h->agent, h->report, tow_wall_ms(),
		                        &h->siblings, &call->fault);
	else
		tow__store_agent_siblings(store, &h->tenant, &h->agent, tow_wall_ms(), &h->siblings,
		                          &call->fault);
	call->is_member = !call->fault.kind;
	call->member = h->tenant;
}

/* An agent that ended without a farewell lives on in the routes until its entry expires. Who is
 * still there says so to a hub, or has a tunnel to an edge, which says so, or had one a moment ago;
 * a hub that has just started, or hears of more than it can remember, does not know. */
static json_t *stale_agents(const struct tow_hub *hub, const struct tow__siblings *siblings)
{
	uint64_t silent_ms = TOW__AGENT_SILENT_MS, now_ms = tow_wall_ms();
	json_t *list = json_array();

	if (tow_now_ns() - hub->started_ns < silent_ms * TOW_NSEC_PER_MSEC)
		return list;
	for (size_t i = 0; i < siblings->elder_count; i++) {
		const struct tow_id *id = &siblings->elder[i];

		if (!tow__heard_maybe(hub->heard, id, now_ms - silent_ms) &&
		    !tow__edges_may_serve(hub->edges, id))
			json_array_append_new(list, tow__json_id(id));
	}
	return list;
}

static void respond(struct tow__call *call)
{
	struct heartbeat *h = (struct heartbeat *)call;
	struct tow_hub *hub = call->hub;

	h->heard.heard_ms = tow_wall_ms();
	h->heard.tunnels = json_dumps(json_object_get(call->body, "tunnels"), JSON_COMPACT);
	tow__heard_put(hub->heard, &h->agent.id, &h->heard);
	call->answer = json_pack("{s:s, s:i, s:o, s:o, s:o, s:b}", "status", "ok",
	                         "next_interval_secs", INTERVAL_SECS, "edges",
	                         tow__edges_for_agents(hub->edges), "revoked_edges",
	                         tow__edges_revoked_ids(hub->edges), "stale_agents",
	                         stale_agents(hub, &h->siblings), "superseded",
	                         h->siblings.superseded);
}

static void release(struct tow__call *call)
{
	free(((struct heartbeat *)call)->report);
}

/* --- what the agent says of itself --- */

static int is_text(const json_t *value, size_t max)
{
	return json_is_string(value) && json_string_length(value) <= max;
}

static int is_service(const json_t *item)
{
	return is_text(item, TOW_AUTHORITY_SIZE - 1);
}

static int is_refusal(const json_t *item)
{
	return json_object_size(item) == 2 && is_service(json_object_get(item, "service")) &&
	       is_text(json_object_get(item, "reason"), TOW_ERROR_TEXT_SIZE - 1);
}

static int is_tunnel(const json_t *item)
{
	const json_t *edge = json_object_get(item, "edge_id");
	const json_t *quiet = json_object_get(item, "quiet_ms");
	const json_t *rtt = json_object_get(item, "rtt_us");
	const char *transport = json_string_value(json_object_get(item, "transport"));
	struct tow_id id;

	return json_object_size(item) == 4 && transport &&
	       (!strcmp(transport, "udp") || !strcmp(transport, "tcp")) && json_is_string(edge) &&
	       !tow_id_parse(tow_slice_of(json_string_value(edge)), &id) &&
	       json_is_integer(quiet) && json_integer_value(quiet) >= 0 &&
	       json_is_integer(rtt) && json_integer_value(rtt) >= 0;
}

static const struct {
	const char *key;
	size_t max;
	int (*is_good)(const json_t *item);
	int kept; /* by the store */
} lists[] = {
	{ "services", TOW_SERVICES_MAX, is_service, 1 },
	{ "refused", TOW_SERVICES_MAX, is_refusal, 1 },
	{ "tunnels", TOW_TUNNELS_TOLD_MAX, is_tunnel, 0 },
};

static int is_good_list(const json_t *list, size_t row)
{
	size_t index;
	json_t *item;

	if (!json_is_array(list) || json_array_size(list) > lists[row].max)
		return 0;
	json_array_foreach(list, index, item)
	{
		if (!lists[row].is_good(item))
			return 0;
	}
	return 1;
}

static void read_report(struct heartbeat *h)
{
	struct tow__call *call = &h->call;
	const struct tow__heard_agent *before;
	const char *version = tow__call_text(call, "version", 0);
	json_t *kept = json_object();

	if (version && strlen(version) > TOW_VERSION_MAX)
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
		               "\"version\" is longer than %d bytes", TOW_VERSION_MAX);
	if (version)
		json_object_set_new(kept, "version", json_string(version));
	for (size_t i = 0; i < sizeof lists / sizeof *lists && !call->fault.kind; i++) {
		json_t *list = json_object_get(call->body, lists[i].key);
		if (list && !is_good_list(list, i))
			tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
			               "\"%s\" is no list of at most %zu of them", lists[i].key,
			               lists[i].max);
		else if (list && lists[i].kept)
			json_object_set(kept, lists[i].key, list);
	}
	h->report = json_dumps(kept, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(kept);
	if (!h->report) {
		tow__call_made(call, NULL);
		return;
	}
	tow_hash(tow_slice_of(h->report), NULL, 0, h->heard.report_hash);
	before = tow__heard_find(call->hub->heard, &h->agent.id);
	if (!before || memcmp(before->report_hash, h->heard.report_hash, TOW_HASH_SIZE) != 0)
		call->access = TOW__DB_WRITE;
}

/* --- the request --- */

void tow__api_agent_heartbeat(void *user, struct tow_http_request *request)
{
	static const char *const keys[] = { "tenant_id",  "agent_id", "services_hash",
		                            "generation", "version",  "services",
		                            "refused",    "tunnels",  NULL };
	struct heartbeat *h = tow__call_new(user, request, sizeof *h);
	struct tow_id signer = { { 0 } };
	const char *hash;

	if (!h)
		return;
	h->call.work = work;
	h->call.respond = respond;
	h->call.release = release;
	tow__call_body(&h->call, keys);
	tow__call_id(&h->call, "tenant_id", &h->tenant);
	tow__call_id(&h->call, "agent_id", &h->agent.id);
	hash = tow__call_text(&h->call, "services_hash", 1);
	if (hash && tow_hex_decode(tow_slice_of(hash), h->agent.services_hash, TOW_HASH_SIZE) !=
	                    TOW_HASH_SIZE)
		tow__fault_set(&h->call.fault, TOW__INVALID_REQUEST,
		               "\"services_hash\" is not 64 hex digits");
	h->agent.generation = tow__call_int(&h->call, "generation", INT64_MAX, 1);
	if (!h->call.fault.kind &&
	    !tow__auth_signed(h->call.hub, request, TOW_DOMAIN_AGENT_HEARTBEAT, &signer,
	                      &h->call.fault) &&
	    !tow_id_equal(&signer, &h->agent.id))
		tow__fault_set(&h->call.fault, TOW__UNAUTHORIZED,
		               "the heartbeat is of another agent than signed it");
	if (!h->call.fault.kind)
		read_report(h);
	tow__call_run(&h->call);
}
