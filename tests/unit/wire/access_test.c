/* SPDX-License-Identifier: MIT */
#include <towonel/wire/access.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct tow_addr addr_of(const char *text)
{
	struct tow_addr addr;

	assert_int_equal(tow_addr_parse_host(tow_slice_of(text), &addr), 0);
	return addr;
}

/* Two lists, with commas between their prefixes. */
static struct tow_access access_of(const char *allow, const char *deny)
{
	struct tow_access access;
	struct tow_error err;

	memset(&access, 0, sizeof access);
	if (tow_access_parse(&access, TOW_ACCESS_ALLOW, tow_slice_of(allow), &err) ||
	    tow_access_parse(&access, TOW_ACCESS_DENY, tow_slice_of(deny), &err))
		fail_msg("%s", err.text);
	return access;
}

static void prefixes_are_read_and_written(void **state)
{
	static const struct {
		const char *text, *written;
	} cases[] = {
		{ "192.0.2.0/24", "192.0.2.0/24" },
		{ "192.0.2.1", "192.0.2.1" },
		{ "192.0.2.1/32", "192.0.2.1" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "128.0.0.0/1", "128.0.0.0/1" },
		{ "10.32.0.0/11", "10.32.0.0/11" },
		{ "::/0", "::/0" },
		{ "2001:DB8::/32", "2001:db8::/32" },
		{ "2001:db8:0:0::1", "2001:db8::1" },
		{ "2001:db8::1/128", "2001:db8::1" },
		{ "fe80::/10", "fe80::/10" },
		{ "::ffff:192.0.2.0/120", "192.0.2.0/24" },
		{ "::ffff:0:0/96", "0.0.0.0/0" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe/127",
		  "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe/127" },
	};
	char text[TOW_PREFIX_TEXT_SIZE];
	struct tow_prefix prefix, again;
	struct tow_error err;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (tow_prefix_parse(tow_slice_of(cases[i].text), &prefix, &err))
			fail_msg("%s", err.text);
		assert_string_equal(tow_prefix_format(&prefix, text), cases[i].written);
		assert_int_equal(tow_prefix_parse(tow_slice_of(text), &again, NULL), 0);
		assert_memory_equal(&prefix, &again, sizeof prefix);
	}
}

static void what_is_no_prefix_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "neither" },
		{ "/", "neither" },
		{ "/24", "neither" },
		{ "192.0.2.0/", "neither" },
		{ "192.0.2.0/33", "neither" },
		{ "192.0.2.0/024", "neither" },
		{ "192.0.2.0/-1", "neither" },
		{ "192.0.2.0/1000", "neither" },
		{ "192.0.2.0/24/24", "neither" },
		{ "192.0.2/24", "neither" },
		{ "192.0.2.0 /24", "neither" },
		{ "2001:db8::/129", "neither" },
		{ "2001:db8::/4294967328", "neither" },
		{ "[2001:db8::]/32", "neither" },
		{ "::ffff:192.0.2.0/95", "neither" },
		{ "example.eu", "neither" },
		{ "192.0.2.1/24", "the network is 192.0.2.0/24" },
		{ "192.0.2.128/24", "the network is 192.0.2.0/24" },
		{ "0.0.0.1/0", "the network is 0.0.0.0/0" },
		{ "2001:db8::1/64", "the network is 2001:db8::/64" },
		{ "::ffff:192.0.2.1/120", "the network is 192.0.2.0/24" },
	};
	struct tow_prefix prefix;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_error err = { 0 };
		memset(&prefix, 0x55, sizeof prefix);
		if (tow_prefix_parse(tow_slice_of(cases[i].text), &prefix, &err) != TOW_EPARSE ||
		    !strstr(err.text, cases[i].why))
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_int_equal(prefix.family, 0x55);
	}
	assert_int_equal(tow_prefix_parse(tow_slice_make("1.2.3.4\0/8", 10), &prefix, NULL),
	                 TOW_EPARSE);
}

static void denied_beats_allowed(void **state)
{
	static const struct {
		const char *allow, *deny, *in, *out; /* one address each; NULL: none to ask for */
	} cases[] = {
		{ "", "", "192.0.2.1", NULL },
		{ "", "", "2001:db8::1", NULL },
		{ "192.0.2.0/24", "", "192.0.2.255", "192.0.3.0" },
		{ "192.0.2.0/24", "", NULL, "2001:db8::1" },
		{ "192.0.2.0/24", "", "::ffff:192.0.2.7", "::ffff:192.0.1.7" },
		{ "::ffff:192.0.2.0/120", "", "192.0.2.7", "192.0.1.7" },
		{ "192.0.2.0/24,2001:db8::/32", "", "2001:db8:ffff::1", "2001:db9::1" },
		{ "", "192.0.2.0/24", "192.0.3.1", "192.0.2.1" },
		{ "", "192.0.2.0/24", "2001:db8::1", "::ffff:192.0.2.1" },
		{ "192.0.2.0/24", "192.0.2.13", "192.0.2.12", "192.0.2.13" },
		{ "192.0.2.13", "192.0.2.0/24", NULL, "192.0.2.13" },
		{ "10.32.0.0/11", "10.63.255.254/31", "10.63.255.253", "10.63.255.255" },
		{ "10.32.0.0/11", "", "10.63.255.255", "10.64.0.0" },
		{ "0.0.0.0/0", "", "192.0.2.1", "2001:db8::1" },
		{ "::/0", "", "2001:db8::1", "192.0.2.1" },
		{ "::/0", "", NULL, "::ffff:192.0.2.1" }, /* an IPv4 address, whatever brought it */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_access access = access_of(cases[i].allow, cases[i].deny);
		struct tow_addr addr;
		if (cases[i].in) {
			addr = addr_of(cases[i].in);
			if (!tow_access_permits(&access, &addr))
				fail_msg("[%s] [%s] keeps %s out", cases[i].allow, cases[i].deny,
				         cases[i].in);
			assert_true(tow_access_permits(NULL, &addr));
		}
		if (cases[i].out) {
			addr = addr_of(cases[i].out);
			if (tow_access_permits(&access, &addr))
				fail_msg("[%s] [%s] lets %s in", cases[i].allow, cases[i].deny,
				         cases[i].out);
		}
	}
}

