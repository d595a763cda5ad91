/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/inherited.h>
#include <towonel/tunnel/tcp.h>
#include <towonel/tunnel/udp.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static struct tow_loop *loop;
static struct tow_inherited *set;

static int set_up(void **state)
{
	(void)state;
	loop = tow_loop_new();
	set = tow_inherited_new();
	if (!loop || !set)
		return -1;
	tow_loop_set_inherited(loop, set);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tow_loop_free(loop);
	tow_inherited_free(set);
	return 0;
}

/* A socket as the service manager would make it: it blocks, and is open in what is executed. */
static int bound(int type, const char *host, struct tow_addr *addr)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int fd;

	assert_int_equal(tow_addr_parse_host(tow_slice_of(host), addr), 0);
	addr->port = 0;
	len = tow_addr_to_sockaddr(addr, &sa);
	fd = socket(sa.ss_family, type, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 16), 0);
	len = sizeof sa;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	addr->port = ntohs(((struct sockaddr_in *)&sa)->sin_port); /* at one place in both */
	return fd;
}

static void on_accepted(void *user, int fd, const struct tow_addr *peer,
                        const struct tow_addr *local)
{
	(void)peer;
	(void)local;
	*(int *)user = 1;
	close(fd);
	tow_loop_stop(loop);
}

static void on_dialled(void *user, int status, int fd, const struct tow_error *err)
{
	(void)user;
	(void)err;
	assert_int_equal(status, 0);
	close(fd);
}

static void a_listener_takes_the_socket_that_is_bound_already(void **state)
{
	struct tow_addr addr, other;
	struct tow_tcp_listener *listener;
	struct tow_tcp_dial *dial;
	struct tow_error err;
	int accepted = 0, fd = bound(SOCK_STREAM, "127.0.0.1", &addr);

	(void)state;
	/* of another kind, or at another address */
	assert_int_equal(tow_inherited_add(set, bound(SOCK_DGRAM, "127.0.0.1", &other), -1), 0);
	assert_int_equal(tow_inherited_add(set, bound(SOCK_STREAM, "127.0.0.2", &other), -1), 0);
	assert_int_equal(tow_inherited_add(set, fd, -1), 0);
	assert_int_equal(tow_tcp_listener_new(loop, NULL, &addr, 0, 0, on_accepted, &accepted, &listener, &err), 0);
	assert_int_equal(tow_inherited_left(set), 2);
	assert_true(tow_addr_equal(tow_tcp_listener_addr(listener), &addr));
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(tow_tcp_dial_start(loop, "127.0.0.1", addr.port, TOW_NSEC_PER_SEC, on_dialled, NULL, &dial),
	                 0);
	tow_loop_run(loop);
	assert_true(accepted);
	tow_tcp_listener_free(listener);
}

static void those_of_an_address_are_counted(void **state)
{
	struct tow_addr addr, other;
	int fd = bound(SOCK_STREAM, "127.0.0.1", &addr), more = dup(fd);

	(void)state;
	assert_int_equal(tow_inherited_add(set, fd, -1), 0);
	assert_int_equal(tow_inherited_add(set, more, -1), 0);
	assert_int_equal(tow_inherited_add(set, bound(SOCK_DGRAM, "127.0.0.1", &other), -1), 0);
	assert_int_equal(tow_inherited_count(set, SOCK_STREAM, &addr), 2);
	assert_int_equal(tow_inherited_count(set, SOCK_DGRAM, &other), 1);
	addr.port ^= 1;
	assert_int_equal(tow_inherited_count(set, SOCK_STREAM, &addr), 0);
}

static void one_wildcard_is_as_good_as_another(void **state)
{
	struct tow_addr addr, any = { .family = 6 };
	struct tow_tcp_listener *listener;
	struct tow_error err;

	(void)state;
	assert_int_equal(tow_inherited_add(set, bound(SOCK_STREAM, "0.0.0.0", &addr), -1), 0);
	any.port = addr.port;
	assert_int_equal(tow_tcp_listener_new(loop, NULL, &any, 1, 0, on_accepted, NULL, &listener, &err), 0);
	assert_int_equal(tow_tcp_listener_addr(listener)->family, 4);
	assert_int_equal(tow_inherited_left(set), 0);
	tow_tcp_listener_free(listener);
}

