/* SPDX-License-Identifier: MIT */

/*
 * Two real connections over a link in memory, under a clock that only moves when something is due.
 * The link loses, repeats, reorders, delays and damages datagrams as a seed says; every byte that
 * arrives is checked. A failure prints the seed, and the seed gives the same run again (TOW_SEED=n
 * runs just that one).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ngtcp2/ngtcp2_crypto_wolfssl.h>

#include <towonel/wire/limits.h>

#include "quic/connection.h"
#include "quic/stateless.h"
#include "tls/identity_cert.h"

#define MSEC          TOW_NSEC_PER_MSEC
#define STREAMS_MAX   16
#define IN_FLIGHT_MAX 65536

struct weather {
	unsigned loss, repeat, damage; /* per 1000 datagrams */
	uint64_t delay_ns, jitter_ns;
	size_t mtu; /* larger datagrams are lost; 0: none is too large */
};

struct sim;

/* One end: its connection and what its application does. */
struct side {
	struct sim *sim;
	const char *name;
	struct tow_node_key key;
	struct tow__quic_host host;
	struct tow_quic_conn *conn;
	struct tow_addr addr;
	unsigned established, closed, woken;
	struct tow_quic_close_reason reason;
	struct flow *flows;
	unsigned flow_count, flows_done;
	unsigned datagrams;
	unsigned opens; /* streams to open when established */
	size_t bytes;   /* on each stream, each way */
};

/* One direction pair of a stream, as one side sees it. */
struct flow {
	struct side *side;
	struct tow_quic_stream *stream;
	uint64_t id, to_send, sent, received;
	int got_fin, closed;
	struct flow *next;
};

struct datagram {
	uint64_t at_ns, order;
	struct tow_addr from, to;
	uint8_t ecn;
	size_t len;
	uint8_t *bytes;
};

struct sim {
	uint64_t seed, rng, now_ns, orders;
	struct weather weather;
	struct side client, server;
	struct datagram *in_flight[IN_FLIGHT_MAX]; /* a heap by at_ns */
	size_t count;
	struct tow_addr nat; /* what the server sees the client as; family 0: its own address */
	unsigned sent, lost;
	int black_hole;
	int retried; /* the server's connection began with a token */
};

static uint64_t current_seed;

#define check(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			print_error("seed %llu: ", (unsigned long long)current_seed);              \
			fail_msg("%s", #what);                                                     \
		}                                                                                  \
	} while (0)

