/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/loop.h>

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define MS TOW_NSEC_PER_MSEC

static struct tow_loop *loop;

static int set_up(void **state)
{
	(void)state;
	loop = tow_loop_new();
	return loop ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	tow_loop_free(loop);
	return 0;
}

static void stop(void *user)
{
	(void)user;
	tow_loop_stop(loop);
}

/* A timer, task or post that writes its name down. */
static char order[256];
static size_t order_len;

struct mark {
	char name;
	struct tow_timer timer;
	struct tow_task task;
};

static void on_mark(void *user)
{
	struct mark *mark = user;

	assert_true(order_len < sizeof order - 1);
	order[order_len++] = mark->name;
	order[order_len] = '\0';
}

static void forget_order(void)
{
	order_len = 0;
	order[0] = '\0';
}

static void timers_fire_in_order_of_deadline(void **state)
{
	static const struct {
		char name;
		uint64_t after_ns;
	} cases[] = { { 'd', 3 * MS }, { 'a', 0 },      { 'c', 2 * MS },        { 'b', MS / 10 },
		      { 'e', 4 * MS }, { 'f', 5 * MS }, { 'g', 5 * MS + 10000 } };
	struct mark marks[sizeof cases / sizeof *cases];
	struct tow_timer end;
	uint64_t start_ns = tow_now_ns();

	(void)state;
	forget_order();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		marks[i].name = cases[i].name;
		tow_timer_init(&marks[i].timer, loop, on_mark, &marks[i]);
		assert_int_equal(tow_timer_start(&marks[i].timer, start_ns + cases[i].after_ns), 0);
	}
	tow_timer_init(&end, loop, stop, NULL);
	assert_int_equal(tow_timer_start(&end, start_ns + 6 * MS), 0);
	tow_loop_run(loop);
	assert_string_equal(order, "abcdefg");
	assert_true(tow_now_ns() - start_ns >= 6 * MS);
}

static void on_random_timer(void *user)
{
	uint64_t *deadline_ns = user;

	*deadline_ns = tow_now_ns() >= *deadline_ns ? 0 : 1;
}

/* Many timers, moved and stopped at random, against the plain list of what should have fired. */
static void timers_survive_moving_and_stopping(void **state)
{
	enum { COUNT = 1000 };
	struct tow_timer *timers = calloc(COUNT, sizeof *timers), end;
	uint64_t *due = calloc(COUNT, sizeof *due), start_ns = tow_now_ns();
	uint32_t random = 1;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		tow_timer_init(&timers[i], loop, on_random_timer, &due[i]);
		due[i] = TOW_NEVER;
	}
	for (int i = 0; i < 20 * COUNT; i++) {
		random = random * 1664525u + 1013904223u;
		size_t n = (random >> 8) % COUNT;
		if (random >> 30 == 0) {
			tow_timer_stop(&timers[n]);
			due[n] = TOW_NEVER;
		} else {
			due[n] = start_ns + (random >> 10) % (5 * MS);
			assert_int_equal(tow_timer_start(&timers[n], due[n]), 0);
		}
	}
	tow_timer_init(&end, loop, stop, NULL);
	assert_int_equal(tow_timer_start(&end, start_ns + 6 * MS), 0);
	tow_loop_run(loop);
	for (int i = 0; i < COUNT; i++) {
		assert_true(due[i] == 0 || due[i] == TOW_NEVER);
		assert_true(timers[i].deadline_ns == TOW_NEVER);
	}
	free(timers);
	free(due);
}

static struct tow_timer again;
static int ticks;

static void on_tick(void *user)
{
	(void)user;
	if (++ticks == 5)
		tow_loop_stop(loop);
	else
		assert_int_equal(tow_timer_start_in(&again, ticks % 2 ? 0 : MS), 0);
}

static void a_timer_may_start_itself_again(void **state)
{
	(void)state;
	ticks = 0;
	tow_timer_init(&again, loop, on_tick, NULL);
	assert_int_equal(tow_timer_start_in(&again, 0), 0);
	assert_int_equal(tow_timer_start_in(&again, TOW_NEVER), 0); /* stops it */
	assert_true(again.deadline_ns == TOW_NEVER);
	assert_int_equal(tow_timer_start_in(&again, 0), 0);
	tow_loop_run(loop);
	assert_int_equal(ticks, 5);
}

