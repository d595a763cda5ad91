/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/udp.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define MS TOW_NSEC_PER_MSEC

static struct tow_loop *loop;
static struct tow_timer deadline;

static void stop(void *user)
{
	(void)user;
	tow_loop_stop(loop);
}

static int set_up(void **state)
{
	(void)state;
	loop = tow_loop_new();
	if (!loop)
		return -1;
	tow_timer_init(&deadline, loop, stop, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tow_loop_free(loop);
	return 0;
}

static void run_for(uint64_t ns)
{
	assert_int_equal(tow_timer_start_in(&deadline, ns), 0);
	tow_loop_run(loop);
	tow_timer_stop(&deadline);
}

/* A socket that keeps what it gets. */
struct end {
	struct tow_udp_socket *socket;
	struct tow_udp_packet last;
	struct tow_buf bytes;
	size_t sizes[256];
	int packets, batches;
	int stop_at; /* packets */
	int free_at;
};

static void on_packet(void *user, const struct tow_udp_packet *packet)
{
	struct end *end = user;

	assert_true(end->packets < 256);
	end->last = *packet;
	end->sizes[end->packets++] = packet->bytes.len;
	assert_int_equal(tow_buf_append(&end->bytes, packet->bytes.base, packet->bytes.len), 0);
	if (end->packets == end->free_at) {
		tow_udp_socket_free(end->socket);
		end->socket = NULL;
	}
	if (end->packets == end->stop_at)
		tow_loop_stop(loop);
}

static void on_batch_end(void *user)
{
	struct end *end = user;

	assert_non_null(end->socket);
	end->batches++;
}

static const struct tow_udp_events events = { .packet = on_packet, .batch_end = on_batch_end };

static struct tow_addr address(const char *text)
{
	struct tow_addr addr;

	assert_int_equal(tow_addr_parse(tow_slice_of(text), &addr), 0);
	return addr;
}

static int open_end(struct end *end, const struct tow_udp_config *config)
{
	struct tow_error err;
	int status;

	memset(end, 0, sizeof *end);
	status = tow_udp_socket_new(loop, config, &events, end, &end->socket, &err);
	if (status)
		print_message("%s\n", err.text);
	return status;
}

static void close_end(struct end *end)
{
	tow_udp_socket_free(end->socket);
	tow_buf_deinit(&end->bytes);
}

static void fill(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 31 + (i >> 8));
}

static const struct {
	const char *name, *bind;
	int dual_stack;
	const char *to, *from; /* where the datagram goes, and the socket it leaves from */
} ways[] = {
	{ "IPv4 address", "127.0.0.1:0", 0, "127.0.0.1", "127.0.0.1:0" },
	{ "IPv4 wildcard, second address", "0.0.0.0:0", 0, "127.0.0.2", "127.0.0.3:0" },
	{ "IPv6 address", "[::1]:0", 0, "::1", "[::1]:0" },
	{ "IPv6 wildcard", "[::]:0", 0, "::1", "[::1]:0" },
	{ "dual stack, IPv4", "[::]:0", 1, "127.0.0.2", "127.0.0.1:0" },
	{ "dual stack, IPv6", "[::]:0", 1, "::1", "[::1]:0" },
	{ "from a dual-stack socket", "127.0.0.1:0", 0, "127.0.0.1", "[::]:0" },
};

/* A datagram arrives with the address it was sent to and its ECN bits, and the answer comes from
 * that address. */
