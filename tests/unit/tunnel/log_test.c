/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char last[8192];
static int lines;

static void on_line(void *user, enum tow_log_level level, const char *line)
{
	(void)user;
	(void)level;
	assert_true(strlen(line) < 4096);
	snprintf(last, sizeof last, "%s", line);
	lines++;
}

/* What follows the time, which is checked for its form. */
static const char *after_time(void)
{
	static const char form[] = "0000-00-00T00:00:00.000Z ";

	for (size_t i = 0; i < sizeof form - 1; i++)
		assert_true(form[i] == '0' ? last[i] >= '0' && last[i] <= '9' : last[i] == form[i]);
	return last + sizeof form - 1;
}

static void fields_of_every_kind_are_written(void **state)
{
	struct tow_log *log = tow_log_new(TOW_LOG_TRACE, TOW_LOG_TEXT, on_line, NULL);
	struct tow_addr addr;
	struct tow_id id = { { 0xab, 0xcd } };
	struct tow_error err;

	(void)state;
	assert_int_equal(tow_addr_parse(tow_slice_of("[2001:db8::1]:443"), &addr), 0);
	tow_error_set(&err, TOW_EIO, "no such thing");
	tow_log_info(log, "nothing to add");
	assert_string_equal(after_time(), "INFO nothing to add");
	tow_log_warn(log, "numbers", tow_f_int("a", -5), tow_f_uint("b", UINT64_MAX));
	assert_string_equal(after_time(), "WARN numbers a=-5 b=18446744073709551615");
	tow_log_error(log, "rest", tow_f_addr("peer", &addr), tow_f_id("id", &id),
	              tow_f_hex("bytes", "\x01\xff", 2), tow_f_err(&err), tow_f_str("none", NULL));
	assert_string_equal(
		after_time(),
		"ERROR rest peer=[2001:db8::1]:443 "
		"id=abcd000000000000000000000000000000000000000000000000000000000000 bytes=01ff "
		"error=\"no such thing\" none=null");
	tow_log_debug(log, "long", tow_f_hex("bytes", "0123456789abcdef!", 17));
	assert_string_equal(after_time(), "DEBUG long bytes=30313233343536373839616263646566...");
	tow_log_free(log);
}

static const struct {
	const char *value, *text, *json;
} strings[] = {
	{ "plain", "plain", "\"plain\"" },
	{ "", "\"\"", "\"\"" },
	{ "a b", "\"a b\"", "\"a b\"" },
	{ "a=b", "\"a=b\"", "\"a=b\"" },
	{ "say \"hi\" \\", "\"say \\\"hi\\\" \\\\\"", "\"say \\\"hi\\\" \\\\\"" },
	{ "two\nlines\t\x1b[31m", "\"two\\nlines\\u0009\\u001b[31m\"",
	  "\"two\\nlines\\u0009\\u001b[31m\"" },
	{ "caf\xc3\xa9", "\"caf\xc3\xa9\"", "\"caf\xc3\xa9\"" },
	{ "\xc2\x9b"
	  "31m",
	  "\"\\u009b31m\"", "\"\\u009b31m\"" },                     /* a control in Latin-1 */
	{ "\xe2\x80\xae", "\"\\u202e\"", "\"\\u202e\"" },           /* right to left */
	{ "\xff\xc3", "\"\\ufffd\\ufffd\"", "\"\\ufffd\\ufffd\"" }, /* no UTF-8 */
	{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"",
	  "\"\\ufffd\\ufffd\\ufffd\"" },                            /* surrogate */
	{ "\xc0\x8a", "\"\\ufffd\\ufffd\"", "\"\\ufffd\\ufffd\"" }, /* overlong newline */
	{ "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\"" },
};

static void strings_are_escaped(void **state)
{
	struct tow_log *text = tow_log_new(TOW_LOG_INFO, TOW_LOG_TEXT, on_line, NULL);
	struct tow_log *json = tow_log_new(TOW_LOG_INFO, TOW_LOG_JSON, on_line, NULL);
	char want[256];

	(void)state;
	for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
		json_t *parsed;
		tow_log_info(text, "m", tow_f_str("v", strings[i].value));
		snprintf(want, sizeof want, "INFO m v=%s", strings[i].text);
		assert_string_equal(after_time(), want);
		tow_log_info(json, "m", tow_f_str("v", strings[i].value));
		snprintf(want, sizeof want, ",\"v\":%s}", strings[i].json);
		assert_non_null(strstr(last, want));
		parsed = json_loads(last, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(parsed);
		assert_string_equal(json_string_value(json_object_get(parsed, "level")), "INFO");
		assert_string_equal(json_string_value(json_object_get(parsed, "message")), "m");
		json_decref(parsed);
	}
	tow_log_free(text);
	tow_log_free(json);
}

