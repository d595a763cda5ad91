/* SPDX-License-Identifier: MIT */
#include "api/api.h"

/* What an agent asks first: its token's invite id and secret, for who it is, what it may serve, and
 * where. */

struct bootstrap {
	struct tow__call call;
	uint8_t id[TOW_INVITE_ID_SIZE];
	uint8_t hash[TOW_HASH_SIZE];
	struct tow__invite invite;
};

static void work(struct tow__call *call, struct tow__store *store)
{
	struct bootstrap *b = (struct bootstrap *)call;

	call->is_member = !tow__store_invite_check(store, b->id, b->hash, tow_wall_ms(), &b->invite,
	                                           &call->fault);
	call->member = b->invite.tenant_id;
}

static void respond(struct tow__call *call)
{
	struct bootstrap *b = (struct bootstrap *)call;
	struct tow_hub *hub = call->hub;
	json_t *edges = tow__edges_for_agents(hub->edges), *first = json_array_get(edges, 0);

	call->answer = json_pack("{s:s, s:o, s:o, s:o, s:o, s:O}", "status", "ok", "tenant_id",
	                         tow__json_id(&b->invite.tenant_id), "hostnames",
	                         tow__json_names(&b->invite.hostnames), "hub_node_id",
	                         tow__json_id(&hub->key.id), "trusted_edges",
	                         tow__edges_ids(hub->edges), "edges", edges);
	if (call->answer && first &&
	    (json_object_set(call->answer, "edge_node_id", json_object_get(first, "node_id")) ||
	     json_object_set(call->answer, "edge_addresses", json_object_get(first, "addresses"))))
		tow__call_made(call, NULL);
	json_decref(edges);
}

static void release(struct tow__call *call)
{
	tow__invite_deinit(&((struct bootstrap *)call)->invite);
}

void tow__api_bootstrap(void *user, struct tow_http_request *request)
{
	static const char *const keys[] = { "invite_id", "invite_secret", NULL };
	struct tow_hub *hub = user;
	struct bootstrap *b = tow__call_new(hub, request, sizeof *b);
	uint8_t secret[TOW_SECRET_SIZE] = { 0 };

	if (!b)
		return;
	b->call.work = work;
	b->call.respond = respond;
	b->call.release = release;
	tow__call_body(&b->call, keys);
	tow__call_bytes(&b->call, "invite_id", b->id, sizeof b->id);
	tow__call_bytes(&b->call, "invite_secret", secret, sizeof secret);
	tow_hash(tow_slice_make(secret, sizeof secret), hub->invite_hash_key,
	         sizeof hub->invite_hash_key, b->hash);
	tow_wipe(secret, sizeof secret);
	tow__call_run(&b->call);
}
