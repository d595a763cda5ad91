/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tls/identity_cert.h"

static void test_round_trip(void **state)
{
	struct tow_node_key key;
	struct tow_id id;
	uint8_t der[TOW__IDENTITY_CERT_MAX];
	int len, first = 0, i;

	(void)state;
	for (i = 0; i < 500; i++) {
		tow_node_key_generate(&key);
		len = tow__identity_cert_make(&key, der, sizeof(der));
		assert_true(len > 0);
		first = i ? first : len;
		assert_int_equal(len, first); /* handshakes are of one size */
		assert_int_equal(tow__identity_cert_parse(tow_slice_make(der, (size_t)len), &id),
		                 0);
		assert_true(tow_id_equal(&id, &key.id));
	}
}

static void test_prefixes_are_refused(void **state)
{
	struct tow_node_key key;
	struct tow_id id;
	uint8_t der[TOW__IDENTITY_CERT_MAX], copy[TOW__IDENTITY_CERT_MAX];
	int len, i;

	(void)state;
	tow_node_key_generate(&key);
	len = tow__identity_cert_make(&key, der, sizeof(der));
	assert_true(len > 0);
	for (i = 0; i < len; i++)
		assert_int_equal(tow__identity_cert_parse(tow_slice_make(der, (size_t)i), &id),
		                 TOW_EPARSE);
	/* whatever a flipped bit makes of it, it is no crash, and the key is never read from
	 * outside */
	for (i = 0; i < len * 8; i++) {
		memcpy(copy, der, (size_t)len);
		copy[i / 8] ^= (uint8_t)(1u << (i % 8));
		(void)tow__identity_cert_parse(tow_slice_make(copy, (size_t)len), &id);
	}
}

static void test_too_small_a_buffer(void **state)
{
	struct tow_node_key key;
	uint8_t der[64];

	(void)state;
	tow_node_key_generate(&key);
	assert_true(tow__identity_cert_make(&key, der, sizeof(der)) < 0);
}

static void test_install(void **state)
{
	struct tow_node_key key;
	struct tow_error err;
	WOLFSSL_CTX *ctx;

	(void)state;
	wolfSSL_Init();
	tow_node_key_generate(&key);
	ctx = wolfSSL_CTX_new(wolfTLSv1_3_server_method());
	assert_non_null(ctx);
	assert_int_equal(tow__identity_cert_install(ctx, &key, &err), 0);
	assert_int_equal(wolfSSL_CTX_check_private_key(ctx), WOLFSSL_SUCCESS);
	wolfSSL_CTX_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_prefixes_are_refused),
		cmocka_unit_test(test_too_small_a_buffer),
		cmocka_unit_test(test_install),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
