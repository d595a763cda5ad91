/* SPDX-License-Identifier: MIT */
/* QUIC over TLS over TCP: the server listens as an edge does, the client dials through a wire that can be held up. */
#include "quic_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <towonel/tunnel/quic_carrier.h>
#include <towonel/tunnel/tcp.h>

#define BEGIN_TIMEOUT (200 * MSEC)

/* Both directions of the TCP connection, byte for byte. */
struct wire {
	int fds[2]; /* -1: cut */
	struct tow_io *io[2];
	int held;
	uint64_t passed; /* from the server */
};

struct scene {
	struct fixture *f;
	struct tow_tls_context *context;
	struct tow_tcp_listener *listener, *front;
	struct tow_tcp_dial *dial;
	struct wire wire;
	/* the server's carrier */
	int fd;
	struct tow_io *io;
	struct tow_tls *tls;
	struct tow_addr peer;
	struct tow_quic_carrier *server;
	int taken, server_closed, server_status;
	/* the client's */
	struct tow_quic_carrier_dial *dialling;
	struct tow_quic_carrier *client;
	int dialled, status;
	char text[sizeof(((struct tow_error *)0)->text)];
};

/* --- the server --- */

static void on_server_closed(void *user, int status)
{
	struct scene *s = user;

	s->server_closed = 1;
	s->server_status = status;
	tow_quic_carrier_free(s->server);
	s->server = NULL;
}

static void on_handshake(void *user, int events)
{
	struct scene *s = user;
	struct tow_quic_carrier_config config = {
		.endpoint = s->f->server,
		.fd = s->fd,
		.tls = s->tls,
		.local = *tow_tcp_listener_addr(s->listener),
		.remote = s->peer,
		.begin_timeout_ns = BEGIN_TIMEOUT,
		.closed = on_server_closed,
		.user = s,
	};
	int rc = tow_tls_handshake(s->tls, NULL);

	(void)events;
	if (rc == TOW_BLOCKED) {
		tow_io_watch(s->io, tow_tls_events(s->tls));
		return;
	}
	tow_io_free(s->io);
	s->io = NULL;
	if (rc == 0) {
		assert_string_equal(tow_tls_alpn(s->tls), TOW_CARRIER_ALPN);
		assert_int_equal(tow_quic_carrier_new(&config, &s->server), 0);
		s->taken = 1;
		return;
	}
	tow_tls_free(s->tls);
	close(s->fd);
}

static void on_accepted(void *user, int fd, const struct tow_addr *peer,
                        const struct tow_addr *local)
{
	struct scene *s = user;

	(void)local;
	s->fd = fd;
	s->peer = *peer;
	assert_int_equal(tow_tls_accept(s->context, fd, NULL, tow_slice_make(NULL, 0), &s->tls), 0);
	s->io = tow_io_new(s->f->loop, fd, on_handshake, s);
	assert_non_null(s->io);
	on_handshake(s, 0);
}

/* --- the wire --- */

static void cut(struct wire *wire)
{
	for (int i = 0; i < 2; i++) {
		if (wire->fds[i] < 0)
			continue;
		tow_io_free(wire->io[i]);
		tow_tcp_set_reset(wire->fds[i]);
		close(wire->fds[i]);
		wire->fds[i] = -1;
	}
}

/* What does not fit is waited for: what is tested is not this. */
static void pass(struct wire *wire, int from)
{
	uint8_t bytes[65536];
	ssize_t n = recv(wire->fds[from], bytes, sizeof(bytes), MSG_DONTWAIT), done = 0, m;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		cut(wire);
		return;
	}
	while (done < n) {
		m = send(wire->fds[!from], bytes + done, (size_t)(n - done),
		         MSG_NOSIGNAL | MSG_DONTWAIT);
		if (m < 0 && errno != EAGAIN) {
			cut(wire);
			return;
		}
		done += m > 0 ? m : 0;
	}
	wire->passed += from == 1 ? (uint64_t)n : 0;
}

static void on_client_side(void *user, int events)
{
	(void)events;
	pass(user, 0);
}

static void on_server_side(void *user, int events)
{
	(void)events;
	pass(user, 1);
}

static void hold(struct wire *wire, int held)
{
	wire->held = held;
	for (int i = 0; i < 2; i++)
		tow_io_watch(wire->io[i], held ? 0 : TOW_IO_READ);
}