static void on_packet(void *user, const struct tow_udp_packet *packet)
{
	(void)user;
	(void)packet;
}

static void each_is_taken_once_and_what_is_left_is_closed(void **state)
{
	static const struct tow_udp_events events = { .packet = on_packet };
	struct tow_udp_config config = { .receive_buffer = 0 };
	struct tow_udp_socket *one, *two;
	struct tow_error err;
	struct tow_addr addr, left;
	int fd = bound(SOCK_DGRAM, "127.0.0.1", &config.bind);
	int spare = bound(SOCK_STREAM, "127.0.0.1", &addr);

	(void)state;
	assert_int_equal(tow_inherited_add(set, fd, -1), 0);
	assert_int_equal(tow_inherited_add(set, spare, -1), 0);
	assert_int_equal(tow_udp_socket_new(loop, &config, &events, NULL, &one, &err), 0);
	assert_int_equal(tow_udp_socket_fd(one), fd);
	assert_int_equal(tow_udp_socket_new(loop, &config, &events, NULL, &two, &err), TOW_EADDRINUSE);
	tow_inherited_addr(set, 0, &left);
	assert_true(tow_addr_equal(&left, &addr));
	tow_loop_set_inherited(loop, NULL);
	tow_inherited_free(set);
	set = NULL;
	assert_int_equal(fcntl(spare, F_GETFD), -1);
	tow_udp_socket_free(one);
}

static void what_is_no_bound_socket_is_refused(void **state)
{
	(void)state;
	assert_int_equal(tow_inherited_add(set, open("/dev/null", O_RDONLY), -1), TOW_EINVAL);
	assert_int_equal(tow_inherited_add(set, socket(AF_INET, SOCK_STREAM, 0), -1), TOW_EINVAL);
	assert_int_equal(tow_inherited_left(set), 0);
}

/* In a child, whose low descriptors may be what a manager would have made them. */
static void what_the_manager_passes_is_taken_by_whom_it_is_for(void **state)
{
	struct tow_addr addr;
	int fd = bound(SOCK_STREAM, "127.0.0.1", &addr), status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		char text[32];
		int good;

		dup2(fd, 3);
		setenv("LISTEN_FDS", "1", 1);
		setenv("LISTEN_PID", "1", 1);
		good = tow_inherited_add_activated(set) == 0 && !getenv("LISTEN_FDS");
		snprintf(text, sizeof text, "%d", (int)getpid());
		setenv("LISTEN_FDS", "1", 1);
		setenv("LISTEN_PID", text, 1);
		good = good && tow_inherited_add_activated(set) == 1 && !getenv("LISTEN_PID");
		good = good && tow_inherited_add_activated(set) == 0;
		_exit(good ? 0 : 1);
	}
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* --- one UDP socket, two processes: here two loops --- */

struct side {
	struct tow_loop *loop;
	struct tow_inherited *set;
	struct tow_udp_socket *socket;
	char knows[8]; /* how what belongs to it begins */
	char got[64];
	unsigned count, passed;
};

static void on_shared(void *user, const struct tow_udp_packet *packet)
{
	struct side *side = user;

	if (!side->knows[0] || memcmp(packet->bytes.base, side->knows, strlen(side->knows)) != 0) {
		if (tow_udp_pass(side->socket, packet))
			return;
	}
	snprintf(side->got, sizeof side->got, "%.*s", (int)packet->bytes.len, (const char *)packet->bytes.base);
	side->count++;
	side->passed += packet->passed;
}

static int give(void *user, int fd, int channel)
{
	struct side *to = user;

	return tow_inherited_add(to->set, dup(fd), channel < 0 ? -1 : dup(channel));
}

static void open_side(struct side *side, const struct tow_addr *addr, const char *knows)
{
	static const struct tow_udp_events events = { .packet = on_shared };
	const struct tow_udp_config config = { .bind = *addr };
	struct tow_error err;

	snprintf(side->knows, sizeof side->knows, "%s", knows);
	assert_int_equal(tow_udp_socket_new(side->loop, &config, &events, side, &side->socket, &err), 0);
}