static uint64_t draw(struct sim *sim)
{
	uint64_t z = (sim->rng += 0x9e3779b97f4a7c15ULL); /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static int chance(struct sim *sim, unsigned per_mille)
{
	return draw(sim) % 1000 < per_mille;
}

static void seeded_random(void *user, uint8_t *out, size_t len)
{
	while (len--)
		*out++ = (uint8_t)draw(user);
}

/* --- the link
 * ---------------------------------------------------------------------------------------------- */

static int before(const struct datagram *a, const struct datagram *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void heap_push(struct sim *sim, struct datagram *datagram)
{
	size_t i = sim->count++;

	check(sim->count < IN_FLIGHT_MAX);
	for (; i > 0 && before(datagram, sim->in_flight[(i - 1) / 2]); i = (i - 1) / 2)
		sim->in_flight[i] = sim->in_flight[(i - 1) / 2];
	sim->in_flight[i] = datagram;
}

static struct datagram *heap_pop(struct sim *sim)
{
	struct datagram *top = sim->in_flight[0], *last = sim->in_flight[--sim->count];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < sim->count) {
		if (child + 1 < sim->count &&
		    before(sim->in_flight[child + 1], sim->in_flight[child]))
			child++;
		if (!before(sim->in_flight[child], last))
			break;
		sim->in_flight[i] = sim->in_flight[child];
		i = child;
	}
	sim->in_flight[i] = last;
	return top;
}

static void link_put(struct sim *sim, const struct tow_addr *from, const struct tow_addr *to,
                     uint8_t ecn, const uint8_t *bytes, size_t len)
{
	struct datagram *datagram = calloc(1, sizeof(*datagram));

	assert_non_null(datagram);
	datagram->at_ns = sim->now_ns + sim->weather.delay_ns;
	if (sim->weather.jitter_ns)
		datagram->at_ns += draw(sim) % sim->weather.jitter_ns;
	datagram->order = sim->orders++;
	datagram->from = *from;
	datagram->to = *to;
	datagram->ecn = ecn;
	datagram->len = len;
	datagram->bytes = malloc(len);
	assert_non_null(datagram->bytes);
	memcpy(datagram->bytes, bytes, len);
	if (chance(sim, sim->weather.damage))
		datagram->bytes[draw(sim) % len] ^= (uint8_t)(1u << (draw(sim) % 8));
	heap_push(sim, datagram);
}

static void link_send(struct sim *sim, const struct tow__quic_batch *batch, const uint8_t *buf)
{
	size_t at, n;

	for (at = 0; at < batch->len; at += n) {
		n = batch->len - at < batch->segment ? batch->len - at : batch->segment;
		sim->sent++;
		if (sim->black_hole || chance(sim, sim->weather.loss) ||
		    (sim->weather.mtu && n > sim->weather.mtu)) {
			sim->lost++;
			continue;
		}
		link_put(sim, &batch->local, &batch->remote, batch->ecn, buf + at, n);
		if (chance(sim, sim->weather.repeat))
			link_put(sim, &batch->local, &batch->remote, batch->ecn, buf + at, n);
	}
}

/* --- what the applications do
 * ------------------------------------------------------------------------------ */

static uint8_t pattern(uint64_t id, int from_client, uint64_t offset)
{
	uint64_t x =
		(offset >> 3) * 0x9e3779b97f4a7c15ULL + id * 2654435761u + (from_client ? 77 : 0);

	return (uint8_t)(x >> (8 * (offset & 7)));
}

static void flow_write(struct flow *flow)
{
	int from_client = flow->side == &flow->side->sim->client;
	uint8_t copy[3000], *room;
	size_t len, i;

	while (flow->sent < flow->to_send &&
	       tow_quic_stream_unsent(flow->stream) < TOW_PIPE_UNSENT_MAX) {
		/* by turns in place and as a copy, in all sizes */
		if (draw(flow->side->sim) % 2) {
			room = tow_quic_stream_reserve(flow->stream, &len);
			assert_non_null(room);
			check(len >= 4096);
		} else {
			room = copy;
			len = 1 + draw(flow->side->sim) % sizeof(copy);
		}
		if (len > flow->to_send - flow->sent)
			len = (size_t)(flow->to_send - flow->sent);
		for (i = 0; i < len; i++)
			room[i] = pattern(flow->id, from_client, flow->sent + i);
		if (room == copy)
			check(tow_quic_stream_write(flow->stream, tow_slice_make(copy, len)) == 0);
		else
			tow_quic_stream_commit(flow->stream, len);
		flow->sent += len;
	}
	if (flow->sent == flow->to_send)
		tow_quic_stream_finish(flow->stream);
	else
		tow_quic_stream_want_writable(flow->stream);
}

static void flow_data(void *user, struct tow_slice bytes, int fin)
{
	struct flow *flow = user;
	int from_client = flow->side != &flow->side->sim->client;
	size_t i;

	check(!flow->got_fin);
	for (i = 0; i < bytes.len; i++)
		if (bytes.base[i] != pattern(flow->id, from_client, flow->received + i))
			check(!"a byte is wrong");
	flow->received += bytes.len;
	tow_quic_stream_consume(flow->stream, bytes.len);
	if (fin) {
		check(flow->received == flow->to_send);
		flow->got_fin = 1;
	}
}

static void flow_writable(void *user)
{
	flow_write(user);
}

static void flow_closed(void *user)
{
	struct flow *flow = user;

	flow->closed = 1;
	if (flow->got_fin)
		flow->side->flows_done++;
}

static const struct tow_quic_stream_events flow_events = {
	.data = flow_data,
	.writable = flow_writable,
	.closed = flow_closed,
};

static struct flow *flow_new(struct side *side, struct tow_quic_stream *stream)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	assert_non_null(flow);
	flow->side = side;
	flow->stream = stream;
	flow->to_send = side->bytes;
	flow->next = side->flows;
	side->flows = flow;
	side->flow_count++;
	return flow;
}

