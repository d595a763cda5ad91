/* SPDX-License-Identifier: MIT */

/*
 * An edge of several workers. The test's loop is the first one's, the others have their threads:
 * what they do comes in its own time.
 */

#include "fixture.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <towonel/wire/client_hello.h>
#include "workers.h"
#include "worker.h"

#define WORKERS  4
#define VISITORS 24 /* enough that each worker gets some */

static void start(struct fixture *f)
{
	f->config.workers = WORKERS;
	fixture_start(f);
	apply_usual(f);
}

static struct agent *up_at(struct fixture *f, size_t index, unsigned worker,
                           const struct claim *claim)
{
	f->agents[index].worker = worker;
	return agent_up(f, index, claim);
}

static struct claim alice(struct fixture *f)
{
	return (struct claim){ .tenant = &f->alice };
}

static int64_t serving(struct fixture *f)
{
	return metric(f, "towonel_edge_agents_connected", NULL);
}

static int64_t handed_over(struct fixture *f)
{
	return metric(f, "towonel_edge_visitors_handed_over_total", NULL);
}

static void come_all(struct fixture *f, int fds[VISITORS])
{
	for (size_t i = 0; i < VISITORS; i++) {
		fds[i] = visit(f);
		visit_says_hello(fds[i], "app.alice.test");
	}
}

/* Each gets an echo of what it has said, its hello first. */
static void expect_served(struct fixture *f, int fd)
{
	struct tow_buf hello = client_hello("app.alice.test", NULL, 0);
	size_t len = tow_buf_len(&hello);
	uint8_t *got = malloc(len + 4);
	int how;

	assert_non_null(got);
	visitor_send(fd, "more", 4);
	assert_int_equal(visitor_read(f, fd, got, len + 4, &how), len + 4);
	assert_memory_equal(got + len, "more", 4);
	free(got);
	tow_buf_deinit(&hello);
}

static void expect_all_served(struct fixture *f, const int fds[VISITORS])
{
	for (size_t i = 0; i < VISITORS; i++)
		expect_served(f, fds[i]);
}

static void close_all(const int fds[VISITORS])
{
	for (size_t i = 0; i < VISITORS; i++)
		close(fds[i]);
}

/* --- mail --- */

static struct {
	size_t count;
	int in_order;
} letters;

static void on_letter(struct worker *w, void *message)
{
	size_t number;

	assert_int_equal(w->index, 0);
	memcpy(&number, message, sizeof(number));
	letters.in_order &= number == letters.count;
	letters.count++;
}

static void *write_letters(void *first)
{
	for (size_t i = 0; i < 1000; i++)
		if (tow__worker_mail(first, on_letter, &i, sizeof(i)) != 0)
			abort();
	return NULL;
}

static void mail_comes_in_order(void **state)
{
	struct fixture *f = *state;
	struct worker first = { .loop = f->loop };
	pthread_t writer;

	letters.count = 0;
	letters.in_order = 1;
	assert_int_equal(pthread_create(&writer, NULL, write_letters, &first), 0);
	await(f, letters.count == 1000);
	pthread_join(writer, NULL);
	assert_true(letters.in_order);
}

/* --- visitors --- */

static void every_visitor_finds_the_one_tunnel(void **state)
{
	struct fixture *f = *state;
	struct agent *a;
	int fds[VISITORS];

	start(f);
	a = up_at(f, 0, 2, &(struct claim){ .tenant = &f->alice });
	come_all(f, fds);
	expect_all_served(f, fds);
	assert_int_equal(a->stream_count, VISITORS);
	assert_int_equal(metric(f, "towonel_edge_active_connections", NULL), VISITORS);
	assert_true(handed_over(f) > 0 && handed_over(f) < VISITORS);
	close_all(fds);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 0);
}

