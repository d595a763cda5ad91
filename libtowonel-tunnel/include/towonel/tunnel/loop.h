/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_LOOP_H
#define TOWONEL_TUNNEL_LOOP_H

/*
 * One event loop, and what the rest needs of it: timers with nanosecond deadlines, tasks that run
 * once at the end of a turn (so that everything a turn produced leaves in one system call),
 * watchers on descriptors, and calls posted from other threads. All of it is for the loop's own
 * thread, but for tow_loop_post and tow_loop_stop.
 */

#include <stddef.h>
#include <stdint.h>
#include <towonel/wire/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_loop;
struct uv_loop_s;

#define TOW_NSEC_PER_SEC  1000000000ULL
#define TOW_NSEC_PER_MSEC 1000000ULL
#define TOW_NEVER         UINT64_MAX

struct tow_loop *tow_loop_new(void); /* NULL: out of memory or descriptors */
/* A loop for another thread of the same part: what is inherited, held, released and lent (see
 * inherited.h) is so for both. It goes first. */
struct tow_loop *tow_loop_new_beside(struct tow_loop *loop);
/* How the threads of those beside are stopped for such a call, and go on: 0 or what stands in the
 * way. NULL: they do not run. */
void tow_loop_set_pause(struct tow_loop *loop, int (*pause)(void *user), void (*go_on)(void *user),
                        void *user);
/* Runs what is still closing, then frees. All owners of handles have let go before. */
void tow_loop_free(struct tow_loop *loop);

/* Runs until tow_loop_stop. */
void tow_loop_run(struct tow_loop *loop);
void tow_loop_stop(struct tow_loop *loop); /* from any thread; ends tow_loop_run soon */

/* For a host that has its own loop: poll fd for reading, with this timeout (-1: none), then
 * dispatch. */
int tow_loop_fd(const struct tow_loop *loop);
int tow_loop_timeout_ms(struct tow_loop *loop);
void tow_loop_dispatch(struct tow_loop *loop); /* never blocks */

/* libuv's loop, which runs inside this one. To be asked for each time when something is started
 * there. */
struct uv_loop_s *tow_loop_uv(struct tow_loop *loop);

/* Monotonic time, as of the start of this turn; and read anew. */
uint64_t tow_loop_now_ns(const struct tow_loop *loop);
uint64_t tow_now_ns(void);
uint64_t tow_wall_ms(void); /* Unix time */

/* Runs fn on the loop's thread, soon, in the order posted. From any thread.
 * Returns 0, TOW_ENOMEM. */
int tow_loop_post(struct tow_loop *loop, void (*fn)(void *user), void *user);

/* A task: scheduled any number of times in a turn, it runs once, after the turn's events and before
 * the loop sleeps. A task scheduled by a task runs in the same turn, with a bound against endless
 * turns. A last task waits until no other is left: for what is best done once for all of them. */
struct tow_task {
	struct tow_loop *loop;
	void (*run)(void *user);
	void *user;
	int last;
	struct tow_task *next, **link; /* NULL link: not scheduled */
};
void tow_task_init(struct tow_task *task, struct tow_loop *loop, void (*run)(void *user),
                   void *user);
void tow_task_init_last(struct tow_task *task, struct tow_loop *loop, void (*run)(void *user),
                        void *user);
void tow_task_schedule(struct tow_task *task);
void tow_task_cancel(struct tow_task *task); /* nothing when not scheduled */

/* A one-shot timer. The callback may start it again or free what it lives in. */
struct tow_timer {
	struct tow_loop *loop;
	void (*fire)(void *user);
	void *user;
	uint64_t deadline_ns; /* TOW_NEVER when stopped */
	size_t heap_index;
};
void tow_timer_init(struct tow_timer *timer, struct tow_loop *loop, void (*fire)(void *user),
                    void *user);
/* deadline on the monotonic clock; replaces an earlier one. Returns 0, TOW_ENOMEM. */
int tow_timer_start(struct tow_timer *timer, uint64_t deadline_ns);
int tow_timer_start_in(struct tow_timer *timer, uint64_t delay_ns); /* from now */
void tow_timer_stop(struct tow_timer *timer);

/* Watches a descriptor, level-triggered. events: bits below. The owner closes fd after _free, which
 * takes effect at once (no callback follows it). */
enum {
	TOW_IO_READ = 1,
	TOW_IO_WRITE = 2,
	TOW_IO_ERROR = 4, /* only reported, together with READ and WRITE as watched */
	TOW_IO_HANGUP =
		8, /* only reported, together with READ: after what is there comes the end */
};
struct tow_io;
struct tow_io *tow_io_new(struct tow_loop *loop, int fd, void (*ready)(void *user, int events),
                          void *user);
/* Changes what is watched; 0 pauses. Cheap when nothing changes. */
void tow_io_watch(struct tow_io *io, int events);
/* Another owner of the same descriptor takes the watcher over, as it is. */
void tow_io_hand_over(struct tow_io *io, void (*ready)(void *user, int events), void *user);
void tow_io_free(struct tow_io *io);
/* After _free, before close: another process has the descriptor too, so closing it here would not
 * end what the kernel reports of it. */
void tow_loop_disown(struct tow_loop *loop, int fd);

/* Runs work on a thread of libuv's pool, then done on the loop's. Returns 0, TOW_ENOMEM. */
int tow_loop_work(struct tow_loop *loop, void (*work)(void *user), void (*done)(void *user),
                  void *user);

#ifdef __cplusplus
}
#endif
#endif
