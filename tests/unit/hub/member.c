/* SPDX-License-Identifier: MIT */
#include "member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <towonel/wire/request_signature.h>


void member_invite(struct live_hub *h, struct member *m, const char *request)
{
	struct reply r = ask_as_operator(h, "POST", "/v1/invites", request);
	struct tow_error err;

	memset(m, 0, sizeof *m);
	assert_int_equal(r.status, 200);
	assert_string_equal(text_of(&r, "status"), "ok");
	if (tow_token_parse(tow_slice_of(text_of(&r, "token")), TOW_TOKEN_INVITE, &m->token, &err))
		fail_msg("%s", err.text);
	assert_int_equal(tow_tenant_key_new(m->token.seed, &m->key), 0);
	tow_id_format(tow_tenant_key_id(m->key), m->id);
	tow_base64url_encode(m->token.invite_id, sizeof m->token.invite_id, m->invite);
	/* the token, the answer and the hub agree */
	assert_string_equal(text_of(&r, "tenant_id"), m->id);
	assert_string_equal(text_of(&r, "invite_id"), m->invite);
	assert_string_equal(m->token.hub_url, "https://hub.example.eu:8443");
	assert_true(tow_id_equal(&m->token.hub_id, &h->key.id));
	reply_deinit(&r);
}

void member_deinit(struct member *m)
{
	tow_tenant_key_free(m->key);
}

struct tow_entry member_entry(struct member *m, enum tow_entry_op op, const char *name,
                                 uint16_t port)
{
	struct tow_entry e = { .version = TOW_ENTRY_VERSION,
		               .tenant_id = *tow_tenant_key_id(m->key),
		               .sequence = ++m->sequence,
		               .timestamp_ms = tow_wall_ms(),
		               .op = op,
		               .listen_port = port };

	snprintf(e.name, sizeof e.name, "%s", name ? name : "");
	return e;
}

char *member_sign(struct member *m, struct tow_entry e)
{
	struct tow_buf out = { 0 };
	struct tow_error err;

	if (tow_entry_sign(&e, m->key, &out, &err))
		fail_msg("%s", err.text);
	assert_int_equal(tow_buf_append(&out, "", 1), 0);
	return (char *)out.base;
}

struct reply member_submit(struct live_hub *h, struct member *m, struct tow_entry e)
{
	char *jws = member_sign(m, e);
	struct reply r = ask(h, "POST", "/v1/entries", NULL, jws);

	free(jws);
	return r;
}

void member_announce(struct live_hub *h, struct member *m, const struct tow_node_key *agent)
{
	struct tow_entry e = member_entry(m, TOW_ENTRY_UPSERT_AGENT, NULL, 0);

	e.agent_id = agent->id;
	e.generation = 5;
	e.services_hash[31] = 1;
	e.expires_at_ms = tow_wall_ms() + 3600000;
	expect(member_submit(h, m, e), 200, "");
}

struct reply member_heartbeat(struct live_hub *h, const struct member *m,
                              const struct tow_node_key *agent, const struct tow_node_key *signer,
                              const char *domain, int64_t skew_ms, char *auth)
{
	char body[512], id[TOW_ID_TEXT_SIZE];

	snprintf(body, sizeof body,
	         "{\"tenant_id\":\"%s\",\"agent_id\":\"%s\",\"generation\":5,\"services_hash\":\"%"
	         "064d\"}",
	         m->id, tow_id_format(&agent->id, id), 1);
	tow_request_sign(signer, domain, tow_wall_ms() + (uint64_t)skew_ms, tow_slice_of(body),
	                 auth);
	return ask(h, "POST", "/v1/agent/heartbeat", auth, body);
}