static void with_tunnels_to_all_nobody_moves(void **state)
{
	struct fixture *f = *state;
	struct claim claim = alice(f);
	int fds[VISITORS];

	start(f);
	tow_node_key_generate(&f->agents[0].key);
	for (unsigned i = 0; i < WORKERS; i++) {
		f->agents[i].key = f->agents[0].key;
		up_at(f, i, i, &claim);
	}
	assert_int_equal(serving(f), 1);
	come_all(f, fds);
	expect_all_served(f, fds);
	assert_int_equal(handed_over(f), 0);
	close_all(fds);
}

static void an_agent_elsewhere_is_the_next(void **state)
{
	struct fixture *f = *state;
	struct claim claim = alice(f);
	int fds[VISITORS];

	start(f);
	tow_node_key_generate(&f->agents[0].key);
	f->agents[1].key = f->agents[0].key;
	up_at(f, 0, 0, &claim)->habit = HABIT_REFUSE;
	up_at(f, 1, 1, &claim)->habit = HABIT_REFUSE;
	up_at(f, 2, 3, &claim);
	come_all(f, fds);
	expect_all_served(f, fds);
	assert_int_equal(f->agents[2].stream_count, VISITORS);
	/* one that has refused is not asked through its other tunnel */
	assert_true(f->agents[0].stream_count + f->agents[1].stream_count <= VISITORS);
	close_all(fds);
}

static void nobody_moves_for_ever(void **state)
{
	struct fixture *f = *state;
	struct claim claim = alice(f);
	int fd;

	start(f);
	for (unsigned i = 0; i < WORKERS; i++)
		up_at(f, i, i, &claim)->habit = HABIT_REFUSE;
	fd = visit(f);
	visit_says_hello(fd, "app.alice.test");
	expect_alert(f, fd, TOW_ALERT_INTERNAL_ERROR);
	assert_int_equal(refused(f, "origin"), 1);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(f->agents[i].stream_count, 1);
}

static void limits_hold_for_all_workers(void **state)
{
	struct fixture *f = *state;
	struct claim claim = alice(f);
	int fds[VISITORS];
	size_t served = 0;
	char byte;
	int how;

	f->config.connections_max = 10;
	f->config.connections_per_address = 7;
	start(f);
	up_at(f, 0, 1, &claim);
	come_all(f, fds);
	await(f, metric(f, "towonel_edge_connections_total", NULL) == VISITORS);
	await(f, refused(f, "address_limit") + refused(f, "limit") == VISITORS - 7);
	for (size_t i = 0; i < VISITORS; i++)
		served += visitor_read(f, fds[i], &byte, 1, &how) == 1;
	assert_int_equal(served, 7);
	close_all(fds);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 0);
	fds[0] = visit(f);
	visit_says_hello(fds[0], "app.alice.test");
	expect_served(f, fds[0]);
	close(fds[0]);
}

static void a_tenants_limit_holds_for_all_workers(void **state)
{
	struct fixture *f = *state;
	struct claim claim = alice(f);
	struct tow_route_writer *w = routes(1, 2);
	int fds[VISITORS], how;
	size_t served = 0;
	char byte;

	start(f);
	add_tenant_limited(w, &f->alice, &(struct tow_tenant_limits){ .connections = 7 });
	assert_int_equal(apply(f, w), 0);
	/* the limit goes with those that move */
	up_at(f, 0, 1, &claim);
	come_all(f, fds);
	await(f, refused(f, "tenant_limit") == VISITORS - 7);
	for (size_t i = 0; i < VISITORS; i++)
		served += visitor_read(f, fds[i], &byte, 1, &how) == 1 && byte == 0x16;
	assert_int_equal(served, 7);
	close_all(fds);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 0);
	fds[0] = visit(f);
	visit_says_hello(fds[0], "app.alice.test");
	expect_served(f, fds[0]);
	close(fds[0]);
}

/* --- services' ports --- */

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

/* How many sockets have a port, of those in a table of the kernel's ("/proc/net/udp"); of TCP those
 * that listen. */
