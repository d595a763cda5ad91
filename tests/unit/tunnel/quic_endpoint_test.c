/* SPDX-License-Identifier: MIT */

/* Endpoints on loopback sockets, both in one loop. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <towonel/tunnel/quic.h>
#include <towonel/wire/limits.h>

#define MSEC TOW_NSEC_PER_MSEC

/* What a server's application does with streams. */
enum service {
	ECHO,
	SWALLOW,  /* takes, never answers, finishes at FIN */
	RESET,    /* resets with 7 at the first byte */
	STOP,     /* STOP_SENDING with 8 at the first byte */
	HANG_UP,  /* closes the connection at the first byte */
	FREE_ALL, /* frees its endpoint at the first byte */
};

struct fixture {
	struct tow_loop *loop;
	struct tow_node_key server_key, client_key;
	struct tow_quic_endpoint *server, *client;
	enum service service;
	/* server */
	struct tow_quic_conn *accepted;
	unsigned accepts, server_closes;
	struct tow_quic_close_reason server_reason;
	unsigned server_streams, server_stream_closes;
	/* client */
	struct tow_quic_conn *conn;
	unsigned established, closes, datagrams, credit;
	struct tow_quic_close_reason reason;
};

struct pupil { /* a stream of the client */
	struct fixture *f;
	struct tow_quic_stream *stream;
	uint64_t to_send, sent, received;
	int finish, got_fin, reset, stopped, closed;
	uint64_t code;
};

struct guest { /* a stream of the server */
	struct fixture *f;
	struct tow_quic_stream *stream;
};

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)((at * 0x9e3779b97f4a7c15ULL) >> 37);
}

static int turn(struct fixture *f, int *flag, uint64_t for_ns, unsigned want)
{
	uint64_t end = tow_now_ns() + for_ns;
	struct pollfd p = { .fd = tow_loop_fd(f->loop), .events = POLLIN };

	for (;;) {
		int wait;

		tow_loop_dispatch(f->loop);
		if (flag && (unsigned)*flag >= want)
			return 1;
		if (tow_now_ns() >= end)
			return 0;
		wait = tow_loop_timeout_ms(f->loop);
		if (wait < 0 || wait > 20)
			wait = 20;
		(void)poll(&p, 1, wait);
	}
}

#define until(f, counter)      assert_true(turn((f), (int *)&(counter), 20 * TOW_NSEC_PER_SEC, 1))
#define until_n(f, counter, n) assert_true(turn((f), (int *)&(counter), 20 * TOW_NSEC_PER_SEC, (n)))

/* --- the server's application
 * ------------------------------------------------------------------------------ */

static void guest_data(void *user, struct tow_slice bytes, int fin)
{
	struct guest *guest = user;
	struct fixture *f = guest->f;

	switch (f->service) {
	case ECHO:
		assert_int_equal(tow_quic_stream_write(guest->stream, bytes), 0);
		tow_quic_stream_consume(guest->stream, bytes.len);
		if (fin)
			tow_quic_stream_finish(guest->stream);
		break;
	case SWALLOW:
		tow_quic_stream_consume(guest->stream, bytes.len);
		if (fin)
			tow_quic_stream_finish(guest->stream);
		break;
	case RESET:
		tow_quic_stream_reset(guest->stream, 7);
		tow_quic_stream_consume(guest->stream, bytes.len);
		break;
	case STOP:
		tow_quic_stream_stop(guest->stream, 8);
		tow_quic_stream_finish(guest->stream);
		break;
	case HANG_UP: tow_quic_conn_close(f->accepted, 99, "no more"); break;
	case FREE_ALL:
		if (f->server)
			tow_quic_endpoint_free(f->server, 3);
		f->server = NULL;
		break;
	}
}

static void guest_closed(void *user)
{
	struct guest *guest = user;

	guest->f->server_stream_closes++;
	free(guest);
}

static const struct tow_quic_stream_events guest_events = { .data = guest_data,
	                                                    .closed = guest_closed };

static void server_stream(void *user, struct tow_quic_stream *stream)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	assert_non_null(guest);
	guest->f = user;
	guest->stream = stream;
	guest->f->server_streams++;
	tow_quic_stream_set_events(stream, &guest_events, guest);
}

static void server_closed(void *user, const struct tow_quic_close_reason *reason)
{
	struct fixture *f = user;

	f->server_closes++;
	f->server_reason = *reason;
	f->accepted = NULL;
}

