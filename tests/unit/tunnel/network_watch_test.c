/* SPDX-License-Identifier: MIT */

/* In a network namespace of the test's own, where that can be had. */

#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <towonel/tunnel/network_watch.h>
#include <towonel/tunnel/tcp.h>

struct watched {
	struct tow_loop *loop;
	unsigned count;
};

static void changed(void *user)
{
	struct watched *watched = user;

	watched->count++;
	tow_loop_stop(watched->loop);
}

static void stop(void *user)
{
	tow_loop_stop(user);
}

static void run_for(struct tow_loop *loop, uint64_t ns)
{
	struct tow_timer timer;

	tow_timer_init(&timer, loop, stop, loop);
	tow_timer_start_in(&timer, ns);
	tow_loop_run(loop);
	tow_timer_stop(&timer);
}

static void set_loopback(int up)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_flags = up ? IFF_UP : 0 };

	memcpy(request.ifr_name, "lo", 3);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

static void test_changes_are_told(void **state)
{
	const struct tow_addr here = { .family = 4, .port = 9, .bytes = { 127, 0, 0, 1 } };
	struct tow_addr source = { 0 };
	struct watched watched = { 0 };
	struct tow_network_watch *watch;

	(void)state;
	if (unshare(CLONE_NEWNET) != 0) {
		print_message("# skipped: a network namespace needs root\n");
		return;
	}
	watched.loop = tow_loop_new();
	assert_int_equal(tow_network_watch_new(watched.loop, changed, &watched, &watch), 0);
	run_for(watched.loop, TOW_NSEC_PER_SEC / 10);
	assert_int_equal(watched.count, 0);
	assert_int_equal(tow_route_source(&here, &source), TOW_ENOTFOUND);
	set_loopback(1);
	run_for(watched.loop, 10 * TOW_NSEC_PER_SEC);
	assert_int_equal(watched.count, 1);
	assert_int_equal(tow_route_source(&here, &source), 0);
	assert_memory_equal(source.bytes, here.bytes, 4);
	/* so many that they are told of less often, but of the last one too */
	for (int i = 0; i < 100; i++) {
		set_loopback(i % 2);
		run_for(watched.loop, 0);
	}
	assert_in_range(watched.count, 2, 60);
	run_for(watched.loop, 10 * TOW_NSEC_PER_SEC);
	set_loopback(0); /* what it is about to tell goes with it */
	tow_network_watch_free(watch);
	run_for(watched.loop, TOW_NSEC_PER_SEC / 10);
	tow_loop_free(watched.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
