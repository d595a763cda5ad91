/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <towonel/wire/client_hello.h>
#include <towonel/wire/limits.h>

static void expect_echo(struct fixture *f, int fd, const void *bytes, size_t len)
{
	uint8_t *got = malloc(len + 1);
	int how;

	assert_non_null(got);
	assert_int_equal(visitor_read(f, fd, got, len, &how), len);
	assert_memory_equal(got, bytes, len);
	free(got);
}

static void expect_text(struct tow_slice got, const char *expected)
{
	assert_int_equal(got.len, strlen(expected));
	assert_memory_equal(got.base, expected, got.len);
}

static void start_with_agent(struct fixture *f)
{
	fixture_start(f);
	apply_usual(f);
	agent_up(f, 0, &(struct claim){ .tenant = &f->alice });
}

/* The whole way and back: header, hello, data both ways, FIN for FIN. */
static void a_visitor_reaches_the_agent(void **state)
{
	struct fixture *f = *state;
	struct tow_buf hello = client_hello("app.alice.test", "h2", 0);
	struct agent_stream *s;
	int fd, how;
	char byte;

	start_with_agent(f);
	fd = visit(f);
	visitor_send(fd, hello.base, tow_buf_len(&hello));
	expect_echo(f, fd, hello.base, tow_buf_len(&hello));
	s = f->agents[0].streams;
	assert_int_equal(s->header.command, TOW_PROXY_PROXY);
	assert_int_equal(s->header.transport, TOW_PROXY_STREAM);
	expect_text(s->header.authority, "app.alice.test");
	expect_text(s->header.alpn, "h2");
	assert_int_equal(s->header.unique_id.len, TOW_UNIQUE_ID_SIZE);
	assert_int_equal(s->header.source.family, 4);
	assert_true(tow_addr_equal(&s->header.destination, tow_edge_addr(f->edge)));
	visitor_send(fd, "more", 4);
	expect_echo(f, fd, "more", 4);
	assert_int_equal(metric(f, "towonel_edge_active_connections", NULL), 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_int_equal(visitor_read(f, fd, &byte, 1, &how), 0);
	assert_int_equal(how, 1);
	close(fd);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 0);
	assert_int_equal(metric(f, "towonel_edge_connections_total", NULL), 1);
	assert_true(metric(f, "towonel_edge_bytes_out_total", NULL) >=
	            (int64_t)tow_buf_len(&hello) + 4);
	assert_true(metric(f, "towonel_edge_bytes_in_total", NULL) >=
	            (int64_t)tow_buf_len(&hello) + 4);
	tow_buf_deinit(&hello);
}

static void names_are_matched_as_they_should(void **state)
{
	static const struct {
		const char *sent, *authority;
	} cases[] = {
		{ "APP.alice.Test", "app.alice.test" },
		{ "x.wild.alice.test", "x.wild.alice.test" },
	};
	struct fixture *f = *state;

	start_with_agent(f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int fd = visit(f);

		visit_says_hello(fd, cases[i].sent);
		await(f, f->agents[0].stream_count == i + 1);
		await(f, f->agents[0].streams->header.authority.base != NULL);
		expect_text(f->agents[0].streams->header.authority, cases[i].authority);
		close(fd);
	}
}

/* A hello comes in whatever pieces the network makes of it. */
static void a_hello_comes_in_pieces(void **state)
{
	struct fixture *f = *state;
	/* as large as with X25519MLKEM768, and larger than one read */
	struct tow_buf hello = client_hello("app.alice.test", NULL, 5000);
	size_t len = tow_buf_len(&hello);
	static const size_t steps[] = { 1, 3, 1200 };

	start_with_agent(f);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		int fd = visit(f);

		for (size_t at = 0; at < len; at += steps[i]) {
			size_t n = len - at < steps[i] ? len - at : steps[i];

			visitor_send(fd, hello.base + at, n);
			if (at < 200 || at + 200 > len || steps[i] > 1)
				turn(f, 1);
		}
		expect_echo(f, fd, hello.base, len);
		close(fd);
	}
	tow_buf_deinit(&hello);
}