static void server_datagram(void *user, struct tow_slice bytes)
{
	struct fixture *f = user;

	(void)tow_quic_send_datagram(f->accepted, tow_slice_of("re:"), bytes);
}

static const struct tow_quic_conn_events server_events = {
	.stream_opened = server_stream,
	.datagram = server_datagram,
	.closed = server_closed,
};

static void on_accepted(void *user, struct tow_quic_conn *conn)
{
	struct fixture *f = user;

	f->accepts++;
	f->accepted = conn;
	assert_true(tow_id_equal(tow_quic_conn_peer(conn), &f->client_key.id));
	tow_quic_conn_set_events(conn, &server_events, f);
}

/* --- the client's
 * ------------------------------------------------------------------------------------------ */

static void client_established(void *user)
{
	struct fixture *f = user;

	f->established++;
}

static void client_closed(void *user, const struct tow_quic_close_reason *reason)
{
	struct fixture *f = user;

	f->closes++;
	f->reason = *reason;
	f->conn = NULL;
}

static void client_datagram(void *user, struct tow_slice bytes)
{
	struct fixture *f = user;

	assert_true(bytes.len > 3 && memcmp(bytes.base, "re:", 3) == 0);
	f->datagrams++;
}

static void client_credit(void *user)
{
	((struct fixture *)user)->credit++;
}

static const struct tow_quic_conn_events client_events = {
	.established = client_established,
	.datagram = client_datagram,
	.streams_available = client_credit,
	.closed = client_closed,
};

static void pupil_write(struct pupil *pupil)
{
	uint8_t *room;
	size_t len, i;

	while (pupil->sent < pupil->to_send &&
	       tow_quic_stream_unsent(pupil->stream) < TOW_PIPE_UNSENT_MAX) {
		room = tow_quic_stream_reserve(pupil->stream, &len);
		assert_non_null(room);
		if (len > pupil->to_send - pupil->sent)
			len = (size_t)(pupil->to_send - pupil->sent);
		for (i = 0; i < len; i++)
			room[i] = pattern(pupil->sent + i);
		tow_quic_stream_commit(pupil->stream, len);
		pupil->sent += len;
	}
	if (pupil->sent < pupil->to_send)
		tow_quic_stream_want_writable(pupil->stream);
	else if (pupil->finish)
		tow_quic_stream_finish(pupil->stream);
}

static void pupil_data(void *user, struct tow_slice bytes, int fin)
{
	struct pupil *pupil = user;
	size_t i;

	for (i = 0; i < bytes.len; i++)
		if (bytes.base[i] != pattern(pupil->received + i))
			fail_msg("byte %llu is wrong", (unsigned long long)(pupil->received + i));
	pupil->received += bytes.len;
	tow_quic_stream_consume(pupil->stream, bytes.len);
	pupil->got_fin |= fin;
}

static void pupil_writable(void *user)
{
	pupil_write(user);
}

static void pupil_reset(void *user, uint64_t code)
{
	struct pupil *pupil = user;

	pupil->reset = 1;
	pupil->code = code;
}

static void pupil_stopped(void *user, uint64_t code)
{
	struct pupil *pupil = user;

	pupil->stopped = 1;
	pupil->code = code;
}

static void pupil_closed(void *user)
{
	((struct pupil *)user)->closed++;
}

static const struct tow_quic_stream_events pupil_events = {
	.data = pupil_data,
	.writable = pupil_writable,
	.reset = pupil_reset,
	.stopped = pupil_stopped,
	.closed = pupil_closed,
};

/* --- set-up
 * ------------------------------------------------------------------------------------------------
 */

static struct tow_addr loopback(uint16_t port)
{
	struct tow_addr addr = { .family = 4, .port = port, .bytes = { 127, 0, 0, 1 } };

	return addr;
}

static struct tow_quic_config config_of(struct fixture *f, int server)
{
	struct tow_quic_config config = {
		.loop = f->loop,
		.key = server ? &f->server_key : &f->client_key,
		.alpn = "towonel/1",
		.udp.bind = loopback(0),
		.handshake_timeout_ns = 500 * MSEC,
		.accepted = server ? on_accepted : NULL,
		.user = f,
	};

	return config;
}

