/* SPDX-License-Identifier: MIT */
/*
 * The agent's conversation with a hub that follows a script: a real HTTPS server answers what each
 * row says, and notes what was asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <towonel/tunnel/http_server.h>
#include <towonel/wire/entry.h>

#include "registration.h"

enum then {
	NOTHING,
	LEAVE_NOW,   /* before the first answer */
	LEAVE_AFTER, /* once registered */
	CHECK,       /* likewise */
	RELOAD,
};

struct row {
	const char *what;
	enum then then;
	/* "REQUEST -> STATUS [CODE]"; what is asked must be just this */
	const char *script[10];
	const char *told; /* what the agent heard, in order */
};

#define BOOTSTRAP_OK "bootstrap -> 200"
#define ANNOUNCE_OK  "upsert_agent -> 200"
#define READ_OK      "read -> 200"
#define APPLY_OK     "upsert_hostname a.example.eu,upsert_hostname b.example.eu -> 200"
#define HEARTBEAT_OK "heartbeat -> 200"
#define REGISTERED   "edges;registered;"

static const struct row rows[] = {
	{ "all goes well", NOTHING, { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK, APPLY_OK }, REGISTERED },
	{ "a revoked token", NOTHING, { "bootstrap -> 401 unauthorized" }, "fatal;left;" },
	{ "an expired token", NOTHING, { "bootstrap -> 410 invite_expired" }, "fatal;left;" },
	{ "a proxy has no hub behind it, then has",
	  NOTHING,
	  { "bootstrap -> 404", "bootstrap -> 502", BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK, APPLY_OK },
	  REGISTERED },
	{ "the hub is busy",
	  NOTHING,
	  { "bootstrap -> 503 unavailable", BOOTSTRAP_OK, "upsert_agent -> 503 unavailable",
	    ANNOUNCE_OK, "read -> 500 internal", READ_OK, APPLY_OK },
	  REGISTERED },
	{ "the hub is away for longer than one waits to ask it again",
	  NOTHING,
	  { "bootstrap -> 503 tomorrow" },
	  "" },
	{ "a sequence is taken",
	  NOTHING,
	  { BOOTSTRAP_OK, "upsert_agent -> 409 sequence_conflict", ANNOUNCE_OK, READ_OK, APPLY_OK },
	  REGISTERED },
	{ "a sequence is taken meanwhile: look again",
	  NOTHING,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK,
	    "upsert_hostname a.example.eu,upsert_hostname b.example.eu -> 409 sequence_conflict",
	    READ_OK, APPLY_OK },
	  REGISTERED },
	{ "an answer is lost: look again before saying it again",
	  NOTHING,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK,
	    "upsert_hostname a.example.eu,upsert_hostname b.example.eu -> 503 unavailable", READ_OK,
	    APPLY_OK },
	  REGISTERED },
	{ "one of two is refused",
	  NOTHING,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK,
	    "upsert_hostname a.example.eu,upsert_hostname b.example.eu -> 403 hostname_not_owned",
	    "upsert_hostname a.example.eu -> 403 hostname_not_owned",
	    "upsert_hostname b.example.eu -> 200" },
	  "edges;refused a.example.eu;registered;" },
	{ "the hub does not know the agent: bootstrap again",
	  NOTHING,
	  { BOOTSTRAP_OK, "upsert_agent -> 403 tenant_not_allowed", BOOTSTRAP_OK, ANNOUNCE_OK,
	    READ_OK, APPLY_OK },
	  "edges;" REGISTERED },
	{ "the invite is revoked while the agent runs",
	  CHECK,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK, APPLY_OK, "heartbeat -> 403 tenant_not_allowed",
	    "upsert_agent -> 403 tenant_not_allowed", "bootstrap -> 401 unauthorized" },
	  REGISTERED "fatal;left;" },
	{ "the hub has forgotten the agent",
	  CHECK,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK, APPLY_OK, "heartbeat -> 403 tenant_not_allowed",
	    ANNOUNCE_OK, READ_OK, APPLY_OK },
	  REGISTERED "registered;" },
	{ "a heartbeat brings edges",
	  CHECK,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK, APPLY_OK, HEARTBEAT_OK },
	  REGISTERED "edges;" },
	{ "another agent has taken over",
	  CHECK,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK, APPLY_OK, "heartbeat -> 200 superseded" },
	  REGISTERED "edges;superseded;" },
	{ "others have gone without a farewell",
	  CHECK,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK, APPLY_OK, "heartbeat -> 200 stale",
	    "revoke_agent 07,revoke_agent 08 -> 200" },
	  REGISTERED "edges;" },
	{ "revoking them is refused, and left at that",
	  CHECK,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK, APPLY_OK, "heartbeat -> 200 stale",
	    "revoke_agent 07,revoke_agent 08 -> 503 unavailable" },
	  REGISTERED "edges;" },
	{ "the agent was revoked: a new key",
	  CHECK,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK, APPLY_OK, "heartbeat -> 403 revoked", BOOTSTRAP_OK,
	    ANNOUNCE_OK, READ_OK, APPLY_OK },
	  REGISTERED "revoked;revoked;" REGISTERED },
	{ "the agent was revoked before it was known",
	  NOTHING,
	  { BOOTSTRAP_OK, "upsert_agent -> 403 revoked", BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK,
	    APPLY_OK },
	  "edges;revoked;revoked;" REGISTERED },
	{ "other services: no bootstrap",
	  RELOAD,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK, APPLY_OK, ANNOUNCE_OK, READ_OK,
	    "upsert_hostname c.example.eu -> 200" },
	  REGISTERED "registered;" },
	{ "leaving takes the agent's entry back",
	  LEAVE_AFTER,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK, APPLY_OK, "revoke_agent -> 200" },
	  REGISTERED "left;" },
	{ "leaving goes on though the hub fails",
	  LEAVE_AFTER,
	  { BOOTSTRAP_OK, ANNOUNCE_OK, READ_OK, APPLY_OK, "revoke_agent -> 503 unavailable" },
	  REGISTERED "left;" },
	{ "leaving before anything was said", LEAVE_NOW, { NULL }, "left;" },
};