static void a_hello_spans_records(void **state)
{
	struct fixture *f = *state;
	struct tow_buf hello = client_hello("app.alice.test", NULL, 300);
	size_t len = tow_buf_len(&hello), first = 60;
	uint8_t two[1024];
	int fd;

	start_with_agent(f);
	/* header, first bytes; header, the rest */
	memcpy(two, hello.base, 5 + first);
	two[3] = 0;
	two[4] = (uint8_t)first;
	memcpy(two + 5 + first, hello.base, 5);
	two[5 + first + 3] = (uint8_t)((len - 5 - first) >> 8);
	two[5 + first + 4] = (uint8_t)(len - 5 - first);
	memcpy(two + 10 + first, hello.base + 5 + first, len - 5 - first);
	fd = visit(f);
	visitor_send(fd, two, len + 5);
	expect_echo(f, fd, two, len + 5);
	close(fd);
	tow_buf_deinit(&hello);
}

static void refusals_say_why(void **state)
{
	static const struct {
		const char *name, *reason;
		int alert;
	} cases[] = {
		{ NULL, "no_sni", TOW_ALERT_UNRECOGNIZED_NAME },
		{ "nobody.test", "unknown_name", TOW_ALERT_UNRECOGNIZED_NAME },
		{ "a.b.wild.alice.test", "unknown_name", TOW_ALERT_UNRECOGNIZED_NAME },
		{ "app.bob.test", "no_agent", TOW_ALERT_INTERNAL_ERROR },
		{ "bad name.test", "bad_hello", TOW_ALERT_DECODE_ERROR },
	};
	struct fixture *f = *state;

	start_with_agent(f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t before = refused(f, cases[i].reason);
		int fd = visit(f);

		visit_says_hello(fd, cases[i].name);
		expect_alert(f, fd, cases[i].alert);
		assert_int_equal(refused(f, cases[i].reason), before + 1);
	}
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 0);
	assert_int_equal(f->agents[0].stream_count, 0);
}

static void a_terminated_name_needs_a_certificate(void **state)
{
	struct fixture *f = *state;
	struct tow_route_writer *w = routes(1, 2);
	struct tow_route_hostname hostname = { .pattern = "term.alice.test",
		                               .tenant_id = f->alice.id,
		                               .tls_mode = TOW_TLS_TERMINATE };
	int fd;

	start_with_agent(f);
	tow_route_write_hostname(w, &hostname);
	assert_int_equal(apply(f, w), 0);
	fd = visit(f);
	visit_says_hello(fd, "term.alice.test");
	expect_alert(f, fd, TOW_ALERT_INTERNAL_ERROR);
	assert_int_equal(refused(f, "no_certificate"), 1);
}

/* Nobody escapes a tenant's limits by what he offers: that an authority validates a name which
 * passes through is the origin's business. */
static void a_challenge_that_passes_through_is_counted(void **state)
{
	struct fixture *f = *state;
	struct tow_route_writer *w = routes(1, 2);
	struct tow_buf hello = client_hello("app.alice.test", "acme-tls/1", 0);
	int first, second;

	start_with_agent(f);
	add_tenant_limited(w, &f->alice, &(struct tow_tenant_limits){ .connections = 1 });
	assert_int_equal(apply(f, w), 0);
	first = visit(f);
	visitor_send(first, hello.base, tow_buf_len(&hello));
	expect_echo(f, first, hello.base, tow_buf_len(&hello));
	second = visit(f);
	visitor_send(second, hello.base, tow_buf_len(&hello));
	expect_alert(f, second, TOW_ALERT_INTERNAL_ERROR);
	assert_int_equal(refused(f, "tenant_limit"), 1);
	close(first);
	tow_buf_deinit(&hello);
}

/* An agent without that service is not asked, though it is the tenant's. */
static void an_agent_serves_what_it_said(void **state)
{
	static const char *const other[] = { "other.alice.test", NULL };
	struct fixture *f = *state;
	int fd;

	fixture_start(f);
	apply_usual(f);
	agent_up(f, 0, &(struct claim){ .tenant = &f->alice, .authorities = other });
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	expect_alert(f, fd, TOW_ALERT_INTERNAL_ERROR);
	assert_int_equal(refused(f, "no_agent"), 1);
}

