/* SPDX-License-Identifier: MIT */
#include "quic_sim.h"

#define SESSIONS_MAX 64
#define HEADER       9 /* of a datagram's content: which session, which number */

/* A stream that the server has opened, and what came of its datagrams. */
struct session {
	struct sim *sim;
	unsigned index;
	struct tow_quic_stream *server, *client;
	uint64_t sent, refused, received; /* from the server to the client */
	uint64_t echoed;                  /* back */
	uint64_t latest_ns, slowest_ns;
	uint8_t seen[1 << 16]; /* by number */
};

static struct session *sessions[SESSIONS_MAX];
static unsigned session_count;

static void on_data(void *user, struct tow_slice bytes, int fin)
{
	struct session *session = user;

	(void)fin;
	tow_quic_stream_consume(session->client, bytes.len);
}

static void on_datagram(void *user, struct tow_slice payload)
{
	struct session *session = user;
	uint64_t number, late_ns;

	check(payload.len >= HEADER && payload.base[0] == session->index);
	memcpy(&number, payload.base + 1, sizeof(number));
	for (size_t i = HEADER; i < payload.len; i++)
		check(payload.base[i] == (uint8_t)(i + number));
	check(number >> 48 < 1000000);
	check(!session->seen[number & 0xffff]);
	session->seen[number & 0xffff] = 1;
	session->received++;
	late_ns = session->sim->now_ns - (number >> 16) * 1000;
	if (late_ns > session->slowest_ns)
		session->slowest_ns = late_ns;
}

static void on_echo(void *user, struct tow_slice payload)
{
	struct session *session = user;

	(void)payload;
	session->echoed++;
}

static const struct tow_quic_stream_events server_events = { .datagram = on_echo };
static const struct tow_quic_stream_events client_events = { .data = on_data,
	                                                     .datagram = on_datagram };

static void on_opened(struct side *side, struct tow_quic_stream *stream)
{
	struct session *session = sessions[session_count - 1];

	(void)side;
	if (session->client)
		return; /* the bulk transfer next to them */
	session->client = stream;
	tow_quic_stream_set_events(stream, &client_events, session);
}

/* Opens a stream on the server, and waits for it at the client. */
static struct session *open_session(struct sim *sim)
{
	struct session *session = calloc(1, sizeof(*session));

	assert_non_null(session);
	session->sim = sim;
	session->index = session_count;
	sessions[session_count++] = session;
	check(tow_quic_open_stream(sim->server.conn, &server_events, session, &session->server) ==
	      0);
	check(tow_quic_stream_write(session->server, tow_slice_of("x")) == 0);
	while (!session->client && sim_step(sim))
		;
	return session;
}

/* The number of a datagram carries the time at which it was sent, in us. */
static int send_one(struct session *session, size_t len)
{
	uint64_t number = session->sim->now_ns / 1000 << 16 | (session->sent & 0xffff);
	uint8_t bytes[2000];
	int rc;

	check(len >= HEADER && len <= sizeof(bytes));
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i + number);
	bytes[0] = (uint8_t)session->index;
	memcpy(bytes + 1, &number, sizeof(number));
	rc = tow_quic_stream_send_datagram(session->server, tow_slice_make(bytes, len));
	if (rc == 0)
		session->sent++;
	else
		session->refused++;
	return rc;
}

static struct sim *start(uint64_t seed, struct weather weather)
{
	struct sim *sim = sim_new(seed);

	sim->weather = weather;
	sim->client.opens = 1;
	sim->client.bytes = 0;
	sim->server.bytes = 0;
	sim_establish(sim);
	sim->client.opened = on_opened;
	sim->client.opens = 1000; /* the run goes on when the first stream has ended */
	return sim;
}

static void finish(struct sim *sim)
{
	sim_free(sim);
	while (session_count > 0)
		free(sessions[--session_count]);
}

static void pass(struct sim *sim, uint64_t ns)
{
	uint64_t until = sim->now_ns + ns;

	while (sim->now_ns < until && sim_step(sim))
		;
}

/* Lost ones are not sent again, the others come once, and whole. */
static void test_loss(void **state)
{
	struct sim *sim = start(7, (struct weather){ .loss = 100, .delay_ns = 10 * MSEC });
	struct session *session = open_session(sim);
	size_t max = tow_quic_stream_datagram_max(session->server);

	(void)state;
	check(max > 1100);
	for (unsigned i = 0; i < 200; i++) {
		check(send_one(session, HEADER + sim_draw(sim) % (max - HEADER)) == 0);
		pass(sim, 5 * MSEC);
	}
	check(send_one(session, 1500) == TOW_ETOOBIG);
	pass(sim, 100 * MSEC);
	check(session->received > 140 && session->received < 200);
	/* the other way, on the same stream; not on one that the client opened */
	sim->weather.loss = 0;
	check(tow_quic_stream_send_datagram(session->client, tow_slice_of("echo")) == 0);
	pass(sim, 100 * MSEC);
	check(session->echoed == 1);
	finish(sim);
}

static void test_streams_of_the_client_have_none(void **state)
{
	struct sim *sim = start(8, (struct weather){ .delay_ns = MSEC });
	struct tow_quic_stream *stream;

	(void)state;
	check(tow_quic_open_stream(sim->client.conn, &client_events, NULL, &stream) == 0);
	check(tow_quic_stream_datagram_max(stream) == 0);
	check(tow_quic_stream_send_datagram(stream, tow_slice_of("no")) == TOW_EINVAL);
	tow_quic_stream_abandon(stream, 0);
	finish(sim);
}