static void lists_are_sets(void **state)
{
	struct tow_access a = access_of("192.0.2.0/24, 2001:db8::/32,10.0.0.0/8", "192.0.2.1");
	struct tow_access b =
		access_of("10.0.0.0/8,2001:db8::/32,192.0.2.0/24,10.0.0.0/8", "192.0.2.1/32");
	struct tow_access other = access_of("10.0.0.0/8,192.0.2.1,2001:db8::/32", "192.0.2.0/24");
	struct tow_access open = access_of("", "");
	struct tow_buf text = { 0 };
	struct tow_access *copy = tow_access_copy(&a);

	(void)state;
	assert_non_null(copy);
	assert_memory_equal(&a, &b, sizeof a);
	assert_int_equal(tow_access_compare(&a, &b), 0);
	assert_int_equal(tow_access_compare(&a, copy), 0);
	assert_int_not_equal(tow_access_compare(&a, &other), 0);
	assert_int_equal(tow_access_compare(&a, &other) < 0, tow_access_compare(&other, &a) > 0);
	assert_int_not_equal(tow_access_compare(&a, NULL), 0);
	assert_int_equal(tow_access_compare(&open, NULL), 0);
	assert_int_equal(tow_access_compare(NULL, NULL), 0);
	assert_true(tow_access_is_open(&open) && tow_access_is_open(NULL) &&
	            !tow_access_is_open(&a));
	assert_int_equal(tow_access_format(copy, TOW_ACCESS_ALLOW, &text), 0);
	assert_int_equal(tow_buf_append_text(&text, " "), 0);
	assert_int_equal(tow_access_format(copy, TOW_ACCESS_DENY, &text), 0);
	assert_int_equal(tow_buf_append(&text, "", 1), 0);
	assert_string_equal((const char *)text.base,
	                    "10.0.0.0/8,192.0.2.0/24,2001:db8::/32 192.0.2.1");
	tow_buf_deinit(&text);
	free(copy);
}

static void there_is_a_limit(void **state)
{
	struct tow_access access = access_of("", "");
	struct tow_prefix prefix = { .family = 4, .bits = 32 };
	struct tow_error err;
	size_t count;

	(void)state;
	/* in an order that moves what is there, into both lists in turn */
	for (int i = TOW_ACCESS_PREFIXES_MAX; i-- > 0;) {
		prefix.bytes[3] = (uint8_t)i;
		assert_int_equal(tow_access_add(&access, i % 2 ? TOW_ACCESS_ALLOW : TOW_ACCESS_DENY,
		                                &prefix),
		                 0);
	}
	for (int list = 0; list < 2; list++) {
		const struct tow_prefix *prefixes = tow_access_prefixes(
			&access, list ? TOW_ACCESS_DENY : TOW_ACCESS_ALLOW, &count);
		assert_int_equal(count, TOW_ACCESS_PREFIXES_MAX / 2);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(prefixes[i].bytes[3], 2 * i + !list);
	}
	/* one that is there is no more */
	assert_int_equal(tow_access_add(&access, TOW_ACCESS_DENY, &prefix), 0);
	assert_int_equal(tow_access_add(&access, TOW_ACCESS_ALLOW, &prefix), TOW_ELIMIT);
	assert_int_equal(tow_access_parse(&access, TOW_ACCESS_DENY, tow_slice_of("10.0.0.1"), &err),
	                 TOW_ELIMIT);
	assert_string_equal(err.text, "more than 128 prefixes");
	/* of the longest texts */
	memset(&access, 0, sizeof access);
	memset(&prefix, 0xff, sizeof prefix);
	prefix.family = 6;
	prefix.bits = 127;
	prefix.bytes[15] = 0xfe;
	assert_true(strlen(tow_prefix_format(&prefix, (char[TOW_PREFIX_TEXT_SIZE]){ 0 })) == 43);
}

static void texts_of_lists_are_read_whole(void **state)
{
	static const char *const bad[] = {
		",", "10.0.0.0/8,", ",10.0.0.0/8", "10.0.0.0/8,,::1", "10.0.0.0/8 ::1", "x"
	};
	struct tow_access access;
	struct tow_error err;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		memset(&access, 0, sizeof access);
		err.text[0] = '\0';
		assert_int_equal(
			tow_access_parse(&access, TOW_ACCESS_ALLOW, tow_slice_of(bad[i]), &err),
			TOW_EPARSE);
		assert_true(err.text[0]);
	}
	/* every prefix of a good one */
	for (size_t len = 0; len <= strlen("10.0.0.0/8,2001:db8::/32"); len++) {
		char *text = malloc(len ? len : 1);
		assert_non_null(text);
		memcpy(text, "10.0.0.0/8,2001:db8::/32", len);
		memset(&access, 0, sizeof access);
		tow_access_parse(&access, TOW_ACCESS_DENY, tow_slice_make(text, len), NULL);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefixes_are_read_and_written),
		cmocka_unit_test(what_is_no_prefix_is_refused),
		cmocka_unit_test(denied_beats_allowed),
		cmocka_unit_test(lists_are_sets),
		cmocka_unit_test(there_is_a_limit),
		cmocka_unit_test(texts_of_lists_are_read_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
