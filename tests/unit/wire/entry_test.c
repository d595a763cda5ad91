/* SPDX-License-Identifier: MIT */
#include <towonel/wire/entry.h>
#include <towonel/wire/limits.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct tow_tenant_key *key, *other_key;

static struct tow_tenant_key *key_of(uint8_t fill)
{
	uint8_t seed[TOW_SEED_SIZE];
	struct tow_tenant_key *out;

	memset(seed, fill, sizeof seed);
	return tow_tenant_key_new(seed, &out) ? NULL : out;
}

static int start(void **state)
{
	(void)state;
	key = key_of(1);
	other_key = key_of(2);
	return key && other_key ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	tow_tenant_key_free(key);
	tow_tenant_key_free(other_key);
	return 0;
}

static struct tow_entry example(enum tow_entry_op op)
{
	struct tow_entry e;
	int is_hostname = op == TOW_ENTRY_UPSERT_HOSTNAME || op == TOW_ENTRY_DELETE_HOSTNAME ||
	                  op == TOW_ENTRY_SET_HOSTNAME_TLS;
	int is_port = op == TOW_ENTRY_UPSERT_TCP_SERVICE || op == TOW_ENTRY_UPSERT_UDP_SERVICE;
	int is_service =
		is_port || op == TOW_ENTRY_DELETE_TCP_SERVICE || op == TOW_ENTRY_DELETE_UDP_SERVICE;

	memset(&e, 0, sizeof e);
	e.version = TOW_ENTRY_VERSION;
	e.tenant_id = *tow_tenant_key_id(key);
	e.sequence = 7;
	e.timestamp_ms = 1700000000000;
	e.op = op;
	if (is_hostname)
		snprintf(e.name, sizeof e.name, "*.app.example.eu");
	if (op == TOW_ENTRY_UPSERT_HOSTNAME || op == TOW_ENTRY_SET_HOSTNAME_TLS)
		e.tls_mode = TOW_TLS_TERMINATE;
	if (op == TOW_ENTRY_SET_HOSTNAME_TLS)
		e.http_mode = TOW_HTTP_H2C;
	if (is_service)
		snprintf(e.name, sizeof e.name, "a \"quoted\" \\ n\xc3\xa4me");
	if (is_port) {
		e.listen_port = 2222;
		e.port_count = 512;
	}
	if (op == TOW_ENTRY_UPSERT_UDP_SERVICE)
		e.idle_timeout_secs = 3600;
	if (is_port || op == TOW_ENTRY_UPSERT_HOSTNAME) {
		tow_access_parse(&e.access, TOW_ACCESS_ALLOW, tow_slice_of("2001:db8::/32,192.0.2.0/24"), NULL);
		tow_access_parse(&e.access, TOW_ACCESS_DENY, tow_slice_of("192.0.2.7"), NULL);
	}
	if (op == TOW_ENTRY_UPSERT_AGENT || op == TOW_ENTRY_REVOKE_AGENT)
		memset(&e.agent_id, 0xa1, sizeof e.agent_id);
	if (op == TOW_ENTRY_UPSERT_AGENT) {
		e.generation = TOW_JSON_INTEGER_MAX;
		memset(e.services_hash, 0x5b, sizeof e.services_hash);
		e.expires_at_ms = 1800000000000;
	}
	return e;
}

static struct tow_buf sign(const struct tow_entry *entry)
{
	struct tow_buf out = { 0 };
	struct tow_error err;

	if (tow_entry_sign(entry, key, &out, &err))
		fail_msg("%s", err.text);
	return out;
}

