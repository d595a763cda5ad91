/* SPDX-License-Identifier: MIT */
#include "udp/socket.h"

#include <errno.h>
#include <string.h>
#include <time.h> /* before the next, which needs it */

#include <linux/errqueue.h>

/*
 * What ICMP answers to datagrams of a socket that sends to many. The kernel keeps it in a queue of
 * its own, with the beginning of the datagram; the error that it sets besides meets whatever is
 * sent or received next, which it has nothing to do with.
 */

#define ERRORS_PER_TURN 16
#define QUOTED_MAX      64

void tow__udp_errors_watch(const struct tow_udp_socket *socket)
{
	int on = 1;

	/* What is not there is done without. */
	setsockopt(socket->fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
	if (socket->family == AF_INET6)
		setsockopt(socket->fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
}

/* From the network, and about the peer: not about sizes, nor about this host. */
static int is_unreachable(struct msghdr *message)
{
	struct sock_extended_err error;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
		    !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			continue;
		memcpy(&error, CMSG_DATA(c), sizeof error);
		return (error.ee_origin == SO_EE_ORIGIN_ICMP ||
		        error.ee_origin == SO_EE_ORIGIN_ICMP6) &&
		       (error.ee_errno == ECONNREFUSED || error.ee_errno == EHOSTUNREACH);
	}
	return 0;
}

void tow__udp_errors_read(struct tow_udp_socket *socket)
{
	for (int i = 0; i < ERRORS_PER_TURN && !socket->freed; i++) {
		uint8_t quoted[QUOTED_MAX];
		union {
			struct cmsghdr align;
			char bytes[256];
		} control;
		struct iovec iov = { quoted, sizeof quoted };
		struct msghdr message = { .msg_iov = &iov,
			                  .msg_iovlen = 1,
			                  .msg_control = &control,
			                  .msg_controllen = sizeof control };
		ssize_t n = recvmsg(socket->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);

		if (n < 0)
			return;
		if (is_unreachable(&message))
			socket->events.unreachable(socket->user, tow_slice_make(quoted, (size_t)n));
	}
}
