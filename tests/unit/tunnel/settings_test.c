/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/settings.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>
#include <cmocka.h>

struct values {
	char *data_dir, *key_path, *secret, *text;
	int flag;
	uint64_t number;
	struct tow_addr addr;
	struct tow_string_list list;
	enum tow_log_level level;
	enum tow_log_format format;
};

#define AT(member) offsetof(struct values, member)
static const struct tow_setting table[] = {
	{ "TOWONEL_DATA_DIR", TOW_SETTING_PATH, AT(data_dir), ".", 0, 0,
	  "base of the default paths", NULL },
	{ "TOWONEL_OLD_TEXT", TOW_SETTING_STRING, AT(text), NULL, 0, 0, "old", "TOWONEL_TEXT" },
	{ "TOWONEL_KEY_PATH", TOW_SETTING_PATH, AT(key_path), "node.key", 0, 0, "key", NULL },
	{ "TOWONEL_SECRET", TOW_SETTING_SECRET, AT(secret), NULL, 0, 0, "secret", NULL },
	{ "TOWONEL_TEXT", TOW_SETTING_STRING, AT(text), "usual", 0, 0, "text", NULL },
	{ "TOWONEL_FLAG", TOW_SETTING_BOOL, AT(flag), "true", 0, 0, "flag", NULL },
	{ "TOWONEL_NUMBER", TOW_SETTING_UINT, AT(number), "4", 1, 25, "number", NULL },
	{ "TOWONEL_HUB_LISTEN_ADDR", TOW_SETTING_ADDR, AT(addr), "0.0.0.0:8443", 0, 0, "addr",
	  NULL },
	{ "TOWONEL_LIST", TOW_SETTING_LIST, AT(list), NULL, 0, 0, "list", NULL },
	{ "TOWONEL_LOG", TOW_SETTING_LEVEL, AT(level), "info", 0, 0, "level", NULL },
	{ "TOWONEL_LOG_FORMAT", TOW_SETTING_FORMAT, AT(format), "text", 0, 0, "format", NULL },
};
#define COUNT (sizeof table / sizeof table[0])

static int read_one(const char *variable, struct values *out, struct tow_error *err)
{
	char text[256];
	char *environment[] = { text, NULL };

	snprintf(text, sizeof text, "%s", variable);
	memset(out, 0, sizeof *out);
	return tow_settings_read(table, COUNT, environment, out, err);
}

static void defaults_are_taken(void **state)
{
	char *environment[] = { NULL, NULL };
	struct values v = { 0 };
	char text[TOW_ADDR_TEXT_SIZE];

	(void)state;
	assert_int_equal(tow_settings_read(table, COUNT, environment, &v, NULL), 0);
	assert_string_equal(v.data_dir, ".");
	assert_string_equal(v.key_path, "node.key");
	assert_null(v.secret);
	assert_string_equal(v.text, "usual");
	assert_int_equal(v.flag, 1);
	assert_int_equal(v.number, 4);
	assert_string_equal(tow_addr_format(&v.addr, text), "0.0.0.0:8443");
	assert_int_equal(v.list.count, 0);
	assert_int_equal(v.level, TOW_LOG_INFO);
	assert_int_equal(v.format, TOW_LOG_TEXT);
	tow_settings_deinit(table, COUNT, &v);
	assert_null(v.text);
	assert_int_equal(tow_settings_read(table, COUNT, NULL, &v, NULL), 0);
	tow_settings_deinit(table, COUNT, &v);
}

