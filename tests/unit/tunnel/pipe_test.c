/* SPDX-License-Identifier: MIT */

/*
 *     visitor ──TCP── edge pipe ══ QUIC ══ agent pipe ──TCP, or TLS── origin
 *
 * Everything is real and runs in one loop; the test plays the visitor and the origin.
 */

#include <towonel/tunnel/pipe.h>
#include <towonel/tunnel/tcp.h>
#include <towonel/wire/control_message.h>
#include <towonel/wire/limits.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define MS TOW_NSEC_PER_MSEC

struct side {
	struct tow_pipe *pipe;
	int fd; /* of the test: visitor, origin */
	int over;
	struct tow_pipe_result result;
};

static struct {
	struct tow_loop *loop;
	struct tow_quic_endpoint *server, *client;
	struct tow_quic_conn *edge_conn, *agent_conn;
	struct tow_quic_stream *agent_stream;
	struct side edge, agent;
	int agent_fd; /* until the agent's pipe takes it */
	uint64_t idle_timeout_ns;
	struct tow_tls_context *tls_server, *tls_client;
	struct tow_tls *origin_tls, *agent_tls;
	struct tow_metrics *metrics;
	struct tow_metric *down, *up;
} t;

/* --- the world --- */

static void turn(void)
{
	struct pollfd wait = { .fd = tow_loop_fd(t.loop), .events = POLLIN };
	int timeout_ms = tow_loop_timeout_ms(t.loop);

	poll(&wait, 1, timeout_ms < 0 || timeout_ms > 1 ? 1 : timeout_ms);
	tow_loop_dispatch(t.loop);
}

#define TURN_UNTIL(condition)                                                                      \
	do {                                                                                       \
		uint64_t limit_ns = tow_now_ns() + 20 * TOW_NSEC_PER_SEC;                          \
		while (!(condition)) {                                                             \
			assert_true(tow_now_ns() < limit_ns);                                      \
			turn();                                                                    \
		}                                                                                  \
	} while (0)

static void turn_for(uint64_t ns)
{
	uint64_t end_ns = tow_now_ns() + ns;

	while (tow_now_ns() < end_ns)
		turn();
}

