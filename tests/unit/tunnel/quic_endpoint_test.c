/* SPDX-License-Identifier: MIT */
#include "quic_fixture.h"

static void test_connect(void **state)
{
	struct fixture *f = *state;
	struct tow_quic_stats stats;

	fixture_both(f);
	fixture_connect_up(f);
	assert_true(tow_id_equal(tow_quic_conn_peer(f->conn), &f->server_key.id));
	assert_int_equal(tow_quic_conn_remote(f->conn)->port,
	                 tow_quic_endpoint_addr(f->server)->port);
	assert_int_equal(tow_quic_conn_remote(f->accepted)->port,
	                 tow_quic_endpoint_addr(f->client)->port);
	assert_int_equal(tow_quic_endpoint_connections(f->server), 1);
	tow_quic_conn_stats(f->conn, &stats);
	assert_true(stats.bytes_sent > 2400 && stats.packets_received > 2);
	tow_quic_conn_close(f->conn, 5, "done");
	until(f, f->closes);
	until(f, f->server_closes);
	assert_int_equal(f->reason.status, 0);
	assert_false(f->reason.by_peer);
	assert_int_equal(f->server_reason.status, 0);
	assert_true(f->server_reason.by_peer && f->server_reason.application);
	assert_int_equal(f->server_reason.code, 5);
	assert_string_equal(f->server_reason.text, "done");
	assert_int_equal(tow_quic_endpoint_connections(f->server), 0);
	assert_int_equal(tow_quic_endpoint_connections(f->client), 0);
}

static void test_wrong_key(void **state)
{
	struct fixture *f = *state;

	fixture_both(f);
	assert_int_equal(tow_quic_connect(f->client, tow_quic_endpoint_addr(f->server),
	                                  &f->client_key.id, &fixture_client_events, f, &f->conn),
	                 0);
	until(f, f->closes);
	assert_int_equal(f->reason.status, TOW_EAUTH);
	fixture_turn(f, NULL, 20 * MSEC, 0);
	assert_int_equal(f->established, 0);
	assert_int_equal(f->accepts, 0);
}

static void test_echo(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 1000, 65536, 1 << 20, 50 << 20 };
	struct fixture *f = *state;
	struct pupil pupil;
	size_t i;

	fixture_both(f);
	fixture_connect_up(f);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fixture_pupil_open(f, &pupil, sizes[i], 1);
		until(f, pupil.closed);
		assert_true(pupil.got_fin);
		assert_int_equal(pupil.received, sizes[i]);
		until_n(f, f->server_stream_closes, i + 1);
	}
}

static void test_unhurried(void **state)
{
	struct fixture *f = *state;
	struct pupil alone, small, large;

	f->service = UNHURRIED;
	fixture_both(f);
	fixture_connect_up(f);
	fixture_pupil_open(f, &alone, 1, 0);
	until(f, alone.received);
	fixture_pupil_open(f, &small, 1, 0);
	fixture_pupil_open(f, &large, 1 << 20, 1);
	until(f, large.closed);
	assert_int_equal(large.received, 1 << 20);
	until(f, small.received);
}

static void test_many_streams(void **state)
{
	enum { COUNT = 1000 };
	struct fixture *f = *state;
	struct pupil *pupils = calloc(COUNT, sizeof(*pupils));
	unsigned i;

	assert_non_null(pupils);
	fixture_both(f);
	fixture_connect_up(f);
	for (i = 0; i < COUNT; i++)
		fixture_pupil_open(f, &pupils[i], i * 17, 1);
	for (i = 0; i < COUNT; i++) {
		until(f, pupils[i].closed);
		assert_true(pupils[i].got_fin);
		assert_int_equal(pupils[i].received, i * 17);
	}
	until_n(f, f->server_stream_closes, COUNT);
	free(pupils);
}

static void test_streams_take_turns(void **state)
{
	enum { LARGE = 3, SIZE = 20 << 20 };
	struct fixture *f = *state;
	struct pupil large[LARGE], small;

	fixture_both(f);
	fixture_connect_up(f);
	for (int i = 0; i < LARGE; i++)
		fixture_pupil_open(f, &large[i], SIZE, 1);
	fixture_turn(f, NULL, 2 * MSEC, 0);
	fixture_pupil_open(f, &small, 100, 1);
	until(f, small.closed);
	for (int i = 0; i < LARGE; i++)
		assert_false(large[i].closed);
	until(f, large[0].closed);
	for (int i = 1; i < LARGE; i++)
		assert_true(large[i].received > SIZE / 4);
	for (int i = 1; i < LARGE; i++)
		until(f, large[i].closed);
}