static void on_free_me(void *user)
{
	free(user);
	tow_loop_stop(loop);
}

static void a_timer_may_free_what_it_lives_in(void **state)
{
	struct tow_timer *timer = malloc(sizeof *timer);

	(void)state;
	tow_timer_init(timer, loop, on_free_me, timer);
	assert_int_equal(tow_timer_start_in(timer, MS), 0);
	tow_loop_run(loop);
}

static struct mark first, second, third;

static void schedule_more(void *user)
{
	on_mark(user);
	if (order_len == 1) {
		tow_task_schedule(&second.task);
		tow_task_schedule(&third.task);
		tow_task_schedule(&first.task); /* itself: once more */
		tow_task_cancel(&third.task);
	} else {
		tow_loop_stop(loop);
	}
}

static void tasks_run_once_and_may_schedule(void **state)
{
	(void)state;
	forget_order();
	first.name = '1';
	second.name = '2';
	third.name = '3';
	tow_task_init(&first.task, loop, schedule_more, &first);
	tow_task_init(&second.task, loop, on_mark, &second);
	tow_task_init(&third.task, loop, on_mark, &third);
	tow_task_schedule(&first.task);
	tow_task_schedule(&first.task);
	tow_loop_run(loop);
	assert_string_equal(order, "121");
}

static void cancel_the_others(void *user)
{
	on_mark(user);
	tow_task_cancel(&second.task);
	tow_task_cancel(&third.task);
	tow_task_cancel(&third.task);
	tow_task_schedule(&second.task);
	tow_loop_stop(loop);
}

static void a_task_may_cancel_others_of_its_round(void **state)
{
	(void)state;
	forget_order();
	tow_task_init(&first.task, loop, cancel_the_others, &first);
	tow_task_init(&second.task, loop, on_mark, &second);
	tow_task_init(&third.task, loop, on_mark, &third);
	tow_task_schedule(&first.task);
	tow_task_schedule(&second.task);
	tow_task_schedule(&third.task);
	tow_loop_run(loop);
	assert_string_equal(order, "12");
}

static void a_last_task_runs_after_all_others(void **state)
{
	struct mark last = { .name = 'l' };

	(void)state;
	forget_order();
	tow_task_init_last(&last.task, loop, on_mark, &last);
	tow_task_init(&first.task, loop, schedule_more, &first);
	tow_task_init(&second.task, loop, on_mark, &second);
	tow_task_init(&third.task, loop, on_mark, &third);
	tow_task_schedule(&last.task);
	tow_task_schedule(&first.task);
	tow_loop_run(loop);
	assert_string_equal(order, "121l");
	forget_order();
	tow_task_schedule(&last.task);
	tow_task_schedule(&second.task);
	tow_task_cancel(&last.task);
	tow_loop_post(loop, stop, NULL);
	tow_loop_run(loop);
	assert_string_equal(order, "2");
}

static void on_endless(void *user)
{
	(void)user;
	ticks++;
	tow_task_schedule(&first.task);
}

static void an_endless_task_does_not_starve_others(void **state)
{
	struct tow_timer end;

	(void)state;
	ticks = 0;
	tow_task_init(&first.task, loop, on_endless, NULL);
	tow_task_schedule(&first.task);
	tow_timer_init(&end, loop, stop, NULL);
	assert_int_equal(tow_timer_start_in(&end, 2 * MS), 0);
	forget_order();
	tow_task_init_last(&second.task, loop, on_mark, &second);
	tow_task_schedule(&second.task);
	tow_loop_run(loop);
	assert_true(ticks > 16);
	assert_string_equal(order, "2"); /* nor the last */
	tow_task_cancel(&first.task);
}

static int fds[2];
static struct tow_io *io;
static int seen;

static void on_io(void *user, int events)
{
	char byte;

	assert_ptr_equal(user, &seen);
	seen |= events;
	if (events & TOW_IO_READ && read(fds[0], &byte, 1) == 1 && byte == 'q') {
		tow_io_free(io);
		close(fds[0]);
		io = NULL;
		tow_loop_stop(loop);
	}
	if (events & TOW_IO_WRITE) {
		tow_io_watch(io, TOW_IO_READ);
		assert_int_equal(write(fds[1], "q", 1), 1);
	}
}

