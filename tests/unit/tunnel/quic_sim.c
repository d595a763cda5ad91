/* SPDX-License-Identifier: MIT */
#include "quic_sim.h"

#include "quic/stateless.h"

uint64_t sim_current_seed;

uint64_t sim_draw(struct sim *sim)
{
	uint64_t z = (sim->rng += 0x9e3779b97f4a7c15ULL); /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static int chance(struct sim *sim, unsigned per_mille)
{
	return sim_draw(sim) % 1000 < per_mille;
}

static void seeded_random(void *user, uint8_t *out, size_t len)
{
	while (len--)
		*out++ = (uint8_t)sim_draw(user);
}

/* --- the link --- */

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
	if (sim->free_ns < sim->now_ns)
		sim->free_ns = sim->now_ns;
	if (sim->rate)
		sim->free_ns += len * TOW_NSEC_PER_SEC / sim->rate;
	datagram->at_ns = sim->free_ns + sim->weather.delay_ns;
	if (sim->weather.jitter_ns)
		datagram->at_ns += sim_draw(sim) % sim->weather.jitter_ns;
	datagram->order = sim->orders++;
	datagram->from = *from;
	datagram->to = *to;
	datagram->ecn = ecn;
	datagram->len = len;
	datagram->bytes = malloc(len);
	assert_non_null(datagram->bytes);
	memcpy(datagram->bytes, bytes, len);
	if (chance(sim, sim->weather.damage))
		datagram->bytes[sim_draw(sim) % len] ^= (uint8_t)(1u << (sim_draw(sim) % 8));
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

/* --- what the applications do --- */

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
		if (sim_draw(flow->side->sim) % 2) {
			room = tow_quic_stream_reserve(flow->stream, &len);
			assert_non_null(room);
			check(len >= 4096);
		} else {
			room = copy;
			len = 1 + sim_draw(flow->side->sim) % sizeof(copy);
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
	struct side *side = user;
	struct flow *flow;

	if (side->opened) {
		side->opened(side, stream);
		return;
	}
	flow = flow_new(side, stream);
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

static void on_closed(void *user, const struct tow_quic_close_reason *reason)
{
	struct side *side = user;

	side->closed++;
	side->reason = *reason;
}

static const struct tow_quic_conn_events conn_events = {
	.established = on_established,
	.stream_opened = on_stream,
	.closed = on_closed,
};

static void on_accepted(void *owner)
{
	struct side *side = owner;

	tow_quic_conn_set_events(side->conn, &conn_events, side);
	check(tow_id_equal(tow_quic_conn_peer(side->conn), &side->sim->client.key.id));
	on_established(side);
}

/* --- the run --- */

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

struct tow_addr sim_addr(uint8_t last, uint16_t port)
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
	side->addr = sim_addr(last, 443);
	side->host.config = (struct tow_quic_config){
		.congestion = TOW_QUIC_BBR,
		.idle_timeout_ns = 20000 * MSEC,
		.keep_alive_ns = 5000 * MSEC,
		.handshake_timeout_ns = 15000 * MSEC,
		.max_udp_payload = 1452,
		.max_streams = 100,
		.stream_window = 6 << 20,
		.held_max = 24 << 20,
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

struct sim *sim_new(uint64_t seed)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	assert_non_null(sim);
	sim_current_seed = seed;
	sim->seed = seed;
	sim->rng = seed;
	sim->now_ns = 1000 * TOW_NSEC_PER_SEC;
	sim->weather.delay_ns = 10 * MSEC;
	side_init(&sim->client, sim, "client", 1);
	side_init(&sim->server, sim, "server", 2);
	return sim;
}

void sim_connect(struct sim *sim, const struct tow_id *expected)
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

void sim_free(struct sim *sim)
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
	struct tow__quic_batch batches[TOW__QUIC_BATCHES_MAX], batch;
	int count;

	if (!side->conn || side->closed)
		return;
	do {
		side->woken = 0;
		while ((count = tow__quic_conn_write(side->conn, buf, side->sim->now_ns, batches)) >
		       0)
			for (int i = 0; i < count; i++)
				link_send(side->sim, &batches[i], buf + batches[i].at);
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
int sim_step(struct sim *sim)
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

void sim_run(struct sim *sim, uint64_t for_ns)
{
	uint64_t end_ns = sim->now_ns + for_ns;

	while (sim->now_ns < end_ns && !all_done(sim) && sim_step(sim))
		;
}

void sim_establish(struct sim *sim)
{
	sim_connect(sim, &sim->server.key.id);
	while (!sim->client.established && !sim->client.closed && sim_step(sim))
		;
	check(sim->client.established == 1);
	check(sim->server.established == 1);
}

void sim_check_complete(struct sim *sim)
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
