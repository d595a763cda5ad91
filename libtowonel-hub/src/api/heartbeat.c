/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#define INTERVAL_SECS 20

struct heartbeat {
	struct tow__call call;
	struct tow_id tenant;
	struct tow__agent agent;
	int superseded;
};

static void work(struct tow__call *call, struct tow__store *store)
{
	struct heartbeat *h = (struct heartbeat *)call;

	tow__store_agent_superseded(store, &h->tenant, &h->agent, tow_wall_ms(), &h->superseded,
	                            &call->fault);
}

static void respond(struct tow__call *call)
{
	struct heartbeat *h = (struct heartbeat *)call;

	call->answer = json_pack("{s:s, s:i, s:o, s:b}", "status", "ok", "next_interval_secs",
	                         INTERVAL_SECS, "edges", tow__edges_for_agents(&call->hub->edges),
	                         "superseded", h->superseded);
}

void tow__api_agent_heartbeat(void *user, struct tow_http_request *request)
{
	static const char *const keys[] = { "tenant_id", "agent_id", "services_hash", "generation",
		                            NULL };
	struct heartbeat *h = tow__call_new(user, request, sizeof *h);
	struct tow_id signer = { { 0 } };
	const char *hash;

	if (!h)
		return;
	h->call.work = work;
	h->call.respond = respond;
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
	tow__call_run(&h->call);
}