/* An agent may say that it serves what is another tenant's: nobody is led to it. */
static void an_agent_that_lies_gets_nothing(void **state)
{
	static const char *const claimed[] = { "app.bob.test", "*.bob.test", "app.alice.test", NULL };
	struct fixture *f = *state;
	int fd;

	fixture_start(f);
	apply_usual(f);
	agent_up(f, 0, &(struct claim){ .tenant = &f->alice, .authorities = claimed });
	fd = visit(f);
	visit_says_hello(fd, "app.bob.test");
	expect_alert(f, fd, TOW_ALERT_INTERNAL_ERROR);
	assert_int_equal(refused(f, "no_agent"), 1);
	assert_int_equal(f->agents[0].stream_count, 0);
	/* nor does it stand in the way of those whose it is */
	agent_up(f, 1, &(struct claim){ .tenant = &f->bob, .authorities = claimed });
	fd = visit(f);
	visit_says_hello(fd, "app.bob.test");
	await(f, f->agents[1].stream_count == 1);
	assert_int_equal(f->agents[0].stream_count, 0);
	close(fd);
}

static void what_is_no_tls_is_answered_or_closed(void **state)
{
	struct fixture *f = *state;
	static const char http[] = "GET / HTTP/1.1\r\nHost: app.alice.test\r\n\r\n";
	char got[512] = "";
	size_t len;
	int fd, how;

	start_with_agent(f);
	fd = visit(f);
	visitor_send(fd, http, sizeof(http) - 1);
	len = visitor_read(f, fd, got, sizeof(got) - 1, &how);
	assert_int_equal(how, 1);
	assert_true(len > 12 && memcmp(got, "HTTP/1.1 400", 12) == 0);
	assert_non_null(strstr(got, "\r\n\r\n"));
	assert_int_equal(strlen(strstr(got, "\r\n\r\n") + 4),
	                 strtol(strstr(got, "Length: ") + 8, NULL, 10));
	close(fd);
	assert_int_equal(refused(f, "plain_http"), 1);

	fd = visit(f);
	visitor_send(fd, "\x80\x01\x02garbage", 10);
	expect_end(f, fd);
	assert_int_equal(refused(f, "bad_hello"), 1);

	fd = visit(f);
	close(fd);
	await(f, refused(f, "gone") == 1);
}

static void a_hello_has_a_size(void **state)
{
	struct fixture *f = *state;
	uint8_t record[5 + 4096] = { 22, 3, 1, 0x10, 0 };
	int fd;

	start_with_agent(f);
	/* announces too much at once */
	record[5] = 1;
	record[6] = 1;
	fd = visit(f);
	visitor_send(fd, record, 16);
	expect_alert(f, fd, TOW_ALERT_DECODE_ERROR);
	assert_int_equal(refused(f, "hello_too_big"), 1);
	/* just under the limit, and tiny records that go on and on */
	record[6] = 0;
	record[7] = 0x3f;
	record[8] = 0xf0;
	record[3] = 0;
	record[4] = 4;
	fd = visit(f);
	visitor_send(fd, record, 9);
	for (int i = 0; i < 6000; i++) {
		static const uint8_t tiny[6] = { 22, 3, 1, 0, 1, 0 };

		if (send(fd, tiny, sizeof(tiny), MSG_NOSIGNAL) != sizeof(tiny))
			break;
		if (i % 100 == 0)
			turn(f, 1);
	}
	await(f, refused(f, "hello_too_big") == 2);
	close(fd);
}

static void a_hello_has_a_time(void **state)
{
	struct fixture *f = *state;
	int fd, silent;

	f->timing.client_hello_ns = 60 * TOW_NSEC_PER_MSEC;
	start_with_agent(f);
	fd = visit(f);
	visitor_send(fd, "\x16\x03\x01", 3);
	silent = visit(f);
	expect_end(f, fd);
	expect_end(f, silent);
	assert_int_equal(refused(f, "hello_timeout"), 2);
	/* one that is through has all the time */
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	await(f, f->agents[0].stream_count == 1);
	pass(f, 120);
	visitor_send(fd, "late", 4);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 1);
	close(fd);
}

