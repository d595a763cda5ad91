/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <stdio.h>
#include <string.h>

#include <towonel/wire/token.h>

/* --- create --- */

struct create {
	struct tow__call call;
	struct tow__edge_invite invite;
	int has_key; /* the edge has made its key itself, and needs no token */
	struct tow_token token;
	char text[TOW_TOKEN_MAX];
};

/* As with a tenant's, the hub keeps what the seed gives, not the seed. */
static void make_token(struct create *c)
{
	struct tow_hub *hub = c->call.hub;
	struct tow_node_key key;

	c->token.kind = TOW_TOKEN_EDGE;
	snprintf(c->token.hub_url, sizeof c->token.hub_url, "%s", hub->public_url);
	c->token.hub_id = hub->key.id;
	memcpy(c->token.invite_id, c->invite.id, sizeof c->invite.id);
	tow_random(c->token.secret, sizeof c->token.secret);
	tow_random(c->token.seed, sizeof c->token.seed);
	tow_node_key_from_seed(c->token.seed, &key);
	c->invite.node_id = key.id;
	tow_node_key_wipe(&key);
	if (tow_token_format(&c->token, c->text, sizeof c->text))
		tow__fault_set(&c->call.fault, TOW__INTERNAL,
		               "the hub's public URL is too long for a token");
}

static void create_work(struct tow__call *call, struct tow__store *store)
{
	struct create *c = (struct create *)call;
	uint8_t hash[TOW_HASH_SIZE];

	tow_hash(tow_slice_make(c->token.secret, sizeof c->token.secret),
	         call->hub->invite_hash_key, sizeof call->hub->invite_hash_key, hash);
	tow__store_edge_invite_create(store, &c->invite, c->has_key ? NULL : hash, &call->fault);
}

static void create_respond(struct tow__call *call)
{
	struct create *c = (struct create *)call;
	char id[TOW_INVITE_ID_TEXT_SIZE];

	call->answer = json_pack(
		"{s:s, s:s*, s:s, s:s, s:o}", "status", "ok", "token", c->has_key ? NULL : c->text,
		"invite_id", tow_base64url_encode(c->invite.id, sizeof c->invite.id, id), "name",
		c->invite.name, "edge_node_id", tow__json_id(&c->invite.node_id));
	tow_log_info(call->hub->log, "edge invited", tow_f_str("invite_id", id),
	             tow_f_id("edge", &c->invite.node_id), tow_f_str("name", c->invite.name),
	             tow_f_addr("by", tow_http_peer(call->request)));
}

static void create_release(struct tow__call *call)
{
	struct create *c = (struct create *)call;

	tow_token_wipe(&c->token);
	tow_wipe(c->text, sizeof c->text);
}

void tow__api_edge_invite_create(void *user, struct tow_http_request *request)
{
	static const char *const keys[] = { "name", "edge_node_id", NULL };
	struct create *c = tow__call_new(user, request, sizeof *c);

	if (!c)
		return;
	c->call.access = TOW__DB_WRITE;
	c->call.work = create_work;
	c->call.respond = create_respond;
	c->call.release = create_release;
	tow__call_body(&c->call, keys);
	tow__call_name(&c->call, "edge", c->invite.name);
	c->invite.created_ms = tow_wall_ms();
	tow_random(c->invite.id, sizeof c->invite.id);
	c->has_key = tow__call_text(&c->call, "edge_node_id", 0) != NULL;
	if (c->has_key)
		tow__call_id(&c->call, "edge_node_id", &c->invite.node_id);
	else if (!c->call.fault.kind)
		make_token(c);
	tow__call_run(&c->call);
}

/* --- list --- */

struct list {
	struct tow__call call;
	struct tow__page page;
};

static int add_to_list(void *user, const struct tow__edge_invite *invite)
{
	struct tow__call *call = user;
	char id[TOW_INVITE_ID_TEXT_SIZE];
	json_t *json = json_pack("{s:s, s:s, s:s, s:o, s:I}", "invite_id",
	                         tow_base64url_encode(invite->id, sizeof invite->id, id), "name",
	                         invite->name, "status", invite->revoked_ms ? "revoked" : "active",
	                         "edge_node_id", tow__json_id(&invite->node_id), "created_at_ms",
	                         (json_int_t)invite->created_ms);

	return json_array_append_new(json_object_get(call->answer, "invites"), json) ? TOW_ENOMEM
	                                                                             : 0;
}

static void list_work(struct tow__call *call, struct tow__store *store)
{
	struct list *l = (struct list *)call;

	call->answer = json_pack("{s:[]}", "invites");
	call->counted = 1;
	tow__store_edge_invite_list(store, &l->page, add_to_list, call, &call->total_count,
	                            &call->fault);
}

void tow__api_edge_invite_list(void *user, struct tow_http_request *request)
{
	struct list *l = tow__call_new(user, request, sizeof *l);

	if (!l)
		return;
	l->call.work = list_work;
	tow__call_page(&l->call, &l->page);
	tow__call_run(&l->call);
}

/* --- revoke --- */

struct revoke {
	struct tow__call call;
	uint8_t id[TOW_INVITE_ID_SIZE];
	struct tow_id edge;
};

static void revoke_work(struct tow__call *call, struct tow__store *store)
{
	struct revoke *r = (struct revoke *)call;

	tow__store_edge_invite_revoke(store, r->id, tow_wall_ms(), &r->edge, &call->fault);
}

static void revoke_respond(struct tow__call *call)
{
	struct revoke *r = (struct revoke *)call;

	tow_log_info(call->hub->log, "edge revoked", tow_f_id("edge", &r->edge),
	             tow_f_addr("by", tow_http_peer(call->request)));
	tow__edges_revoked(call->hub->edges, &r->edge);
	call->answer = json_pack("{s:s}", "status", "revoked");
}

void tow__api_edge_invite_revoke(void *user, struct tow_http_request *request)
{
	struct revoke *r = tow__call_new(user, request, sizeof *r);

	if (!r)
		return;
	r->call.access = TOW__DB_WRITE;
	r->call.work = revoke_work;
	r->call.respond = revoke_respond;
	tow__call_path_invite(&r->call, r->id);
	tow__call_run(&r->call);
}
