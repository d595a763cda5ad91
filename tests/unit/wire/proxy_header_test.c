/* SPDX-License-Identifier: MIT */
#include <towonel/wire/proxy_header.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define BYTES(text) { (const uint8_t *)(text), sizeof(text) - 1 }
/* proxy-protocol.txt section 2.2 */
#define SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
/* the addresses of its example in section 2.1: 192.168.0.1:56324 to 192.168.0.11:443 */
#define ADDRESSES "\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb"

static struct tow_addr addr_of(const char *text)
{
	struct tow_addr addr = { .family = 0 };

	if (text)
		assert_int_equal(tow_addr_parse(tow_slice_of(text), &addr), 0);
	return addr;
}

/* Both ways: each is what writing gives, and reading it gives the header again. */
static const struct {
	const char *what;
	enum tow_proxy_command command;
	enum tow_proxy_transport transport;
	const char *source, *destination;
	const char *authority, *alpn, *unique_id;
	struct tow_slice bytes;
} headers[] = {
	{ "LOCAL", TOW_PROXY_LOCAL, TOW_PROXY_STREAM, NULL, NULL, "", "", "",
	  BYTES(SIGNATURE "\x20\x00\x00\x00") },
	{ "unspecified", TOW_PROXY_PROXY, TOW_PROXY_STREAM, NULL, NULL, "", "", "",
	  BYTES(SIGNATURE "\x21\x00\x00\x00") },
	{ "TCP over IPv4", TOW_PROXY_PROXY, TOW_PROXY_STREAM, "192.168.0.1:56324", "192.168.0.11:443", "", "",
	  "", BYTES(SIGNATURE "\x21\x11\x00\x0c" ADDRESSES) },
	{ "UDP over IPv4", TOW_PROXY_PROXY, TOW_PROXY_DGRAM, "192.168.0.1:56324", "192.168.0.11:443",
	  "udp:dns", "", "", BYTES(SIGNATURE "\x21\x12\x00\x16" ADDRESSES "\x02\x00\x07udp:dns") },
	{ "TCP over IPv6", TOW_PROXY_PROXY, TOW_PROXY_STREAM, "[2001:db8::1]:1", "[2001:db8::2]:65535",
	  "a.b.eu", "h2", "0123456789abcdef",
	  BYTES(SIGNATURE "\x21\x21\x00\x45"
	                  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
	                  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
	                  "\x00\x01\xff\xff"
	                  "\x01\x00\x02h2"
	                  "\x02\x00\x06" "a.b.eu"
	                  "\x05\x00\x10" "0123456789abcdef") },
};

static void headers_go_both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		const struct tow_proxy_header header = {
			.command = headers[i].command,
			.transport = headers[i].transport,
			.source = addr_of(headers[i].source),
			.destination = addr_of(headers[i].destination),
			.authority = tow_slice_of(headers[i].authority),
			.alpn = tow_slice_of(headers[i].alpn),
			.unique_id = tow_slice_of(headers[i].unique_id),
		};
		uint8_t out[TOW_PROXY_HEADER_MAX];
		struct tow_proxy_header read;
		size_t len;
		int n = tow_proxy_header_write(&header, 0, out, sizeof(out));

		if (n < 0 || !tow_slice_equal(tow_slice_make(out, (size_t)n), headers[i].bytes))
			fail_msg("%s is written otherwise", headers[i].what);
		assert_int_equal(tow_proxy_header_write(&header, 0, out, (size_t)n - 1), TOW_ETOOBIG);

		for (int with_checksum = 0; with_checksum < 2; with_checksum++) {
			n = tow_proxy_header_write(&header, with_checksum, out, sizeof(out));
			for (size_t prefix = 0; prefix < (size_t)n; prefix++)
				assert_int_equal(tow_proxy_header_read(tow_slice_make(out, prefix), &read, &len),
				                 TOW_MORE);
			assert_int_equal(tow_proxy_header_read(tow_slice_make(out, sizeof(out)), &read, &len), 0);
			assert_int_equal(len, n);
			assert_int_equal(read.command, header.command);
			assert_int_equal(read.transport, header.transport);
			assert_true(tow_addr_equal(&read.source, &header.source));
			assert_true(tow_addr_equal(&read.destination, &header.destination));
			assert_true(tow_slice_equal(read.authority, header.authority));
			assert_true(tow_slice_equal(read.alpn, header.alpn));
			assert_true(tow_slice_equal(read.unique_id, header.unique_id));
		}
	}
}