static void the_next_agent_is_tried(void **state)
{
	static const enum habit habits[] = { HABIT_REFUSE, HABIT_GARBAGE, HABIT_SILENT };
	struct fixture *f = *state;
	struct tow_buf hello = client_hello("app.alice.test", NULL, 0);
	size_t before = 0;

	f->timing.dial_ns = 100 * TOW_NSEC_PER_MSEC;
	start_with_agent(f);
	agent_up(f, 1, &(struct claim){ .tenant = &f->alice });
	for (size_t i = 0; i < sizeof(habits) / sizeof(*habits); i++) {
		f->agents[0].habit = habits[i];
		/* whichever is first, two visitors meet both */
		for (int n = 0; n < 2; n++) {
			int fd = visit(f);

			visitor_send(fd, hello.base, tow_buf_len(&hello));
			expect_echo(f, fd, hello.base, tow_buf_len(&hello));
			close(fd);
			await(f, metric(f, "towonel_edge_active_connections", NULL) == 0);
		}
		assert_true(f->agents[0].stream_count > before);
		before = f->agents[0].stream_count;
	}
	assert_int_equal(metric(f, "towonel_edge_dials_retried_total", NULL), before);
	assert_int_equal(f->agents[1].stream_count, 6);
	tow_buf_deinit(&hello);
}

/* What was sent to the first is sent to the second, whole, even when it was much. */
static void what_was_sent_is_sent_again(void **state)
{
	struct fixture *f = *state;
	struct tow_buf hello = client_hello("app.alice.test", NULL, 0);
	static uint8_t early[40000];
	int fd;

	for (size_t i = 0; i < sizeof(early); i++)
		early[i] = (uint8_t)(i * 7 >> 3);
	start_with_agent(f);
	f->agents[0].habit = HABIT_SILENT;
	fd = visit(f);
	visitor_send(fd, hello.base, tow_buf_len(&hello));
	await(f, f->agents[0].stream_count == 1);
	visitor_send(fd, early, sizeof(early));
	await(f, tow_buf_len(&f->agents[0].streams->in) == tow_buf_len(&hello) + sizeof(early));
	agent_up(f, 1, &(struct claim){ .tenant = &f->alice });
	tow_quic_stream_abandon(f->agents[0].streams->stream, TOW_TUNNEL_ORIGIN_TIMEOUT);
	f->agents[0].streams->stream = NULL;
	expect_echo(f, fd, hello.base, tow_buf_len(&hello));
	expect_echo(f, fd, early, sizeof(early));
	close(fd);
	tow_buf_deinit(&hello);
}