static void default_paths_are_below_the_data_directory(void **state)
{
	static const char *const cases[][3] = {
		{ "TOWONEL_DATA_DIR=/var/lib/towonel", "/var/lib/towonel/node.key",
		  "/var/lib/towonel" },
		{ "TOWONEL_DATA_DIR=/data//", "/data/node.key", "/data//" },
		{ "TOWONEL_DATA_DIR=/", "/node.key", "/" },
		{ "TOWONEL_DATA_DIR=", "node.key", "." },
		{ "TOWONEL_DATA_DIR=.", "node.key", "." },
		{ "TOWONEL_KEY_PATH=here.key", "here.key", "." },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct values v;
		assert_int_equal(read_one(cases[i][0], &v, NULL), 0);
		assert_string_equal(v.key_path, cases[i][1]);
		assert_string_equal(v.data_dir, cases[i][2]);
		tow_settings_deinit(table, COUNT, &v);
	}
}

static void a_bad_value_names_its_variable(void **state)
{
	static const char *const cases[][2] = {
		{ "TOWONEL_FLAG=maybe", "TOWONEL_FLAG: must be true or false, not \"maybe\"" },
		{ "TOWONEL_NUMBER=0", "TOWONEL_NUMBER: must be a number from 1 to 25, not \"0\"" },
		{ "TOWONEL_NUMBER=26",
		  "TOWONEL_NUMBER: must be a number from 1 to 25, not \"26\"" },
		{ "TOWONEL_NUMBER=-1",
		  "TOWONEL_NUMBER: must be a number from 1 to 25, not \"-1\"" },
		{ "TOWONEL_NUMBER=4 ",
		  "TOWONEL_NUMBER: must be a number from 1 to 25, not \"4 \"" },
		{ "TOWONEL_NUMBER=18446744073709551620",
		  "TOWONEL_NUMBER: must be a number from 1 to 25, not \"18446744073709551620\"" },
		{ "TOWONEL_HUB_LISTEN_ADDR=hub.example.eu:8443",
		  "TOWONEL_HUB_LISTEN_ADDR: must be an address and port such as 0.0.0.0:8443 or "
		  "[::]:8443, "
		  "not \"hub.example.eu:8443\"" },
		{ "TOWONEL_LIST=[\"a\", 2]",
		  "TOWONEL_LIST: must be a JSON array of strings; item 2 is not" },
		{ "TOWONEL_LOG=loud",
		  "TOWONEL_LOG: must be error, warn, info, debug or trace, not \"loud\"" },
		{ "TOWONEL_LOG_FORMAT=xml",
		  "TOWONEL_LOG_FORMAT: must be text or json, not \"xml\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct values v;
		struct tow_error err = { 0 };
		assert_int_equal(read_one(cases[i][0], &v, &err), TOW_ECONFIG);
		assert_int_equal(err.code, TOW_ECONFIG);
		assert_string_equal(err.text, cases[i][1]);
		assert_null(v.text);
	}
	struct values v;
	struct tow_error err = { 0 };
	assert_int_equal(read_one("TOWONEL_LIST=[\"a\"", &v, &err), TOW_ECONFIG);
	assert_non_null(strstr(err.text, "TOWONEL_LIST: is not valid JSON"));
}

static void good_values_are_read(void **state)
{
	struct values v;
	static const char *const yes[] = { "1", "true", "YES", "On" };
	static const char *const no[] = { "0", "False", "no", "OFF" };
	char text[64];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		snprintf(text, sizeof text, "TOWONEL_FLAG=%s", yes[i]);
		assert_int_equal(read_one(text, &v, NULL), 0);
		assert_int_equal(v.flag, 1);
		tow_settings_deinit(table, COUNT, &v);
		snprintf(text, sizeof text, "TOWONEL_FLAG=%s", no[i]);
		assert_int_equal(read_one(text, &v, NULL), 0);
		assert_int_equal(v.flag, 0);
		tow_settings_deinit(table, COUNT, &v);
	}
	assert_int_equal(read_one("TOWONEL_NUMBER=25", &v, NULL), 0);
	assert_int_equal(v.number, 25);
	tow_settings_deinit(table, COUNT, &v);
	assert_int_equal(read_one("TOWONEL_HUB_LISTEN_ADDR=[::1]:1", &v, NULL), 0);
	assert_int_equal(v.addr.family, 6);
	tow_settings_deinit(table, COUNT, &v);
	assert_int_equal(read_one("TOWONEL_LOG=trace", &v, NULL), 0);
	assert_int_equal(v.level, TOW_LOG_TRACE);
	tow_settings_deinit(table, COUNT, &v);
}