static void test_stream_credit(void **state)
{
	struct fixture *f = *state;
	struct tow_quic_config config = fixture_config_of(f, 1);
	struct pupil pupils[3];
	struct tow_quic_stream *more;

	config.max_streams = 2;
	fixture_endpoint_start(f, 1, &config);
	fixture_endpoint_start(f, 0, NULL);
	fixture_connect_up(f);
	fixture_pupil_open(f, &pupils[0], 10, 0);
	fixture_pupil_open(f, &pupils[1], 10, 0);
	assert_int_equal(tow_quic_open_stream(f->conn, &fixture_pupil_events, &pupils[2], &more),
	                 TOW_BLOCKED);
	fixture_turn(f, NULL, 20 * MSEC, 0);
	assert_int_equal(f->credit, 0);
	tow_quic_stream_finish(pupils[0].stream);
	until(f, f->credit);
	fixture_pupil_open(f, &pupils[2], 10, 1);
	until(f, pupils[2].closed);
	tow_quic_stream_abandon(pupils[1].stream, 1);
	until_n(f, f->server_stream_closes, 3);
	assert_int_equal(pupils[1].closed, 0);
}

static void test_half_close(void **state)
{
	struct fixture *f = *state;
	struct pupil pupil;

	f->service = SWALLOW;
	fixture_both(f);
	fixture_connect_up(f);
	fixture_pupil_open(f, &pupil, 100, 0);
	fixture_turn(f, NULL, 20 * MSEC, 0);
	assert_false(pupil.got_fin);
	tow_quic_stream_finish(pupil.stream);
	until(f, pupil.closed);
	assert_true(pupil.got_fin);
	assert_int_equal(pupil.received, 0);
}

static void test_reset(void **state)
{
	struct fixture *f = *state;
	struct pupil pupil;

	f->service = RESET;
	fixture_both(f);
	fixture_connect_up(f);
	fixture_pupil_open(f, &pupil, 100, 1);
	until(f, pupil.closed);
	assert_true(pupil.reset);
	assert_int_equal(pupil.code, 7);
}

static void test_stop(void **state)
{
	struct fixture *f = *state;
	struct pupil pupil;

	f->service = STOP;
	fixture_both(f);
	fixture_connect_up(f);
	fixture_pupil_open(f, &pupil, 30 << 20, 1);
	until(f, pupil.stopped);
	assert_int_equal(pupil.code, 8);
	until(f, pupil.closed);
	until(f, f->server_stream_closes);
}

static void test_close_inside_a_callback(void **state)
{
	struct fixture *f = *state;
	struct pupil pupil;

	f->service = HANG_UP;
	fixture_both(f);
	fixture_connect_up(f);
	fixture_pupil_open(f, &pupil, 1 << 20, 1);
	until(f, f->closes);
	until(f, f->server_closes);
	assert_int_equal(f->reason.code, 99);
	assert_string_equal(f->reason.text, "no more");
	assert_int_equal(pupil.closed, 1);
	assert_int_equal(f->server_stream_closes, 1);
}

static void test_free_inside_a_callback(void **state)
{
	struct fixture *f = *state;
	struct pupil pupil;

	f->service = FREE_ALL;
	fixture_both(f);
	fixture_connect_up(f);
	fixture_pupil_open(f, &pupil, 1 << 20, 1);
	until(f, f->closes);
	assert_int_equal(f->server_closes, 1);
	assert_int_equal(f->server_stream_closes, 1);
	assert_int_equal(f->reason.code, 3);
	assert_null(f->server);
}

static void test_free_with_live_connections(void **state)
{
	struct fixture *f = *state;
	struct pupil pupils[3];
	unsigned i;

	f->service = SWALLOW;
	fixture_both(f);
	fixture_connect_up(f);
	for (i = 0; i < 3; i++)
		fixture_pupil_open(f, &pupils[i], 10 << 20, 0);
	fixture_turn(f, NULL, 5 * MSEC, 0);
	tow_quic_endpoint_free(f->client, 4);
	f->client = NULL;
	assert_int_equal(f->closes, 1);
	for (i = 0; i < 3; i++)
		assert_int_equal(pupils[i].closed, 1);
	until(f, f->server_closes);
	assert_int_equal(f->server_reason.code, 4);
}

