/* SPDX-License-Identifier: MIT */
#include <towonel/wire/request_signature.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct tow_node_key key_of(uint8_t fill)
{
	uint8_t seed[TOW_SEED_SIZE];
	struct tow_node_key key;

	memset(seed, fill, sizeof seed);
	tow_node_key_from_seed(seed, &key);
	return key;
}

static void a_signed_request_verifies(void **state)
{
	static const char *const domains[] = { TOW_DOMAIN_AGENT_HEARTBEAT,
		                               TOW_DOMAIN_EDGE_HEARTBEAT, TOW_DOMAIN_EDGE_SUBSCRIBE,
		                               TOW_DOMAIN_TENANT_ENTRIES };
	static const uint64_t times[] = { 0, 1700000000000, INT64_MAX };
	struct tow_node_key key = key_of(1), other = key_of(2);
	char value[TOW_REQUEST_SIGNATURE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof domains / sizeof *domains; i++) {
		for (size_t j = 0; j < sizeof times / sizeof *times; j++) {
			struct tow_request_signature s, changed;
			struct tow_slice body = tow_slice_of("{\"x\":1}");

			tow_request_sign(&key, domains[i], times[j], body, value);
			assert_int_equal(tow_request_signature_parse(tow_slice_of(value), &s), 0);
			assert_true(tow_id_equal(&s.node_id, &key.id));
			assert_int_equal(s.timestamp_ms, times[j]);
			assert_int_equal(tow_request_signature_verify(&s, domains[i], body), 0);
			/* anything else than what was signed */
			assert_int_equal(
				tow_request_signature_verify(&s, domains[(i + 1) % 4], body),
				TOW_ESIGNATURE);
			assert_int_equal(tow_request_signature_verify(&s, domains[i],
			                                              tow_slice_of("{\"x\":2}")),
			                 TOW_ESIGNATURE);
			assert_int_equal(tow_request_signature_verify(&s, domains[i],
			                                              tow_slice_make(NULL, 0)),
			                 TOW_ESIGNATURE);
			changed = s;
			changed.timestamp_ms++;
			assert_int_equal(tow_request_signature_verify(&changed, domains[i], body),
			                 TOW_ESIGNATURE);
			changed = s;
			changed.node_id = other.id;
			assert_int_equal(tow_request_signature_verify(&changed, domains[i], body),
			                 TOW_ESIGNATURE);
		}
	}
}

/* The text that is signed is part of the API: another implementation must make the same. */
static void the_signed_text_is_as_documented(void **state)
{
	struct tow_node_key key = key_of(1);
	struct tow_request_signature s;
	char value[TOW_REQUEST_SIGNATURE_SIZE], id[TOW_ID_TEXT_SIZE], text[300];

	(void)state;
	tow_request_sign(&key, TOW_DOMAIN_AGENT_HEARTBEAT, 1700000000000, tow_slice_of("abc"),
	                 value);
	assert_int_equal(tow_request_signature_parse(tow_slice_of(value), &s), 0);
	/* BLAKE2b-256 of "abc" */
	snprintf(text, sizeof text, "towonel/agent-heartbeat/v1/%s/1700000000000/%s",
	         tow_id_format(&key.id, id),
	         "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
	assert_int_equal(tow_node_id_verify(&key.id, tow_slice_of(text), s.signature), 0);
	snprintf(text, sizeof text, "Signature %s.1700000000000.", id);
	assert_memory_equal(value, text, strlen(text));
	assert_int_equal(strlen(value), strlen(text) + 86);
}

static void the_scheme_has_no_case(void **state)
{
	struct tow_node_key key = key_of(1);
	struct tow_request_signature s;
	char value[TOW_REQUEST_SIGNATURE_SIZE];

	(void)state;
	tow_request_sign(&key, TOW_DOMAIN_EDGE_HEARTBEAT, 5, tow_slice_make(NULL, 0), value);
	memcpy(value, "sIGNATURE", 9);
	assert_int_equal(tow_request_signature_parse(tow_slice_of(value), &s), 0);
	assert_int_equal(tow_request_signature_verify(&s, TOW_DOMAIN_EDGE_HEARTBEAT,
	                                              tow_slice_make(NULL, 0)),
	                 0);
}

/* No prefix is a value, and a changed byte gives another value or none: each has one spelling. */
static void mangled_values_do_not_verify(void **state)
{
	struct tow_node_key key = key_of(3);
	struct tow_request_signature s;
	char value[TOW_REQUEST_SIGNATURE_SIZE], good[TOW_REQUEST_SIGNATURE_SIZE];
	struct tow_slice body = tow_slice_of("body");
	size_t len;

	(void)state;
	tow_request_sign(&key, TOW_DOMAIN_EDGE_SUBSCRIBE, 1700000000000, body, good);
	len = strlen(good);
	for (size_t cut = 0; cut < len; cut++) {
		memcpy(value + sizeof value - cut, good, cut);
		assert_int_equal(tow_request_signature_parse(
					 tow_slice_make(value + sizeof value - cut, cut), &s),
		                 TOW_EPARSE);
	}
	for (size_t at = 0; at < len; at++) {
		for (unsigned c = 0; c < 256; c++) {
			if ((uint8_t)good[at] == c || (at < 9 && (c ^ (uint8_t)good[at]) == 0x20))
				continue;
			memcpy(value, good, sizeof value);
			value[at] = (char)c;
			if (tow_request_signature_parse(tow_slice_make(value, len), &s))
				continue;
			assert_true(at >= 10);
			if (at % 16 == 0) /* a verification each would take long */
				assert_int_equal(tow_request_signature_verify(
							 &s, TOW_DOMAIN_EDGE_SUBSCRIBE, body),
				                 TOW_ESIGNATURE);
		}
	}
}

static void odd_times_and_lengths_are_refused(void **state)
{
	static const char *const times[] = { "",
		                             "-1",
		                             "+1",
		                             "01",
		                             "00",
		                             " 1",
		                             "1 ",
		                             "1e3",
		                             "0x1",
		                             "9223372036854775808",
		                             "18446744073709551616",
		                             "99999999999999999999999" };
	struct tow_node_key key = key_of(1);
	struct tow_request_signature s;
	char good[TOW_REQUEST_SIGNATURE_SIZE], value[2 * TOW_REQUEST_SIGNATURE_SIZE];

	(void)state;
	tow_request_sign(&key, TOW_DOMAIN_EDGE_SUBSCRIBE, 7, tow_slice_of(""), good);
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		snprintf(value, sizeof value, "%.75s%s%s", good, times[i], good + 76);
		if (tow_request_signature_parse(tow_slice_of(value), &s) != TOW_EPARSE)
			fail_msg("took the time \"%s\"", times[i]);
	}
	snprintf(value, sizeof value, "%.75s%s%s", good, "7", good + 76);
	assert_int_equal(tow_request_signature_parse(tow_slice_of(value), &s), 0);
	snprintf(value, sizeof value, "%sA", good);
	assert_int_equal(tow_request_signature_parse(tow_slice_of(value), &s), TOW_EPARSE);
	snprintf(value, sizeof value, "%s.7", good);
	assert_int_equal(tow_request_signature_parse(tow_slice_of(value), &s), TOW_EPARSE);
}