static void on_dialled_on(void *user, int status, int fd, const struct tow_error *err)
{
	struct scene *s = user;
	struct wire *wire = &s->wire;

	(void)err;
	s->dial = NULL;
	assert_int_equal(status, 0);
	wire->fds[1] = fd;
	wire->io[0] = tow_io_new(s->f->loop, wire->fds[0], on_client_side, wire);
	wire->io[1] = tow_io_new(s->f->loop, wire->fds[1], on_server_side, wire);
	hold(wire, 0);
}

static void on_front(void *user, int fd, const struct tow_addr *peer, const struct tow_addr *local)
{
	struct scene *s = user;

	(void)peer;
	(void)local;
	s->wire.fds[0] = fd;
	assert_int_equal(tow_tcp_dial_start(s->f->loop, "127.0.0.1",
	                                    tow_tcp_listener_addr(s->listener)->port, 0,
	                                    on_dialled_on, s, &s->dial),
	                 0);
}

/* --- the client --- */

static void on_carrier(void *user, int status, struct tow_quic_carrier *carrier,
                       const struct tow_error *err)
{
	struct scene *s = user;

	s->dialling = NULL;
	s->client = carrier;
	s->status = status;
	s->dialled = 1;
	if (status != 0)
		snprintf(s->text, sizeof(s->text), "%s", err->text);
}

static void dial(struct scene *s, const struct tow_id *peer)
{
	const struct tow_quic_carrier_dial_config config = {
		.loop = s->f->loop,
		.endpoint = s->f->client,
		.host = "127.0.0.1",
		.port = tow_tcp_listener_addr(s->front)->port,
		.peer = peer,
		.done = on_carrier,
		.user = s,
	};

	assert_int_equal(tow_quic_carrier_dial_start(&config, &s->dialling), 0);
	until(s->f, s->dialled);
}

static void connect_over(struct scene *s, const struct tow_id *peer)
{
	assert_int_equal(s->status, 0);
	assert_int_equal(
		tow_quic_connect_over(s->client, peer, &fixture_client_events, s->f, &s->f->conn),
		0);
}

static void connect_up(struct scene *s)
{
	dial(s, &s->f->server_key.id);
	connect_over(s, &s->f->server_key.id);
	until(s->f, s->f->established);
	until(s->f, s->f->accepts);
	assert_true(tow_quic_conn_is_carried(s->f->conn) &&
	            tow_quic_conn_is_carried(s->f->accepted));
}

static struct tow_tcp_listener *listen_for(struct scene *s, tow_tcp_accepted accepted)
{
	struct tow_addr addr = fixture_loopback(0);
	struct tow_tcp_listener *listener;
	struct tow_error err;

	if (tow_tcp_listener_new(s->f->loop, NULL, &addr, 0, 0, accepted, s, &listener, &err) != 0)
		fail_msg("%s", err.text);
	return listener;
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	void *f;

	assert_non_null(s);
	assert_int_equal(fixture_setup(&f), 0);
	s->f = f;
	s->wire.fds[0] = s->wire.fds[1] = -1;
	fixture_both(s->f);
	assert_int_equal(tow_tls_context_new_identity(&s->f->server_key, TOW_CARRIER_ALPN,
	                                              &s->context, NULL),
	                 0);
	s->listener = listen_for(s, on_accepted);
	s->front = listen_for(s, on_front);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	void *f = s->f;

	tow_quic_carrier_dial_cancel(s->dialling);
	tow_quic_carrier_free(s->client);
	tow_tcp_listener_free(s->listener);
	tow_tcp_listener_free(s->front);
	cut(&s->wire);
	tow_quic_endpoint_free(s->f->server, 0);
	s->f->server = NULL;
	fixture_teardown(&f);
	tow_tls_context_free(s->context);
	free(s);
	return 0;
}

/* --- */

static void test_echo(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 5000, 1 << 20, 50 << 20 };
	struct scene *s = *state;
	struct tow_quic_stats stats;
	struct pupil pupil;

	connect_up(s);
	assert_int_equal(tow_quic_conn_remote(s->f->conn)->port,
	                 tow_tcp_listener_addr(s->front)->port);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		fixture_pupil_open(s->f, &pupil, sizes[i], 1);
		until(s->f, pupil.closed);
		assert_true(pupil.got_fin);
		assert_int_equal(pupil.received, sizes[i]);
	}
	tow_quic_conn_stats(s->f->conn, &stats);
	assert_int_equal(stats.packets_lost, 0);
	assert_int_equal(stats.max_udp_payload, 4094);
	tow_quic_conn_close(s->f->conn, 5, "done");
	until(s->f, s->f->server_closes);
	assert_int_equal(s->f->server_reason.code, 5);
	assert_string_equal(s->f->server_reason.text, "done");
	until(s->f, s->server_closed);
	assert_int_equal(s->server_status, 0);
	assert_int_equal(tow_quic_endpoint_connections(s->f->server), 0);
}

