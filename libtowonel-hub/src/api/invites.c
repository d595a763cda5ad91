/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <stdio.h>
#include <string.h>

#include <towonel/wire/limits.h>
#include <towonel/wire/token.h>

/* --- create --- */

struct create {
	struct tow__call call;
	struct tow__invite invite;
	struct tow_token token;
	char text[TOW_TOKEN_MAX];
};

/* The hub makes the tenant's seed, puts it into the token, and forgets it: here it is derived from,
 * and nowhere is it kept. */
static void create_work(struct tow__call *call, struct tow__store *store)
{
	struct create *c = (struct create *)call;
	struct tow_tenant_key *key = NULL;
	uint8_t hash[TOW_HASH_SIZE];

	tow_random(c->token.seed, sizeof c->token.seed);
	if (tow_tenant_key_new(c->token.seed, &key)) {
		tow__fault_set(&call->fault, TOW__INTERNAL, "cannot make the tenant's key");
		return;
	}
	c->invite.tenant_id = *tow_tenant_key_id(key);
	tow_hash(tow_slice_make(c->token.secret, sizeof c->token.secret),
	         call->hub->invite_hash_key, sizeof call->hub->invite_hash_key, hash);
	if (tow_token_format(&c->token, c->text, sizeof c->text))
		tow__fault_set(&call->fault, TOW__INTERNAL,
		               "the hub's public URL is too long for a token");
	else
		tow__store_invite_create(store, &c->invite, hash, tow_tenant_key_public(key),
		                         &call->fault);
	tow_tenant_key_free(key);
}

static void create_respond(struct tow__call *call)
{
	struct create *c = (struct create *)call;
	char id[TOW_INVITE_ID_TEXT_SIZE], tenant[TOW_ID_TEXT_SIZE];

	call->answer =
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "status", "ok", "token", c->text,
	                  "invite_id", tow_base64url_encode(c->invite.id, sizeof c->invite.id, id),
	                  "tenant_id", tow_id_format(&c->invite.tenant_id, tenant), "name",
	                  c->invite.name, "expires_at_ms", tow__json_time(c->invite.expires_ms));
	tow_log_info(call->hub->log, "invite created", tow_f_str("invite_id", id),
	             tow_f_id("tenant", &c->invite.tenant_id), tow_f_str("name", c->invite.name),
	             tow_f_addr("by", tow_http_peer(call->request)));
}

static void create_release(struct tow__call *call)
{
	struct create *c = (struct create *)call;

	tow_token_wipe(&c->token);
	tow_wipe(c->text, sizeof c->text);
	tow__invite_deinit(&c->invite);
}

void tow__api_invite_create(void *user, struct tow_http_request *request)
{
	static const char *const keys[] = { "hostnames", "name", "expires_in_secs", NULL };
	struct tow_hub *hub = user;
	struct create *c = tow__call_new(hub, request, sizeof *c);
	uint64_t expires_in;

	if (!c)
		return;
	c->call.access = TOW__DB_WRITE;
	c->call.work = create_work;
	c->call.respond = create_respond;
	c->call.release = create_release;
	tow__call_body(&c->call, keys);
	tow__call_hostnames(&c->call, "hostnames", &c->invite.hostnames);
	tow__call_name(&c->call, "invite", c->invite.name);
	expires_in = tow__call_int(&c->call, "expires_in_secs", TOW_INVITE_EXPIRES_MAX_S, 0);
	c->invite.created_ms = tow_wall_ms();
	c->invite.expires_ms = expires_in ? c->invite.created_ms + expires_in * 1000 : 0;
	c->token.kind = TOW_TOKEN_INVITE;
	snprintf(c->token.hub_url, sizeof c->token.hub_url, "%s", hub->public_url);
	c->token.hub_id = hub->key.id;
	tow_random(c->invite.id, sizeof c->invite.id);
	memcpy(c->token.invite_id, c->invite.id, sizeof c->invite.id);
	tow_random(c->token.secret, sizeof c->token.secret);
	tow__call_run(&c->call);
}

/* --- list and get --- */

struct look {
	struct tow__call call;
	uint8_t id[TOW_INVITE_ID_SIZE];
	struct tow__page page;
	uint64_t now_ms;
};

static json_t *to_json(const struct tow__invite *invite, uint64_t now_ms)
{
	char id[TOW_INVITE_ID_TEXT_SIZE], tenant[TOW_ID_TEXT_SIZE];
	const char *status = invite->revoked_ms                                   ? "revoked"
	                     : invite->expires_ms && invite->expires_ms <= now_ms ? "expired"
	                                                                          : "active";

	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:I}", "invite_id",
	                 tow_base64url_encode(invite->id, sizeof invite->id, id), "tenant_id",
	                 tow_id_format(&invite->tenant_id, tenant), "name", invite->name,
	                 "hostnames", tow__json_names(&invite->hostnames), "status", status,
	                 "expires_at_ms", tow__json_time(invite->expires_ms), "created_at_ms",
	                 (json_int_t)invite->created_ms);
}

