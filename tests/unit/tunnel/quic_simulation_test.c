/* SPDX-License-Identifier: MIT */

/* TOW_SEED=n runs the tests that try many seeds with that one. */

#include "quic_sim.h"

#include <ngtcp2/ngtcp2_crypto_wolfssl.h>

#include "tls/identity_cert.h"

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
		sim->client.opens = 1 + (unsigned)(sim_draw(sim) % 6);
		sim->server.opens = (unsigned)(sim_draw(sim) % 6);
		sim->client.bytes = 200000 + (size_t)(sim_draw(sim) % 800000);
		sim->server.bytes = sim->client.bytes;
		sim->client.host.config.congestion = seed % 2 ? TOW_QUIC_BBR : TOW_QUIC_CUBIC;
		sim->server.host.config.congestion = sim->client.host.config.congestion;
		sim_connect(sim, &sim->server.key.id);
		sim_run(sim, 600 * TOW_NSEC_PER_SEC);
		sim_check_complete(sim);
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
		sim_check_complete(sim);
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
	struct tow_addr moved = sim_addr(9, (uint16_t)(2000 + seed));
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
	sim_check_complete(sim);
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

/* A new address shows first in packets that leave from it as they did before, and a moment later the
 * client knows and migrates; then another one, and so on, faster than paths are validated. */
static void test_many_moves(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = seed_first(); seed < seed_end(20); seed++) {
		struct sim *sim = sim_new(seed);
		unsigned moves = 0, steps = 0;

		sim->weather = (struct weather){ seed % 3 ? 20 : 0, 10, 2, 10 * MSEC, 4 * MSEC, 0 };
		sim->client.opens = 3;
		sim->server.opens = 3;
		sim->client.bytes = sim->server.bytes = 600000;
		sim_connect(sim, &sim->server.key.id);
		while (moves < 8 && sim_step(sim)) {
			if (!sim->client.established || ++steps % (40 + 10 * (seed % 5)))
				continue;
			sim->nat = sim_addr((uint8_t)(9 + moves), (uint16_t)(2000 + moves));
			for (uint64_t i = sim_draw(sim) % 12; i > 0; i--)
				(void)sim_step(sim);
			sim->client.addr = sim->nat;
			sim->nat.family = 0;
			tow__quic_conn_migrate(sim->client.conn, &sim->client.addr);
			moves++;
		}
		check(moves == 8);
		sim_run(sim, 600 * TOW_NSEC_PER_SEC);
		sim_check_complete(sim);
		sim_free(sim);
	}
}

/* Keys change under way, on either side's wish: ours encrypts with what ngtcp2 keeps of them, long
 * after TLS has gone. */
static void test_key_update(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = seed_first(); seed < seed_end(4); seed++) {
		struct sim *sim = sim_new(seed);
		struct side *side = seed % 2 ? &sim->client : &sim->server;
		unsigned updates = 0;

		sim->weather = (struct weather){ 20, 10, 2, 10 * MSEC, 4 * MSEC, 0 };
		sim->client.opens = sim->server.opens = 2;
		sim->client.bytes = sim->server.bytes = 2 << 20;
		sim_connect(sim, &sim->server.key.id);
		while (updates < 3 && sim_step(sim))
			if (sim->client.established && sim->server.established &&
			    ngtcp2_conn_initiate_key_update(side->conn->quic, sim->now_ns) == 0)
				updates++;
		check(updates == 3); /* the next only when the last has been confirmed */
		sim_run(sim, 600 * TOW_NSEC_PER_SEC);
		sim_check_complete(sim);
		sim_free(sim);
	}
}

static size_t packet_max(const struct side *side)
{
	struct tow_quic_stats stats;

	tow_quic_conn_stats(side->conn, &stats);
	return stats.max_udp_payload;
}

/* The path comes to take less than it did, and says nothing: what is on its way goes on in smaller
 * packets, either way. */
static void test_narrower_path(void **state)
{
	uint64_t seed, narrowed_ns, give_up_ns;

	(void)state;
	for (seed = seed_first(); seed < seed_end(6); seed++) {
		struct sim *sim = sim_new(seed);

		sim->weather = (struct weather){ seed % 2 ? 10 : 0, 0, 0, 10 * MSEC, 0, 1500 };
		sim->rate = 2000000;
		sim->client.opens = seed % 3 ? 2 : 0;
		sim->server.opens = seed % 3 != 1 ? 2 : 0;
		sim->client.bytes = sim->server.bytes = 2 << 20;
		sim_establish(sim);
		give_up_ns = sim->now_ns + 20 * TOW_NSEC_PER_SEC;
		while (packet_max(&sim->client) <= 1300 || packet_max(&sim->server) <= 1300)
			check(sim_step(sim) && sim->now_ns < give_up_ns);
		sim->weather.mtu = 1300;
		narrowed_ns = sim->now_ns;
		sim_run(sim, 600 * TOW_NSEC_PER_SEC);
		sim_check_complete(sim);
		check(packet_max(&sim->client) == 1200 && packet_max(&sim->server) == 1200);
		check(sim->now_ns - narrowed_ns < 30 * TOW_NSEC_PER_SEC);
		/* Larger ones are tried again in time. */
		sim->weather.mtu = 1500;
		sim->server.opens++; /* not done: go on */
		sim_run(sim, 70 * TOW_NSEC_PER_SEC);
		check(packet_max(&sim->client) > 1300 && packet_max(&sim->server) > 1300);
		sim_free(sim);
	}
}

static void test_idle_timeout(void **state)
{
	struct sim *sim = sim_new(3);
	uint64_t start;

	(void)state;
	sim->client.opens = 1;
	sim->client.bytes = sim->server.bytes = 1000;
	sim->server.opens = 1;
	sim_establish(sim);
	sim_run(sim, 2 * TOW_NSEC_PER_SEC);
	sim_check_complete(sim);
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
	sim_establish(sim);
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
		cmocka_unit_test(test_many_moves),
		cmocka_unit_test(test_key_update),
		cmocka_unit_test(test_narrower_path),
		cmocka_unit_test(test_idle_timeout),
		cmocka_unit_test(test_handshake_timeout),
		cmocka_unit_test(test_server_with_another_key),
		cmocka_unit_test(test_client_without_certificate),
		cmocka_unit_test(test_another_protocol),
		cmocka_unit_test(test_application_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
