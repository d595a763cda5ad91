/* SPDX-License-Identifier: MIT */
#include "store/libpq.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "libpq.so.5"

static const struct {
	const char *name;
	size_t offset;
} functions[] = {
#define ROW(name) { #name, offsetof(struct tow__pq, name) },
	TOW__PQ_FUNCTIONS(ROW)
#undef ROW
};

/* Written once, by load. */
static struct tow__pq loaded;
static int is_loaded;
static char reason[200];

static void load(void)
{
	void *library = dlopen(FILE_NAME, RTLD_NOW | RTLD_LOCAL);
	const char *missing = library ? NULL : dlerror();

	for (size_t i = 0; library && !missing && i < sizeof functions / sizeof *functions; i++) {
		void *function = dlsym(library, functions[i].name);
		if (!function)
			missing = functions[i].name;
		memcpy((char *)&loaded + functions[i].offset, &function, sizeof function);
	}
	is_loaded = !missing;
	if (missing)
		snprintf(reason, sizeof reason, "%s", missing);
}

const struct tow__pq *tow__pq_load(struct tow_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	if (is_loaded)
		return &loaded;
	tow_error_set(err, TOW_ECONFIG,
	              "PostgreSQL's client library cannot be used (package libpq5): %s", reason);
	return NULL;
}