static void test_nobody_listens(void **state)
{
	struct fixture *f = *state;
	struct tow_addr nowhere = fixture_loopback(1);

	fixture_endpoint_start(f, 0, NULL);
	assert_int_equal(tow_quic_connect(f->client, &nowhere, &f->server_key.id,
	                                  &fixture_client_events, f, &f->conn),
	                 0);
	until(f, f->closes);
	assert_int_equal(f->reason.status, TOW_ETIMEDOUT);
	assert_int_equal(f->established, 0);
}

static void test_too_many_connections(void **state)
{
	struct fixture *f = *state;
	struct tow_quic_config config = fixture_config_of(f, 1);

	config.max_connections = 1;
	fixture_endpoint_start(f, 1, &config);
	fixture_endpoint_start(f, 0, NULL);
	fixture_connect_up(f);
	fixture_dial(f);
	until(f, f->closes);
	assert_int_equal(f->reason.status, TOW_EREFUSED);
	assert_int_equal(tow_quic_endpoint_connections(f->server), 1);
}

static void test_migration(void **state)
{
	struct fixture *f = *state;
	struct pupil pupil;
	struct tow_error err;
	uint16_t before, after;

	fixture_both(f);
	fixture_connect_up(f);
	fixture_turn(f, NULL, 20 * MSEC, 0);
	before = tow_quic_conn_remote(f->accepted)->port;
	fixture_pupil_open(f, &pupil, 20 << 20, 1);
	while (pupil.received < 1 << 20)
		fixture_turn(f, NULL, 1 * MSEC, 0);
	assert_int_equal(tow_quic_endpoint_rebind(f->client, &err), 0);
	until(f, pupil.closed);
	assert_int_equal(pupil.received, 20 << 20);
	after = tow_quic_conn_remote(f->accepted)->port;
	assert_int_not_equal(before, after);
	assert_int_equal(after, tow_quic_endpoint_addr(f->client)->port);
	assert_int_equal(f->closes, 0);
}

/* Both families on one socket, and the address that was dialled is the one that answers. */
static void test_dual_stack(void **state)
{
	struct fixture *f = *state;
	struct tow_quic_config config = fixture_config_of(f, 1);
	struct tow_addr to;
	unsigned i;

	config.udp.bind = (struct tow_addr){ .family = 6 };
	config.udp.dual_stack = 1;
	fixture_endpoint_start(f, 1, &config);
	config = fixture_config_of(f, 0);
	config.udp.bind = (struct tow_addr){ .family = 6 };
	config.udp.dual_stack = 1;
	fixture_endpoint_start(f, 0, &config);
	for (i = 0; i < 2; i++) {
		to = i ? fixture_loopback(0) : (struct tow_addr){ .family = 6, .bytes[15] = 1 };
		if (i)
			to.bytes[3] = 77; /* 127.0.0.77 */
		to.port = tow_quic_endpoint_addr(f->server)->port;
		f->established = 0;
		assert_int_equal(tow_quic_connect(f->client, &to, &f->server_key.id,
		                                  &fixture_client_events, f, &f->conn),
		                 0);
		until(f, f->established);
		until_n(f, f->accepts, i + 1);
		assert_int_equal(tow_quic_conn_remote(f->accepted)->family, i ? 4 : 6);
	}
}

/* Readers that have stopped do not hold up one that reads. */
static void test_slow_readers(void **state)
{
	enum { SLOW = 30 };
	struct fixture *f = *state;
	static struct pupil slow[SLOW], fast; /* told of the end at teardown */
	size_t waiting = 0;
	unsigned i;

	fixture_both(f);
	fixture_connect_up(f);
	f->service = HOLD;
	for (i = 0; i < SLOW; i++)
		fixture_pupil_open(f, &slow[i], 10 << 20, 1);
	until_n(f, f->server_streams, SLOW); /* all are held, however late they come */
	fixture_turn(f, NULL, 100 * MSEC, 0);
	/* few as they are, each may have its full share */
	assert_int_equal(tow_quic_stream_unsent_max(slow[0].stream), TOW_PIPE_UNSENT_MAX);
	for (i = 0; i < SLOW; i++)
		waiting += slow[i].sent < slow[i].to_send;
	assert_int_equal(waiting, SLOW); /* each met its own window */
	f->service = ECHO;               /* from here on */
	fixture_pupil_open(f, &fast, 20 << 20, 1);
	until(f, fast.closed);
	assert_int_equal(fast.received, 20 << 20);
	for (i = 0; i < SLOW; i++)
		assert_false(slow[i].closed);
}

/* However many streams there are, and whichever comes first: what waits on all of them to be sent is
 * bounded, but each may have a little. */