static void a_watcher_reports_and_lets_go_at_once(void **state)
{
	(void)state;
	seen = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	io = tow_io_new(loop, fds[0], on_io, &seen);
	assert_non_null(io);
	tow_io_watch(io, TOW_IO_WRITE);
	tow_loop_run(loop);
	assert_null(io);
	assert_int_equal(seen, TOW_IO_READ | TOW_IO_WRITE);
	close(fds[1]);
}

static void on_quiet(void *user, int events)
{
	(void)user;
	(void)events;
	seen = 1;
}

static void a_paused_watcher_is_quiet(void **state)
{
	struct tow_timer end;

	(void)state;
	seen = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	io = tow_io_new(loop, fds[0], on_quiet, NULL);
	tow_io_watch(io, TOW_IO_READ);
	tow_io_watch(io, 0);
	tow_timer_init(&end, loop, stop, NULL);
	assert_int_equal(tow_timer_start_in(&end, MS), 0);
	tow_loop_run(loop);
	assert_int_equal(seen, 0);
	tow_io_free(io);
	close(fds[0]);
	close(fds[1]);
}

static void on_error(void *user, int events)
{
	int *count = user;

	if (events & TOW_IO_ERROR) {
		assert_true(events & TOW_IO_READ);
		/* Reported until the owner sees to it. */
		if (++*count == 3) {
			tow_io_free(io);
			tow_loop_stop(loop);
		}
	}
}

static void errors_are_reported_as_readiness(void **state)
{
	struct linger linger = { .l_onoff = 1 };
	int listener = socket(AF_INET, SOCK_STREAM, 0), peer, count = 0;
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof sa;

	(void)state;
	sa.ss_family = AF_INET;
	assert_int_equal(bind(listener, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&sa, len), 0);
	peer = accept(listener, NULL, NULL);
	io = tow_io_new(loop, fds[0], on_error, &count);
	tow_io_watch(io, TOW_IO_READ);
	assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
	close(peer);
	tow_loop_run(loop);
	assert_int_equal(count, 3);
	close(fds[0]);
	close(listener);
}

/* As a host sees it: the loop has nothing to do. */
static int is_quiet(void)
{
	struct pollfd host = { .fd = tow_loop_fd(loop), .events = POLLIN };

	tow_loop_dispatch(loop);
	tow_loop_dispatch(loop);
	return poll(&host, 1, 0) == 0;
}

static void on_end(void *user, int events)
{
	int *said = user;

	*said = events;
	tow_io_watch(io, 0);
}

static void the_end_is_told_with_the_last_bytes(void **state)
{
	int said = 0;
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	io = tow_io_new(loop, fds[0], on_end, &said);
	tow_io_watch(io, TOW_IO_READ);
	assert_int_equal(write(fds[1], "x", 1), 1);
	tow_loop_dispatch(loop);
	assert_int_equal(said, TOW_IO_READ);
	assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
	tow_io_watch(io, TOW_IO_READ);
	tow_loop_dispatch(loop);
	assert_int_equal(said, TOW_IO_READ | TOW_IO_HANGUP);
	/* The descriptor stays ready, but nobody wants to know. */
	assert_true(is_quiet());
	close(fds[1]);
	assert_true(is_quiet());
	tow_io_watch(io, TOW_IO_READ);
	said = 0;
	tow_loop_dispatch(loop);
	assert_true(said & TOW_IO_READ);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(read(fds[0], &byte, 1), 0);
	tow_io_free(io);
	close(fds[0]);
}

/* The child keeps the file open, and what is watched is a file. */
static void a_closed_descriptor_is_quiet_though_a_child_has_it(void **state)
{
	int said = 0;
	pid_t child;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	io = tow_io_new(loop, fds[0], on_end, &said);
	tow_io_watch(io, TOW_IO_READ);
	child = fork();
	assert_true(child >= 0);
	while (child == 0)
		pause();
	tow_io_free(io);
	close(fds[0]);
	assert_int_equal(write(fds[1], "x", 1), 1);
	said = is_quiet();
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(fds[1]);
	assert_true(said);
}

static void *post_from_thread(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		tow_loop_post(loop, on_mark, (struct mark *[]){ &first, &second, &third }[i]);
	tow_loop_post(loop, stop, NULL);
	return NULL;
}