static void every_op_survives_the_round_trip(void **state)
{
	(void)state;
	for (int op = TOW_ENTRY_UPSERT_HOSTNAME; op <= TOW_ENTRY_LEAVE; op++) {
		struct tow_entry entry = example((enum tow_entry_op)op), peeked, verified;
		struct tow_buf jws = sign(&entry);
		struct tow_error err;
		struct tow_id tenant;
		enum tow_entry_op parsed;

		if (tow_entry_peek(tow_buf_peek(&jws), &peeked, &err))
			fail_msg("%s", err.text);
		if (tow_entry_verify(tow_buf_peek(&jws), tow_tenant_key_public(key), &verified,
		                     &err))
			fail_msg("%s", err.text);
		assert_memory_equal(&peeked, &entry, sizeof entry);
		assert_int_equal(tow_entry_tenant(tow_buf_peek(&jws), &tenant, &err), 0);
		assert_true(tow_id_equal(&tenant, &entry.tenant_id));
		assert_memory_equal(&verified, &entry, sizeof entry);
		assert_true(tow_buf_len(&jws) < TOW_ENTRY_MAX);
		verified.sequence = 0;
		assert_int_equal(tow_entry_verify(tow_buf_peek(&jws),
		                                  tow_tenant_key_public(other_key), &verified,
		                                  &err),
		                 TOW_ESIGNATURE);
		assert_int_equal(verified.sequence, 0);
		tow_buf_deinit(&jws);
		assert_int_equal(
			tow_entry_op_parse(tow_entry_op_name((enum tow_entry_op)op), &parsed), 0);
		assert_int_equal(parsed, op);
	}
	assert_int_equal(tow_entry_op_parse("upsert", &(enum tow_entry_op){ 0 }), TOW_EINVAL);
	assert_int_equal(tow_entry_op_parse("", &(enum tow_entry_op){ 0 }), TOW_EINVAL);
}

/* Nought says nothing, and is then read as what it stands for. */
static void what_is_as_usual_is_left_out(void **state)
{
	(void)state;
	for (int usual = 0; usual < 2; usual++) {
		struct tow_entry entry = example(TOW_ENTRY_UPSERT_UDP_SERVICE), peeked;
		struct tow_buf jws = { 0 };
		struct tow_buf payload = { 0 };
		char *start;

		entry.port_count = usual ? 1 : 0;
		entry.idle_timeout_secs = usual ? TOW_IDLE_TIMEOUT_S : 0;
		memset(&entry.access, 0, sizeof entry.access);
		jws = sign(&entry);
		start = strstr((const char *)tow_buf_peek(&jws).base, "\"payload\":\"") + 11;
		assert_non_null(tow_buf_reserve(&payload, 4096));
		tow_buf_commit(&payload, (size_t)tow_base64url_decode(
						 tow_slice_make(start, strcspn(start, "\"")),
						 payload.base, 4096));
		assert_int_equal(tow_buf_append(&payload, "", 1), 0);
		assert_non_null(strstr((const char *)payload.base, "\"listen_port\":2222"));
		assert_null(strstr((const char *)payload.base, "\"ports\""));
		assert_null(strstr((const char *)payload.base, "\"idle_timeout_secs\""));
		assert_null(strstr((const char *)payload.base, "_from"));
		assert_int_equal(tow_entry_peek(tow_buf_peek(&jws), &peeked, NULL), 0);
		assert_int_equal(peeked.port_count, 1);
		assert_int_equal(peeked.idle_timeout_secs, TOW_IDLE_TIMEOUT_S);
		tow_buf_deinit(&payload);
		tow_buf_deinit(&jws);
	}
}

static void what_a_hub_would_refuse_is_not_signed(void **state)
{
	(void)state;
	for (int fault = 0; fault < 13; fault++) {
		struct tow_entry e = example(fault < 3    ? TOW_ENTRY_UPSERT_TCP_SERVICE
		                             : fault < 10 ? TOW_ENTRY_UPSERT_HOSTNAME
		                                          : TOW_ENTRY_UPSERT_UDP_SERVICE);
		struct tow_error err = { 0 };
		struct tow_buf out = { 0 };

		switch (fault) {
		case 0: e.name[0] = '\0'; break;
		case 1: e.name[0] = (char)0xff; break;
		case 2: e.listen_port = 0; break;
		case 3: e.name[0] = '-'; break;
		case 4: e.sequence = 0; break;
		case 5: e.sequence = TOW_JSON_INTEGER_MAX + UINT64_C(1); break;
		case 6: e.timestamp_ms = UINT64_MAX; break;
		case 7: e.version = 2; break;
		case 8: e.tenant_id = *tow_tenant_key_id(other_key); break;
		case 9: e.op = (enum tow_entry_op)(TOW_ENTRY_LEAVE + 1); break;
		case 10: e.port_count = TOW_PORT_RANGE_MAX + 1; break;
		case 11: e.listen_port = UINT16_MAX - 510; break;
		case 12: e.idle_timeout_secs = TOW_IDLE_TIMEOUT_MAX_S + 1; break;
		}
		assert_int_equal(tow_entry_sign(&e, key, &out, &err), TOW_EINVAL);
		assert_int_equal(err.code, TOW_EINVAL);
		assert_true(err.text[0]);
		assert_int_equal(tow_buf_len(&out), 0);
		tow_buf_deinit(&out);
	}
}

