/* SPDX-License-Identifier: MIT */

/* Several endpoints on one address: every packet comes to the one that its connection id names. */

#include "quic_fixture.h"

#include "quic/endpoint.h"
#include "quic/steering.h"

#define WORKERS 3

static void test_ids(void **state)
{
	ngtcp2_cid cid = { .datalen = 8 };

	(void)state;
	for (unsigned workers = 2; workers <= 16; workers++) {
		for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
			unsigned worker = byte % workers;
			uint8_t packet[] = { 0x40, 0 };

			cid.data[0] = (uint8_t)(byte * 7 + 3);
			tow__steer_cid(&cid, worker, workers);
			packet[1] = cid.data[0];
			assert_int_equal(tow__steer_home(tow_slice_make(packet, 2), workers),
			                 worker);
		}
	}
}

static void test_headers(void **state)
{
	static const uint8_t long_header[] = { 0xc0, 0, 0, 0, 1, 8, 5, 9, 9 };
	static const uint8_t short_header[] = { 0x40, 5, 9, 9, 9, 9, 9 };

	(void)state;
	assert_int_equal(tow__steer_home(tow_slice_make(long_header, sizeof(long_header)), 4), 1);
	assert_int_equal(tow__steer_home(tow_slice_make(short_header, sizeof(short_header)), 4), 1);
	for (size_t len = 0; len <= 6; len++)
		assert_int_equal(tow__steer_home(tow_slice_make(long_header, len), 4), 0);
	assert_int_equal(tow__steer_home(tow_slice_make(short_header, 1), 4), 0);
}

/* --- with sockets --- */

static struct {
	struct tow_quic_endpoint *endpoints[WORKERS];
	struct {
		unsigned accepts, strays;
	} workers[WORKERS];
} crew;

static void on_server_closed(void *user, const struct tow_quic_close_reason *reason)
{
	(void)user;
	(void)reason;
}

static void on_stream(void *user, struct tow_quic_stream *stream)
{
	static const struct tow_quic_stream_events none = { .data = NULL };

	(void)user;
	tow_quic_stream_set_events(stream, &none, NULL);
	assert_int_equal(tow_quic_stream_write(stream, tow_slice_of("x")), 0);
}

static void on_accepted(void *user, struct tow_quic_conn *conn)
{
	static const struct tow_quic_conn_events events = { .stream_opened = on_stream,
		                                            .closed = on_server_closed };
	unsigned *accepts = user;

	(*accepts)++;
	tow_quic_conn_set_events(conn, &events, NULL);
}

static void on_stray(void *user, unsigned worker, const struct tow_udp_packet *packet)
{
	(void)user;
	crew.workers[worker].strays++;
	tow_quic_endpoint_hand(crew.endpoints[worker], packet);
}

static void crew_start(struct fixture *f)
{
	struct tow_quic_config config = fixture_config_of(f, 1), client = fixture_config_of(f, 0);
	struct tow_error err;

	config.handshake_timeout_ns = client.handshake_timeout_ns = 0; /* the usual */
	config.workers = WORKERS;
	config.accepted = on_accepted;
	config.stray = on_stray;
	for (unsigned i = 0; i < WORKERS; i++) {
		config.worker = i;
		config.user = &crew.workers[i].accepts;
		if (tow_quic_endpoint_new(&config, &crew.endpoints[i], &err) != 0)
			fail_msg("%s", err.text);
		config.udp.bind = *tow_quic_endpoint_addr(crew.endpoints[0]);
	}
	fixture_endpoint_start(f, 0, &client);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tow_quic_endpoint_free(f->client, 0);
	f->client = NULL;
	for (unsigned i = 0; i < WORKERS; i++)
		tow_quic_endpoint_free(crew.endpoints[i], 0);
	memset(&crew, 0, sizeof(crew));
	return fixture_teardown(state);
}

static void connect_to(struct fixture *f, unsigned worker)
{
	f->established = 0;
	assert_int_equal(tow_quic_connect_at(f->client, tow_quic_endpoint_addr(crew.endpoints[0]),
	                                     &f->server_key.id, worker, WORKERS,
	                                     &fixture_client_events, f, &f->conn),
	                 0);
	until(f, f->established);
}

static void on_pupil_data(void *user, struct tow_slice bytes, int fin)
{
	struct pupil *pupil = user;

	(void)fin;
	pupil->received += bytes.len;
	tow_quic_stream_consume(pupil->stream, bytes.len);
}

static const struct tow_quic_stream_events answer_events = { .data = on_pupil_data };

static void expect_answer(struct fixture *f)
{
	struct pupil pupil;
	uint64_t end = tow_now_ns() + 10 * TOW_NSEC_PER_SEC;

	memset(&pupil, 0, sizeof(pupil));
	pupil.f = f;
	assert_int_equal(tow_quic_open_stream(f->conn, &answer_events, &pupil, &pupil.stream), 0);
	assert_int_equal(tow_quic_stream_write(pupil.stream, tow_slice_of("?")), 0);
	while (!pupil.received && tow_now_ns() < end)
		fixture_turn(f, NULL, MSEC, 0);
	assert_int_equal(pupil.received, 1);
	tow_quic_stream_abandon(pupil.stream, 0);
}

/* A client gets the worker that it asks for, and stays with it when its address changes; the kernel
 * does all that. */
static void test_kernel_steers(void **state)
{
	struct fixture *f = *state;
	struct tow_error err;

	crew_start(f);
	for (unsigned worker = 0; worker < WORKERS; worker++) {
		connect_to(f, worker);
		assert_int_equal(crew.workers[worker].accepts, 1);
	}
	for (int i = 0; i < 8; i++) {
		assert_int_equal(tow_quic_endpoint_rebind(f->client, &err), 0);
		expect_answer(f);
	}
	for (unsigned worker = 0; worker < WORKERS; worker++) {
		assert_int_equal(crew.workers[worker].accepts, 1);
		assert_int_equal(crew.workers[worker].strays, 0);
	}
}

/* Where the kernel gives every packet to the first, they find home all the same. */
static void test_strays(void **state)
{
	struct fixture *f = *state;
	struct tow_error err;
	unsigned strays = 0;

	crew_start(f);
	/* the program is the group's: any member can replace it, here by one that is of no use */
	tow__steer_socket(tow_udp_socket_fd(crew.endpoints[0]->socket), 1);
	for (unsigned worker = 0; worker < WORKERS; worker++) {
		connect_to(f, worker);
		assert_int_equal(crew.workers[worker].accepts, 1);
	}
	for (int i = 0; i < 8; i++) {
		assert_int_equal(tow_quic_endpoint_rebind(f->client, &err), 0);
		expect_answer(f);
	}
	for (unsigned worker = 0; worker < WORKERS; worker++) {
		assert_int_equal(crew.workers[worker].accepts, 1);
		strays += crew.workers[worker].strays;
	}
	assert_true(strays > 0);
}

/* A port of somebody else is not joined. */
static void test_taken(void **state)
{
	struct fixture *f = *state;
	struct tow_quic_config config = fixture_config_of(f, 1);
	struct tow_quic_endpoint *second;
	struct tow_error err;

	crew_start(f);
	config.workers = WORKERS;
	config.udp.bind = *tow_quic_endpoint_addr(crew.endpoints[0]);
	assert_int_equal(tow_quic_endpoint_new(&config, &second, &err), TOW_EADDRINUSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_headers),
		cmocka_unit_test_setup_teardown(test_kernel_steers, fixture_setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_strays, fixture_setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken, fixture_setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