static void on_stream(void *user, struct tow_quic_stream *stream)
{
	struct flow *flow = flow_new(user, stream);

	flow->id = tow_quic_stream_id(stream);
	tow_quic_stream_set_events(stream, &flow_events, flow);
	flow_write(flow);
}

static void on_established(void *user)
{
	struct side *side = user;
	unsigned i;

	side->established++;
	for (i = 0; i < side->opens; i++) {
		struct flow *flow = flow_new(side, NULL);

		check(tow_quic_open_stream(side->conn, &flow_events, flow, &flow->stream) == 0);
		flow->id = tow_quic_stream_id(flow->stream);
		flow_write(flow);
	}
}

static void on_datagram(void *user, struct tow_slice bytes)
{
	struct side *side = user;
	size_t i;

	check(bytes.len >= 3 && bytes.base[0] == 'd' && bytes.base[1] == 'g');
	for (i = 2; i < bytes.len; i++)
		check(bytes.base[i] == (uint8_t)i);
	side->datagrams++;
}

static void on_closed(void *user, const struct tow_quic_close_reason *reason)
{
	struct side *side = user;

	side->closed++;
	side->reason = *reason;
}

static const struct tow_quic_conn_events conn_events = {
	.established = on_established,
	.stream_opened = on_stream,
	.datagram = on_datagram,
	.closed = on_closed,
};

static void on_accepted(void *owner)
{
	struct side *side = owner;

	tow_quic_conn_set_events(side->conn, &conn_events, side);
	check(tow_id_equal(tow_quic_conn_peer(side->conn), &side->sim->client.key.id));
	on_established(side);
}

/* --- the run
 * -----------------------------------------------------------------------------------------------
 */

static void on_wake(void *owner)
{
	((struct side *)owner)->woken = 1;
}

static int on_cid_add(void *owner, const uint8_t *cid, size_t len)
{
	(void)owner;
	(void)cid;
	(void)len;
	return 0;
}

static void on_cid_remove(void *owner, const uint8_t *cid, size_t len)
{
	(void)on_cid_add(owner, cid, len);
}

static struct tow_addr addr_make(uint8_t last, uint16_t port)
{
	struct tow_addr addr = { .family = 4, .port = port, .bytes = { 10, 0, 0, last } };

	return addr;
}

static void side_init(struct side *side, struct sim *sim, const char *name, uint8_t last)
{
	uint8_t seed[TOW_SEED_SIZE];

	memset(seed, last, sizeof(seed));
	tow_node_key_from_seed(seed, &side->key);
	side->sim = sim;
	side->name = name;
	side->addr = addr_make(last, 443);
	side->host.config = (struct tow_quic_config){
		.congestion = TOW_QUIC_BBR,
		.idle_timeout_ns = 20000 * MSEC,
		.keep_alive_ns = 5000 * MSEC,
		.handshake_timeout_ns = 15000 * MSEC,
		.max_udp_payload = 1452,
		.max_streams = 100,
		.stream_window = 6 << 20,
		.connection_window = 24 << 20,
	};
	side->host.wake = on_wake;
	side->host.cid_add = on_cid_add;
	side->host.cid_remove = on_cid_remove;
	side->host.accepted = on_accepted;
	side->host.random = seeded_random;
	side->host.random_user = sim;
	side->bytes = 0;
	assert_int_equal(tow__quic_crypto_init(&side->host.crypto, &side->key, "towonel/1", NULL),
	                 0);
}