/* What a queue has taken arrives on a path that loses nothing, and the queue has a bound. */
static void test_bound(void **state)
{
	struct sim *sim = start(9, (struct weather){ .delay_ns = 20 * MSEC });
	struct session *session = open_session(sim);

	(void)state;
	while (send_one(session, 1000) == 0)
		check(session->sent * 1000 < TOW_DATAGRAM_QUEUES_MAX);
	check(session->sent * 1000 > TOW_DATAGRAM_QUEUES_MIN / 2);
	pass(sim, TOW_NSEC_PER_SEC);
	check(session->received == session->sent);
	finish(sim);
}

/* One session sends as fast as it can: another one next to it loses nothing and is not late, and
 * neither is a stream starved. */
static void test_flood(void **state)
{
	struct sim *sim = start(10, (struct weather){ .delay_ns = 10 * MSEC });
	struct session *flood = open_session(sim), *quiet = open_session(sim);
	struct tow_quic_stream *bulk;
	static uint8_t much[1 << 20];

	(void)state;
	sim->rate = 2000000;
	check(tow_quic_open_stream(sim->server.conn, &server_events, NULL, &bulk) == 0);
	check(tow_quic_stream_write(bulk, tow_slice_make(much, sizeof(much))) == 0);
	for (unsigned i = 0; i < 400; i++) {
		while (send_one(flood, 1000) == 0)
			check(flood->sent < 0x10000);
		check(send_one(quiet, 100) == 0);
		pass(sim, MSEC);
	}
	pass(sim, 300 * MSEC);
	check(flood->refused >= 400 && flood->received == flood->sent);
	check(quiet->refused == 0 && quiet->received == 400);
	check(quiet->slowest_ns < 200 * MSEC);
	check(tow_quic_stream_unsent(bulk) < sizeof(much) / 4 * 3);
	finish(sim);
}

/* The path comes to take less than it did: what no longer fits is dropped and holds nothing up. */
static void test_path_shrinks(void **state)
{
	struct sim *sim = start(11, (struct weather){ .delay_ns = 10 * MSEC });
	struct session *session = open_session(sim);
	struct tow_metric large = { 0 };

	(void)state;
	sim->server.host.datagram_losses[TOW__QUIC_DATAGRAM_LARGE] = &large;
	pass(sim, TOW_NSEC_PER_SEC); /* path MTU discovery */
	check(tow_quic_stream_datagram_max(session->server) > 1350);
	sim->weather.mtu = 1300;
	for (unsigned i = 0; i < 10000 && tow_quic_stream_datagram_max(session->server) > 1300; i++) {
		/* fills the congestion window, and a queue behind it */
		while (send_one(session, 1300) == 0)
			check(session->sent < 0x10000);
		if (i % 1000 == 0) /* as an agent's ping, which is small and arrives */
			check(tow_quic_stream_write(session->server, tow_slice_of("x")) == 0);
		pass(sim, MSEC);
	}
	check(send_one(session, 1300) == TOW_ETOOBIG);
	check(send_one(session, 1000) == 0);
	pass(sim, TOW_NSEC_PER_SEC);
	check(tow_metric_get(&large) > 0);
	finish(sim);
}

/* One that ends takes what it had queued with it. */
static void test_reset_drops(void **state)
{
	struct sim *sim = start(12, (struct weather){ .delay_ns = 10 * MSEC });
	struct session *session = open_session(sim), *other = open_session(sim);

	(void)state;
	while (send_one(session, 1000) == 0)
		;
	check(send_one(other, 1000) == 0);
	tow_quic_stream_reset(session->server, 5);
	check(sim->server.conn->datagram_stream_count == 1);
	check(send_one(session, 1000) == TOW_ECLOSED);
	pass(sim, TOW_NSEC_PER_SEC);
	check(other->received == 1);
	check(sim->server.conn->datagram_bytes == 0 && sim->server.conn->datagram_streams == NULL);
	finish(sim);
}

/* Frames that were as large as the path took are lost one after the other: it has become narrower,
 * and those of a size for any path get through; later larger ones are tried again. */
static void test_narrower_path(void **state)
{
	struct sim *sim = start(9, (struct weather){ .delay_ns = 10 * MSEC, .mtu = 1500 });
	struct session *session = open_session(sim);
	uint64_t received;

	(void)state;
	pass(sim, 2 * TOW_NSEC_PER_SEC);
	check(tow_quic_stream_datagram_max(session->server) > 1350);
	sim->weather.mtu = 1300;
	for (int i = 0; i < 200 && tow_quic_stream_datagram_max(session->server) > 1350; i++) {
		check(send_one(session, 1350) == 0);
		pass(sim, 40 * MSEC);
	}
	check(session->received == 0 && session->sent < 150);
	check(send_one(session, 1350) == TOW_ETOOBIG);
	for (int i = 0; i < 20; i++)
		check(send_one(session, 1100) == 0);
	pass(sim, TOW_NSEC_PER_SEC);
	check(session->received == 20);
	sim->weather.mtu = 1500;
	pass(sim, 70 * TOW_NSEC_PER_SEC);
	received = session->received;
	check(send_one(session, 1350) == 0);
	pass(sim, TOW_NSEC_PER_SEC);
	check(session->received == received + 1);
	finish(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_streams_of_the_client_have_none),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_path_shrinks),
		cmocka_unit_test(test_reset_drops),
		cmocka_unit_test(test_narrower_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
