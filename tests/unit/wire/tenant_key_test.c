/* SPDX-License-Identifier: MIT */

/* ML-DSA-65 against published vectors; where they come from stands in the file itself. */

#include <towonel/wire/identity.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#define VECTORS "tests/unit/wire/mldsa_65_vectors.json"

static json_t *vectors;

static int load(void **state)
{
	json_error_t why;

	(void)state;
	vectors = json_load_file(VECTORS, 0, &why);
	if (!vectors)
		print_error("%s (run this at the top of the sources): %s\n", VECTORS, why.text);
	return vectors ? 0 : -1;
}

static int unload(void **state)
{
	(void)state;
	json_decref(vectors);
	return 0;
}

/* The bytes of a member in hex; free them. */
static uint8_t *bytes_of(const json_t *object, const char *name, size_t *len)
{
	const char *text = json_string_value(json_object_get(object, name));
	uint8_t *bytes;
	int n;

	assert_non_null(text);
	bytes = malloc(strlen(text) / 2 + 1);
	assert_non_null(bytes);
	n = tow_hex_decode(tow_slice_of(text), bytes, strlen(text) / 2);
	assert_true(n >= 0);
	*len = (size_t)n;
	return bytes;
}

static struct tow_tenant_key *key_of(uint8_t fill)
{
	uint8_t seed[TOW_SEED_SIZE];
	struct tow_tenant_key *key;

	memset(seed, fill, sizeof seed);
	assert_int_equal(tow_tenant_key_new(seed, &key), 0);
	return key;
}

static void seeds_give_the_published_keys(void **state)
{
	json_t *item;
	size_t i, len;

	(void)state;
	assert_true(json_array_size(json_object_get(vectors, "keys")) > 25);
	json_array_foreach(json_object_get(vectors, "keys"), i, item)
	{
		uint8_t *seed = bytes_of(item, "seed", &len);
		struct tow_tenant_key *key;
		struct tow_id id;
		char text[TOW_ID_TEXT_SIZE];

		assert_int_equal(len, TOW_SEED_SIZE);
		assert_int_equal(tow_tenant_key_new(seed, &key), 0);
		assert_string_equal(tow_id_format(tow_tenant_key_id(key), text),
		                    json_string_value(json_object_get(item, "public_key_sha256")));
		tow_tenant_id_of(tow_tenant_key_public(key), &id);
		assert_true(tow_id_equal(&id, tow_tenant_key_id(key)));
		tow_tenant_key_free(key);
		free(seed);
	}
}

static void signatures_verify_as_published(void **state)
{
	json_t *group, *item;
	size_t i, j, len, good = 0, bad = 0;

	(void)state;
	json_array_foreach(json_object_get(vectors, "groups"), i, group)
	{
		uint8_t *public_key = bytes_of(group, "public_key", &len);
		assert_int_equal(len, TOW_MLDSA_PUBLIC_SIZE);
		json_array_foreach(json_object_get(group, "tests"), j, item)
		{
			size_t msg_len, sig_len;
			uint8_t *msg = bytes_of(item, "msg", &msg_len);
			uint8_t *sig = bytes_of(item, "sig", &sig_len);
			/* signed for another purpose: not for us */
			int valid = json_is_true(json_object_get(item, "valid")) &&
			            !*json_string_value(json_object_get(item, "ctx"));
			int r = tow_tenant_verify(public_key, tow_slice_make(msg, msg_len),
			                          tow_slice_make(sig, sig_len));
			if (r != (valid ? 0 : TOW_ESIGNATURE))
				fail_msg("%d: %s",
				         (int)json_integer_value(json_object_get(item, "id")),
				         json_string_value(json_object_get(item, "comment")));
			good += valid;
			bad += !valid;
			free(msg);
			free(sig);
		}
		free(public_key);
	}
	assert_true(good >= 5 && bad >= 10);
}

static void what_is_signed_verifies_and_nothing_else(void **state)
{
	static uint8_t message[5000], sig[TOW_MLDSA_SIGNATURE_SIZE],
		again[TOW_MLDSA_SIGNATURE_SIZE];
	static const size_t lens[] = { 0, 1, 31, 135, 136, 137, sizeof message };
	struct tow_tenant_key *key = key_of(7), *other = key_of(8);
	const uint8_t *public_key = tow_tenant_key_public(key);

	(void)state;
	memset(message, 'm', sizeof message);
	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		struct tow_slice m = tow_slice_make(lens[i] ? message : NULL, lens[i]);
		struct tow_slice s = tow_slice_make(sig, sizeof sig);

		assert_int_equal(tow_tenant_key_sign(key, m, sig), 0);
		assert_int_equal(tow_tenant_verify(public_key, m, s), 0);
		assert_int_equal(tow_tenant_verify(tow_tenant_key_public(other), m, s),
		                 TOW_ESIGNATURE);
		m.base = message;
		m.len = lens[i] + 1 <= sizeof message ? lens[i] + 1 : lens[i] - 1;
		assert_int_equal(tow_tenant_verify(public_key, m, s), TOW_ESIGNATURE);
		m.len = lens[i];
		/* hedged: two signatures of one message differ */
		assert_int_equal(tow_tenant_key_sign(key, m, again), 0);
		assert_memory_not_equal(sig, again, sizeof sig);
	}
	for (size_t at = 0; at < sizeof sig; at += 97) {
		sig[at] ^= 0x10;
		assert_int_equal(tow_tenant_verify(public_key,
		                                   tow_slice_make(message, sizeof message),
		                                   tow_slice_make(sig, sizeof sig)),
		                 TOW_ESIGNATURE);
		sig[at] ^= 0x10;
	}
	for (size_t len = 0; len < sizeof sig; len += 331)
		assert_int_equal(tow_tenant_verify(public_key,
		                                   tow_slice_make(message, sizeof message),
		                                   tow_slice_make(sig, len)),
		                 TOW_ESIGNATURE);
	assert_int_equal(tow_tenant_verify(public_key, tow_slice_make(message, sizeof message),
	                                   tow_slice_make(sig, sizeof sig)),
	                 0);
	tow_tenant_key_free(key);
	tow_tenant_key_free(other);
	tow_tenant_key_free(NULL);
}

/* Any bytes of the right size are a public key of sorts (FIPS 204 section 5.3 has no
 * way to fail). */
static void any_public_key_is_survived(void **state)
{
	static uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE], sig[TOW_MLDSA_SIGNATURE_SIZE];

	(void)state;
	for (int i = 0; i < 50; i++) {
		if (i == 1)
			memset(public_key, 0xff, sizeof public_key);
		if (i > 1) {
			tow_random(public_key, sizeof public_key);
			tow_random(sig, sizeof sig);
		}
		assert_int_equal(tow_tenant_verify(public_key, tow_slice_of("m"),
		                                   tow_slice_make(sig, sizeof sig)),
		                 TOW_ESIGNATURE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seeds_give_the_published_keys),
		cmocka_unit_test(signatures_verify_as_published),
		cmocka_unit_test(what_is_signed_verifies_and_nothing_else),
		cmocka_unit_test(any_public_key_is_survived),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
