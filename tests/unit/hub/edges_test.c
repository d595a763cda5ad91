/* SPDX-License-Identifier: MIT */
#include "live_hub.h"

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
#include <towonel/wire/route_table.h>
#include <towonel/wire/token.h>

#include "drivers.h"
#include "edges.h"
#include "feed_reader.h"
#include "hub.h"
#include "postgres_server.h"
#include "store/db.h"

struct invited {
	struct tow_node_key key;
	char invite[TOW_INVITE_ID_TEXT_SIZE], id[TOW_ID_TEXT_SIZE];
};

static void invite(struct live_hub *h, struct invited *e, const char *name)
{
	char body[128];
	struct tow_token token;
	struct tow_error err;
	struct reply r;

	snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
	r = ask_as_operator(h, "POST", "/v1/edge-invites", body);
	assert_int_equal(r.status, 200);
	if (tow_token_parse(tow_slice_of(text_of(&r, "token")), TOW_TOKEN_EDGE, &token, &err))
		fail_msg("%s", err.text);
	tow_node_key_from_seed(token.seed, &e->key);
	tow_id_format(&e->key.id, e->id);
	tow_base64url_encode(token.invite_id, sizeof token.invite_id, e->invite);
	/* the token, the answer and the hub agree */
	assert_string_equal(text_of(&r, "edge_node_id"), e->id);
	assert_string_equal(text_of(&r, "invite_id"), e->invite);
	assert_string_equal(text_of(&r, "name"), name);
	assert_string_equal(token.hub_url, "https://hub.example.eu:8443");
	assert_true(tow_id_equal(&token.hub_id, &h->key.id));
	reply_deinit(&r);
}

static struct reply revoke_edge(struct live_hub *h, const struct invited *e)
{
	char path[80];

	snprintf(path, sizeof path, "/v1/edge-invites/%s", e->invite);
	return ask_as_operator(h, "DELETE", path, NULL);
}

static struct reply beat(struct live_hub *h, const struct invited *e, const char *body)
{
	char auth[TOW_REQUEST_SIGNATURE_SIZE];

	tow_request_sign(&e->key, TOW_DOMAIN_EDGE_HEARTBEAT, tow_wall_ms(), tow_slice_of(body),
	                 auth);
	return ask(h, "POST", "/v1/edge/heartbeat", auth, body);
}

#define BODY                                                                                       \
	"{\"addresses\":[\"edge.example.eu:443\",\"[2001:db8::1]:443\"],\"version\":\"9.9\","      \
	"\"agents\":[],\"tcp_port\":8443,"                                                         \
	"\"failed_ports\":[{\"protocol\":\"tcp\",\"port\":2222,\"reason\":\"address in use\"}]}"

/* The edge in GET /v1/edges; NULL when it is not there. To be freed. */
static json_t *listed(struct live_hub *h, const char *id, int as_operator)
{
	struct reply r = as_operator ? ask_as_operator(h, "GET", "/v1/edges", NULL)
	                             : ask(h, "GET", "/v1/edges", NULL, NULL);
	json_t *edge, *found = NULL;
	size_t i;

	assert_int_equal(r.status, 200);
	json_array_foreach(json_object_get(r.body, "edges"), i, edge)
	{
		if (!strcmp(json_string_value(json_object_get(edge, "node_id")), id))
			found = json_incref(edge);
	}
	reply_deinit(&r);
	return found;
}

static int is_listed(struct live_hub *h, const char *id, int *live)
{
	json_t *edge = listed(h, id, 1);
	int there = edge != NULL;

	*live = json_is_true(json_object_get(edge, "live"));
	json_decref(edge);
	return there;
}

/* Waits until the edge is listed, or not, and lives, or not. */
static void await_listed(struct live_hub *h, const char *id, int want, int want_live)
{
	int there = 0, live = 0;

	for (int i = 0; i < 1000; i++) {
		there = is_listed(h, id, &live);
		if (there == want && live == want_live)
			return;
		usleep(20 * 1000);
	}
	fail_msg("the edge is%s listed, live %d", there ? "" : " not", live);
}