static void tcp_pair(int *ours, int *theirs, int buffer)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof sa;

	assert_int_equal(bind(listener, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	*ours = socket(AF_INET, SOCK_STREAM, 0);
	if (buffer) {
		setsockopt(*ours, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
		setsockopt(*ours, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
	}
	assert_int_equal(connect(*ours, (struct sockaddr *)&sa, len), 0);
	*theirs = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(*theirs >= 0);
	if (buffer)
		setsockopt(*theirs, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
	close(listener);
}

static void on_done(void *user, const struct tow_pipe_result *result)
{
	struct side *side = user;

	assert_int_equal(side->over, 0);
	side->over = 1;
	side->result = *result;
	side->pipe = NULL;
}

static void start_pipe(struct side *side, int fd, struct tow_tls *tls,
                       struct tow_quic_stream *stream, struct tow_slice head, size_t credit,
                       int finished)
{
	struct tow_pipe_config config = {
		.loop = t.loop,
		.fd = fd,
		.tls = tls,
		.stream = stream,
		.to_socket_credit = credit,
		.stream_finished = finished,
		.idle_timeout_ns = t.idle_timeout_ns,
		.to_stream = side == &t.edge ? t.up : NULL,
		.to_socket_count = side == &t.edge ? t.down : NULL,
		.done = on_done,
		.user = side,
	};

	assert_int_equal(tow_buf_append(&config.to_socket, head.base, head.len), 0);
	assert_int_equal(tow_pipe_start(&config, &side->pipe), 0);
}

/* The first byte stands for the header; the pipe gets what comes with it, below a head
 * of its own. */
static void on_first_data(void *user, struct tow_slice bytes, int fin)
{
	uint8_t head[70000] = "PROXY ";

	(void)user;
	assert_true(bytes.len >= 1 && bytes.len < 69000);
	tow_quic_stream_consume(t.agent_stream, 1);
	memcpy(head + 6, bytes.base + 1, bytes.len - 1);
	start_pipe(&t.agent, t.agent_fd, t.agent_tls, t.agent_stream,
	           tow_slice_make(head, 6 + bytes.len - 1), bytes.len - 1, fin);
	t.agent_fd = -1;
	t.agent_tls = NULL;
}

static void never(void *user)
{
	(void)user;
	fail();
}

static void on_stream(void *user, struct tow_quic_stream *stream)
{
	static const struct tow_quic_stream_events events = { .data = on_first_data,
		                                              .closed = never };

	(void)user;
	t.agent_stream = stream;
	tow_quic_stream_set_events(stream, &events, NULL);
}

static int established;

static void on_established(void *user)
{
	(void)user;
	established = 1;
}

static void on_conn_closed(void *user, const struct tow_quic_close_reason *reason)
{
	(void)reason;
	*(struct tow_quic_conn **)user = NULL;
}

static const struct tow_quic_conn_events conn_events = { .established = on_established,
	                                                 .stream_opened = on_stream,
	                                                 .closed = on_conn_closed };

static void on_accepted(void *user, struct tow_quic_conn *conn)
{
	(void)user;
	t.edge_conn = conn;
	tow_quic_conn_set_events(conn, &conn_events, &t.edge_conn);
}

static int set_up(void **state)
{
	struct tow_quic_config config = { .alpn = TOW_TUNNEL_ALPN,
		                          .stream_window = 1 << 20,
		                          .held_max = 4 << 20 };
	struct tow_node_key edge_key, agent_key;
	struct tow_error err;

	(void)state;
	memset(&t, 0, sizeof t);
	t.loop = tow_loop_new();
	t.metrics = tow_metrics_new();
	t.up = tow_metrics_series(t.metrics, TOW_METRIC_COUNTER, "up", NULL, "up");
	t.down = tow_metrics_series(t.metrics, TOW_METRIC_COUNTER, "down", NULL, "down");
	tow_node_key_generate(&edge_key);
	tow_node_key_generate(&agent_key);
	config.loop = t.loop;
	config.key = &edge_key;
	config.accepted = on_accepted;
	assert_int_equal(tow_addr_parse(tow_slice_of("127.0.0.1:0"), &config.udp.bind), 0);
	config.udp.dont_fragment = 1;
	assert_int_equal(tow_quic_endpoint_new(&config, &t.server, &err), 0);
	config.key = &agent_key;
	config.accepted = NULL;
	assert_int_equal(tow_quic_endpoint_new(&config, &t.client, &err), 0);
	established = 0;
	assert_int_equal(tow_quic_connect(t.client, tow_quic_endpoint_addr(t.server), &edge_key.id,
	                                  &conn_events, &t.agent_conn, &t.agent_conn),
	                 0);
	TURN_UNTIL(established && t.edge_conn);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct side *side = i ? &t.edge : &t.agent;
		if (side->pipe)
			tow_pipe_abort(side->pipe, TOW_TUNNEL_INTERNAL);
		if (side->fd >= 0)
			close(side->fd);
	}
	tow_tls_free(t.origin_tls);
	tow_tls_context_free(t.tls_server);
	tow_tls_context_free(t.tls_client);
	tow_quic_endpoint_free(t.client, 0);
	tow_quic_endpoint_free(t.server, 0);
	tow_loop_free(t.loop);
	tow_metrics_free(t.metrics);
	return 0;
}

/* A session between the agent and an origin that wants TLS. */
static void start_tls(void)
{
	struct tow_node_key key;
	struct tow_error err;
	int server = TOW_BLOCKED, client = TOW_BLOCKED;

	tow_node_key_generate(&key);
	assert_int_equal(tow_tls_context_new_identity(&key, NULL, &t.tls_server, &err), 0);
	assert_int_equal(tow_tls_context_new_client(NULL, 1, NULL, &t.tls_client, &err), 0);
	assert_int_equal(tow_tls_new(t.tls_server, t.agent.fd, NULL, &t.origin_tls), 0);
	assert_int_equal(tow_tls_new(t.tls_client, t.agent_fd, NULL, &t.agent_tls), 0);
	while (server || client) {
		if (client)
			client = tow_tls_handshake(t.agent_tls, &err);
		if (server)
			server = tow_tls_handshake(t.origin_tls, &err);
		assert_true(client >= 0 && server >= 0);
	}
}

/* Joins visitor and origin; the origin has read the head when this returns. */
static void join(int with_tls, int buffer)
{
	static const struct tow_quic_stream_events none = { .closed = never };
	struct tow_quic_stream *stream;
	int edge_fd;
	char head[6];
	size_t n = 0, got = 0;

	tcp_pair(&t.edge.fd, &edge_fd, buffer);
	tcp_pair(&t.agent.fd, &t.agent_fd, buffer);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fcntl(i ? t.edge.fd : t.agent.fd, F_SETFL, O_NONBLOCK), 0);
	if (with_tls)
		start_tls();
	assert_int_equal(tow_quic_open_stream(t.edge_conn, &none, NULL, &stream), 0);
	assert_int_equal(tow_quic_stream_write(stream, tow_slice_of("h")), 0);
	start_pipe(&t.edge, edge_fd, NULL, stream, tow_slice_of(""), 0, 0);
	while (got < sizeof head) {
		turn();
		if (!t.agent.pipe)
			continue;
		if (with_tls) {
			if (!tow_tls_read(t.origin_tls, head + got, sizeof head - got, &n))
				got += n;
		} else {
			ssize_t r = recv(t.agent.fd, head + got, sizeof head - got, 0);
			got += r > 0 ? (size_t)r : 0;
		}
	}
	assert_memory_equal(head, "PROXY ", 6);
}

/* --- visitor and origin --- */

#define PERIOD 65521 /* a prime: no block of the stream looks like the one before */
#define BLOCK  65536
static uint8_t pattern[PERIOD + BLOCK];

struct player {
	struct side *side;
	struct tow_tls *tls;
	uint64_t to_send, sent, got;
	int finish; /* FIN after to_send */
	int no_read;
	int finished, eof, reset, refused;
};

static struct player visitor, origin;

static void make_players(void)
{
	visitor = (struct player){ .side = &t.edge };
	origin = (struct player){ .side = &t.agent, .tls = t.origin_tls };
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (uint8_t)((i % PERIOD) * 2654435761u >> 13);
}

static void play_send(struct player *p)
{
	while (p->sent < p->to_send && !p->refused) {
		size_t n = p->to_send - p->sent < BLOCK ? (size_t)(p->to_send - p->sent) : BLOCK;
		const uint8_t *from = pattern + p->sent % PERIOD;
		if (p->tls) {
			if (tow_tls_write(p->tls, from, n, &n))
				return;
		} else {
			ssize_t r = send(p->side->fd, from, n, MSG_NOSIGNAL);
			if (r < 0) {
				p->refused = errno != EAGAIN;
				return;
			}
			n = (size_t)r;
		}
		p->sent += n;
	}
	if (p->finish && !p->finished && p->sent == p->to_send) {
		p->finished = 1;
		if (p->tls)
			assert_int_equal(tow_tls_shutdown(p->tls), 0);
		shutdown(p->side->fd, SHUT_WR);
	}
}

static void play_receive(struct player *p)
{
	static uint8_t bytes[BLOCK];
	size_t n;

	while (!p->no_read && !p->eof && !p->reset) {
		if (p->tls) {
			int status = tow_tls_read(p->tls, bytes, sizeof bytes, &n);
			p->eof = status == TOW_EOF;
			p->reset = status < 0;
			if (status)
				return;
		} else {
			ssize_t r = recv(p->side->fd, bytes, sizeof bytes, 0);
			p->eof = r == 0;
			p->reset = r < 0 && errno != EAGAIN;
			if (r <= 0)
				return;
			n = (size_t)r;
		}
		assert_memory_equal(bytes, pattern + p->got % PERIOD, n);
		p->got += n;
	}
}

static void play(void)
{
	turn();
	for (int i = 0; i < 2; i++) {
		struct player *p = i ? &visitor : &origin;
		if (p->side->fd < 0)
			continue;
		play_send(p);
		play_receive(p);
	}
}

#define PLAY_UNTIL(condition)                                                                      \
	do {                                                                                       \
		uint64_t limit_ns = tow_now_ns() + 60 * TOW_NSEC_PER_SEC;                          \
		while (!(condition)) {                                                             \
			assert_true(tow_now_ns() < limit_ns);                                      \
			play();                                                                    \
		}                                                                                  \
	} while (0)

static void assert_both_finished(uint64_t up, uint64_t down)
{
	assert_int_equal(t.edge.result.end, TOW_PIPE_FINISHED);
	assert_int_equal(t.agent.result.end, TOW_PIPE_FINISHED);
	assert_int_equal(t.edge.result.bytes_to_stream, up);
	assert_int_equal(t.agent.result.bytes_to_socket, up + 6);
	assert_int_equal(t.agent.result.bytes_to_stream, down);
	assert_int_equal(t.edge.result.bytes_to_socket, down);
	assert_int_equal(tow_metric_get(t.up), up);
	assert_int_equal(tow_metric_get(t.down), down);
}

/* --- tests --- */

static void transfer(int with_tls, uint64_t up, uint64_t down)
{
	join(with_tls, 0);
	make_players();
	visitor.to_send = up;
	origin.to_send = down;
	visitor.finish = origin.finish = 1;
	PLAY_UNTIL(t.edge.over && t.agent.over && visitor.eof && origin.eof);
	assert_int_equal(visitor.got, down);
	assert_int_equal(origin.got, up);
	assert_both_finished(up, down);
}

static void a_request_and_an_answer_go_through(void **state)
{
	(void)state;
	transfer(0, 100, 2000);
}

static void many_bytes_go_down(void **state)
{
	(void)state;
	transfer(0, 1, 100 << 20);
}

static void many_bytes_go_both_ways(void **state)
{
	(void)state;
	transfer(0, 40 << 20, 40 << 20);
}

static void many_bytes_go_through_tls(void **state)
{
	(void)state;
	transfer(1, 20 << 20, 20 << 20);
}

static void nothing_at_all_is_fine(void **state)
{
	(void)state;
	transfer(0, 0, 0);
}

static void half_close(int with_tls, struct player *first, struct player *second)
{
	join(with_tls, 0);
	make_players();
	first->to_send = 100000;
	first->finish = 1;
	PLAY_UNTIL(second->eof);
	assert_int_equal(second->got, 100000);
	for (int i = 0; i < 20; i++)
		play();
	assert_false(first->eof || t.edge.over || t.agent.over);
	second->to_send = 300000;
	PLAY_UNTIL(first->got == 300000);
	assert_false(first->eof);
	second->finish = 1;
	PLAY_UNTIL(first->eof && t.edge.over && t.agent.over);
	assert_both_finished(visitor.to_send, origin.to_send);
}

static void a_visitor_may_finish_first(void **state)
{
	(void)state;
	half_close(0, &visitor, &origin);
}

static void an_origin_may_finish_first(void **state)
{
	(void)state;
	half_close(0, &origin, &visitor);
}

static void a_visitor_may_finish_first_with_tls(void **state)
{
	(void)state;
	half_close(1, &visitor, &origin);
}

static void reset(struct player *first, struct player *second)
{
	join(0, 0);
	make_players();
	first->to_send = second->to_send = 5000;
	PLAY_UNTIL(first->got == 5000 && second->got == 5000);
	tow_tcp_set_reset(first->side->fd);
	close(first->side->fd);
	first->side->fd = -1;
	PLAY_UNTIL(second->reset && t.edge.over && t.agent.over);
	assert_int_equal(first->side->result.end, TOW_PIPE_SOCKET_RESET);
	assert_int_equal(second->side->result.end, TOW_PIPE_STREAM_RESET);
	assert_int_equal(second->side->result.code, TOW_TUNNEL_PEER_RESET);
}

static void a_visitor_may_reset(void **state)
{
	(void)state;
	reset(&visitor, &origin);
}

static void an_origin_may_reset(void **state)
{
	(void)state;
	reset(&origin, &visitor);
}

/* What a reader that does not read keeps in memory is bounded, and all arrives when it reads at
 * last. */
static void a_slow_reader_stops_the_writer(struct player *slow, struct player *fast)
{
	uint64_t before = 1, bound = (1 << 20) + 2 * TOW_PIPE_UNSENT_MAX + (2 << 20);

	join(0, 65536);
	make_players();
	slow->no_read = 1;
	fast->to_send = 16 << 20;
	fast->finish = slow->finish = 1;
	for (int i = 0; i < 100 || fast->sent != before; i++) {
		before = fast->sent;
		play();
	}
	assert_true(fast->sent < bound);
	assert_false(fast->finished);
	slow->no_read = 0;
	PLAY_UNTIL(slow->eof && t.edge.over && t.agent.over);
	assert_int_equal(slow->got, fast->to_send);
}

static void a_slow_visitor_stops_the_origin(void **state)
{
	(void)state;
	a_slow_reader_stops_the_writer(&visitor, &origin);
}

static void a_slow_origin_stops_the_visitor(void **state)
{
	(void)state;
	a_slow_reader_stops_the_writer(&origin, &visitor);
}

/* The request is still coming when the origin has answered and gone; the answer arrives, whole,
 * with a FIN. */
static void an_early_answer_arrives(void **state)
{
	(void)state;
	join(0, 65536);
	make_players();
	visitor.to_send = 64 << 20;
	visitor.no_read = 1;
	PLAY_UNTIL(origin.got > 100000);
	origin.to_send = 500000;
	origin.no_read = 1;
	PLAY_UNTIL(origin.sent > 200000);
	visitor.no_read = 0;
	PLAY_UNTIL(origin.sent == origin.to_send);
	shutdown(t.agent.fd, SHUT_WR);
	for (int i = 0; i < 50; i++)
		turn();
	close(t.agent.fd); /* unread bytes: a reset */
	t.agent.fd = -1;
	PLAY_UNTIL(visitor.eof || visitor.reset);
	assert_true(visitor.eof);
	assert_int_equal(visitor.got, 500000);
	visitor.finish = 1;
	visitor.to_send = visitor.sent;
	PLAY_UNTIL(t.edge.over && t.agent.over);
}

/* As above, but the origin just closes: its kernel sends no FIN, only the reset. */
static void an_answer_before_a_reset_arrives(void **state)
{
	(void)state;
	join(0, 65536);
	make_players();
	visitor.to_send = 64 << 20;
	PLAY_UNTIL(origin.got > 100000);
	origin.to_send = 50000;
	origin.no_read = 1;
	PLAY_UNTIL(origin.sent == origin.to_send);
	for (int i = 0; i < 50; i++)
		play(); /* so that there is something unread */
	close(t.agent.fd);
	t.agent.fd = -1;
	PLAY_UNTIL(visitor.eof || visitor.reset);
	/* The error is told once, to whoever comes first: here that may be the sender. */
	assert_true(visitor.reset || visitor.refused);
	assert_int_equal(visitor.got, 50000);
	PLAY_UNTIL(t.edge.over && t.agent.over);
	assert_int_equal(t.agent.result.end, TOW_PIPE_SOCKET_RESET);
	assert_int_equal(t.edge.result.end, TOW_PIPE_STREAM_RESET);
}

/* Bytes keep it from ending, unless the machine is so busy that they come too late. */
static void an_idle_pipe_ends(void **state)
{
	uint64_t start_ns = tow_now_ns(), last_ns = start_ns, longest_ns = 0;

	(void)state;
	t.idle_timeout_ns = 200 * MS;
	join(0, 0);
	make_players();
	while (tow_now_ns() - start_ns < 2 * t.idle_timeout_ns && !t.edge.over && !t.agent.over) {
		visitor.to_send += 10;
		PLAY_UNTIL(origin.got == visitor.to_send || t.edge.over || t.agent.over);
		turn_for(20 * MS);
		if (tow_now_ns() - last_ns > longest_ns)
			longest_ns = tow_now_ns() - last_ns;
		last_ns = tow_now_ns();
	}
	assert_true(longest_ns > t.idle_timeout_ns / 2 || (!t.edge.over && !t.agent.over));
	PLAY_UNTIL(t.edge.over && t.agent.over && visitor.reset && origin.reset);
	assert_true(t.edge.result.end == TOW_PIPE_IDLE || t.agent.result.end == TOW_PIPE_IDLE);
}

static void a_lost_connection_resets_both(void **state)
{
	(void)state;
	join(0, 0);
	make_players();
	tow_quic_conn_close(t.agent_conn, TOW_TUNNEL_DRAINING, "going");
	PLAY_UNTIL(t.edge.over && t.agent.over && visitor.reset && origin.reset);
	assert_int_equal(t.edge.result.end, TOW_PIPE_CONNECTION_LOST);
	assert_int_equal(t.agent.result.end, TOW_PIPE_CONNECTION_LOST);
}

static void aborting_tells_at_once(void **state)
{
	(void)state;
	join(0, 0);
	make_players();
	tow_pipe_abort(t.edge.pipe, TOW_TUNNEL_OVERLOADED);
	assert_true(t.edge.over);
	assert_int_equal(t.edge.result.end, TOW_PIPE_ABORTED);
	PLAY_UNTIL(t.agent.over && visitor.reset && origin.reset);
	assert_int_equal(t.agent.result.end, TOW_PIPE_STREAM_RESET);
	assert_int_equal(t.agent.result.code, TOW_TUNNEL_OVERLOADED);
}

int main(void)
{
#define PIPE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		PIPE_TEST(a_request_and_an_answer_go_through),
		PIPE_TEST(nothing_at_all_is_fine),
		PIPE_TEST(many_bytes_go_down),
		PIPE_TEST(many_bytes_go_both_ways),
		PIPE_TEST(many_bytes_go_through_tls),
		PIPE_TEST(a_visitor_may_finish_first),
		PIPE_TEST(an_origin_may_finish_first),
		PIPE_TEST(a_visitor_may_finish_first_with_tls),
		PIPE_TEST(a_visitor_may_reset),
		PIPE_TEST(an_origin_may_reset),
		PIPE_TEST(a_slow_visitor_stops_the_origin),
		PIPE_TEST(a_slow_origin_stops_the_visitor),
		PIPE_TEST(an_early_answer_arrives),
		PIPE_TEST(an_answer_before_a_reset_arrives),
		PIPE_TEST(an_idle_pipe_ends),
		PIPE_TEST(a_lost_connection_resets_both),
		PIPE_TEST(aborting_tells_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
