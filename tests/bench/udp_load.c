/* SPDX-License-Identifier: MIT */

/*
 * Load for a UDP path on loopback, and what comes through it:
 *
 *      udp_load flow TO AT SIZE RATE SECONDS [SKIP [gso]]   RATE datagrams a second to port TO, for
 *                                                          one that listens on port AT
 *      udp_load ping TO COUNT INTERVAL_US SIZE              there and back, from an echo
 *      udp_load echo AT                                     that echo
 *
 * flow prints "sent received median p99" of the time on the way, ping "sent received median p99" of
 * the round trip, in us; the first SKIP seconds of a flow do not count. Each datagram carries the time
 * at which it was to leave: a sender that is late does not make the path look fast.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define BATCH       64
#define SIZE_MAX_   65507
#define TICK_NS     1000000u
#define SAMPLES_MAX (1 << 22)
#define GSO_MAX     65000

static uint8_t buffers[BATCH][65536];
static uint32_t samples[SAMPLES_MAX]; /* us */
static size_t sample_count;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void sleep_until(uint64_t at_ns)
{
	struct timespec ts = { .tv_sec = (time_t)(at_ns / 1000000000u),
		               .tv_nsec = (long)(at_ns % 1000000000u) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static int open_socket(unsigned long port, int connected)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		                  .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 16 << 20;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (connected ? connect(fd, (struct sockaddr *)&sa, sizeof(sa))
	              : bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
		die("socket");
	return fd;
}

/* --- samples --- */

static void take_sample(uint64_t sent_ns)
{
	uint64_t now = now_ns();

	if (sample_count < SAMPLES_MAX)
		samples[sample_count++] = now > sent_ns ? (uint32_t)((now - sent_ns) / 1000) : 0;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void report(unsigned long long sent, unsigned long long received)
{
	uint32_t median = 0, p99 = 0;

	qsort(samples, sample_count, sizeof(*samples), by_value);
	if (sample_count > 0) {
		median = samples[sample_count / 2];
		p99 = samples[sample_count - 1 - sample_count / 100];
	}
	printf("%llu %llu %u %u\n", sent, received, median, p99);
	fflush(stdout);
}

/* --- receiving --- */

struct receiver {
	struct mmsghdr messages[BATCH];
	struct iovec iovs[BATCH];
	char controls[BATCH][64];
};

static void receiver_init(struct receiver *r)
{
	memset(r, 0, sizeof(*r));
	for (int i = 0; i < BATCH; i++) {
		r->iovs[i].iov_base = buffers[i];
		r->messages[i].msg_hdr.msg_iov = &r->iovs[i];
		r->messages[i].msg_hdr.msg_iovlen = 1;
	}
}

static int receive(struct receiver *r, int fd, int flags)
{
	for (int i = 0; i < BATCH; i++) {
		r->iovs[i].iov_len = sizeof(buffers[i]);
		r->messages[i].msg_hdr.msg_control = r->controls[i];
		r->messages[i].msg_hdr.msg_controllen = sizeof(r->controls[i]);
	}
	return recvmmsg(fd, r->messages, BATCH, flags, NULL);
}

static size_t segment_of(struct mmsghdr *message)
{
	int segment = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message->msg_hdr); c;
	     c = CMSG_NXTHDR(&message->msg_hdr, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	return segment > 0 ? (size_t)segment : message->msg_len;
}

/* Counts until the end that the sender tells, and a little longer for those on the way. */
static void sink(int fd, int results, uint64_t from_ns)
{
	struct receiver r;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	unsigned long long received = 0, sent = 0;
	struct pollfd told = { .fd = results, .events = POLLIN };
	int one = 1, ended = 0;

	setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof(one));
	receiver_init(&r);
	for (;;) {
		int n = 0;

		if (poll(&p, 1, ended ? 300 : 20) > 0)
			n = receive(&r, fd, MSG_DONTWAIT);
		else if (ended)
			break;
		for (int i = 0; i < n; i++) {
			size_t left = r.messages[i].msg_len, segment = segment_of(&r.messages[i]);
			const uint8_t *at = buffers[i];

			while (left >= 8) {
				uint64_t sent_ns;

				memcpy(&sent_ns, at, 8);
				if (sent_ns >= from_ns) {
					received++;
					/* all of a small flow, some of a large one */
					if ((received & 15) == 0 || sample_count < 200000)
						take_sample(sent_ns);
				}
				at += segment < left ? segment : left;
				left -= segment < left ? segment : left;
			}
		}
		if (!ended && poll(&told, 1, 0) > 0) {
			if (read(results, &sent, sizeof(sent)) != sizeof(sent))
				die("read");
			ended = 1;
		}
	}
	report(sent, received);
}

/* --- sending --- */

/* count datagrams of size bytes, in as few system calls as may be. */
static void send_burst(int fd, size_t count, size_t size, uint64_t at_ns, int gso)
{
	static struct mmsghdr messages[BATCH];
	static struct iovec iovs[BATCH];
	char control[CMSG_SPACE(sizeof(uint16_t))] = { 0 };
	size_t each = gso ? GSO_MAX / size : 1;
	uint16_t segment = (uint16_t)size;

	if (each > 64)
		each = 64;
	while (count > 0) {
		unsigned n = 0;
		struct cmsghdr *c;

		for (; n < (gso ? 1 : BATCH) && count > 0; n++) {
			size_t here = count < each ? count : each;

			for (size_t i = 0; i < here; i++)
				memcpy(buffers[n] + i * size, &at_ns, 8);
			iovs[n] = (struct iovec){ buffers[n], here * size };
			memset(&messages[n], 0, sizeof(messages[n]));
			messages[n].msg_hdr.msg_iov = &iovs[n];
			messages[n].msg_hdr.msg_iovlen = 1;
			if (here > 1) {
				messages[n].msg_hdr.msg_control = control;
				messages[n].msg_hdr.msg_controllen = sizeof(control);
				c = CMSG_FIRSTHDR(&messages[n].msg_hdr);
				c->cmsg_level = IPPROTO_UDP;
				c->cmsg_type = UDP_SEGMENT;
				c->cmsg_len = CMSG_LEN(sizeof(segment));
				memcpy(CMSG_DATA(c), &segment, sizeof(segment));
			}
			count -= here;
		}
		(void)sendmmsg(fd, messages, n, 0);
	}
}

static void flow(char **argv, int argc)
{
	unsigned long to = strtoul(argv[2], NULL, 10), at = strtoul(argv[3], NULL, 10);
	size_t size = strtoul(argv[4], NULL, 10);
	double rate = strtod(argv[5], NULL), seconds = strtod(argv[6], NULL);
	double skip = argc > 7 ? strtod(argv[7], NULL) : 0;
	int gso = argc > 8 && strcmp(argv[8], "gso") == 0, pipes[2], listener = open_socket(at, 0),
	    fd;
	uint64_t start = now_ns() + 10 * TICK_NS, from = start + (uint64_t)(skip * 1e9), tick;
	uint64_t end = start + (uint64_t)(seconds * 1e9);
	unsigned long long sent = 0, counted = 0;
	pid_t child;

	if (size < 8 || size > SIZE_MAX_ || pipe(pipes) != 0)
		die("flow");
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pipes[1]);
		sink(listener, pipes[0], from);
		_exit(0);
	}
	close(listener);
	fd = open_socket(to, 1);
	for (tick = start; tick < end; tick += TICK_NS) {
		unsigned long long due =
			(unsigned long long)((double)(tick + TICK_NS - start) / 1e9 * rate);

		sleep_until(tick);
		if (now_ns() < end) /* what this machine cannot even send counts as lost */
			send_burst(fd, (size_t)(due - sent), size, tick, gso);
		if (tick >= from)
			counted += due - sent;
		sent = due;
	}
	if (write(pipes[1], &counted, sizeof(counted)) != sizeof(counted))
		die("write");
	waitpid(child, NULL, 0);
}