static void a_tenant_signs_with_its_own_kind_of_key(void **state)
{
	static const uint8_t seed[TOW_SEED_SIZE] = { 1 }, other_seed[TOW_SEED_SIZE] = { 2 };
	struct tow_tenant_key *key, *other;
	struct tow_tenant_request_signature s, changed;
	struct tow_request_signature of_node;
	struct tow_slice none = { NULL, 0 };
	char value[TOW_TENANT_REQUEST_SIGNATURE_SIZE];
	const char *domain = TOW_DOMAIN_TENANT_ENTRIES;
	size_t len;

	(void)state;
	assert_int_equal(tow_tenant_key_new(seed, &key), 0);
	assert_int_equal(tow_tenant_key_new(other_seed, &other), 0);
	assert_int_equal(tow_tenant_request_sign(key, domain, 1700000000000, none, value), 0);
	assert_int_equal(tow_tenant_request_signature_parse(tow_slice_of(value), &s), 0);
	assert_true(tow_id_equal(&s.tenant_id, tow_tenant_key_id(key)));
	assert_int_equal(s.timestamp_ms, 1700000000000);
	assert_int_equal(
		tow_tenant_request_signature_verify(&s, tow_tenant_key_public(key), domain, none),
		0);
	assert_int_equal(
		tow_tenant_request_signature_verify(&s, tow_tenant_key_public(other), domain, none),
		TOW_ESIGNATURE);
	assert_int_equal(tow_tenant_request_signature_verify(&s, tow_tenant_key_public(key),
	                                                     TOW_DOMAIN_EDGE_SUBSCRIBE, none),
	                 TOW_ESIGNATURE);
	changed = s;
	changed.timestamp_ms++;
	assert_int_equal(tow_tenant_request_signature_verify(&changed, tow_tenant_key_public(key),
	                                                     domain, none),
	                 TOW_ESIGNATURE);
	/* neither is taken for the other, and no prefix for the whole */
	assert_int_equal(tow_request_signature_parse(tow_slice_of(value), &of_node), TOW_EPARSE);
	len = strlen(value);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(tow_tenant_request_signature_parse(tow_slice_make(value, i), &s),
		                 TOW_EPARSE);
	tow_tenant_key_free(key);
	tow_tenant_key_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signed_request_verifies),
		cmocka_unit_test(the_signed_text_is_as_documented),
		cmocka_unit_test(the_scheme_has_no_case),
		cmocka_unit_test(mangled_values_do_not_verify),
		cmocka_unit_test(odd_times_and_lengths_are_refused),
		cmocka_unit_test(a_tenant_signs_with_its_own_kind_of_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
