/* SPDX-License-Identifier: MIT */
#include "store/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

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
	void (*lost)(void *user);
	void *user;
	struct tow__db_gate gate;
	struct thread listener; /* its store is NULL when there is nothing to listen to */
	int wake_fd;            /* readable: the listener is to end */
	void (*closed)(void *user);
	void *closed_user;
	size_t thread_count;
	pthread_mutex_t lock; /* of what follows */
	struct queue writes, reads;
	size_t waiting;
	int stopping;
	/* what the listener has to tell, which is on its way when told */
	uint64_t heard;
	int lost_it, told;
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

static void tell_on_loop(void *user)
{
	struct tow__pool *pool = user;
	uint64_t version;
	int lost;

	pthread_mutex_lock(&pool->lock);
	version = pool->heard;
	lost = pool->lost_it;
	pool->told = pool->lost_it = 0;
	pthread_mutex_unlock(&pool->lock);
	if (version && pool->changed)
		pool->changed(pool->user, version);
	if (lost && pool->lost)
		pool->lost(pool->user);
}

/* However much is heard, one message is on its way at most. */
static void tell(struct tow__pool *pool, uint64_t version, int lost)
{
	int told;

	pthread_mutex_lock(&pool->lock);
	told = pool->told;
	pool->told = 1;
	pool->lost_it |= lost;
	if (version > pool->heard)
		pool->heard = version;
	pthread_mutex_unlock(&pool->lock);
	if (!told)
		post(pool, tell_on_loop, pool);
}

static void *listen_(void *user)
{
	struct thread *t = user;
	int r, listening = 0;

	for (;;) {
		struct tow__fault fault = { 0 };
		uint64_t version = 0;
		r = tow__store_listen(t->store, t->pool->wake_fd, &version);
		if (r == TOW_EOF)
			return NULL;
		/* what was announced while nobody listened */
		if (r == TOW_MORE && !tow__store_see_version(t->store, &fault))
			version = tow__store_version(t->store);
		if (version || (r < 0 && listening))
			tell(t->pool, version, r < 0);
		listening = r >= 0;
	}
}

/* Signals are the main thread's. */
static int start(struct thread *t, void *(*work)(void *user))
{
	pthread_attr_t attr;
	sigset_t all, before;
	int r;

	if (pthread_attr_init(&attr))
		return TOW_ENOMEM;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_attr_setstacksize(&attr, STACK_SIZE) ? TOW_ENOMEM : 0;
	if (!r && pthread_create(&t->id, &attr, work, t))
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
	if (pool->listener.started) {
		eventfd_write(pool->wake_fd, 1);
		pthread_join(pool->listener.id, NULL);
	}
	for (size_t i = 0; i < pool->thread_count; i++)
		if (pool->threads[i].started)
			pthread_join(pool->threads[i].id, NULL);
	for (size_t i = 0; i < pool->thread_count; i++)
		tow__store_close(pool->threads[i].store);
	tow__store_close(pool->listener.store);
}

static void finish(void *user)
{
	struct tow__pool *pool = user;
	void (*closed)(void *) = pool->closed;
	void *closed_user = pool->closed_user;

	if (pool->wake_fd >= 0)
		close(pool->wake_fd);
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

/* The first store, and what the others are to do about the schema. */
static int open_first(const struct tow__store_config *config, struct tow__store **out,
                      enum tow__store_schema *schema, struct tow_error *err)
{
	int r = tow__store_open(config, TOW__SCHEMA_NOW, out, err);

	*schema = TOW__SCHEMA_IS_READY;
	if (r != TOW_EUNAVAILABLE)
		return r;
	*schema = TOW__SCHEMA_WHEN_USED;
	if (tow__store_open(config, TOW__SCHEMA_WHEN_USED, out, NULL))
		return r;
	if (tow__store_is_away(*out))
		return 0;
	tow__store_close(*out);
	*out = NULL;
	return r;
}

int tow__pool_new(const struct tow__pool_config *config, struct tow__pool **out,
                  struct tow_error *err)
{
	size_t count =
		config->threads ? config->threads : tow__db_connections(config->store.driver);
	struct tow__store_config store = config->store;
	enum tow__store_schema schema = TOW__SCHEMA_NOW;
	struct tow__pool *pool;
	int r = 0;

	count = count ? count : 1; /* and _open says what is wrong with the driver */
	pool = calloc(1, sizeof *pool + count * sizeof pool->threads[0]);

	if (!pool)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	pool->loop = config->loop;
	pool->changed = config->changed;
	pool->lost = config->lost;
	pool->user = config->user;
	pool->listener.pool = pool;
	pool->wake_fd = -1;
	store.gate = &pool->gate;
	pool->thread_count = count;
	pthread_mutex_init(&pool->lock, NULL);
	queue_init(&pool->writes);
	queue_init(&pool->reads);
	for (size_t i = 0; i < count && !r; i++) {
		struct thread *t = &pool->threads[i];
		t->pool = pool;
		t->queue = i ? &pool->reads : &pool->writes;
		r = i ? tow__store_open(&store, schema, &t->store, err)
		      : open_first(&store, &t->store, &schema, err);
	}
	if (!r && tow__store_is_shared(pool->threads[0].store))
		r = tow__store_open(&store, schema, &pool->listener.store, err);
	for (size_t i = 0; i < count && !r; i++) {
		r = start(&pool->threads[i], run);
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

int tow__pool_listen(struct tow__pool *pool)
{
	if (!pool->listener.store)
		return 0;
	pool->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return pool->wake_fd < 0 ? TOW_ENOMEM : start(&pool->listener, listen_);
}

int tow__pool_is_shared(const struct tow__pool *pool)
{
	return pool->listener.store != NULL;
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
