/* SPDX-License-Identifier: MIT */
#include "standing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "summary.h"

static json_t *parse(const char *text)
{
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);

	if (!json)
		fail_msg("column %d: %s", error.column, error.text);
	return json;
}

struct scene {
	const char *tenant, *edges;
	const char *services; /* as they are to stand, in order */
};

static const struct scene scenes[] = {
	/* nobody there */
	{ "{\"hostnames\":[\"a.eu\"],\"agents\":[],\"ports\":[]}", "[]",
	  "a.eu no agent: no agent that is there serves it" },
	/* an agent that no edge has, but that was heard of */
	{ "{\"hostnames\":[\"a.eu\"],\"agents\":[{\"agent_id\":\"1\",\"version\":null,\"heard_at_"
	  "ms\":990000,"
	  "\"services\":[\"a.eu\"]}]}",
	  "[{\"name\":\"e\",\"live\":true,\"agents\":[]}]",
	  "a.eu no tunnel: its agent reaches no edge" },
	/* one that an edge has, whatever this hub has heard */
	{ "{\"hostnames\":[\"a.eu\",\"b.eu\"],\"agents\":[{\"agent_id\":\"1\",\"version\":\"1\","
	  "\"services\":[\"a.eu\"]}]}",
	  "[{\"name\":\"e\",\"live\":true,\"agents\":[\"1\"]}]",
	  "a.eu up: |b.eu no agent: no agent that is there serves it" },
	/* an edge that is gone has nobody */
	{ "{\"hostnames\":[\"a.eu\"],\"agents\":[{\"agent_id\":\"1\",\"version\":\"1\",\"heard_at_"
	  "ms\":1,"
	  "\"services\":[\"a.eu\"]}]}",
	  "[{\"name\":\"e\",\"live\":false,\"agents\":[\"1\"]}]",
	  "a.eu no agent: its agent has not been heard of lately" },
	/* no edge tells: the agent's own word is taken */
	{ "{\"hostnames\":[\"a.eu\"],\"agents\":[{\"agent_id\":\"1\",\"version\":\"1\",\"heard_at_"
	  "ms\":999999,"
	  "\"tunnels\":[{\"quiet_ms\":5,\"rtt_us\":9}],\"services\":[\"a.eu\"]}]}",
	  "[{\"name\":\"e\",\"live\":true}]", "a.eu up: " },
	/* a range of ports is one service, and each port of it that failed is told */
	{ "{\"hostnames\":[],\"ports\":[{\"protocol\":\"tcp\",\"port\":1,\"service\":\"s\"},"
	  "{\"protocol\":\"tcp\",\"port\":2,\"service\":\"s\"},{\"protocol\":\"udp\",\"port\":2,"
	  "\"service\":\"s\"},"
	  "{\"protocol\":\"tcp\",\"port\":9,\"service\":null}],"
	  "\"agents\":[{\"agent_id\":\"1\",\"version\":\"1\",\"services\":[\"tcp:s\",\"udp:s\"]}]}",
	  "[{\"name\":\"e\",\"live\":true,\"agents\":[\"1\"],\"failed_ports\":[{\"protocol\":"
	  "\"tcp\",\"port\":1},"
	  "{\"protocol\":\"tcp\",\"port\":2,\"reason\":\"address in use\"}]}]",
	  "tcp:s port failed: port 1/tcp cannot be bound on edge e; port 2/tcp cannot be bound on "
	  "edge e: address in use|"
	  "udp:s up: " },
	/* refused, and told once; an agent that is gone has no wishes */
	{ "{\"hostnames\":[],\"agents\":[{\"agent_id\":\"1\",\"version\":\"1\",\"heard_at_ms\":"
	  "999999,"
	  "\"refused\":[{\"service\":\"x.eu\",\"reason\":\"not yours\"}]},"
	  "{\"agent_id\":\"2\",\"version\":\"1\",\"heard_at_ms\":999999,"
	  "\"refused\":[{\"service\":\"x.eu\",\"reason\":\"not yours\"}]},"
	  "{\"agent_id\":\"3\",\"version\":\"1\",\"heard_at_ms\":1,\"refused\":[{\"service\":\"y."
	  "eu\",\"reason\":\"no\"}]}]}",
	  "[]", "x.eu refused: not yours" },
};