static void endpoint_start(struct fixture *f, int server, const struct tow_quic_config *config)
{
	struct tow_quic_config standard = config_of(f, server);
	struct tow_error err;

	if (tow_quic_endpoint_new(config ? config : &standard, server ? &f->server : &f->client,
	                          &err) != 0)
		fail_msg("%s", err.text);
}

static void dial(struct fixture *f)
{
	assert_int_equal(tow_quic_connect(f->client, tow_quic_endpoint_addr(f->server),
	                                  &f->server_key.id, &client_events, f, &f->conn),
	                 0);
}

static void connect_up(struct fixture *f)
{
	dial(f);
	until(f, f->established);
	until(f, f->accepts);
}

static void pupil_open(struct fixture *f, struct pupil *pupil, uint64_t to_send, int finish)
{
	memset(pupil, 0, sizeof(*pupil));
	pupil->f = f;
	pupil->to_send = to_send;
	pupil->finish = finish;
	assert_int_equal(tow_quic_open_stream(f->conn, &pupil_events, pupil, &pupil->stream), 0);
	pupil_write(pupil);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->loop = tow_loop_new();
	tow_node_key_generate(&f->server_key);
	tow_node_key_generate(&f->client_key);
	*state = f;
	return f->loop ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tow_quic_endpoint_free(f->client, 0);
	tow_quic_endpoint_free(f->server, 0);
	tow_loop_free(f->loop);
	free(f);
	return 0;
}

static void both(struct fixture *f)
{
	endpoint_start(f, 1, NULL);
	endpoint_start(f, 0, NULL);
}

/* --- tests
 * -------------------------------------------------------------------------------------------------
 */

static void test_connect(void **state)
{
	struct fixture *f = *state;
	struct tow_quic_stats stats;

	both(f);
	connect_up(f);
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

	both(f);
	assert_int_equal(tow_quic_connect(f->client, tow_quic_endpoint_addr(f->server),
	                                  &f->client_key.id, &client_events, f, &f->conn),
	                 0);
	until(f, f->closes);
	assert_int_equal(f->reason.status, TOW_EAUTH);
	turn(f, NULL, 20 * MSEC, 0);
	assert_int_equal(f->established, 0);
	assert_int_equal(f->accepts, 0);
}

static void test_echo(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 1000, 65536, 1 << 20, 50 << 20 };
	struct fixture *f = *state;
	struct pupil pupil;
	size_t i;

	both(f);
	connect_up(f);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		pupil_open(f, &pupil, sizes[i], 1);
		until(f, pupil.closed);
		assert_true(pupil.got_fin);
		assert_int_equal(pupil.received, sizes[i]);
		until_n(f, f->server_stream_closes, i + 1);
	}
}

static void test_many_streams(void **state)
{
	enum { COUNT = 1000 };
	struct fixture *f = *state;
	struct pupil *pupils = calloc(COUNT, sizeof(*pupils));
	unsigned i;

	assert_non_null(pupils);
	both(f);
	connect_up(f);
	for (i = 0; i < COUNT; i++)
		pupil_open(f, &pupils[i], i * 17, 1);
	for (i = 0; i < COUNT; i++) {
		until(f, pupils[i].closed);
		assert_true(pupils[i].got_fin);
		assert_int_equal(pupils[i].received, i * 17);
	}
	until_n(f, f->server_stream_closes, COUNT);
	free(pupils);
}

static void test_stream_credit(void **state)
{
	struct fixture *f = *state;
	struct tow_quic_config config = config_of(f, 1);
	struct pupil pupils[3];
	struct tow_quic_stream *more;

	config.max_streams = 2;
	endpoint_start(f, 1, &config);
	endpoint_start(f, 0, NULL);
	connect_up(f);
	pupil_open(f, &pupils[0], 10, 0);
	pupil_open(f, &pupils[1], 10, 0);
	assert_int_equal(tow_quic_open_stream(f->conn, &pupil_events, &pupils[2], &more),
	                 TOW_BLOCKED);
	turn(f, NULL, 20 * MSEC, 0);
	assert_int_equal(f->credit, 0);
	tow_quic_stream_finish(pupils[0].stream);
	until(f, f->credit);
	pupil_open(f, &pupils[2], 10, 1);
	until(f, pupils[2].closed);
	tow_quic_stream_abandon(pupils[1].stream, 1);
	turn(f, NULL, 20 * MSEC, 0);
	assert_int_equal(pupils[1].closed, 0);
	assert_int_equal(f->server_stream_closes, 3);
}