static struct sim *sim_new(uint64_t seed)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	assert_non_null(sim);
	current_seed = seed;
	sim->seed = seed;
	sim->rng = seed;
	sim->now_ns = 1000 * TOW_NSEC_PER_SEC;
	sim->weather.delay_ns = 10 * MSEC;
	side_init(&sim->client, sim, "client", 1);
	side_init(&sim->server, sim, "server", 2);
	return sim;
}

static void sim_connect(struct sim *sim, const struct tow_id *expected)
{
	struct tow__quic_conn_params params = {
		.host = &sim->client.host,
		.owner = &sim->client,
		.local = &sim->client.addr,
		.remote = &sim->server.addr,
		.now_ns = sim->now_ns,
		.peer = expected,
		.events = &conn_events,
		.user = &sim->client,
	};

	tow__quic_host_cid(&sim->client.host, &params.scid);
	assert_int_equal(tow__quic_conn_new(&params, &sim->client.conn), 0);
}

static void side_free(struct side *side)
{
	struct flow *flow;

	if (side->conn)
		tow__quic_conn_finish(side->conn);
	tow__quic_conn_free(side->conn);
	while ((flow = side->flows) != NULL) {
		side->flows = flow->next;
		free(flow);
	}
	tow__chunk_pool_deinit(&side->host.chunks);
	tow__quic_crypto_deinit(&side->host.crypto);
}

static void sim_free(struct sim *sim)
{
	side_free(&sim->client);
	side_free(&sim->server);
	while (sim->count) {
		struct datagram *datagram = heap_pop(sim);

		free(datagram->bytes);
		free(datagram);
	}
	free(sim);
}

static void side_flush(struct side *side)
{
	static uint8_t buf[TOW__QUIC_PAYLOAD_MAX];
	struct tow__quic_batch batch;

	if (!side->conn || side->closed)
		return;
	do {
		side->woken = 0;
		while (tow__quic_conn_write(side->conn, buf, side->sim->now_ns, &batch))
			link_send(side->sim, &batch, buf);
	} while (side->woken && side->conn->state < TOW__QUIC_ENDING);
	if (side->conn->state == TOW__QUIC_ENDING) {
		if (tow__quic_conn_write_close(side->conn, buf, side->sim->now_ns, &batch))
			link_send(side->sim, &batch, buf);
		tow__quic_conn_finish(side->conn);
		if (!side->closed) /* a server whose handshake failed has told nobody */
			on_closed(side, &side->conn->reason);
	}
}