static void addresses_and_ecn_come_through(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		const struct tow_udp_config here = { .bind = address(ways[i].bind),
			                             .dual_stack = ways[i].dual_stack };
		const struct tow_udp_config there = { .bind = address(ways[i].from),
			                              .dual_stack = 1 };
		struct end a, b;
		struct tow_addr to;
		size_t sent;

		print_message("%s\n", ways[i].name);
		assert_int_equal(open_end(&a, &here), 0);
		assert_int_equal(open_end(&b, &there), 0);
		assert_int_equal(tow_addr_parse_host(tow_slice_of(ways[i].to), &to), 0);
		to.port = tow_udp_socket_addr(a.socket)->port;
		assert_true(to.port > 0);
		for (uint8_t ecn = 0; ecn < 4; ecn++) {
			a.stop_at = ecn + 1;
			assert_int_equal(tow_udp_send(b.socket, &to, NULL, ecn,
			                              (const uint8_t *)"ping", 4, 0, &sent),
			                 0);
			assert_int_equal(sent, 4);
			run_for(1000 * MS);
			assert_int_equal(a.packets, ecn + 1);
			assert_int_equal(a.last.ecn, ecn);
			assert_true(tow_addr_equal(&a.last.local, &to));
			assert_int_equal(a.last.remote.port, tow_udp_socket_addr(b.socket)->port);
			assert_int_equal(a.last.remote.family, to.family);
		}
		b.stop_at = 1;
		assert_int_equal(tow_udp_send(a.socket, &a.last.remote, &a.last.local, 0,
		                              (const uint8_t *)"pong!", 5, 0, NULL),
		                 0);
		run_for(1000 * MS);
		assert_int_equal(b.packets, 1);
		assert_int_equal(b.sizes[0], 5);
		assert_true(tow_addr_equal(&b.last.remote, &to));
		close_end(&a);
		close_end(&b);
	}
}

static const struct {
	size_t len, segment;
	int packets;
	size_t last;
} runs[] = {
	{ 1200, 1200, 1, 1200 },      { 2400, 1200, 2, 1200 },
	{ 2401, 1200, 3, 1 },         { 64 * 1000, 1000, 64, 1000 },
	{ 100 * 100, 100, 100, 100 }, { 64 * 1452, 1452, 64, 1452 },
	{ 150000, 60000, 3, 30000 },  { 65507, 0, 1, 65507 },
	{ 3 * 1200, 9000, 1, 3600 },  { 7, 1, 7, 1 },
};

static void check_runs(int no_gso)
{
	uint8_t *bytes = malloc(150000);

	fill(bytes, 150000);
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		const struct tow_udp_config config = { .bind = address("127.0.0.1:0"),
			                               .dont_fragment = 1,
			                               .receive_buffer = 1 << 22 };
		struct end a, b;
		size_t sent = 0;
		int one = 1;

		assert_int_equal(open_end(&a, &config), 0);
		assert_int_equal(open_end(&b, &config), 0);
		/* The kernel segments only what has checksums. */
		if (no_gso)
			assert_int_equal(setsockopt(tow_udp_socket_fd(b.socket), SOL_SOCKET,
			                            SO_NO_CHECK, &one, sizeof one),
			                 0);
		a.stop_at = runs[i].packets;
		assert_int_equal(tow_udp_send(b.socket, tow_udp_socket_addr(a.socket), NULL, 0,
		                              bytes, runs[i].len, runs[i].segment, &sent),
		                 0);
		assert_int_equal(sent, runs[i].len);
		run_for(1000 * MS);
		assert_int_equal(a.packets, runs[i].packets);
		for (int n = 0; n < a.packets - 1; n++)
			assert_int_equal(a.sizes[n], runs[i].segment);
		assert_int_equal(a.sizes[a.packets - 1], runs[i].last);
		assert_int_equal(tow_buf_len(&a.bytes), runs[i].len);
		assert_memory_equal(tow_buf_peek(&a.bytes).base, bytes, runs[i].len);
		if (no_gso)
			assert_true(a.batches >= runs[i].packets / 8);
		else if (runs[i].packets == 64)
			assert_true(a.batches < 3);
		close_end(&a);
		close_end(&b);
	}
	free(bytes);
}

static void runs_arrive_whole(void **state)
{
	(void)state;
	check_runs(0);
}

static void runs_arrive_where_segmentation_is_refused(void **state)
{
	(void)state;
	check_runs(1);
}