static void make_side(struct side *side)
{
	memset(side, 0, sizeof *side);
	side->loop = tow_loop_new();
	side->set = tow_inherited_new();
	assert_true(side->loop && side->set);
	tow_loop_set_inherited(side->loop, side->set);
}

static void close_side(struct side *side)
{
	tow_udp_socket_free(side->socket);
	tow_loop_free(side->loop);
	tow_inherited_free(side->set);
	side->loop = NULL;
}

static void turn(struct side *sides, size_t count)
{
	for (int i = 0; i < 20; i++)
		for (size_t k = 0; k < count; k++)
			if (sides[k].loop)
				tow_loop_dispatch(sides[k].loop);
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

/* Three in a row, as when the first has not ended when the third comes. */
static void a_datagram_finds_the_process_that_knows_it(void **state)
{
	struct tow_addr addr = { .family = 4, .bytes = { 127, 0, 0, 1 } };
	struct side sides[3], *one = &sides[0], *two = &sides[1], *three = &sides[2];
	struct sockaddr_storage sa;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len;

	(void)state;
	for (int i = 0; i < 3; i++)
		make_side(&sides[i]);
	open_side(one, &addr, "one");
	addr = *tow_udp_socket_addr(one->socket);
	len = tow_addr_to_sockaddr(&addr, &sa);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(tow_loop_lend(one->loop, give, two), 0);
	open_side(two, &addr, "two");
	tow_udp_socket_yield(one->socket);
	assert_int_equal(tow_loop_lend(two->loop, give, three), 0);
	tow_loop_hold(three->loop);
	open_side(three, &addr, "");
	tow_udp_socket_yield(two->socket);
	assert_true(tow_udp_socket_has_before(two->socket) && !tow_udp_socket_has_before(one->socket));
	say(fd, "one: hello");
	turn(sides, 3);
	assert_int_equal(one->count + two->count + three->count, 0); /* nobody reads yet */
	tow_loop_release(three->loop);
	turn(sides, 3);
	assert_string_equal(one->got, "one: hello");
	assert_int_equal(one->passed, 0);
	say(fd, "two: hello");
	say(fd, "whose?");
	turn(sides, 3);
	assert_string_equal(two->got, "two: hello");
	assert_string_equal(three->got, "whose?");
	assert_int_equal(three->passed, 1);
	/* the last one ends: the one before reads again, and then the first */
	close_side(three);
	turn(sides, 3);
	say(fd, "two: again");
	say(fd, "nobody's");
	turn(sides, 3);
	assert_int_equal(two->count, 3);
	assert_int_equal(one->count, 1);
	close_side(two);
	turn(sides, 3);
	say(fd, "one: again");
	turn(sides, 3);
	assert_string_equal(one->got, "one: again");
	close_side(one);
	close(fd);
}

static void what_waits_is_accepted_when_it_is_released(void **state)
{
	struct tow_addr addr = { .family = 4, .bytes = { 127, 0, 0, 1 } };
	struct tow_tcp_listener *listener;
	struct tow_tcp_dial *dial;
	struct tow_error err;
	int accepted = 0;

	(void)state;
	tow_loop_hold(loop);
	assert_int_equal(tow_tcp_listener_new(loop, NULL, &addr, 0, 0, on_accepted, &accepted, &listener, &err), 0);
	addr = *tow_tcp_listener_addr(listener);
	assert_int_equal(tow_tcp_dial_start(loop, "127.0.0.1", addr.port, TOW_NSEC_PER_SEC, on_dialled, NULL, &dial),
	                 0);
	for (int i = 0; i < 50; i++) {
		tow_loop_dispatch(loop);
		usleep(1000);
	}
	assert_false(accepted);
	tow_loop_release(loop);
	tow_loop_run(loop);
	assert_true(accepted);
	tow_tcp_listener_free(listener);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(a_listener_takes_the_socket_that_is_bound_already),
		CASE(those_of_an_address_are_counted),
		CASE(one_wildcard_is_as_good_as_another),
		CASE(each_is_taken_once_and_what_is_left_is_closed),
		CASE(what_is_no_bound_socket_is_refused),
		CASE(what_the_manager_passes_is_taken_by_whom_it_is_for),
		CASE(a_datagram_finds_the_process_that_knows_it),
		CASE(what_waits_is_accepted_when_it_is_released),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
