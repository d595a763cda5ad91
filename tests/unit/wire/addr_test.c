/* SPDX-License-Identifier: MIT */
#include <towonel/wire/addr.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct tow_addr host(const char *text)
{
	struct tow_addr addr;

	if (tow_addr_parse_host(tow_slice_of(text), &addr))
		fail_msg("\"%s\" should be an address", text);
	return addr;
}

/* RFC 5952: section 1 and 2 (the spellings), 4.1, 4.2.1 to 4.2.3, 4.3, 5. */
static void addresses_are_written_canonically(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
		{ "2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
		{ "2001:db8::1:0:0:1", "2001:db8::1:0:0:1" },
		{ "2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1" },
		{ "2001:0db8::1:0:0:1", "2001:db8::1:0:0:1" },
		{ "2001:db8:0:0:1::1", "2001:db8::1:0:0:1" },
		{ "2001:DB8:0:0:1::1", "2001:db8::1:0:0:1" },
		{ "2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1" },
		{ "2001:db8:aaaa:bbbb:cccc:dddd::1", "2001:db8:aaaa:bbbb:cccc:dddd:0:1" },
		{ "2001:0db8::0001", "2001:db8::1" },
		{ "2001:db8:0:0:0:0:2:1", "2001:db8::2:1" },
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
		{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
		{ "2001:db8:0:0:1:0:0:0", "2001:db8:0:0:1::" },
		{ "::ffff:c000:0201", "::ffff:192.0.2.1" },
		{ "::c000:201", "::c000:201" },
		{ "::", "::" },
		{ "::1", "::1" },
		{ "1::", "1::" },
		{ "0:0:1::", "0:0:1::" },
		{ "1:0:0:2:0:0:3:0", "1::2:0:0:3:0" },
		{ "fe80::", "fe80::" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
		{ "0.0.0.0", "0.0.0.0" },
		{ "255.255.255.255", "255.255.255.255" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_addr addr = host(cases[i].in), again;
		char text[TOW_ADDR_TEXT_SIZE], with_port[TOW_ADDR_TEXT_SIZE + 16];

		assert_ptr_equal(tow_addr_format_host(&addr, text), text);
		assert_string_equal(text, cases[i].out);
		assert_true(tow_addr_equal(&addr, &(struct tow_addr){ 0 }) == 0);
		addr.port = 65535;
		snprintf(with_port, sizeof with_port, addr.family == 6 ? "[%s]:65535" : "%s:65535",
		         cases[i].out);
		assert_string_equal(tow_addr_format(&addr, text), with_port);
		assert_int_equal(tow_addr_parse(tow_slice_of(text), &again), 0);
		assert_true(tow_addr_equal(&addr, &again));
		again.port = 1;
		assert_false(tow_addr_equal(&addr, &again));
		assert_true(tow_addr_same_host(&addr, &again));
	}
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const hosts[] = {
		"",
		"1",
		"1.2.3",
		"1.2.3.4.5",
		"256.1.1.1",
		"01.2.3.4",
		"1.2.3.4 ",
		" 1.2.3.4",
		"0x7f.1",
		":",
		":::",
		"1::2::3",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"12345::",
		"::g",
		"[::1]",
		"fe80::1%eth0",
		"::1.2.3",
		"localhost",
		"1.2.3.4:80",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
	};
	static const char *const pairs[] = {
		"",
		":",
		"1.2.3.4",
		"1.2.3.4:",
		"1.2.3.4:65536",
		"1.2.3.4:-1",
		"1.2.3.4:+1",
		"1.2.3.4: 1",
		"1.2.3.4:080",
		"1.2.3.4:1x",
		"1.2.3.4:100000",
		"[1.2.3.4]:80",
		"::1:80",
		"[::1]",
		"[::1]80",
		"[::1]:",
		"[::1",
		"]:80",
		"[]:80",
		"[::1]]:80",
		"localhost:80",
		"1.2.3.4:80:90",
	};
	struct tow_addr addr = { .port = 77 };

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		if (tow_addr_parse_host(tow_slice_of(hosts[i]), &addr) != TOW_EPARSE)
			fail_msg("took \"%s\"", hosts[i]);
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (tow_addr_parse(tow_slice_of(pairs[i]), &addr) != TOW_EPARSE)
			fail_msg("took \"%s\"", pairs[i]);
	assert_int_equal(tow_addr_parse_host(tow_slice_make("1.2.3.4\0", 8), &addr), TOW_EPARSE);
	assert_int_equal(tow_addr_parse_host(tow_slice_make(NULL, 0), &addr), TOW_EPARSE);
	assert_int_equal(tow_addr_parse(tow_slice_make(NULL, 0), &addr), TOW_EPARSE);
	assert_int_equal(addr.port, 77); /* untouched */
	assert_int_equal(tow_addr_parse(tow_slice_of("127.0.0.1:0"), &addr), 0);
	assert_int_equal(addr.port, 0);
}

static void mapped_addresses_become_ipv4(void **state)
{
	struct tow_addr mapped = host("::ffff:192.0.2.1"), plain = host("192.0.2.1"), other;

	(void)state;
	assert_false(tow_addr_same_host(&mapped, &plain));
	tow_addr_unmap(&mapped);
	assert_memory_equal(&mapped, &plain, sizeof plain);
	tow_addr_unmap(&mapped);
	assert_memory_equal(&mapped, &plain, sizeof plain);
	other = host("::192.0.2.1");
	tow_addr_unmap(&other);
	assert_int_equal(other.family, 6);
}

static void private_and_public_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		int private, loopback;
	} cases[] = {
		{ "0.0.0.0", 1, 0 },
		{ "0.0.0.1", 0, 0 },
		{ "9.255.255.255", 0, 0 },
		{ "10.0.0.0", 1, 0 },
		{ "10.255.255.255", 1, 0 },
		{ "11.0.0.0", 0, 0 },
		{ "100.63.255.255", 0, 0 },
		{ "100.64.0.0", 1, 0 },
		{ "100.127.255.255", 1, 0 },
		{ "100.128.0.0", 0, 0 },
		{ "126.255.255.255", 0, 0 },
		{ "127.0.0.1", 1, 1 },
		{ "127.255.255.255", 1, 1 },
		{ "128.0.0.1", 0, 0 },
		{ "169.254.1.1", 1, 0 },
		{ "169.255.0.0", 0, 0 },
		{ "172.15.255.255", 0, 0 },
		{ "172.16.0.0", 1, 0 },
		{ "172.31.255.255", 1, 0 },
		{ "172.32.0.0", 0, 0 },
		{ "192.168.255.1", 1, 0 },
		{ "192.169.0.0", 0, 0 },
		{ "203.0.113.7", 0, 0 },
		{ "::", 1, 0 },
		{ "::1", 1, 1 },
		{ "::2", 0, 0 },
		{ "fc00::1", 1, 0 },
		{ "fdff::1", 1, 0 },
		{ "fbff::1", 0, 0 },
		{ "fe80::1", 1, 0 },
		{ "febf::1", 1, 0 },
		{ "fec0::1", 0, 0 },
		{ "2001:db8::1", 0, 0 },
		{ "::ffff:10.1.2.3", 1, 0 },
		{ "::ffff:127.0.0.1", 1, 1 },
		{ "::ffff:8.8.8.8", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_addr addr = host(cases[i].text);
		if (tow_addr_is_private(&addr) != cases[i].private ||
		    tow_addr_is_loopback(&addr) != cases[i].loopback)
			fail_msg("%s", cases[i].text);
	}
	assert_false(tow_addr_is_private(&(struct tow_addr){ 0 }));
}

static void host_and_port_are_split(void **state)
{
	static const struct {
		const char *text, *host;
		unsigned port;
	} good[] = {
		{ "127.0.0.1:8080", "127.0.0.1", 8080 },
		{ "localhost:1", "localhost", 1 },
		{ "my_app-1:65535", "my_app-1", 65535 },
		{ "Forgejo.svc.Cluster.local.:22", "Forgejo.svc.Cluster.local.", 22 },
		{ "[::1]:443", "::1", 443 },
		{ "[::ffff:1.2.3.4]:443", "::ffff:1.2.3.4", 443 },
		{ "3com.example:80", "3com.example", 80 },
	};
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "", "port are missing" },
		{ "localhost", "port is missing" },
		{ "[::1]", "port is missing" },
		{ "http://localhost:80", "URL" },
		{ "::1:80", "brackets" },
		{ "[::1", "\"]\"" },
		{ "[::1]80", "after \"]\"" },
		{ "[localhost]:80", "no IPv6 address" },
		{ "[127.0.0.1]:80", "no IPv6 address" },
		{ "localhost:0", "1 to 65535" },
		{ "localhost:", "1 to 65535" },
		{ "localhost:65536", "1 to 65535" },
		{ "localhost:http", "1 to 65535" },
		{ ":80", "host is missing" },
		{ ".:80", "host is missing" },
		{ "a..b:80", "empty label" },
		{ ".a:80", "empty label" },
		{ "a b:80", "character" },
		{ "192.168.1.300:80", "IPv4" },
		{ "192.168.1:80", "IPv4" },
		{ "80:80", "IPv4" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80", "label" },
	};
	char name[254], text[300];
	uint16_t port;
	struct tow_error err;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		if (tow_host_port_split(tow_slice_of(good[i].text), name, &port, &err))
			fail_msg("%s: %s", good[i].text, err.text);
		assert_string_equal(name, good[i].host);
		assert_int_equal(port, good[i].port);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(tow_host_port_split(tow_slice_of(bad[i].text), name, &port, &err),
		                 TOW_EPARSE);
		if (!strstr(err.text, bad[i].why))
			fail_msg("\"%s\": \"%s\"", bad[i].text, err.text);
	}
	assert_string_equal(name, "3com.example"); /* failures write nothing */
	/* 253 bytes of name are the most */
	for (size_t len = 250; len < 260; len++) {
		for (size_t i = 0; i < len; i++)
			text[i] = i % 50 == 49 ? '.' : 'a';
		memcpy(text + len, ":1", 3);
		if (text[len - 1] == '.')
			text[len - 1] = 'a';
		assert_int_equal(tow_host_port_split(tow_slice_of(text), name, &port, NULL),
		                 len <= 253 ? 0 : TOW_EPARSE);
	}
}

