/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/tcp.h>
#include <towonel/wire/limits.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#define MS TOW_NSEC_PER_MSEC

static struct tow_loop *loop;
static struct tow_timer limit;

static void stop(void *user)
{
	(void)user;
	tow_loop_stop(loop);
}

static int set_up(void **state)
{
	(void)state;
	loop = tow_loop_new();
	if (!loop)
		return -1;
	tow_timer_init(&limit, loop, stop, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tow_loop_free(loop);
	return 0;
}

static void run_for(uint64_t ns)
{
	assert_int_equal(tow_timer_start_in(&limit, ns), 0);
	tow_loop_run(loop);
	tow_timer_stop(&limit);
}

static struct tow_addr address(const char *text)
{
	struct tow_addr addr;

	assert_int_equal(tow_addr_parse(tow_slice_of(text), &addr), 0);
	return addr;
}

/* Both ends of a connection under way: the loop stops when they are there. */
static struct {
	struct tow_tcp_listener *listener;
	int accepted, dialled, status; /* descriptors, -1: none */
	int count, free_at;
	struct tow_addr peer, local;
	struct tow_error err;
	int told;
} ends;

static void stop_when_both(void)
{
	if (ends.told && (ends.status || ends.accepted >= 0))
		tow_loop_stop(loop);
}

static void on_accepted(void *user, int fd, const struct tow_addr *peer,
                        const struct tow_addr *local)
{
	assert_ptr_equal(user, &ends);
	if (ends.accepted >= 0)
		close(ends.accepted);
	ends.accepted = fd;
	ends.peer = *peer;
	ends.local = *local;
	if (++ends.count == ends.free_at) {
		tow_tcp_listener_free(ends.listener);
		ends.listener = NULL;
	}
	stop_when_both();
}

static void on_dialled(void *user, int status, int fd, const struct tow_error *err)
{
	assert_ptr_equal(user, &ends);
	assert_int_equal(ends.told, 0);
	ends.told = 1;
	ends.status = status;
	ends.dialled = fd;
	assert_true(!status == !err);
	if (err)
		ends.err = *err;
	stop_when_both();
}

static void forget_ends(void)
{
	memset(&ends, 0, sizeof ends);
	ends.accepted = ends.dialled = -1;
}

static void listen_on(const char *text, int dual_stack)
{
	struct tow_addr addr = address(text);
	struct tow_error err;

	forget_ends();
	assert_int_equal(tow_tcp_listener_new(loop, NULL, &addr, dual_stack, 0, on_accepted, &ends,
	                                      &ends.listener, &err),
	                 0);
}

static void close_ends(void)
{
	tow_tcp_listener_free(ends.listener);
	if (ends.accepted >= 0)
		close(ends.accepted);
	if (ends.dialled >= 0)
		close(ends.dialled);
}

static void dial(const char *host, uint16_t port, uint64_t timeout_ns)
{
	struct tow_tcp_dial *handle;

	ends.told = 0;
	assert_int_equal(
		tow_tcp_dial_start(loop, host, port, timeout_ns, on_dialled, &ends, &handle), 0);
	assert_int_equal(ends.told, 0);
	run_for(5000 * MS);
	assert_int_equal(ends.told, 1);
}

static int option_of(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof value;

	assert_int_equal(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

static void connections_arrive_with_their_addresses(void **state)
{
	static const struct {
		const char *bind;
		int dual_stack;
		const char *host, *local;
	} cases[] = {
		{ "127.0.0.1:0", 0, "127.0.0.1", "127.0.0.1" },
		{ "0.0.0.0:0", 0, "127.0.0.2", "127.0.0.2" },
		{ "[::1]:0", 0, "::1", "::1" },
		{ "[::]:0", 1, "127.0.0.3", "127.0.0.3" },
		{ "[::]:0", 1, "::1", "::1" },
		{ "[::]:0", 1, "localhost", NULL },
		{ "127.0.0.1:0", 0, "localhost", "127.0.0.1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[TOW_ADDR_TEXT_SIZE];
		uint16_t port;

		listen_on(cases[i].bind, cases[i].dual_stack);
		port = tow_tcp_listener_addr(ends.listener)->port;
		dial(cases[i].host, port, 0);
		assert_int_equal(ends.status, 0);
		assert_true(ends.dialled >= 0 && ends.accepted >= 0);
		if (cases[i].local)
			assert_string_equal(tow_addr_format_host(&ends.local, text),
			                    cases[i].local);
		assert_int_equal(ends.local.port, port);
		assert_int_equal(ends.peer.family, ends.local.family);
		for (int n = 0; n < 2; n++) {
			int fd = n ? ends.dialled : ends.accepted;
			assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
			assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
			assert_true(option_of(fd, IPPROTO_TCP, TCP_NODELAY));
			assert_true(option_of(fd, SOL_SOCKET, SO_KEEPALIVE));
			assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE),
			                 TOW_KEEPALIVE_IDLE_S);
			assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL),
			                 TOW_KEEPALIVE_INTERVAL_S);
			assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT),
			                 TOW_KEEPALIVE_PROBES);
		}
		assert_int_equal(write(ends.dialled, "x", 1), 1);
		close_ends();
	}
}

