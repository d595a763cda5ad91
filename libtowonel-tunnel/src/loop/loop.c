/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * A turn:
 *
 *     libuv, when touched ─► tasks ─► arm the timerfd ─► epoll ─► timers ─► tasks
 *                                                       descriptors,
 *                                                       libuv, clock
 *
 * What events leave to be done is done at the turn's end; what anything else left (code outside the
 * loop), before it sleeps. Time is read when first asked for, once for the events and once for what
 * follows them.
 *
 * libuv lives inside: it has the threads, for names and other work that blocks, and what is posted
 * from outside. Its descriptor is one of ours, and it runs only when that has something to say. Our
 * own descriptors are not its: a watch there costs seven system calls from beginning to end, here
 * one.
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
	loop->uv_touched = 1;
	return loop->uv;
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
	run_posts(handle->data);
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

static int add_uv(struct tow_loop *loop)
{
	int fd = uv_backend_fd(loop->uv);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

struct tow_loop *tow_loop_new(void)
{
	struct tow_loop *loop = calloc(1, sizeof *loop);

	if (!loop)
		return NULL;
	tow__ios_watch_for_forks();
	loop->clock_fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->uv = malloc(sizeof *loop->uv);
	if (loop->epoll_fd < 0 || tow__timers_init(loop) || !loop->uv || uv_loop_init(loop->uv))
		goto no_uv;
	if (uv_async_init(loop->uv, &loop->wake, on_wake))
		goto fail;
	loop->wake.data = loop;
	if (add_uv(loop)) {
		uv_close((uv_handle_t *)&loop->wake, NULL);
		goto fail;
	}
	pthread_mutex_init(&loop->posts_lock, NULL);
	loop->posts_end = &loop->posts;
	loop->uv_touched = 1;
	tow__tasks_init(loop);
	return loop;
fail:
	uv_run(loop->uv, UV_RUN_DEFAULT);
	uv_loop_close(loop->uv);
no_uv:
	free(loop->uv);
	tow__timers_deinit(loop);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	free(loop);
	return NULL;
}

struct tow_loop *tow_loop_new_beside(struct tow_loop *loop)
{
	struct tow_loop *other = tow_loop_new();

	if (!other)
		return NULL;
	other->inherited = loop->inherited;
	other->held = loop->held;
	other->leader = loop;
	other->beside = loop->beside;
	loop->beside = other;
	return other;
}

static void leave_leader(struct tow_loop *loop)
{
	struct tow_loop **at;

	if (!loop->leader)
		return;
	for (at = &loop->leader->beside; *at != loop; at = &(*at)->beside)
		;
	*at = loop->beside;
}

void tow_loop_set_pause(struct tow_loop *loop, int (*pause)(void *user), void (*go_on)(void *user),
                        void *user)
{
	loop->pause = pause;
	loop->go_on = go_on;
	loop->pause_user = user;
}

static void must_be_closing(uv_handle_t *handle, void *arg)
{
	(void)arg;
	assert(uv_is_closing(handle));
}

static void *end_uv(void *user)
{
	uv_loop_t *uv = user;

	uv_run(uv, UV_RUN_DEFAULT);
	uv_loop_close(uv);
	free(uv);
	return NULL;
}

/* Nobody waits for what a thread still does for nobody: look up a name, for as long as the system
 * likes. Its last words are heard elsewhere. */
static void leave_uv(struct tow_loop *loop)
{
	sigset_t all, before;
	pthread_t thread;

	uv_run(loop->uv, UV_RUN_NOWAIT);
	tow__lookups_leave(loop);
	if (loop->waits || !uv_loop_alive(loop->uv)) {
		end_uv(loop->uv);
		return;
	}
	sigfillset(&all); /* are for the host's threads */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, end_uv, loop->uv))
		end_uv(loop->uv);
	else
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void tow_loop_free(struct tow_loop *loop)
{
	if (!loop)
		return;
	loop->turning = 1;
	run_posts(loop);
	tow__tasks_run(loop);
	leave_leader(loop);
	uv_close((uv_handle_t *)&loop->wake, NULL);
	/* What its owner has forgotten would be called no more, and a handle of libuv's would keep
	 * it running for ever. */
	assert(!loop->io_count);
	uv_walk(loop->uv, must_be_closing, NULL);
	leave_uv(loop);
	tow__timers_deinit(loop);
	close(loop->epoll_fd);
	tow__spare_deinit(loop);
	free(loop->ios);
	free(loop->receive_area);
	free(loop->udp_outbox);
	pthread_mutex_destroy(&loop->posts_lock);
	free(loop);
}