/* Every prefix, and every byte replaced by every value: a result or an error, and what is taken
 * is written back as an equal address. */
static void mangled_texts_do_no_harm(void **state)
{
	static const char *const texts[] = { "192.0.2.1:443", "[2001:db8::1]:443",
		                             "[::ffff:1.2.3.4]:1" };
	char name[254];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		size_t len = strlen(texts[i]);
		for (size_t cut = 0; cut < len; cut++) {
			struct tow_addr addr;
			uint8_t exact[64];
			memcpy(exact + sizeof exact - cut, texts[i], cut);
			struct tow_slice s = tow_slice_make(exact + sizeof exact - cut, cut);
			if (!tow_addr_parse(s, &addr))
				assert_true(cut > len - 3);
			tow_host_port_split(s, name, &port, NULL);
		}
		for (size_t at = 0; at < len; at++) {
			for (unsigned c = 0; c < 256; c++) {
				struct tow_addr addr, again;
				char copy[32], text[TOW_ADDR_TEXT_SIZE];
				memcpy(copy, texts[i], len + 1);
				copy[at] = (char)c;
				tow_host_port_split(tow_slice_make(copy, len), name, &port, NULL);
				if (tow_addr_parse(tow_slice_make(copy, len), &addr))
					continue;
				tow_addr_format(&addr, text);
				assert_int_equal(tow_addr_parse(tow_slice_of(text), &again), 0);
				assert_true(tow_addr_equal(&addr, &again));
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_written_canonically),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(mapped_addresses_become_ipv4),
		cmocka_unit_test(private_and_public_are_told_apart),
		cmocka_unit_test(host_and_port_are_split),
		cmocka_unit_test(mangled_texts_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
