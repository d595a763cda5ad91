/* SPDX-License-Identifier: MIT */
#ifndef TOW__UDP_SOCKET_H
#define TOW__UDP_SOCKET_H

/* What the two ways of sending have in common. */

#include <netinet/in.h>
#include <sys/socket.h>

#include <towonel/tunnel/udp.h>

#include "runtime/inherited.h"
#include "tcp/socket.h"

#define TOW__UDP_SEGMENTS_MAX  64    /* of one sendmsg, in Linux */
#define TOW__UDP_GSO_BYTES_MAX 65487 /* 65535 less the headers of IPv6 and UDP */
#define TOW__UDP_PAYLOAD_MAX   65536

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

struct tow_udp_socket {
	struct tow_loop *loop;
	struct tow_io *io;
	struct tow_udp_events events;
	void *user;
	int fd;
	int family;
	struct tow_addr addr;
	int wildcard; /* the local address varies by datagram */
	int connected;
	int gso_refused;
	size_t queued; /* runs in the outbox */
	int blocked;   /* `writable` is owed */
	int receiving; /* a callback may free the socket: */
	int freed;     /* then on_ready does it */
	/* shared with other processes: the one that had it before, the one that reads it now */
	struct tow__udp_channel *before, *after;
	int yielded; /* this one does not read it */
	int urgent;  /* the other one does, from the first moment */
	int held;    /* nor yet */
	struct tow__bound bound;
};

/* Control messages of a datagram to be sent. */
struct tow__udp_control {
	size_t len;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) +
		           CMSG_SPACE(sizeof(uint16_t))];
	} u; /* at the end, as one that holds a flexible array (cmsghdr's) has to be */
};
void tow__udp_control_add(struct tow__udp_control *control, int level, int type, const void *data,
                          size_t len);
/* The address that it leaves from, and its ECN bits. v4: it goes to an IPv4 address. */
void tow__udp_control_source(struct tow__udp_control *control, const struct tow_udp_socket *socket,
                             const struct tow_addr *local, int v4, uint8_t ecn);

/* --- errors.c: for a socket with an `unreachable` --- */

void tow__udp_errors_watch(const struct tow_udp_socket *socket);
void tow__udp_errors_read(struct tow_udp_socket *socket);

/* --- socket.c --- */

void tow__udp_lost(struct tow_udp_socket *socket, int code);

/* The channel's other end is gone: it is freed. */
void tow__udp_channel_lost(struct tow_udp_socket *socket, struct tow__udp_channel *channel);

/* --- channel.c --- */

int tow__udp_channel_pair(int fds[2]); /* Returns 0, TOW_EIO. */
/* Takes fd. NULL: out of memory. What comes is given to the socket's owner. */
struct tow__udp_channel *tow__udp_channel_new(struct tow_udp_socket *socket, int fd);
void tow__udp_channel_free(struct tow__udp_channel *channel);
/* Returns 0; TOW_ECLOSED; TOW_BLOCKED: it is full. */
int tow__udp_channel_send(struct tow__udp_channel *channel, const struct tow_udp_packet *packet);

/* --- outbox.c --- */

void tow__udp_outbox_flush(struct tow_loop *loop);

#endif
