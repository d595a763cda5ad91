/* SPDX-License-Identifier: MIT */
#include <towonel/wire/client_hello.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <towonel/wire/cursor.h>

#define SEEDS "tests/fuzz/seeds/client_hello/"
#define FILE_MAX 32768

struct expected {
	const char *file;
	int rc;
	const char *server_name;
	const char *alpn; /* joined by commas */
	int tls13;
};

/* What clients sent to a socket of ours, and what the RFCs print; "grease", "no_extensions" and
 * "other_name_type" were put together by hand. */
static const struct expected hellos[] = {
	{ "openssl", 0, "app.example.eu", "h2,http/1.1", 1 },
	{ "openssl_many_records", 0, "app.example.eu", "h2,http/1.1", 1 },
	{ "openssl_small_records", 0, "app.example.eu", "h2", 1 },
	{ "openssl_tls12", 0, "app.example.eu", "", 0 },
	{ "openssl_no_name", 0, "", "", 1 },
	{ "curl", 0, "app.example.eu", "h2,http/1.1", 1 },
	{ "gnutls", 0, "app.example.eu", "h2,http/1.1", 1 },
	{ "nss", 0, "app.example.eu", "", 1 },
	{ "nss_ech_grease", 0, "app.example.eu", "", 1 },
	{ "nss_ech", 0, "public.example.eu", "", 1 },
	{ "python", 0, "xn--bcher-kva.example", "http/1.1,towonel/1", 1 },
	{ "python_address", 0, "", "", 1 },
	{ "python_one_label", TOW_EPARSE, NULL, NULL, 0 },
	{ "wolfssl_mlkem", 0, "mlkem.example.eu", "h2,http/1.1", 1 },
	{ "wolfssl_mlkem_two_records", 0, "mlkem.example.eu", "h2,http/1.1", 1 },
	{ "rfc9001_a2", 0, "example.com", "alpn", 1 },
	{ "rfc8448_3", TOW_EPARSE, NULL, NULL, 0 }, /* its server is called "server" */
	{ "grease", 0, "grease.example.eu", "h2", 1 },
	{ "no_extensions", 0, "", "", 0 },
	{ "other_name_type", 0, "grease.example.eu", "", 0 },
};

static size_t load(const char *name, uint8_t *bytes)
{
	char path[256];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), SEEDS "%s", name);
	f = fopen(path, "rb");
	if (!f)
		fail_msg("cannot open %s", path);
	len = fread(bytes, 1, FILE_MAX, f);
	fclose(f);
	return len;
}

static void check(const struct expected *e, int rc, const struct tow_client_hello *hello)
{
	char alpn[512] = "";

	if (rc != e->rc)
		fail_msg("%s: %s", e->file, tow_strerror(rc));
	if (rc != 0)
		return;
	for (size_t i = 0; i < hello->alpn_count; i++)
		snprintf(alpn + strlen(alpn), sizeof(alpn) - strlen(alpn), "%s%.*s", i ? "," : "",
		         (int)hello->alpn[i].len, (const char *)hello->alpn[i].base);
	assert_string_equal(hello->server_name, e->server_name);
	assert_string_equal(alpn, e->alpn);
	assert_int_equal(hello->offers_tls13, e->tls13);
}

static int feed_all(struct tow_slice bytes, struct tow_client_hello *out)
{
	struct tow_client_hello_parser parser = { .total = 0 };
	int rc = tow_client_hello_feed(&parser, bytes, out);

	tow_client_hello_deinit(&parser);
	return rc;
}

static void hellos_of_real_clients_are_read(void **state)
{
	static uint8_t bytes[FILE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(hellos) / sizeof(hellos[0]); i++) {
		struct tow_client_hello_parser parser = { .total = 0 };
		struct tow_client_hello hello;
		size_t len = load(hellos[i].file, bytes);

		check(&hellos[i], tow_client_hello_feed(&parser, tow_slice_make(bytes, len), &hello), &hello);
		assert_int_equal(tow_client_hello_feed(&parser, tow_slice_make(bytes, len), &hello),
		                 TOW_EINVAL);
		tow_client_hello_deinit(&parser);
	}
}

