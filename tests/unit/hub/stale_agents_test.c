/* SPDX-License-Identifier: MIT */
/* Agents that ended without a farewell: their tenant's others are told, once it is sure. */
#include "member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <towonel/wire/request_signature.h>

#include "drivers.h"
#include "edges.h"
#include "hub.h"

static struct reply beat(struct live_hub *h, const struct member *m, const struct tow_node_key *agent)
{
	char auth[TOW_REQUEST_SIGNATURE_SIZE];

	return member_heartbeat(h, m, agent, agent, TOW_DOMAIN_AGENT_HEARTBEAT, 0, auth);
}

/* How many agents are stale by the answer, one of which is this one. */
static size_t stale(struct live_hub *h, const struct member *m, const struct tow_node_key *asks,
                    const struct tow_node_key *one)
{
	struct reply r = beat(h, m, asks);
	const json_t *list = json_object_get(r.body, "stale_agents"), *item;
	char id[TOW_ID_TEXT_SIZE];
	size_t index, count = json_array_size(list), found = 0;

	assert_int_equal(r.status, 200);
	tow_id_format(&one->id, id);
	json_array_foreach(list, index, item) found += strcmp(json_string_value(item), id) == 0;
	assert_int_equal(found, count > 0);
	reply_deinit(&r);
	return count;
}

/* Beside the hub, whose store it is: all was said so long ago. */
static void let_time_pass(struct live_hub *h)
{
	struct tow__db *db;
	struct tow_error err;

	assert_int_equal(tow__db_open(h->driver, h->dsn[0] ? h->dsn : h->db, NULL, &db, NULL), 0);
	tow__db_begin(db, TOW__DB_WRITE);
	tow__db_script(db, "UPDATE agents SET announced_ms = announced_ms - 100000");
	if (tow__db_commit(db, &err))
		fail_msg("%s", err.text);
	tow__db_close(db);
}

static void has_been_up(struct live_hub *h)
{
	h->hub->started_ns -= (TOW__AGENT_SILENT_MS + 1) * TOW_NSEC_PER_MSEC;
}

static struct tow_id tunnel_to;

static void tell_of_tunnel(struct live_hub *h)
{
	struct tow_edge_report report = { .node_id = h->key.id,
		                          .version = "",
		                          .agents = &tunnel_to,
		                          .agent_count = !tow_id_is_zero(&tunnel_to) };

	tow_hub_edge_report(h->hub, &report);
}

/* In a store that hubs share, this one's own report is found, too, as it was. */
static void look(struct live_hub *h)
{
	tow__edges_look(h->hub->edges);
}

static struct tow_id silent_id;

static void forget_tunnel(struct live_hub *h)
{
	tow__heard_lost(h->hub->heard, &silent_id, tow_wall_ms() - TOW__AGENT_SILENT_MS - 1000);
}

static void forget_heartbeat(struct live_hub *h)
{
	struct tow__heard_agent long_ago = { .heard_ms = tow_wall_ms() - TOW__AGENT_SILENT_MS - 1000 };

	tow__heard_put(h->hub->heard, &silent_id, &long_ago);
}

static void one_that_is_gone_is_told(void **state)
{
	struct live_hub *h = *state;
	struct member m, other;
	struct tow_node_key old, new, stranger;

	member_invite(h, &m, "{\"hostnames\":[\"a.eu\"]}");
	member_invite(h, &other, "{\"hostnames\":[\"b.eu\"]}");
	tow_node_key_generate(&old);
	tow_node_key_generate(&new);
	tow_node_key_generate(&stranger);
	member_announce(h, &m, &old);
	member_announce(h, &other, &stranger);
	let_time_pass(h);
	member_announce(h, &m, &new);
	memset(&tunnel_to, 0, sizeof tunnel_to);
	live_hub_do(h, tell_of_tunnel);
	/* a hub that has just started has heard of nobody */
	assert_int_equal(stale(h, &m, &new, &old), 0);
	live_hub_do(h, has_been_up);
	assert_int_equal(stale(h, &m, &new, &old), 1);
	/* an edge has a tunnel to it */
	tunnel_to = old.id;
	live_hub_do(h, tell_of_tunnel);
	assert_int_equal(stale(h, &m, &new, &old), 0);
	usleep(200000);
	live_hub_do(h, look);
	usleep(200000);
	/* it loses it, and may only be about to dial again */
	memset(&tunnel_to, 0, sizeof tunnel_to);
	live_hub_do(h, tell_of_tunnel);
	assert_int_equal(stale(h, &m, &new, &old), 0);
	silent_id = old.id;
	live_hub_do(h, forget_tunnel);
	assert_int_equal(stale(h, &m, &new, &old), 1);
	/* it says that it is there, and then nothing for long; meanwhile the other one is no elder */
	assert_int_equal(stale(h, &m, &old, &new), 0);
	assert_int_equal(stale(h, &m, &new, &old), 0);
	silent_id = old.id;
	live_hub_do(h, forget_heartbeat);
	assert_int_equal(stale(h, &m, &new, &old), 1);
	/* it comes back by a new entry */
	member_announce(h, &m, &old);
	assert_int_equal(stale(h, &m, &new, &old), 0);
	member_deinit(&m);
	member_deinit(&other);
}

/* An agent has to know for sure that it needs a new key. */
static void a_revoked_one_is_told_so(void **state)
{
	struct live_hub *h = *state;
	struct member m;
	struct tow_node_key agent;
	struct tow_entry e;
	struct reply r;

	member_invite(h, &m, "{\"hostnames\":[\"a.eu\"]}");
	tow_node_key_generate(&agent);
	r = beat(h, &m, &agent);
	assert_null(json_object_get(json_object_get(r.body, "error"), "revoked"));
	expect(r, 403, "tenant_not_allowed");
	member_announce(h, &m, &agent);
	e = member_entry(&m, TOW_ENTRY_REVOKE_AGENT, NULL, 0);
	e.agent_id = agent.id;
	expect(member_submit(h, &m, e), 200, "");
	r = beat(h, &m, &agent);
	assert_true(json_is_true(json_object_get(json_object_get(r.body, "error"), "revoked")));
	expect(r, 403, "tenant_not_allowed");
	e = member_entry(&m, TOW_ENTRY_UPSERT_AGENT, NULL, 0);
	e.agent_id = agent.id;
	e.expires_at_ms = tow_wall_ms() + 60000;
	r = member_submit(h, &m, e);
	assert_true(json_is_true(json_object_get(json_object_get(r.body, "error"), "revoked")));
	expect(r, 403, "tenant_not_allowed");
	member_deinit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, live_hub_setup, live_hub_teardown)
		T(one_that_is_gone_is_told),
		T(a_revoked_one_is_told_so),
	};
	return run_on_drivers(tests, sizeof tests / sizeof *tests, NULL, 0);
}