/* A visitor that sends on and on to an agent that does not answer is not read on and on. */
static void what_waits_for_an_agent_is_bounded(void **state)
{
	struct fixture *f = *state;
	static uint8_t flood[65536];
	size_t sent = 0;
	uint64_t end;
	int fd;

	start_with_agent(f);
	f->agents[0].habit = HABIT_SILENT;
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	await(f, f->agents[0].stream_count == 1);
	end = now_ms() + 200;
	while (now_ms() < end) {
		ssize_t n = send(fd, flood, sizeof(flood), MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		turn(f, 1);
	}
	assert_true(sent > TOW_REPLAY_MAX);
	assert_true(tow_buf_len(&f->agents[0].streams->in) <= TOW_REPLAY_MAX);
	/* all of it comes once the agent accepts */
	f->agents[0].habit = HABIT_END;
	assert_int_equal(
		tow_quic_stream_write(f->agents[0].streams->stream, tow_slice_make("\x01", 1)), 0);
	f->agents[0].streams->answered = 1;
	await(f, tow_buf_len(&f->agents[0].streams->in) > sent);
	close(fd);
}

static void no_agent_will(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->timing.dial_ns = 50 * TOW_NSEC_PER_MSEC;
	start_with_agent(f);
	f->agents[0].habit = HABIT_REFUSE;
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	expect_alert(f, fd, TOW_ALERT_INTERNAL_ERROR);
	assert_int_equal(refused(f, "origin"), 1);
	f->agents[0].habit = HABIT_SILENT;
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	expect_alert(f, fd, TOW_ALERT_INTERNAL_ERROR);
	assert_int_equal(refused(f, "agent_timeout"), 1);
	await(f, f->agents[0].streams->was_reset);
}

static void the_status_byte_may_come_alone(void **state)
{
	struct fixture *f = *state;
	struct tow_buf hello = client_hello("app.alice.test", NULL, 0);
	int fd;

	start_with_agent(f);
	f->agents[0].habit = HABIT_SILENT;
	fd = visit(f);
	visitor_send(fd, hello.base, tow_buf_len(&hello));
	await(f, f->agents[0].stream_count == 1 &&
	                 tow_buf_len(&f->agents[0].streams->in) == tow_buf_len(&hello));
	agent_write(f->agents[0].streams, tow_slice_make("\x01", 1));
	pass(f, 20);
	agent_write(f->agents[0].streams, tow_buf_peek(&hello));
	expect_echo(f, fd, hello.base, tow_buf_len(&hello));
	close(fd);
	tow_buf_deinit(&hello);
}

/* The status byte and FIN in one: the visitor sees the end, and may still send. */
static void an_origin_may_end_first(void **state)
{
	struct fixture *f = *state;
	char byte;
	int fd, how;

	start_with_agent(f);
	f->agents[0].habit = HABIT_END;
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	assert_int_equal(visitor_read(f, fd, &byte, 1, &how), 0);
	assert_int_equal(how, 1);
	visitor_send(fd, "still here", 10);
	await(f, tow_buf_len(&f->agents[0].streams->in) > 10 &&
	                 memcmp(f->agents[0].streams->in.base + f->agents[0].streams->in.tail - 10,
	                        "still here", 10) == 0);
	close(fd);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 0);
}

/* A visitor that has said all it wants before the agent has answered is no visitor that left. */
static void a_visitor_may_end_early(void **state)
{
	struct fixture *f = *state;
	struct tow_buf hello = client_hello("app.alice.test", NULL, 0);
	char byte;
	int fd, how;

	start_with_agent(f);
	f->agents[0].habit = HABIT_SILENT;
	fd = visit(f);
	visitor_send(fd, hello.base, tow_buf_len(&hello));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	await(f, f->agents[0].stream_count == 1);
	pass(f, 20);
	agent_write(f->agents[0].streams, tow_slice_make("\x01", 1));
	agent_write(f->agents[0].streams, tow_buf_peek(&hello));
	expect_echo(f, fd, hello.base, tow_buf_len(&hello));
	await(f, f->agents[0].streams->finished);
	tow_quic_stream_finish(f->agents[0].streams->stream);
	assert_int_equal(visitor_read(f, fd, &byte, 1, &how), 0);
	assert_int_equal(how, 1);
	close(fd);
	tow_buf_deinit(&hello);
}

/* STOP_SENDING may come before the status byte: the answer comes through all the same. */
static void an_agent_may_stop_listening_first(void **state)
{
	struct fixture *f = *state;
	char got[16];
	int fd, how;

	start_with_agent(f);
	f->agents[0].habit = HABIT_SILENT;
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	await(f, f->agents[0].stream_count == 1);
	tow_quic_stream_stop(f->agents[0].streams->stream, TOW_TUNNEL_OK);
	pass(f, 20);
	visitor_send(fd, "unheard", 7);
	pass(f, 20);
	agent_write(f->agents[0].streams, tow_slice_make("\x01"
	                                                 "answer",
	                                                 7));
	tow_quic_stream_finish(f->agents[0].streams->stream);
	assert_int_equal(visitor_read(f, fd, got, sizeof(got), &how), 6);
	assert_memory_equal(got, "answer", 6);
	assert_int_equal(how, 1);
	close(fd);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 0);
}

