/* SPDX-License-Identifier: MIT */
#include "live_hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <towonel/wire/request_signature.h>
#include <towonel/wire/route_table.h>

#include "drivers.h"
#include "member.h"

static struct reply bootstrap(struct live_hub *h, const struct member *m)
{
	char secret[TOW_BASE64URL_SIZE(TOW_SECRET_SIZE)], body[256];

	snprintf(body, sizeof body, "{\"invite_id\":\"%s\",\"invite_secret\":\"%s\"}", m->invite,
	         tow_base64url_encode(m->token.secret, sizeof m->token.secret, secret));
	return ask(h, "POST", "/v1/bootstrap", NULL, body);
}

static void health_and_edges_need_no_key(void **state)
{
	struct live_hub *h = *state;
	struct reply r = ask(h, "GET", "/v1/health", NULL, NULL);
	char id[TOW_ID_TEXT_SIZE];

	assert_int_equal(r.status, 200);
	assert_string_equal(text_of(&r, "status"), "ok");
	assert_string_equal(text_of(&r, "version"), "1.2.3");
	assert_string_equal(text_of(&r, "node_id"), tow_id_format(&h->key.id, id));
	assert_int_equal(json_integer_value(json_object_get(r.body, "protocol_version")), 1);
	assert_string_equal(r.request_id, "of-the-test");
	reply_deinit(&r);
	r = ask(h, "GET", "/v1/edges", NULL, NULL);
	assert_int_equal(json_array_size(json_object_get(r.body, "edges")), 0);
	reply_deinit(&r);
	expect(ask(h, "GET", "/v1/nothing", NULL, NULL), 404, "not_found");
	expect(ask(h, "PUT", "/v1/invites", NULL, NULL), 405, "method_not_allowed");
}

static void operators_things_ask_for_the_operators_key(void **state)
{
	static const struct {
		const char *method, *path;
	} rows[] = {
		{ "POST", "/v1/invites" },
		{ "GET", "/v1/invites" },
		{ "GET", "/v1/invites/AAAAAAAAAAAAAAAAAAAAAA" },
		{ "DELETE", "/v1/invites/AAAAAAAAAAAAAAAAAAAAAA" },
		{ "POST", "/v1/invites/AAAAAAAAAAAAAAAAAAAAAA/hostnames" },
		{ "DELETE", "/v1/invites/AAAAAAAAAAAAAAAAAAAAAA/hostnames/a.eu" },
		{ "GET", "/v1/tenants" },
		{ "DELETE", "/v1/tenants/00" },
		{ "GET", "/v1/ports" },
		{ "GET", "/v1/ports/available?protocol=tcp" },
	};
	static const char *const keys[] = { NULL,
		                            "Bearer ",
		                            "Bearer " OPERATOR_KEY "x",
		                            "Basic " OPERATOR_KEY,
		                            OPERATOR_KEY,
		                            "Bearer b3BlcmF0b3Iga2V5IG9mIHRoZSB0ZXN0cywgMzIgYnm" };
	struct live_hub *h = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t j = 0; j < sizeof keys / sizeof *keys; j++)
			expect(ask(h, rows[i].method, rows[i].path, keys[j], "{}"), 401,
			       "unauthorized");
}

static void what_is_no_json_is_not_repeated(void **state)
{
	struct live_hub *h = *state;
	struct reply r = ask(h, "POST", "/v1/bootstrap", NULL, "{\"invite_secret\": tellnobody}");
	const char *message =
		json_string_value(json_object_get(json_object_get(r.body, "error"), "message"));

	assert_int_equal(r.status, 400);
	assert_non_null(strstr(message, "line 1, column 2"));
	assert_null(strstr(message, "tellnobody"));
	reply_deinit(&r);
}

