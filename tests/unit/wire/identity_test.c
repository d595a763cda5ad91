/* SPDX-License-Identifier: MIT */
#include <towonel/wire/identity.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static size_t from_hex(const char *text, uint8_t *out, size_t cap)
{
	int len = tow_hex_decode(tow_slice_of(text), out, cap);

	assert_true(len >= 0);
	return (size_t)len;
}

/* RFC 8032 section 7.1: TEST 1, 2, 3 and SHA(abc). */
static void ed25519_is_that_of_rfc_8032(void **state)
{
	static const struct {
		const char *seed, *id, *message, *signature;
	} cases[] = {
		{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
		  "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
		{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
		  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
		  "458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
		{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290"
		  "ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
		{ "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
		  "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
		  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a8"
		  "36ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		  "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ec"
		  "fdfbc7c66431e0303dca179c138ac17ad9bef1177331a704" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t seed[TOW_SEED_SIZE], message[64], expected[64], signature[64];
		char text[TOW_ID_TEXT_SIZE];
		struct tow_node_key key;
		struct tow_slice m;

		from_hex(cases[i].seed, seed, sizeof seed);
		m = tow_slice_make(message, from_hex(cases[i].message, message, sizeof message));
		from_hex(cases[i].signature, expected, sizeof expected);
		tow_node_key_from_seed(seed, &key);
		assert_string_equal(tow_id_format(&key.id, text), cases[i].id);
		assert_memory_equal(key.seed, seed, sizeof seed);
		tow_node_key_sign(&key, m, signature);
		assert_memory_equal(signature, expected, sizeof expected);
		assert_int_equal(tow_node_id_verify(&key.id, m, signature), 0);
		for (size_t bit = 0; bit < 8 * sizeof signature; bit++) {
			signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(tow_node_id_verify(&key.id, m, signature), TOW_ESIGNATURE);
			signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		key.id.bytes[3] ^= 4;
		assert_int_equal(tow_node_id_verify(&key.id, m, signature), TOW_ESIGNATURE);
		tow_node_key_wipe(&key);
		assert_true(tow_id_is_zero(&key.id));
		assert_memory_not_equal(key.seed, seed, sizeof seed);
	}
}

static void generated_keys_differ_and_sign(void **state)
{
	struct tow_node_key a, b, again;
	uint8_t signature[TOW_ED25519_SIGNATURE_SIZE];

	(void)state;
	tow_node_key_generate(&a);
	tow_node_key_generate(&b);
	assert_false(tow_id_equal(&a.id, &b.id));
	tow_node_key_from_seed(a.seed, &again);
	assert_true(tow_id_equal(&a.id, &again.id));
	tow_node_key_sign(&a, tow_slice_of("x"), signature);
	assert_int_equal(tow_node_id_verify(&a.id, tow_slice_of("x"), signature), 0);
	assert_int_equal(tow_node_id_verify(&b.id, tow_slice_of("x"), signature), TOW_ESIGNATURE);
	assert_int_equal(tow_node_id_verify(&a.id, tow_slice_of("y"), signature), TOW_ESIGNATURE);
}

static void ids_are_64_lower_case_digits(void **state)
{
	static const char good[] =
		"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
	struct tow_id id = { { 0 } }, zero = { { 0 } };
	char text[TOW_ID_TEXT_SIZE], again[TOW_ID_TEXT_SIZE];

	(void)state;
	assert_true(tow_id_is_zero(&id));
	assert_int_equal(tow_id_parse(tow_slice_of(good), &id), 0);
	assert_false(tow_id_is_zero(&id));
	assert_false(tow_id_equal(&id, &zero));
	assert_ptr_equal(tow_id_format(&id, text), text);
	assert_string_equal(text, good);
	for (size_t len = 0; len < 64; len++)
		assert_int_equal(tow_id_parse(tow_slice_make(good, len), &id), TOW_EPARSE);
	assert_int_equal(tow_id_parse(tow_slice_make(good, 65), &id), TOW_EPARSE);
	for (size_t at = 0; at < 64; at++) {
		for (unsigned c = 0; c < 256; c++) {
			int digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
			memcpy(text, good, sizeof text);
			text[at] = (char)c;
			assert_int_equal(tow_id_parse(tow_slice_make(text, 64), &id),
			                 digit ? 0 : TOW_EPARSE);
			if (digit)
				assert_string_equal(tow_id_format(&id, again), text);
		}
	}
}

/* RFC 4648 section 10, RFC 7515 appendices A.1.1 and C. */
static void base64url_is_that_of_the_rfcs(void **state)
{
	static const uint8_t appendix_c[] = { 3, 236, 255, 224, 193 };
	static const struct {
		const char *bytes;
		size_t len;
		const char *text;
	} cases[] = {
		{ "", 0, "" },
		{ "f", 1, "Zg" },
		{ "fo", 2, "Zm8" },
		{ "foo", 3, "Zm9v" },
		{ "foob", 4, "Zm9vYg" },
		{ "fooba", 5, "Zm9vYmE" },
		{ "foobar", 6, "Zm9vYmFy" },
		{ (const char *)appendix_c, sizeof appendix_c, "A-z_4ME" },
		{ "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}", 30,
		  "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" },
	};
	char text[64];
	uint8_t bytes[64];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t len = cases[i].len;
		assert_ptr_equal(tow_base64url_encode(cases[i].bytes, len, text), text);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(strlen(text) + 1, TOW_BASE64URL_SIZE(len));
		assert_int_equal(tow_base64url_decode(tow_slice_of(text), bytes, len), (int)len);
		assert_memory_equal(bytes, cases[i].bytes, len);
		if (len)
			assert_int_equal(tow_base64url_decode(tow_slice_of(text), bytes, len - 1),
			                 TOW_ETOOBIG);
	}
}

static void base64url_has_one_spelling(void **state)
{
	static const char *const bad[] = { "Z",    "Zh",   "Zm9",  "Zg==", "Zm8=", "Zm9v=",
		                           "Zm+v", "Zm/v", "Zm v", "Zm\n", "Z===", "Zm9vZ" };
	uint8_t bytes[64];
	char text[8], again[8];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (tow_base64url_decode(tow_slice_of(bad[i]), bytes, sizeof bytes) != TOW_EPARSE)
			fail_msg("took \"%s\"", bad[i]);
	/* every text of two bytes, and every change of a byte of a longer one */
	for (unsigned v = 0; v < 65536; v++) {
		char two[3] = { (char)(v >> 8), (char)v, 0 };
		int len = tow_base64url_decode(tow_slice_make(two, 2), bytes, 1);
		if (len >= 0) {
			assert_int_equal(len, 1);
			assert_string_equal(tow_base64url_encode(bytes, 1, again), two);
		}
	}
	for (size_t at = 0; at < 7; at++) {
		for (unsigned c = 0; c < 256; c++) {
			memcpy(text, "A-z_4ME", 8);
			text[at] = (char)c;
			int len = tow_base64url_decode(tow_slice_make(text, 7), bytes, 5);
			if (len >= 0)
				assert_string_equal(tow_base64url_encode(bytes, 5, again), text);
		}
	}
}

static void hex_takes_either_case(void **state)
{
	uint8_t bytes[4];
	char text[TOW_HEX_SIZE(4)];

	(void)state;
	assert_int_equal(tow_hex_decode(tow_slice_of("00fFaBcD"), bytes, 4), 4);
	assert_string_equal(tow_hex_encode(bytes, 4, text), "00ffabcd");
	assert_string_equal(tow_hex_encode(NULL, 0, text), "");
	assert_int_equal(tow_hex_decode(tow_slice_of(""), bytes, 4), 0);
	assert_int_equal(tow_hex_decode(tow_slice_make(NULL, 0), NULL, 0), 0);
	assert_int_equal(tow_hex_decode(tow_slice_of("00f"), bytes, 4), TOW_EPARSE);
	assert_int_equal(tow_hex_decode(tow_slice_of("00:0"), bytes, 4), TOW_EPARSE);
	assert_int_equal(tow_hex_decode(tow_slice_of("0g"), bytes, 4), TOW_EPARSE);
	assert_int_equal(tow_hex_decode(tow_slice_of(" 0"), bytes, 4), TOW_EPARSE);
	assert_int_equal(tow_hex_decode(tow_slice_of("0011223344"), bytes, 4), TOW_ETOOBIG);
}

/* RFC 7693 appendix E: every length of message and key, hashed into one digest. The generator of
 * the test's bytes is the RFC's. */
static void fill_as_rfc_7693(uint8_t *out, size_t len, uint32_t seed)
{
	uint32_t a = 0xDEAD4BAD * seed, b = 1;

	for (size_t i = 0; i < len; i++) {
		uint32_t t = a + b;
		a = b;
		b = t;
		out[i] = (uint8_t)(t >> 24);
	}
}

/* The RFC's digest covers four digest sizes; for its part of 32 bytes the expected value is that of
 * Python's hashlib, which gives the RFC's digest over the whole. */
static void blake2b_is_that_of_rfc_7693(void **state)
{
	static const size_t lens[] = { 0, 3, 128, 129, 255, 1024 };
	uint8_t message[1024], key[32], all[2 * 6 * TOW_HASH_SIZE], hash[TOW_HASH_SIZE];
	char text[TOW_HEX_SIZE(TOW_HASH_SIZE)];
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		fill_as_rfc_7693(message, lens[i], (uint32_t)lens[i]);
		tow_hash(tow_slice_make(message, lens[i]), NULL, 0, all + at);
		at += TOW_HASH_SIZE;
		fill_as_rfc_7693(key, sizeof key, sizeof key);
		tow_hash(tow_slice_make(message, lens[i]), key, sizeof key, all + at);
		at += TOW_HASH_SIZE;
	}
	tow_hash(tow_slice_make(all, at), NULL, 0, hash);
	assert_string_equal(tow_hex_encode(hash, sizeof hash, text),
	                    "0e7fcfd0480d6f3567c2b83fb286726669708471d0d8820c18a8d46b92d66d4e");
	tow_hash(tow_slice_of("abc"), NULL, 0, hash);
	assert_string_equal(tow_hex_encode(hash, sizeof hash, text),
	                    "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
	/* an empty slice may have no base */
	tow_hash(tow_slice_make(NULL, 0), "k", 0, hash);
	assert_string_equal(tow_hex_encode(hash, sizeof hash, text),
	                    "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
}

static void key_files_hold_bytes_or_hex(void **state)
{
	uint8_t seed[TOW_SEED_SIZE], raw[TOW_SEED_SIZE];
	char text[80];
	struct tow_error err;

	(void)state;
	for (size_t i = 0; i < sizeof raw; i++)
		raw[i] = (uint8_t)(i * 9);
	assert_int_equal(tow_seed_parse(tow_slice_make(raw, 32), seed, &err), 0);
	assert_memory_equal(seed, raw, 32);
	tow_hex_encode(raw, 32, text);
	for (int end = 0; end < 3; end++) {
		static const char *const ends[] = { "", "\n", "\r\n" };
		memset(seed, 0, sizeof seed);
		memcpy(text + 64, ends[end], strlen(ends[end]) + 1);
		assert_int_equal(tow_seed_parse(tow_slice_of(text), seed, &err), 0);
		assert_memory_equal(seed, raw, 32);
	}
	for (size_t len = 0; len < 70; len++) {
		if (len == 32 || len >= 64)
			continue;
		assert_int_equal(tow_seed_parse(tow_slice_make(text, len), seed, &err), TOW_EPARSE);
		text[64] = '\0';
		assert_null(len ? strstr(err.text, "00091b") : NULL);
	}
	memcpy(text + 62, "zz", 3);
	assert_int_equal(tow_seed_parse(tow_slice_of(text), seed, &err), TOW_EPARSE);
	assert_non_null(strstr(err.text, "hex"));
	assert_null(strstr(err.text, "zz"));
	memcpy(text + 62, "00\n\n", 5);
	assert_int_equal(tow_seed_parse(tow_slice_of(text), seed, NULL), TOW_EPARSE);
	assert_memory_equal(seed, raw, 32);
}

static void secrets_are_compared_and_wiped(void **state)
{
	uint8_t a[32], b[32], zero[32] = { 0 };

	(void)state;
	tow_random(a, sizeof a);
	memcpy(b, a, sizeof b);
	assert_true(tow_secret_equal(a, b, sizeof a));
	for (size_t bit = 0; bit < 256; bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(tow_secret_equal(a, b, sizeof a));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	tow_wipe(a, sizeof a);
	assert_memory_equal(a, zero, sizeof a);
	assert_memory_not_equal(b, zero, sizeof b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ed25519_is_that_of_rfc_8032),
		cmocka_unit_test(generated_keys_differ_and_sign),
		cmocka_unit_test(ids_are_64_lower_case_digits),
		cmocka_unit_test(base64url_is_that_of_the_rfcs),
		cmocka_unit_test(base64url_has_one_spelling),
		cmocka_unit_test(hex_takes_either_case),
		cmocka_unit_test(blake2b_is_that_of_rfc_7693),
		cmocka_unit_test(key_files_hold_bytes_or_hex),
		cmocka_unit_test(secrets_are_compared_and_wiped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
