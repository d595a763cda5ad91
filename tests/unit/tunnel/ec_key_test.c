/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <towonel/tunnel/ec_key.h>
#include <towonel/wire/hostname.h>

/* What openssl prints about the bytes; fails the test when it refuses them. */
static void openssl(const char *arguments, const struct tow_buf *input, struct tow_buf *output)
{
	char path[] = "/tmp/towonel-ec-key-XXXXXX", command[512], read[4096];
	int fd = mkstemp(path);
	FILE *pipe;
	size_t n;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, tow_buf_peek(input).base, tow_buf_len(input)),
	                 tow_buf_len(input));
	close(fd);
	snprintf(command, sizeof command, "openssl %s -in %s 2>&1", arguments, path);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	while ((n = fread(read, 1, sizeof read, pipe)) > 0)
		assert_int_equal(tow_buf_append(output, read, n), 0);
	assert_int_equal(tow_buf_append(output, "", 1), 0);
	unlink(path);
	if (pclose(pipe) != 0)
		fail_msg("openssl %s: %s", arguments, (char *)output->base);
}

static void assert_has(const struct tow_buf *text, const char *part)
{
	if (!strstr((const char *)text->base, part))
		fail_msg("\"%s\" is not in:\n%s", part, (const char *)text->base);
}

static void keys_are_written_and_read(void **state)
{
	struct tow_ec_key *key, *again;
	struct tow_buf pem = { 0 }, text = { 0 };
	uint8_t a[TOW_EC_POINT_SIZE], b[TOW_EC_POINT_SIZE];

	(void)state;
	assert_int_equal(tow_ec_key_generate(&key), 0);
	assert_int_equal(tow_ec_key_write(key, &pem), 0);
	openssl("ec -noout -text", &pem, &text);
	assert_has(&text, "prime256v1");
	assert_int_equal(tow_ec_key_parse(tow_buf_peek(&pem), &again), 0);
	tow_ec_key_public(key, a);
	tow_ec_key_public(again, b);
	assert_memory_equal(a, b, sizeof a);
	for (size_t i = 0; i + 2 < tow_buf_len(&pem); i++) {
		struct tow_ec_key *none;
		if (tow_ec_key_parse(tow_slice_make(pem.base, i), &none) == 0) {
			/* all that is missing may be what follows the last dash */
			assert_true(i > tow_buf_len(&pem) - 8);
			tow_ec_key_free(none);
		}
	}
	tow_ec_key_free(key);
	tow_ec_key_free(again);
	tow_buf_wipe(&pem);
	tow_buf_deinit(&text);
}

static void other_keys_are_refused(void **state)
{
	static const char *const commands[] = {
		"ecparam -genkey -noout -name secp384r1",
		"genpkey -algorithm ed25519",
		"genrsa 2048",
	};
	struct tow_ec_key *key;

	(void)state;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		char command[128], pem[4096];
		snprintf(command, sizeof command, "openssl %s 2>/dev/null", commands[i]);
		FILE *pipe = popen(command, "r");
		size_t n = fread(pem, 1, sizeof pem, pipe);
		assert_int_equal(pclose(pipe), 0);
		assert_int_equal(tow_ec_key_parse(tow_slice_make(pem, n), &key), TOW_EPARSE);
	}
}

/* As certbot and others write them: PKCS #8. */
static void a_key_in_pkcs8_is_read(void **state)
{
	char pem[4096];
	struct tow_ec_key *key;
	FILE *pipe = popen("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", "r");
	size_t n = fread(pem, 1, sizeof pem, pipe);

	(void)state;
	assert_int_equal(pclose(pipe), 0);
	assert_int_equal(tow_ec_key_parse(tow_slice_make(pem, n), &key), 0);
	tow_ec_key_free(key);
}

static void names_of_every_length_make_a_request(void **state)
{
	struct tow_ec_key *key;
	char name[TOW_HOSTNAME_MAX + 2] = "";

	(void)state;
	assert_int_equal(tow_ec_key_generate(&key), 0);
	for (size_t len = 1; len <= TOW_HOSTNAME_MAX; len += len < 120 || len > 240 ? 21 : 1) {
		struct tow_buf der = { 0 }, text = { 0 };
		char entry[TOW_HOSTNAME_MAX + 8];
		for (size_t i = 0; i < len; i++)
			name[i] = i % 50 == 49 ? '.' : 'a';
		name[len] = '\0';
		assert_int_equal(tow_ec_key_request(key, name, &der), 0);
		if (len % 3 == 0 || len == 1) { /* a process for each would take long */
			openssl("req -inform DER -verify -noout -text", &der, &text);
			snprintf(entry, sizeof entry, "DNS:%s\n", name);
			assert_has(&text, entry);
		}
		tow_buf_deinit(&der);
		tow_buf_deinit(&text);
	}
	memset(name, 'a', sizeof name - 1);
	assert_int_equal(tow_ec_key_request(key, name, NULL), TOW_EINVAL);
	assert_int_equal(tow_ec_key_request(key, "", NULL), TOW_EINVAL);
	tow_ec_key_free(key);
}

static void a_challenge_certificate_is_as_rfc_8737_wants_it(void **state)
{
	struct tow_ec_key *key;
	struct tow_buf pem = { 0 }, text = { 0 };
	uint8_t digest[32];

	(void)state;
	for (size_t i = 0; i < sizeof digest; i++)
		digest[i] = (uint8_t)i;
	assert_int_equal(tow_ec_key_generate(&key), 0);
	assert_int_equal(tow_ec_key_challenge_certificate(key, "app.example.eu", digest, &pem), 0);
	openssl("x509 -noout -text", &pem, &text);
	assert_has(&text, "1.3.6.1.5.5.7.1.31: critical");
	assert_has(&text, "DNS:app.example.eu\n");
	assert_has(&text, "Version: 3");
	tow_buf_deinit(&text);
	openssl("asn1parse", &pem, &text);
	assert_has(
		&text,
		"[HEX DUMP]:0420000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
	tow_buf_deinit(&text);
	openssl("x509 -noout -checkend 3600", &pem, &text);
	tow_buf_deinit(&text);
	tow_buf_deinit(&pem);
	tow_ec_key_free(key);
}

static void a_certificate_of_ones_own_names_its_host(void **state)
{
	static const struct {
		const char *host, *shown;
	} cases[] = {
		{ "hub.example.eu", "DNS:hub.example.eu\n" },
		{ "192.0.2.7", "IP Address:192.0.2.7\n" },
		{ "2001:db8::7", "IP Address:2001:DB8:0:0:0:0:0:7\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct tow_ec_key *key;
		struct tow_buf pem = { 0 }, text = { 0 };

		assert_int_equal(tow_ec_key_generate(&key), 0);
		assert_int_equal(tow_ec_key_own_certificate(key, cases[i].host, 100, &pem), 0);
		openssl("x509 -noout -checkend 8000000 -text", &pem, &text);
		assert_has(&text, cases[i].shown);
		assert_has(&text, "Certificate will not expire");
		tow_buf_deinit(&text);
		tow_buf_deinit(&pem);
		assert_int_equal(tow_ec_key_own_certificate(key, "", 100, &pem), TOW_EINVAL);
		tow_ec_key_free(key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_written_and_read),
		cmocka_unit_test(other_keys_are_refused),
		cmocka_unit_test(a_key_in_pkcs8_is_read),
		cmocka_unit_test(names_of_every_length_make_a_request),
		cmocka_unit_test(a_challenge_certificate_is_as_rfc_8737_wants_it),
		cmocka_unit_test(a_certificate_of_ones_own_names_its_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