static void invites_are_made_shown_changed_and_revoked(void **state)
{
	static const struct {
		const char *body, *part;
	} bad[] = {
		{ "", "JSON" },
		{ "[]", "object" },
		{ "{}", "hostnames" },
		{ "{\"hostnames\":[]}", "hostnames" },
		{ "{\"hostnames\":\"a.eu\"}", "hostnames" },
		{ "{\"hostnames\":[1]}", "hostnames" },
		{ "{\"hostnames\":[\"no host\"]}", "no host" },
		{ "{\"hostnames\":[\"a.eu\"],\"colour\":1}", "colour" },
		{ "{\"hostnames\":[\"a.eu\"],\"expires_in_secs\":-1}", "expires_in_secs" },
		{ "{\"hostnames\":[\"a.eu\"],\"expires_in_secs\":2592001}", "expires_in_secs" },
		{ "{\"hostnames\":[\"a.eu\"],\"name\":\"a\\nb\"}", "name" },
		{ "{\"hostnames\":[\"a.eu\"],\"name\":7}", "name" },
		{ "{\"hostnames\":[\"a.eu\"],\"hostnames\":[\"b.eu\"]}", "JSON" },
	};
	struct live_hub *h = *state;
	struct member m;
	struct reply r;
	char path[128];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		r = ask_as_operator(h, "POST", "/v1/invites", bad[i].body);
		assert_int_equal(r.status, 400);
		if (!strstr(json_string_value(
				    json_object_get(json_object_get(r.body, "error"), "message")),
		            bad[i].part))
			fail_msg("%s: no %s", bad[i].body, bad[i].part);
		reply_deinit(&r);
	}
	member_invite(h, &m,
	              "{\"hostnames\":[\"App.Alice.eu\",\"*.alice.eu\",\"app.alice.eu\"],\"name\":"
	              "\"alice\"}");
	expect(ask_as_operator(h, "POST", "/v1/invites", "{\"hostnames\":[\"x.alice.eu\"]}"), 409,
	       "hostname_conflict");

	snprintf(path, sizeof path, "/v1/invites/%s", m.invite);
	r = ask_as_operator(h, "GET", path, NULL);
	assert_int_equal(r.status, 200);
	assert_string_equal(text_of(&r, "name"), "alice");
	assert_string_equal(text_of(&r, "status"), "active");
	assert_string_equal(text_of(&r, "tenant_id"), m.id);
	assert_true(json_is_null(json_object_get(r.body, "expires_at_ms")));
	assert_int_equal(json_array_size(json_object_get(r.body, "hostnames")), 2);
	reply_deinit(&r);

	snprintf(path, sizeof path, "/v1/invites/%s/hostnames", m.invite);
	r = ask_as_operator(h, "POST", path, "{\"hostnames\":[\"other.eu\"]}");
	assert_int_equal(json_array_size(json_object_get(r.body, "hostnames")), 3);
	reply_deinit(&r);
	expect(ask_as_operator(h, "POST", path, "{\"hostnames\":[\"other.eu\"]}"), 409,
	       "hostname_conflict");
	snprintf(path, sizeof path, "/v1/invites/%s/hostnames/%%2A.alice.eu", m.invite);
	r = ask_as_operator(h, "DELETE", path, NULL);
	assert_int_equal(r.status, 200);
	assert_string_equal(text_of(&r, "hostname"), "*.alice.eu");
	assert_int_equal(json_array_size(json_object_get(r.body, "remaining_hostnames")), 2);
	reply_deinit(&r);
	expect(ask_as_operator(h, "DELETE", path, NULL), 404, "not_found");

	snprintf(path, sizeof path, "/v1/invites/%s", m.invite);
	r = ask_as_operator(h, "DELETE", path, NULL);
	assert_string_equal(text_of(&r, "status"), "revoked");
	reply_deinit(&r);
	expect(ask_as_operator(h, "DELETE", path, NULL), 404, "not_found");
	expect(ask_as_operator(h, "DELETE", "/v1/invites/zz", NULL), 404, "not_found");
	r = ask_as_operator(h, "GET", path, NULL);
	assert_string_equal(text_of(&r, "status"), "revoked");
	reply_deinit(&r);
	expect(bootstrap(h, &m), 401, "unauthorized");
	member_deinit(&m);
}

static void invites_come_in_pages(void **state)
{
	struct live_hub *h = *state;
	struct reply r;
	char body[64];

	for (int i = 0; i < 25; i++) {
		snprintf(body, sizeof body, "{\"hostnames\":[\"t%d.eu\"],\"expires_in_secs\":60}",
		         i);
		expect(ask_as_operator(h, "POST", "/v1/invites", body), 200, "");
	}
	r = ask_as_operator(h, "GET", "/v1/invites?limit=10&offset=20", NULL);
	assert_int_equal(json_array_size(json_object_get(r.body, "invites")), 5);
	assert_string_equal(r.total_count, "25");
	reply_deinit(&r);
	r = ask_as_operator(h, "GET", "/v1/tenants", NULL);
	assert_int_equal(json_array_size(json_object_get(r.body, "tenants")), 25);
	assert_string_equal(r.total_count, "25");
	reply_deinit(&r);
	expect(ask_as_operator(h, "GET", "/v1/invites?limit=0", NULL), 400, "invalid_request");
	expect(ask_as_operator(h, "GET", "/v1/invites?offset=x", NULL), 400, "invalid_request");
	expect(ask_as_operator(h, "GET", "/v1/invites?limit=99999999999999999999", NULL), 400,
	       "invalid_request");
}