/* A JWS of any header and payload, signed right: only its content can be at fault. */
static struct tow_buf forge(const char *header, const char *payload)
{
	struct tow_buf input = { 0 }, out = { 0 };
	uint8_t signature[TOW_MLDSA_SIGNATURE_SIZE];
	static char h[2048], p[4096], s[TOW_BASE64URL_SIZE(TOW_MLDSA_SIGNATURE_SIZE)];

	assert_true(TOW_BASE64URL_SIZE(strlen(header)) <= sizeof h);
	assert_true(TOW_BASE64URL_SIZE(strlen(payload)) <= sizeof p);
	tow_base64url_encode(header, strlen(header), h);
	tow_base64url_encode(payload, strlen(payload), p);
	assert_int_equal(tow_buf_printf(&input, "%s.%s", h, p), 0);
	assert_int_equal(tow_tenant_key_sign(key, tow_buf_peek(&input), signature), 0);
	tow_base64url_encode(signature, sizeof signature, s);
	assert_int_equal(
		tow_buf_printf(
			&out, " {\"signature\":\"%s\",\n\"protected\":\"%s\", \"payload\":\"%s\"} ",
			s, h, p),
		0);
	tow_buf_deinit(&input);
	return out;
}

#define HEADER "{\"alg\":\"ML-DSA-65\"}"

static int check(const char *header, const char *payload, struct tow_error *err)
{
	struct tow_buf jws = forge(header, payload);
	struct tow_entry entry;
	int r = tow_entry_verify(tow_buf_peek(&jws), tow_tenant_key_public(key), &entry, err);
	int peeked = tow_entry_peek(tow_buf_peek(&jws), &entry, NULL);

	if (r != TOW_ESIGNATURE)
		assert_int_equal(peeked, r);
	tow_buf_deinit(&jws);
	return r;
}

static void only_the_plain_header_is_taken(void **state)
{
	static const struct {
		const char *header, *why;
	} cases[] = {
		{ "{}", "\"alg\" is missing" },
		{ "{\"alg\":\"none\"}", "\"alg\" must be \"ML-DSA-65\"" },
		{ "{\"alg\":\"ml-dsa-65\"}", "\"alg\" must be" },
		{ "{\"alg\":\"ML-DSA-44\"}", "\"alg\" must be" },
		{ "{\"alg\":65}", "\"alg\" must be" },
		{ "{\"alg\":\"ML-DSA-65\",\"alg\":\"ML-DSA-65\"}", "duplicate" },
		{ "{\"alg\":\"ML-DSA-65\",\"crit\":[\"b64\"],\"b64\":false}", "unknown key" },
		{ "{\"alg\":\"ML-DSA-65\",\"kid\":\"x\"}", "unknown key \"kid\"" },
		{ "[\"alg\"]", "must be a JSON object" },
		{ "", "empty" },
		{ "{\"alg\":\"ML-DSA-65\"", "not JSON" },
	};
	struct tow_entry entry = example(TOW_ENTRY_LEAVE);
	char payload[512], id[TOW_ID_TEXT_SIZE];
	struct tow_error err;

	(void)state;
	snprintf(payload, sizeof payload,
	         "{\"version\":1,\"tenant_id\":\"%s\",\"sequence\":1,\"timestamp_ms\":0,\"op\":"
	         "\"leave\"}",
	         tow_id_format(&entry.tenant_id, id));
	assert_int_equal(check(HEADER, payload, &err), 0);
	assert_int_equal(check(" { \"alg\" : \"ML-DSA-65\" } ", payload, &err), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(check(cases[i].header, payload, &err), TOW_EPARSE);
		if (!strstr(err.text, cases[i].why) || !strstr(err.text, "protected header"))
			fail_msg("%s: %s", cases[i].header, err.text);
	}
}