static void deliver(struct sim *sim, struct datagram *datagram)
{
	struct tow_slice bytes = tow_slice_make(datagram->bytes, datagram->len);
	struct side *client = &sim->client, *server = &sim->server;
	struct tow__quic_batch retry = { 0 };
	ngtcp2_pkt_hd initial;
	ngtcp2_cid scid;
	uint8_t buf[512];

	if (tow_addr_equal(&datagram->to, &server->addr)) {
		const struct tow_addr *from = &datagram->from;

		if (sim->nat.family && tow_addr_equal(from, &client->addr))
			from = &sim->nat;
		/* The one connection here stands for the two that an endpoint would have: what came
		 * without a token makes way for what came with one. */
		if (server->conn && server->conn->state == TOW__QUIC_CONNECTING && !sim->retried &&
		    ngtcp2_accept(&initial, bytes.base, bytes.len) == 0 && initial.tokenlen > 0) {
			tow__quic_conn_finish(server->conn);
			tow__quic_conn_free(server->conn);
			server->conn = NULL;
		}
		if (!server->conn) {
			struct tow__quic_conn_params params = {
				.host = &server->host,
				.owner = server,
				.local = &server->addr,
				.remote = from,
				.now_ns = sim->now_ns,
			};
			ngtcp2_cid original;

			if (ngtcp2_accept(&initial, bytes.base, bytes.len) != 0)
				return;
			params.initial = &initial;
			if (tow__quic_retry_check(&server->host.crypto, &initial, from, sim->now_ns,
			                          &original) == 0)
				params.original_dcid = &original;
			sim->retried = params.original_dcid != NULL;
			tow__quic_host_cid(&server->host, &params.scid);
			assert_int_equal(tow__quic_conn_new(&params, &server->conn), 0);
		}
		if (server->closed)
			return;
		tow__quic_conn_receive(server->conn, &server->addr, from, datagram->ecn, bytes,
		                       sim->now_ns);
		if (!server->conn->never_was)
			return;
		if (server->conn->wants_retry &&
		    ngtcp2_accept(&initial, bytes.base, bytes.len) == 0) {
			tow__quic_host_cid(&server->host, &scid);
			retry.len = tow__quic_retry(&server->host.crypto, &initial, &scid, from,
			                            sim->now_ns, buf, sizeof(buf));
			retry.segment = retry.len;
			retry.local = server->addr;
			retry.remote = *from;
			link_send(sim, &retry, buf);
		}
		tow__quic_conn_finish(server->conn);
		tow__quic_conn_free(server->conn);
		server->conn = NULL;
		return;
	}
	if (sim->nat.family && tow_addr_equal(&datagram->to, &sim->nat))
		datagram->to = client->addr;
	else if (sim->nat.family && tow_addr_equal(&datagram->to, &client->addr))
		return; /* the NAT has forgotten that way */
	if (tow_addr_equal(&datagram->to, &client->addr) && !client->closed)
		tow__quic_conn_receive(client->conn, &client->addr, &server->addr, datagram->ecn,
		                       bytes, sim->now_ns);
}

static uint64_t side_deadline(const struct side *side)
{
	return side->conn && !side->closed ? tow__quic_conn_deadline(side->conn) : TOW_NEVER;
}

/* One step of time. Returns 0 when nothing is due any more. */
static int sim_step(struct sim *sim)
{
	uint64_t next;

	side_flush(&sim->client);
	side_flush(&sim->server);
	next = sim->count ? sim->in_flight[0]->at_ns : TOW_NEVER;
	if (side_deadline(&sim->client) < next)
		next = side_deadline(&sim->client);
	if (side_deadline(&sim->server) < next)
		next = side_deadline(&sim->server);
	if (next == TOW_NEVER)
		return 0;
	if (next > sim->now_ns)
		sim->now_ns = next;
	while (sim->count && sim->in_flight[0]->at_ns <= sim->now_ns) {
		struct datagram *datagram = heap_pop(sim);

		deliver(sim, datagram);
		free(datagram->bytes);
		free(datagram);
	}
	if (side_deadline(&sim->client) <= sim->now_ns)
		tow__quic_conn_expire(sim->client.conn, sim->now_ns);
	if (side_deadline(&sim->server) <= sim->now_ns)
		tow__quic_conn_expire(sim->server.conn, sim->now_ns);
	return 1;
}

static int all_done(const struct sim *sim)
{
	unsigned streams = sim->client.opens + sim->server.opens;

	return (sim->client.flows_done == streams && sim->server.flows_done == streams) ||
	       (sim->client.closed && (sim->server.closed || !sim->server.conn));
}

static void sim_run(struct sim *sim, uint64_t for_ns)
{
	uint64_t end_ns = sim->now_ns + for_ns;

	while (sim->now_ns < end_ns && !all_done(sim) && sim_step(sim))
		;
}

static void check_complete(struct sim *sim)
{
	unsigned streams = sim->client.opens + sim->server.opens;

	if (sim->client.closed)
		print_error("client closed: %s\n", sim->client.reason.text);
	if (sim->server.closed)
		print_error("server closed: %s\n", sim->server.reason.text);
	check(sim->client.flows_done == streams);
	check(sim->server.flows_done == streams);
	check(!sim->client.closed && !sim->server.closed);
	check(sim->client.conn->tls == NULL && sim->server.conn->tls == NULL);
	/* every stream's memory has gone back */
	check(sim->client.conn->open_streams == 0 && sim->server.conn->open_streams == 0);
}