static void an_empty_datagram_is_one(void **state)
{
	const struct tow_udp_config config = { .bind = address("127.0.0.1:0") };
	struct end a, b;

	(void)state;
	assert_int_equal(open_end(&a, &config), 0);
	assert_int_equal(open_end(&b, &config), 0);
	a.stop_at = 1;
	assert_int_equal(
		tow_udp_send(b.socket, tow_udp_socket_addr(a.socket), NULL, 0, NULL, 0, 0, NULL),
		0);
	run_for(1000 * MS);
	assert_int_equal(a.packets, 1);
	assert_int_equal(a.sizes[0], 0);
	close_end(&a);
	close_end(&b);
}

static void what_the_path_does_not_take_is_told(void **state)
{
	static uint8_t bytes[70000];
	const struct tow_udp_config config = { .bind = address("127.0.0.1:0"), .dont_fragment = 1 };
	const struct tow_addr nowhere = address("240.0.0.1:9");
	struct end a;
	size_t sent = 1;

	(void)state;
	assert_int_equal(open_end(&a, &config), 0);
	assert_int_equal(tow_udp_send(a.socket, tow_udp_socket_addr(a.socket), NULL, 0, bytes,
	                              sizeof bytes, 0, &sent),
	                 TOW_ETOOBIG);
	assert_int_equal(sent, 0);
	/* No route, or none from here: lost, which is no failure. */
	assert_int_equal(tow_udp_send(a.socket, &nowhere, NULL, 0, bytes, 10, 0, &sent), 0);
	assert_int_equal(sent, 10);
	run_for(MS);
	assert_int_equal(a.packets, 0);
	close_end(&a);
}

/* Nobody listens, and the kernel says so: the socket goes on. */
static void a_refused_datagram_harms_nothing(void **state)
{
	const struct tow_udp_config config = { .bind = address("127.0.0.1:0") };
	struct tow_addr gone;
	struct end a, b;

	(void)state;
	assert_int_equal(open_end(&a, &config), 0);
	assert_int_equal(open_end(&b, &config), 0);
	gone = *tow_udp_socket_addr(b.socket);
	close_end(&b);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			tow_udp_send(a.socket, &gone, NULL, 0, (const uint8_t *)"x", 1, 0, NULL),
			0);
	a.stop_at = 1;
	assert_int_equal(tow_udp_send(a.socket, tow_udp_socket_addr(a.socket), NULL, 0,
	                              (const uint8_t *)"self", 4, 0, NULL),
	                 0);
	run_for(1000 * MS);
	assert_int_equal(a.packets, 1);
	close_end(&a);
}

static void a_callback_may_free_the_socket(void **state)
{
	static uint8_t bytes[10 * 100];
	const struct tow_udp_config config = { .bind = address("127.0.0.1:0") };
	struct end a, b;

	(void)state;
	assert_int_equal(open_end(&a, &config), 0);
	assert_int_equal(open_end(&b, &config), 0);
	a.free_at = a.stop_at = 3;
	assert_int_equal(tow_udp_send(b.socket, tow_udp_socket_addr(a.socket), NULL, 0, bytes,
	                              sizeof bytes, 100, NULL),
	                 0);
	run_for(1000 * MS);
	assert_int_equal(a.packets, 3);
	assert_int_equal(a.batches, 0);
	close_end(&a);
	close_end(&b);
}

static void a_taken_port_is_told(void **state)
{
	struct tow_udp_config config = { .bind = address("127.0.0.1:0") };
	struct tow_udp_socket *second;
	struct tow_error err;
	char text[TOW_ADDR_TEXT_SIZE];
	struct end a;

	(void)state;
	assert_int_equal(open_end(&a, &config), 0);
	config.bind = *tow_udp_socket_addr(a.socket);
	assert_int_equal(tow_udp_socket_new(loop, &config, &events, NULL, &second, &err),
	                 TOW_EADDRINUSE);
	assert_non_null(strstr(err.text, tow_addr_format(&config.bind, text)));
	config.bind = address("192.0.2.1:0"); /* not ours */
	assert_int_equal(tow_udp_socket_new(loop, &config, &events, NULL, &second, &err), TOW_EIO);
	close_end(&a);
}

