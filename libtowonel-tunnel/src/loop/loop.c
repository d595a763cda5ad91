/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * A turn, in libuv's order:
 *
 *     uv timers ─► before_sleep ─► poll: descriptors, posts ─► after_poll ─► closing handles
 *                  tasks,                                      timers,
 *                  arm the timerfd                             tasks
 *
 * What events leave to be done is done in after_poll; what anything else left (closing handles,
 * code outside the loop), in before_sleep. Time is read when first asked for, once for the events
 * and once for what follows them.
 */

uint64_t tow_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * TOW_NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

uint64_t tow_wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t tow_loop_now_ns(const struct tow_loop *loop)
{
	struct tow_loop *cache = (struct tow_loop *)(uintptr_t)loop;

	if (!loop->turning)
		return tow_now_ns();
	if (!loop->now_ns)
		cache->now_ns = tow_now_ns();
	return loop->now_ns;
}

struct uv_loop_s *tow_loop_uv(struct tow_loop *loop)
{
	return &loop->uv;
}

static void on_hurry(uv_idle_t *handle)
{
	(void)handle;
}

static void run_tasks(struct tow_loop *loop)
{
	if (tow__tasks_run(loop))
		uv_idle_start(&loop->hurry, on_hurry);
	else
		uv_idle_stop(&loop->hurry);
}

static void on_before_sleep(uv_prepare_t *handle)
{
	struct tow_loop *loop = handle->data;

	run_tasks(loop);
	tow__timers_arm(loop);
	loop->unseen = 0;
	loop->now_ns = 0;
}

static void on_after_poll(uv_check_t *handle)
{
	struct tow_loop *loop = handle->data;

	loop->now_ns = 0;
	tow__timers_run(loop);
	run_tasks(loop);
	loop->now_ns = 0;
}

static void run_posts(struct tow_loop *loop)
{
	struct posted *post, *next;

	pthread_mutex_lock(&loop->posts_lock);
	post = loop->posts;
	loop->posts = NULL;
	loop->posts_end = &loop->posts;
	pthread_mutex_unlock(&loop->posts_lock);
	for (; post; post = next) {
		next = post->next;
		post->fn(post->user);
		free(post);
	}
}

static void on_wake(uv_async_t *handle)
{
	struct tow_loop *loop = handle->data;

	run_posts(loop);
	if (atomic_exchange(&loop->stop, 0))
		uv_stop(&loop->uv);
}

int tow_loop_post(struct tow_loop *loop, void (*fn)(void *user), void *user)
{
	struct posted *post = malloc(sizeof *post);

	if (!post)
		return TOW_ENOMEM;
	*post = (struct posted){ .fn = fn, .user = user };
	pthread_mutex_lock(&loop->posts_lock);
	*loop->posts_end = post;
	loop->posts_end = &post->next;
	pthread_mutex_unlock(&loop->posts_lock);
	uv_async_send(&loop->wake);
	return 0;
}

void tow_loop_stop(struct tow_loop *loop)
{
	atomic_store(&loop->stop, 1);
	uv_async_send(&loop->wake);
}

struct tow_loop *tow_loop_new(void)
{
	struct tow_loop *loop = calloc(1, sizeof *loop);

	if (!loop)
		return NULL;
	if (uv_loop_init(&loop->uv)) {
		free(loop);
		return NULL;
	}
	pthread_mutex_init(&loop->posts_lock, NULL);
	loop->posts_end = &loop->posts;
	loop->unseen = 1;
	tow__tasks_init(loop);
	if (tow__timers_init(loop))
		goto fail;
	if (uv_async_init(&loop->uv, &loop->wake, on_wake)) {
		tow__timers_close(loop);
		goto fail;
	}
	/* These three cannot fail. */
	uv_prepare_init(&loop->uv, &loop->before_sleep);
	uv_check_init(&loop->uv, &loop->after_poll);
	uv_idle_init(&loop->uv, &loop->hurry);
	loop->wake.data = loop->before_sleep.data = loop->after_poll.data = loop;
	uv_prepare_start(&loop->before_sleep, on_before_sleep);
	uv_check_start(&loop->after_poll, on_after_poll);
	return loop;
fail:
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	uv_loop_close(&loop->uv);
	tow__timers_deinit(loop);
	pthread_mutex_destroy(&loop->posts_lock);
	free(loop);
	return NULL;
}

static void must_be_closing(uv_handle_t *handle, void *arg)
{
	(void)arg;
	assert(uv_is_closing(handle));
}

void tow_loop_free(struct tow_loop *loop)
{
	if (!loop)
		return;
	loop->turning = 1;
	run_posts(loop);
	tow__tasks_run(loop);
	tow__timers_close(loop);
	uv_close((uv_handle_t *)&loop->wake, NULL);
	uv_close((uv_handle_t *)&loop->before_sleep, NULL);
	uv_close((uv_handle_t *)&loop->after_poll, NULL);
	uv_close((uv_handle_t *)&loop->hurry, NULL);
	/* A handle that its owner has forgotten would keep the loop running for ever. */
	uv_walk(&loop->uv, must_be_closing, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	uv_loop_close(&loop->uv);
	tow__timers_deinit(loop);
	tow__spare_deinit(loop);
	free(loop->receive_area);
	pthread_mutex_destroy(&loop->posts_lock);
	free(loop);
}

static void turn(struct tow_loop *loop, uv_run_mode mode)
{
	assert(!loop->turning);
	loop->now_ns = 0;
	loop->turning = 1;
	uv_run(&loop->uv, mode);
	loop->turning = 0;
}

void tow_loop_run(struct tow_loop *loop)
{
	turn(loop, UV_RUN_DEFAULT);
}

int tow_loop_fd(const struct tow_loop *loop)
{
	return uv_backend_fd(&loop->uv);
}

int tow_loop_timeout_ms(struct tow_loop *loop)
{
	tow__timers_arm(loop);
	/* libuv tells the kernel of new watches at the next turn only. */
	if (loop->tasks || loop->unseen)
		return 0;
	return uv_backend_timeout(&loop->uv);
}

void tow_loop_dispatch(struct tow_loop *loop)
{
	turn(loop, UV_RUN_NOWAIT);
}

struct work {
	uv_work_t request;
	void (*work)(void *user);
	void (*done)(void *user);
	void *user;
};

static void on_work(uv_work_t *request)
{
	struct work *work = request->data;

	work->work(work->user);
}

static void on_worked(uv_work_t *request, int status)
{
	struct work *work = request->data;

	(void)status;
	work->done(work->user);
	free(work);
}

int tow_loop_work(struct tow_loop *loop, void (*work)(void *user), void (*done)(void *user),
                  void *user)
{
	struct work *w = malloc(sizeof *w);

	if (!w)
		return TOW_ENOMEM;
	*w = (struct work){ .work = work, .done = done, .user = user };
	w->request.data = w;
	if (uv_queue_work(&loop->uv, &w->request, on_work, on_worked)) {
		free(w);
		return TOW_ENOMEM;
	}
	return 0;
}