static void test_half_close(void **state)
{
	struct fixture *f = *state;
	struct pupil pupil;

	f->service = SWALLOW;
	both(f);
	connect_up(f);
	pupil_open(f, &pupil, 100, 0);
	turn(f, NULL, 20 * MSEC, 0);
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
	both(f);
	connect_up(f);
	pupil_open(f, &pupil, 100, 1);
	until(f, pupil.closed);
	assert_true(pupil.reset);
	assert_int_equal(pupil.code, 7);
}

static void test_stop(void **state)
{
	struct fixture *f = *state;
	struct pupil pupil;

	f->service = STOP;
	both(f);
	connect_up(f);
	pupil_open(f, &pupil, 30 << 20, 1);
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
	both(f);
	connect_up(f);
	pupil_open(f, &pupil, 1 << 20, 1);
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
	both(f);
	connect_up(f);
	pupil_open(f, &pupil, 1 << 20, 1);
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
	both(f);
	connect_up(f);
	for (i = 0; i < 3; i++)
		pupil_open(f, &pupils[i], 10 << 20, 0);
	turn(f, NULL, 5 * MSEC, 0);
	tow_quic_endpoint_free(f->client, 4);
	f->client = NULL;
	assert_int_equal(f->closes, 1);
	for (i = 0; i < 3; i++)
		assert_int_equal(pupils[i].closed, 1);
	until(f, f->server_closes);
	assert_int_equal(f->server_reason.code, 4);
}

/* A path that leads to one server, then to another: as if the first had been killed and started
 * again. */
struct relay {
	int fd;
	uint16_t client, server;
};

static void relay_pump(struct relay *relay)
{
	uint8_t bytes[2000];
	struct sockaddr_in from, to;
	socklen_t len = sizeof(from);
	ssize_t n;

	while ((n = recvfrom(relay->fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &len)) >
	       0) {
		to = from;
		if (ntohs(from.sin_port) == relay->server) {
			to.sin_port = htons(relay->client);
		} else if (!relay->client || ntohs(from.sin_port) == relay->client) {
			relay->client = ntohs(from.sin_port);
			to.sin_port = htons(relay->server);
		} else {
			continue; /* the server that is gone */
		}
		(void)sendto(relay->fd, bytes, (size_t)n, 0, (struct sockaddr *)&to, sizeof(to));
		len = sizeof(from);
	}
}

static void turn_relayed(struct fixture *f, struct relay *relay, const unsigned *flag)
{
	uint64_t end = tow_now_ns() + 10 * TOW_NSEC_PER_SEC;

	while (!*flag && tow_now_ns() < end) {
		relay_pump(relay);
		turn(f, NULL, MSEC / 2, 0);
	}
	assert_true(*flag);
}

