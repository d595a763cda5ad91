/* SPDX-License-Identifier: MIT */
#include "store/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define STACK_SIZE (1024 * 1024) /* ML-DSA wants some hundred KiB of it */

struct queue {
	struct tow__job *head, **tail;
	pthread_cond_t filled;
};

struct thread {
	struct tow__pool *pool;
	struct queue *queue;
	struct tow__store *store;
	pthread_t id;
	int started;
};

struct tow__pool {
	struct tow_loop *loop;
	void (*changed)(void *user, uint64_t version);
	void *user;
	void (*closed)(void *user);
	void *closed_user;
	size_t thread_count;
	pthread_mutex_t lock; /* of what follows */
	struct queue writes, reads;
	size_t waiting;
	int stopping;
	struct thread threads[];
};

static void queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
	pthread_cond_init(&q->filled, NULL);
}

static void come_back(void *user)
{
	struct tow__job *job = user;
	struct tow__pool *pool = job->pool;

	if (job->version && pool->changed)
		pool->changed(pool->user, job->version);
	job->done(job);
}

/* A job that was done has to come back, whatever it takes. */
static void post(struct tow__pool *pool, void (*fn)(void *user), void *user)
{
	const struct timespec pause = { 0, 10 * 1000 * 1000 };

	while (tow_loop_post(pool->loop, fn, user))
		nanosleep(&pause, NULL);
}

static struct tow__job *next_job(struct thread *t)
{
	struct tow__pool *pool = t->pool;
	struct queue *q = t->queue;
	struct tow__job *job;

	pthread_mutex_lock(&pool->lock);
	while (!q->head && !pool->stopping)
		pthread_cond_wait(&q->filled, &pool->lock);
	job = q->head;
	if (job) {
		q->head = job->next;
		if (!q->head)
			q->tail = &q->head;
		pool->waiting--;
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void *run(void *user)
{
	struct thread *t = user;
	struct tow__job *job;

	while ((job = next_job(t))) {
		uint64_t before = tow__store_version(t->store);
		job->work(job, t->store);
		job->version = tow__store_version(t->store);
		if (job->version == before)
			job->version = 0;
		post(t->pool, come_back, job);
	}
	return NULL;
}

/* Signals are the main thread's. */
static int start(struct thread *t)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int r;

	if (pthread_attr_init(&attr))
		return TOW_ENOMEM;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_attr_setstacksize(&attr, STACK_SIZE) ? TOW_ENOMEM : 0;
	if (!r && pthread_create(&t->id, &attr, run, t))
		r = TOW_ENOMEM;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	t->started = !r;
	return r;
}

static void stop(struct tow__pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->stopping = 1;
	pthread_cond_broadcast(&pool->writes.filled);
	pthread_cond_broadcast(&pool->reads.filled);
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < pool->thread_count; i++)
		if (pool->threads[i].started)
			pthread_join(pool->threads[i].id, NULL);
	for (size_t i = 0; i < pool->thread_count; i++)
		tow__store_close(pool->threads[i].store);
}

static void finish(void *user)
{
	struct tow__pool *pool = user;
	void (*closed)(void *) = pool->closed;
	void *closed_user = pool->closed_user;

	pthread_cond_destroy(&pool->writes.filled);
	pthread_cond_destroy(&pool->reads.filled);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	if (closed)
		closed(closed_user);
}

void tow__pool_free(struct tow__pool *pool)
{
	stop(pool);
	finish(pool);
}

int tow__pool_new(const struct tow__pool_config *config, struct tow__pool **out,
                  struct tow_error *err)
{
	size_t count = config->threads ? config->threads : 1;
	struct tow__pool *pool = calloc(1, sizeof *pool + count * sizeof pool->threads[0]);
	int r = 0;

	if (!pool)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	pool->loop = config->loop;
	pool->changed = config->changed;
	pool->user = config->user;
	pool->thread_count = count;
	pthread_mutex_init(&pool->lock, NULL);
	queue_init(&pool->writes);
	queue_init(&pool->reads);
	for (size_t i = 0; i < count && !r; i++) {
		struct thread *t = &pool->threads[i];
		t->pool = pool;
		t->queue = i ? &pool->reads : &pool->writes;
		r = tow__store_open(&config->store, i == 0, &t->store, err);
	}
	for (size_t i = 0; i < count && !r; i++) {
		r = start(&pool->threads[i]);
		if (r)
			tow_error_set(err, r, "cannot start the store's threads");
	}
	if (r) {
		tow__pool_free(pool);
		return r;
	}
	*out = pool;
	return 0;
}

int tow__pool_submit(struct tow__pool *pool, enum tow__db_access access, struct tow__job *job)
{
	struct queue *q =
		access == TOW__DB_WRITE || pool->thread_count == 1 ? &pool->writes : &pool->reads;
	int r = 0;

	job->next = NULL;
	job->pool = pool;
	job->version = 0;
	pthread_mutex_lock(&pool->lock);
	if (pool->waiting >= TOW__POOL_QUEUE_MAX || pool->stopping) {
		r = TOW_EUNAVAILABLE;
	} else {
		*q->tail = job;
		q->tail = &job->next;
		pool->waiting++;
		pthread_cond_signal(&q->filled);
	}
	pthread_mutex_unlock(&pool->lock);
	return r;
}

void tow__pool_close(struct tow__pool *pool, void (*done)(void *user), void *user)
{
	stop(pool);
	pool->closed = done;
	pool->closed_user = user;
	/* behind all jobs that are on their way back */
	post(pool, finish, pool);
}