static size_t sockets_at(const char *path, uint16_t port)
{
	FILE *table = fopen(path, "re");
	char line[512], *at;
	size_t count = 0;

	assert_non_null(table);
	while (fgets(line, sizeof(line), table) != NULL) {
		/* behind the colons: address and port of ours, port of theirs */
		unsigned long numbers[3] = { 0 };

		at = line;
		for (size_t i = 0; i < 3 && (at = strchr(at, ':')) != NULL; i++)
			numbers[i] = strtoul(at + 1, &at, 16);
		count += at != NULL && numbers[1] == port && numbers[2] == 0;
	}
	fclose(table);
	return count;
}

static void ports_are_on_all_workers(void **state)
{
	static const char *const authorities[] = { "tcp:ssh", "udp:dns", NULL };
	struct fixture *f = *state;
	struct claim claim = { .tenant = &f->alice, .authorities = authorities };
	struct tow_route_writer *w = routes(1, 2);
	uint16_t tcp = choose_port(SOCK_STREAM), udp = choose_port(SOCK_DGRAM);
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		                  .sin_port = htons(udp) };
	int fds[VISITORS], socks[VISITORS], how;
	char byte;

	start(f);
	add_port(w, &f->alice, tcp, "ssh");
	add_udp_port(w, &f->alice, udp, "dns", 60);
	assert_int_equal(apply(f, w), 0);
	up_at(f, 0, 3, &claim);
	/* the others follow the first in binding them */
	await(f, sockets_at("/proc/net/udp", udp) == WORKERS &&
	                 sockets_at("/proc/net/tcp", tcp) == WORKERS);
	for (size_t i = 0; i < VISITORS; i++) {
		fds[i] = visit_port(f, tcp);
		visitor_send(fds[i], "x", 1);
		socks[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		assert_int_equal(connect(socks[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
		assert_int_equal(send(socks[i], "u", 1, 0), 1);
	}
	for (size_t i = 0; i < VISITORS; i++) {
		assert_int_equal(visitor_read(f, fds[i], &byte, 1, &how), 1);
		assert_int_equal(byte, 'x');
		await(f, recv(socks[i], &byte, 1, 0) == 1);
		assert_int_equal(byte, 'u');
		/* and again, in the same session */
		assert_int_equal(send(socks[i], "v", 1, 0), 1);
		await(f, recv(socks[i], &byte, 1, 0) == 1);
		assert_int_equal(byte, 'v');
	}
	assert_int_equal(metric(f, "towonel_edge_udp_sessions", NULL), VISITORS);
	assert_int_equal(f->agents[0].stream_count, 2 * VISITORS);
	w = routes(2, 3);
	tow_route_write_port_removed(w, TOW_PROTOCOL_TCP, tcp);
	tow_route_write_port_removed(w, TOW_PROTOCOL_UDP, udp);
	assert_int_equal(apply(f, w), 0);
	await(f, metric(f, "towonel_edge_udp_sessions", NULL) == 0);
	for (size_t i = 0; i < VISITORS; i++) {
		close(fds[i]);
		close(socks[i]);
	}
}

/* --- UDP sessions --- */

static const char *const dns[] = { "udp:dns", NULL };

static struct claim names(struct fixture *f)
{
	return (struct claim){ .tenant = &f->alice, .authorities = dns };
}

/* Starts with a port; returns it. */
static uint16_t start_udp(struct fixture *f)
{
	struct tow_route_writer *w = routes(1, 2);
	uint16_t port = choose_port(SOCK_DGRAM);

	start(f);
	add_udp_port(w, &f->alice, port, "dns", 60);
	assert_int_equal(apply(f, w), 0);
	/* the others follow the first in binding it */
	await(f, sockets_at("/proc/net/udp", port) == WORKERS);
	return port;
}

static void open_socks(uint16_t port, int socks[VISITORS])
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		                  .sin_port = htons(port) };

	for (size_t i = 0; i < VISITORS; i++) {
		socks[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		assert_int_equal(connect(socks[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
	}
}

static void expect_echoes(struct fixture *f, const int socks[VISITORS], char said)
{
	char byte;

	for (size_t i = 0; i < VISITORS; i++)
		assert_int_equal(send(socks[i], &said, 1, 0), 1);
	for (size_t i = 0; i < VISITORS; i++) {
		await(f, recv(socks[i], &byte, 1, 0) == 1);
		assert_int_equal(byte, said);
	}
}

static void a_udp_session_finds_an_agent_elsewhere(void **state)
{
	struct fixture *f = *state;
	struct claim claim = names(f);
	uint16_t port = start_udp(f);
	int socks[VISITORS];

	up_at(f, 0, 0, &claim)->habit = HABIT_REFUSE;
	up_at(f, 1, 1, &claim)->habit = HABIT_REFUSE;
	up_at(f, 2, 3, &claim);
	open_socks(port, socks);
	expect_echoes(f, socks, 'a');
	expect_echoes(f, socks, 'b');
	assert_int_equal(f->agents[2].stream_count, VISITORS);
	assert_int_equal(metric(f, "towonel_edge_udp_sessions", NULL), VISITORS);
	close_all(socks);
}

static void a_udp_session_stays_with_its_agent(void **state)
{
	struct fixture *f = *state;
	struct claim claim = names(f);
	uint16_t port = start_udp(f);
	int socks[VISITORS];

	up_at(f, 0, 3, &claim);
	open_socks(port, socks);
	expect_echoes(f, socks, 'a');
	for (unsigned i = 1; i < WORKERS; i++)
		up_at(f, i, i - 1, &claim);
	expect_echoes(f, socks, 'b');
	assert_int_equal(f->agents[0].stream_count, VISITORS);
	/* and begins anew when that one has gone */
	agent_leave(&f->agents[0]);
	await(f, metric(f, "towonel_edge_udp_sessions", NULL) == 0);
	expect_echoes(f, socks, 'c');
	assert_int_equal(f->agents[1].stream_count + f->agents[2].stream_count +
	                         f->agents[3].stream_count,
	                 VISITORS);
	close_all(socks);
}

static void nobody_has_a_udp_session_for_ever(void **state)
{
	struct fixture *f = *state;
	struct claim claim = names(f);
	uint16_t port = start_udp(f);
	int socks[VISITORS];
	size_t asked = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		up_at(f, i, i, &claim)->habit = HABIT_REFUSE;
	open_socks(port, socks);
	for (size_t i = 0; i < VISITORS; i++)
		assert_int_equal(send(socks[i], "a", 1, 0), 1);
	await(f, metric(f, "towonel_edge_udp_sessions_refused_total", "reason=\"origin\"") ==
	                 VISITORS);
	assert_int_equal(metric(f, "towonel_edge_udp_sessions", NULL), 0);
	for (unsigned i = 0; i < WORKERS; i++)
		asked += f->agents[i].stream_count;
	assert_int_equal(asked, VISITORS * WORKERS);
	close_all(socks);
}

static void who_was_never_answered_makes_room_elsewhere(void **state)
{
	struct fixture *f = *state;
	struct claim claim = names(f);
	int socks[VISITORS];
	uint16_t port;
	char byte;

	f->config.udp_sessions_per_port = VISITORS - 4;
	port = start_udp(f);
	up_at(f, 0, 2, &claim)->habit = HABIT_SILENT;
	open_socks(port, socks);
	for (size_t i = 0; i < VISITORS - 4; i++)
		assert_int_equal(send(socks[i], "a", 1, 0), 1);
	await(f, f->agents[0].stream_count == VISITORS - 4);
	f->agents[0].habit = HABIT_ECHO;
	for (size_t i = VISITORS - 4; i < VISITORS; i++) /* says it again, as visitors do */
		await(f, send(socks[i], "b", 1, 0) == 1 && recv(socks[i], &byte, 1, 0) == 1);
	close_all(socks);
}

static void closing_waits_for_udp_sessions_everywhere(void **state)
{
	struct fixture *f = *state;
	struct claim claim = names(f);
	uint16_t port = start_udp(f);
	int socks[VISITORS];

	up_at(f, 0, 2, &claim);
	open_socks(port, socks);
	expect_echoes(f, socks, 'a');
	f->closed = 0;
	tow_edge_close(f->edge, TOW_NEVER, fixture_closed, f);
	await(f, f->agents[0].drained);
	expect_echoes(f, socks, 'b');
	expect_echoes(f, socks, 'c');
	assert_false(f->closed);
	assert_int_equal(f->agents[0].stream_count, VISITORS);
	close_all(socks);
	tow_edge_close(f->edge, 0, fixture_closed, f);
	await(f, f->closed);
}

/* --- agents --- */

static void a_newer_set_supersedes_on_all_workers(void **state)
{
	struct fixture *f = *state;
	struct claim old = { .tenant = &f->alice, .generation = 1 };
	struct claim newer = { .tenant = &f->alice, .generation = 2, .services = 1 };
	int fds[VISITORS];

	start(f);
	tow_node_key_generate(&f->agents[0].key);
	f->agents[1].key = f->agents[0].key;
	up_at(f, 0, 0, &old);
	up_at(f, 1, 2, &old);
	up_at(f, 2, 3, &newer);
	await(f, f->agents[0].superseded_by == 2 && f->agents[1].superseded_by == 2);
	await(f, serving(f) == 1);
	come_all(f, fds);
	expect_all_served(f, fds);
	assert_int_equal(f->agents[2].stream_count, VISITORS);
	/* one of the older set comes late, to a worker that has neither */
	f->agents[3].worker = 1;
	agent_connect(f, &f->agents[3]);
	agent_hello(&f->agents[3], &old);
	await(f, f->agents[3].superseded_by == 2);
	close_all(fds);
}

/* It says so on each of its tunnels; until then the others rest. */
static void an_agent_does_not_supersede_itself(void **state)
{
	struct fixture *f = *state;
	struct claim old = { .tenant = &f->alice, .generation = 1 };
	struct claim newer = { .tenant = &f->alice, .generation = 2, .services = 1 };
	int fds[VISITORS];

	start(f);
	tow_node_key_generate(&f->agents[0].key);
	f->agents[1].key = f->agents[2].key = f->agents[0].key;
	up_at(f, 0, 0, &old);
	up_at(f, 1, 2, &old);
	agent_hello(&f->agents[0], &newer);
	await(f, f->agents[0].welcomed == 2);
	assert_int_equal(serving(f), 1);
	/* a tunnel that was on its way comes with what was so then */
	f->agents[2].worker = 3;
	agent_connect(f, &f->agents[2]);
	agent_hello(&f->agents[2], &old);
	come_all(f, fds);
	expect_all_served(f, fds);
	assert_int_equal(f->agents[0].stream_count, VISITORS);
	agent_hello(&f->agents[1], &newer);
	agent_hello(&f->agents[2], &newer);
	await(f, f->agents[1].welcomed == 2 && f->agents[2].welcomed == 1);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(f->agents[i].superseded_by, 0);
	close_all(fds);
}

static void who_is_revoked_is_cut_off_on_all_workers(void **state)
{
	struct fixture *f = *state;
	struct claim claim = alice(f);
	struct tow_route_writer *w = routes(1, 2);
	int fds[VISITORS];

	start(f);
	tow_node_key_generate(&f->agents[0].key);
	f->agents[1].key = f->agents[0].key;
	up_at(f, 0, 1, &claim);
	up_at(f, 1, 2, &claim);
	up_at(f, 2, 3, &claim);
	come_all(f, fds);
	expect_all_served(f, fds);
	tow_route_write_revoked_agent(w, &f->alice.id, &f->agents[0].key.id, 0);
	assert_int_equal(apply(f, w), 0);
	await(f, f->agents[0].closed && f->agents[1].closed);
	assert_int_equal(f->agents[0].reason.code, TOW_TUNNEL_UNAUTHORIZED);
	assert_int_equal(f->agents[1].reason.code, TOW_TUNNEL_UNAUTHORIZED);
	assert_false(f->agents[2].closed);
	assert_int_equal(serving(f), 1);
	w = routes(2, 3);
	tow_route_write_tenant_removed(w, &f->alice.id);
	assert_int_equal(apply(f, w), 0);
	await(f, f->agents[2].closed);
	await(f, metric(f, "towonel_edge_active_connections", NULL) == 0);
	close_all(fds);
}

/* Of so many agents of an edge of so many workers. */
static void many_agents_have_fewer_tunnels(void **state)
{
	static const struct {
		size_t agents;
		unsigned workers, tunnels;
	} cases[] = {
		{ 1, 1, 1 },   { 1, 2, 2 },   { 1, 4, 4 },   { 1, 16, 4 },    { 128, 16, 4 },
		{ 129, 4, 3 }, { 256, 4, 2 }, { 257, 4, 1 }, { 10000, 4, 1 }, { 200, 2, 2 },
	};
	struct fixture *f = *state;
	struct claim claim = alice(f);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(tow__agents_tunnels(cases[i].agents, cases[i].workers),
		                 cases[i].tunnels);
	start(f);
	assert_int_equal(up_at(f, 0, 1, &claim)->tunnels, WORKERS);
}

static void reports_name_an_agent_once(void **state)
{
	struct fixture *f = *state;
	struct claim claim = alice(f);

	f->timing.report_interval_ns = 20 * TOW_NSEC_PER_MSEC;
	start(f);
	tow_node_key_generate(&f->agents[0].key);
	f->agents[1].key = f->agents[0].key;
	up_at(f, 0, 1, &claim);
	up_at(f, 1, 2, &claim);
	up_at(f, 2, 2, &claim);
	await(f, f->reported_agents == 2);
	agent_leave(&f->agents[0]);
	agent_leave(&f->agents[2]);
	await(f, f->reported_agents == 1);
}

static int notes_say(struct fixture *f, const char *text)
{
	struct tow_buf notes = { 0 };
	int said;

	tow_edge_notes(f->edge, &notes);
	tow_buf_append(&notes, "", 1);
	said = strstr((const char *)notes.base, text) != NULL;
	tow_buf_deinit(&notes);
	return said;
}

static void an_agent_owes_an_answer_once(void **state)
{
	struct fixture *f = *state;
	struct claim claim = alice(f);

	f->timing.ping_interval_ns = 100 * TOW_NSEC_PER_MSEC;
	start(f);
	tow_node_key_generate(&f->agents[0].key);
	for (unsigned i = 0; i < WORKERS - 1; i++) {
		f->agents[i].key = f->agents[0].key;
		f->agents[i].mute = i < 2;
		up_at(f, i, i, &claim);
	}
	up_at(f, WORKERS - 1, 0, &claim);
	await(f, f->agents[0].pings > 2 && f->agents[1].pings > 2);
	await(f, notes_say(f, "1 of 2 agents owe an answer to a ping"));
	agent_leave(&f->agents[0]);
	pass(f, 100);
	await(f, metric(f, "towonel_edge_agents_late", NULL) == 1);
	agent_leave(&f->agents[1]);
	await(f, metric(f, "towonel_edge_agents_late", NULL) == 0);
}

static void an_unknown_tenant_is_waited_for_on_every_worker(void **state)
{
	struct fixture *f = *state;
	struct claim claim = alice(f);

	f->config.workers = WORKERS;
	fixture_start(f);
	for (unsigned i = 0; i < WORKERS; i++) {
		f->agents[i].worker = i;
		agent_connect(f, &f->agents[i]);
		agent_hello(&f->agents[i], &claim);
	}
	pass(f, 50);
	apply_usual(f);
	for (unsigned i = 0; i < WORKERS; i++)
		await(f, f->agents[i].welcomed);
	assert_int_equal(serving(f), WORKERS);
}

/* --- the end --- */

static void closing_waits_for_visitors_everywhere(void **state)
{
	struct fixture *f = *state;
	struct claim claim = alice(f);
	int fds[VISITORS];

	start(f);
	up_at(f, 0, 2, &claim);
	come_all(f, fds);
	expect_all_served(f, fds);
	f->closed = 0;
	tow_edge_close(f->edge, TOW_NEVER, fixture_closed, f);
	await(f, f->agents[0].drained);
	for (size_t i = 0; i < VISITORS; i++) {
		assert_false(f->closed);
		visitor_send(fds[i], "bye", 3);
		close(fds[i]);
		turn(f, 1);
	}
	await(f, f->closed);
	await(f, f->agents[0].closed);
	assert_int_equal(f->agents[0].reason.code, TOW_TUNNEL_DRAINING);
}

/* With visitors in every state, those between two workers among them. */
static void closing_at_once_leaves_nobody(void **state)
{
	struct fixture *f = *state;
	struct claim claim = alice(f);
	int fds[VISITORS];

	start(f);
	up_at(f, 0, 2, &claim);
	for (size_t i = 0; i < VISITORS; i++) {
		fds[i] = visit(f);
		if (i % 3 > 0)
			visit_says_hello(fds[i], "app.alice.test");
		else
			visitor_send(fds[i], "\x16", 1);
		if (i % 3 > 1)
			turn(f, 1);
	}
	fixture_stop(f, 0);
	for (size_t i = 0; i < VISITORS; i++) {
		visitor_read(f, fds[i], NULL, SIZE_MAX, &(int){ 0 });
		close(fds[i]);
	}
}

static void a_taken_address_is_said(void **state)
{
	struct fixture *f = *state, second = *f;
	struct tow_error err = { 0, "" };

	start(f);
	second.config = f->config;
	second.config.listen = *tow_edge_addr(f->edge);
	second.edge = NULL;
	assert_int_equal(tow_edge_new(&second.config, &second.edge, &err), TOW_EADDRINUSE);
	assert_null(second.edge);
}

#define WORKERS_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKERS_TEST(mail_comes_in_order),
		WORKERS_TEST(every_visitor_finds_the_one_tunnel),
		WORKERS_TEST(with_tunnels_to_all_nobody_moves),
		WORKERS_TEST(an_agent_elsewhere_is_the_next),
		WORKERS_TEST(nobody_moves_for_ever),
		WORKERS_TEST(limits_hold_for_all_workers),
		WORKERS_TEST(a_tenants_limit_holds_for_all_workers),
		WORKERS_TEST(ports_are_on_all_workers),
		WORKERS_TEST(a_udp_session_finds_an_agent_elsewhere),
		WORKERS_TEST(a_udp_session_stays_with_its_agent),
		WORKERS_TEST(nobody_has_a_udp_session_for_ever),
		WORKERS_TEST(who_was_never_answered_makes_room_elsewhere),
		WORKERS_TEST(closing_waits_for_udp_sessions_everywhere),
		WORKERS_TEST(a_newer_set_supersedes_on_all_workers),
		WORKERS_TEST(an_agent_does_not_supersede_itself),
		WORKERS_TEST(who_is_revoked_is_cut_off_on_all_workers),
		WORKERS_TEST(many_agents_have_fewer_tunnels),
		WORKERS_TEST(reports_name_an_agent_once),
		WORKERS_TEST(an_agent_owes_an_answer_once),
		WORKERS_TEST(an_unknown_tenant_is_waited_for_on_every_worker),
		WORKERS_TEST(closing_waits_for_visitors_everywhere),
		WORKERS_TEST(closing_at_once_leaves_nobody),
		WORKERS_TEST(a_taken_address_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
