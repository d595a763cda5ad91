/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <towonel/wire/udp_frame.h>

static const char *const authorities[] = { "udp:dns", NULL };
static uint16_t port;

/* A port that was free a moment ago. */
static int is_free(int type, uint16_t number)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_port = htons(number),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type, 0);
	int free = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;

	close(fd);
	return free;
}

/* Below the ports that a kernel gives to whoever does not care, which another process might be given
 * while a test is about to bind the one that it has chosen. */
static uint16_t choose_port(void)
{
	static unsigned turn;
	uint16_t number;

	do
		number = (uint16_t)(10000 + ((unsigned)getpid() * 16 + turn++) % 10000);
	while (!is_free(SOCK_DGRAM, number) || !is_free(SOCK_STREAM, number));
	return number;
}

static void start(struct fixture *f, uint16_t idle_timeout_secs)
{
	struct tow_route_writer *w = routes(0, 1);

	fixture_start(f);
	port = choose_port();
	add_tenant(w, &f->alice);
	add_udp_port(w, &f->alice, port, "dns", idle_timeout_secs);
	assert_int_equal(apply(f, w), 0);
	assert_int_equal(metric(f, "towonel_edge_ports_bound", NULL), 1);
}

static struct agent *up(struct fixture *f, size_t index, enum habit habit)
{
	struct agent *a;

	a = agent_up(f, index, &(struct claim){ .tenant = &f->alice, .authorities = authorities });
	a->habit = habit;
	return a;
}

/* A visitor: a connected socket. */
static int come(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		                  .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), large = 1 << 20;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof(large));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	static uint8_t bytes[65507];

	memset(bytes, 'x', len);
	memcpy(bytes, text, strlen(text) < len ? strlen(text) : len);
	assert_int_equal(send(fd, bytes, len, 0), len);
}

static void expect(struct fixture *f, int fd, const char *text, size_t len)
{
	static uint8_t bytes[65536];
	ssize_t n = -1;

	await(f, (n = recv(fd, bytes, sizeof(bytes), 0)) >= 0);
	assert_int_equal(n, len);
	assert_memory_equal(bytes, text, strlen(text));
}

static int64_t dropped(struct fixture *f, const char *reason)
{
	char label[64];

	return metric(f, "towonel_edge_udp_dropped_total",
	              tow_metric_label(label, sizeof(label), "reason", reason));
}

static int64_t session_refused(struct fixture *f, const char *reason)
{
	char label[64];

	return metric(f, "towonel_edge_udp_sessions_refused_total",
	              tow_metric_label(label, sizeof(label), "reason", reason));
}

static int64_t sessions(struct fixture *f)
{
	return metric(f, "towonel_edge_udp_sessions", NULL);
}

static void accept_visitor(struct agent_stream *s)
{
	static const uint8_t accepted = TOW_STREAM_ACCEPTED;

	agent_write(s, tow_slice_make(&accepted, 1));
	s->answered = 1;
}

/* Frames on the stream, until the agent has accepted; then DATAGRAM frames where one fits. */
static void frames_first_then_datagrams(void **state)
{
	struct fixture *f = *state;
	struct agent_stream *s;
	struct tow_slice payload;
	struct agent *a;
	size_t len;
	int fd;

	start(f, 60);
	a = up(f, 0, HABIT_SILENT);
	fd = come();
	say(fd, "one", 3);
	say(fd, "", 0);
	say(fd, "three", 1200);
	await(f, a->stream_count == 1);
	s = a->streams;
	await(f, tow_buf_len(&s->in) == 3 * 2 + 3 + 1200);
	assert_int_equal(s->header.transport, TOW_PROXY_DGRAM);
	assert_int_equal(s->header.authority.len, 7);
	assert_memory_equal(s->header.authority.base, "udp:dns", 7);
	assert_int_equal(s->header.destination.port, port);
	assert_int_equal(s->header.unique_id.len, TOW_UNIQUE_ID_SIZE);
	assert_int_equal(tow_udp_frame_read(tow_buf_peek(&s->in), &payload, &len), 0);
	assert_memory_equal(payload.base, "one", payload.len);
	/* an answer as a DATAGRAM frame may overtake the accept byte */
	assert_int_equal(tow_quic_stream_send_datagram(s->stream, tow_slice_of("early")), 0);
	expect(f, fd, "early", 5);
	a->habit = HABIT_ECHO;
	accept_visitor(s);
	agent_write(s, tow_buf_peek(&s->in));
	tow_buf_consume(&s->in, tow_buf_len(&s->in));
	expect(f, fd, "one", 3);
	expect(f, fd, "", 0);
	expect(f, fd, "three", 1200);
	say(fd, "four", 1000);
	expect(f, fd, "four", 1000);
	assert_int_equal(s->datagrams, 1);
	say(fd, "five", 65507); /* no packet carries that */
	expect(f, fd, "five", 65507);
	assert_int_equal(s->datagrams, 1);
	assert_int_equal(a->stream_count, 1);
	assert_int_equal(metric(f, "towonel_edge_udp_datagrams_total", "direction=\"in\""), 5);
	assert_int_equal(metric(f, "towonel_edge_udp_datagrams_total", "direction=\"out\""), 6);
	close(fd);
}