static void test_restarted_server(void **state)
{
	struct fixture *f = *state;
	struct tow_quic_endpoint *killed;
	struct sockaddr_in addr = { .sin_family = AF_INET,
		                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	struct relay relay = { .client = 0 };
	struct tow_addr to;
	struct pupil pupil;
	uint64_t start;

	both(f);
	relay.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	relay.server = tow_quic_endpoint_addr(f->server)->port;
	assert_int_equal(bind(relay.fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(relay.fd, (struct sockaddr *)&addr, &len), 0);
	to = loopback(ntohs(addr.sin_port));
	assert_int_equal(
		tow_quic_connect(f->client, &to, &f->server_key.id, &client_events, f, &f->conn),
		0);
	turn_relayed(f, &relay, &f->established);
	turn_relayed(f, &relay, &f->accepts);
	killed = f->server;
	f->server = NULL;
	endpoint_start(f, 1, NULL); /* the same key */
	relay.server = tow_quic_endpoint_addr(f->server)->port;
	start = tow_now_ns();
	pupil_open(f, &pupil, 100, 1);
	turn_relayed(f, &relay, &f->closes);
	assert_true(tow_now_ns() - start < 2 * TOW_NSEC_PER_SEC);
	assert_int_equal(f->reason.status, TOW_ERESET);
	assert_int_equal(pupil.closed, 1);
	tow_quic_endpoint_free(killed, 0);
	close(relay.fd);
}

static void test_nobody_listens(void **state)
{
	struct fixture *f = *state;
	struct tow_addr nowhere = loopback(1);

	endpoint_start(f, 0, NULL);
	assert_int_equal(tow_quic_connect(f->client, &nowhere, &f->server_key.id, &client_events, f,
	                                  &f->conn),
	                 0);
	until(f, f->closes);
	assert_int_equal(f->reason.status, TOW_ETIMEDOUT);
	assert_int_equal(f->established, 0);
}

static void test_too_many_connections(void **state)
{
	struct fixture *f = *state;
	struct tow_quic_config config = config_of(f, 1);

	config.max_connections = 1;
	endpoint_start(f, 1, &config);
	endpoint_start(f, 0, NULL);
	connect_up(f);
	dial(f);
	until(f, f->closes);
	assert_int_equal(f->reason.status, TOW_EREFUSED);
	assert_int_equal(tow_quic_endpoint_connections(f->server), 1);
}

static void test_retry(void **state)
{
	struct fixture *f = *state;
	struct tow_quic_config config = config_of(f, 1), other = config_of(f, 0);
	struct tow_metrics *metrics = tow_metrics_new();
	struct tow_quic_endpoint *shy = NULL;
	struct tow_quic_conn *conn;
	struct tow_error err;

	assert_non_null(metrics);
	config.metrics = metrics;
	config.metrics_prefix = "test";
	config.retry_above = 1;
	config.handshake_timeout_ns = 5 * TOW_NSEC_PER_SEC;
	endpoint_start(f, 1, &config);
	endpoint_start(f, 0, NULL);
	/* The Initials of a client that never hears the answer fill the only place. */
	assert_int_equal(tow_quic_endpoint_new(&other, &shy, &err), 0);
	assert_int_equal(tow_quic_connect(shy, tow_quic_endpoint_addr(f->server), &f->server_key.id,
	                                  &client_events, f, &conn),
	                 0);
	while (tow_quic_endpoint_connections(f->server) == 0)
		tow_loop_dispatch(f->loop);
	assert_int_equal(tow_quic_endpoint_rebind(shy, &err), 0);
	turn(f, NULL, 20 * MSEC, 0);
	assert_int_equal(f->established, 0);
	connect_up(f);
	/* one, although the ClientHello came in two packets */
	assert_int_equal(tow_metric_get(tow_metrics_series(metrics, TOW_METRIC_COUNTER,
	                                                   "test_retries_total", NULL, "")),
	                 1);
	tow_quic_endpoint_free(shy, 0);
	tow_quic_endpoint_free(f->server, 0);
	f->server = NULL;
	tow_metrics_free(metrics);
}

static void test_datagrams(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[1000] = { 1 };
	unsigned i;

	both(f);
	connect_up(f);
	assert_true(tow_quic_datagram_max(f->conn) >= 1100);
	for (i = 0; i < 50; i++)
		assert_int_equal(tow_quic_send_datagram(f->conn, tow_slice_of("x"),
		                                        tow_slice_make(bytes, 1 + i * 10)),
		                 0);
	until_n(f, f->datagrams, 50);
	/* the path on loopback is large, and is found to be */
	turn(f, NULL, 200 * MSEC, 0);
	assert_true(tow_quic_datagram_max(f->conn) > 30000);
}

static void test_migration(void **state)
{
	struct fixture *f = *state;
	struct pupil pupil;
	struct tow_error err;
	uint16_t before, after;

	both(f);
	connect_up(f);
	turn(f, NULL, 20 * MSEC, 0);
	before = tow_quic_conn_remote(f->accepted)->port;
	pupil_open(f, &pupil, 20 << 20, 1);
	while (pupil.received < 1 << 20)
		turn(f, NULL, 1 * MSEC, 0);
	assert_int_equal(tow_quic_endpoint_rebind(f->client, &err), 0);
	until(f, pupil.closed);
	assert_int_equal(pupil.received, 20 << 20);
	after = tow_quic_conn_remote(f->accepted)->port;
	assert_int_not_equal(before, after);
	assert_int_equal(after, tow_quic_endpoint_addr(f->client)->port);
	assert_int_equal(f->closes, 0);
}

/* A socket that is no QUIC endpoint. */
static int stranger(const struct fixture *f)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		                  .sin_port = htons(tow_quic_endpoint_addr(f->server)->port),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void test_version_negotiation(void **state)
{
	struct fixture *f = *state;
	uint8_t packet[1200] = { 0xc3, 0xfa, 0xce, 0xb0, 0x0c, 8, 1,  2,  3, 4,
		                 5,    6,    7,    8,    4,    9, 10, 11, 12 };
	uint8_t answer[1500];
	ssize_t n;
	int fd;

	endpoint_start(f, 1, NULL);
	fd = stranger(f);
	assert_int_equal(send(fd, packet, sizeof(packet), 0), sizeof(packet));
	turn(f, NULL, 20 * MSEC, 0);
	n = recv(fd, answer, sizeof(answer), 0);
	/* header, version 0, the ids exchanged, version 1 */
	assert_int_equal(n, 1 + 4 + 1 + 4 + 1 + 8 + 4);
	assert_true(answer[0] & 0x80);
	assert_memory_equal(answer + 1, "\0\0\0\0\4\x9\xa\xb\xc\x8\1\2\3\4\5\6\7\x8\0\0\0\1", 22);
	/* too small to be an Initial: no answer */
	assert_int_equal(send(fd, packet, 1199, 0), 1199);
	turn(f, NULL, 20 * MSEC, 0);
	assert_int_equal(recv(fd, answer, sizeof(answer), 0), -1);
	close(fd);
}

static void test_garbage(void **state)
{
	struct fixture *f = *state;
	struct pupil pupil;
	uint8_t noise[1500], answer[1500];
	unsigned i;
	ssize_t n;
	int fd;

	both(f);
	connect_up(f);
	fd = stranger(f);
	for (i = 0; i < 2000; i++) {
		size_t len = 1 + (i * 37) % sizeof(noise);

		tow_random(noise, len);
		if (i % 3 == 0)
			noise[0] |= 0xc0; /* a long header ... */
		if (i % 6 == 0 && len > 5)
			memcpy(noise + 1, "\0\0\0\1", 4); /* ... of version 1 */
		(void)send(fd, noise, len, 0);
		if (i % 50 == 0)
			turn(f, NULL, MSEC / 2, 0);
		/* every answer is smaller than the question could have been */
		while ((n = recv(fd, answer, sizeof(answer), 0)) > 0)
			assert_true(n < 300);
	}
	close(fd);
	pupil_open(f, &pupil, 1 << 20, 1);
	until(f, pupil.closed);
	assert_int_equal(pupil.received, 1 << 20);
}

/* Both families on one socket, and the address that was dialled is the one that answers. */
static void test_dual_stack(void **state)
{
	struct fixture *f = *state;
	struct tow_quic_config config = config_of(f, 1);
	struct tow_addr to;
	unsigned i;

	config.udp.bind = (struct tow_addr){ .family = 6 };
	config.udp.dual_stack = 1;
	endpoint_start(f, 1, &config);
	config = config_of(f, 0);
	config.udp.bind = (struct tow_addr){ .family = 6 };
	config.udp.dual_stack = 1;
	endpoint_start(f, 0, &config);
	for (i = 0; i < 2; i++) {
		to = i ? loopback(0) : (struct tow_addr){ .family = 6, .bytes[15] = 1 };
		if (i)
			to.bytes[3] = 77; /* 127.0.0.77 */
		to.port = tow_quic_endpoint_addr(f->server)->port;
		f->established = 0;
		assert_int_equal(tow_quic_connect(f->client, &to, &f->server_key.id, &client_events,
		                                  f, &f->conn),
		                 0);
		until(f, f->established);
		until_n(f, f->accepts, i + 1);
		assert_int_equal(tow_quic_conn_remote(f->accepted)->family, i ? 4 : 6);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_connect),
		TEST(test_wrong_key),
		TEST(test_echo),
		TEST(test_many_streams),
		TEST(test_stream_credit),
		TEST(test_half_close),
		TEST(test_reset),
		TEST(test_stop),
		TEST(test_close_inside_a_callback),
		TEST(test_free_inside_a_callback),
		TEST(test_free_with_live_connections),
		TEST(test_restarted_server),
		TEST(test_nobody_listens),
		TEST(test_too_many_connections),
		TEST(test_retry),
		TEST(test_datagrams),
		TEST(test_migration),
		TEST(test_version_negotiation),
		TEST(test_garbage),
		TEST(test_dual_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