struct hub {
	struct tow_loop *loop;
	struct tow_node_key key;
	struct tow_tls_context *tls;
	struct tow_http_server *server;
	const struct row *row;
	size_t step;
	struct tow_buf told;
	char wrong[512];
	struct tow_timer then; /* some time after registration: the row's deed; then: the end */
	struct tow_timer late;
	struct registration *registration;
	struct tow_node_key agent;
	struct tow_service_list services, other;
	int deed_done, keyless;
};

static void tell(struct hub *hub, const char *what, const char *more)
{
	assert_int_equal(tow_buf_printf(&hub->told, "%s%s;", what, more ? more : ""), 0);
}

/* A moment after the last answer of the script, for the agent to hear of it. */
static void end_soon(struct hub *hub)
{
	tow_timer_start_in(&hub->then, 100 * TOW_NSEC_PER_MSEC);
}

static int script_is_over(const struct hub *hub)
{
	return hub->step >= 10 || !hub->row->script[hub->step];
}

/* --- the hub --- */

/* Two others, what is no id, and the agent itself, which is not to revoke itself. */
static json_t *stale_agents(const struct hub *hub)
{
	struct tow_id one, other;
	char text[3][TOW_ID_TEXT_SIZE];
	memset(&one, 7, sizeof one);
	memset(&other, 8, sizeof other);
	return json_pack("[s,s,i,s,s]", tow_id_format(&one, text[0]), "07", 7,
	                 tow_id_format(&hub->agent.id, text[1]), tow_id_format(&other, text[2]));
}

static void answer(struct hub *hub, struct tow_http_request *request, const char *asked)
{
	char expected[512] = "nothing", code[64] = "";
	int status = 0;
	if (!script_is_over(hub)) {
		const char *line = hub->row->script[hub->step++];
		const char *arrow = strstr(line, " -> ");
		char *after = NULL;
		snprintf(expected, sizeof expected, "%.*s", (int)(arrow - line), line);
		status = (int)strtol(arrow + 4, &after, 10);
		assert_true(status > 0);
		snprintf(code, sizeof code, "%s", after + (*after == ' '));
	}
	if (strcmp(asked, expected) != 0 && !hub->wrong[0])
		snprintf(hub->wrong, sizeof hub->wrong, "asked %.200s, expected %.200s", asked,
		         expected);
	if (hub->wrong[0]) {
		tow_http_respond(request, 500, "text/plain", tow_slice_of(""));
		tow_loop_stop(hub->loop);
	} else if (status == 200) {
		tow_http_respond_json(
			request, 200,
			json_pack("{s:s,s:[{s:s,s:[s]}],s:[],s:i,s:i,s:b,s:o}", "status", "ok",
		                  "edges", "node_id", "x", "addresses", "127.0.0.1:1", "entries",
		                  "latest_sequence", 0, "next_interval_secs", 20, "superseded",
		                  strcmp(code, "superseded") == 0, "stale_agents",
		                  strcmp(code, "stale") == 0 ? stale_agents(hub) : json_array()));
	} else if (strcmp(code, "revoked") == 0) {
		tow_http_respond_json(request, status,
		                      json_pack("{s:{s:s,s:s,s:b}}", "error", "code",
		                                "tenant_not_allowed", "message", "no", "revoked",
		                                1));
	} else if (code[0]) {
		if (strcmp(code, "tomorrow") == 0)
			tow_http_set_header(request, "Retry-After", "86400");
		tow_http_respond_error(request, status, code, "no");
	} else {
		tow_http_respond(request, status, "text/html", tow_slice_of("<p>no"));
	}
	if (script_is_over(hub))
		end_soon(hub);
}