/* A port on which nobody listens: one that was just free. */
static uint16_t unused_port(void)
{
	uint16_t port;

	listen_on("127.0.0.1:0", 0);
	port = tow_tcp_listener_addr(ends.listener)->port;
	close_ends();
	forget_ends();
	return port;
}

static void a_refusal_is_told(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost" };
	uint16_t port = unused_port();
	char text[16];

	(void)state;
	snprintf(text, sizeof text, "%u", port);
	for (int i = 0; i < 2; i++) {
		dial(hosts[i], port, 1000 * MS);
		assert_int_equal(ends.status, TOW_EREFUSED);
		assert_int_equal(ends.dialled, -1);
		assert_int_equal(ends.err.code, TOW_EREFUSED);
		assert_non_null(strstr(ends.err.text, text));
		assert_non_null(strstr(ends.err.text, "refused"));
	}
}

/* Listens, but does not accept, with a full queue: the kernel drops what comes. */
static void silence_times_out(void **state)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), fillers[4];
	socklen_t len = sizeof sa;
	uint64_t start_ns;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	for (int i = 0; i < 4; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fillers[i], (struct sockaddr *)&sa, sizeof sa);
	}
	forget_ends();
	start_ns = tow_now_ns();
	dial("127.0.0.1", ntohs(sa.sin_port), 50 * MS);
	assert_int_equal(ends.status, TOW_ETIMEDOUT);
	assert_true(tow_now_ns() - start_ns >= 50 * MS);
	assert_true(tow_now_ns() - start_ns < 1000 * MS);
	for (int i = 0; i < 4; i++)
		close(fillers[i]);
	close(listener);
}

static void a_name_that_is_none_is_told(void **state)
{
	static const char name[] =
		"no host has a label of more than 63 characters, as this one has .";

	(void)state;
	forget_ends();
	dial(name, 80, 0);
	assert_int_equal(ends.status, TOW_ENOTFOUND);
	assert_non_null(strstr(ends.err.text, "cannot resolve no host"));
}

static void a_cancelled_dial_says_nothing(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost" };
	struct tow_tcp_dial *handle;

	(void)state;
	for (int i = 0; i < 4; i++) {
		listen_on("127.0.0.1:0", 0);
		assert_int_equal(tow_tcp_dial_start(loop, hosts[i % 2],
		                                    tow_tcp_listener_addr(ends.listener)->port,
		                                    1000 * MS, on_dialled, &ends, &handle),
		                 0);
		if (i >= 2)
			tow_loop_dispatch(loop);
		if (!ends.told)
			tow_tcp_dial_cancel(handle);
		ends.told = 1;
		run_for(20 * MS);
		close_ends();
	}
}

