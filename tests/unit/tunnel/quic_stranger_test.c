/* SPDX-License-Identifier: MIT */

/* What an endpoint does with packets that belong to no connection of its own. */

#include "quic_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

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
		fixture_turn(f, NULL, MSEC / 2, 0);
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

	fixture_both(f);
	relay.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	relay.server = tow_quic_endpoint_addr(f->server)->port;
	assert_int_equal(bind(relay.fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(relay.fd, (struct sockaddr *)&addr, &len), 0);
	to = fixture_loopback(ntohs(addr.sin_port));
	assert_int_equal(tow_quic_connect(f->client, &to, &f->server_key.id, &fixture_client_events,
	                                  f, &f->conn),
	                 0);
	turn_relayed(f, &relay, &f->established);
	turn_relayed(f, &relay, &f->accepts);
	killed = f->server;
	f->server = NULL;
	fixture_endpoint_start(f, 1, NULL); /* the same key */
	relay.server = tow_quic_endpoint_addr(f->server)->port;
	start = tow_now_ns();
	fixture_pupil_open(f, &pupil, 100, 1);
	turn_relayed(f, &relay, &f->closes);
	assert_true(tow_now_ns() - start < 2 * TOW_NSEC_PER_SEC);
	assert_int_equal(f->reason.status, TOW_ERESET);
	assert_int_equal(pupil.closed, 1);
	tow_quic_endpoint_free(killed, 0);
	close(relay.fd);
}

static void test_retry(void **state)
{
	struct fixture *f = *state;
	struct tow_quic_config config = fixture_config_of(f, 1), other = fixture_config_of(f, 0);
	struct tow_metrics *metrics = tow_metrics_new();
	struct tow_quic_endpoint *shy = NULL;
	struct tow_quic_conn *conn;
	struct tow_error err;

	assert_non_null(metrics);
	config.metrics = metrics;
	config.metrics_prefix = "test";
	config.retry_above = 1;
	config.handshake_timeout_ns = 5 * TOW_NSEC_PER_SEC;
	fixture_endpoint_start(f, 1, &config);
	fixture_endpoint_start(f, 0, NULL);
	/* The Initials of a client that never hears the answer fill the only place. */
	assert_int_equal(tow_quic_endpoint_new(&other, &shy, &err), 0);
	assert_int_equal(tow_quic_connect(shy, tow_quic_endpoint_addr(f->server), &f->server_key.id,
	                                  &fixture_client_events, f, &conn),
	                 0);
	while (tow_quic_endpoint_connections(f->server) == 0)
		tow_loop_dispatch(f->loop);
	assert_int_equal(tow_quic_endpoint_rebind(shy, &err), 0);
	fixture_turn(f, NULL, 20 * MSEC, 0);
	assert_int_equal(f->established, 0);
	fixture_connect_up(f);
	/* one, although the ClientHello came in two packets */
	assert_int_equal(tow_metric_get(tow_metrics_series(metrics, TOW_METRIC_COUNTER,
	                                                   "test_retries_total", NULL, "")),
	                 1);
	tow_quic_endpoint_free(shy, 0);
	tow_quic_endpoint_free(f->server, 0);
	f->server = NULL;
	tow_metrics_free(metrics);
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

	fixture_endpoint_start(f, 1, NULL);
	fd = stranger(f);
	assert_int_equal(send(fd, packet, sizeof(packet), 0), sizeof(packet));
	fixture_turn(f, NULL, 20 * MSEC, 0);
	n = recv(fd, answer, sizeof(answer), 0);
	/* header, version 0, the ids exchanged, version 1 */
	assert_int_equal(n, 1 + 4 + 1 + 4 + 1 + 8 + 4);
	assert_true(answer[0] & 0x80);
	assert_memory_equal(answer + 1, "\0\0\0\0\4\x9\xa\xb\xc\x8\1\2\3\4\5\6\7\x8\0\0\0\1", 22);
	/* too small to be an Initial: no answer */
	assert_int_equal(send(fd, packet, 1199, 0), 1199);
	fixture_turn(f, NULL, 20 * MSEC, 0);
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

	fixture_both(f);
	fixture_connect_up(f);
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
			fixture_turn(f, NULL, MSEC / 2, 0);
		/* every answer is smaller than the question could have been */
		while ((n = recv(fd, answer, sizeof(answer), 0)) > 0)
			assert_true(n < 300);
	}
	close(fd);
	fixture_pupil_open(f, &pupil, 1 << 20, 1);
	until(f, pupil.closed);
	assert_int_equal(pupil.received, 1 << 20);
}

/* Only so many handshakes begin in a second; whoever comes too early tries again. What is none does
 * not count. */
static void test_handshakes_per_second(void **state)
{
	enum { CLIENTS = 3 };
	struct fixture *f = *state;
	struct tow_quic_config config = fixture_config_of(f, 1);
	struct tow_metrics *metrics = tow_metrics_new();
	uint8_t noise[1200];
	unsigned i;
	int fd;

	assert_non_null(metrics);
	config.metrics = metrics;
	config.metrics_prefix = "test";
	config.handshakes_per_second = 1;
	config.handshake_timeout_ns = 5 * TOW_NSEC_PER_SEC;
	fixture_endpoint_start(f, 1, &config);
	config = fixture_config_of(f, 0);
	config.handshake_timeout_ns = 20 * TOW_NSEC_PER_SEC;
	fixture_endpoint_start(f, 0, &config);
	fd = stranger(f);
	for (i = 0; i < CLIENTS; i++)
		fixture_dial(f);
	for (i = 0; i < 10000 && f->established < CLIENTS; i++) {
		tow_random(noise, sizeof(noise));
		memcpy(noise, "\xc3\0\0\0\1\x8", 6); /* an Initial with ids of 8 bytes, ... */
		noise[14] = 8;
		memcpy(noise + 23, "\0\x44\x96", 3); /* ... no token, and the length */
		assert_int_equal(send(fd, noise, sizeof(noise), 0), sizeof(noise));
		fixture_turn(f, NULL, MSEC, 0);
	}
	close(fd);
	assert_int_equal(f->established, CLIENTS);
	assert_true(tow_metric_get(tow_metrics_series(metrics, TOW_METRIC_COUNTER,
	                                              "test_handshakes_total",
	                                              "result=\"deferred\"", "")) > 0);
	tow_quic_endpoint_free(f->server, 0);
	f->server = NULL;
	tow_metrics_free(metrics);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_restarted_server),      TEST(test_retry),
		TEST(test_version_negotiation),   TEST(test_garbage),
		TEST(test_handshakes_per_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
