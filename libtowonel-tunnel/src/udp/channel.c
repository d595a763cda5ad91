/* SPDX-License-Identifier: MIT */
#include "udp/socket.h"

#include "loop/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Datagrams between two processes that use one UDP socket. Each is a message on a pair of sockets
 * that keep boundaries:
 *
 *      version (1)  ECN (1)  remote  local  payload      address: family (1) port (2) host (16)
 *
 *      before, who has lent the socket  ◄─── not mine: yours? ────  after, who reads it
 *                                       ─── not mine either ────►
 *
 * There may be a row of them; the one in the middle has a channel to either side.
 */

#define VERSION           1
#define HEAD_SIZE         (2 + 2 * 19)
#define CHANNEL_BUFFER    (8 * 1024 * 1024)
#define MESSAGES_PER_TURN 64 /* then other descriptors get their turn */

struct tow__udp_channel {
	struct tow_udp_socket *socket;
	struct tow_io *io;
	int fd;
};

static void write_addr(uint8_t *out, const struct tow_addr *addr)
{
	out[0] = addr->family;
	out[1] = (uint8_t)(addr->port >> 8);
	out[2] = (uint8_t)addr->port;
	memcpy(out + 3, addr->bytes, 16);
}

static int read_addr(const uint8_t *in, struct tow_addr *out)
{
	*out = (struct tow_addr){ .family = in[0], .port = (uint16_t)(in[1] << 8 | in[2]) };
	memcpy(out->bytes, in + 3, in[0] == 6 ? 16 : 4);
	return in[0] == 4 || in[0] == 6 ? 0 : TOW_EPARSE;
}

int tow__udp_channel_send(struct tow__udp_channel *channel, const struct tow_udp_packet *packet)
{
	uint8_t head[HEAD_SIZE] = { VERSION, packet->ecn };
	struct iovec parts[] = {
		{ head, sizeof head },
		{ (void *)(uintptr_t)packet->bytes.base, packet->bytes.len },
	};
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	write_addr(head + 2, &packet->remote);
	write_addr(head + 21, &packet->local);
	if (sendmsg(channel->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == EPIPE || errno == ECONNRESET ? TOW_ECLOSED : TOW_BLOCKED;
}

/* Returns 0; TOW_BLOCKED, TOW_EOF; TOW_EPARSE: not one of ours. */
static int receive(struct tow__udp_channel *channel, uint8_t *buf, size_t cap,
                   struct tow_udp_packet *packet)
{
	uint8_t head[HEAD_SIZE];
	struct iovec parts[] = { { head, sizeof head }, { buf, cap } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n = recvmsg(channel->fd, &message, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? TOW_BLOCKED : TOW_EOF;
	if (n == 0)
		return TOW_EOF;
	if ((size_t)n < HEAD_SIZE || head[0] != VERSION || message.msg_flags & MSG_TRUNC ||
	    read_addr(head + 2, &packet->remote) || read_addr(head + 21, &packet->local))
		return TOW_EPARSE;
	packet->ecn = head[1] & 3;
	packet->bytes = tow_slice_make(buf, (size_t)n - HEAD_SIZE);
	return 0;
}

static void on_ready(void *user, int events)
{
	struct tow__udp_channel *channel = user;
	struct tow_udp_socket *socket = channel->socket;
	uint8_t buf[TOW__UDP_PAYLOAD_MAX];
	int rc = 0;

	(void)events;
	socket->receiving = 1;
	for (int i = 0; i < MESSAGES_PER_TURN && !socket->freed; i++) {
		struct tow_udp_packet packet = { .passed = channel == socket->before };

		rc = receive(channel, buf, sizeof buf, &packet);
		if (rc > 0)
			break;
		if (rc == 0)
			socket->events.packet(socket->user, &packet);
	}
	if (!socket->freed && socket->events.batch_end)
		socket->events.batch_end(socket->user);
	socket->receiving = 0;
	if (socket->freed)
		free(socket);
	else if (rc == TOW_EOF)
		tow__udp_channel_lost(socket, channel);
}

struct tow__udp_channel *tow__udp_channel_new(struct tow_udp_socket *socket, int fd)
{
	struct tow__udp_channel *channel = malloc(sizeof *channel);

	if (channel) {
		*channel = (struct tow__udp_channel){ .socket = socket, .fd = fd };
		channel->io = tow_io_new(socket->loop, fd, on_ready, channel);
	}
	if (!channel || !channel->io) {
		free(channel);
		close(fd);
		return NULL;
	}
	tow_io_watch(channel->io, TOW_IO_READ);
	return channel;
}

void tow__udp_channel_free(struct tow__udp_channel *channel)
{
	if (!channel)
		return;
	tow_io_free(channel->io);
	close(channel->fd);
	free(channel);
}

int tow__udp_channel_pair(int fds[2])
{
	const int size = CHANNEL_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
		return TOW_EIO;
	for (int i = 0; i < 2; i++)
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size))
			setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	return 0;
}
