/* SPDX-License-Identifier: MIT */
#include <towonel/wire/control_message.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <towonel/wire/cursor.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int read_json(const char *json, struct tow_control_message *out)
{
	struct tow_buf buf = { .base = NULL };
	uint8_t prefix[4];
	struct tow_writer w = tow_writer_of(prefix, sizeof(prefix));
	size_t len = 0;
	int rc;

	tow_write_u32(&w, (uint32_t)strlen(json));
	assert_int_equal(tow_buf_append(&buf, prefix, sizeof(prefix)), 0);
	assert_int_equal(tow_buf_append_text(&buf, json), 0);
	rc = tow_control_read(tow_buf_peek(&buf), out, &len);
	if (rc == 0)
		assert_int_equal(len, tow_buf_len(&buf));
	tow_buf_deinit(&buf);
	return rc;
}

static char hostname[] = "app.example.eu", wildcard[] = "*.b.eu", tcp[] = "tcp:ssh";
static char *services[] = { hostname, wildcard, tcp };
static char entry[] = "{\"payload\":\"e30\"}", short_entry[] = "e", short_name[] = "a.b";

static void messages_come_back_as_they_went(void **state)
{
	const struct tow_control_message messages[] = {
		{ .type = TOW_CONTROL_HELLO,
		  .version = TOW_TUNNEL_VERSION,
		  .software = "0.1.0",
		  .entry = entry,
		  .services = services,
		  .service_count = 3 },
		{ .type = TOW_CONTROL_HELLO, .version = TOW_TUNNEL_VERSION, .entry = short_entry },
		{ .type = TOW_CONTROL_WELCOME,
		  .edge_id = { { 3 } },
		  .worker = 1,
		  .workers = 2,
		  .tunnels = 1 },
		{ .type = TOW_CONTROL_WELCOME, .edge_id = { { 1, 2, 0xff } }, .software = "0.1.0" },
		{ .type = TOW_CONTROL_REFUSED,
		  .code = TOW_TUNNEL_UNAUTHORIZED,
		  .text = "no such tenant" },
		{ .type = TOW_CONTROL_SUPERSEDED, .generation = INT64_MAX },
		{ .type = TOW_CONTROL_DRAIN },
		{ .type = TOW_CONTROL_DRAIN, .redial = 1 },
		{ .type = TOW_CONTROL_PING, .ping_id = 7, .sent_ms = 123456789 },
		{ .type = TOW_CONTROL_PONG, .ping_id = 0, .sent_ms = 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		const struct tow_control_message *m = &messages[i];
		struct tow_control_message got;
		struct tow_buf buf = { .base = NULL };
		size_t len;

		assert_int_equal(tow_control_write(m, &buf), 0);
		for (size_t n = 0; n < tow_buf_len(&buf); n++)
			assert_int_equal(tow_control_read(tow_slice_make(buf.base, n), &got, &len),
			                 TOW_MORE);
		assert_int_equal(tow_buf_append_text(&buf, "next"), 0);
		assert_int_equal(tow_control_read(tow_buf_peek(&buf), &got, &len), 0);
		assert_int_equal(len, tow_buf_len(&buf) - 4);
		assert_int_equal(got.type, m->type);
		assert_int_equal(got.version, m->version);
		assert_string_equal(got.software, m->software);
		assert_string_equal(got.text, m->text);
		assert_string_equal(got.entry ? got.entry : "", m->entry ? m->entry : "");
		assert_int_equal(got.service_count, m->service_count);
		for (size_t j = 0; j < m->service_count; j++)
			assert_string_equal(got.services[j], m->services[j]);
		assert_true(tow_id_equal(&got.edge_id, &m->edge_id));
		assert_true(got.code == m->code && got.generation == m->generation);
		assert_true(got.ping_id == m->ping_id && got.sent_ms == m->sent_ms);
		tow_control_message_deinit(&got);
		tow_buf_deinit(&buf);
	}
}

static void other_versions_and_types_are_let_through(void **state)
{
	static const struct {
		const char *json;
		enum tow_control_type type;
		uint32_t version;
	} cases[] = {
		{ "{\"type\":\"hello\",\"version\":2}", TOW_CONTROL_HELLO, 2 },
		{ "{\"type\":\"hello\",\"version\":4294967295,\"services\":7}", TOW_CONTROL_HELLO,
		  UINT32_MAX },
		{ "{\"type\":\"gossip\",\"code\":\"x\"}", TOW_CONTROL_UNKNOWN, 0 },
		{ "{\"type\":\"\"}", TOW_CONTROL_UNKNOWN, 0 },
		{ "{\"type\":\"drain\",\"until\":5}", TOW_CONTROL_DRAIN, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tow_control_message got;

		assert_int_equal(read_json(cases[i].json, &got), 0);
		assert_int_equal(got.type, cases[i].type);
		assert_int_equal(got.version, cases[i].version);
		tow_control_message_deinit(&got);
	}
}

static void bad_messages_are_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"null",
		"[]",
		"{}",
		"{\"type\":7}",
		"{\"type\":\"drain\"",
		"{\"type\":\"drain\"}}",
		"{\"type\":\"drain\",\"type\":\"ping\"}",
		"{\"type\":\"dr\xff\"}",
		"{\"type\":\"drain\\u0000\"}",
		"{\"type\":\"hello\"}",
		"{\"type\":\"hello\",\"version\":-1}",
		"{\"type\":\"hello\",\"version\":4294967296}",
		"{\"type\":\"hello\",\"version\":1.0}",
		"{\"type\":\"hello\",\"version\":1,\"services\":[]}",
		"{\"type\":\"hello\",\"version\":1,\"entry\":\"\",\"services\":[]}",
		"{\"type\":\"hello\",\"version\":1,\"entry\":\"e\"}",
		"{\"type\":\"hello\",\"version\":1,\"entry\":\"e\",\"services\":{}}",
		"{\"type\":\"hello\",\"version\":1,\"entry\":\"e\",\"services\":[\"a.b\",7]}",
		"{\"type\":\"hello\",\"version\":1,\"entry\":\"e\",\"services\":[\"\"]}",
		"{\"type\":\"hello\",\"version\":1,\"entry\":\"e\",\"services\":[],\"software\":1}",
		"{\"type\":\"welcome\"}",
		"{\"type\":\"welcome\",\"edge_id\":\"abc\"}",
		"{\"type\":\"refused\",\"message\":\"no code\"}",
		"{\"type\":\"refused\",\"code\":1,\"message\":[]}",
		"{\"type\":\"superseded\",\"generation\":\"1\"}",
		"{\"type\":\"superseded\",\"generation\":9223372036854775808}",
		"{\"type\":\"ping\",\"id\":1}",
		"{\"type\":\"pong\",\"sent_ms\":1}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tow_control_message got = { .type = TOW_CONTROL_PONG };

		if (read_json(cases[i], &got) != TOW_EPARSE)
			fail_msg("%s", cases[i]);
		assert_int_equal(got.type, TOW_CONTROL_PONG);
	}
}