static void lists_are_csv_or_json(void **state)
{
	static const char *const cases[] = { "TOWONEL_LIST=a, b c ,,d ,", "TOWONEL_LIST=a,b c,d",
		                             "TOWONEL_LIST= [\"a\", \" b c\", \"\", \"d\"] " };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct values v;
		assert_int_equal(read_one(cases[i], &v, NULL), 0);
		assert_int_equal(v.list.count, 3);
		assert_string_equal(v.list.items[0], "a");
		assert_string_equal(v.list.items[1], "b c");
		assert_string_equal(v.list.items[2], "d");
		tow_settings_deinit(table, COUNT, &v);
	}
}

static void a_list_may_begin_with_an_ipv6_address(void **state)
{
	struct values v;

	(void)state;
	assert_int_equal(read_one("TOWONEL_LIST=[::1]:443,[2001:db8::192.0.2.1]:8443", &v, NULL), 0);
	assert_int_equal(v.list.count, 2);
	assert_string_equal(v.list.items[0], "[::1]:443");
	assert_string_equal(v.list.items[1], "[2001:db8::192.0.2.1]:8443");
	tow_settings_deinit(table, COUNT, &v);
	/* an empty list, and numbers, are JSON */
	assert_int_equal(read_one("TOWONEL_LIST=[]", &v, NULL), 0);
	assert_int_equal(v.list.count, 0);
	tow_settings_deinit(table, COUNT, &v);
	assert_int_equal(read_one("TOWONEL_LIST=[1]", &v, NULL), TOW_ECONFIG);
}

static void a_secret_may_be_in_a_file(void **state)
{
	static const struct {
		const char *content, *secret, *why; /* content NULL: no such file */
	} cases[] = {
		{ "hunter2\n", "hunter2", NULL },
		{ " a b\r\n\n", " a b", NULL },
		{ "\n", NULL, "is empty" },
		{ NULL, NULL, "TOWONEL_SECRET: " },
	};
	char path[] = "/tmp/settings-test-XXXXXX", variable[64];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *environment[] = { variable, NULL };
		struct values v = { 0 };
		struct tow_error err = { 0 };
		snprintf(variable, sizeof variable, "TOWONEL_SECRET=@%s", path);
		if (cases[i].content) {
			assert_int_equal(ftruncate(fd, 0), 0);
			assert_true(pwrite(fd, cases[i].content, strlen(cases[i].content), 0) > 0);
		} else {
			unlink(path);
		}
		int rc = tow_settings_read(table, COUNT, environment, &v, &err);
		assert_int_equal(rc == 0, cases[i].secret != NULL);
		if (rc == 0)
			assert_string_equal(v.secret, cases[i].secret);
		else
			assert_non_null(strstr(err.text, cases[i].why));
		tow_settings_deinit(table, COUNT, &v);
	}
	close(fd);
}

static void a_secret_leaves_the_environment(void **state)
{
	char before[] = "PATH=/bin", secret[] = "TOWONEL_SECRET=hunter2", after[] = "HOME=/root";
	char *environment[] = { before, secret, after, NULL };
	struct values v = { 0 };

	(void)state;
	assert_true(tow_settings_is_set(environment, "TOWONEL_SECRET"));
	assert_int_equal(tow_settings_read(table, COUNT, environment, &v, NULL), 0);
	assert_string_equal(v.secret, "hunter2");
	assert_memory_equal(secret, "TOWONEL_SECRET=\0\0\0\0\0\0\0", sizeof secret);
	assert_ptr_equal(environment[1], after);
	assert_null(environment[2]);
	assert_false(tow_settings_is_set(environment, "TOWONEL_SECRET"));
	tow_settings_deinit(table, COUNT, &v);
}

