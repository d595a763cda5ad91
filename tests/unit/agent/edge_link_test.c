/* SPDX-License-Identifier: MIT */
/*
 * A link to an edge that misbehaves: a real endpoint takes the tunnels, and answers as it likes.
 */
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <towonel/wire/control_message.h>

#include "edge_link.h"

#define MSEC TOW_NSEC_PER_MSEC

struct edge {
	struct tow_loop *loop;
	struct tow_node_key key, agent_key;
	struct tow_quic_endpoint *server, *client;
	struct edge_link *link;
	/* what it does */
	int deaf;         /* takes a hello, and nothing after it */
	int mute;         /* answers no ping */
	int sends_away;   /* says after each welcome that another process answers, */
	unsigned spares;  /* but to the first so many, */
	int closes;       /* and closes the tunnel at once */
	unsigned workers; /* that it says it has */
	int anywhere;     /* is not bound to the loopback interface's address */
	/* what has come */
	unsigned hellos, pongs, open;
	struct session *first, *last;
	/* the agent's side */
	unsigned up, lost, gone;
	unsigned lines; /* of the log, that are for everybody */
	struct tow_log *log;
	struct tow_task close; /* runs when the link asks for the address */
};

/* A tunnel, as the edge sees it. */
struct session {
	struct edge *edge;
	struct tow_quic_conn *conn;
	struct tow_quic_stream *control;
	struct tow_buf input;
	size_t owed; /* bytes that were not consumed */
	unsigned pings;
	struct tow_timer timer; /* closes it */
};

/* --- the edge --- */

static void say(struct session *s, const struct tow_control_message *message)
{
	struct tow_buf bytes = { 0 };

	assert_int_equal(tow_control_write(message, &bytes), 0);
	assert_int_equal(tow_quic_stream_write(s->control, tow_buf_peek(&bytes)), 0);
	tow_buf_deinit(&bytes);
}

static void ask(struct session *s, unsigned times)
{
	struct tow_control_message ping = { .type = TOW_CONTROL_PING };

	while (times-- > 0) {
		ping.ping_id = ++s->pings;
		say(s, &ping);
	}
}

static void greet(struct session *s)
{
	struct edge *edge = s->edge;
	struct tow_control_message welcome = { .type = TOW_CONTROL_WELCOME,
		                               .edge_id = edge->key.id,
		                               .workers = edge->workers };
	struct tow_control_message drain = { .type = TOW_CONTROL_DRAIN, .redial = 1 };

	edge->hellos++;
	say(s, &welcome);
	edge->last = s;
	if (edge->hellos == 1)
		edge->first = s;
	if (!edge->sends_away || edge->hellos <= edge->spares)
		return;
	say(s, &drain);
	if (edge->closes)
		tow_timer_start_in(&s->timer, MSEC);
}

static void close_now(void *user)
{
	tow_quic_conn_close(((struct session *)user)->conn, TOW_TUNNEL_DRAINING, "");
}

static void hear(struct session *s, const struct tow_control_message *message)
{
	struct tow_control_message pong = *message;

	switch (message->type) {
	case TOW_CONTROL_HELLO: greet(s); break;
	case TOW_CONTROL_PONG: s->edge->pongs++; break;
	case TOW_CONTROL_PING:
		pong.type = TOW_CONTROL_PONG;
		if (!s->edge->mute)
			say(s, &pong);
		break;
	default: break;
	}
}

static void on_data(void *user, struct tow_slice bytes, int fin)
{
	struct session *s = user;
	struct tow_control_message message;
	size_t len;

	(void)fin;
	if (s->edge->deaf && s->edge->hellos > 0)
		s->owed += bytes.len;
	else
		tow_quic_stream_consume(s->control, bytes.len);
	assert_int_equal(tow_buf_append(&s->input, bytes.base, bytes.len), 0);
	while (tow_control_read(tow_buf_peek(&s->input), &message, &len) == 0) {
		tow_buf_consume(&s->input, len);
		hear(s, &message);
		tow_control_message_deinit(&message);
	}
}