/* --- tests
 * -------------------------------------------------------------------------------------------------
 */

static uint64_t seed_first(void)
{
	return getenv("TOW_SEED") ? strtoull(getenv("TOW_SEED"), NULL, 10) : 1;
}

static uint64_t seed_end(uint64_t count)
{
	return seed_first() + (getenv("TOW_SEED") ? 1 : count);
}

static void test_weathers(void **state)
{
	static const struct weather weathers[] = {
		{ 0, 0, 0, 5 * MSEC, 0, 0 },
		{ 10, 10, 0, 20 * MSEC, 2 * MSEC, 0 },
		{ 50, 20, 5, 10 * MSEC, 10 * MSEC, 0 },
		{ 20, 100, 30, 1 * MSEC, 5 * MSEC, 1300 },
		{ 150, 5, 5, 30 * MSEC, 30 * MSEC, 0 },
	};
	uint64_t seed;

	(void)state;
	for (seed = seed_first(); seed < seed_end(20); seed++) {
		struct sim *sim = sim_new(seed);

		sim->weather = weathers[seed % (sizeof(weathers) / sizeof(weathers[0]))];
		sim->client.opens = 1 + (unsigned)(draw(sim) % 6);
		sim->server.opens = (unsigned)(draw(sim) % 6);
		sim->client.bytes = 200000 + (size_t)(draw(sim) % 800000);
		sim->server.bytes = sim->client.bytes;
		sim->client.host.config.congestion = seed % 2 ? TOW_QUIC_BBR : TOW_QUIC_CUBIC;
		sim->server.host.config.congestion = sim->client.host.config.congestion;
		sim_connect(sim, &sim->server.key.id);
		sim_run(sim, 600 * TOW_NSEC_PER_SEC);
		check_complete(sim);
		sim_free(sim);
	}
}

/* The same seed gives the same run, to the packet. */
static void test_same_seed_same_run(void **state)
{
	unsigned sent[2], i;
	uint64_t took[2];

	(void)state;
	for (i = 0; i < 2; i++) {
		struct sim *sim = sim_new(42);

		sim->weather = (struct weather){ 30, 10, 0, 10 * MSEC, 5 * MSEC, 0 };
		sim->client.opens = 3;
		sim->server.opens = 2;
		sim->client.bytes = sim->server.bytes = 200000;
		sim_connect(sim, &sim->server.key.id);
		sim_run(sim, 600 * TOW_NSEC_PER_SEC);
		check_complete(sim);
		sent[i] = sim->sent;
		took[i] = sim->now_ns;
		sim_free(sim);
	}
	assert_int_equal(sent[0], sent[1]);
	assert_int_equal(took[0], took[1]);
}

static void run_with_move(uint64_t seed, int active)
{
	struct sim *sim = sim_new(seed);
	struct tow_addr moved = addr_make(9, (uint16_t)(2000 + seed));
	unsigned half = 0;
	struct flow *flow;

	sim->weather = (struct weather){ 20, 10, 2, 10 * MSEC, 4 * MSEC, 0 };
	sim->client.opens = 3;
	sim->server.opens = 3;
	sim->client.bytes = sim->server.bytes = 600000;
	sim_connect(sim, &sim->server.key.id);
	while (!half && sim_step(sim))
		for (flow = sim->client.flows; flow; flow = flow->next)
			half |= flow->received > sim->client.bytes / 2;
	check(half);
	if (active) {
		sim->client.addr = moved;
		tow__quic_conn_migrate(sim->client.conn, &moved);
	} else {
		sim->nat = moved;
	}
	sim_run(sim, 600 * TOW_NSEC_PER_SEC);
	check_complete(sim);
	check(tow_addr_equal(tow_quic_conn_remote(sim->server.conn), &moved));
	sim_free(sim);
}

