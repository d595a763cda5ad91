/* SPDX-License-Identifier: MIT */
/* Who may come: the lists of a service, at the edge. The visitors here come from 127.0.0.1. */
#include "fixture.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <towonel/wire/client_hello.h>

#define DENIED  "127.0.0.0/8"
#define ALLOWED "192.0.2.0/24,::/0" /* as a list of who may not come: nobody who does */

static const char *const authorities[] = { "app.alice.test", "tcp:ssh", "udp:dns", NULL };

static uint16_t choose_port(int type)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, type, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	close(fd);
	return ntohs(sa.sin_port);
}

static struct agent *start(struct fixture *f)
{
	struct tow_route_writer *w = routes(0, 1);

	fixture_start(f);
	add_tenant(w, &f->alice);
	assert_int_equal(apply(f, w), 0);
	return agent_up(f, 0, &(struct claim){ .tenant = &f->alice, .authorities = authorities });
}

static void a_name_is_not_for_everybody(void **state)
{
	struct fixture *f = *state;
	struct agent *a = start(f);
	struct tow_route_writer *w = routes(1, 2);
	int inside, fd;

	add_hostname_denied(w, &f->alice, "app.alice.test", ALLOWED);
	assert_int_equal(apply(f, w), 0);
	inside = visit(f);
	visit_says_hello(inside, "app.alice.test");
	await(f, a->stream_count == 1);
	w = routes(2, 3);
	add_hostname_denied(w, &f->alice, "app.alice.test", DENIED);
	assert_int_equal(apply(f, w), 0);
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	expect_alert(f, fd, TOW_ALERT_ACCESS_DENIED);
	assert_int_equal(refused(f, "denied"), 1);
	assert_int_equal(a->stream_count, 1);
	/* who is in already stays */
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 1);
	pass(f, 20);
	assert_int_equal(metric(f, "towonel_edge_active_connections", NULL), 1);
	close(inside);
}

static void a_port_is_not_for_everybody(void **state)
{
	struct fixture *f = *state;
	struct agent *a = start(f);
	uint16_t port = choose_port(SOCK_STREAM);
	struct tow_route_writer *w = routes(1, 2);
	int fd;

	add_port_denied(w, &f->alice, TOW_PROTOCOL_TCP, port, "ssh", DENIED);
	assert_int_equal(apply(f, w), 0);
	fd = visit_port(f, port);
	expect_reset(f, fd);
	assert_int_equal(refused(f, "denied"), 1);
	assert_int_equal(a->stream_count, 0);
	w = routes(2, 3);
	add_port_denied(w, &f->alice, TOW_PROTOCOL_TCP, port, "ssh", ALLOWED);
	assert_int_equal(apply(f, w), 0);
	fd = visit_port(f, port);
	await(f, a->stream_count == 1);
	close(fd);
}

static int64_t session_refused(struct fixture *f)
{
	return metric(f, "towonel_edge_udp_sessions_refused_total", "reason=\"denied\"");
}

/* Nothing is answered, and a session that there is ends with the visitor's next datagram. */
static void a_udp_port_is_not_for_everybody(void **state)
{
	struct fixture *f = *state;
	struct agent *a = start(f);
	uint16_t port = choose_port(SOCK_DGRAM);
	struct tow_route_writer *w = routes(1, 2);
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		                  .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	char byte;

	add_port_denied(w, &f->alice, TOW_PROTOCOL_UDP, port, "dns", DENIED);
	assert_int_equal(apply(f, w), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	await(f, session_refused(f) == 1);
	w = routes(2, 3);
	add_port_denied(w, &f->alice, TOW_PROTOCOL_UDP, port, "dns", ALLOWED);
	assert_int_equal(apply(f, w), 0);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	await(f, a->stream_count == 1);
	await(f, recv(fd, &byte, 1, 0) == 1);
	w = routes(3, 4);
	add_port_denied(w, &f->alice, TOW_PROTOCOL_UDP, port, "dns", DENIED);
	assert_int_equal(apply(f, w), 0);
	pass(f, 150);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	await(f, session_refused(f) == 2);
	assert_int_equal(metric(f, "towonel_edge_udp_sessions", NULL), 0);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_name_is_not_for_everybody),
		TEST(a_port_is_not_for_everybody),
		TEST(a_udp_port_is_not_for_everybody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