/* At every length around the limits a line stays whole, and valid. */
static void long_lines_are_cut_between_fields(void **state)
{
	struct tow_log *log = tow_log_new(TOW_LOG_INFO, TOW_LOG_JSON, on_line, NULL);
	char value[1200];
	int whole, cuts = 0;

	(void)state;
	for (size_t len = 900; len < sizeof value; len++) {
		json_t *parsed;
		memset(value, 'x', len);
		memcpy(value + len - 2, "\xc3\xa9", 3);
		value[len] = '\0';
		tow_log_info(log, "m", tow_f_str("a", value), tow_f_str("b", value),
		             tow_f_str("c", value), tow_f_str("d", value), tow_f_int("e", 5));
		parsed = json_loads(last, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(parsed);
		whole = json_object_get(parsed, "d") && json_object_get(parsed, "e");
		assert_int_equal(whole, !json_object_get(parsed, "cut"));
		assert_non_null(json_object_get(parsed, "c"));
		cuts += !whole;
		if (len > 1024)
			assert_non_null(strstr(last, "x...\""));
		json_decref(parsed);
	}
	assert_true(cuts > 100 && cuts < 300);
	tow_log_free(log);
}

static void levels_are_kept_to(void **state)
{
	struct tow_log *log = tow_log_new(TOW_LOG_WARN, TOW_LOG_TEXT, on_line, NULL);

	(void)state;
	lines = 0;
	tow_log_error(log, "1");
	tow_log_warn(log, "2");
	tow_log_info(log, "3");
	assert_int_equal(lines, 2);
	tow_log_set_level(log, TOW_LOG_TRACE);
	tow_log_trace(log, "4");
	assert_int_equal(lines, 3);
	tow_log_error(NULL, "to nobody", tow_f_int("a", 1));
	assert_int_equal(lines, 3);
	assert_false(tow_log_enabled(NULL, TOW_LOG_ERROR));
	tow_log_free(log);
	tow_log_free(NULL);
}

static void names_are_parsed(void **state)
{
	static const char *const levels[] = { "error", "warn", "info", "debug", "trace" };
	enum tow_log_level level;
	enum tow_log_format format;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(tow_log_level_parse(levels[i], &level), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(tow_log_level_parse("INFO", &level), TOW_EPARSE);
	assert_int_equal(tow_log_level_parse("", &level), TOW_EPARSE);
	assert_int_equal(tow_log_format_parse("json", &format), 0);
	assert_int_equal(format, TOW_LOG_JSON);
	assert_int_equal(tow_log_format_parse("text", &format), 0);
	assert_int_equal(format, TOW_LOG_TEXT);
	assert_int_equal(tow_log_format_parse("xml", &format), TOW_EPARSE);
}

static void a_gate_opens_once_a_second(void **state)
{
	struct tow_log_gate gate = { 0 };
	uint64_t suppressed = 99, now_ns = 5;

	(void)state;
	assert_true(tow_log_gate_open(&gate, now_ns, &suppressed));
	assert_int_equal(suppressed, 0);
	for (int i = 0; i < 7; i++)
		assert_false(tow_log_gate_open(&gate, now_ns += 1000, &suppressed));
	assert_true(tow_log_gate_open(&gate, now_ns + TOW_NSEC_PER_SEC, &suppressed));
	assert_int_equal(suppressed, 7);
}

enum { THREADS = 4, LINES = 500 };

static void *write_lines(void *arg)
{
	for (int i = 0; i < LINES; i++)
		tow_log_info(arg, "a line", tow_f_int("i", i));
	return NULL;
}

/* Lines of several threads do not mix on stderr. */
static void lines_stay_whole(void **state)
{
	char path[] = "/tmp/towonel-log-XXXXXX", line[256];
	struct tow_log *log = tow_log_new(TOW_LOG_INFO, TOW_LOG_TEXT, NULL, NULL);
	int fd = mkstemp(path), before = dup(STDERR_FILENO), count = 0;
	pthread_t threads[THREADS];
	FILE *file;

	(void)state;
	unlink(path);
	assert_true(fcntl(fd, F_SETFL, O_APPEND) == 0);
	dup2(fd, STDERR_FILENO);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, log), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	dup2(before, STDERR_FILENO);
	close(before);
	file = fdopen(fd, "r");
	rewind(file);
	while (fgets(line, sizeof line, file)) {
		snprintf(last, sizeof last, "%s", line);
		assert_int_equal(strncmp(after_time(), "INFO a line i=", 14), 0);
		assert_int_equal(line[strlen(line) - 1], '\n');
		count++;
	}
	assert_int_equal(count, THREADS * LINES);
	fclose(file);
	tow_log_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_of_every_kind_are_written),
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(long_lines_are_cut_between_fields),
		cmocka_unit_test(levels_are_kept_to),
		cmocka_unit_test(names_are_parsed),
		cmocka_unit_test(a_gate_opens_once_a_second),
		cmocka_unit_test(lines_stay_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
