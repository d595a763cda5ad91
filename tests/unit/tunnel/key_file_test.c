/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/key_file.h>

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/towonel-keys-XXXXXX";
static char path[256];

/* The files in the directory, and an end to them. */
static int sweep(void)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	int count = 0;

	while ((entry = readdir(d))) {
		char name[600];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s/%s", dir, entry->d_name);
		unlink(name);
		count++;
	}
	closedir(d);
	return count;
}

static int set_up(void **state)
{
	(void)state;
	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/node.key", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sweep();
	return rmdir(dir);
}

static void put_file(const char *bytes, size_t len, unsigned mode)
{
	struct tow_error err;

	assert_int_equal(tow_file_replace(path, tow_slice_make(bytes, len), mode, &err), 0);
}

static void a_key_is_made_once_in_every_format(void **state)
{
	static const size_t sizes[] = {
		[TOW_KEY_RAW] = 32, [TOW_KEY_HEX] = 65, [TOW_KEY_BASE64URL] = 44, [TOW_KEY_SEED] = 32
	};

	(void)state;
	for (int format = TOW_KEY_RAW; format <= TOW_KEY_SEED; format++) {
		uint8_t first[TOW_SECRET_SIZE] = { 0 }, second[TOW_SECRET_SIZE],
			zero[TOW_SECRET_SIZE] = { 0 };
		struct tow_error err;
		struct stat st;
		int created = -1;

		assert_int_equal(
			tow_key_file_open(path, (enum tow_key_format)format, first, &created, &err),
			0);
		assert_int_equal(created, 1);
		assert_memory_not_equal(first, zero, sizeof zero);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(st.st_size, sizes[format]);
		assert_int_equal(tow_key_file_open(path, (enum tow_key_format)format, second,
		                                   &created, &err),
		                 0);
		assert_int_equal(created, 0);
		assert_memory_equal(first, second, sizeof first);
		assert_int_equal(tow_key_file_read(path, (enum tow_key_format)format, second, &err),
		                 0);
		assert_memory_equal(first, second, sizeof first);
		assert_int_equal(sweep(), 1); /* no temporary file */
	}
}

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define B64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

static const struct {
	enum tow_key_format format;
	const char *text;
	int status;
} files[] = {
	{ TOW_KEY_HEX, HEX, 0 },
	{ TOW_KEY_HEX, HEX "\n", 0 },
	{ TOW_KEY_HEX, HEX "\r\n", 0 },
	{ TOW_KEY_HEX, "", TOW_EPARSE },
	{ TOW_KEY_SEED, HEX "\n", 0 },
	{ TOW_KEY_SEED, "thirty-one bytes are not enough", TOW_EPARSE },
	{ TOW_KEY_SEED, B64, TOW_EPARSE },
	{ TOW_KEY_HEX, HEX "0", TOW_EPARSE },
	{ TOW_KEY_HEX, HEX "00", TOW_EPARSE },
	{ TOW_KEY_HEX, "x" HEX, TOW_EPARSE },
	{ TOW_KEY_BASE64URL, B64, 0 },
	{ TOW_KEY_BASE64URL, B64 "\n", 0 },
	{ TOW_KEY_BASE64URL, B64 "=", TOW_EPARSE },
	{ TOW_KEY_BASE64URL, B64 "A", TOW_EPARSE },
	{ TOW_KEY_RAW, "thirty-one bytes are not enough", TOW_EPARSE },
	{ TOW_KEY_RAW, "thirty-two bytes are a raw key..", 0 },
	{ TOW_KEY_RAW, "thirty-two bytes are a raw key..\n", TOW_EPARSE },
	{ TOW_KEY_HEX, HEX HEX HEX HEX HEX, TOW_EPARSE },
};