/* Beside the hub, whose store it is. */
static void sql(struct live_hub *h, const char *text)
{
	struct tow__db *db;
	struct tow_error err;

	assert_int_equal(tow__db_open(h->driver, h->dsn[0] ? h->dsn : h->db, NULL, &db, NULL), 0);
	tow__db_begin(db, TOW__DB_WRITE);
	tow__db_script(db, text);
	if (tow__db_commit(db, &err))
		fail_msg("%s", err.text);
	tow__db_close(db);
}

/* --- invites --- */

static void invites_are_made_listed_and_revoked(void **state)
{
	struct live_hub *h = *state;
	struct invited a, b;
	struct tow_node_key own;
	char id[TOW_ID_TEXT_SIZE], body[160];
	struct reply r;

	invite(h, &a, "fra");
	invite(h, &b, "ams");
	r = ask_as_operator(h, "GET", "/v1/edge-invites?limit=1&offset=1", NULL);
	assert_string_equal(r.total_count, "2");
	assert_int_equal(json_array_size(json_object_get(r.body, "invites")), 1);
	reply_deinit(&r);
	expect(revoke_edge(h, &a), 200, "");
	expect(revoke_edge(h, &a), 404, "not_found");
	expect(ask_as_operator(h, "DELETE", "/v1/edge-invites/nonsense", NULL), 404, "not_found");
	r = ask_as_operator(h, "GET", "/v1/edge-invites", NULL);
	for (size_t i = 0; i < 2; i++) {
		json_t *item = json_array_get(json_object_get(r.body, "invites"), i);
		const struct invited *e =
			strcmp(json_string_value(json_object_get(item, "invite_id")), a.invite) != 0
				? &b
				: &a;
		assert_string_equal(json_string_value(json_object_get(item, "edge_node_id")),
		                    e->id);
		assert_string_equal(json_string_value(json_object_get(item, "name")),
		                    e == &a ? "fra" : "ams");
		assert_string_equal(json_string_value(json_object_get(item, "status")),
		                    e == &a ? "revoked" : "active");
		assert_true(json_integer_value(json_object_get(item, "created_at_ms")) >
		            1600000000000);
	}
	reply_deinit(&r);
	/* one that has a key already needs no token; once */
	tow_node_key_generate(&own);
	snprintf(body, sizeof body, "{\"edge_node_id\":\"%s\"}", tow_id_format(&own.id, id));
	r = ask_as_operator(h, "POST", "/v1/edge-invites", body);
	assert_int_equal(r.status, 200);
	assert_string_equal(text_of(&r, "edge_node_id"), id);
	assert_null(json_object_get(r.body, "token"));
	assert_memory_equal(text_of(&r, "name"), "edge-", 5);
	reply_deinit(&r);
	expect(ask_as_operator(h, "POST", "/v1/edge-invites", body), 400, "invalid_request");
	expect(ask_as_operator(h, "POST", "/v1/edge-invites", "{\"edge_node_id\":\"abc\"}"), 400,
	       "invalid_request");
	expect(ask_as_operator(h, "POST", "/v1/edge-invites", "{\"hostnames\":[]}"), 400,
	       "invalid_request");
	expect(ask(h, "POST", "/v1/edge-invites", NULL, "{}"), 401, "unauthorized");
	expect(ask(h, "GET", "/v1/edge-invites", NULL, NULL), 401, "unauthorized");
	expect(ask(h, "DELETE", "/v1/edge-invites/x", "Bearer wrong", NULL), 401, "unauthorized");
}

/* --- heartbeats --- */