static void every_flipped_bit_breaks_the_checksum(void **state)
{
	struct tow_proxy_header header = {
		.command = TOW_PROXY_PROXY,
		.source = addr_of("192.0.2.1:1000"),
		.destination = addr_of("192.0.2.2:443"),
		.authority = tow_slice_of("app.example.eu"),
	};
	uint8_t out[TOW_PROXY_HEADER_MAX];
	struct tow_proxy_header read;
	size_t len, passed = 0;
	int n = tow_proxy_header_write(&header, 1, out, sizeof(out));

	(void)state;
	for (size_t bit = 0; bit < (size_t)n * 8; bit++) {
		out[bit / 8] ^= (uint8_t)(1u << bit % 8);
		passed += tow_proxy_header_read(tow_slice_make(out, (size_t)n), &read, &len) == 0;
		out[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	/* PROXY became LOCAL, which is not looked into; and the type of the checksum's TLV has eight
	 * neighbours, of which only the authority is refused, being the second one. */
	assert_int_equal(passed, 1 + 7);
}

static size_t load(const char *name, uint8_t *bytes, size_t cap)
{
	char path[256];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "tests/fuzz/seeds/proxy_header/%s", name);
	f = fopen(path, "rb");
	if (!f)
		fail_msg("cannot open %s", path);
	len = fread(bytes, 1, cap, f);
	fclose(f);
	return len;
}

/* Recorded from HAProxy 2.6. */
static void headers_of_haproxy_are_read(void **state)
{
	static const struct {
		const char *file;
		enum tow_proxy_command command;
		const char *source, *destination;
		const char *authority, *alpn, *unique_id;
	} cases[] = {
		{ "haproxy_check", TOW_PROXY_LOCAL, NULL, NULL, "", "", "" },
		{ "haproxy_v4", TOW_PROXY_PROXY, "127.0.0.1:@", "127.0.0.1:@", "", "", "" },
		{ "haproxy_v6_crc", TOW_PROXY_PROXY, "[::1]:@", "[::1]:@", "", "", "@" },
		{ "haproxy_tls", TOW_PROXY_PROXY, "127.0.0.1:@", "127.0.0.1:@", "app.example.eu", "h2", "@" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t bytes[512];
		size_t size = load(cases[i].file, bytes, sizeof(bytes)), len;
		struct tow_proxy_header read;

		if (tow_proxy_header_read(tow_slice_make(bytes, size), &read, &len) != 0)
			fail_msg("%s is not read", cases[i].file);
		assert_int_equal(len, size);
		assert_int_equal(read.command, cases[i].command);
		assert_true(tow_slice_equal(read.authority, tow_slice_of(cases[i].authority)));
		assert_true(tow_slice_equal(read.alpn, tow_slice_of(cases[i].alpn)));
		assert_int_equal(read.unique_id.len > 0, cases[i].unique_id[0] == '@');
		assert_int_equal(read.source.family != 0, cases[i].source != NULL);
		if (cases[i].source) {
			assert_true(tow_addr_is_loopback(&read.source));
			assert_true(tow_addr_is_loopback(&read.destination));
			assert_true(read.source.port != 0 && read.destination.port != 0);
		}
	}
}

/* Where HAProxy has nothing to choose, both write the same bytes. */
static void headers_are_written_as_haproxy_does(void **state)
{
	static const char *const files[] = { "haproxy_check", "haproxy_v4" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		uint8_t bytes[512], out[512];
		size_t size = load(files[i], bytes, sizeof(bytes)), len;
		struct tow_proxy_header read;

		assert_int_equal(tow_proxy_header_read(tow_slice_make(bytes, size), &read, &len), 0);
		assert_int_equal(tow_proxy_header_write(&read, i == 0, out, sizeof(out)), size);
		assert_memory_equal(out, bytes, size);
	}
}

static void bad_headers_are_refused(void **state)
{
	static const struct {
		const char *what;
		struct tow_slice bytes;
		int rc;
	} cases[] = {
		{ "nothing", BYTES(""), TOW_MORE },
		{ "HTTP", BYTES("G"), TOW_EPARSE },
		{ "version 1 of the protocol", BYTES("PROXY TCP4 "), TOW_EPARSE },
		{ "almost the signature", BYTES("\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x55"), TOW_EPARSE },
		{ "version 1", BYTES(SIGNATURE "\x11"), TOW_EPARSE },
		{ "version 3", BYTES(SIGNATURE "\x31\x11"), TOW_EPARSE },
		{ "command 2", BYTES(SIGNATURE "\x22\x11\x00\x0c" ADDRESSES), TOW_EPARSE },
		{ "family 4", BYTES(SIGNATURE "\x21\x41\x00\x0c" ADDRESSES), TOW_EPARSE },
		{ "transport 3", BYTES(SIGNATURE "\x21\x13\x00\x0c" ADDRESSES), TOW_EPARSE },
		{ "no transport", BYTES(SIGNATURE "\x21\x10\x00\x0c" ADDRESSES), TOW_EPARSE },
		{ "short addresses", BYTES(SIGNATURE "\x21\x11\x00\x0b" ADDRESSES), TOW_EPARSE },
		{ "IPv6 with those of IPv4", BYTES(SIGNATURE "\x21\x21\x00\x0c" ADDRESSES), TOW_EPARSE },
		{ "AF_UNIX without addresses", BYTES(SIGNATURE "\x21\x31\x00\x00"), TOW_EPARSE },
		{ "half a TLV", BYTES(SIGNATURE "\x21\x11\x00\x0e" ADDRESSES "\x02\x00"), TOW_EPARSE },
		{ "a TLV too long", BYTES(SIGNATURE "\x21\x11\x00\x10" ADDRESSES "\x02\x00\x02" "a"), TOW_EPARSE },
		{ "two authorities",
		  BYTES(SIGNATURE "\x21\x11\x00\x14" ADDRESSES "\x02\x00\x01" "a" "\x02\x00\x01" "a"), TOW_EPARSE },
		{ "a checksum of 3 bytes", BYTES(SIGNATURE "\x21\x11\x00\x12" ADDRESSES "\x03\x00\x03\0\0\0"),
		  TOW_EPARSE },
		{ "a wrong checksum", BYTES(SIGNATURE "\x21\x11\x00\x13" ADDRESSES "\x03\x00\x04\0\0\0\0"),
		  TOW_EPARSE },
		{ "more than there is", BYTES(SIGNATURE "\x21\x11\x03\xf0" ADDRESSES), TOW_MORE },
		{ "more than the limit", BYTES(SIGNATURE "\x21\x11\x03\xf1" ADDRESSES), TOW_ETOOBIG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tow_proxy_header read = { .transport = TOW_PROXY_DGRAM };
		size_t len = 7;
		int rc = tow_proxy_header_read(cases[i].bytes, &read, &len);

		if (rc != cases[i].rc)
			fail_msg("%s: %s", cases[i].what, tow_strerror(rc));
		assert_int_equal(len, 7);
		assert_int_equal(read.transport, TOW_PROXY_DGRAM);
	}
}

static void what_is_not_ours_is_skipped(void **state)
{
	static const struct {
		const char *what;
		struct tow_slice bytes;
		uint8_t family;
		const char *authority;
	} cases[] = {
		{ "padding, twice",
		  BYTES(SIGNATURE "\x21\x11\x00\x17" ADDRESSES "\x04\x00\x00\x04\x00\x01!\x02\x00\x01" "a"),
		  4, "a" },
		{ "types for applications",
		  BYTES(SIGNATURE "\x21\x11\x00\x14" ADDRESSES "\xe0\x00\x01!\xe0\x00\x01!"), 4,
		  "" },
		{ "UNSPEC with TLVs", BYTES(SIGNATURE "\x21\x00\x00\x04\x02\x00\x01" "a"), 0, "a" },
		{ "LOCAL of an unknown family", BYTES(SIGNATURE "\x20\xff\x00\x04\x02\x00\x01" "a"), 0, "" },
		{ "LOCAL with noise", BYTES(SIGNATURE "\x20\x11\x00\x03???"), 0, "" },
	};
	uint8_t local_socket[16 + 216 + 4] = SIGNATURE "\x21\x31\x00\xdc";
	struct tow_proxy_header read;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (tow_proxy_header_read(cases[i].bytes, &read, &len) != 0)
			fail_msg("%s is not read", cases[i].what);
		assert_int_equal(len, cases[i].bytes.len);
		assert_int_equal(read.source.family, cases[i].family);
		assert_true(tow_slice_equal(read.authority, tow_slice_of(cases[i].authority)));
	}
	memcpy(local_socket + 16 + 216, "\x02\x00\x01" "a", 4);
	assert_int_equal(tow_proxy_header_read(tow_slice_make(local_socket, sizeof(local_socket)), &read, &len), 0);
	assert_int_equal(len, sizeof(local_socket));
	assert_int_equal(read.source.family, 0);
	assert_true(tow_slice_equal(read.authority, tow_slice_of("a")));
}

static void what_cannot_be_written_is_refused(void **state)
{
	static const uint8_t long_value[TOW_PROXY_HEADER_MAX];
	uint8_t out[2 * TOW_PROXY_HEADER_MAX];
	struct tow_proxy_header header = { .command = TOW_PROXY_PROXY };

	(void)state;
	header.source = addr_of("192.0.2.1:1");
	assert_int_equal(tow_proxy_header_write(&header, 0, out, sizeof(out)), TOW_EINVAL);
	header.destination = addr_of("[2001:db8::1]:1");
	assert_int_equal(tow_proxy_header_write(&header, 0, out, sizeof(out)), TOW_EINVAL);
	header.destination = addr_of("192.0.2.1:1");
	header.unique_id = tow_slice_make(long_value, 129);
	assert_int_equal(tow_proxy_header_write(&header, 0, out, sizeof(out)), TOW_ETOOBIG);
	header.unique_id.len = 128;
	assert_int_equal(tow_proxy_header_write(&header, 0, out, sizeof(out)), 16 + 12 + 3 + 128);
	header.authority = tow_slice_make(long_value, TOW_PROXY_HEADER_MAX - (16 + 12 + 3 + 128) - 3);
	assert_int_equal(tow_proxy_header_write(&header, 0, out, sizeof(out)), TOW_PROXY_HEADER_MAX);
	assert_int_equal(tow_proxy_header_write(&header, 1, out, sizeof(out)), TOW_ETOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_go_both_ways),
		cmocka_unit_test(every_flipped_bit_breaks_the_checksum),
		cmocka_unit_test(headers_of_haproxy_are_read),
		cmocka_unit_test(headers_are_written_as_haproxy_does),
		cmocka_unit_test(bad_headers_are_refused),
		cmocka_unit_test(what_is_not_ours_is_skipped),
		cmocka_unit_test(what_cannot_be_written_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