static void files_are_read_or_refused(void **state)
{
	uint8_t want[TOW_SECRET_SIZE], key[TOW_SECRET_SIZE];
	struct tow_error err;

	(void)state;
	for (size_t i = 0; i < sizeof want; i++)
		want[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		memset(key, 0xee, sizeof key);
		put_file(files[i].text, strlen(files[i].text), 0600);
		assert_int_equal(tow_key_file_read(path, files[i].format, key, &err),
		                 files[i].status);
		if (files[i].status) {
			assert_non_null(strstr(err.text, path));
			assert_int_equal(key[0], 0xee);
			assert_null(strstr(err.text, "0001"));
		} else if (files[i].format != TOW_KEY_RAW) {
			assert_memory_equal(key, want, sizeof key);
		}
		/* A bad key is not replaced by a fresh one. */
		assert_int_equal(tow_key_file_open(path, files[i].format, key, NULL, &err),
		                 files[i].status);
	}
}

static void a_key_that_others_can_read_is_refused(void **state)
{
	static const unsigned modes[] = { 0644, 0640, 0604, 0660, 0610 };
	uint8_t key[TOW_SECRET_SIZE];
	struct tow_error err;

	(void)state;
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		put_file(HEX, 64, modes[i]);
		assert_int_equal(tow_key_file_open(path, TOW_KEY_HEX, key, NULL, &err),
		                 TOW_EDENIED);
		assert_non_null(strstr(err.text, "chmod 600 "));
		assert_non_null(strstr(err.text, path));
	}
	put_file(HEX, 64, 0400);
	assert_int_equal(tow_key_file_open(path, TOW_KEY_HEX, key, NULL, &err), 0);
}

/* However many start at once, all have the same key. */
static void racers_end_up_with_one_key(void **state)
{
	enum { RACERS = 8 };

	(void)state;
	for (int round = 0; round < 10; round++) {
		uint8_t keys[RACERS][TOW_SECRET_SIZE];
		int go[2], results[2], makers = 0;
		pid_t racers[RACERS];

		assert_int_equal(pipe(go), 0);
		assert_int_equal(pipe(results), 0);
		for (int i = 0; i < RACERS; i++) {
			racers[i] = fork();
			if (!racers[i]) {
				uint8_t message[TOW_SECRET_SIZE + 1];
				int created = 0;
				close(go[1]);
				(void)!read(go[0], message, 1); /* until all are there */
				if (tow_key_file_open(path, TOW_KEY_RAW, message, &created, NULL))
					_exit(1);
				message[TOW_SECRET_SIZE] = (uint8_t)created;
				_exit(write(results[1], message, sizeof message) != sizeof message);
			}
		}
		close(go[1]);
		for (int i = 0; i < RACERS; i++) {
			uint8_t message[TOW_SECRET_SIZE + 1];
			int status;
			assert_int_equal(waitpid(racers[i], &status, 0), racers[i]);
			assert_int_equal(status, 0);
			assert_int_equal(read(results[0], message, sizeof message), sizeof message);
			memcpy(keys[i], message, TOW_SECRET_SIZE);
			makers += message[TOW_SECRET_SIZE];
			assert_memory_equal(keys[i], keys[0], TOW_SECRET_SIZE);
		}
		assert_int_equal(makers, 1);
		close(go[0]);
		close(results[0]);
		close(results[1]);
		assert_int_equal(sweep(), 1);
	}
}

static void a_directory_that_is_not_there_is_told(void **state)
{
	uint8_t key[TOW_SECRET_SIZE];
	struct tow_error err;
	char missing[300];

	(void)state;
	snprintf(missing, sizeof missing, "%s/none/node.key", dir);
	assert_int_equal(tow_key_file_read(missing, TOW_KEY_HEX, key, &err), TOW_ENOTFOUND);
	assert_int_equal(tow_key_file_open(missing, TOW_KEY_HEX, key, NULL, &err), TOW_EIO);
	assert_int_equal(err.code, TOW_EIO);
	assert_non_null(strstr(err.text, missing));
}

