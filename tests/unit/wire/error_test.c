/* SPDX-License-Identifier: MIT */
#include <towonel/wire/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void every_code_has_its_own_text(void **state)
{
	static const int codes[] = {
#define CODE(name, value, text) name,
		TOW_ERROR_TABLE(CODE)
#undef CODE
	};
	const size_t count = sizeof codes / sizeof *codes;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		assert_string_not_equal(tow_strerror(codes[i]), "unknown error");
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(codes[i], codes[j]);
			assert_string_not_equal(tow_strerror(codes[i]), tow_strerror(codes[j]));
		}
	}
	assert_string_equal(tow_strerror(-9999), "unknown error");
	assert_string_equal(tow_strerror(4711), "unknown error");
}

static void set_formats_and_returns_the_code(void **state)
{
	struct tow_error err = { 0 };

	(void)state;
	assert_int_equal(tow_error_set(&err, TOW_EPARSE, "element %d: %s", 2, "no"), TOW_EPARSE);
	assert_int_equal(err.code, TOW_EPARSE);
	assert_string_equal(err.text, "element 2: no");
	assert_int_equal(tow_error_set(NULL, TOW_EIO, "%s", "nobody reads this"), TOW_EIO);
}

static void prefix_keeps_the_code(void **state)
{
	struct tow_error err = { 0 };

	(void)state;
	tow_error_set(&err, TOW_ECONFIG, "bad");
	assert_int_equal(tow_error_prefix(&err, "TOWONEL_%s", "LOG"), TOW_ECONFIG);
	assert_string_equal(err.text, "TOWONEL_LOG: bad");
	/* the text itself may be an argument */
	tow_error_set(&err, TOW_EIO, "(%s)", err.text);
	assert_string_equal(err.text, "(TOWONEL_LOG: bad)");
	assert_int_equal(tow_error_prefix(NULL, "x"), 0);
}

static void control_characters_are_defused(void **state)
{
	struct tow_error err;

	(void)state;
	tow_error_set(&err, TOW_EPARSE, "%s",
	              "a\nb\x1b[31mc\x7f\td\xc2\x9b"
	              "e \xc3\xa9");
	assert_string_equal(err.text, "a?b?[31mc??d??e \xc3\xa9");
	tow_error_prefix(&err, "\r");
	assert_string_equal(err.text, "?: a?b?[31mc??d??e \xc3\xa9");
	/* no UTF-8: a lone byte, an overlong slash, a surrogate, a cut sequence, past U+10FFFF */
	tow_error_set(&err, TOW_EPARSE, "%s",
	              "\xff|\xc0\xaf|\xed\xa0\x80|\xe2\x82|\xf4\x90\x80\x80");
	assert_string_equal(err.text, "?|??|???|??|????");
}

static void long_texts_are_cut_between_characters(void **state)
{
	static const char *const letters[] = { "x", "\xc3\xa9", "\xe2\x82\xac",
		                               "\xf0\x9f\x98\x80" };
	struct tow_error err;
	char text[2 * TOW_ERROR_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
		size_t width = strlen(letters[i]);
		for (size_t shift = 0; shift < width; shift++) {
			size_t len = shift;
			memset(text, 'y', shift);
			for (; len + width < sizeof text; len += width)
				memcpy(text + len, letters[i], width);
			text[len] = '\0';
			tow_error_set(&err, TOW_EPARSE, "%s", text);
			assert_true(strlen(err.text) > TOW_ERROR_TEXT_SIZE - 1 - width);
			assert_int_equal((strlen(err.text) - shift) % width, 0);
			assert_memory_equal(err.text, text, strlen(err.text));
			tow_error_prefix(&err, "p");
			assert_memory_equal(err.text, "p: ", 3);
			assert_int_equal((strlen(err.text) - 3 - shift) % width, 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_its_own_text),
		cmocka_unit_test(set_formats_and_returns_the_code),
		cmocka_unit_test(prefix_keeps_the_code),
		cmocka_unit_test(control_characters_are_defused),
		cmocka_unit_test(long_texts_are_cut_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