/* What waits goes to the next agent too, from the first datagram on. */
static void the_next_agent_gets_all(void **state)
{
	struct fixture *f = *state;
	int fd;

	start(f, 60);
	up(f, 0, HABIT_REFUSE);
	up(f, 1, HABIT_REFUSE);
	up(f, 2, HABIT_ECHO);
	fd = come();
	say(fd, "one", 65507);
	expect(f, fd, "one", 65507);
	say(fd, "two", 10);
	expect(f, fd, "two", 10);
	assert_int_equal(sessions(f), 1);
	close(fd);
}

static void what_waits_has_a_bound(void **state)
{
	struct fixture *f = *state;
	struct agent *a;
	int fd;

	start(f, 60);
	a = up(f, 0, HABIT_SILENT);
	fd = come();
	for (int i = 0; i < 3; i++)
		say(fd, "much", 30000);
	await(f, dropped(f, "replay_full") == 1);
	say(fd, "little", 10);
	await(f, a->stream_count == 1 && tow_buf_len(&a->streams->in) == 2 * 30002 + 12);
	close(fd);
}

static void nobody_serves(void **state)
{
	struct fixture *f = *state;
	int fd;

	start(f, 60);
	fd = come();
	say(fd, "one", 10);
	await(f, session_refused(f, "no_agent") == 1);
	assert_int_equal(sessions(f), 0);
	assert_int_equal(dropped(f, "refused"), 1);
	/* and then somebody does, but cannot reach the origin; and then can */
	up(f, 0, HABIT_REFUSE);
	say(fd, "two", 10);
	await(f, session_refused(f, "origin") == 1);
	f->agents[0].habit = HABIT_ECHO;
	say(fd, "three", 10);
	expect(f, fd, "three", 10);
	close(fd);
}

static void silent_ones_end(void **state)
{
	struct fixture *f = *state;
	struct agent *a;
	int busy, silent;

	f->timing.udp_idle_second_ns = 60 * TOW_NSEC_PER_MSEC;
	start(f, 10);
	a = up(f, 0, HABIT_ECHO);
	busy = come();
	silent = come();
	say(busy, "b", 1);
	expect(f, busy, "b", 1);
	say(silent, "s", 1);
	expect(f, silent, "s", 1);
	assert_int_equal(sessions(f), 2);
	for (int i = 0; i < 20; i++) {
		say(busy, "b", 1);
		expect(f, busy, "b", 1);
		pass(f, 40);
	}
	assert_int_equal(sessions(f), 1);
	await(f, a->streams->was_reset); /* the newest: the silent one's */
	assert_int_equal(a->streams->reset_code, TOW_TUNNEL_IDLE);
	assert_int_equal(a->stream_count, 2);
	/* answers count as well */
	for (int i = 0; i < 20; i++) {
		assert_int_equal(tow_quic_stream_send_datagram(a->streams->next->stream,
		                                               tow_slice_of("tick")),
		                 0);
		expect(f, busy, "tick", 4);
		pass(f, 40);
	}
	assert_int_equal(sessions(f), 1);
	await(f, sessions(f) == 0);
	say(silent, "again", 5);
	expect(f, silent, "again", 5);
	close(busy);
	close(silent);
}