static void bootstrap(void *user, struct tow_http_request *request)
{
	answer(user, request, "bootstrap");
}

static void read_log(void *user, struct tow_http_request *request)
{
	answer(user, request,
	       tow_http_header(request, "Authorization") ? "read" : "read without a signature");
}

static void heartbeat(void *user, struct tow_http_request *request)
{
	answer(user, request,
	       tow_http_header(request, "Authorization") ? "heartbeat" : "heartbeat unsigned");
}

static void entries(void *user, struct tow_http_request *request)
{
	struct hub *hub = user;
	struct tow_buf asked = { 0 };
	struct tow_slice bytes = tow_http_body(request);
	json_t *body = json_loadb((const char *)bytes.base, bytes.len, 0, NULL), *jws;
	size_t index;
	assert_non_null(body);
	json_array_foreach(json_object_get(body, "entries"), index, jws)
	{
		struct tow_entry entry;
		char *text = json_dumps(jws, JSON_COMPACT);
		assert_int_equal(tow_entry_peek(tow_slice_of(text), &entry, NULL), 0);
		assert_int_equal(tow_buf_printf(&asked, "%s%s%s%s", index ? "," : "",
		                                tow_entry_op_name(entry.op),
		                                entry.name[0] ? " " : "", entry.name),
		                 0);
		if (entry.op == TOW_ENTRY_REVOKE_AGENT &&
		    !tow_id_equal(&entry.agent_id, &hub->agent.id))
			tow_buf_printf(&asked, " %02x", entry.agent_id.bytes[0]);
		free(text);
	}
	tow_buf_append(&asked, "", 1);
	answer(user, request, (const char *)tow_buf_peek(&asked).base);
	tow_buf_deinit(&asked);
	json_decref(body);
}

static const struct tow_http_route routes[] = {
	{ .method = "POST", .path = "/v1/bootstrap", .handle = bootstrap },
	{ .method = "POST",
	  .path = "/v1/entries",
	  .body_max = TOW_HTTP_ENTRIES_BODY_MAX,
	  .handle = entries },
	{ .method = "GET", .path = "/v1/tenants/{id}/entries", .handle = read_log },
	{ .method = "POST", .path = "/v1/agent/heartbeat", .handle = heartbeat },
};

static void on_log(void *user, enum tow_log_level level, const char *line)
{
	struct hub *hub = user;
	const char *wait = strstr(line, "retry_in_ms=");
	(void)level;
	if (wait && strtoul(wait + strlen("retry_in_ms="), NULL, 10) > 100000)
		snprintf(hub->wrong, sizeof hub->wrong, "%.200s", wait);
}

static void hub_start(struct hub *hub)
{
	struct tow_error err = { 0 };
	struct tow_http_server_config server = {
		.loop = hub->loop,
		.listen = { .family = 4, .bytes = { 127, 0, 0, 1 } },
		.routes = routes,
		.route_count = sizeof routes / sizeof *routes,
		.user = hub,
	};
	tow_node_key_generate(&hub->key);
	assert_int_equal(tow_tls_context_new_identity(&hub->key, "http/1.1", &hub->tls, &err), 0);
	server.tls = hub->tls;
	if (tow_http_server_new(&server, &hub->server, &err) != 0)
		fail_msg("%s", err.text);
}

/* --- what the agent hears --- */

static void on_edges(void *user, const json_t *list)
{
	assert_int_equal(json_array_size(list), 1);
	tell(user, "edges", NULL);
}

static void on_revoked_edges(void *user, const json_t *ids)
{
	(void)user;
	(void)ids;
}

static void on_registered(void *user)
{
	struct hub *hub = user;
	tell(hub, "registered", NULL);
	if (hub->row->then > LEAVE_NOW && !hub->deed_done)
		tow_timer_start_in(&hub->then, 10 * TOW_NSEC_PER_MSEC);
}

static void on_refused(void *user, const char *service, const char *text)
{
	assert_string_equal(text, "no");
	tell(user, "refused ", service);
}

static json_t *no_tunnels(void *user)
{
	(void)user;
	return json_array();
}

static void on_superseded(void *user)
{
	tell(user, "superseded", NULL);
}

/* The first time there is none to be had. */
static int on_revoked(void *user)
{
	struct hub *hub = user;
	tell(hub, "revoked", NULL);
	if (!hub->keyless++)
		return TOW_ENOMEM;
	tow_node_key_generate(&hub->agent);
	return 0;
}

static void on_fatal(void *user, int code, const char *text)
{
	assert_int_equal(code, TOW_EAUTH);
	assert_non_null(text);
	tell(user, "fatal", NULL);
}