static void lengths_are_bounded(void **state)
{
	static const uint8_t too_big[] = { 0x00, 0x10, 0x00, 0x01 },
			     biggest[] = { 0x00, 0x10, 0x00, 0x00 };
	struct tow_control_message got,
		big = { .type = TOW_CONTROL_HELLO, .version = TOW_TUNNEL_VERSION };
	struct tow_buf buf = { .base = NULL };
	char *many[TOW_SERVICES_MAX + 1];
	char long_name[TOW_AUTHORITY_SIZE + 1];
	size_t len;

	(void)state;
	assert_int_equal(tow_control_read(tow_slice_make(too_big, 4), &got, &len), TOW_ETOOBIG);
	assert_int_equal(tow_control_read(tow_slice_make(biggest, 4), &got, &len), TOW_MORE);

	for (size_t i = 0; i <= TOW_SERVICES_MAX; i++)
		many[i] = short_name;
	big.entry = short_entry;
	big.services = many;
	big.service_count = TOW_SERVICES_MAX;
	assert_int_equal(tow_control_write(&big, &buf), 0);
	assert_int_equal(tow_control_read(tow_buf_peek(&buf), &got, &len), 0);
	assert_int_equal(got.service_count, TOW_SERVICES_MAX);
	tow_control_message_deinit(&got);
	tow_buf_clear(&buf);
	big.service_count = TOW_SERVICES_MAX + 1;
	assert_int_equal(tow_control_write(&big, &buf), 0);
	assert_int_equal(tow_control_read(tow_buf_peek(&buf), &got, &len), TOW_EPARSE);
	tow_buf_clear(&buf);

	memset(long_name, 'a', sizeof(long_name));
	long_name[TOW_AUTHORITY_SIZE - 1] = '\0';
	many[0] = long_name;
	big.service_count = 1;
	assert_int_equal(tow_control_write(&big, &buf), 0);
	assert_int_equal(tow_control_read(tow_buf_peek(&buf), &got, &len), 0);
	tow_control_message_deinit(&got);
	tow_buf_clear(&buf);
	long_name[TOW_AUTHORITY_SIZE - 1] = 'a';
	long_name[TOW_AUTHORITY_SIZE] = '\0';
	assert_int_equal(tow_control_write(&big, &buf), 0);
	assert_int_equal(tow_control_read(tow_buf_peek(&buf), &got, &len), TOW_EPARSE);
	tow_buf_clear(&buf);

	big.entry = malloc(TOW_CONTROL_MESSAGE_MAX + 1);
	assert_non_null(big.entry);
	memset(big.entry, 'e', TOW_CONTROL_MESSAGE_MAX);
	big.entry[TOW_CONTROL_MESSAGE_MAX] = '\0';
	assert_int_equal(tow_control_write(&big, &buf), TOW_ETOOBIG);
	assert_int_equal(tow_buf_len(&buf), 0);
	free(big.entry);
	tow_buf_deinit(&buf);
}