static void report_edge(struct live_hub *h)
{
	static const char *const addresses[] = { "192.0.2.1:443", "[2001:db8::1]:443" };
	struct tow_edge_report report = { .node_id = h->key.id,
		                          .addresses = addresses,
		                          .address_count = 2 };

	tow_hub_edge_report(h->hub, &report);
}

static void an_agent_learns_where_to_go(void **state)
{
	struct live_hub *h = *state;
	struct member m, wrong;
	struct reply r;
	char id[TOW_ID_TEXT_SIZE];

	live_hub_do(h, report_edge);
	tow_id_format(&h->key.id, id);
	member_invite(h, &m, "{\"hostnames\":[\"a.eu\",\"*.b.eu\"]}");
	r = bootstrap(h, &m);
	assert_int_equal(r.status, 200);
	assert_string_equal(text_of(&r, "status"), "ok");
	assert_string_equal(text_of(&r, "tenant_id"), m.id);
	assert_string_equal(text_of(&r, "hub_node_id"), id);
	assert_string_equal(text_of(&r, "edge_node_id"), id);
	assert_int_equal(json_array_size(json_object_get(r.body, "hostnames")), 2);
	assert_int_equal(json_array_size(json_object_get(r.body, "edge_addresses")), 2);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(r.body, "trusted_edges"), 0)), id);
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(json_object_get(r.body, "edges"), 0), "node_id")),
		id);
	reply_deinit(&r);
	wrong = m;
	wrong.token.secret[0] ^= 1;
	expect(bootstrap(h, &wrong), 401, "unauthorized");
	wrong = m;
	wrong.invite[0] = wrong.invite[0] == 'A' ? 'B' : 'A';
	expect(bootstrap(h, &wrong), 401, "unauthorized");
	expect(ask(h, "POST", "/v1/bootstrap", NULL,
	           "{\"invite_id\":\"x\",\"invite_secret\":\"y\"}"),
	       400, "invalid_request");
	r = ask(h, "GET", "/v1/edges", NULL, NULL);
	assert_int_equal(json_array_size(json_object_get(r.body, "edges")), 1);
	reply_deinit(&r);
	/* and what was acknowledged is there after a restart */
	live_hub_restart(h);
	expect(bootstrap(h, &m), 200, "");
	member_deinit(&m);
	member_invite(h, &m, "{\"hostnames\":[\"c.eu\"],\"expires_in_secs\":1}");
	sleep(2);
	expect(bootstrap(h, &m), 410, "invite_expired");
	wrong = m;
	wrong.token.secret[0] ^= 1;
	expect(bootstrap(h, &wrong), 401, "unauthorized");
	member_deinit(&m);
}