static void edges_beat_and_are_listed(void **state)
{
	struct live_hub *h = *state;
	struct invited e;
	struct reply r;
	json_t *edge;

	invite(h, &e, "fra");
	assert_null(listed(h, e.id, 1));
	r = beat(h, &e, BODY);
	assert_int_equal(r.status, 200);
	assert_string_equal(text_of(&r, "status"), "ok");
	assert_int_equal(json_integer_value(json_object_get(r.body, "next_interval_secs")), 10);
	reply_deinit(&r);
	for (int round = 0; round < 2; round++) {
		await_listed(h, e.id, 1, 1);
		edge = listed(h, e.id, 0);
		assert_string_equal(json_string_value(json_object_get(edge, "name")), "fra");
		assert_string_equal(
			json_string_value(json_array_get(json_object_get(edge, "addresses"), 1)),
			"[2001:db8::1]:443");
		assert_int_equal(json_integer_value(json_object_get(edge, "tcp_port")), 8443);
		assert_null(json_object_get(edge, "version"));
		assert_null(json_object_get(edge, "failed_ports"));
		json_decref(edge);
		edge = listed(h, e.id, 1);
		assert_string_equal(json_string_value(json_object_get(edge, "version")), "9.9");
		assert_int_equal(json_array_size(json_object_get(edge, "failed_ports")), 1);
		assert_true(json_integer_value(json_object_get(edge, "last_seen_ms")) >
		            1600000000000);
		json_decref(edge);
		/* it is known after a restart too */
		live_hub_restart(h);
	}
	/* and one that fell silent is known for what it is */
	sql(h, "UPDATE edges SET seen_ms = seen_ms - 40000");
	live_hub_restart(h);
	await_listed(h, e.id, 1, 0);
	expect(beat(h, &e, BODY), 200, "");
	await_listed(h, e.id, 1, 1);
}

static void what_is_no_heartbeat_is_refused(void **state)
{
	static const char *const bodies[] = {
		"",
		"[]",
		"{\"addresses\":\"a:1\"}",
		"{\"addresses\":[\"a\"]}",
		("{\"addresses\":[\"a:1\",\"a:1\",\"a:1\",\"a:1\",\"a:1\",\"a:1\",\"a:1\",\"a:1\","
		 "\"a:1\"]}"),
		"{\"tcp_port\":65536}",
		"{\"version\":7}",
		("{\"version\":"
		 "\"0123456789012345678901234567890123456789012345678901234567890123456789\"}"),
		"{\"agents\":[\"abc\"]}",
		"{\"failed_ports\":[2222]}",
		"{\"traffic\":{}}",
		"{\"traffic\":{\"at_ms\":1,\"visitors\":1,\"visitors_total\":1,\"bytes_in\":-1,\"bytes_out\":1}}",
		"{\"certificates\":[{\"name\":\"a.eu\",\"state\":\"served\",\"not_after_ms\":1}]}",
		("{\"certificates\":[{\"name\":\"a.eu\",\"state\":\"a-very-long-state\",\"not_after_ms\":1,"
		 "\"last_error\":\"\"}]}"),
		"{\"failed_ports\":[{\"protocol\":\"tcp\",\"port\":0}]}",
		"{\"failed_ports\":[{\"protocol\":\"sctp\",\"port\":1}]}",
		"{\"failed_ports\":[{\"protocol\":\"tcp\",\"port\":1,\"reason\":7}]}",
		"{\"name\":\"another\"}",
	};
	struct live_hub *h = *state;
	struct invited e;

	invite(h, &e, "fra");
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		expect(beat(h, &e, bodies[i]), 400, "invalid_request");
	assert_null(listed(h, e.id, 1));
}

static int is_told_revoked(struct reply r)
{
	int revoked = json_is_true(json_object_get(json_object_get(r.body, "error"), "revoked"));

	expect(r, 401, "unauthorized");
	return revoked;
}