static void an_old_name_works_until_the_new_one_is_set(void **state)
{
	char old[] = "TOWONEL_OLD_TEXT=old", new[] = "TOWONEL_TEXT=new";
	char *only_old[] = { old, NULL }, *both[] = { old, new, NULL };
	struct values v = { 0 };

	(void)state;
	assert_int_equal(tow_settings_read(table, COUNT, only_old, &v, NULL), 0);
	assert_string_equal(v.text, "old");
	tow_settings_deinit(table, COUNT, &v);
	assert_int_equal(tow_settings_read(table, COUNT, both, &v, NULL), 0);
	assert_string_equal(v.text, "new");
	tow_settings_deinit(table, COUNT, &v);
}

struct lines {
	char text[2048];
};

static void keep_line(void *user, enum tow_log_level level, const char *line)
{
	struct lines *lines = user;
	size_t len = strlen(lines->text);

	(void)level;
	snprintf(lines->text + len, sizeof lines->text - len, "%s\n", line);
}

static void unknown_names_get_a_suggestion(void **state)
{
	char typo[] = "TOWONEL_HUB_LISTEN_ADRR=1.2.3.4:5", far[] = "TOWONEL_SOMETHING_ELSE=1";
	char known[] = "TOWONEL_FLAG=1", old[] = "TOWONEL_OLD_TEXT=a", foreign[] = "TOWEL_FLAGG=1";
	char *environment[] = { typo, far, known, old, foreign, NULL };
	const struct tow_setting *tables[] = { table };
	const size_t counts[] = { COUNT };
	struct lines lines = { "" };
	struct tow_log *log = tow_log_new(TOW_LOG_INFO, TOW_LOG_TEXT, keep_line, &lines);

	(void)state;
	assert_non_null(log);
	tow_settings_warn_unknown(tables, counts, 1, environment, log);
	tow_log_free(log);
	assert_non_null(strstr(lines.text, "variable=TOWONEL_HUB_LISTEN_ADRR "
	                                   "did_you_mean=TOWONEL_HUB_LISTEN_ADDR\n"));
	assert_non_null(strstr(lines.text, "variable=TOWONEL_SOMETHING_ELSE\n"));
	assert_non_null(strstr(lines.text, "variable=TOWONEL_OLD_TEXT use=TOWONEL_TEXT\n"));
	assert_null(strstr(lines.text, "TOWONEL_FLAG"));
	assert_null(strstr(lines.text, "TOWEL"));
}

static void help_lists_every_row(void **state)
{
	struct tow_buf out = { 0 };

	(void)state;
	assert_int_equal(tow_settings_help(table, COUNT, &out), 0);
	assert_int_equal(tow_buf_append(&out, "", 1), 0);
	for (size_t i = 0; i < COUNT; i++)
		assert_non_null(strstr((char *)out.base, table[i].name));
	assert_non_null(strstr((char *)out.base, "TOWONEL_NUMBER (default: 4)\n      number\n"));
	assert_non_null(strstr((char *)out.base, "TOWONEL_OLD_TEXT (old name of TOWONEL_TEXT)"));
	tow_buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_taken),
		cmocka_unit_test(default_paths_are_below_the_data_directory),
		cmocka_unit_test(a_bad_value_names_its_variable),
		cmocka_unit_test(good_values_are_read),
		cmocka_unit_test(lists_are_csv_or_json),
		cmocka_unit_test(a_list_may_begin_with_an_ipv6_address),
		cmocka_unit_test(a_secret_leaves_the_environment),
		cmocka_unit_test(a_secret_may_be_in_a_file),
		cmocka_unit_test(an_old_name_works_until_the_new_one_is_set),
		cmocka_unit_test(unknown_names_get_a_suggestion),
		cmocka_unit_test(help_lists_every_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
