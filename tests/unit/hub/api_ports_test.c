/* SPDX-License-Identifier: MIT */
#include "live_hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers.h"

static const struct tow_id edge_id = { .bytes = { 0xed } };

static void report_edge(struct live_hub *h)
{
	static const char *const addresses[] = { "edge.example.eu:443" };
	struct tow_edge_report report = {
		.node_id = edge_id, .addresses = addresses, .address_count = 1, .version = "1.2.3"
	};

	tow_hub_edge_report(h->hub, &report);
}

static void invite(struct live_hub *h, const char *name, char tenant[TOW_ID_TEXT_SIZE])
{
	char body[128];
	struct reply r;

	snprintf(body, sizeof body, "{\"hostnames\":[\"%s.eu\"],\"name\":\"%s\"}", name, name);
	r = ask_as_operator(h, "POST", "/v1/invites", body);
	assert_int_equal(r.status, 200);
	snprintf(tenant, TOW_ID_TEXT_SIZE, "%s", text_of(&r, "tenant_id"));
	reply_deinit(&r);
}

static struct reply reserve(struct live_hub *h, const char *tenant, const char *body)
{
	char path[128];

	snprintf(path, sizeof path, "/v1/tenants/%s/ports", tenant);
	return ask_as_operator(h, "POST", path, body);
}

static struct reply release(struct live_hub *h, const char *tenant, const char *port)
{
	char path[128];

	snprintf(path, sizeof path, "/v1/tenants/%s/ports/%s", tenant, port);
	return ask_as_operator(h, "DELETE", path, NULL);
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void ports_are_reserved_listed_and_released(void **state)
{
	struct live_hub *h = *state;
	char alice[TOW_ID_TEXT_SIZE], bob[TOW_ID_TEXT_SIZE], id[TOW_ID_TEXT_SIZE], path[128];
	struct reply r;
	json_t *edge, *port;

	invite(h, "alice", alice);
	invite(h, "bob", bob);
	/* no edge to tell yet */
	r = reserve(h, bob, "{\"protocol\":\"udp\",\"preferred\":20000}");
	assert_int_equal(r.status, 201);
	assert_true(json_is_null(json_object_get(r.body, "edge")));
	assert_true(json_is_null(json_object_get(r.body, "label")));
	reply_deinit(&r);
	live_hub_do(h, report_edge);
	r = reserve(h, alice,
	            "{\"protocol\":\"tcp\",\"preferred\":5000,\"label\":\"the g\u00e4me\"}");
	assert_int_equal(r.status, 201);
	assert_string_equal(text_of(&r, "status"), "ok");
	assert_string_equal(text_of(&r, "protocol"), "tcp");
	assert_string_equal(text_of(&r, "label"), "the g\xc3\xa4me");
	assert_int_equal(number_of(r.body, "port"), 5000);
	assert_true(number_of(r.body, "claimed_at_ms") > 1700000000000);
	edge = json_object_get(r.body, "edge");
	assert_string_equal(json_string_value(json_object_get(edge, "node_id")),
	                    tow_id_format(&edge_id, id));
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(edge, "addresses"), 0)),
		"edge.example.eu:443");
	reply_deinit(&r);
	/* any will do */
	r = reserve(h, alice, "{\"protocol\":\"udp\",\"preferred\":null}");
	assert_int_equal(r.status, 201);
	assert_int_equal(number_of(r.body, "port"), 20001);
	reply_deinit(&r);

	r = ask_as_operator(h, "GET", "/v1/ports", NULL);
	assert_string_equal(r.total_count, "3");
	assert_int_equal(json_array_size(json_object_get(r.body, "ports")), 3);
	port = json_array_get(json_object_get(r.body, "ports"), 0);
	assert_int_equal(number_of(port, "port"), 5000);
	assert_string_equal(json_string_value(json_object_get(port, "protocol")), "tcp");
	assert_string_equal(json_string_value(json_object_get(port, "tenant_id")), alice);
	assert_string_equal(json_string_value(json_object_get(port, "label")), "the g\xc3\xa4me");
	assert_true(json_is_true(json_object_get(port, "reserved")));
	assert_true(json_is_null(json_object_get(port, "service")));
	assert_true(number_of(port, "claimed_at_ms") > 1700000000000);
	reply_deinit(&r);
	r = ask_as_operator(h, "GET", "/v1/ports?limit=1&offset=2", NULL);
	assert_string_equal(r.total_count, "3");
	assert_int_equal(json_array_size(json_object_get(r.body, "ports")), 1);
	assert_int_equal(number_of(json_array_get(json_object_get(r.body, "ports"), 0), "port"),
	                 20001);
	reply_deinit(&r);
	snprintf(path, sizeof path, "/v1/tenants/%s/ports", bob);
	r = ask_as_operator(h, "GET", path, NULL);
	assert_string_equal(r.total_count, "1");
	assert_int_equal(number_of(json_array_get(json_object_get(r.body, "ports"), 0), "port"),
	                 20000);
	reply_deinit(&r);

	r = release(h, alice, "tcp/5000");
	assert_int_equal(r.status, 200);
	assert_string_equal(text_of(&r, "status"), "released");
	assert_int_equal(number_of(r.body, "port"), 5000);
	reply_deinit(&r);
	expect(release(h, alice, "tcp/5000"), 404, "not_found");
	r = reserve(h, bob, "{\"protocol\":\"tcp\",\"preferred\":5000}");
	assert_int_equal(r.status, 201);
	reply_deinit(&r);
	/* both acts are on record */
	r = ask_as_operator(h, "GET", "/v1/audit?limit=2", NULL);
	port = json_array_get(json_object_get(r.body, "events"), 0);
	assert_string_equal(json_string_value(json_object_get(port, "action")), "port.reserve");
	assert_string_equal(json_string_value(json_object_get(port, "subject")), "5000/tcp");
	port = json_array_get(json_object_get(r.body, "events"), 1);
	assert_string_equal(json_string_value(json_object_get(port, "action")), "port.release");
	assert_string_equal(json_string_value(json_object_get(port, "tenant_id")), alice);
	reply_deinit(&r);
}