static void heartbeats_are_signed_fresh_and_used_once(void **state)
{
	struct live_hub *h = *state;
	struct invited e, stranger;
	char auth[TOW_REQUEST_SIGNATURE_SIZE];
	const char *path = "/v1/edge/heartbeat";
	const int64_t skews[] = { -61000, 61000 };

	invite(h, &e, "fra");
	tow_request_sign(&e.key, TOW_DOMAIN_EDGE_HEARTBEAT, tow_wall_ms(), tow_slice_of(BODY),
	                 auth);
	expect(ask(h, "POST", path, auth, BODY), 200, "");
	assert_false(is_told_revoked(ask(h, "POST", path, auth, BODY)));
	assert_false(is_told_revoked(ask(h, "POST", path, NULL, BODY)));
	for (size_t i = 0; i < 2; i++) {
		tow_request_sign(&e.key, TOW_DOMAIN_EDGE_HEARTBEAT,
		                 tow_wall_ms() + (uint64_t)skews[i], tow_slice_of(BODY), auth);
		assert_false(is_told_revoked(ask(h, "POST", path, auth, BODY)));
	}
	/* for something else, and of other bytes */
	tow_request_sign(&e.key, TOW_DOMAIN_EDGE_SUBSCRIBE, tow_wall_ms(), tow_slice_of(BODY),
	                 auth);
	assert_false(is_told_revoked(ask(h, "POST", path, auth, BODY)));
	tow_request_sign(&e.key, TOW_DOMAIN_EDGE_HEARTBEAT, tow_wall_ms(), tow_slice_of(BODY),
	                 auth);
	assert_false(is_told_revoked(ask(h, "POST", path, auth, "{}")));
	/* one that nobody invited */
	tow_node_key_generate(&stranger.key);
	assert_true(is_told_revoked(beat(h, &stranger, BODY)));
}

static void a_revoked_edge_is_out_at_once(void **state)
{
	struct live_hub *h = *state;
	struct feed_reader gone, stays;
	struct invited a, b;

	invite(h, &a, "fra");
	invite(h, &b, "ams");
	expect(beat(h, &a, BODY), 200, "");
	expect(beat(h, &b, BODY), 200, "");
	feed_start(&gone, h, &a.key, NULL, NULL, 0);
	feed_start(&stays, h, &b.key, NULL, NULL, 0);
	feed_event(&gone, 0);
	feed_event(&stays, 0);
	expect(revoke_edge(h, &a), 200, "");
	assert_int_equal(feed_over(&gone), 200);
	assert_null(listed(h, a.id, 1));
	assert_true(is_told_revoked(beat(h, &a, BODY)));
	feed_start(&gone, h, &a.key, NULL, NULL, 0);
	assert_int_equal(feed_over(&gone), 401);
	/* the other one goes on */
	expect(beat(h, &b, BODY), 200, "");
	expect(ask_as_operator(h, "POST", "/v1/invites", "{\"hostnames\":[\"a.eu\"]}"), 200, "");
	feed_event(&stays, 1);
	feed_stop(&stays);
	live_hub_restart(h);
	assert_true(is_told_revoked(beat(h, &a, BODY)));
}

/* --- the feed --- */

static void apply(struct tow_route_table *table, const struct feed_event *event)
{
	struct tow_error err;

	if (tow_route_table_apply(table, tow_slice_of(event->data), NULL, NULL, &err))
		fail_msg("%s", err.text);
	assert_int_equal(tow_route_table_version(table), event->id);
}

static void add_tenant(struct live_hub *h, int number)
{
	char body[64];

	snprintf(body, sizeof body, "{\"hostnames\":[\"t%d.eu\"]}", number);
	expect(ask_as_operator(h, "POST", "/v1/invites", body), 200, "");
}

static int has_metric(struct live_hub *h, const char *line)
{
	struct tow_buf text = { 0 };
	int found;

	assert_int_equal(tow_metrics_render(h->metrics, &text), 0);
	assert_int_equal(tow_buf_append(&text, "", 1), 0);
	found = strstr((const char *)text.base, line) != NULL;
	tow_buf_deinit(&text);
	return found;
}

static void await_metric(struct live_hub *h, const char *line)
{
	for (int i = 0; i < 500; i++) {
		if (has_metric(h, line))
			return;
		usleep(20 * 1000);
	}
	fail_msg("no \"%s\"", line);
}