static void agents_register_and_beat(void **state)
{
	struct live_hub *h = *state;
	struct member m;
	struct tow_node_key agent, other;
	struct tow_entry e;
	struct reply r;
	char auth[TOW_REQUEST_SIGNATURE_SIZE], again[512], id[TOW_ID_TEXT_SIZE], path[128];
	const char *domain = TOW_DOMAIN_AGENT_HEARTBEAT;

	member_invite(h, &m, "{\"hostnames\":[\"a.eu\"]}");
	tow_node_key_generate(&agent);
	tow_node_key_generate(&other);
	expect(member_heartbeat(h, &m, &agent, &agent, domain, 0, auth), 403, "tenant_not_allowed");
	member_announce(h, &m, &agent);
	r = member_heartbeat(h, &m, &agent, &agent, domain, 0, auth);
	assert_int_equal(r.status, 200);
	assert_int_equal(json_integer_value(json_object_get(r.body, "next_interval_secs")), 20);
	assert_true(json_is_false(json_object_get(r.body, "superseded")));
	assert_true(json_is_array(json_object_get(r.body, "edges")));
	reply_deinit(&r);
	/* the same request once more; a stale one; one of the future; another's; for another
	 * purpose */
	snprintf(again, sizeof again,
	         "{\"tenant_id\":\"%s\",\"agent_id\":\"%s\",\"generation\":5,\"services_hash\":\"%"
	         "064d\"}",
	         m.id, tow_id_format(&agent.id, id), 1);
	expect(ask(h, "POST", "/v1/agent/heartbeat", auth, again), 401, "unauthorized");
	expect(member_heartbeat(h, &m, &agent, &agent, domain, -61000, auth), 401, "unauthorized");
	expect(member_heartbeat(h, &m, &agent, &agent, domain, 61000, auth), 401, "unauthorized");
	expect(member_heartbeat(h, &m, &agent, &other, domain, 0, auth), 401, "unauthorized");
	expect(member_heartbeat(h, &m, &agent, &agent, TOW_DOMAIN_EDGE_HEARTBEAT, 0, auth), 401,
	       "unauthorized");
	expect(ask(h, "POST", "/v1/agent/heartbeat", NULL, again), 401, "unauthorized");
	/* it may read its tenant's log, and nobody else's */
	snprintf(path, sizeof path, "/v1/tenants/%s/entries", m.id);
	tow_request_sign(&agent, TOW_DOMAIN_TENANT_ENTRIES, tow_wall_ms(), tow_slice_of(""), auth);
	expect(ask(h, "GET", path, auth, NULL), 200, "");
	tow_request_sign(&other, TOW_DOMAIN_TENANT_ENTRIES, tow_wall_ms(), tow_slice_of(""), auth);
	expect(ask(h, "GET", path, auth, NULL), 403, "tenant_not_allowed");
	/* a newer agent with other services */
	e = member_entry(&m, TOW_ENTRY_UPSERT_AGENT, NULL, 0);
	e.agent_id = other.id;
	e.generation = 6;
	e.expires_at_ms = tow_wall_ms() + 60000;
	expect(member_submit(h, &m, e), 200, "");
	r = member_heartbeat(h, &m, &agent, &agent, domain, 0, auth);
	assert_true(json_is_true(json_object_get(r.body, "superseded")));
	reply_deinit(&r);
	member_deinit(&m);
}

/* What a subscriber of this process has. */
static struct tow_route_table *table;
static struct tow_hub_subscription *subscription;
static int snapshots, deltas, refuse_next;
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

static int take_event(void *user, const struct tow_route_event *event)
{
	int r = TOW_ECONFLICT;

	(void)user;
	pthread_mutex_lock(&table_lock);
	if (!refuse_next)
		r = tow_route_table_apply(table, event->json, NULL, NULL, NULL);
	refuse_next = 0;
	if (!r)
		*(event->kind == TOW_ROUTE_SNAPSHOT ? &snapshots : &deltas) += 1;
	pthread_mutex_unlock(&table_lock);
	return r;
}

static void subscribe(struct live_hub *h)
{
	assert_int_equal(tow_hub_subscribe(h->hub, take_event, NULL, &subscription), 0);
}

static void unsubscribe(struct live_hub *h)
{
	(void)h;
	tow_hub_unsubscribe(subscription);
}

static size_t hostname_count(void)
{
	return tow_route_table_hostname_count(table);
}

static size_t snapshot_count(void)
{
	return (size_t)snapshots;
}

static void await(size_t (*count)(void), size_t want)
{
	size_t have = 0;

	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&table_lock);
		have = count();
		pthread_mutex_unlock(&table_lock);
		if (have == want)
			return;
		usleep(10 * 1000);
	}
	fail_msg("%zu, not %zu", have, want);
}

static void await_hostnames(size_t want)
{
	await(hostname_count, want);
}

