/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <cmocka.h>

#include "drivers.h"
#include "store/pool.h"

struct bench {
	struct tow_loop *loop;
	struct tow__pool *pool;
	pthread_t loop_thread;
	uint64_t version;
	size_t done, wanted;
	int closed;
};

struct work {
	struct tow__job job;
	struct bench *bench;
	struct tenant *tenant;
	struct tow__fault fault;
	struct tow_slice jws;
	struct tow__submitted out;
};

static void changed(void *user, uint64_t version)
{
	struct bench *b = user;

	assert_true(pthread_equal(pthread_self(), b->loop_thread));
	assert_true(version > b->version);
	b->version = version;
}

static void open_pool(struct fixture *f, struct bench *b, size_t threads)
{
	struct tow__pool_config config = {
		.store = f->config, .threads = threads, .changed = changed, .user = b
	};
	struct tow_error err;

	memset(b, 0, sizeof *b);
	b->loop = tow_loop_new();
	assert_non_null(b->loop);
	b->loop_thread = pthread_self();
	config.loop = b->loop;
	if (tow__pool_new(&config, &b->pool, &err))
		fail_msg("%s", err.text);
}

static void closed(void *user)
{
	struct bench *b = user;

	b->closed = 1;
	tow_loop_stop(b->loop);
}

static void close_pool(struct bench *b)
{
	tow__pool_close(b->pool, closed, b);
	while (!b->closed)
		tow_loop_run(b->loop);
	tow_loop_free(b->loop);
}

static void write_work(struct tow__job *job, struct tow__store *store)
{
	struct work *w = (struct work *)job;
	struct tow__submission in = { &w->jws, 1, NULL, NOW };

	tow__store_submit(store, &in, &w->out, &w->fault);
}

static void read_work(struct tow__job *job, struct tow__store *store)
{
	struct work *w = (struct work *)job;

	tow__store_ping(store, &w->fault);
}

static void done(struct tow__job *job)
{
	struct work *w = (struct work *)job;

	assert_true(pthread_equal(pthread_self(), w->bench->loop_thread));
	if (++w->bench->done == w->bench->wanted)
		tow_loop_stop(w->bench->loop);
}

static void jobs_come_back_to_the_loop(struct fixture *f, size_t threads)
{
	enum { COUNT = 60 };
	struct bench b;
	struct tenant t;
	static struct work works[COUNT];
	static struct tow_buf texts[COUNT];
	char name[64];

	memset(works, 0, sizeof works);
	memset(texts, 0, sizeof texts);
	snprintf(name, sizeof name, "*.t%zu.eu", threads);
	tenant_make_ok(f, &t, "t", name);
	open_pool(f, &b, threads);
	b.wanted = COUNT;
	for (int i = 0; i < COUNT; i++) {
		struct work *w = &works[i];
		w->bench = &b;
		w->job.done = done;
		w->job.work = i % 2 ? read_work : write_work;
		if (i % 2 == 0) {
			struct tow_entry e = entry_of(&t, TOW_ENTRY_UPSERT_HOSTNAME, NULL);
			snprintf(e.name, sizeof e.name, "n%d.t%zu.eu", i, threads);
			assert_int_equal(tow_entry_sign(&e, t.key, &texts[i], NULL), 0);
			w->jws = tow_buf_peek(&texts[i]);
		}
		assert_int_equal(
			tow__pool_submit(b.pool, i % 2 ? TOW__DB_READ : TOW__DB_WRITE, &w->job), 0);
	}
	tow_loop_run(b.loop);
	assert_int_equal(b.done, COUNT);
	for (int i = 0; i < COUNT; i++) {
		if (works[i].fault.kind)
			fail_msg("%s", works[i].fault.text);
		/* in the order they came */
		if (i % 2 == 0)
			assert_int_equal(works[i].out.sequence, i / 2 + 1);
		tow_buf_deinit(&texts[i]);
	}
	assert_int_equal(b.version, tow__store_version(f->store) + COUNT / 2);
	close_pool(&b);
	fixture_reopen(f);
	tenant_deinit(&t);
}

static void one_thread_does_all(void **state)
{
	jobs_come_back_to_the_loop(*state, 1);
}

static void several_threads_share(void **state)
{
	jobs_come_back_to_the_loop(*state, 4);
}

static void what_waits_at_the_close_is_done(void **state)
{
	enum { COUNT = 20 };
	struct bench b;
	static struct work works[COUNT];

	open_pool(*state, &b, 2);
	memset(works, 0, sizeof works);
	for (int i = 0; i < COUNT; i++) {
		works[i].bench = &b;
		works[i].job.work = read_work;
		works[i].job.done = done;
		assert_int_equal(tow__pool_submit(b.pool, TOW__DB_READ, &works[i].job), 0);
	}
	close_pool(&b);
	assert_int_equal(b.done, COUNT);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void wait_work(struct tow__job *job, struct tow__store *store)
{
	(void)job;
	(void)store;
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
}

static void the_queue_has_an_end(void **state)
{
	enum { COUNT = TOW__POOL_QUEUE_MAX + 10 };
	struct bench b;
	struct work *works = calloc(COUNT, sizeof *works);
	size_t taken = 0;

	assert_non_null(works);
	open_pool(*state, &b, 1);
	pthread_mutex_lock(&gate);
	for (int i = 0; i < COUNT; i++) {
		works[i].bench = &b;
		works[i].job.work = wait_work;
		works[i].job.done = done;
		taken += !tow__pool_submit(b.pool, TOW__DB_READ, &works[i].job);
	}
	/* one may be in the thread's hands */
	assert_true(taken == TOW__POOL_QUEUE_MAX || taken == TOW__POOL_QUEUE_MAX + 1);
	pthread_mutex_unlock(&gate);
	close_pool(&b);
	assert_int_equal(b.done, taken);
	free(works);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(one_thread_does_all),
		T(several_threads_share),
		T(what_waits_at_the_close_is_done),
		T(the_queue_has_an_end),
	};
	return run_on_drivers(tests, sizeof tests / sizeof *tests, NULL, 0);
}