static void on_left(void *user)
{
	tell(user, "left", NULL);
	end_soon(user);
}

static const struct registration_events events = {
	.edges = on_edges,
	.revoked_edges = on_revoked_edges,
	.registered = on_registered,
	.refused = on_refused,
	.tunnels = no_tunnels,
	.superseded = on_superseded,
	.revoked = on_revoked,
	.fatal = on_fatal,
	.left = on_left,
};

static void on_then(void *user)
{
	struct hub *hub = user;
	if (hub->deed_done || hub->row->then <= LEAVE_NOW) {
		tow_loop_stop(hub->loop);
		return;
	}
	hub->deed_done = 1;
	switch (hub->row->then) {
	case LEAVE_AFTER: tow__registration_leave(hub->registration, TOW_NSEC_PER_SEC); break;
	case CHECK: tow__registration_check(hub->registration); break;
	case RELOAD: tow__registration_serve(hub->registration, &hub->other, 2); break;
	case NOTHING:
	case LEAVE_NOW: break;
	}
}

static void on_late(void *user)
{
	struct hub *hub = user;
	snprintf(hub->wrong, sizeof hub->wrong, "waited in vain in step %zu", hub->step);
	tow_loop_stop(hub->loop);
}

static void parse(struct tow_service_list *list, const char *text)
{
	assert_int_equal(tow_service_list_parse(list, TOW_SERVICE_HTTPS, tow_slice_of(text), NULL),
	                 0);
}

static void play(const struct row *row)
{
	static const uint8_t seed[TOW_SEED_SIZE] = { 7 };
	struct hub hub = { .row = row, .loop = tow_loop_new() };
	struct tow_http_client_config http = { .loop = hub.loop, .user_agent = "test" };
	struct tow_metrics *metrics = tow_metrics_new();
	struct tow_tenant_key *tenant;
	struct tow_token token = { 0 };
	char text[TOW_ADDR_TEXT_SIZE];

	assert_non_null(hub.loop);
	hub_start(&hub);
	tow_timer_init(&hub.then, hub.loop, on_then, &hub);
	tow_timer_init(&hub.late, hub.loop, on_late, &hub);
	tow_timer_start_in(&hub.late, 30 * TOW_NSEC_PER_SEC);
	parse(&hub.services, "[{\"hostname\":\"a.example.eu\",\"origin\":\"127.0.0.1:1\"},"
	                     "{\"hostname\":\"b.example.eu\",\"origin\":\"127.0.0.1:1\"}]");
	parse(&hub.other, "[{\"hostname\":\"c.example.eu\",\"origin\":\"127.0.0.1:1\"}]");
	tow_node_key_generate(&hub.agent);
	assert_int_equal(tow_tenant_key_new(seed, &tenant), 0);
	snprintf(token.hub_url, sizeof token.hub_url, "https://%s",
	         tow_addr_format(tow_http_server_addr(hub.server), text));
	token.hub_id = hub.key.id;

	struct registration_config config = {
		.loop = hub.loop,
		.log = tow_log_new(TOW_LOG_WARN, TOW_LOG_TEXT, on_log, &hub),
		.metrics = metrics,
		.http = tow_http_client_new(&http),
		.token = &token,
		.tenant_key = tenant,
		.agent_key = &hub.agent,
		.events = &events,
		.user = &hub,
	};
	assert_non_null(config.http);
	assert_int_equal(tow__registration_new(&config, &hub.registration), 0);
	if (row->then == LEAVE_NOW)
		tow__registration_leave(hub.registration, TOW_NSEC_PER_SEC);
	else
		tow__registration_serve(hub.registration, &hub.services, 1);
	tow_loop_run(hub.loop);

	tow_buf_append(&hub.told, "", 1);
	if (hub.wrong[0])
		fail_msg("%s: %s", row->what, hub.wrong);
	if (!script_is_over(&hub))
		fail_msg("%s: never asked: %s", row->what, row->script[hub.step]);
	if (strcmp((const char *)tow_buf_peek(&hub.told).base, row->told) != 0)
		fail_msg("%s: heard %s", row->what, (const char *)tow_buf_peek(&hub.told).base);

	tow_timer_stop(&hub.then);
	tow_timer_stop(&hub.late);
	tow__registration_free(hub.registration);
	tow_http_client_free(config.http);
	tow_http_server_close(hub.server, 0, NULL, NULL);
	tow_tls_context_free(hub.tls);
	tow_loop_free(hub.loop);
	tow_log_free(config.log);
	tow_metrics_free(metrics);
	tow_tenant_key_free(tenant);
	tow_service_list_deinit(&hub.services);
	tow_service_list_deinit(&hub.other);
	tow_buf_deinit(&hub.told);
}

static void rows_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		play(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rows_hold) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