static void posts_arrive_in_order(void **state)
{
	pthread_t thread;

	(void)state;
	forget_order();
	first.name = '1';
	second.name = '2';
	third.name = '3';
	assert_int_equal(pthread_create(&thread, NULL, post_from_thread, NULL), 0);
	tow_loop_run(loop);
	assert_string_equal(order, "123");
	pthread_join(thread, NULL);
}

static void a_post_left_over_runs_when_the_loop_is_freed(void **state)
{
	struct tow_loop *other = tow_loop_new();

	(void)state;
	forget_order();
	first.name = '1';
	assert_int_equal(tow_loop_post(other, on_mark, &first), 0);
	tow_loop_free(other);
	assert_string_equal(order, "1");
}

static pthread_t worker;

static void on_work(void *user)
{
	(void)user;
	worker = pthread_self();
}

static void work_is_done_elsewhere(void **state)
{
	(void)state;
	worker = pthread_self();
	assert_int_equal(tow_loop_work(loop, on_work, stop, NULL), 0);
	tow_loop_run(loop);
	assert_false(pthread_equal(worker, pthread_self()));
}

/* Everything works when a host polls the descriptor itself. */
static void a_host_can_drive_the_loop(void **state)
{
	struct tow_timer timer;
	int turns = 0, timeout_ms;
	uint64_t start_ns = tow_now_ns();

	(void)state;
	forget_order();
	seen = 0;
	first.name = 't';
	second.name = 'k';
	tow_timer_init(&timer, loop, on_mark, &first);
	assert_int_equal(tow_timer_start_in(&timer, 5 * MS), 0);
	tow_task_init(&second.task, loop, on_mark, &second);
	tow_task_schedule(&second.task);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	io = tow_io_new(loop, fds[0], on_io, &seen);
	tow_io_watch(io, TOW_IO_WRITE);
	while (order_len < 2 || io) {
		struct pollfd host = { .fd = tow_loop_fd(loop), .events = POLLIN };
		timeout_ms = tow_loop_timeout_ms(loop);
		assert_true(poll(&host, 1, timeout_ms < 0 ? 1000 : timeout_ms) >= 0);
		tow_loop_dispatch(loop);
		assert_true(++turns < 20);
	}
	assert_string_equal(order, "kt");
	assert_true(tow_now_ns() - start_ns >= 5 * MS);
	assert_true(tow_now_ns() - start_ns < 900 * MS);
	close(fds[1]);
}

static void on_see_time(void *user)
{
	uint64_t *now_ns = user;

	*now_ns = tow_loop_now_ns(loop);
	usleep(1000);
	assert_true(tow_loop_now_ns(loop) == *now_ns);
	tow_loop_stop(loop);
}

static void time_stands_still_within_a_callback(void **state)
{
	uint64_t before_ns = tow_now_ns(), now_ns = 0;

	(void)state;
	assert_int_equal(tow_loop_post(loop, on_see_time, &now_ns), 0);
	tow_loop_run(loop);
	assert_true(now_ns >= before_ns);
	assert_true(tow_loop_now_ns(loop) >= now_ns + MS);
	assert_true(tow_wall_ms() > 1700000000000ull);
}

int main(void)
{
#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		LOOP_TEST(timers_fire_in_order_of_deadline),
		LOOP_TEST(timers_survive_moving_and_stopping),
		LOOP_TEST(a_timer_may_start_itself_again),
		LOOP_TEST(a_timer_may_free_what_it_lives_in),
		LOOP_TEST(tasks_run_once_and_may_schedule),
		LOOP_TEST(a_task_may_cancel_others_of_its_round),
		LOOP_TEST(a_last_task_runs_after_all_others),
		LOOP_TEST(an_endless_task_does_not_starve_others),
		LOOP_TEST(a_watcher_reports_and_lets_go_at_once),
		LOOP_TEST(a_paused_watcher_is_quiet),
		LOOP_TEST(errors_are_reported_as_readiness),
		LOOP_TEST(the_end_is_told_with_the_last_bytes),
		LOOP_TEST(a_closed_descriptor_is_quiet_though_a_child_has_it),
		LOOP_TEST(posts_arrive_in_order),
		LOOP_TEST(a_post_left_over_runs_when_the_loop_is_freed),
		LOOP_TEST(work_is_done_elsewhere),
		LOOP_TEST(a_host_can_drive_the_loop),
		LOOP_TEST(time_stands_still_within_a_callback),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