static void a_visitor_gives_up_while_waiting(void **state)
{
	struct fixture *f = *state;
	struct linger reset = { 1, 0 };
	int fd;

	start_with_agent(f);
	f->agents[0].habit = HABIT_SILENT;
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	await(f, f->agents[0].stream_count == 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(fd);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 0);
	assert_int_equal(refused(f, "gone"), 1);
	await(f, f->agents[0].streams->was_reset);
}

static void an_agent_that_leaves_takes_its_visitors_along(void **state)
{
	struct fixture *f = *state;
	struct tow_buf hello = client_hello("app.alice.test", NULL, 0);
	int fd;

	start_with_agent(f);
	fd = visit(f);
	visitor_send(fd, hello.base, tow_buf_len(&hello));
	expect_echo(f, fd, hello.base, tow_buf_len(&hello));
	agent_leave(&f->agents[0]);
	expect_reset(f, fd);
	await(f, metric(f, "towonel_edge_agents_connected", NULL) == 0);
	fd = visit(f);
	visitor_send(fd, hello.base, tow_buf_len(&hello));
	expect_alert(f, fd, TOW_ALERT_INTERNAL_ERROR);
	assert_int_equal(refused(f, "no_agent"), 1);
	tow_buf_deinit(&hello);
}

/* The agent leaves before it has answered: the other one gets the visitor. */
static void an_agent_leaves_while_dialled(void **state)
{
	struct fixture *f = *state;
	struct tow_buf hello = client_hello("app.alice.test", NULL, 0);
	int fd;

	start_with_agent(f);
	f->agents[0].habit = HABIT_SILENT;
	fd = visit(f);
	visitor_send(fd, hello.base, tow_buf_len(&hello));
	await(f, f->agents[0].stream_count == 1);
	agent_up(f, 1, &(struct claim){ .tenant = &f->alice });
	agent_leave(&f->agents[0]);
	expect_echo(f, fd, hello.base, tow_buf_len(&hello));
	close(fd);
	tow_buf_deinit(&hello);
}

static void limits_hold(void **state)
{
	struct fixture *f = *state;
	int a, b, c;

	f->config.connections_max = 3;
	f->config.connections_per_address = 2;
	start_with_agent(f);
	a = visit(f);
	b = visit(f);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 2);
	c = visit(f);
	expect_end(f, c);
	assert_int_equal(refused(f, "address_limit"), 1);
	close(a);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 1);
	a = visit(f);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 2);
	close(a);
	close(b);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 0);
	fixture_stop(f, 0);

	f->config.connections_max = 1;
	f->config.connections_per_address = 0;
	fixture_start(f);
	a = visit(f);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 1);
	b = visit(f);
	expect_end(f, b);
	assert_int_equal(refused(f, "limit"), 1);
	close(a);
}

static void who_comes_too_often_is_turned_away(void **state)
{
	struct fixture *f = *state;
	int fds[3];

	f->config.connection_rate = 1;
	f->config.connection_burst = 2;
	start_with_agent(f);
	for (int i = 0; i < 3; i++) {
		fds[i] = visit(f);
		visit_says_hello(fds[i], "app.alice.test");
	}
	await(f, refused(f, "rate") == 1);
	assert_int_equal(metric(f, "towonel_edge_connections_total", NULL), 3);
	expect_end(f, fds[2]);
	close(fds[0]);
	close(fds[1]);
}

/* The process keeps some descriptors for other things than visitors. */
static void the_last_descriptors_are_not_for_visitors(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, small;
	int fds[40], taken, refused_one, highest = dup(0);

	close(highest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	small = before;
	small.rlim_cur = (rlim_t)highest + TOW_DESCRIPTORS_KEPT + 40;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	fixture_start(f);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	taken = visit(f);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 1);
	for (int i = 0; i < 40; i++)
		fds[i] = dup(0);
	refused_one = visit(f);
	expect_end(f, refused_one);
	assert_int_equal(refused(f, "descriptors"), 1);
	for (int i = 0; i < 40; i++)
		close(fds[i]);
	refused_one = visit(f);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 2);
	close(refused_one);
	close(taken);
}