static void run_uv(struct tow_loop *loop)
{
	loop->uv_touched = 0;
	uv_run(loop->uv, UV_RUN_NOWAIT);
}

/* Leaves everything in order for a sleep. Returns how long it may be, in ms; -1 for ever. */
static int prepare_to_sleep(struct tow_loop *loop)
{
	int timeout_ms;

	tow__timers_arm(loop);
	/* libuv tells the kernel of what it watches when it runs, and not before. */
	if (tow__tasks_wait(loop) || loop->uv_touched)
		return 0;
	timeout_ms = uv_backend_timeout(loop->uv);
	if (timeout_ms <= 0)
		return timeout_ms;
	uv_update_time(loop->uv);
	return uv_backend_timeout(loop->uv);
}

static void handle_event(struct tow_loop *loop, const struct epoll_event *event)
{
	if (event->data.fd == loop->clock_fd)
		loop->armed_ns = 0; /* its timers run in this turn */
	else if (event->data.fd == uv_backend_fd(loop->uv))
		run_uv(loop);
	else
		tow__io_event(loop, event);
}

static void turn(struct tow_loop *loop, int may_sleep)
{
	int timeout_ms;

	assert(!loop->turning);
	loop->now_ns = 0;
	loop->turning = 1;
	if (loop->uv_touched)
		run_uv(loop);
	tow__tasks_run(loop);
	timeout_ms = prepare_to_sleep(loop);
	/* What was to wake the loop for its end may have been taken in already. */
	if (!may_sleep || atomic_load(&loop->stop))
		timeout_ms = 0;
	loop->event_count = epoll_wait(loop->epoll_fd, loop->events, TOW__EVENTS_MAX, timeout_ms);
	loop->now_ns = 0;
	for (loop->event_at = 0; loop->event_at < loop->event_count;)
		handle_event(loop, &loop->events[loop->event_at++]);
	if (uv_backend_timeout(loop->uv) >= 0)
		run_uv(loop); /* for its timers, when it has any */
	loop->event_count = 0;
	loop->now_ns = 0;
	tow__timers_run(loop);
	tow__tasks_run(loop);
	loop->turning = 0;
}

void tow_loop_run(struct tow_loop *loop)
{
	do
		turn(loop, 1);
	while (!atomic_exchange(&loop->stop, 0));
}

int tow_loop_fd(const struct tow_loop *loop)
{
	return loop->epoll_fd;
}

int tow_loop_timeout_ms(struct tow_loop *loop)
{
	return prepare_to_sleep(loop);
}

void tow_loop_dispatch(struct tow_loop *loop)
{
	turn(loop, 0);
}

struct work {
	struct tow_loop *loop;
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
	work->loop->waits--;
	work->done(work->user);
	free(work);
}

int tow_loop_work(struct tow_loop *loop, void (*work)(void *user), void (*done)(void *user),
                  void *user)
{
	struct work *w = malloc(sizeof *w);

	if (!w)
		return TOW_ENOMEM;
	*w = (struct work){ .loop = loop, .work = work, .done = done, .user = user };
	w->request.data = w;
	if (uv_queue_work(loop->uv, &w->request, on_work, on_worked)) {
		free(w);
		return TOW_ENOMEM;
	}
	loop->waits++;
	return 0;
}