static struct tow_addr found[TOW_RESOLVE_MAX];
static size_t found_count;
static int found_status;

static void on_resolved(void *user, int status, const struct tow_addr *addrs, size_t count,
                        const struct tow_error *err)
{
	(void)user;
	(void)err;
	found_status = status;
	found_count = count;
	if (count)
		memcpy(found, addrs, count * sizeof *addrs);
	tow_loop_stop(loop);
}

static void literals_and_names_resolve(void **state)
{
	static const struct {
		const char *host, *first;
	} cases[] = { { "192.0.2.7", "192.0.2.7:99" },
		      { "2001:db8::7", "[2001:db8::7]:99" },
		      { "localhost", NULL } };
	struct tow_resolve *handle;
	char text[TOW_ADDR_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		found_status = 1;
		assert_int_equal(
			tow_resolve_start(loop, cases[i].host, 99, on_resolved, NULL, &handle), 0);
		assert_int_equal(found_status, 1);
		run_for(5000 * MS);
		assert_int_equal(found_status, 0);
		assert_true(found_count > 0);
		if (cases[i].first)
			assert_string_equal(tow_addr_format(&found[0], text), cases[i].first);
		else
			assert_true(tow_addr_is_loopback(&found[0]));
		assert_int_equal(found[0].port, 99);

		found_status = 1;
		assert_int_equal(
			tow_resolve_start(loop, cases[i].host, 99, on_resolved, NULL, &handle), 0);
		tow_resolve_cancel(handle);
		run_for(20 * MS);
		assert_int_equal(found_status, 1);
	}
}

static void a_taken_port_is_told(void **state)
{
	struct tow_tcp_listener *second;
	char text[TOW_ADDR_TEXT_SIZE];
	struct tow_addr addr;
	struct tow_error err;

	(void)state;
	listen_on("127.0.0.1:0", 0);
	addr = *tow_tcp_listener_addr(ends.listener);
	assert_int_equal(
		tow_tcp_listener_new(loop, NULL, &addr, 0, 0, on_accepted, &ends, &second, &err),
		TOW_EADDRINUSE);
	assert_non_null(strstr(err.text, tow_addr_format(&addr, text)));
	close_ends();
}

static void a_paused_listener_leaves_them_waiting(void **state)
{
	struct tow_tcp_dial *handle;

	(void)state;
	listen_on("127.0.0.1:0", 0);
	tow_tcp_listener_pause(ends.listener, 1);
	assert_int_equal(tow_tcp_dial_start(loop, "127.0.0.1",
	                                    tow_tcp_listener_addr(ends.listener)->port, 0,
	                                    on_dialled, &ends, &handle),
	                 0);
	run_for(20 * MS);
	assert_int_equal(ends.told, 1);
	assert_int_equal(ends.accepted, -1);
	tow_tcp_listener_pause(ends.listener, 0);
	run_for(1000 * MS);
	assert_true(ends.accepted >= 0);
	close_ends();
}

static void a_callback_may_free_the_listener(void **state)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int clients[3];

	(void)state;
	listen_on("127.0.0.1:0", 0);
	ends.free_at = 2;
	len = tow_addr_to_sockaddr(tow_tcp_listener_addr(ends.listener), &sa);
	for (int i = 0; i < 3; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(clients[i], (struct sockaddr *)&sa, len), 0);
	}
	run_for(20 * MS);
	assert_int_equal(ends.count, 2);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	close_ends();
}

static int lines;

static void on_line(void *user, enum tow_log_level level, const char *line)
{
	(void)user;
	assert_int_equal(level, TOW_LOG_ERROR);
	assert_non_null(strstr(line, "cannot accept"));
	lines++;
}

/* Out of descriptors: no spinning, one line, and the connection is accepted when there are some
 * again. */
