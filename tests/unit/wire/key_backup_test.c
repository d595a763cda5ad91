/* SPDX-License-Identifier: MIT */
#include <towonel/wire/key_backup.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define TENANT     "ddf723ba0cc75408d1a3a8dc48f8302bfc25bd2cacf9374c28d861deea3a7184"
#define SEALED     "wkzUDcwES-E6K6PyC4KgTreqU0BI6FIAZIp9D3oVdffLqyRlx8VCNtog1vkqpFPf"
#define PASSPHRASE "correct horse"

/* Made as the header says, by Python calling libsodium; the seed is 0x40, 0x41, ... */
static const char known[] = "{\n"
			    "  \"format\": \"towonel-tenant-key\",\n"
			    "  \"version\": 1,\n"
			    "  \"tenant_id\": \"" TENANT "\",\n"
			    "  \"kdf\": \"argon2id\",\n"
			    "  \"passes\": 2,\n"
			    "  \"memory_kib\": 64,\n"
			    "  \"salt\": \"AAECAwQFBgcICQoLDA0ODw\",\n"
			    "  \"cipher\": \"xchacha20-poly1305\",\n"
			    "  \"nonce\": \"gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaX\",\n"
			    "  \"sealed\": \"" SEALED "\"\n"
			    "}\n";

static const struct tow_key_backup_cost cheap = { 1, 8 };

static void seed_of(uint8_t seed[TOW_SEED_SIZE])
{
	for (size_t i = 0; i < TOW_SEED_SIZE; i++)
		seed[i] = (uint8_t)(0x40 + i);
}

/* Parses and opens. */
static int restore(struct tow_slice text, const char *passphrase, uint8_t seed[TOW_SEED_SIZE],
                   struct tow_error *err)
{
	struct tow_key_backup backup;
	int rc = tow_key_backup_parse(text, &backup, err);

	return rc ? rc : tow_key_backup_open(&backup, tow_slice_of(passphrase), seed, err);
}

static void the_text_is_as_documented(void **state)
{
	uint8_t want[TOW_SEED_SIZE], seed[TOW_SEED_SIZE];
	struct tow_key_backup backup;
	struct tow_buf text = { 0 };
	struct tow_error err;

	(void)state;
	seed_of(want);
	if (restore(tow_slice_of(known), PASSPHRASE, seed, &err))
		fail_msg("%s", err.text);
	assert_memory_equal(seed, want, sizeof want);
	assert_int_equal(tow_key_backup_parse(tow_slice_of(known), &backup, &err), 0);
	assert_int_equal(tow_key_backup_format(&backup, &text), 0);
	assert_true(tow_slice_equal(tow_buf_peek(&text), tow_slice_of(known)));
	tow_buf_deinit(&text);
}

static void a_key_survives_the_round_trip(void **state)
{
	static const struct tow_key_backup_cost *const costs[] = { &cheap, NULL };
	uint8_t want[TOW_SEED_SIZE], seed[TOW_SEED_SIZE] = { 0 };
	struct tow_buf text[2] = { { 0 }, { 0 } };
	struct tow_key_backup backup;
	struct tow_error err;

	(void)state;
	seed_of(want);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(tow_key_backup_seal(want, tow_slice_of("\xc3\xbc x"), costs[i],
		                                     &backup, &err),
		                 0);
		assert_int_equal(tow_key_backup_format(&backup, &text[i]), 0);
		assert_int_equal(restore(tow_buf_peek(&text[i]), "\xc3\xbc x", seed, &err), 0);
		assert_memory_equal(seed, want, sizeof want);
		tow_wipe(seed, sizeof seed);
	}
	assert_true(backup.cost.passes >= 3 && backup.cost.memory_kib >= 65536);
	/* no two are alike */
	assert_int_equal(tow_key_backup_seal(want, tow_slice_of("p"), &cheap, &backup, &err), 0);
	tow_buf_clear(&text[1]);
	assert_int_equal(tow_key_backup_format(&backup, &text[1]), 0);
	assert_false(tow_slice_equal(tow_buf_peek(&text[0]), tow_buf_peek(&text[1])));
	tow_buf_deinit(&text[0]);
	tow_buf_deinit(&text[1]);
}

static void another_passphrase_opens_nothing(void **state)
{
	static const struct {
		const char *passphrase;
		int code;
	} rows[] = {
		{ "correct hors", TOW_EDENIED },
		{ "correct horse ", TOW_EDENIED },
		{ "Correct horse", TOW_EDENIED },
		{ "", TOW_EINVAL },
		{ PASSPHRASE, 0 },
	};
	uint8_t seed[TOW_SEED_SIZE];
	struct tow_error err;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		memset(seed, 0xee, sizeof seed);
		assert_int_equal(restore(tow_slice_of(known), rows[i].passphrase, seed, &err),
		                 rows[i].code);
		assert_int_equal(seed[0], rows[i].code ? 0xee : 0x40);
		if (rows[i].code)
			assert_null(strstr(err.text, "orrect"));
	}
}