static int add_to_list(void *user, const struct tow__invite *invite)
{
	struct look *l = user;

	return json_array_append_new(json_object_get(l->call.answer, "invites"),
	                             to_json(invite, l->now_ms))
	               ? TOW_ENOMEM
	               : 0;
}

static void list_work(struct tow__call *call, struct tow__store *store)
{
	struct look *l = (struct look *)call;

	call->answer = json_pack("{s:[]}", "invites");
	call->counted = 1;
	tow__store_invite_list(store, &l->page, add_to_list, l, &call->total_count, &call->fault);
}

static struct look *look_new(struct tow_hub *hub, struct tow_http_request *request)
{
	struct look *l = tow__call_new(hub, request, sizeof *l);

	if (l)
		l->now_ms = tow_wall_ms();
	return l;
}

void tow__api_invite_list(void *user, struct tow_http_request *request)
{
	struct look *l = look_new(user, request);

	if (!l)
		return;
	l->call.work = list_work;
	tow__call_page(&l->call, &l->page);
	tow__call_run(&l->call);
}

static void get_work(struct tow__call *call, struct tow__store *store)
{
	struct look *l = (struct look *)call;
	struct tow__invite invite;

	if (tow__store_invite_get(store, l->id, &invite, &call->fault))
		return;
	call->answer = to_json(&invite, l->now_ms);
	tow__invite_deinit(&invite);
}

void tow__api_invite_get(void *user, struct tow_http_request *request)
{
	struct look *l = look_new(user, request);

	if (!l)
		return;
	l->call.work = get_work;
	tow__call_path_invite(&l->call, l->id);
	tow__call_run(&l->call);
}

/* --- revoke --- */

static void revoke_work(struct tow__call *call, struct tow__store *store)
{
	struct look *l = (struct look *)call;

	tow__store_invite_revoke(store, l->id, l->now_ms, &call->fault);
}

static void revoke_respond(struct tow__call *call)
{
	struct look *l = (struct look *)call;
	char id[TOW_INVITE_ID_TEXT_SIZE];

	tow_log_info(call->hub->log, "invite revoked",
	             tow_f_str("invite_id", tow_base64url_encode(l->id, sizeof l->id, id)),
	             tow_f_addr("by", tow_http_peer(call->request)));
	call->answer = json_pack("{s:s}", "status", "revoked");
}

void tow__api_invite_revoke(void *user, struct tow_http_request *request)
{
	struct look *l = look_new(user, request);

	if (!l)
		return;
	l->call.access = TOW__DB_WRITE;
	l->call.work = revoke_work;
	l->call.respond = revoke_respond;
	tow__call_path_invite(&l->call, l->id);
	tow__call_run(&l->call);
}

/* --- hostnames --- */

struct change {
	struct tow__call call;
	uint8_t id[TOW_INVITE_ID_SIZE];
	struct tow__names add, now;
	char remove[TOW_HOSTNAME_SIZE];
};

static void change_release(struct tow__call *call)
{
	struct change *c = (struct change *)call;

	tow__names_deinit(&c->add);
	tow__names_deinit(&c->now);
}

static void add_work(struct tow__call *call, struct tow__store *store)
{
	struct change *c = (struct change *)call;

	if (!tow__store_invite_add_hostnames(store, c->id, &c->add, &c->now, &call->fault))
		call->answer = json_pack("{s:s, s:o}", "status", "ok", "hostnames",
		                         tow__json_names(&c->now));
}

void tow__api_invite_add_hostnames(void *user, struct tow_http_request *request)
{
	static const char *const keys[] = { "hostnames", NULL };
	struct change *c = tow__call_new(user, request, sizeof *c);

	if (!c)
		return;
	c->call.access = TOW__DB_WRITE;
	c->call.work = add_work;
	c->call.release = change_release;
	tow__call_path_invite(&c->call, c->id);
	tow__call_body(&c->call, keys);
	tow__call_hostnames(&c->call, "hostnames", &c->add);
	tow__call_run(&c->call);
}

static void remove_work(struct tow__call *call, struct tow__store *store)
{
	struct change *c = (struct change *)call;

	if (!tow__store_invite_remove_hostname(store, c->id, c->remove, &c->now, &call->fault))
		call->answer = json_pack("{s:s, s:s, s:o}", "status", "ok", "hostname", c->remove,
		                         "remaining_hostnames", tow__json_names(&c->now));
}

void tow__api_invite_remove_hostname(void *user, struct tow_http_request *request)
{
	struct change *c = tow__call_new(user, request, sizeof *c);
	struct tow_error err;

	if (!c)
		return;
	c->call.access = TOW__DB_WRITE;
	c->call.work = remove_work;
	c->call.release = change_release;
	tow__call_path_invite(&c->call, c->id);
	if (tow_hostname_parse(tow_slice_of(tow_http_param(request, "hostname")),
	                       TOW_HOSTNAME_PATTERN, c->remove, &err))
		tow__fault_set(&c->call.fault, TOW__INVALID_REQUEST, "%s", err.text);
	tow__call_run(&c->call);
}
