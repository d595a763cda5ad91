/* SPDX-License-Identifier: MIT */
#include "tls/issuer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <towonel/wire/limits.h>

/* An issuer whose authority is not there, so that all that is wanted waits. */
struct bench {
	struct tow_loop *loop;
	struct tow_metrics *metrics;
	struct cert_store *store;
	struct issuer *issuer;
	char directory[64];
};

static int is_served(void *user, const char *name)
{
	(void)user;
	return strstr(name, ".unserved.") == NULL;
}

static int setup(void **state)
{
	struct bench *t = calloc(1, sizeof(*t));
	struct cert_store_config store = { .directory = t->directory };
	struct issuer_config issuer = { .directory = t->directory,
		                        .directory_url = "https://127.0.0.1:1/",
		                        .version = "test",
		                        .served = is_served,
		                        .backoff_ns = 3600 * TOW_NSEC_PER_SEC };

	snprintf(t->directory, sizeof(t->directory), "/tmp/towonel-issuer-XXXXXX");
	assert_non_null(mkdtemp(t->directory));
	t->loop = store.loop = issuer.loop = tow_loop_new();
	t->metrics = store.metrics = tow_metrics_new();
	assert_int_equal(tow__cert_store_new(&store, &t->store), 0);
	issuer.store = t->store;
	assert_int_equal(tow__issuer_new(&issuer, &t->issuer, NULL), 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct bench *t = *state;
	char command[128];

	tow__issuer_free(t->issuer);
	tow__cert_store_free(t->store);
	tow_loop_free(t->loop);
	tow_metrics_free(t->metrics);
	snprintf(command, sizeof(command), "rm -r %s", t->directory);
	assert_int_equal(system(command), 0); /* NOLINT: a test may */
	free(t);
	return 0;
}

static void on_done(void *user, struct tow_tls_context *context)
{
	(void)user;
	(void)context;
}

/* As a visitor who does not wait. */
static int get(struct bench *t, unsigned label, const char *zone)
{
	struct cert_wait wait = { .done = on_done };
	struct tow_tls_context *context;
	char name[TOW_HOSTNAME_SIZE];
	int rc;

	snprintf(name, sizeof(name), "x%u.%s", label, zone);
	rc = tow__cert_store_get(t->store, name, &wait, &context);
	tow__cert_wait_cancel(&wait);
	return rc;
}

static unsigned count_records(const struct bench *t)
{
	unsigned count = 0;
	struct dirent *entry;
	DIR *dir;

	for (int i = 0; i < 50; i++) { /* what is to be written is */
		tow_loop_dispatch(t->loop);
		usleep(2000);
	}
	dir = opendir(t->directory);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		count += strstr(entry->d_name, ".json") != NULL;
	closedir(dir);
	return count;
}

/* Whoever has a wildcard can be asked for any number of names, by anybody. */
static void names_below_a_wildcard_leave_room_for_others(void **state)
{
	struct bench *t = *state;

	for (unsigned i = 0; i < 2 * TOW_ACME_QUEUE_MAX; i++)
		assert_int_equal(get(t, i, "alice.test"),
		                 i < TOW_ACME_QUEUE_PER_ZONE ? TOW_BLOCKED : TOW_EUNAVAILABLE);
	assert_int_equal(get(t, 1, "bob.test"), TOW_BLOCKED);
	assert_int_equal(get(t, 1, "alice.test"), TOW_BLOCKED);
	assert_int_equal(count_records(t), 0);
}

/* Nothing has been tried that would be worth remembering. */
static void what_is_not_tried_leaves_no_file(void **state)
{
	struct bench *t = *state;

	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(get(t, i, "unserved.test"), TOW_EUNAVAILABLE);
	assert_int_equal(count_records(t), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(names_below_a_wildcard_leave_room_for_others),
		CASE(what_is_not_tried_leaves_no_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