static void every_split_reads_the_same(void **state)
{
	static uint8_t bytes[FILE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(hellos) / sizeof(hellos[0]); i++) {
		size_t len = load(hellos[i].file, bytes);

		for (size_t cut = 0; cut < len && hellos[i].rc == 0; cut++) {
			struct tow_client_hello_parser parser = { .total = 0 };
			struct tow_client_hello hello = { .legacy_version = 7 };

			assert_int_equal(tow_client_hello_feed(&parser, tow_slice_make(bytes, cut), &hello),
			                 TOW_MORE);
			assert_int_equal(hello.legacy_version, 7);
			check(&hellos[i],
			      tow_client_hello_feed(&parser, tow_slice_make(bytes + cut, len - cut), &hello),
			      &hello);
			tow_client_hello_deinit(&parser);
		}
	}
}

static void single_bytes_read_the_same(void **state)
{
	static uint8_t bytes[FILE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(hellos) / sizeof(hellos[0]); i++) {
		struct tow_client_hello_parser parser = { .total = 0 };
		struct tow_client_hello hello;
		size_t len = load(hellos[i].file, bytes);
		int rc = TOW_MORE;

		for (size_t at = 0; at < len && rc == TOW_MORE; at++)
			rc = tow_client_hello_feed(&parser, tow_slice_make(bytes + at, 1), &hello);
		check(&hellos[i], rc, &hello);
		tow_client_hello_deinit(&parser);
	}
}

static void bytes_after_the_hello_are_not_looked_at(void **state)
{
	static uint8_t bytes[FILE_MAX];
	struct tow_client_hello_parser parser = { .total = 0 };
	struct tow_client_hello hello;
	size_t len = load("curl", bytes);

	(void)state;
	memset(bytes + len, 0xff, 1000);
	assert_int_equal(tow_client_hello_feed(&parser, tow_slice_make(bytes, len + 1000), &hello), 0);
	assert_string_equal(hello.server_name, "app.example.eu");
	assert_int_equal(hello.legacy_version, 0x0303);
	tow_client_hello_deinit(&parser);
}

/* A message of one record around a list of extensions. */
static struct tow_slice hello_with(const char *extensions, size_t len)
{
	static uint8_t bytes[FILE_MAX];
	struct tow_writer w = tow_writer_of(bytes, sizeof(bytes));
	size_t body = 2 + 32 + 1 + 4 + 2 + 2 + len;

	tow_write_bytes(&w, "\x16\x03\x01", 3);
	tow_write_u16(&w, (uint16_t)(4 + body));
	tow_write_u8(&w, 1);
	tow_write_uint(&w, body, 3);
	tow_write_u16(&w, 0x0303);
	for (unsigned i = 0; i < 32; i++)
		tow_write_u8(&w, (uint8_t)i);
	tow_write_u8(&w, 0);
	tow_write_bytes(&w, "\x00\x02\x13\x01\x01\x00", 6);
	tow_write_u16(&w, (uint16_t)len);
	tow_write_bytes(&w, extensions, len);
	assert_false(tow_writer_failed(&w));
	return tow_slice_make(bytes, w.len);
}

