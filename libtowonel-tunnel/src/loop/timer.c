/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

/*
 * libuv's timers count milliseconds, pacing needs less: deadlines live in a heap, and one timerfd
 * waits for the earliest. Most timers are moved away or stopped long before they fire (loss,
 * delayed acknowledgement, idle), so the timerfd is set only when the loop is about to sleep and an
 * earlier deadline than the one it waits for has come up. When it fires for a timer that is gone,
 * that costs one idle turn; a system call per packet would cost more.
 *
 * The timerfd is never read: setting it again clears it.
 */

#define SMALLEST_CAP 64

static void place(struct tow_loop *loop, size_t i, struct tow_timer *timer)
{
	loop->heap[i] = timer;
	timer->heap_index = i;
}

static void sift_up(struct tow_loop *loop, size_t i, struct tow_timer *timer)
{
	while (i) {
		size_t parent = (i - 1) / 2;
		if (loop->heap[parent]->deadline_ns <= timer->deadline_ns)
			break;
		place(loop, i, loop->heap[parent]);
		i = parent;
	}
	place(loop, i, timer);
}

static void sift_down(struct tow_loop *loop, size_t i, struct tow_timer *timer)
{
	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= loop->heap_len)
			break;
		if (child + 1 < loop->heap_len &&
		    loop->heap[child + 1]->deadline_ns < loop->heap[child]->deadline_ns)
			child++;
		if (timer->deadline_ns <= loop->heap[child]->deadline_ns)
			break;
		place(loop, i, loop->heap[child]);
		i = child;
	}
	place(loop, i, timer);
}

static int make_room(struct tow_loop *loop)
{
	size_t cap = loop->heap_cap ? 2 * loop->heap_cap : SMALLEST_CAP;
	struct tow_timer **heap;

	if (loop->heap_len < loop->heap_cap)
		return 0;
	heap = realloc(loop->heap, cap * sizeof *heap);
	if (!heap)
		return TOW_ENOMEM;
	loop->heap = heap;
	loop->heap_cap = cap;
	return 0;
}

void tow_timer_init(struct tow_timer *timer, struct tow_loop *loop, void (*fire)(void *user),
                    void *user)
{
	*timer = (struct tow_timer){
		.loop = loop, .fire = fire, .user = user, .deadline_ns = TOW_NEVER
	};
}

int tow_timer_start(struct tow_timer *timer, uint64_t deadline_ns)
{
	struct tow_loop *loop = timer->loop;
	uint64_t before_ns = timer->deadline_ns;

	if (deadline_ns == before_ns)
		return 0;
	if (deadline_ns == TOW_NEVER) {
		tow_timer_stop(timer);
		return 0;
	}
	if (before_ns == TOW_NEVER) {
		if (make_room(loop))
			return TOW_ENOMEM;
		timer->deadline_ns = deadline_ns;
		sift_up(loop, loop->heap_len++, timer);
		return 0;
	}
	timer->deadline_ns = deadline_ns;
	if (deadline_ns < before_ns)
		sift_up(loop, timer->heap_index, timer);
	else
		sift_down(loop, timer->heap_index, timer);
	return 0;
}

int tow_timer_start_in(struct tow_timer *timer, uint64_t delay_ns)
{
	uint64_t now_ns = tow_loop_now_ns(timer->loop);

	return tow_timer_start(timer,
	                       delay_ns < TOW_NEVER - now_ns ? now_ns + delay_ns : TOW_NEVER);
}

void tow_timer_stop(struct tow_timer *timer)
{
	struct tow_loop *loop = timer->loop;
	size_t i = timer->heap_index;
	struct tow_timer *last;

	if (timer->deadline_ns == TOW_NEVER)
		return;
	timer->deadline_ns = TOW_NEVER;
	last = loop->heap[--loop->heap_len];
	if (last == timer)
		return;
	if (i && last->deadline_ns < loop->heap[(i - 1) / 2]->deadline_ns)
		sift_up(loop, i, last);
	else
		sift_down(loop, i, last);
}

/* A timer that starts itself again for now waits for the next turn. */
void tow__timers_run(struct tow_loop *loop)
{
	size_t most = loop->heap_len;
	uint64_t now_ns;

	if (!most)
		return;
	now_ns = tow_loop_now_ns(loop);
	if (loop->armed_ns <= now_ns)
		loop->armed_ns = 0; /* fired, or will at once: to be set again before sleeping */
	while (most-- && loop->heap_len && loop->heap[0]->deadline_ns <= now_ns) {
		struct tow_timer *timer = loop->heap[0];
		tow_timer_stop(timer);
		timer->fire(timer->user);
	}
}

void tow__timers_arm(struct tow_loop *loop)
{
	uint64_t first_ns = loop->heap_len ? loop->heap[0]->deadline_ns : TOW_NEVER;
	struct itimerspec spec = { 0 };

	if (loop->armed_ns && first_ns >= loop->armed_ns)
		return;
	if (first_ns != TOW_NEVER) {
		/* all zero would disarm it */
		if (!first_ns)
			first_ns = 1;
		spec.it_value.tv_sec = (time_t)(first_ns / TOW_NSEC_PER_SEC);
		spec.it_value.tv_nsec = (long)(first_ns % TOW_NSEC_PER_SEC);
	}
	timerfd_settime(loop->clock_fd, TFD_TIMER_ABSTIME, &spec, NULL);
	loop->armed_ns = first_ns;
}

int tow__timers_init(struct tow_loop *loop)
{
	struct epoll_event event = { .events = EPOLLIN };

	loop->armed_ns = TOW_NEVER;
	loop->clock_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	event.data.fd = loop->clock_fd;
	if (loop->clock_fd < 0 || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->clock_fd, &event))
		return TOW_EIO;
	return 0;
}

void tow__timers_deinit(struct tow_loop *loop)
{
	if (loop->clock_fd >= 0)
		close(loop->clock_fd);
	free(loop->heap);
}
