/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target without a fuzzer, in the ordinary tests. The arguments are seed files or
 * directories of them; without any it is the directory of seeds named like the program. For each
 * seed it runs the seed, every prefix of it, and the seed with each single bit flipped; of a long
 * seed an even sample of those, so that the time stays bounded. Speaks TAP; a crash or a
 * sanitizer's report ends the program and so the test.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_SEED = 1 << 20, MAX_RUNS_PER_SEED = 4096 };

/* An exact-size copy on the heap: reading past the end is then seen by AddressSanitizer. */
static void run(const uint8_t *data, size_t size, size_t flipped_bit)
{
	uint8_t *copy = malloc(size ? size : 1);

	assert(copy != NULL);
	memcpy(copy, data, size);
	if (flipped_bit < size * 8)
		copy[flipped_bit / 8] ^= (uint8_t)(1u << flipped_bit % 8);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_all(const uint8_t *data, size_t size)
{
	size_t step = size / MAX_RUNS_PER_SEED + 1;

	run(data, size, SIZE_MAX);
	for (size_t len = 0; len < size; len += step)
		run(data, len, SIZE_MAX);
	step = size * 8 / MAX_RUNS_PER_SEED + 1;
	for (size_t bit = 0; bit < size * 8; bit += step)
		run(data, size, bit);
}

static int run_file(const char *path, int number)
{
	uint8_t *data = malloc(MAX_SEED);
	FILE *file = fopen(path, "rb");
	size_t size;

	assert(data != NULL);
	if (file == NULL) {
		printf("not ok %d - cannot read %s\n", number, path);
		free(data);
		return 1;
	}
	size = fread(data, 1, MAX_SEED, file);
	fclose(file);
	run_all(data, size);
	free(data);
	printf("ok %d - %s\n", number, path);
	return 0;
}

static int run_directory(const char *path, int *number)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);
	int failures = 0;

	for (int i = 0; i < count; i++) {
		char *file = NULL;

		if (entries[i]->d_name[0] != '.') {
			assert(asprintf(&file, "%s/%s", path, entries[i]->d_name) > 0);
			failures += run_file(file, ++*number);
			free(file);
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return failures;
}

int main(int argc, char **argv)
{
	char *own_seeds = NULL;
	char *none[2] = { argv[0], NULL };
	int number = 0, failures = 0;

	if (argc < 2) {
		assert(asprintf(&own_seeds, "tests/fuzz/seeds/%s", program_invocation_short_name) >
		       0);
		none[1] = own_seeds;
		argv = none;
		argc = 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			failures += run_directory(argv[i], &number);
		else
			failures += run_file(argv[i], ++number);
	}
	if (number == 0)
		printf("not ok %d - there is no seed\n", ++number);
	printf("1..%d\n", number);
	free(own_seeds);
	return failures != 0;
}