static void test_beside_udp(void **state)
{
	struct scene *s = *state;
	struct tow_quic_conn *carried;
	struct pupil by_tcp, by_udp;

	connect_up(s);
	carried = s->f->conn;
	fixture_pupil_open(s->f, &by_tcp, 20 << 20, 1);
	s->f->established = s->f->accepts = 0;
	fixture_connect_up(s->f);
	assert_false(tow_quic_conn_is_carried(s->f->conn));
	fixture_pupil_open(s->f, &by_udp, 20 << 20, 1);
	until(s->f, by_tcp.closed);
	until(s->f, by_udp.closed);
	assert_int_equal(by_tcp.received, 20 << 20);
	assert_int_equal(by_udp.received, 20 << 20);
	assert_int_equal(tow_quic_endpoint_rebind(s->f->client, NULL), 0);
	fixture_pupil_open(s->f, &by_udp, 1000, 1);
	until(s->f, by_udp.closed);
	tow_quic_conn_close(carried, 0, "");
	until(s->f, s->server_closed);
	assert_int_equal(tow_quic_endpoint_connections(s->f->server), 1);
}

static void test_wrong_keys(void **state)
{
	struct scene *s = *state;

	dial(s, &s->f->client_key.id);
	assert_int_equal(s->status, TOW_EAUTH);
	assert_string_equal(s->text, "the peer's key is not the expected one");
	cut(&s->wire);
	while (s->io)
		fixture_turn(s->f, NULL, MSEC, 0);
	s->dialled = 0;
	dial(s, &s->f->server_key.id);
	connect_over(s, &s->f->client_key.id);
	until(s->f, s->f->closes);
	assert_int_equal(s->f->reason.status, TOW_EAUTH);
	until(s->f, s->server_closed);
	assert_int_equal(s->f->accepts, 0);
}

static void test_cut(void **state)
{
	struct scene *s = *state;
	struct pupil pupil;

	connect_up(s);
	fixture_pupil_open(s->f, &pupil, 1000, 0);
	until(s->f, pupil.received);
	cut(&s->wire);
	until(s->f, s->f->closes);
	assert_int_equal(s->f->reason.status, TOW_ERESET);
	assert_int_equal(pupil.closed, 1);
	until(s->f, s->f->server_closes);
	until(s->f, s->server_closed);
}

/* Held up, the connection waits, takes no more memory than it may, loses nothing, and goes on. */
static void test_full_socket(void **state)
{
	enum { SIZE = 64 << 20 };
	struct scene *s = *state;
	struct tow_quic_stats stats;
	struct pupil pupil, small;
	uint64_t received;

	connect_up(s);
	fixture_pupil_open(s->f, &pupil, SIZE, 1);
	until_n(s->f, pupil.received, 1 << 20);
	for (int i = 0; i < 3; i++) {
		hold(&s->wire, 1);
		fixture_turn(s->f, NULL, 300 * MSEC, 0);
		received = pupil.received;
		fixture_turn(s->f, NULL, 50 * MSEC, 0);
		assert_int_equal(pupil.received, received);
		assert_true(received < SIZE);
		hold(&s->wire, 0);
		fixture_turn(s->f, NULL, 20 * MSEC, 0);
	}
	fixture_pupil_open(s->f, &small, 10, 1);
	until(s->f, small.closed);
	assert_false(pupil.closed);
	until(s->f, pupil.closed);
	assert_int_equal(pupil.received, SIZE);
	tow_quic_conn_stats(s->f->accepted, &stats);
	assert_int_equal(stats.packets_lost, 0);
}

/* Of a client's that has shaken hands, and then does what it likes. */
struct stranger {
	int fd;
	struct tow_tls *tls;
};