static void ping(char **argv)
{
	unsigned long count = strtoul(argv[3], NULL, 10), interval = strtoul(argv[4], NULL, 10);
	size_t size = strtoul(argv[5], NULL, 10);
	int fd = open_socket(strtoul(argv[2], NULL, 10), 1);
	uint64_t next = now_ns(), sent_ns, got_ns;
	unsigned long long received = 0;

	for (unsigned long i = 0; i < count; i++, next += interval * 1000) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		sleep_until(next);
		sent_ns = now_ns();
		memcpy(buffers[0], &sent_ns, 8);
		(void)send(fd, buffers[0], size, 0);
		do { /* one that was late is not this one's answer */
			got_ns = 0;
			if (poll(&p, 1, 1000) <= 0 ||
			    recv(fd, buffers[1], sizeof(buffers[1]), 0) < 8)
				break;
			memcpy(&got_ns, buffers[1], 8);
		} while (got_ns != sent_ns);
		if (got_ns != sent_ns)
			continue;
		take_sample(sent_ns);
		received++;
	}
	report(count, received);
}

static void echo(char **argv)
{
	int fd = open_socket(strtoul(argv[2], NULL, 10), 0);
	struct sockaddr_storage from;
	socklen_t len;

	for (;;) {
		ssize_t n;

		len = sizeof(from);
		n = recvfrom(fd, buffers[0], sizeof(buffers[0]), 0, (struct sockaddr *)&from, &len);
		if (n >= 0)
			(void)sendto(fd, buffers[0], (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

int main(int argc, char **argv)
{
	if (argc >= 7 && strcmp(argv[1], "flow") == 0)
		flow(argv, argc);
	else if (argc == 6 && strcmp(argv[1], "ping") == 0)
		ping(argv);
	else if (argc == 3 && strcmp(argv[1], "echo") == 0)
		echo(argv);
	else
		return 2;
	return 0;
}