/* A full disk, as a limit on the size of files has it: the old file stays as it was. */
static void what_cannot_be_written_changes_nothing(void **state)
{
	struct rlimit before, none;
	struct tow_buf bytes = { 0 };
	uint8_t key[TOW_SECRET_SIZE];
	struct tow_error err;
	char other[300];

	(void)state;
	put_file("old", 3, 0600);
	snprintf(other, sizeof other, "%s/other.key", dir);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(tow_file_replace(path, tow_slice_of("new"), 0600, &err), TOW_EIO);
	assert_int_equal(tow_key_file_open(other, TOW_KEY_RAW, key, NULL, NULL), TOW_EIO);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, "too large"));
	assert_int_equal(tow_file_read(path, 100, &bytes, NULL), 0);
	assert_int_equal(tow_buf_len(&bytes), 3);
	assert_memory_equal(tow_buf_peek(&bytes).base, "old", 3);
	tow_buf_deinit(&bytes);
	assert_int_equal(sweep(), 1);
}

static void files_are_read_whole_or_not(void **state)
{
	struct tow_buf bytes = { 0 };
	struct tow_error err;
	char *big = malloc(100000);

	(void)state;
	memset(big, 'z', 100000);
	put_file(big, 100000, 0644);
	assert_int_equal(tow_file_read(path, 100000, &bytes, &err), 0);
	assert_int_equal(tow_buf_len(&bytes), 100000);
	tow_buf_clear(&bytes);
	assert_int_equal(tow_file_read(path, 99999, &bytes, &err), TOW_ETOOBIG);
	tow_buf_clear(&bytes);
	assert_int_equal(tow_file_read("/proc/self/status", 100000, &bytes, &err), 0);
	assert_true(tow_buf_len(&bytes) > 200);
	tow_buf_clear(&bytes);
	put_file("", 0, 0644);
	assert_int_equal(tow_file_read(path, 10, &bytes, &err), 0);
	assert_int_equal(tow_buf_len(&bytes), 0);
	assert_int_equal(tow_file_read(dir, 10, &bytes, &err), TOW_EIO);
	tow_buf_deinit(&bytes);
	free(big);
}

static void a_file_is_made_but_never_made_anew(void **state)
{
	struct tow_buf bytes = { 0 };
	struct tow_error err;
	struct stat st;

	(void)state;
	assert_int_equal(tow_file_create(path, tow_slice_of("first"), 0600, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(tow_file_create(path, tow_slice_of("second"), 0600, &err), TOW_ECONFLICT);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(tow_file_read(path, 10, &bytes, &err), 0);
	assert_true(tow_slice_equal(tow_buf_peek(&bytes), tow_slice_of("first")));
	assert_int_equal(sweep(), 1); /* no temporary file */
	tow_buf_deinit(&bytes);
}

static void directories_are_made_with_their_parents(void **state)
{
	struct tow_error err;
	char deep[300];
	struct stat st;

	(void)state;
	snprintf(deep, sizeof deep, "%s/a/b/c/", dir);
	assert_int_equal(tow_directory_make(deep, &err), 0);
	assert_int_equal(tow_directory_make(deep, &err), 0);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	for (int i = 0; i < 3; i++) {
		snprintf(deep, sizeof deep, "%s/%s", dir,
		         (const char *[]){ "a/b/c", "a/b", "a" }[i]);
		assert_int_equal(rmdir(deep), 0);
	}
	put_file("x", 1, 0600);
	assert_int_equal(tow_directory_make(path, &err), TOW_EIO);
	assert_non_null(strstr(err.text, path));
	snprintf(deep, sizeof deep, "%s/below", path);
	assert_int_equal(tow_directory_make(deep, &err), TOW_EIO);
	assert_int_equal(tow_directory_make("", &err), TOW_EIO);
	assert_int_equal(tow_directory_make("/", &err), 0);
}

int main(void)
{
#define KEY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		KEY_TEST(a_key_is_made_once_in_every_format),
		KEY_TEST(files_are_read_or_refused),
		KEY_TEST(a_key_that_others_can_read_is_refused),
		KEY_TEST(racers_end_up_with_one_key),
		KEY_TEST(a_directory_that_is_not_there_is_told),
		KEY_TEST(what_cannot_be_written_changes_nothing),
		KEY_TEST(files_are_read_whole_or_not),
		KEY_TEST(a_file_is_made_but_never_made_anew),
		KEY_TEST(directories_are_made_with_their_parents),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