static void extensions_are_checked(void **state)
{
#define BYTES(text) text, sizeof(text) - 1
#define NAME "\0\0\0\x0b\0\x09\0\0\x06" "a.b.eu"
	static const struct {
		const char *what;
		const char *extensions;
		size_t len;
		int rc;
	} cases[] = {
		{ "none", BYTES(""), 0 },
		{ "a name", BYTES(NAME), 0 },
		{ "two names", BYTES(NAME NAME), TOW_EPARSE },
		{ "two names in one list", BYTES("\0\0\0\x14\0\x12\0\0\x06" "a.b.eu" "\0\0\x06" "c.d.eu"), TOW_EPARSE },
		{ "an empty list", BYTES("\0\0\0\x02\0\0"), TOW_EPARSE },
		{ "an empty extension", BYTES("\0\0\0\0"), TOW_EPARSE },
		{ "an empty name", BYTES("\0\0\0\x05\0\x03\0\0\0"), TOW_EPARSE },
		{ "an address", BYTES("\0\0\0\x0e\0\x0c\0\0\x09" "192.0.2.1"), TOW_EPARSE },
		{ "a NUL", BYTES("\0\0\0\x0b\0\x09\0\0\x06" "a.b\0eu"), TOW_EPARSE },
		{ "a wildcard", BYTES("\0\0\0\x0b\0\x09\0\0\x06" "*.b.eu"), TOW_EPARSE },
		{ "a name cut off", BYTES("\0\0\0\x0b\0\x09\0\0\x07" "a.b.eu"), TOW_EPARSE },
		{ "bytes after the list", BYTES("\0\0\0\x0c\0\x09\0\0\x06" "a.b.eu!"), TOW_EPARSE },
		{ "bytes after the extensions", BYTES(NAME "\0"), TOW_EPARSE },
		{ "ALPN", BYTES("\0\x10\0\x05\0\x03\x02h2"), 0 },
		{ "ALPN twice", BYTES("\0\x10\0\x05\0\x03\x02h2" "\0\x10\0\x05\0\x03\x02h2"), TOW_EPARSE },
		{ "ALPN without a protocol", BYTES("\0\x10\0\x02\0\0"), TOW_EPARSE },
		{ "ALPN with an empty protocol", BYTES("\0\x10\0\x06\0\x04\0\x02h2"), TOW_EPARSE },
		{ "ALPN cut off", BYTES("\0\x10\0\x05\0\x03\x03h2"), TOW_EPARSE },
		{ "versions", BYTES("\0\x2b\0\x03\x02\x03\x04"), 0 },
		{ "half a version", BYTES("\0\x2b\0\x04\x03\x03\x04\x03"), TOW_EPARSE },
		{ "no version", BYTES("\0\x2b\0\x01\0"), TOW_EPARSE },
		{ "an unknown one twice", BYTES("\x12\x34\0\x01!\x12\x34\0\x01!"), 0 },
		{ "an unknown one cut off", BYTES("\x12\x34\0\x02!"), TOW_EPARSE },
	};
	struct tow_client_hello hello;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (feed_all(hello_with(cases[i].extensions, cases[i].len), &hello) != cases[i].rc)
			fail_msg("%s", cases[i].what);
}

static void only_so_many_protocols_are_kept(void **state)
{
	char list[6 + 3 * 40] = { 0, 16, 0, 2 + 3 * 40, 0, 3 * 40 };
	struct tow_client_hello hello;

	(void)state;
	for (size_t i = 0; i < 40; i++)
		memcpy(list + 6 + 3 * i, "\x02h2", 3);
	assert_int_equal(feed_all(hello_with(list, sizeof(list)), &hello), 0);
	assert_int_equal(hello.alpn_count, TOW_ALPN_MAX);
}

static void what_is_no_hello_is_refused_at_once(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{ BYTES("G") },                                /* HTTP */
		{ BYTES("\x80\x2e\x01") },                     /* SSL 2 */
		{ BYTES("\x15\x03") },                         /* an alert */
		{ BYTES("\x16\x02") },                         /* no version of TLS */
		{ BYTES("\x16\x03\x01\x00\x00") },             /* an empty record */
		{ BYTES("\x16\x03\x01\x40\x01") },             /* a record too long */
		{ BYTES("\x16\x03\x01\x00\x10\x02") },         /* a ServerHello */
		{ BYTES("\x16\x03\x01\x00\x01\x01\x17\x03") }, /* data between its records */
		{ BYTES("\x16\x03\x03\x00\x04\x01\x00\x00\x00") }, /* an empty hello */
	};
	struct tow_client_hello hello;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (feed_all(tow_slice_make(cases[i].bytes, cases[i].len), &hello) != TOW_EPARSE)
			fail_msg("case %zu", i);
	}
}

static void the_fixed_part_is_checked(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t byte;
	} cases[] = {
		{ "version", 9, 2 },
		{ "session id of 33", 43, 33 },
		{ "odd cipher suites", 45, 1 },
		{ "no cipher suites", 45, 0 },
		{ "compressions", 48, 0 },
		{ "extensions too long", 51, 200 },
		{ "extensions too short", 51, 1 },
	};
	struct tow_client_hello hello;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tow_slice bytes = hello_with(NAME, sizeof(NAME) - 1);

		assert_int_equal(feed_all(bytes, &hello), 0);
		((uint8_t *)(uintptr_t)bytes.base)[cases[i].at] = cases[i].byte;
		if (feed_all(bytes, &hello) != TOW_EPARSE)
			fail_msg("%s", cases[i].what);
	}
}