static void the_feed_is_a_snapshot_and_deltas(void **state)
{
	struct live_hub *h = *state;
	struct tow_route_table *table = tow_route_table_new();
	struct feed_reader r, again;
	struct invited e;
	char id[32];

	invite(h, &e, "fra");
	add_tenant(h, 0);
	assert_true(has_metric(h, "towonel_hub_sse_subscribers_connected 0\n"));
	feed_start(&r, h, &e.key, NULL, NULL, 0);
	assert_string_equal(feed_event(&r, 0)->type, "snapshot");
	apply(table, feed_event(&r, 0));
	assert_true(has_metric(h, "towonel_hub_sse_subscribers_connected 1\n"));
	for (size_t i = 1; i < 4; i++) {
		add_tenant(h, (int)i);
		assert_string_equal(feed_event(&r, i)->type, "delta");
		apply(table, feed_event(&r, i));
	}
	snprintf(id, sizeof id, "%llu", (unsigned long long)tow_route_table_version(table));
	feed_stop(&r);
	await_metric(h, "towonel_hub_sse_subscribers_connected 0\n");

	/* who comes back is told what came since, and nothing when nothing did */
	feed_start(&r, h, &e.key, id, NULL, 0);
	await_metric(h, "towonel_hub_sse_subscribers_connected 1\n");
	add_tenant(h, 4);
	assert_string_equal(feed_event(&r, 0)->type, "delta");
	apply(table, feed_event(&r, 0));
	add_tenant(h, 5);
	feed_start(&again, h, &e.key, id, NULL, 0);
	assert_string_equal(feed_event(&again, 0)->type, "delta");
	assert_true(feed_event(&again, 0)->id >= tow_route_table_version(table));
	feed_stop(&again);
	feed_stop(&r);

	/* ids that this hub has not given, or has forgotten */
	const char *const odd[] = { "999999", "x", "1e3", "99999999999999999999", "0" };
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		feed_start(&r, h, &e.key, odd[i], NULL, 0);
		assert_string_equal(feed_event(&r, 0)->type, "snapshot");
		feed_stop(&r);
	}
	sql(h, "UPDATE meta SET value = (SELECT v.value FROM meta v WHERE v.key = 'version') WHERE "
	       "key = 'pruned'");
	feed_start(&r, h, &e.key, id, NULL, 0);
	assert_string_equal(feed_event(&r, 0)->type, "snapshot");
	feed_stop(&r);
	tow_route_table_free(table);
}

static void the_feed_is_for_edges_alone(void **state)
{
	struct live_hub *h = *state;
	struct feed_reader r;
	struct invited e;
	struct tow_node_key stranger;
	char auth[TOW_REQUEST_SIGNATURE_SIZE];

	invite(h, &e, "fra");
	tow_node_key_generate(&stranger);
	feed_start(&r, h, &stranger, NULL, NULL, 0);
	assert_int_equal(feed_over(&r), 401);
	feed_start(&r, h, NULL, NULL, "nothing", 0);
	assert_int_equal(feed_over(&r), 401);
	feed_start(&r, h, NULL, NULL, "Bearer " OPERATOR_KEY, 0);
	assert_int_equal(feed_over(&r), 401);
	tow_request_sign(&e.key, TOW_DOMAIN_EDGE_SUBSCRIBE, tow_wall_ms() - 61000, tow_slice_of(""),
	                 auth);
	feed_start(&r, h, NULL, NULL, auth, 0);
	assert_int_equal(feed_over(&r), 401);
	tow_request_sign(&e.key, TOW_DOMAIN_EDGE_HEARTBEAT, tow_wall_ms(), tow_slice_of(""), auth);
	feed_start(&r, h, NULL, NULL, auth, 0);
	assert_int_equal(feed_over(&r), 401);
	/* once */
	tow_request_sign(&e.key, TOW_DOMAIN_EDGE_SUBSCRIBE, tow_wall_ms(), tow_slice_of(""), auth);
	feed_start(&r, h, NULL, NULL, auth, 0);
	feed_event(&r, 0);
	feed_stop(&r);
	feed_start(&r, h, NULL, NULL, auth, 0);
	assert_int_equal(feed_over(&r), 401);
}