static void a_shortage_of_descriptors_passes(void **state)
{
	struct tow_log *log = tow_log_new(TOW_LOG_INFO, TOW_LOG_TEXT, on_line, NULL);
	struct tow_addr addr = address("127.0.0.1:0");
	struct rlimit before, none;
	struct sockaddr_storage sa;
	struct rusage usage[2];
	socklen_t len;
	int client, spent_ms;

	(void)state;
	forget_ends();
	assert_int_equal(tow_tcp_listener_new(loop, log, &addr, 0, 0, on_accepted, &ends,
	                                      &ends.listener, NULL),
	                 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	len = tow_addr_to_sockaddr(tow_tcp_listener_addr(ends.listener), &sa);
	assert_int_equal(connect(client, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	lines = 0;
	getrusage(RUSAGE_SELF, &usage[0]);
	run_for(250 * MS);
	getrusage(RUSAGE_SELF, &usage[1]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(lines, 1);
	assert_int_equal(ends.accepted, -1);
	spent_ms = (int)((usage[1].ru_utime.tv_sec - usage[0].ru_utime.tv_sec) * 1000 +
	                 (usage[1].ru_utime.tv_usec - usage[0].ru_utime.tv_usec) / 1000);
	assert_true(spent_ms < 50);
	run_for(250 * MS);
	assert_true(ends.accepted >= 0);
	close(client);
	close_ends();
	tow_log_free(log);
}

static void a_reset_is_seen_as_one(void **state)
{
	struct pollfd wait;
	char byte;

	(void)state;
	listen_on("127.0.0.1:0", 0);
	dial("127.0.0.1", tow_tcp_listener_addr(ends.listener)->port, 0);
	tow_tcp_set_reset(ends.accepted);
	close(ends.accepted);
	ends.accepted = -1;
	wait = (struct pollfd){ .fd = ends.dialled, .events = POLLIN };
	assert_int_equal(poll(&wait, 1, 1000), 1);
	assert_int_equal(read(ends.dialled, &byte, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	close_ends();
}

static void a_deferred_connection_comes_when_it_speaks(void **state)
{
	struct sockaddr_storage sa;
	socklen_t len;
	char byte;

	(void)state;
	for (int speaks = 0; speaks < 2; speaks++) {
		listen_on("127.0.0.1:0", 0);
		tow_tcp_listener_defer(ends.listener);
		len = tow_addr_to_sockaddr(tow_tcp_listener_addr(ends.listener), &sa);
		ends.dialled = socket(AF_INET, SOCK_STREAM, 0);
		ends.told = 1;
		assert_int_equal(connect(ends.dialled, (struct sockaddr *)&sa, len), 0);
		run_for(20 * MS);
		assert_int_equal(ends.accepted, -1);
		if (speaks)
			assert_int_equal(write(ends.dialled, "x", 1), 1);
		run_for(10000 * MS); /* ends with both */
		assert_true(ends.accepted >= 0);
		if (speaks)
			assert_int_equal(read(ends.accepted, &byte, 1), 1);
		close_ends();
	}
}

static void the_default_route_has_an_address_or_is_none(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct tow_addr addr;
		int status = tow_default_route_addr(family, &addr);
		assert_true(status == TOW_ENOTFOUND ||
		            (!status && addr.family == family && !addr.port));
	}
}

int main(void)
{
#define TCP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TCP_TEST(connections_arrive_with_their_addresses),
		TCP_TEST(a_refusal_is_told),
		TCP_TEST(silence_times_out),
		TCP_TEST(a_name_that_is_none_is_told),
		TCP_TEST(a_cancelled_dial_says_nothing),
		TCP_TEST(literals_and_names_resolve),
		TCP_TEST(a_taken_port_is_told),
		TCP_TEST(a_paused_listener_leaves_them_waiting),
		TCP_TEST(a_callback_may_free_the_listener),
		TCP_TEST(a_shortage_of_descriptors_passes),
		TCP_TEST(a_reset_is_seen_as_one),
		TCP_TEST(a_deferred_connection_comes_when_it_speaks),
		TCP_TEST(the_default_route_has_an_address_or_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