static void entries_become_routes(void **state)
{
	struct live_hub *h = *state;
	struct member m, other;
	struct reply r;
	struct tow_entry e;
	char *one, *two, *batch, path[128], auth[TOW_TENANT_REQUEST_SIGNATURE_SIZE];
	uint64_t now;

	table = tow_route_table_new();
	snapshots = deltas = 0;
	live_hub_do(h, subscribe);
	await(snapshot_count, 1); /* what is accepted from here on comes as a delta */
	member_invite(h, &m, "{\"hostnames\":[\"a.eu\",\"*.a.eu\"],\"name\":\"alice\"}");
	member_invite(h, &other, "{\"hostnames\":[\"b.eu\"]}");
	expect(member_submit(h, &m, member_entry(&m, TOW_ENTRY_UPSERT_HOSTNAME, "a.eu", 0)), 200, "");
	await_hostnames(1);
	assert_int_equal(snapshots, 1);

	one = member_sign(&m, member_entry(&m, TOW_ENTRY_UPSERT_HOSTNAME, "x.a.eu", 0));
	two = member_sign(&m, member_entry(&m, TOW_ENTRY_UPSERT_TCP_SERVICE, "ssh", 2222));
	batch = malloc(strlen(one) + strlen(two) + 32);
	assert_non_null(batch);
	snprintf(batch, strlen(one) + strlen(two) + 32, "{\"entries\":[%s,%s]}", one, two);
	r = ask(h, "POST", "/v1/entries", NULL, batch);
	assert_int_equal(r.status, 200);
	assert_int_equal(json_integer_value(json_object_get(r.body, "sequence")), 3);
	reply_deinit(&r);
	await_hostnames(2);
	assert_int_equal(snapshots, 1);
	expect(ask(h, "POST", "/v1/entries", NULL, batch), 409, "sequence_conflict");
	expect(member_submit(h, &m, member_entry(&m, TOW_ENTRY_UPSERT_HOSTNAME, "b.eu", 0)), 403,
	       "hostname_not_owned");
	expect(member_submit(h, &other, member_entry(&other, TOW_ENTRY_UPSERT_TCP_SERVICE, "ssh", 2222)), 409,
	       "port_in_use");
	expect(member_submit(h, &other, member_entry(&other, TOW_ENTRY_UPSERT_TCP_SERVICE, "web", 8443)), 409,
	       "port_in_use");
	expect(ask(h, "POST", "/v1/entries", NULL, "{\"entries\":[]}"), 400, "invalid_request");
	expect(ask(h, "POST", "/v1/entries", NULL, "{\"entries\":[{}],\"x\":1}"), 400,
	       "invalid_request");
	expect(ask(h, "POST", "/v1/entries", NULL, "{\"entries\":[7]}"), 400, "invalid_request");
	free(one);
	free(two);
	free(batch);

	/* the log, to those whom it concerns */
	snprintf(path, sizeof path, "/v1/tenants/%s/entries", m.id);
	r = ask_as_operator(h, "GET", path, NULL);
	assert_int_equal(json_array_size(json_object_get(r.body, "entries")), 3);
	assert_int_equal(json_integer_value(json_object_get(r.body, "latest_sequence")), 3);
	assert_null(json_object_get(r.body, "next_after"));
	reply_deinit(&r);
	snprintf(path, sizeof path, "/v1/tenants/%s/entries?limit=2", m.id);
	r = ask_as_operator(h, "GET", path, NULL);
	assert_int_equal(json_array_size(json_object_get(r.body, "entries")), 2);
	assert_int_equal(json_integer_value(json_object_get(r.body, "next_after")), 2);
	reply_deinit(&r);
	snprintf(path, sizeof path, "/v1/tenants/%s/entries?limit=2&after=2", m.id);
	r = ask_as_operator(h, "GET", path, NULL);
	assert_int_equal(json_array_size(json_object_get(r.body, "entries")), 1);
	reply_deinit(&r);
	snprintf(path, sizeof path, "/v1/tenants/%s/entries", m.id);
	now = tow_wall_ms();
	assert_int_equal(tow_tenant_request_sign(m.key, TOW_DOMAIN_TENANT_ENTRIES, now,
	                                         tow_slice_of(""), auth),
	                 0);
	expect(ask(h, "GET", path, auth, NULL), 200, "");
	expect(ask(h, "GET", path, auth, NULL), 401, "unauthorized");
	assert_int_equal(tow_tenant_request_sign(other.key, TOW_DOMAIN_TENANT_ENTRIES, now,
	                                         tow_slice_of(""), auth),
	                 0);
	expect(ask(h, "GET", path, auth, NULL), 403, "tenant_not_allowed");
	expect(ask(h, "GET", path, NULL, NULL), 401, "unauthorized");

	r = ask_as_operator(h, "GET", "/v1/ports", NULL);
	assert_int_equal(json_array_size(json_object_get(r.body, "ports")), 1);
	reply_deinit(&r);
	r = ask_as_operator(h, "GET", "/v1/ports/available?protocol=udp&count=3", NULL);
	assert_int_equal(json_array_size(json_object_get(r.body, "ports")), 3);
	reply_deinit(&r);
	expect(ask_as_operator(h, "GET", "/v1/ports/available?protocol=sctp", NULL), 400,
	       "invalid_request");

	/* a subscriber that lost its way is given a snapshot */
	pthread_mutex_lock(&table_lock);
	refuse_next = 1;
	pthread_mutex_unlock(&table_lock);
	expect(member_submit(h, &other, member_entry(&other, TOW_ENTRY_UPSERT_HOSTNAME, "b.eu", 0)), 200, "");
	await_hostnames(3);
	assert_int_equal(snapshots, 2);

	/* leaving, by its own word alone */
	snprintf(path, sizeof path, "/v1/tenants/%s/leave", other.id);
	e = member_entry(&m, TOW_ENTRY_LEAVE, NULL, 0);
	one = member_sign(&m, e);
	expect(ask(h, "POST", path, NULL, one), 403, "tenant_not_allowed");
	expect(ask(h, "POST", "/v1/entries", NULL, one), 400, "unsupported_op");
	snprintf(path, sizeof path, "/v1/tenants/%s/leave", m.id);
	r = ask(h, "POST", path, NULL, one);
	assert_string_equal(text_of(&r, "status"), "removed");
	reply_deinit(&r);
	free(one);
	await_hostnames(1);
	snprintf(path, sizeof path, "/v1/tenants/%s", other.id);
	r = ask_as_operator(h, "DELETE", path, NULL);
	assert_string_equal(text_of(&r, "status"), "removed");
	assert_string_equal(text_of(&r, "tenant_id"), other.id);
	reply_deinit(&r);
	await_hostnames(0);
	expect(ask_as_operator(h, "DELETE", path, NULL), 404, "not_found");
	live_hub_do(h, unsubscribe);
	assert_true(deltas >= 4);
	tow_route_table_free(table);
	member_deinit(&m);
	member_deinit(&other);
}