static void what_is_cut_off_is_refused(void **state)
{
	struct tow_key_backup backup;
	struct tow_error err;

	(void)state;
	for (size_t len = 0; len < sizeof known - 2; len++) { /* the last newline may be missing */
		char *copy = malloc(len + 1);
		memcpy(copy, known, len);
		err.text[0] = 0;
		assert_int_equal(tow_key_backup_parse(tow_slice_make(copy, len), &backup, &err),
		                 TOW_EPARSE);
		assert_true(err.text[0]);
		free(copy);
	}
}

/* Whatever bit is flipped, the key does not come out, nor another one. */
static void what_was_changed_is_refused(void **state)
{
	uint8_t seed[TOW_SEED_SIZE];
	struct tow_error err;
	char copy[sizeof known];

	(void)state;
	for (size_t i = 0; i < sizeof known - 1; i++) {
		for (int bit = 0; bit < 8; bit++) {
			int rc;
			memcpy(copy, known, sizeof known);
			copy[i] = (char)(copy[i] ^ (1 << bit));
			rc = restore(tow_slice_make(copy, sizeof known - 1), PASSPHRASE, seed,
			             &err);
			if (rc != TOW_EPARSE && rc != TOW_EDENIED && rc != TOW_EVERSION)
				fail_msg("byte %zu, bit %d: %d", i, bit, rc);
		}
	}
}

static void fields_are_checked(void **state)
{
	static const struct {
		const char *from, *to;
		int code;
		const char *wanted;
	} rows[] = {
		{ "towonel-tenant-key", "other", TOW_EPARSE, "format" },
		{ "\"version\": 1", "\"version\": 2", TOW_EVERSION, "newer towonel" },
		{ "\"version\": 1", "\"version\": \"1\"", TOW_EPARSE, "version" },
		{ "\"version\": 1", "\"version\": 2, \"more\": 1", TOW_EVERSION, "newer towonel" },
		{ "\"version\": 1", "\"version\": 1, \"more\": 1", TOW_EPARSE, "more" },
		{ "argon2id", "argon2i", TOW_EPARSE, "kdf" },
		{ "xchacha20-poly1305", "none", TOW_EPARSE, "cipher" },
		{ TENANT, "DDF723", TOW_EPARSE, "tenant_id" },
		{ "\"passes\": 2", "\"passes\": 0", TOW_EPARSE, "passes" },
		{ "\"passes\": 2", "\"passes\": 17", TOW_EPARSE, "passes" },
		{ "\"memory_kib\": 64", "\"memory_kib\": 7", TOW_EPARSE, "memory_kib" },
		{ "\"memory_kib\": 64", "\"memory_kib\": 1048577", TOW_EPARSE, "memory_kib" },
		{ "AAECAwQFBgcICQoLDA0ODw", "AAECAwQFBgcICQoLDA0O", TOW_EPARSE, "salt" },
		{ "gIGC", "", TOW_EPARSE, "nonce" },
		{ SEALED, SEALED "AA", TOW_EPARSE, "sealed" },
		{ SEALED, "", TOW_EPARSE, "sealed" },
		{ "\"sealed\"", "\"sealing\"", TOW_EPARSE, "sealing" },
	};
	struct tow_key_backup backup;
	struct tow_error err;
	char text[2000];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *at = strstr(known, rows[i].from);
		assert_non_null(at);
		snprintf(text, sizeof text, "%.*s%s%s", (int)(at - known), known, rows[i].to,
		         at + strlen(rows[i].from));
		assert_int_equal(tow_key_backup_parse(tow_slice_of(text), &backup, &err),
		                 rows[i].code);
		if (!strstr(err.text, rows[i].wanted))
			fail_msg("row %zu: %s", i, err.text);
	}
	assert_int_equal(tow_key_backup_parse(tow_slice_of("[]"), &backup, &err), TOW_EPARSE);
	for (size_t len = TOW_KEY_BACKUP_MAX;; len++) {
		char *big = malloc(len);
		memset(big, ' ', len);
		memcpy(big, known, sizeof known - 1);
		assert_int_equal(tow_key_backup_parse(tow_slice_make(big, len), &backup, &err),
		                 len > TOW_KEY_BACKUP_MAX ? TOW_ETOOBIG : 0);
		free(big);
		if (len > TOW_KEY_BACKUP_MAX)
			break;
	}
}

static void the_cost_has_bounds(void **state)
{
	static const struct tow_key_backup_cost wrong[] = {
		{ 0, 64 },
		{ TOW_KEY_BACKUP_PASSES_MAX + 1, 64 },
		{ 1, 7 },
		{ 1, TOW_KEY_BACKUP_MEMORY_KIB_MAX + 1 },
	};
	uint8_t seed[TOW_SEED_SIZE];
	struct tow_key_backup backup;
	struct tow_error err;

	(void)state;
	seed_of(seed);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(
			tow_key_backup_seal(seed, tow_slice_of("p"), &wrong[i], &backup, &err),
			TOW_EINVAL);
	assert_int_equal(tow_key_backup_seal(seed, tow_slice_of(""), &cheap, &backup, &err),
	                 TOW_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_is_as_documented),
		cmocka_unit_test(a_key_survives_the_round_trip),
		cmocka_unit_test(another_passphrase_opens_nothing),
		cmocka_unit_test(what_is_cut_off_is_refused),
		cmocka_unit_test(what_was_changed_is_refused),
		cmocka_unit_test(fields_are_checked),
		cmocka_unit_test(the_cost_has_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
