/* SPDX-License-Identifier: MIT */
#include <towonel/wire/hostname.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void good_names_are_normalised(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "app.example.eu", "app.example.eu" },
		{ "App.EXAMPLE.eu.", "app.example.eu" },
		{ "*.Example.eu", "*.example.eu" },
		{ "_acme-challenge.example.eu", "_acme-challenge.example.eu" },
		{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
		{ "1.2.3.4a", "1.2.3.4a" },
		{ "3com.example", "3com.example" },
		{ "a.b", "a.b" },
		{ "*.a.b", "*.a.b" },
		{ L63 ".eu", L63 ".eu" },
		{ "a--b.eu", "a--b.eu" },
	};
	char out[TOW_HOSTNAME_SIZE];
	struct tow_error err;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tow_slice in = tow_slice_of(cases[i].in);
		if (tow_hostname_parse(in, TOW_HOSTNAME_PATTERN, out, &err))
			fail_msg("%s", err.text);
		assert_string_equal(out, cases[i].out);
		assert_int_equal(tow_hostname_is_wildcard(out), out[0] == '*');
		assert_int_equal(tow_hostname_parse(in, TOW_HOSTNAME_EXACT, out, NULL),
		                 out[0] == '*' ? TOW_EPARSE : 0);
	}
}

static void bad_names_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *in, *why;
	} cases[] = {
		{ "", "empty" },
		{ ".", "empty" },
		{ "localhost", "two labels" },
		{ "*", "wildcard" },
		{ "*.", "wildcard" },
		{ "*.eu", "two labels after" },
		{ "**.example.eu", "wildcard" },
		{ "a*.example.eu", "wildcard" },
		{ "a.*.example.eu", "wildcard" },
		{ "*.*.example.eu", "wildcard" },
		{ ".example.eu", "empty label" },
		{ "*..example.eu", "empty label" },
		{ "a..example.eu", "empty label" },
		{ "a.example.eu..", "empty label" },
		{ "-a.example.eu", "begins with" },
		{ "a-.example.eu", "ends with" },
		{ "a.example.eu-", "ends with" },
		{ L63 "a.eu", "longer than 63" },
		{ "192.0.2.1", "IP address" },
		{ "192.0.2.1.", "IP address" },
		{ "*.2.1", "number" },
		{ "2001:db8::1", "IPv6" },
		{ "[2001:db8::1]", "only letters" },
		{ "app.example.eu:443", "port" },
		{ "https://app.example.eu", "scheme" },
		{ "app.example.eu/path", "path" },
		{ "b\xc3\xbc"
		  "cher.example",
		  "xn--" },
		{ "app example.eu", "only letters" },
		{ "app.example.eu ", "only letters" },
		{ "app\texample.eu", "only letters" },
	};
	char out[TOW_HOSTNAME_SIZE] = "unchanged";
	struct tow_error err;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(tow_hostname_parse(tow_slice_of(cases[i].in), TOW_HOSTNAME_PATTERN,
		                                    out, &err),
		                 TOW_EPARSE);
		if (!strstr(err.text, cases[i].why))
			fail_msg("%s", err.text);
	}
	assert_int_equal(
		tow_hostname_parse(tow_slice_make("a\0b.eu", 6), TOW_HOSTNAME_EXACT, out, NULL),
		TOW_EPARSE);
	assert_int_equal(tow_hostname_parse(tow_slice_make(NULL, 0), TOW_HOSTNAME_EXACT, out, &err),
	                 TOW_EPARSE);
	assert_string_equal(out, "unchanged");
}

static void the_longest_name_has_253_bytes(void **state)
{
	char text[400], out[TOW_HOSTNAME_SIZE];

	(void)state;
	for (size_t len = 245; len < 260; len++) {
		for (int dot = 0; dot < 2; dot++) {
			for (size_t i = 0; i < len; i++)
				text[i] = i % 31 == 30 && i + 1 < len ? '.' : 'a';
			memcpy(text + len, ".", 2);
			text[len + (size_t)dot] = '\0';
			assert_int_equal(tow_hostname_parse(tow_slice_of(text),
			                                    TOW_HOSTNAME_PATTERN, out, NULL),
			                 len <= 253 ? 0 : TOW_EPARSE);
		}
	}
}

/* Names and patterns over a small alphabet, against enumeration: what a pattern matches is written
 * down here once more, in another way, and covers and overlaps follow from the sets. */
static char names[200][16], patterns[200][16];
static size_t name_count, pattern_count;