/* The stream's end is the session's; the visitor's next datagram begins another. */
static void it_ends_with_its_stream(void **state)
{
	struct fixture *f = *state;
	struct agent *a;
	int fd;

	start(f, 60);
	a = up(f, 0, HABIT_ECHO);
	fd = come();
	for (size_t round = 1; round <= 3; round++) {
		say(fd, "x", 100);
		expect(f, fd, "x", 100);
		assert_int_equal(a->stream_count, round);
		if (round == 1)
			tow_quic_stream_reset(a->streams->stream, TOW_TUNNEL_DRAINING);
		else if (round == 2)
			tow_quic_stream_finish(a->streams->stream);
		else
			agent_leave(a);
		await(f, sessions(f) == 0);
	}
	close(fd);
}

/* A frame cut short, or of which nothing but the beginning comes, harms nobody else. */
static void half_a_frame(void **state)
{
	static const uint8_t half[] = { 0xff, 0xff, 1, 2, 3 };
	struct fixture *f = *state;
	struct agent *a;
	int fd;

	start(f, 60);
	a = up(f, 0, HABIT_SILENT);
	fd = come();
	say(fd, "x", 1);
	await(f, a->stream_count == 1 && tow_buf_len(&a->streams->in) > 0);
	accept_visitor(a->streams);
	agent_write(a->streams, tow_slice_make(half, sizeof(half)));
	pass(f, 20);
	assert_int_equal(tow_quic_stream_send_datagram(a->streams->stream, tow_slice_of("y")), 0);
	expect(f, fd, "y", 1);
	tow_quic_stream_finish(a->streams->stream);
	await(f, sessions(f) == 0);
	close(fd);
}

static void a_port_takes_its_sessions_along(void **state)
{
	struct fixture *f = *state;
	struct tow_route_writer *w;
	struct agent *a;
	int fd;

	start(f, 60);
	a = up(f, 0, HABIT_ECHO);
	fd = come();
	say(fd, "x", 1);
	expect(f, fd, "x", 1);
	w = routes(0, 2);
	add_tenant(w, &f->alice);
	assert_int_equal(apply(f, w), 0);
	assert_int_equal(sessions(f), 0);
	assert_int_equal(metric(f, "towonel_edge_ports_bound", NULL), 0);
	await(f, a->streams->was_reset);
	close(fd);
}

/* A port that comes to lead to another service, without having been released: the visitor's next
 * datagram goes there. */
static void a_port_leads_elsewhere(void **state)
{
	static const char *const both[] = { "udp:dns", "udp:game", NULL };
	struct fixture *f = *state;
	struct tow_route_writer *w;
	struct agent *a;
	int fd;

	start(f, 60);
	a = agent_up(f, 0, &(struct claim){ .tenant = &f->alice, .authorities = both });
	fd = come();
	say(fd, "x", 1);
	expect(f, fd, "x", 1);
	w = routes(0, 2);
	add_tenant(w, &f->alice);
	add_udp_port(w, &f->alice, port, "game", 60);
	assert_int_equal(apply(f, w), 0);
	assert_int_equal(sessions(f), 1);
	pass(f, 150); /* how often it is looked */
	say(fd, "y", 1);
	expect(f, fd, "y", 1);
	assert_int_equal(a->stream_count, 2);
	assert_int_equal(a->streams->header.authority.len, 8);
	assert_memory_equal(a->streams->header.authority.base, "udp:game", 8);
	assert_int_equal(sessions(f), 1);
	close(fd);
}