static void test_nat_rebinding(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = seed_first(); seed < seed_end(6); seed++)
		run_with_move(seed, 0);
}

static void test_migration(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = seed_first(); seed < seed_end(6); seed++)
		run_with_move(seed, 1);
}

static void establish(struct sim *sim)
{
	sim_connect(sim, &sim->server.key.id);
	while (!sim->client.established && !sim->client.closed && sim_step(sim))
		;
	check(sim->client.established == 1);
	check(sim->server.established == 1);
}

static void test_datagrams(void **state)
{
	uint8_t bytes[2000];
	unsigned i;
	struct sim *sim = sim_new(7);

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	sim->weather.loss = 100;
	sim->client.opens = 1; /* something that never ends, so that the run goes on */
	sim->client.bytes = sim->server.bytes = 1;
	establish(sim);
	sim->client.opens = 2;
	check(tow_quic_datagram_max(sim->client.conn) > 1100);
	for (i = 0; i < 200; i++) {
		size_t len = 1 + draw(sim) % (tow_quic_datagram_max(sim->client.conn) - 2);
		uint64_t until = sim->now_ns + 5 * MSEC;

		check(tow_quic_send_datagram(sim->client.conn, tow_slice_of("dg"),
		                             tow_slice_make(bytes + 2, len)) == 0);
		while (sim->now_ns < until && sim_step(sim))
			;
	}
	check(tow_quic_send_datagram(sim->client.conn, tow_slice_of("dg"),
	                             tow_slice_make(bytes, 1500)) == TOW_ETOOBIG);
	/* lost ones are not sent again, the others come once */
	check(sim->server.datagrams > 140 && sim->server.datagrams < 200);
	/* a full queue says so, and nothing is lost of what it took */
	sim->weather.loss = 0;
	sim->server.datagrams = 0;
	for (i = 0; tow_quic_send_datagram(sim->client.conn, tow_slice_of("dg"),
	                                   tow_slice_make(bytes + 2, 100)) == 0;
	     i++)
		check(i < TOW__QUIC_DATAGRAMS_MAX);
	check(i == TOW__QUIC_DATAGRAMS_MAX);
	sim_run(sim, 5 * TOW_NSEC_PER_SEC);
	check(sim->server.datagrams == TOW__QUIC_DATAGRAMS_MAX);
	sim_free(sim);
}

static void test_idle_timeout(void **state)
{
	struct sim *sim = sim_new(3);
	uint64_t start;

	(void)state;
	sim->client.opens = 1;
	sim->client.bytes = sim->server.bytes = 1000;
	sim->server.opens = 1;
	establish(sim);
	sim_run(sim, 2 * TOW_NSEC_PER_SEC);
	check_complete(sim);
	sim->server.opens = 2; /* not done: go on */
	/* keep-alives hold it for as long as they get through */
	sim_run(sim, 100 * TOW_NSEC_PER_SEC);
	check(!sim->client.closed && !sim->server.closed);
	sim->black_hole = 1;
	start = sim->now_ns;
	sim_run(sim, 100 * TOW_NSEC_PER_SEC);
	check(sim->client.closed && sim->client.reason.status == TOW_ETIMEDOUT);
	check(sim->server.closed && sim->server.reason.status == TOW_ETIMEDOUT);
	check(sim->now_ns - start < 30 * TOW_NSEC_PER_SEC);
	sim_free(sim);
}

static void test_handshake_timeout(void **state)
{
	struct sim *sim = sim_new(3);

	(void)state;
	sim->black_hole = 1;
	sim->client.opens = 1;
	sim_connect(sim, &sim->server.key.id);
	sim_run(sim, 60 * TOW_NSEC_PER_SEC);
	check(sim->client.closed == 1);
	check(sim->client.reason.status == TOW_ETIMEDOUT);
	check(sim->client.established == 0);
	sim_free(sim);
}