static void payloads_are_read_strictly(void **state)
{
#define HEAD "{\"version\":1,\"tenant_id\":\"@\",\"sequence\":1,\"timestamp_ms\":0,"
#define HASH "\"5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b\""
	static const struct {
		const char *payload; /* '@' is the tenant's id */
		int code;
		const char *why;
	} cases[] = {
		{ HEAD "\"op\":\"leave\"}", 0, NULL },
		{ HEAD
		  "\"op\":\"upsert_hostname\",\"hostname\":\"A.b.\",\"tls_mode\":\"terminate\"}",
		  0, NULL },
		{ HEAD "\"op\":\"upsert_agent\",\"agent_id\":" HASH
		       ",\"generation\":0,\"services_hash\":" HASH
		       ",\"expires_at_ms\":9007199254740991}",
		  0, NULL },
		{ "", TOW_EPARSE, "empty" },
		{ "[]", TOW_EPARSE, "\"version\" is missing" },
		{ "{}", TOW_EPARSE, "\"version\" is missing" },
		{ "{\"version\":2,\"op\":\"new\",\"x\":1}", TOW_EVERSION, "version 2" },
		{ "{\"version\":0}", TOW_EVERSION, "version 0" },
		{ "{\"version\":\"1\"}", TOW_EPARSE, "\"version\" must be" },
		{ "{\"version\":1.0}", TOW_EPARSE, "\"version\" must be" },
		{ "{\"version\":1}", TOW_EPARSE, "\"op\" is missing" },
		{ HEAD "\"op\":\"explode\"}", TOW_EINVAL, "unknown op \"explode\"" },
		{ HEAD "\"op\":7}", TOW_EPARSE, "\"op\" must be a string" },
		{ HEAD "\"op\":\"leave\",\"hostname\":\"a.b\"}", TOW_EPARSE,
		  "unknown key \"hostname\"" },
		{ HEAD "\"op\":\"leave\",\"op\":\"leave\"}", TOW_EPARSE, "duplicate" },
		{ HEAD "\"op\":\"leave\"} x", TOW_EPARSE, "not JSON" },
		{ "{\"version\":1,\"sequence\":1,\"timestamp_ms\":0,\"op\":\"leave\"}", TOW_EPARSE,
		  "\"tenant_id\" is missing" },
		{ "{\"version\":1,\"tenant_id\":" HASH
		  ",\"sequence\":1,\"timestamp_ms\":0,\"op\":\"leave\"}",
		  TOW_ESIGNATURE, "another tenant" },
		{ "{\"version\":1,\"tenant_id\":\"@\",\"sequence\":0,\"timestamp_ms\":0,\"op\":"
		  "\"leave\"}",
		  TOW_EPARSE, "\"sequence\" must be a whole number from 1 to 9007199254740991" },
		{ "{\"version\":1,\"tenant_id\":\"@\",\"sequence\":9007199254740992,\"timestamp_"
		  "ms\":0,"
		  "\"op\":\"leave\"}",
		  TOW_EPARSE, "\"sequence\"" },
		{ "{\"version\":1,\"tenant_id\":\"@\",\"sequence\":1e3,\"timestamp_ms\":0,\"op\":"
		  "\"leave\"}",
		  TOW_EPARSE, "\"sequence\"" },
		{ "{\"version\":1,\"tenant_id\":\"@\",\"sequence\":1,\"timestamp_ms\":-1,\"op\":"
		  "\"leave\"}",
		  TOW_EPARSE, "\"timestamp_ms\"" },
		{ HEAD "\"op\":\"upsert_hostname\",\"hostname\":\"a.b\"}", TOW_EPARSE,
		  "\"tls_mode\" is missing" },
		{ HEAD "\"op\":\"upsert_hostname\",\"hostname\":\"a.b\",\"tls_mode\":{}}",
		  TOW_EPARSE, "\"tls_mode\" must be" },
		{ HEAD "\"op\":\"upsert_hostname\",\"hostname\":\"a.b\",\"tls_mode\":\"x\"}",
		  TOW_EPARSE, "\"tls_mode\" must be" },
		{ HEAD "\"op\":\"upsert_hostname\",\"hostname\":\"a.b\",\"tls_mode\":\"terminate\",\"http\":1}",
		  TOW_EPARSE, "\"http\"" },
		{ HEAD "\"op\":\"upsert_hostname\",\"hostname\":\"a.b\",\"tls_mode\":\"terminate\",\"http\":\"x\"}",
		  TOW_EPARSE, "\"http\" must be" },
		{ HEAD "\"op\":\"upsert_hostname\",\"hostname\":\"a.b\",\"tls_mode\":\"passthrough\",\"http\":\"h2c\"}",
		  TOW_EPARSE, "\"http\" \"h2c\" needs \"tls_mode\" \"terminate\"" },
		{ HEAD "\"op\":\"upsert_hostname\",\"hostname\":\"a.b\",\"tls_mode\":\"terminate\","
		  "\"http\":\"challenge\"}",
		  TOW_EPARSE, "\"http\" \"challenge\" needs \"tls_mode\" \"passthrough\"" },
		{ HEAD "\"op\":\"upsert_hostname\",\"hostname\":\"a.b\",\"tls_mode\":\"passthrough\","
		  "\"allow_from\":[]}",
		  TOW_EPARSE, "\"allow_from\" has nobody" },
		{ HEAD "\"op\":\"upsert_hostname\",\"hostname\":\"a.b\",\"tls_mode\":\"passthrough\","
		  "\"deny_from\":[\"x\"]}",
		  TOW_EPARSE, "\"deny_from\": \"x\" is neither" },
		{ HEAD "\"op\":\"set_hostname_tls\",\"hostname\":\"a.b\",\"tls_mode\":\"passthrough\","
		  "\"deny_from\":[]}",
		  TOW_EPARSE, "unknown key \"deny_from\"" },
		{ HEAD "\"op\":\"delete_hostname\",\"hostname\":\"a\"}", TOW_EPARSE, "two labels" },
		{ HEAD "\"op\":\"delete_hostname\",\"hostnane\":\"a.b\"}", TOW_EPARSE,
		  "did you mean \"hostname\"?" },
		{ HEAD "\"op\":\"upsert_tcp_service\",\"name\":\"n\",\"listen_port\":65536}",
		  TOW_EPARSE, "\"listen_port\"" },
		{ HEAD "\"op\":\"upsert_udp_service\",\"name\":\"\",\"listen_port\":1}", TOW_EPARSE,
		  "empty" },
		{ HEAD "\"op\":\"revoke_agent\",\"agent_id\":\"5B\"}", TOW_EPARSE,
		  "\"agent_id\" must be 64" },
	};
	char id[TOW_ID_TEXT_SIZE], payload[1024];

	(void)state;
	tow_id_format(tow_tenant_key_id(key), id);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_error err = { 0 };
		size_t at = strcspn(cases[i].payload, "@");
		snprintf(payload, sizeof payload, "%.*s%s%s", (int)at, cases[i].payload,
		         cases[i].payload[at] ? id : "",
		         cases[i].payload[at] ? cases[i].payload + at + 1 : "");
		int r = check(HEADER, payload, &err);
		if (r != cases[i].code || err.code != r || (r && !strstr(err.text, cases[i].why)))
			fail_msg("%s: %d, %s", payload, r, err.text);
	}
}