/* A port in use is tried again, and reported, as those of TCP are. */
static void a_port_in_use_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct tow_route_writer *w = routes(0, 1);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	port = choose_port();
	sa.sin_port = htons(port);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	f->timing.port_retry_min_ns = 10 * TOW_NSEC_PER_MSEC;
	f->timing.report_interval_ns = TOW_NSEC_PER_MSEC;
	fixture_start(f);
	add_tenant(w, &f->alice);
	add_udp_port(w, &f->alice, port, "dns", 60);
	add_port(w, &f->alice, port, "dns-tcp"); /* the same number over TCP is another port */
	assert_int_equal(apply(f, w), 0);
	await(f, f->reported_failed_ports == 1);
	assert_int_equal(metric(f, "towonel_edge_ports_bound", NULL), 1);
	close(fd);
	await(f, metric(f, "towonel_edge_ports_bound", NULL) == 2);
	await(f, f->reported_failed_ports == 0);
}

/* An edge that closes lets a session go on until it pauses, and begins none. */
static void closing_waits_for_sessions(void **state)
{
	struct fixture *f = *state;
	struct agent *a;
	int fd, other;

	f->timing.udp_drain_ns = 300 * TOW_NSEC_PER_MSEC;
	start(f, 60);
	a = up(f, 0, HABIT_ECHO);
	fd = come();
	say(fd, "before", 6);
	expect(f, fd, "before", 6);
	f->closed = 0;
	tow_edge_close(f->edge, 20 * TOW_NSEC_PER_SEC, fixture_closed, f);
	other = come();
	for (int i = 0; i < 5; i++) {
		say(other, "too late", 8);
		say(fd, "after", 5);
		expect(f, fd, "after", 5);
		pass(f, 100);
		assert_int_equal(f->closed, 0);
	}
	assert_int_equal(sessions(f), 1);
	assert_int_equal(dropped(f, "refused"), 5);
	await(f, f->closed);
	assert_int_equal(a->stream_count, 1);
	close(fd);
	close(other);
}

/* A full port drops who has not spoken after an answer, who was silent longest first, and nobody
 * else. */
static void who_does_not_speak_with_the_origin_makes_room(void **state)
{
	struct fixture *f = *state;
	struct agent *a;
	int fds[4];

	f->config.udp_sessions_per_port = 3;
	start(f, 60);
	a = up(f, 0, HABIT_ECHO);
	fds[0] = come();
	for (int i = 0; i < 2; i++) {
		say(fds[0], "answered", 8);
		expect(f, fds[0], "answered", 8);
	}
	a->habit = HABIT_SILENT;
	for (int i = 1; i < 4; i++) {
		fds[i] = come();
		say(fds[i], "hello", 5);
		await(f, a->stream_count == (size_t)i + 1);
	}
	assert_int_equal(session_refused(f, "one_sided"), 1);
	assert_int_equal(session_refused(f, "listener_limit"), 0);
	assert_int_equal(sessions(f), 3);
	await(f, a->streams->next->next->was_reset || !a->streams->next->next->stream);
	a->habit = HABIT_ECHO;
	say(fds[0], "still", 5);
	expect(f, fds[0], "still", 5);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

static void a_full_port_refuses_when_all_speak_with_the_origin(void **state)
{
	struct fixture *f = *state;
	int first, second;

	f->config.udp_sessions_per_port = 1;
	start(f, 60);
	up(f, 0, HABIT_ECHO);
	first = come();
	for (int i = 0; i < 2; i++) {
		say(first, "one", 3);
		expect(f, first, "one", 3);
	}
	second = come();
	say(second, "two", 3);
	await(f, session_refused(f, "listener_limit") == 1);
	assert_int_equal(session_refused(f, "one_sided"), 0);
	say(first, "one", 3);
	expect(f, first, "one", 3);
	close(first);
	close(second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_first_then_datagrams),
		TEST(the_next_agent_gets_all),
		TEST(what_waits_has_a_bound),
		TEST(nobody_serves),
		TEST(silent_ones_end),
		TEST(it_ends_with_its_stream),
		TEST(half_a_frame),
		TEST(a_port_takes_its_sessions_along),
		TEST(a_port_leads_elsewhere),
		TEST(who_does_not_speak_with_the_origin_makes_room),
		TEST(a_full_port_refuses_when_all_speak_with_the_origin),
		TEST(a_port_in_use_is_tried_again),
		TEST(closing_waits_for_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