static void services_stand_as_they_do(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
		json_t *tenant = parse(scenes[i].tenant), *edges = parse(scenes[i].edges),
		       *standing, *service;
		struct tow__edges_said said;
		char text[1024] = "";
		size_t index;

		json_object_set_new(tenant, "tenant_id", json_string("t"));
		json_object_set_new(tenant, "name", json_string("alice"));
		tow__edges_said_init(&said, edges);
		standing = tow__tenant_standing(tenant, &said, 1000000);
		assert_non_null(standing);
		json_array_foreach(json_object_get(standing, "services"), index, service)
		{
			const char *name, *is, *why;
			size_t len = strlen(text);
			assert_int_equal(json_unpack(service, "{s:s, s:s, s:s}", "service", &name,
			                             "state", &is, "why", &why),
			                 0);
			snprintf(text + len, sizeof text - len, "%s%s %s: %s", len ? "|" : "", name,
			         is, why);
		}
		assert_string_equal(text, scenes[i].services);
		tow__edges_said_deinit(&said);
		json_decref(standing);
		json_decref(tenant);
		json_decref(edges);
	}
}

/* Wherever it falls, within a character too. */
static void a_reason_that_is_cut_costs_no_service(void **state)
{
	json_t *tenant = parse("{\"tenant_id\":\"t\",\"name\":\"alice\",\"agents\":[{\"agent_id\":\"1\","
	                       "\"version\":\"1\",\"services\":[\"tcp:s\"]}],"
	                       "\"ports\":[{\"protocol\":\"tcp\",\"port\":1,\"service\":\"s\"}]}");

	(void)state;
	for (int i = 0; i < 2; i++) {
		json_t *edges = json_array(), *standing, *service;
		struct tow__edges_said said;
		char reason[129] = "";

		for (int at = 0; at < 128; at += 2)
			memcpy(reason + at, "\xc3\xa9", 2);
		for (int edge = 0; edge < 2; edge++)
			json_array_append_new(
				edges, json_pack("{s:s, s:b, s:[s], s:[{s:s, s:i, s:s}]}", "name",
			                         edge && i ? "ra" : "fra", "live", 1, "agents", "1",
			                         "failed_ports", "protocol", "tcp", "port", 1, "reason",
			                         reason));
		tow__edges_said_init(&said, edges);
		standing = tow__tenant_standing(tenant, &said, 1000000);
		service = json_array_get(json_object_get(standing, "services"), 0);
		assert_non_null(service);
		assert_string_equal(json_string_value(json_object_get(service, "state")), "port failed");
		assert_non_null(strstr(json_string_value(json_object_get(service, "why")), "on edge "));
		tow__edges_said_deinit(&said);
		json_decref(standing);
		json_decref(edges);
	}
	json_decref(tenant);
}

static void a_summary_counts_and_names_nobody(void **state)
{
	json_t *document = parse(
		"{\"hub\":{\"status\":\"ok\",\"store\":\"ok\",\"url\":\"https://"
	        "secret\",\"time_ms\":1},"
		"\"edges\":[{\"name\":\"e\",\"live\":true,\"agents\":[\"1\",\"2\"],"
		"\"failed_ports\":[{\"port\":1}],\"certificates\":[{\"name\":\"secret\",\"state\":"
		"\"served\"},{\"name\":\"secret\",\"state\":\"served\"}],\"secret\":1}],"
		"\"tenants\":[{\"name\":\"secret\",\"agents\":[{\"live\":true},{\"live\":false}],"
		"\"services\":[{\"service\":\"secret\",\"state\":\"up\"},"
		"{\"service\":\"secret\",\"state\":\"no agent\"}]}],\"secret\":1}");
	json_t *wanted = parse("{\"hub\":{\"status\":\"ok\",\"store\":\"ok\",\"time_ms\":1},"
	                       "\"edges\":[{\"name\":\"e\","
	                       "\"live\":true,\"agents\":2,\"failed_ports\":1,\"certificates\":{"
	                       "\"served\":2}}],\"summary\":"
	                       "{\"tenants\":1,\"agents\":{\"live\":1,\"gone\":1},\"services\":{"
	                       "\"up\":1,\"no agent\":1}}}");
	json_t *summary = tow__status_summary(document);

	(void)state;
	assert_true(json_equal(summary, wanted));
	json_decref(summary);
	json_decref(wanted);
	json_decref(document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(services_stand_as_they_do),
		cmocka_unit_test(a_reason_that_is_cut_costs_no_service),
		cmocka_unit_test(a_summary_counts_and_names_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