static void only_the_flattened_form_is_taken(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"7",
		"a.b.c", /* the compact form */
		"{\"payload\":\"\",\"signatures\":[]}",
		"{\"payload\":\"\",\"protected\":\"\"}",
		"{\"payload\":\"\",\"protected\":\"\",\"signature\":\"\",\"header\":{}}",
		"{\"payload\":\"\",\"protected\":\"\",\"signature\":\"\"}",
		"{\"payload\":{},\"protected\":\"eyJhbGciOiJNTC1EU0EtNjUifQ\",\"signature\":\"\"}",
		("{\"payload\":\"\",\"protected\":\"eyJhbGciOiJNTC1EU0EtNjUifQ==\",\"signature\":"
		 "\"\"}"),
	};
	struct tow_entry entry;
	struct tow_error err;
	struct tow_buf big = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (tow_entry_peek(tow_slice_of(texts[i]), &entry, &err) != TOW_EPARSE)
			fail_msg("took %s", texts[i]);
		assert_int_equal(tow_entry_verify(tow_slice_of(texts[i]),
		                                  tow_tenant_key_public(key), &entry, NULL),
		                 TOW_EPARSE);
	}
	for (int i = 0; i <= TOW_ENTRY_MAX; i++)
		assert_int_equal(tow_buf_append_text(&big, " "), 0);
	assert_int_equal(tow_entry_peek(tow_buf_peek(&big), &entry, &err), TOW_ETOOBIG);
	tow_buf_deinit(&big);
}

