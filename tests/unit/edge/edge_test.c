/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <towonel/wire/client_hello.h>

/* A listening socket on a port of the kernel's choice, and the number. */
static int take_port(uint16_t *port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*port = ntohs(addr.sin_port);
	return fd;
}

static uint16_t free_port(void)
{
	uint16_t port;

	close(take_port(&port));
	return port;
}

static int can_connect(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	assert_true(fd >= 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	close(fd);
	return rc == 0;
}

static void a_taken_address_is_said(void **state)
{
	struct fixture *f = *state;
	struct tow_error err = { 0, "" };
	uint16_t port;
	int fd = take_port(&port);
	char number[8];

	f->config.listen.port = port;
	assert_int_equal(tow_edge_new(&f->config, &f->edge, &err), TOW_EADDRINUSE);
	snprintf(number, sizeof(number), "%u", port);
	assert_non_null(strstr(err.text, number));
	assert_null(f->edge);
	close(fd);
}

static void reports_are_made_and_not_too_often(void **state)
{
	struct fixture *f = *state;
	char text[TOW_ADDR_TEXT_SIZE];
	size_t before;

	f->timing.report_interval_ns = 150 * TOW_NSEC_PER_MSEC;
	f->timing.report_refresh_ns = 600 * TOW_NSEC_PER_MSEC;
	fixture_start(f);
	assert_int_equal(f->reports, 0);
	await(f, f->reports == 1);
	assert_string_equal(f->reported_address,
	                    tow_addr_format(tow_edge_tunnel_addr(f->edge), text));
	apply_usual(f);
	before = now_ms();
	for (size_t i = 0; i < 3; i++)
		agent_up(f, i, &(struct claim){ .tenant = &f->alice });
	await(f, f->reported_agents == 3);
	assert_true(f->reports <= 2 + (now_ms() - before) / 150);
	agent_leave(&f->agents[0]);
	await(f, f->reported_agents == 2);
	/* traffic is told of now and then, though nothing else happens, and can wait */
	before = f->reports;
	await(f, f->reports > before && f->reported_minor && f->reported_traffic);
}

static void readiness_has_reasons(void **state)
{
	struct fixture *f = *state;
	struct tow_buf reasons = { NULL, 0, 0, 0 };

	fixture_start(f);
	assert_int_equal(tow_edge_route_version(f->edge), 0);
	tow_edge_not_ready(f->edge, &reasons);
	assert_true(tow_buf_len(&reasons) > 0);
	tow_buf_clear(&reasons);
	apply_usual(f);
	assert_int_equal(tow_edge_route_version(f->edge), 1);
	tow_edge_not_ready(f->edge, &reasons);
	assert_true(tow_buf_len(&reasons) > 0);
	tow_buf_clear(&reasons);
	agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	tow_edge_not_ready(f->edge, &reasons);
	assert_int_equal(tow_buf_len(&reasons), 0);
	tow_buf_deinit(&reasons);
}

static void events_that_do_not_follow_are_refused(void **state)
{
	struct fixture *f = *state;
	struct tow_route_event bad = { .kind = TOW_ROUTE_DELTA, .version = 9 };
	struct tow_route_writer *w = routes(7, 8);

	fixture_start(f);
	apply_usual(f);
	add_hostname(w, &f->alice, "new.alice.test");
	assert_int_equal(apply(f, w), TOW_ECONFLICT);
	bad.json = tow_slice_of("{");
	assert_int_equal(tow_edge_apply(f->edge, &bad), TOW_EPARSE);
	assert_int_equal(tow_edge_route_version(f->edge), 1);
}

/* The routes are there again after a restart, without a hub. */
static void routes_survive_a_restart(void **state)
{
	struct fixture *f = *state;
	char dir[] = "/tmp/towonel-edge-test-XXXXXX", path[64];
	struct tow_route_writer *w = routes(1, 2);
	struct stat st;
	int fd, how;
	char byte;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/routes.json", dir);
	f->config.routes_cache_path = path;
	f->timing.cache_delay_ns = 20 * TOW_NSEC_PER_MSEC;
	fixture_start(f);
	apply_usual(f);
	await(f, stat(path, &st) == 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* what changes right before the end is kept as well */
	add_hostname(w, &f->alice, "late.alice.test");
	assert_int_equal(apply(f, w), 0);
	fixture_stop(f, 0);
	fixture_start(f);
	assert_int_equal(tow_edge_route_version(f->edge), 2);
	agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	assert_int_equal(visitor_read(f, fd, &byte, 1, &how), 1);
	close(fd);
	fixture_stop(f, 0);
	/* one that is damaged is not used, and replaced */
	assert_int_equal(truncate(path, 100), 0);
	fixture_start(f);
	assert_int_equal(tow_edge_route_version(f->edge), 0);
	apply_usual(f);
	fixture_stop(f, 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 100);
	unlink(path);
	rmdir(dir);
}

/* A directory that cannot be written to stops nothing. */
static void a_cache_that_fails_is_no_harm(void **state)
{
	struct fixture *f = *state;

	f->config.routes_cache_path = "/proc/nowhere/routes.json";
	f->timing.cache_delay_ns = 0;
	fixture_start(f);
	apply_usual(f);
	pass(f, 30);
	agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	fixture_stop(f, 0);
}

static void closing_waits_for_visitors(void **state)
{
	struct fixture *f = *state;
	struct tow_addr addr;
	uint64_t begun;
	int fd, how;
	char bytes[4];

	fixture_start(f);
	apply_usual(f);
	agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	await(f, f->agents[0].stream_count == 1);
	addr = *tow_edge_addr(f->edge);
	f->closed = 0;
	begun = now_ms();
	tow_edge_close(f->edge, 2000 * TOW_NSEC_PER_MSEC, fixture_closed, f);
	await(f, f->agents[0].drained);
	assert_false(can_connect(addr.port));
	/* what is open goes on */
	visitor_send(fd, "bye", 3);
	assert_int_equal(visitor_read(f, fd, bytes, 1, &how), 1);
	assert_int_equal(f->closed, 0);
	shutdown(fd, SHUT_WR);
	await(f, f->closed);
	assert_true(now_ms() - begun < 1500);
	visitor_read(f, fd, NULL, SIZE_MAX, &how);
	assert_int_equal(how, 1);
	close(fd);
	await(f, f->agents[0].closed);
	assert_int_equal(f->agents[0].reason.code, TOW_TUNNEL_DRAINING);
}

static void closing_has_an_end(void **state)
{
	struct fixture *f = *state;
	uint64_t begun;
	int waiting, talking;

	fixture_start(f);
	apply_usual(f);
	agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
	talking = visit(f);
	visit_says_hello(talking, "app.alice.test");
	waiting = visit(f);
	await(f, f->agents[0].stream_count == 1 &&
	                 metric(f, "towonel_edge_active_connections", NULL) == 2);
	begun = now_ms();
	fixture_stop(f, 100 * TOW_NSEC_PER_MSEC);
	assert_true(now_ms() - begun >= 90 && now_ms() - begun < 1500);
	expect_reset(f, talking);
	expect_reset(f, waiting);
	assert_int_equal(metric(f, "towonel_edge_active_connections", NULL), 0);
}

static void the_grace_may_be_shortened(void **state)
{
	struct fixture *f = *state;
	int fd;

	fixture_start(f);
	apply_usual(f);
	fd = visit(f);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 1);
	tow_edge_close(f->edge, 60 * TOW_NSEC_PER_SEC, fixture_closed, f);
	pass(f, 30);
	assert_int_equal(f->closed, 0);
	fixture_stop(f, 0);
	expect_reset(f, fd);
}

/* A TCP service: a header, then the bytes; no hello is wanted. */
static void a_port_is_a_service(void **state)
{
	static const char *const ssh[] = { "tcp:ssh", NULL };
	struct fixture *f = *state;
	uint16_t port = free_port();
	struct tow_route_writer *w = routes(1, 2);
	struct agent_stream *s;
	char bytes[8];
	int fd, how;

	fixture_start(f);
	apply_usual(f);
	agent_up(f, 0, &(struct claim){ .tenant = &f->alice, .authorities = ssh });
	add_port(w, &f->alice, port, "ssh");
	assert_int_equal(apply(f, w), 0);
	assert_int_equal(metric(f, "towonel_edge_ports_bound", NULL), 1);
	fd = visit_port(f, port);
	/* the service may speak first */
	await(f, f->agents[0].stream_count == 1 && f->agents[0].streams->answered);
	s = f->agents[0].streams;
	assert_int_equal(s->header.authority.len, 7);
	assert_memory_equal(s->header.authority.base, "tcp:ssh", 7);
	assert_int_equal(s->header.destination.port, port);
	visitor_send(fd, "SSH-2.0", 7);
	assert_int_equal(visitor_read(f, fd, bytes, 7, &how), 7);
	assert_memory_equal(bytes, "SSH-2.0", 7);
	close(fd);
	/* one who cannot be served is reset: there is no other word for it */
	f->agents[0].habit = HABIT_REFUSE;
	fd = visit_port(f, port);
	expect_reset(f, fd);
	/* the port is released with its route */
	w = routes(2, 3);
	tow_route_write_port_removed(w, TOW_PROTOCOL_TCP, port);
	assert_int_equal(apply(f, w), 0);
	assert_false(can_connect(port));
	assert_int_equal(metric(f, "towonel_edge_ports_bound", NULL), 0);
}

static void a_taken_port_is_tried_again(void **state)
{
	struct fixture *f = *state;
	uint16_t port, other = free_port();
	int fd = take_port(&port);
	struct tow_route_writer *w = routes(1, 2);

	f->timing.port_retry_min_ns = 20 * TOW_NSEC_PER_MSEC;
	f->timing.port_retry_max_ns = 40 * TOW_NSEC_PER_MSEC;
	f->timing.report_interval_ns = 10 * TOW_NSEC_PER_MSEC;
	fixture_start(f);
	apply_usual(f);
	add_port(w, &f->alice, port, "ssh");
	add_port(w, &f->alice, other, "git");
	assert_int_equal(apply(f, w), 0);
	await(f, f->reported_failed_ports == 1);
	assert_int_equal(f->reported_failed_port.protocol, TOW_PROTOCOL_TCP);
	assert_int_equal(f->reported_failed_port.port, port);
	assert_int_equal(f->reported_failed_port.why, TOW_EADDRINUSE);
	assert_int_equal(metric(f, "towonel_edge_ports_bound", NULL), 1);
	assert_true(can_connect(other));
	pass(f, 100);
	close(fd);
	await(f, metric(f, "towonel_edge_ports_bound", NULL) == 2);
	await(f, f->reported_failed_ports == 0);
	assert_true(can_connect(port));
}

#define EDGE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EDGE_TEST(a_taken_address_is_said),
		EDGE_TEST(reports_are_made_and_not_too_often),
		EDGE_TEST(readiness_has_reasons),
		EDGE_TEST(events_that_do_not_follow_are_refused),
		EDGE_TEST(routes_survive_a_restart),
		EDGE_TEST(a_cache_that_fails_is_no_harm),
		EDGE_TEST(closing_waits_for_visitors),
		EDGE_TEST(closing_has_an_end),
		EDGE_TEST(the_grace_may_be_shortened),
		EDGE_TEST(a_port_is_a_service),
		EDGE_TEST(a_taken_port_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