static void what_cannot_be_said_is_refused(void **state)
{
	const struct tow_control_message unknown = { .type = TOW_CONTROL_UNKNOWN };
	const struct tow_control_message late = { .type = TOW_CONTROL_PING, .sent_ms = UINT64_MAX };
	struct tow_buf buf = { .base = NULL };

	(void)state;
	assert_int_equal(tow_control_write(&unknown, &buf), TOW_EINVAL);
	assert_int_equal(tow_control_write(&late, &buf), TOW_ETOOBIG);
	assert_int_equal(tow_buf_len(&buf), 0);
	tow_buf_deinit(&buf);
}

static void texts_for_people_are_printable_and_cut(void **state)
{
	struct tow_control_message got;
	struct tow_control_message m = { .type = TOW_CONTROL_REFUSED,
		                         .text = "a\x1b[31m\xc3\xbc\n" };
	struct tow_buf buf = { .base = NULL };
	size_t len;

	(void)state;
	assert_int_equal(tow_control_write(&m, &buf), 0);
	assert_int_equal(tow_control_read(tow_buf_peek(&buf), &got, &len), 0);
	assert_string_equal(got.text, "a?[31m???");
	tow_control_message_deinit(&got);
	tow_buf_deinit(&buf);

	assert_int_equal(read_json("{\"type\":\"welcome\",\"edge_id\":\"" ID "\",\"software\":"
	                           "\"1\\n\xc3\xbc"
	                           "4567890123456789012345678901234567890\"}",
	                           &got),
	                 0);
	assert_string_equal(got.software, "1???456789012345678901234567890");
	tow_control_message_deinit(&got);
}

static void workers_are_told_or_not(void **state)
{
	static const struct {
		const char *members;
		unsigned worker, workers, tunnels;
	} cases[] = {
		{ "", 0, 0, 0 },
		{ ",\"worker\":2,\"workers\":4", 2, 4, 0 },
		{ ",\"worker\":255,\"workers\":256", 255, 256, 0 },
		{ ",\"worker\":4,\"workers\":4", 0, 0, 0 },
		{ ",\"worker\":-1,\"workers\":4", 0, 0, 0 },
		{ ",\"worker\":1,\"workers\":257", 0, 0, 0 },
		{ ",\"worker\":\"1\",\"workers\":[]", 0, 0, 0 },
		{ ",\"worker\":0,\"workers\":4,\"tunnels\":1", 0, 4, 1 },
		{ ",\"worker\":0,\"workers\":4,\"tunnels\":4", 0, 4, 4 },
		{ ",\"worker\":0,\"workers\":4,\"tunnels\":5", 0, 4, 0 },
		{ ",\"worker\":0,\"workers\":4,\"tunnels\":-1", 0, 4, 0 },
		{ ",\"tunnels\":1", 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tow_control_message got;
		char json[256];

		snprintf(json, sizeof(json), "{\"type\":\"welcome\",\"edge_id\":\"" ID "\"%s}",
		         cases[i].members);
		assert_int_equal(read_json(json, &got), 0);
		assert_int_equal(got.worker, cases[i].worker);
		assert_int_equal(got.workers, cases[i].workers);
		assert_int_equal(got.tunnels, cases[i].tunnels);
		tow_control_message_deinit(&got);
	}
}

static void errors_have_names(void **state)
{
	(void)state;
	assert_string_equal(tow_tunnel_error_name(TOW_TUNNEL_OK), "ok");
	assert_string_equal(tow_tunnel_error_name(TOW_TUNNEL_ORIGIN_REFUSED), "origin_refused");
	assert_string_equal(tow_tunnel_error_name(TOW_TUNNEL_IDLE), "idle");
	assert_string_equal(tow_tunnel_error_name(TOW_TUNNEL_IDLE + 1), "unknown");
	assert_string_equal(tow_tunnel_error_name(UINT64_MAX), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_come_back_as_they_went),
		cmocka_unit_test(other_versions_and_types_are_let_through),
		cmocka_unit_test(bad_messages_are_refused),
		cmocka_unit_test(lengths_are_bounded),
		cmocka_unit_test(what_cannot_be_said_is_refused),
		cmocka_unit_test(texts_for_people_are_printable_and_cut),
		cmocka_unit_test(workers_are_told_or_not),
		cmocka_unit_test(errors_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