static void ports_can_be_shared_on_purpose(void **state)
{
	struct tow_udp_config config = { .bind = address("127.0.0.1:0"), .sharing = TOW_PORT_FOUND };
	struct end a, b;

	(void)state;
	assert_int_equal(open_end(&a, &config), 0);
	config.bind = *tow_udp_socket_addr(a.socket);
	assert_int_equal(open_end(&b, &config), TOW_EADDRINUSE); /* another founder */
	config.sharing = TOW_PORT_JOIN;
	assert_int_equal(open_end(&b, &config), 0);
	assert_true(tow_addr_equal(tow_udp_socket_addr(a.socket), tow_udp_socket_addr(b.socket)));
	close_end(&a);
	close_end(&b);
}

static struct tow_buf quoted;

static void on_unreachable(void *user, struct tow_slice bytes)
{
	(void)user;
	tow_buf_clear(&quoted);
	assert_int_equal(tow_buf_append(&quoted, bytes.base, bytes.len), 0);
	tow_loop_stop(loop);
}

/* The kernel's answer to a datagram that nobody took comes back, and stops no other. */
static void what_icmp_says_is_told(void **state)
{
	static const struct tow_udp_events told = { .packet = on_packet,
		                                    .unreachable = on_unreachable };

	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct tow_udp_config config = { .bind = address(ways[i].from), .dual_stack = 1 };
		struct tow_addr nobody = address(ways[i].bind), taker_addr;
		struct tow_udp_socket *sender;
		struct tow_slice lost = tow_slice_of("to nobody"), sent = tow_slice_of("to you");
		struct end closed, taker;

		print_message("%s\n", ways[i].name);
		assert_int_equal(tow_udp_socket_new(loop, &config, &told, NULL, &sender, NULL), 0);
		config =
			(struct tow_udp_config){ .bind = nobody, .dual_stack = ways[i].dual_stack };
		assert_int_equal(open_end(&closed, &config), 0);
		assert_int_equal(open_end(&taker, &config), 0);
		assert_int_equal(tow_addr_parse_host(tow_slice_of(ways[i].to), &nobody), 0);
		taker_addr = nobody;
		nobody.port = tow_udp_socket_addr(closed.socket)->port;
		taker_addr.port = tow_udp_socket_addr(taker.socket)->port;
		close_end(&closed);
		taker.stop_at = 2;
		for (int n = 0; n < 2; n++) {
			assert_int_equal(tow_udp_send(sender, &nobody, NULL, 0, lost.base, lost.len,
			                              0, NULL),
			                 0);
			assert_int_equal(tow_udp_send(sender, &taker_addr, NULL, 0, sent.base,
			                              sent.len, 0, NULL),
			                 0);
		}
		for (int n = 0; n < 2 && (tow_buf_len(&quoted) == 0 || taker.packets < 2); n++)
			run_for(1000 * MS);
		assert_int_equal(taker.packets, 2);
		assert_int_equal(tow_buf_len(&quoted), lost.len);
		assert_memory_equal(tow_buf_peek(&quoted).base, lost.base, lost.len);
		tow_buf_deinit(&quoted);
		tow_udp_socket_free(sender);
		close_end(&taker);
	}
}

int main(void)
{
#define UDP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		UDP_TEST(addresses_and_ecn_come_through),
		UDP_TEST(runs_arrive_whole),
		UDP_TEST(runs_arrive_where_segmentation_is_refused),
		UDP_TEST(an_empty_datagram_is_one),
		UDP_TEST(what_the_path_does_not_take_is_told),
		UDP_TEST(a_refused_datagram_harms_nothing),
		UDP_TEST(what_icmp_says_is_told),
		UDP_TEST(a_callback_may_free_the_socket),
		UDP_TEST(a_taken_port_is_told),
		UDP_TEST(ports_can_be_shared_on_purpose),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