static int once(void *user, const struct tow_route_event *event)
{
	assert_int_equal(event->kind, TOW_ROUTE_SNAPSHOT);
	tow_hub_unsubscribe(*(struct tow_hub_subscription **)user);
	pthread_mutex_lock(&table_lock);
	snapshots++;
	pthread_mutex_unlock(&table_lock);
	return TOW_ECONFLICT; /* and nobody is left to try again with */
}

static struct tow_hub_subscription *leaving, *lasting;

static void subscribe_both(struct live_hub *h)
{
	assert_int_equal(tow_hub_subscribe(h->hub, take_event, NULL, &lasting), 0);
	assert_int_equal(tow_hub_subscribe(h->hub, once, &leaving, &leaving), 0);
}

static void subscribers_go_when_they_want(void **state)
{
	struct live_hub *h = *state;
	struct member m;
	int seen = 0;

	table = tow_route_table_new();
	snapshots = deltas = 0;
	live_hub_do(h, subscribe_both);
	for (int i = 0; i < 500 && seen < 2; i++) {
		usleep(10 * 1000);
		pthread_mutex_lock(&table_lock);
		seen = snapshots;
		pthread_mutex_unlock(&table_lock);
	}
	assert_int_equal(seen, 2);
	member_invite(h, &m, "{\"hostnames\":[\"a.eu\"]}");
	expect(member_submit(h, &m, member_entry(&m, TOW_ENTRY_UPSERT_HOSTNAME, "a.eu", 0)), 200, "");
	await_hostnames(1);
	live_hub_restart(h);
	/* the hub that it was of has gone */
	tow_hub_unsubscribe(lasting);
	assert_int_equal(snapshots, 2);
	tow_route_table_free(table);
	member_deinit(&m);
}

static struct tow_buf rendered;

static void render(struct live_hub *h)
{
	assert_int_equal(tow_metrics_render(h->metrics, &rendered), 0);
}