/* The limit is what a hub may have to keep of each, so it is not far above. */
static void the_largest_entry_is_within_the_limit(void **state)
{
	struct tow_entry entry = example(TOW_ENTRY_UPSERT_HOSTNAME), out;
	struct tow_buf list = { 0 }, jws;

	(void)state;
	memset(entry.name, 'x', TOW_HOSTNAME_MAX);
	for (size_t i = TOW_LABEL_MAX; i < TOW_HOSTNAME_MAX; i += TOW_LABEL_MAX + 1)
		entry.name[i] = '.';
	memset(&entry.access, 0, sizeof entry.access);
	for (unsigned i = 0; i < TOW_ACCESS_PREFIXES_MAX; i++)
		assert_int_equal(tow_buf_printf(&list,
		                                "%s2001:db8:1111:2222:3333:4444:5555:%04x/127",
		                                i ? "," : "", 0xf000 + 2 * i),
		                 0);
	assert_int_equal(
		tow_access_parse(&entry.access, TOW_ACCESS_ALLOW, tow_buf_peek(&list), NULL), 0);
	jws = sign(&entry);
	assert_in_range(tow_buf_len(&jws), TOW_ENTRY_MAX * 3 / 4, TOW_ENTRY_MAX);
	assert_int_equal(
		tow_entry_verify(tow_buf_peek(&jws), tow_tenant_key_public(key), &out, NULL), 0);
	tow_buf_deinit(&jws);
	tow_buf_deinit(&list);
}

/* Every prefix, and changes of every byte: never taken, unless the text means the same bytes. */
static void mangled_entries_do_not_verify(void **state)
{
	struct tow_entry entry = example(TOW_ENTRY_UPSERT_AGENT), out;
	struct tow_buf jws = sign(&entry);
	struct tow_slice text = tow_buf_peek(&jws);
	uint8_t *copy = malloc(text.len);

	(void)state;
	assert_non_null(copy);
	for (size_t len = 0; len < text.len; len++) {
		uint8_t *exact = copy + text.len - len;
		memcpy(exact, text.base, len);
		assert_int_equal(tow_entry_peek(tow_slice_make(exact, len), &out, NULL),
		                 TOW_EPARSE);
	}
	memcpy(copy, text.base, text.len);
	for (size_t at = 0; at < text.len; at += at < 700 ? 1 : 29) {
		for (int bit = 0; bit < 8; bit++) {
			copy[at] ^= (uint8_t)(1 << bit);
			assert_int_not_equal(tow_entry_verify(tow_slice_make(copy, text.len),
			                                      tow_tenant_key_public(key), &out,
			                                      NULL),
			                     0);
			copy[at] ^= (uint8_t)(1 << bit);
		}
	}
	assert_int_equal(tow_entry_verify(tow_slice_make(copy, text.len),
	                                  tow_tenant_key_public(key), &out, NULL),
	                 0);
	free(copy);
	tow_buf_deinit(&jws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_op_survives_the_round_trip),
		cmocka_unit_test(what_is_as_usual_is_left_out),
		cmocka_unit_test(what_a_hub_would_refuse_is_not_signed),
		cmocka_unit_test(only_the_plain_header_is_taken),
		cmocka_unit_test(payloads_are_read_strictly),
		cmocka_unit_test(only_the_flattened_form_is_taken),
		cmocka_unit_test(the_largest_entry_is_within_the_limit),
		cmocka_unit_test(mangled_entries_do_not_verify),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