static void what_cannot_be_reserved_is_refused(void **state)
{
	static const struct {
		const char *body;
		int status;
		const char *code;
	} cases[] = {
		{ "{}", 400, "invalid_request" },
		{ "{\"protocol\":\"sctp\"}", 400, "invalid_request" },
		{ "{\"protocol\":7}", 400, "invalid_request" },
		{ "{\"protocol\":\"tcp\",\"preferred\":65536}", 400, "invalid_request" },
		{ "{\"protocol\":\"tcp\",\"preferred\":\"80\"}", 400, "invalid_request" },
		{ "{\"protocol\":\"tcp\",\"port\":5000}", 400, "invalid_request" },
		{ "{\"protocol\":\"tcp\",\"label\":7}", 400, "invalid_request" },
		{ "{\"protocol\":\"tcp\",\"label\":\"a\\nb\"}", 400, "invalid_request" },
		{ "{\"protocol\":\"tcp\",\"label\":\""
		  "0123456789012345678901234567890123456789012345678901234567890123x\"}",
		  400, "invalid_request" },
		{ "{\"protocol\":\"tcp\",\"preferred\":80}", 403, "tenant_not_allowed" },
		{ "{\"protocol\":\"tcp\",\"preferred\":8443}", 409, "port_in_use" },
		{ "{\"protocol\":\"tcp\",\"preferred\":5000}", 409, "port_in_use" },
	};
	static const char *const ports[] = { "tcp/0",   "tcp/65536", "tcp/x",    "tcp/-1",
		                             "sctp/80", "tcp/5001",  "udp/5000", "TCP/5000" };
	struct live_hub *h = *state;
	char alice[TOW_ID_TEXT_SIZE], bob[TOW_ID_TEXT_SIZE], none[TOW_ID_TEXT_SIZE], path[128];
	struct reply r;

	invite(h, "alice", alice);
	invite(h, "bob", bob);
	r = reserve(h, bob, "{\"protocol\":\"tcp\",\"preferred\":5000}");
	assert_int_equal(r.status, 201);
	reply_deinit(&r);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect(reserve(h, alice, cases[i].body), cases[i].status, cases[i].code);
	for (size_t i = 0; i < sizeof ports / sizeof *ports; i++)
		expect(release(h, bob, ports[i]), 404, "not_found");
	expect(release(h, alice, "tcp/5000"), 404, "not_found");
	/* no such tenant, or no tenant at all */
	tow_id_format(&edge_id, none);
	expect(reserve(h, none, "{\"protocol\":\"tcp\"}"), 404, "not_found");
	expect(reserve(h, "x", "{\"protocol\":\"tcp\"}"), 404, "not_found");
	expect(release(h, none, "tcp/5000"), 404, "not_found");
	snprintf(path, sizeof path, "/v1/tenants/%s/ports", none);
	expect(ask_as_operator(h, "GET", path, NULL), 404, "not_found");
	/* the operator's alone */
	snprintf(path, sizeof path, "/v1/tenants/%s/ports", alice);
	expect(ask(h, "POST", path, NULL, "{\"protocol\":\"tcp\"}"), 401, "unauthorized");
	expect(ask(h, "GET", path, NULL, NULL), 401, "unauthorized");
	snprintf(path, sizeof path, "/v1/tenants/%s/ports/tcp/5000", bob);
	expect(ask(h, "DELETE", path, NULL, NULL), 401, "unauthorized");
	r = ask_as_operator(h, "GET", "/v1/ports", NULL);
	assert_string_equal(r.total_count, "1");
	reply_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, live_hub_setup, live_hub_teardown)
		T(ports_are_reserved_listed_and_released),
		T(what_cannot_be_reserved_is_refused),
	};
	return run_on_drivers(tests, sizeof tests / sizeof *tests, NULL, 0);
}