static const struct tow_quic_stream_events control_events = { .data = on_data };

static void on_stream(void *user, struct tow_quic_stream *stream)
{
	struct session *s = user;

	s->control = stream;
	tow_quic_stream_set_events(stream, &control_events, s);
}

static void on_closed(void *user, const struct tow_quic_close_reason *reason)
{
	struct session *s = user;

	(void)reason;
	s->edge->open--;
	if (s->edge->last == s)
		s->edge->last = NULL;
	tow_timer_stop(&s->timer);
	tow_buf_deinit(&s->input);
	free(s);
}

static const struct tow_quic_conn_events conn_events = {
	.stream_opened = on_stream,
	.closed = on_closed,
};

static void on_accepted(void *user, struct tow_quic_conn *conn)
{
	struct session *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->edge = user;
	s->conn = conn;
	s->edge->open++;
	tow_timer_init(&s->timer, s->edge->loop, close_now, s);
	tow_quic_conn_set_events(conn, &conn_events, s);
}

/* --- the agent --- */

static int sign(void *user, struct tow_buf *out)
{
	(void)user;
	return tow_buf_append_text(out, "entry");
}

static char **services(void *user, size_t *count)
{
	(void)user;
	*count = 0;
	return calloc(1, sizeof(char *));
}

static void link_up(void *user, struct edge_link *link)
{
	(void)link;
	((struct edge *)user)->up++;
}

static void link_moved(void *user, struct edge_link *link)
{
	(void)user;
	(void)link;
}

static void link_told(void *user, struct edge_link *link, const char *why)
{
	(void)link;
	(void)why;
	((struct edge *)user)->lost++;
}

static void link_superseded(void *user, struct edge_link *link)
{
	(void)user;
	(void)link;
}

static void link_stream(void *user, struct edge_link *link, struct tow_quic_stream *stream)
{
	(void)user;
	(void)link;
	tow_quic_stream_abandon(stream, 0);
}

static void link_gone(void *user, struct edge_link *link)
{
	(void)link;
	((struct edge *)user)->gone++;
}

static const struct edge_link_events link_events = {
	.sign = sign,
	.up = link_up,
	.moved = link_moved,
	.lost = link_told,
	.refused = link_told,
	.superseded = link_superseded,
	.stream = link_stream,
	.gone = link_gone,
};

/* --- both --- */

static void stop(void *user)
{
	tow_loop_stop(user);
}

static void run_for(struct edge *edge, uint64_t ns)
{
	struct tow_timer timer;

	tow_timer_init(&timer, edge->loop, stop, edge->loop);
	tow_timer_start_in(&timer, ns);
	tow_loop_run(edge->loop);
	tow_timer_stop(&timer);
}

#define await(edge, condition)                                                                     \
	do {                                                                                       \
		for (int turn_ = 0; !(condition) && turn_ < 1500; turn_++)                         \
			run_for((edge), 10 * MSEC);                                                \
		assert_true(condition);                                                            \
	} while (0)

static struct tow_quic_endpoint *endpoint(struct edge *edge, int server)
{
	const struct tow_quic_config config = {
		.loop = edge->loop,
		.key = server ? &edge->key : &edge->agent_key,
		.alpn = TOW_TUNNEL_ALPN,
		.udp.bind = { .family = 4,
		              .bytes = { edge->anywhere ? 0 : 127, 0, 0, !edge->anywhere } },
		.handshake_timeout_ns = 300 * MSEC,
		.accepted = server ? on_accepted : NULL,
		.user = edge,
	};
	struct tow_quic_endpoint *out;

	assert_int_equal(tow_quic_endpoint_new(&config, &out, NULL), 0);
	return out;
}