static void stranger_come(struct scene *s, struct stranger *stranger)
{
	struct sockaddr_storage addr;
	struct tow_tls_context *context;
	socklen_t len = tow_addr_to_sockaddr(tow_tcp_listener_addr(s->listener), &addr);

	stranger->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(stranger->fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(tow_tls_context_new_pinning(TOW_CARRIER_ALPN, &context, NULL), 0);
	assert_int_equal(tow_tls_new_pinned(context, stranger->fd, NULL, &s->f->server_key.id,
	                                    &stranger->tls),
	                 0);
	tow_tls_context_free(context);
}

static int nonblocking(int fd)
{
	struct timeval moment = { .tv_usec = 1000 };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof(moment));
}

static void stranger_shake_hands(struct scene *s, struct stranger *stranger)
{
	stranger_come(s, stranger);
	assert_int_equal(nonblocking(stranger->fd), 0);
	for (int i = 0; i < 5000 && tow_tls_handshake(stranger->tls, NULL) == TOW_BLOCKED; i++)
		fixture_turn(s->f, NULL, 1 * MSEC, 0);
	until(s->f, s->taken);
}

static void stranger_go(struct stranger *stranger)
{
	tow_tls_free(stranger->tls);
	close(stranger->fd);
}

static void test_silence(void **state)
{
	struct scene *s = *state;
	struct stranger stranger;
	uint64_t since;

	stranger_shake_hands(s, &stranger);
	since = tow_now_ns();
	until(s->f, s->server_closed);
	assert_true(tow_now_ns() - since > BEGIN_TIMEOUT / 2);
	assert_int_equal(s->server_status, TOW_ETIMEDOUT);
	stranger_go(&stranger);
}

/* Random frames, frames of no length and of the greatest, and halves of them: nothing comes of it. */
static void test_noise(void **state)
{
	static uint8_t noise[200000];
	struct scene *s = *state;
	struct stranger stranger;
	size_t n, at = 0;

	stranger_shake_hands(s, &stranger);
	srandom(7);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)random();
	for (size_t i = 0; i < 20000; i += 31) {
		noise[i] = 0;
		noise[i + 1] = (uint8_t)(i % 2 ? 29 : 0);
	}
	while (at < sizeof(noise) &&
	       tow_tls_write(stranger.tls, noise + at, sizeof(noise) - at, &n) == 0) {
		at += n;
		fixture_turn(s->f, NULL, 1 * MSEC, 0);
	}
	until(s->f, s->server_closed);
	assert_int_equal(s->server_status, TOW_ETIMEDOUT);
	assert_int_equal(s->f->accepts, 0);
	assert_int_equal(tow_quic_endpoint_connections(s->f->server), 0);
	stranger_go(&stranger);
}

static void test_freed_with_live_connections(void **state)
{
	struct scene *s = *state;
	struct pupil pupil;

	connect_up(s);
	fixture_pupil_open(s->f, &pupil, 1 << 20, 0);
	until(s->f, pupil.received);
	tow_quic_endpoint_free(s->f->server, 9);
	s->f->server = NULL;
	assert_int_equal(s->server_closed, 1);
	assert_int_equal(s->f->server_closes, 1);
	until(s->f, s->f->closes);
	assert_int_equal(s->f->reason.code, 9);
}

static void test_freed_inside_a_callback(void **state)
{
	struct scene *s = *state;
	struct pupil pupil;

	connect_up(s);
	s->f->service = FREE_ALL;
	fixture_pupil_open(s->f, &pupil, 1 << 20, 1);
	until(s->f, s->f->closes);
	assert_int_equal(s->f->reason.code, 3);
	assert_int_equal(s->server_closed, 1);
}

static void test_carrier_freed_first(void **state)
{
	struct scene *s = *state;
	struct pupil pupil;

	connect_up(s);
	fixture_pupil_open(s->f, &pupil, 1 << 20, 0);
	until(s->f, pupil.received);
	tow_quic_carrier_free(s->client);
	s->client = NULL;
	until(s->f, s->f->closes);
	assert_int_equal(s->f->reason.status, TOW_ECLOSED);
	until(s->f, s->f->server_closes);
	until(s->f, s->server_closed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_echo),
		TEST(test_beside_udp),
		TEST(test_wrong_keys),
		TEST(test_cut),
		TEST(test_full_socket),
		TEST(test_silence),
		TEST(test_noise),
		TEST(test_freed_with_live_connections),
		TEST(test_freed_inside_a_callback),
		TEST(test_carrier_freed_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