static void fill_all(struct fixture *f, uint64_t queued_all_max, uint64_t bound)
{
	enum { COUNT = 400 };
	struct tow_quic_config config = fixture_config_of(f, 0);
	static struct tow_quic_stream *streams[COUNT];
	static const struct tow_quic_stream_events nothing;
	static uint8_t piece[4096];
	size_t all = 0;

	config.queued_all_max = queued_all_max;
	fixture_endpoint_start(f, 0, &config);
	config = fixture_config_of(f, 1);
	fixture_endpoint_start(f, 1, &config);
	fixture_connect_up(f);
	for (int i = 0; i < COUNT; i++) {
		size_t most;

		assert_int_equal(tow_quic_open_stream(f->conn, &nothing, NULL, &streams[i]), 0);
		while (tow_quic_stream_unsent(streams[i]) < tow_quic_stream_unsent_max(streams[i]))
			assert_int_equal(tow_quic_stream_write(
						 streams[i], tow_slice_make(piece, sizeof(piece))),
			                 0);
		most = tow_quic_stream_unsent(streams[i]);
		assert_in_range(most, TOW_PIPE_UNSENT_MIN, TOW_PIPE_UNSENT_MAX + sizeof(piece));
		all += most;
	}
	assert_in_range(all, bound, bound + COUNT * (TOW_PIPE_UNSENT_MIN + sizeof(piece)));
	for (int i = 0; i < COUNT; i++)
		tow_quic_stream_abandon(streams[i], TOW_TUNNEL_OK);
}

static void test_what_waits_to_be_sent(void **state)
{
	fill_all(*state, 0, TOW_QUEUED_MAX - TOW_PIPE_UNSENT_MAX);
}

static void test_what_waits_to_be_sent_in_all(void **state)
{
	fill_all(*state, 4 << 20, 3 << 20);
}

/* When all that readers leave is too much, whoever leaves most is given up, and the
 * others go on. */
static void hold_too_much(struct fixture *f, uint64_t held_max, uint64_t held_all_max)
{
	enum { SLOW = 12, GIVEN_UP = 8 };
	struct tow_quic_config config = fixture_config_of(f, 1);
	static struct pupil slow[SLOW], fast;
	unsigned i, given_up = 0;

	config.held_max = held_max;
	config.held_all_max = held_all_max;
	config.stream_window = 1 << 18;
	fixture_endpoint_start(f, 1, &config);
	config = fixture_config_of(f, 0);
	fixture_endpoint_start(f, 0, &config);
	fixture_connect_up(f);
	f->service = HOLD;
	for (i = 0; i < SLOW; i++)
		fixture_pupil_open(f, &slow[i], 10 << 20, 1);
	for (i = 0; i < SLOW; i++)
		until_n(f, f->server_resets, i < GIVEN_UP ? i + 1 : GIVEN_UP);
	f->service = ECHO;
	fixture_pupil_open(f, &fast, 20 << 20, 1);
	until(f, fast.closed);
	assert_int_equal(fast.received, 20 << 20);
	for (i = 0; i < SLOW; i++)
		given_up += slow[i].reset && slow[i].code == TOW_TUNNEL_OVERLOADED;
	assert_int_equal(given_up, f->server_resets);
	assert_in_range(given_up, GIVEN_UP,
	                GIVEN_UP + 1); /* the fast one leaves a little as well */
}

/* Four windows of 256 KiB: of a connection's readers, or of all. */
static void test_readers_that_hold_too_much(void **state)
{
	hold_too_much(*state, 1 << 20, 0);
}

static void test_readers_that_hold_too_much_in_all(void **state)
{
	hold_too_much(*state, 1 << 30, 1 << 20);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_connect),
		TEST(test_wrong_key),
		TEST(test_echo),
		TEST(test_unhurried),
		TEST(test_many_streams),
		TEST(test_streams_take_turns),
		TEST(test_stream_credit),
		TEST(test_half_close),
		TEST(test_reset),
		TEST(test_stop),
		TEST(test_close_inside_a_callback),
		TEST(test_free_inside_a_callback),
		TEST(test_what_waits_to_be_sent),
		TEST(test_what_waits_to_be_sent_in_all),
		TEST(test_free_with_live_connections),
		TEST(test_nobody_listens),
		TEST(test_too_many_connections),
		TEST(test_migration),
		TEST(test_dual_stack),
		TEST(test_slow_readers),
		TEST(test_readers_that_hold_too_much),
		TEST(test_readers_that_hold_too_much_in_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