static void what_is_counted_and_what_is_never_logged(void **state)
{
	static const char *const lines[] = {
		"towonel_hub_requests_total{endpoint=\"/v1/bootstrap\",status=\"200\"} 1",
		"towonel_hub_requests_total{endpoint=\"/v1/bootstrap\",status=\"401\"} 1",
		"towonel_hub_requests_total{endpoint=\"other\",status=\"404\"} 1",
		"towonel_hub_entries_accepted_total 1",
		"towonel_hub_entries_rejected_total{reason=\"hostname_not_owned\"} 1",
	};
	struct live_hub *h = *state;
	struct member m, wrong;
	char secret[TOW_BASE64URL_SIZE(TOW_SECRET_SIZE)], seed[TOW_BASE64URL_SIZE(TOW_SEED_SIZE)];

	member_invite(h, &m, "{\"hostnames\":[\"a.eu\"]}");
	expect(bootstrap(h, &m), 200, "");
	wrong = m;
	wrong.token.secret[0] ^= 1;
	expect(bootstrap(h, &wrong), 401, "unauthorized");
	expect(ask(h, "GET", "/no/such/path", NULL, NULL), 404, "not_found");
	expect(member_submit(h, &m, member_entry(&m, TOW_ENTRY_UPSERT_HOSTNAME, "a.eu", 0)), 200, "");
	expect(member_submit(h, &m, member_entry(&m, TOW_ENTRY_UPSERT_HOSTNAME, "b.eu", 0)), 403,
	       "hostname_not_owned");
	live_hub_do(h, render);
	assert_int_equal(tow_buf_append(&rendered, "", 1), 0);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		if (!strstr((char *)rendered.base, lines[i]))
			fail_msg("no %s in\n%s", lines[i], (char *)rendered.base);
	tow_buf_deinit(&rendered);
	pthread_mutex_lock(&h->lock);
	assert_int_equal(tow_buf_append(&h->logged, "", 1), 0);
	assert_non_null(strstr((char *)h->logged.base, "/v1/bootstrap"));
	assert_null(strstr((char *)h->logged.base, OPERATOR_KEY));
	assert_null(strstr((char *)h->logged.base,
	                   tow_base64url_encode(m.token.secret, sizeof m.token.secret, secret)));
	assert_null(strstr((char *)h->logged.base,
	                   tow_base64url_encode(m.token.seed, sizeof m.token.seed, seed)));
	pthread_mutex_unlock(&h->lock);
	member_deinit(&m);
}

static void ready_or_not(struct live_hub *h)
{
	tow_hub_not_ready(h->hub, &rendered);
}

static int is_ready(struct live_hub *h)
{
	int ready;

	live_hub_do(h, ready_or_not);
	ready = !tow_buf_len(&rendered);
	tow_buf_deinit(&rendered);
	return ready;
}

/* A limit on the size of files stands for a full disk. */
static void a_full_disk_is_said_and_survived(void **state)
{
	struct live_hub *h = *state;
	struct rlimit before, small;
	struct member m, late;
	struct reply r = { 0 };
	char body[64], wal[96];
	struct stat st;
	int made = 0;

	signal(SIGXFSZ, SIG_IGN);
	member_invite(h, &m, "{\"hostnames\":[\"a.eu\"]}");
	assert_true(is_ready(h));
	snprintf(wal, sizeof wal, "%s-wal", h->db);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = (rlim_t)st.st_size + 128 * 1024;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (; made < 500; made++) {
		snprintf(body, sizeof body, "{\"hostnames\":[\"n%d.eu\"]}", made);
		r = ask_as_operator(h, "POST", "/v1/invites", body);
		if (r.status != 200)
			break;
		reply_deinit(&r);
	}
	expect(r, 503, "unavailable");
	assert_false(is_ready(h));
	/* what is there can be read */
	expect(bootstrap(h, &m), 200, "");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	/* the same request now works, and those before it have left what they said and no more */
	member_invite(h, &late, body);
	assert_true(is_ready(h));
	r = ask_as_operator(h, "GET", "/v1/invites", NULL);
	assert_int_equal(strtol(r.total_count, NULL, 10), made + 2);
	reply_deinit(&r);
	member_deinit(&m);
	member_deinit(&late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, live_hub_setup, live_hub_teardown)
		T(health_and_edges_need_no_key),
		T(operators_things_ask_for_the_operators_key),
		T(what_is_no_json_is_not_repeated),
		T(invites_are_made_shown_changed_and_revoked),
		T(invites_come_in_pages),
		T(an_agent_learns_where_to_go),
		T(agents_register_and_beat),
		T(entries_become_routes),
		T(subscribers_go_when_they_want),
		T(what_is_counted_and_what_is_never_logged),
	};
	const struct CMUnitTest files[] = { T(a_full_disk_is_said_and_survived) };
	return run_on_drivers(tests, sizeof tests / sizeof *tests, files,
	                      sizeof files / sizeof *files);
}
