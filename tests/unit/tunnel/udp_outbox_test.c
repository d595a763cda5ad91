/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/udp.h>

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static struct tow_loop *loop;
static struct tow_udp_socket *sender;
static unsigned lost[64]; /* by negated code; TOW_BLOCKED's is at 0 */

static void on_packet(void *user, const struct tow_udp_packet *packet)
{
	unsigned *count = user;

	(void)packet;
	if (count)
		(*count)++;
}

static void on_lost(void *user, int code)
{
	(void)user;
	lost[code == TOW_BLOCKED ? 0 : -code]++;
}

static const struct tow_udp_events events = { .packet = on_packet, .lost = on_lost };

static struct tow_addr address(const char *text)
{
	struct tow_addr addr;

	assert_int_equal(tow_addr_parse(tow_slice_of(text), &addr), 0);
	return addr;
}

static void open_sender(const struct tow_udp_config *config)
{
	assert_int_equal(tow_udp_socket_new(loop, config, &events, NULL, &sender, NULL), 0);
}

static int set_up(void **state)
{
	(void)state;
	loop = tow_loop_new();
	memset(lost, 0, sizeof lost);
	return loop ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	tow_udp_socket_free(sender);
	sender = NULL;
	tow_loop_free(loop);
	return 0;
}

/* A socket without a loop, to be read when all was sent. */
static int receiver(const char *host, struct tow_addr *addr)
{
	struct tow_addr bind_to = address(host);
	struct sockaddr_in sa = { .sin_family = AF_INET };
	struct timeval patience = { .tv_sec = 5 };
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), large = 4 << 20;

	memcpy(&sa.sin_addr, bind_to.bytes, 4);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*addr = bind_to;
	addr->port = ntohs(sa.sin_port);
	return fd;
}

static void turn(void)
{
	tow_loop_dispatch(loop);
}

static void send_numbered(const struct tow_addr *to, uint8_t number, size_t len)
{
	uint8_t bytes[65507];

	memset(bytes, number, len);
	tow_udp_queue(sender, to, NULL, tow_slice_make(bytes, len));
}

static void expect_numbered(int fd, uint8_t number, size_t len)
{
	static uint8_t bytes[65536];
	ssize_t n = recv(fd, bytes, sizeof bytes, 0);

	assert_int_equal(n, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], number);
}

/* Two addresses by turns, in sizes that end runs: boundaries and the order of each stay. */
static void boundaries_and_order_stay(void **state)
{
	static const size_t sizes[] = { 100,  100,  100,  40, 100, 0, 100, 1472,
		                        1472, 1473, 9000, 1,  1,   2, 1 };
	const size_t count = sizeof sizes / sizeof *sizes;
	struct tow_addr addrs[2];
	int fds[2] = { receiver("127.0.0.1:0", &addrs[0]), receiver("127.0.0.1:0", &addrs[1]) };

	(void)state;
	open_sender(&(struct tow_udp_config){ .bind = address("0.0.0.0:0") });
	for (size_t i = 0; i < count; i++)
		for (size_t to = 0; to < 2; to++)
			send_numbered(&addrs[to], (uint8_t)i, sizes[(i + to) % count]);
	turn();
	for (size_t to = 0; to < 2; to++) {
		for (size_t i = 0; i < count; i++)
			expect_numbered(fds[to], (uint8_t)i, sizes[(i + to) % count]);
		close(fds[to]);
	}
}

/* More than the outbox holds, in bytes and in number. */
static void many_and_much(void **state)
{
	struct tow_addr addr;
	int fd = receiver("127.0.0.1:0", &addr);

	(void)state;
	open_sender(&(struct tow_udp_config){ .connect = addr });
	for (unsigned i = 0; i < 1200; i++)
		send_numbered(NULL, (uint8_t)i, 10);
	for (unsigned i = 0; i < 10; i++)
		send_numbered(NULL, (uint8_t)i, 65507);
	turn();
	for (unsigned i = 0; i < 1200; i++)
		expect_numbered(fd, (uint8_t)i, 10);
	for (unsigned i = 0; i < 10; i++)
		expect_numbered(fd, (uint8_t)i, 65507);
	close(fd);
}

/* They leave from the address that is asked for. */
static void the_source_is_as_asked(void **state)
{
	struct tow_addr addr, local = address("127.0.0.7:1");
	int fd = receiver("127.0.0.1:0", &addr);
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	char byte;

	(void)state;
	open_sender(&(struct tow_udp_config){ .bind = address("[::]:0"), .dual_stack = 1 });
	tow_udp_queue(sender, &addr, &local, tow_slice_of("x"));
	turn();
	assert_int_equal(recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&from, &len), 1);
	assert_memory_equal(&from.sin_addr, local.bytes, 4);
	assert_int_equal(ntohs(from.sin_port), tow_udp_socket_addr(sender)->port);
	close(fd);
}

/* One that is freed sends what it still has. */
static void a_freed_socket_has_sent(void **state)
{
	struct tow_addr addr;
	int fd = receiver("127.0.0.1:0", &addr);

	(void)state;
	open_sender(&(struct tow_udp_config){ .connect = addr });
	send_numbered(NULL, 1, 10);
	tow_udp_socket_free(sender);
	sender = NULL;
	expect_numbered(fd, 1, 10);
	close(fd);
}

static void what_is_lost_is_told(void **state)
{
	struct tow_addr addr;
	int fd = receiver("127.0.0.1:0", &addr);
	uint8_t bytes[65535] = { 0 };

	(void)state;
	open_sender(&(struct tow_udp_config){ .connect = addr });
	tow_udp_queue(sender, NULL, NULL, tow_slice_make(bytes, 65535)); /* UDP has no such */
	tow_udp_queue(sender, NULL, NULL, tow_slice_make(bytes, 65520)); /* over IPv4 */
	send_numbered(NULL, 1, 10);
	turn();
	assert_int_equal(lost[-TOW_ETOOBIG], 2);
	expect_numbered(fd, 1, 10);
	/* nobody there any more: ICMP tells, and the socket is as good as before */
	close(fd);
	send_numbered(NULL, 2, 10);
	turn();
	turn();
	assert_int_equal(lost[-TOW_EREFUSED], 1);
	send_numbered(NULL, 3, 10);
	tow_loop_dispatch(loop);
	send_numbered(NULL, 4, 10); /* finds the error of the one before */
	tow_loop_dispatch(loop);
	turn();
	assert_in_range(lost[-TOW_EREFUSED], 2, 3);
}

static void a_connected_socket_hears_its_peer_only(void **state)
{
	struct tow_addr addr;
	int fd = receiver("127.0.0.1:0", &addr), stranger = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_storage sa;
	unsigned packets = 0;
	socklen_t len;

	(void)state;
	assert_int_equal(tow_udp_socket_new(loop, &(struct tow_udp_config){ .connect = addr },
	                                    &events, &packets, &sender, NULL),
	                 0);
	len = sizeof sa;
	assert_int_equal(getsockname(tow_udp_socket_fd(sender), (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(sendto(stranger, "no", 2, 0, (struct sockaddr *)&sa, len), 2);
	assert_int_equal(sendto(fd, "yes", 3, 0, (struct sockaddr *)&sa, len), 3);
	turn();
	assert_int_equal(packets, 1);
	close(fd);
	close(stranger);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(boundaries_and_order_stay), TEST(many_and_much),
		TEST(the_source_is_as_asked),    TEST(a_freed_socket_has_sent),
		TEST(what_is_lost_is_told),      TEST(a_connected_socket_hears_its_peer_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
