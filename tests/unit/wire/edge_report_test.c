/* SPDX-License-Identifier: MIT */
#include <towonel/wire/route_feed.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

static json_t *write(const struct tow_edge_report *report)
{
	struct tow_buf out = { 0 };
	json_t *json;

	assert_int_equal(tow_edge_report_write(report, &out), 0);
	assert_true(tow_buf_len(&out) <= TOW_HTTP_HEARTBEAT_BODY_MAX);
	json = json_loadb((const char *)out.base, tow_buf_len(&out), 0, NULL);
	assert_non_null(json);
	tow_buf_deinit(&out);
	return json;
}

static void an_empty_report_has_empty_lists(void **state)
{
	const struct tow_edge_report report = { .version = NULL };
	json_t *json = write(&report);

	(void)state;
	assert_int_equal(json_object_size(json), 5);
	assert_int_equal(json_array_size(json_object_get(json, "addresses")), 0);
	assert_string_equal(json_string_value(json_object_get(json, "version")), "");
	json_decref(json);
}

/* The hub takes no more: the first ones are told, and the whole stays below its bound on bodies. */
static void what_is_too_much_is_cut(void **state)
{
	static const char *addresses[TOW_EDGE_ADDRESSES_MAX + 1];
	struct tow_id *agents = calloc(TOW_EDGE_AGENTS_TOLD_MAX + 1, sizeof *agents);
	struct tow_failed_port *ports = calloc(TOW_EDGE_PORTS_TOLD_MAX + 1, sizeof *ports);
	struct tow_edge_report report = {
		.addresses = addresses,
		.address_count = TOW_EDGE_ADDRESSES_MAX + 1,
		.tcp_port = 8443,
		.version = "1.2.3",
		.agents = agents,
		.agent_count = TOW_EDGE_AGENTS_TOLD_MAX + 1,
		.failed_ports = ports,
		.failed_port_count = TOW_EDGE_PORTS_TOLD_MAX + 1,
	};
	json_t *json;

	(void)state;
	for (size_t i = 0; i <= TOW_EDGE_ADDRESSES_MAX; i++)
		addresses[i] = "edge.example.eu:443";
	for (size_t i = 0; i <= TOW_EDGE_PORTS_TOLD_MAX; i++)
		ports[i] = (struct tow_failed_port){ .protocol = TOW_PROTOCOL_UDP,
			                             .port = (uint16_t)(60000 + i % 5000),
			                             .why = TOW_EADDRINUSE };
	json = write(&report);
	assert_int_equal(json_array_size(json_object_get(json, "addresses")),
	                 TOW_EDGE_ADDRESSES_MAX);
	assert_int_equal(json_integer_value(json_object_get(json, "tcp_port")), 8443);
	assert_int_equal(json_array_size(json_object_get(json, "agents")),
	                 TOW_EDGE_AGENTS_TOLD_MAX);
	assert_int_equal(json_array_size(json_object_get(json, "failed_ports")),
	                 TOW_EDGE_PORTS_TOLD_MAX);
	json_decref(json);
	free(agents);
	free(ports);
}

static void traffic_and_certificates_are_told(void **state)
{
	static char error[2 * TOW_EDGE_CERT_ERROR_MAX];
	static struct tow_edge_certificate certificates[TOW_EDGE_CERTS_TOLD_MAX + 1];
	const struct tow_edge_traffic traffic = { 1700000000000, 2, 30, 400, 5000 };
	const struct tow_edge_report report = { .traffic = &traffic,
		                                .certificates = certificates,
		                                .certificate_count = TOW_EDGE_CERTS_TOLD_MAX + 1 };
	json_t *json, *list, *told;

	(void)state;
	error[0] = 'x';
	for (size_t i = 1; i + 2 < sizeof error; i += 2)
		memcpy(error + i, "\xc3\xa4", 2);
	for (size_t i = 0; i <= TOW_EDGE_CERTS_TOLD_MAX; i++)
		certificates[i] = (struct tow_edge_certificate){ "a.eu", "failed", 0, error + i % 2 * 2 };
	certificates[2].last_error = "none";
	json = write(&report);
	list = json_object_get(json, "certificates");
	assert_int_equal(json_array_size(list), TOW_EDGE_CERTS_TOLD_MAX);
	told = json_object_get(json_array_get(list, 0), "last_error");
	assert_int_equal(json_string_length(told), TOW_EDGE_CERT_ERROR_MAX - 1); /* no half character */
	told = json_object_get(json_array_get(list, 1), "last_error");
	assert_string_equal(json_string_value(told), ""); /* no text at all */
	told = json_object_get(json_array_get(list, 2), "last_error");
	assert_string_equal(json_string_value(told), "none");
	told = json_object_get(json, "traffic");
	assert_int_equal(json_integer_value(json_object_get(told, "at_ms")), 1700000000000);
	assert_int_equal(json_integer_value(json_object_get(told, "bytes_out")), 5000);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_report_has_empty_lists),
		cmocka_unit_test(what_is_too_much_is_cut),
		cmocka_unit_test(traffic_and_certificates_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