static void start(struct edge *edge)
{
	edge->loop = tow_loop_new();
	assert_non_null(edge->loop);
	tow_node_key_generate(&edge->key);
	tow_node_key_generate(&edge->agent_key);
	edge->server = endpoint(edge, 1);
	edge->client = endpoint(edge, 0);
}

static void dial(struct edge *edge)
{
	const struct edge_link_config config = {
		.loop = edge->loop,
		.log = edge->log,
		.endpoint = edge->client,
		.edge = edge->key.id,
		.services = services,
		.events = &link_events,
		.user = edge,
	};
	char text[32];
	const char *addresses[] = { text };

	snprintf(text, sizeof(text), "127.0.0.1:%u", tow_quic_endpoint_addr(edge->server)->port);

	assert_int_equal(tow__edge_link_new(&config, &edge->link), 0);
	tow__edge_link_set_addresses(edge->link, addresses, 1, 1);
}

static void finish(struct edge *edge)
{
	if (!edge->gone)
		tow__edge_link_close(edge->link, TOW_TUNNEL_OK);
	await(edge, edge->gone == 1);
	tow_quic_endpoint_free(edge->client, 0);
	tow_quic_endpoint_free(edge->server, 0);
	tow_loop_free(edge->loop);
}

/* It asks, and does not listen: what it was to hear is not kept for it. */
static void answers_do_not_pile_up(void **state)
{
	struct edge edge = { .deaf = 1 };
	const unsigned pings = 60000;

	(void)state;
	start(&edge);
	dial(&edge);
	await(&edge, edge.up == 1);
	while (edge.last && edge.last->pings < pings) {
		ask(edge.last, 1000);
		await(&edge, !edge.last || tow_quic_stream_unsent(edge.last->control) == 0);
	}
	run_for(&edge, 200 * MSEC);
	edge.deaf = 0;
	if (edge.last)
		tow_quic_stream_consume(edge.last->control, edge.last->owed);
	run_for(&edge, 1000 * MSEC);
	assert_in_range(edge.pongs, 1000, pings / 2);
	assert_int_equal(edge.lost, 0);
	ask(edge.last, 1);
	unsigned before = edge.pongs;
	await(&edge, edge.pongs > before);
	finish(&edge);
}

/* One that sends every tunnel on to a process that does the same. */
static void being_sent_away_does_not_go_round(void **state)
{
	static const struct {
		int closes;
		unsigned spares, workers, most;
	} rows[] = {
		{ 0, 0, 0, 3 },
		{ 1, 0, 0, 8 },
		{ 0, 0, 2, 8 },
		{ 1, 1, 2, 8 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct edge edge = { .sends_away = 1,
			             .spares = rows[i].spares,
			             .closes = rows[i].closes,
			             .workers = rows[i].workers };

		start(&edge);
		dial(&edge);
		await(&edge, edge.hellos >= 2);
		run_for(&edge, 1000 * MSEC);
		assert_in_range(edge.hellos, 2, rows[i].most);
		finish(&edge);
	}
}

static void nor_does_it_leave_ever_more_behind(void **state)
{
	struct edge edge = { .sends_away = 1 };

	(void)state;
	if (!getenv("TOWONEL_TEST_LONG")) {
		print_message("# skipped: TOWONEL_TEST_LONG is not set\n");
		return;
	}
	start(&edge);
	dial(&edge);
	for (unsigned hellos = 1; hellos < 20; hellos++) {
		await(&edge, edge.hellos >= hellos);
		assert_in_range(edge.open, 1, 18);
	}
	assert_int_equal(edge.lost, 0);
	finish(&edge);
}

static void on_log(void *user, enum tow_log_level level, const char *line)
{
	struct edge *edge = user;

	edge->lines += level <= TOW_LOG_INFO;
	if (edge->lost && strstr(line, "to=resolve"))
		tow_task_schedule(&edge->close);
}

static void close_link(void *user)
{
	tow__edge_link_close(((struct edge *)user)->link, TOW_TUNNEL_OK);
}

/* The answer is on its way, and there is a tunnel yet: nothing is dialled with it. */
static void closing_while_the_address_is_asked_for_ends(void **state)
{
	struct edge edge = { .workers = 2 };

	(void)state;
	start(&edge);
	edge.log = tow_log_new(TOW_LOG_TRACE, TOW_LOG_TEXT, on_log, &edge);
	tow_task_init(&edge.close, edge.loop, close_link, &edge);
	dial(&edge);
	await(&edge, edge.hellos == 2);
	tow_quic_conn_close(edge.first->conn, TOW_TUNNEL_DRAINING, "");
	await(&edge, edge.gone == 1);
	assert_int_equal(edge.hellos, 2);
	finish(&edge);
	tow_log_free(edge.log);
}

/* What is said again and again is heard once. */
static void repetitions_do_not_fill_the_log(void **state)
{
	struct tow_control_message refused = { .type = TOW_CONTROL_REFUSED, .text = "no" };
	struct tow_control_message drain = { .type = TOW_CONTROL_DRAIN };
	struct edge edge = { 0 };

	(void)state;
	start(&edge);
	edge.log = tow_log_new(TOW_LOG_INFO, TOW_LOG_TEXT, on_log, &edge);
	dial(&edge);
	await(&edge, edge.up == 1);
	for (int i = 0; i < 1000; i++) {
		say(edge.last, &drain);
		say(edge.last, &refused);
	}
	ask(edge.last, 1);
	await(&edge, edge.pongs == 1);
	assert_int_equal(edge.lost, 1);
	assert_in_range(edge.lines, 1, 10);
	finish(&edge);
	tow_log_free(edge.log);
}

static void set_loopback(int up)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_flags = up ? IFF_UP : 0 };

	memcpy(request.ifr_name, "lo", 3);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