static void enumerate(void)
{
	static const char *const labels[] = { "a", "b", "ab" };
	const size_t n = sizeof labels / sizeof *labels;

	name_count = pattern_count = 0;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n; j++) {
			snprintf(names[name_count++], 16, "%s.%s", labels[i], labels[j]);
			snprintf(patterns[pattern_count++], 16, "*.%s.%s", labels[i], labels[j]);
			for (size_t k = 0; k < n; k++) {
				snprintf(names[name_count++], 16, "%s.%s.%s", labels[i], labels[j],
				         labels[k]);
				snprintf(patterns[pattern_count++], 16, "*.%s.%s.%s", labels[i],
				         labels[j], labels[k]);
				for (size_t l = 0; l < n; l++)
					snprintf(names[name_count++], 16, "%s.%s.%s.%s", labels[i],
					         labels[j], labels[k], labels[l]);
			}
		}
	}
	for (size_t i = 0; i < n * n + n * n * n; i++)
		memcpy(patterns[pattern_count++], names[i], 16);
}

/* Label by label. */
static int model_matches(const char *pattern, const char *name)
{
	for (;;) {
		size_t p = strcspn(pattern, "."), n = strcspn(name, ".");
		if (!(p == 1 && *pattern == '*') && (p != n || memcmp(pattern, name, n)))
			return 0;
		if (!pattern[p] || !name[n])
			return !pattern[p] && !name[n];
		pattern += p + 1;
		name += n + 1;
	}
}

static void patterns_agree_with_enumeration(void **state)
{
	size_t overlapping = 0, covering = 0;

	(void)state;
	enumerate();
	for (size_t i = 0; i < pattern_count; i++) {
		for (size_t j = 0; j < name_count; j++)
			assert_int_equal(!!tow_hostname_matches(patterns[i], names[j]),
			                 model_matches(patterns[i], names[j]));
		for (size_t j = 0; j < pattern_count; j++) {
			int common = 0, outside = 0;
			for (size_t k = 0; k < name_count; k++) {
				int in_i = model_matches(patterns[i], names[k]);
				int in_j = model_matches(patterns[j], names[k]);
				common |= in_i && in_j;
				outside |= in_j && !in_i;
			}
			assert_int_equal(!!tow_hostname_overlaps(patterns[i], patterns[j]), common);
			assert_int_equal(!!tow_hostname_covers(patterns[i], patterns[j]), !outside);
			overlapping += (size_t)common;
			covering += !outside;
		}
	}
	assert_true(overlapping > pattern_count && covering > pattern_count);
	assert_true(overlapping < pattern_count * pattern_count / 2);
}

static void the_wildcard_of_a_name_matches_it(void **state)
{
	char out[TOW_HOSTNAME_SIZE], checked[TOW_HOSTNAME_SIZE];

	(void)state;
	enumerate();
	for (size_t i = 0; i < name_count; i++) {
		int labels = 1;
		for (const char *p = names[i]; *p; p++)
			labels += *p == '.';
		if (labels < 3) {
			assert_int_equal(tow_hostname_wildcard_of(names[i], out), TOW_ENOTFOUND);
			continue;
		}
		assert_int_equal(tow_hostname_wildcard_of(names[i], out), 0);
		assert_true(tow_hostname_matches(out, names[i]));
		assert_int_equal(
			tow_hostname_parse(tow_slice_of(out), TOW_HOSTNAME_PATTERN, checked, NULL),
			0);
		assert_string_equal(out, checked);
	}
	assert_int_equal(tow_hostname_wildcard_of("*.a.b", out), TOW_ENOTFOUND);
	assert_int_equal(tow_hostname_wildcard_of("a", out), TOW_ENOTFOUND);
}

/* What is taken in spite of a changed byte is normal: parsing it again changes nothing. */
static void mangled_names_do_no_harm(void **state)
{
	static const char text[] = "*.App-1.example.eu";
	char out[TOW_HOSTNAME_SIZE], again[TOW_HOSTNAME_SIZE];

	(void)state;
	for (size_t len = 0; len < sizeof text; len++) {
		uint8_t exact[sizeof text];
		uint8_t *at = exact + sizeof exact - len;
		memcpy(at, text, len);
		tow_hostname_parse(tow_slice_make(at, len), TOW_HOSTNAME_PATTERN, out, NULL);
		for (size_t i = 0; i < len; i++) {
			for (unsigned c = 0; c < 256; c++) {
				memcpy(at, text, len);
				at[i] = (uint8_t)c;
				if (tow_hostname_parse(tow_slice_make(at, len),
				                       TOW_HOSTNAME_PATTERN, out, NULL))
					continue;
				assert_int_equal(tow_hostname_parse(tow_slice_of(out),
				                                    TOW_HOSTNAME_PATTERN, again,
				                                    NULL),
				                 0);
				assert_string_equal(out, again);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_names_are_normalised),
		cmocka_unit_test(bad_names_are_refused_with_the_reason),
		cmocka_unit_test(the_longest_name_has_253_bytes),
		cmocka_unit_test(patterns_agree_with_enumeration),
		cmocka_unit_test(the_wildcard_of_a_name_matches_it),
		cmocka_unit_test(mangled_names_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
