/* SPDX-License-Identifier: MIT */
/*
 * Noise at a UDP port of this machine: COUNT datagrams of every kind that a listener for QUIC has to tell from
 * what is meant for it, from many addresses, as fast as the port is read. What waits there is kept below what
 * the kernel would drop.
 *
 *   noise PORT COUNT INITIALS
 *
 * INITIALS is a file with datagrams that an agent once sent, each after its length in two bytes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

enum { SOURCES = 32, BATCH = 64, WAITING_MAX = 1 << 18, REPLAYED_MAX = 16 };

struct datagram {
	uint8_t bytes[2048];
	size_t len;
};

static struct datagram replayed[REPLAYED_MAX];
static size_t replayed_count;

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "noise: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t random_number(void)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void read_initials(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t len[2];

	check(file != NULL, path);
	while (replayed_count < REPLAYED_MAX && fread(len, 1, 2, file) == 2) {
		struct datagram *d = &replayed[replayed_count++];

		d->len = (size_t)(len[0] << 8 | len[1]);
		check(d->len <= sizeof(d->bytes) && fread(d->bytes, 1, d->len, file) == d->len, path);
	}
	check(replayed_count > 0, path);
	fclose(file);
}

static void fill(struct datagram *d, size_t len)
{
	d->len = len;
	for (size_t at = 0; at < len; at += 8) {
		uint64_t number = random_number();

		memcpy(d->bytes + at, &number, 8);
	}
}

static void make(struct datagram *d)
{
	/* Initials cost a listener most by far, and so this test its time */
	static const char kinds[] = "nnnnnsssssvv11ir";
	static const size_t sizes[] = { 1, 7, 20, 60, 600, 1200, 1350 };
	size_t any = sizes[random_number() % 7];

	switch (kinds[random_number() % (sizeof(kinds) - 1)]) {
	default: /* no sense at all */
		fill(d, any);
		break;
	case 's': /* a short header of a connection that nobody has */
		fill(d, any);
		d->bytes[0] = (uint8_t)((d->bytes[0] & 0x3f) | 0x40);
		break;
	case 'v': /* an unknown version, large enough to be answered */
		fill(d, 1200);
		d->bytes[0] |= 0xc0;
		d->bytes[5] = d->bytes[14] = 8;
		break;
	case '1': /* version 1, of any type, with lengths that are what they are */
		fill(d, any < 20 ? 20 : any);
		d->bytes[0] |= 0xc0;
		memcpy(d->bytes + 1, "\0\0\0\1", 4);
		break;
	case 'i': /* an Initial, all of it in order but its sealed bytes */
		fill(d, 1200);
		d->bytes[0] = (uint8_t)(0xc0 | (d->bytes[0] & 0x0f));
		memcpy(d->bytes + 1, "\0\0\0\1\10", 5);
		d->bytes[14] = 8;
		memcpy(d->bytes + 23, "\0\x44\x96", 3); /* no token; 1174 bytes follow */
		break;
	case 'r': /* an Initial of an agent, as it was, or damaged in one place, so that it may be for another one */
		*d = replayed[random_number() % replayed_count];
		if (random_number() % 2)
			d->bytes[random_number() % d->len] ^= (uint8_t)(1 << random_number() % 8);
	}
}

/* What the port's owner has not read yet. */
static unsigned long waiting_at(unsigned port)
{
	static FILE *table;
	unsigned long all = 0;
	char line[512];

	if (table == NULL)
		table = fopen("/proc/net/udp", "r");
	check(table != NULL, "/proc/net/udp");
	rewind(table);
	while (fgets(line, sizeof(line), table)) {
		/* Behind the colons: address and port of ours, port of theirs, bytes that wait. */
		unsigned long numbers[4];
		char *at = line;
		int count = 0;

		while (count < 4 && (at = strchr(at, ':')) != NULL)
			numbers[count++] = strtoul(at + 1, &at, 16);
		if (count == 4 && numbers[1] == port && numbers[2] == 0)
			all += numbers[3];
	}
	return all;
}

int main(int argc, char **argv)
{
	static struct datagram datagrams[BATCH];
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec parts[BATCH];
	int sources[SOURCES];

	check(argc == 4, "usage: noise PORT COUNT INITIALS");
	unsigned port = (unsigned)strtoul(argv[1], NULL, 10);
	unsigned long count = strtoul(argv[2], NULL, 10), sent = 0;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	read_initials(argv[3]);
	for (unsigned i = 0; i < SOURCES; i++) {
		struct sockaddr_in from = { .sin_family = AF_INET };

		from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 100 + i);
		sources[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		check(sources[i] >= 0 && bind(sources[i], (struct sockaddr *)&from, sizeof(from)) == 0, "source");
	}
	for (int i = 0; i < BATCH; i++) {
		messages[i].msg_hdr.msg_name = &to;
		messages[i].msg_hdr.msg_namelen = sizeof(to);
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (sent < count) {
		const struct timespec moment = { .tv_nsec = 200000 };
		int some = count - sent < BATCH ? (int)(count - sent) : BATCH, n;

		while (waiting_at(port) > WAITING_MAX)
			nanosleep(&moment, NULL);
		for (int i = 0; i < some; i++) {
			make(&datagrams[i]);
			parts[i] = (struct iovec){ datagrams[i].bytes, datagrams[i].len };
		}
		n = sendmmsg(sources[random_number() % SOURCES], messages, (unsigned)some, 0);
		check(n > 0 || errno == ECONNREFUSED || errno == ENOBUFS, "send");
		sent += n > 0 ? (unsigned long)n : 0;
	}
	printf("%lu\n", sent);
	return 0;
}