/* A host whose network is never the same for long: each change is looked at, and one brought the way. */
static void a_way_that_appears_is_tried_amid_changes(void **state)
{
	struct edge edge = { .anywhere = 1 };
	int namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	(void)state;
	if (namespace < 0 || unshare(CLONE_NEWNET) != 0) {
		print_message("# skipped: a network namespace needs root\n");
		return;
	}
	start(&edge);
	dial(&edge);
	run_for(&edge, 3500 * MSEC); /* some tries in vain: the next one is far */
	assert_int_equal(edge.up, 0);
	set_loopback(1);
	for (int i = 0; i < 150 && edge.up == 0; i++) {
		tow__edge_link_has_moved(edge.link);
		tow__edge_link_look(edge.link);
		run_for(&edge, 50 * MSEC);
	}
	assert_int_equal(edge.up, 1);
	finish(&edge);
	assert_int_equal(setns(namespace, CLONE_NEWNET), 0);
	close(namespace);
}

/* Likewise: looking does not put off that the edge's silence ends the tunnel. */
static void silence_ends_a_tunnel_amid_changes(void **state)
{
	struct edge edge = { .mute = 1 };

	(void)state;
	if (!getenv("TOWONEL_TEST_LONG")) {
		print_message("# skipped: TOWONEL_TEST_LONG is not set\n");
		return;
	}
	start(&edge);
	dial(&edge);
	await(&edge, edge.up == 1);
	for (int i = 0; i < 25 && edge.lost == 0; i++) {
		tow__edge_link_look(edge.link);
		run_for(&edge, TOW_NSEC_PER_SEC);
	}
	assert_int_equal(edge.lost, 1);
	finish(&edge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_do_not_pile_up),
		cmocka_unit_test(being_sent_away_does_not_go_round),
		cmocka_unit_test(nor_does_it_leave_ever_more_behind),
		cmocka_unit_test(closing_while_the_address_is_asked_for_ends),
		cmocka_unit_test(repetitions_do_not_fill_the_log),
		cmocka_unit_test(a_way_that_appears_is_tried_amid_changes),
		cmocka_unit_test(silence_ends_a_tunnel_amid_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