/* What visitors say while no agent has taken them is bounded in all; those who are taken go on. */
static void what_waits_for_agents_is_bounded_in_all(void **state)
{
	struct fixture *f = *state;
	struct tow_buf hello = client_hello("app.alice.test", NULL, 3000);
	static uint8_t more[12000];
	struct agent_stream *stream;
	int first, second, others[3];

	f->config.memory_max = 4 * 8192;
	start_with_agent(f);
	f->agents[0].habit = HABIT_SILENT;
	first = visit(f);
	visitor_send(first, hello.base, tow_buf_len(&hello));
	visitor_send(first, more, sizeof(more));
	await(f, f->agents[0].stream_count == 1);
	stream = f->agents[0].streams;
	pass(f, 100);
	/* what it says behind its hello leaves room for others' */
	assert_true(tow_buf_len(&stream->in) <= TOW_HELLO_READ_SIZE + TOW_PROXY_HEADER_MAX);
	for (unsigned i = 0; i < 3; i++) {
		others[i] = visit(f);
		visitor_send(others[i], hello.base, tow_buf_len(&hello));
		if (i < 2)
			await(f, f->agents[0].stream_count == i + 2);
	}
	expect_alert(f, others[2], TOW_ALERT_INTERNAL_ERROR);
	assert_int_equal(refused(f, "memory"), 1);
	f->agents[0].habit = HABIT_END;
	assert_int_equal(tow_quic_stream_write(stream->stream, tow_slice_make("\x01", 1)), 0);
	stream->answered = 1;
	await(f, tow_buf_len(&stream->in) >= sizeof(more));
	f->agents[0].habit = HABIT_ECHO;
	second = visit(f);
	visitor_send(second, hello.base, tow_buf_len(&hello));
	expect_echo(f, second, hello.base, tow_buf_len(&hello));
	close(first);
	close(second);
	for (int i = 0; i < 3; i++)
		close(others[i]);
	tow_buf_deinit(&hello);
}

static void idle_visitors_end(void **state)
{
	struct fixture *f = *state;
	int fd, how;

	f->timing.visitor_idle_ns = 80 * TOW_NSEC_PER_MSEC;
	start_with_agent(f);
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	visitor_read(f, fd, NULL, SIZE_MAX, &how);
	close(fd);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 0);
}

#define EDGE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EDGE_TEST(a_visitor_reaches_the_agent),
		EDGE_TEST(names_are_matched_as_they_should),
		EDGE_TEST(a_hello_comes_in_pieces),
		EDGE_TEST(a_hello_spans_records),
		EDGE_TEST(refusals_say_why),
		EDGE_TEST(a_terminated_name_needs_a_certificate),
		EDGE_TEST(a_challenge_that_passes_through_is_counted),
		EDGE_TEST(an_agent_serves_what_it_said),
		EDGE_TEST(an_agent_that_lies_gets_nothing),
		EDGE_TEST(what_is_no_tls_is_answered_or_closed),
		EDGE_TEST(a_hello_has_a_size),
		EDGE_TEST(a_hello_has_a_time),
		EDGE_TEST(the_next_agent_is_tried),
		EDGE_TEST(what_was_sent_is_sent_again),
		EDGE_TEST(what_waits_for_an_agent_is_bounded),
		EDGE_TEST(no_agent_will),
		EDGE_TEST(the_status_byte_may_come_alone),
		EDGE_TEST(an_origin_may_end_first),
		EDGE_TEST(a_visitor_may_end_early),
		EDGE_TEST(an_agent_may_stop_listening_first),
		EDGE_TEST(a_visitor_gives_up_while_waiting),
		EDGE_TEST(an_agent_that_leaves_takes_its_visitors_along),
		EDGE_TEST(an_agent_leaves_while_dialled),
		EDGE_TEST(limits_hold),
		EDGE_TEST(who_comes_too_often_is_turned_away),
		EDGE_TEST(the_last_descriptors_are_not_for_visitors),
		EDGE_TEST(what_waits_for_agents_is_bounded_in_all),
		EDGE_TEST(idle_visitors_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