static void one_edge_has_few_streams(void **state)
{
	static struct feed_reader r[TOW_SUBSCRIPTIONS_PER_EDGE + 1];
	struct live_hub *h = *state;
	struct invited e;

	invite(h, &e, "fra");
	for (size_t i = 0; i < sizeof r / sizeof *r; i++) {
		feed_start(&r[i], h, &e.key, NULL, NULL, 0);
		feed_event(&r[i], 0);
	}
	assert_int_equal(feed_over(&r[0]), 200); /* the oldest has made room */
	add_tenant(h, 0);
	for (size_t i = 1; i < sizeof r / sizeof *r; i++) {
		feed_event(&r[i], 1);
		feed_stop(&r[i]);
	}
}

/* For a reader that does not read, nothing piles up: what came meanwhile is one event when it goes on,
 * and a snapshot when it is too much. */
static void a_slow_reader_catches_up(void **state)
{
	struct live_hub *h = *state;
	struct tow_route_table *table = tow_route_table_new();
	struct feed_reader r;
	struct invited e;

	invite(h, &e, "fra");
	add_tenant(h, 0);
	sql(h, "INSERT INTO hostnames (pattern, zone, tenant_id, tls_mode, http_mode, changed_ms) "
	       "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
	       "SELECT 'a-name-of-some-length-' || i || '.t0.eu', '*.t0.eu', (SELECT id FROM "
	       "tenants), 0, 0, 0 FROM n");
	sql(h, "UPDATE tenants SET hostname_count = 100000");
	for (int round = 0; round < 2; round++) {
		feed_start(&r, h, &e.key, NULL, NULL, 1);
		feed_hold(&r, 1);
		await_metric(h, "towonel_hub_sse_subscribers_connected 1\n");
		usleep(300 * 1000); /* the snapshot waits to be read */
		for (int i = 1; i <= 5; i++)
			add_tenant(h, round * 5 + i);
		if (round)
			sql(h, "UPDATE meta SET value = (SELECT v.value FROM meta v WHERE v.key = "
			       "'version') "
			       "WHERE key = 'pruned'");
		feed_hold(&r, 0);
		assert_string_equal(feed_event(&r, 0)->type, "snapshot");
		apply(table, feed_event(&r, 0));
		assert_string_equal(feed_event(&r, 1)->type, round ? "snapshot" : "delta");
		assert_int_equal(feed_event(&r, 1)->id, feed_event(&r, 0)->id + 5);
		apply(table, feed_event(&r, 1));
		assert_int_equal(tow_route_table_hostname_count(table), 100000);
		feed_stop(&r);
		await_metric(h, "towonel_hub_sse_subscribers_connected 0\n");
	}
	tow_route_table_free(table);
}

/* --- the edge in the hub's process --- */

static void report_own(struct live_hub *h)
{
	static const char *const addresses[] = { "own.example.eu:443" };
	struct tow_edge_report report = {
		.node_id = h->key.id, .addresses = addresses, .address_count = 1, .version = "1.2.3"
	};

	tow_hub_edge_report(h->hub, &report);
}

static void the_own_edge_is_the_first(void **state)
{
	struct live_hub *h = *state;
	char id[TOW_ID_TEXT_SIZE];
	struct invited e;
	struct reply r;
	json_t *edges;

	tow_id_format(&h->key.id, id);
	invite(h, &e, "fra");
	expect(beat(h, &e, BODY), 200, "");
	live_hub_do(h, report_own);
	r = ask_as_operator(h, "GET", "/v1/edges", NULL);
	edges = json_object_get(r.body, "edges");
	assert_int_equal(json_array_size(edges), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(edges, 0), "node_id")),
	                    id);
	assert_string_equal(json_string_value(json_object_get(json_array_get(edges, 0), "name")),
	                    "local");
	assert_true(json_is_true(json_object_get(json_array_get(edges, 0), "live")));
	reply_deinit(&r);
	/* it is there as long as the hub says so, whatever the store remembers */
	live_hub_restart(h);
	await_listed(h, e.id, 1, 1);
	assert_null(listed(h, id, 1));
}

