/* SPDX-License-Identifier: MIT */
#ifndef TOW__LOOP_H
#define TOW__LOOP_H

#include <towonel/tunnel/loop.h>
#include <towonel/wire/buf.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <uv.h>

struct posted {
	void (*fn)(void *user);
	void *user;
	struct posted *next;
};

struct tow__tasks {
	struct tow_task *first, **end;
};

struct tow_loop {
	int epoll_fd;
	struct tow_io **ios; /* by descriptor */
	size_t ios_cap;
	size_t io_count;
#define TOW__EVENTS_MAX 128
	struct epoll_event events[TOW__EVENTS_MAX]; /* of this turn */
	int event_at, event_count;

	uv_loop_t *uv;
	unsigned waits; /* for what its threads do */
	struct tow__lookup *lookups;
	uv_async_t wake;
	int uv_touched; /* from outside its callbacks: it has to look before the loop sleeps */

	int turning;     /* inside a turn */
	uint64_t now_ns; /* 0: to be read */

	struct tow__tasks tasks, last_tasks;
	struct tow_task *round; /* of tasks that are being run */

	struct tow_timer **heap; /* a binary heap by deadline */
	size_t heap_len, heap_cap;
	int clock_fd;
	uint64_t armed_ns; /* what the timerfd waits for; TOW_NEVER: nothing */

#define TOW__SPARE_MAX 4
	struct tow_buf spare[TOW__SPARE_MAX];
	size_t spare_count;

	void *receive_area; /* of the UDP sockets; lives as long as the loop */
	void *udp_outbox;   /* likewise */
	struct tow_loop *leader, *beside; /* whom it is beside; the next of those beside the same */
	int (*pause)(void *user); /* of the threads of those beside; NULL: they do not run */
	void (*go_on)(void *user);
	void *pause_user;

	struct tow_inherited *inherited; /* NULL: none */
	struct tow__bound *bound;
	int held;

	pthread_mutex_t posts_lock;
	struct posted *posts, **posts_end;
	atomic_int stop;
};

/* Lends a buffer that has memory, when there is one; takes one back, with what
 * it holds forgotten. */
void tow__loop_take_buf(struct tow_loop *loop, struct tow_buf *buf);
void tow__loop_give_buf(struct tow_loop *loop, struct tow_buf *buf);
void tow__spare_deinit(struct tow_loop *loop);

void tow__tasks_init(struct tow_loop *loop);
/* Runs tasks until there are none or there seems no end. Returns 1 when some are left. */
int tow__tasks_run(struct tow_loop *loop);
int tow__tasks_wait(const struct tow_loop *loop); /* there are some */

/* Tells the watcher of what epoll has reported. */
void tow__ios_watch_for_forks(void); /* once and for all; costs nothing again */
void tow__io_event(struct tow_loop *loop, const struct epoll_event *event);

/* They come to an end without the loop. */
void tow__lookups_leave(struct tow_loop *loop);

int tow__timers_init(struct tow_loop *loop); /* 0, TOW_EIO */
void tow__timers_deinit(struct tow_loop *loop);
void tow__timers_run(struct tow_loop *loop);
void tow__timers_arm(struct tow_loop *loop);

#endif