static void test_server_with_another_key(void **state)
{
	struct sim *sim = sim_new(4);

	(void)state;
	sim->client.opens = 1;
	sim_connect(sim, &sim->client.key.id);
	sim_run(sim, 60 * TOW_NSEC_PER_SEC);
	check(sim->client.closed == 1 && sim->client.reason.status == TOW_EAUTH);
	check(!sim->client.reason.by_peer);
	check(sim->client.established == 0 && sim->server.established == 0);
	check(sim->server.closed == 1 && sim->server.reason.status == TOW_EAUTH);
	check(sim->server.reason.by_peer);
	sim_free(sim);
}

static int see_only(int preverify, WOLFSSL_X509_STORE_CTX *store)
{
	struct tow__quic_peer *peer = store->userCtx;

	(void)preverify;
	peer->known = tow__identity_cert_of_peer(store, &peer->id) == 0;
	return 1;
}

static void test_client_without_certificate(void **state)
{
	struct sim *sim = sim_new(5);
	WOLFSSL_CTX *bare = wolfSSL_CTX_new(wolfTLSv1_3_client_method());

	(void)state;
	assert_non_null(bare);
	assert_int_equal(ngtcp2_crypto_wolfssl_configure_client_context(bare), 0);
	wolfSSL_CTX_set_verify(bare, WOLFSSL_VERIFY_PEER, see_only);
	wolfSSL_CTX_free(sim->client.host.crypto.client);
	sim->client.host.crypto.client = bare;
	sim->client.opens = 1;
	sim_connect(sim, &sim->server.key.id);
	sim_run(sim, 60 * TOW_NSEC_PER_SEC);
	check(sim->server.closed == 1 && sim->server.reason.status == TOW_EAUTH);
	check(!sim->server.reason.by_peer);
	check(sim->server.established == 0);
	check(sim->client.established == 0);
	check(sim->client.closed == 1 && sim->client.reason.status == TOW_EAUTH);
	check(sim->client.reason.by_peer);
	sim_free(sim);
}

static void test_another_protocol(void **state)
{
	struct sim *sim = sim_new(6);

	(void)state;
	memcpy(sim->client.host.crypto.alpn, "h3", 3);
	sim->client.opens = 1;
	sim_connect(sim, &sim->server.key.id);
	sim_run(sim, 60 * TOW_NSEC_PER_SEC);
	check(sim->client.closed == 1 && sim->client.established == 0);
	check(sim->server.closed == 1 && sim->server.established == 0);
	sim_free(sim);
}

static void test_application_close(void **state)
{
	struct sim *sim = sim_new(8);

	(void)state;
	sim->client.opens = 1;
	sim->client.bytes = sim->server.bytes = 10 << 20;
	establish(sim);
	tow_quic_conn_close(sim->server.conn, 0x1234, "so long");
	sim_run(sim, 60 * TOW_NSEC_PER_SEC);
	check(sim->server.closed == 1 && sim->server.reason.status == 0 &&
	      !sim->server.reason.by_peer);
	check(sim->client.closed == 1 && sim->client.reason.status == 0 &&
	      sim->client.reason.by_peer);
	check(sim->client.reason.application && sim->client.reason.code == 0x1234);
	check(strcmp(sim->client.reason.text, "so long") == 0);
	check(sim->client.flows->closed); /* streams end before their connection */
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weathers),
		cmocka_unit_test(test_same_seed_same_run),
		cmocka_unit_test(test_nat_rebinding),
		cmocka_unit_test(test_migration),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_idle_timeout),
		cmocka_unit_test(test_handshake_timeout),
		cmocka_unit_test(test_server_with_another_key),
		cmocka_unit_test(test_client_without_certificate),
		cmocka_unit_test(test_another_protocol),
		cmocka_unit_test(test_application_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