static void hubs_know_of_one_anothers_edges(void **state)
{
	struct live_hub *a = *state, *b = live_hub_beside(a);
	char a_id[TOW_ID_TEXT_SIZE], b_id[TOW_ID_TEXT_SIZE];
	struct feed_reader r;
	struct invited e;
	uint64_t before;
	json_t *edge;

	tow_id_format(&a->key.id, a_id);
	tow_id_format(&b->key.id, b_id);
	live_hub_do(a, report_own);
	live_hub_do(b, report_own);
	await_listed(a, b_id, 1, 1);
	await_listed(b, a_id, 1, 1);
	edge = listed(a, b_id, 1);
	assert_memory_equal(json_string_value(json_object_get(edge, "name")), "hub-", 4);
	json_decref(edge);
	/* invited by the one, it may follow the other */
	invite(a, &e, "fra");
	expect(beat(b, &e, BODY), 200, "");
	await_listed(a, e.id, 1, 1);
	feed_start(&r, b, &e.key, NULL, NULL, 0);
	feed_event(&r, 0);
	before = tow_now_ns();
	expect(revoke_edge(a, &e), 200, "");
	assert_int_equal(feed_over(&r), 200);
	assert_true(tow_now_ns() - before < TOW_NSEC_PER_SEC);
	await_listed(b, e.id, 0, 0);
	assert_true(is_told_revoked(beat(b, &e, BODY)));
	live_hub_free(b);
}

static struct tow_id heard_id;

static void look(struct live_hub *h)
{
	tow__edges_look(h->hub->edges);
}

static void hear(struct live_hub *h)
{
	json_t *report = json_loads(BODY, 0, NULL);

	tow__edges_heard(h->hub->edges, &heard_id, "fra", report);
	json_decref(report);
}

/* A look at the store that began before finds what was. Only a server can be made to take long. */
static void what_is_heard_outlives_a_look(void **state)
{
	struct live_hub *h = *state;
	struct invited e;
	int live = 0;

	if (!h->dsn[0])
		return;
	invite(h, &e, "fra");
	heard_id = e.key.id;
	expect(beat(h, &e, BODY), 200, "");
	await_listed(h, e.id, 1, 1);
	sql(h, "UPDATE edges SET seen_ms = seen_ms - 40000");
	live_hub_do(h, look);
	await_listed(h, e.id, 1, 0);
	/* a look of its own may be under way, and another one follow */
	for (int tries = 0; tries < 3 && !live; tries++) {
		postgres_freeze(1);
		live_hub_do(h, look);
		usleep(300000);
		live_hub_do(h, hear);
		postgres_freeze(0);
		usleep(500000);
		assert_true(is_listed(h, e.id, &live));
	}
	assert_true(live);
}

static void edges_of_hubs_themselves(void **state)
{
	struct live_hub *h = *state;

	if (h->dsn[0])
		hubs_know_of_one_anothers_edges(state);
	else
		the_own_edge_is_the_first(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, live_hub_setup, live_hub_teardown)
		T(invites_are_made_listed_and_revoked),
		T(edges_beat_and_are_listed),
		T(what_is_no_heartbeat_is_refused),
		T(heartbeats_are_signed_fresh_and_used_once),
		T(a_revoked_edge_is_out_at_once),
		T(the_feed_is_a_snapshot_and_deltas),
		T(the_feed_is_for_edges_alone),
		T(one_edge_has_few_streams),
		T(a_slow_reader_catches_up),
		T(what_is_heard_outlives_a_look),
		T(edges_of_hubs_themselves),
	};

	return run_on_drivers(tests, sizeof tests / sizeof *tests, NULL, 0);
}