static void an_endless_hello_is_cut_off(void **state)
{
	static uint8_t bytes[2 * TOW_CLIENT_HELLO_MAX];
	struct tow_client_hello hello;
	int rc = TOW_MORE;

	(void)state;
	/* announced too long: known from the first nine bytes */
	memcpy(bytes, "\x16\x03\x01\x40\x00\x01\x00\x40\x00", 9);
	assert_int_equal(feed_all(tow_slice_make(bytes, 8), &hello), TOW_MORE);
	assert_int_equal(feed_all(tow_slice_make(bytes, 9), &hello), TOW_ETOOBIG);

	/* an honest length, in records of one byte: the headers count */
	memcpy(bytes, "\x16\x03\x01\x00\x04\x01\x00\x20\x00", 9);
	for (size_t at = 9; at + 6 <= sizeof(bytes); at += 6)
		memcpy(bytes + at, "\x16\x03\x01\x00\x01\x00", 6);
	for (int pieces = 0; pieces < 2; pieces++) {
		struct tow_client_hello_parser parser = { .total = 0 };
		size_t at = 0;

		for (rc = TOW_MORE; rc == TOW_MORE && at < sizeof(bytes);) {
			size_t n = pieces ? 1 : sizeof(bytes);

			rc = tow_client_hello_feed(&parser, tow_slice_make(bytes + at, n), &hello);
			at += n;
		}
		assert_int_equal(rc, TOW_ETOOBIG);
		assert_int_equal(parser.total, TOW_CLIENT_HELLO_MAX);
		tow_client_hello_deinit(&parser);
	}
}

/* An extension of padding (RFC 7685) brings the raw bytes to exactly the limit, and past it. */
static void the_limit_is_exact(void **state)
{
	static char extension[TOW_CLIENT_HELLO_MAX];
	const size_t others = 5 + 4 + 2 + 32 + 1 + 4 + 2 + 2;
	struct tow_client_hello hello;

	(void)state;
	for (size_t over = 0; over < 2; over++) {
		size_t len = TOW_CLIENT_HELLO_MAX - others + over;

		extension[1] = 21;
		extension[2] = (char)((len - 4) >> 8);
		extension[3] = (char)(len - 4);
		assert_int_equal(feed_all(hello_with(extension, len), &hello), over ? TOW_ETOOBIG : 0);
	}
}

static void alerts_are_records(void **state)
{
	uint8_t out[TOW_TLS_ALERT_SIZE];

	(void)state;
	tow_tls_alert_write(TOW_ALERT_UNRECOGNIZED_NAME, out);
	assert_memory_equal(out, "\x15\x03\x03\x00\x02\x02\x70", sizeof(out));
}

static void signatures_are_read(void **state)
{
	static const struct {
		const char *file;
		int takes_ed25519;
	} cases[] = {
		{ "openssl", 1 },
		{ "no_extensions", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tow_client_hello_parser parser = { .done = 0 };
		struct tow_client_hello hello;
		uint8_t bytes[FILE_MAX];
		size_t len = load(cases[i].file, bytes);

		assert_int_equal(tow_client_hello_feed(&parser, tow_slice_make(bytes, len), &hello), 0);
		assert_int_equal(hello.takes_ed25519, cases[i].takes_ed25519);
		tow_client_hello_deinit(&parser);
	}
}

static void groups_are_read(void **state)
{
	static const struct {
		const char *file;
		size_t count;
		uint16_t first;
	} cases[] = {
		{ "openssl", 5, 29 },
		{ "wolfssl_mlkem", 1, 0x11ec },
		{ "no_extensions", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tow_client_hello_parser parser = { .done = 0 };
		struct tow_client_hello hello;
		uint8_t bytes[FILE_MAX];
		size_t len = load(cases[i].file, bytes);

		assert_int_equal(tow_client_hello_feed(&parser, tow_slice_make(bytes, len), &hello), 0);
		assert_true(hello.group_count >= cases[i].count);
		assert_int_equal(hello.groups[0], cases[i].first);
		tow_client_hello_deinit(&parser);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hellos_of_real_clients_are_read),
		cmocka_unit_test(every_split_reads_the_same),
		cmocka_unit_test(single_bytes_read_the_same),
		cmocka_unit_test(bytes_after_the_hello_are_not_looked_at),
		cmocka_unit_test(extensions_are_checked),
		cmocka_unit_test(only_so_many_protocols_are_kept),
		cmocka_unit_test(what_is_no_hello_is_refused_at_once),
		cmocka_unit_test(the_fixed_part_is_checked),
		cmocka_unit_test(an_endless_hello_is_cut_off),
		cmocka_unit_test(the_limit_is_exact),
		cmocka_unit_test(alerts_are_records),
		cmocka_unit_test(groups_are_read),
		cmocka_unit_test(signatures_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
