/* SPDX-License-Identifier: MIT */
#include "udp/socket.h"

#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Receiving: one recvmmsg fills up to SLOTS slots of 64 KiB, each with one datagram or, with
 * UDP_GRO, with a run of datagrams of one size from one sender. The slots belong to the loop and
 * are shared by its sockets; a slot that nothing was put into costs address space only.
 *
 * Sending at once: one sendmsg with UDP_SEGMENT for a run of datagrams. Where the kernel or the
 * device refuses that, the socket goes on with one datagram each, through sendmmsg. What is queued
 * is in outbox.c.
 */

#define SLOTS            8
#define SLOT_SIZE        65536
#define BATCHES_PER_TURN 4 /* then other descriptors get their turn */

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

struct receive_area {
	struct mmsghdr messages[SLOTS];
	struct iovec iovs[SLOTS];
	struct sockaddr_storage names[SLOTS];
	/* PKTINFO, TOS and GRO's segment size; on a dual-stack socket each in its IPv4 and IPv6
	 * kind */
	union {
		struct cmsghdr align;
		char bytes[192];
	} controls[SLOTS];
	uint8_t bytes[SLOTS][SLOT_SIZE];
};

static void set_option(int fd, int level, int option, int value)
{
	/* What is not there is done without. */
	setsockopt(fd, level, option, &value, sizeof value);
}

static void set_buffer(int fd, int option, int force_option, int bytes)
{
	if (bytes && setsockopt(fd, SOL_SOCKET, force_option, &bytes, sizeof bytes))
		set_option(fd, SOL_SOCKET, option, bytes);
}

static void set_options(const struct tow_udp_socket *socket, const struct tow_udp_config *config)
{
	int fd = socket->fd;

	set_option(fd, IPPROTO_UDP, UDP_GRO, 1);
	set_option(fd, IPPROTO_IP, IP_RECVTOS, 1); /* also for IPv4 on a dual-stack socket */
	if (socket->family == AF_INET6) {
		set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, socket->wildcard);
	} else {
		set_option(fd, IPPROTO_IP, IP_PKTINFO, socket->wildcard);
	}
	if (config->dont_fragment) {
		set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
		if (socket->family == AF_INET6)
			set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
	}
	if (socket->events.unreachable)
		tow__udp_errors_watch(socket);
	set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, config->receive_buffer);
	set_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, config->send_buffer);
}

/* --- receiving --- */

static struct receive_area *area_of(struct tow_loop *loop)
{
	struct receive_area *area = loop->receive_area;

	if (area)
		return area;
	area = malloc(sizeof *area);
	if (!area)
		return NULL;
	for (int i = 0; i < SLOTS; i++) {
		area->iovs[i] = (struct iovec){ area->bytes[i], SLOT_SIZE };
		area->messages[i] = (struct mmsghdr){
			.msg_hdr = {
				.msg_name = &area->names[i],
				.msg_iov = &area->iovs[i],
				.msg_iovlen = 1,
				.msg_control = &area->controls[i],
			},
		};
	}
	loop->receive_area = area;
	return area;
}

/* Reads the control messages into packet. Returns the segment size, 0 when it is
 * a single datagram. */
static size_t read_control(struct msghdr *message, struct tow_udp_packet *packet)
{
	struct in6_pktinfo info6;
	struct in_pktinfo info4;
	size_t segment = 0;
	int value;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			packet->ecn = *CMSG_DATA(c) & 3;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info4, CMSG_DATA(c), sizeof info4);
			packet->local.family = 4;
			memcpy(packet->local.bytes, &info4.ipi_spec_dst, 4);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			memcpy(&value, CMSG_DATA(c), sizeof value);
			packet->ecn = value & 3;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info6, CMSG_DATA(c), sizeof info6);
			packet->local.family = 6;
			memcpy(packet->local.bytes, &info6.ipi6_addr, 16);
			tow_addr_unmap(&packet->local);
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&value, CMSG_DATA(c), sizeof value);
			segment = value > 0 ? (size_t)value : 0;
		}
	}
	return segment;
}

void tow__udp_lost(struct tow_udp_socket *socket, int code)
{
	if (socket->events.lost)
		socket->events.lost(socket->user, code);
}

static void deliver(struct tow_udp_socket *socket, struct mmsghdr *message)
{
	struct msghdr *header = &message->msg_hdr;
	struct tow_udp_packet packet = { .local = socket->addr };
	const uint8_t *bytes = header->msg_iov->iov_base;
	size_t left = message->msg_len, segment;

	if (header->msg_flags & MSG_TRUNC)
		return;
	if (tow_addr_from_sockaddr(header->msg_name, &packet.remote))
		return;
	segment = read_control(header, &packet);
	do {
		size_t n = segment && segment < left ? segment : left;
		packet.bytes = tow_slice_make(bytes, n);
		socket->events.packet(socket->user, &packet);
		bytes += n;
		left -= n;
	} while (left && !socket->freed);
}

/* One recvmmsg. Returns 1 when there may be more. */
static int receive_batch(struct tow_udp_socket *socket, struct receive_area *area)
{
	int n;

	for (int i = 0; i < SLOTS; i++) {
		area->messages[i].msg_hdr.msg_namelen = sizeof area->names[i];
		area->messages[i].msg_hdr.msg_controllen = sizeof area->controls[i];
	}
	n = recvmmsg(socket->fd, area->messages, SLOTS, MSG_DONTWAIT, NULL);
	if (n < 0 && errno == ECONNREFUSED) {
		tow__udp_lost(socket, TOW_EREFUSED);
		return 1;
	}
	if (n <= 0)
		return 0;
	for (int i = 0; i < n && !socket->freed; i++)
		deliver(socket, &area->messages[i]);
	if (!socket->freed && socket->events.batch_end)
		socket->events.batch_end(socket->user);
	return n == SLOTS;
}

static void watch(struct tow_udp_socket *socket)
{
	tow_io_watch(socket->io, (socket->yielded || socket->held ? 0 : TOW_IO_READ) |
	                                 (socket->blocked ? TOW_IO_WRITE : 0));
}

static void on_ready(void *user, int events)
{
	struct tow_udp_socket *socket = user;
	struct receive_area *area = area_of(socket->loop);

	socket->receiving = 1;
	if (events & TOW_IO_WRITE && socket->blocked) {
		socket->blocked = 0;
		watch(socket);
		if (socket->events.writable)
			socket->events.writable(socket->user);
	}
	if (events & TOW_IO_ERROR && socket->events.unreachable && !socket->freed)
		tow__udp_errors_read(socket);
	for (int i = 0; i < BATCHES_PER_TURN && area && !socket->freed && !socket->yielded; i++)
		if (!receive_batch(socket, area))
			break;
	socket->receiving = 0;
	if (socket->freed)
		free(socket);
}

/* --- sending --- */

void tow__udp_control_add(struct tow__udp_control *control, int level, int type, const void *data,
                          size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)(control->u.bytes + control->len);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	control->len += CMSG_SPACE(len);
}

void tow__udp_control_source(struct tow__udp_control *control, const struct tow_udp_socket *socket,
                             const struct tow_addr *local, int v4, uint8_t ecn)
{
	struct in6_pktinfo info6 = { 0 };
	struct in_pktinfo info4 = { 0 };
	int tos = ecn & 3;

	/* A datagram to an IPv4 address takes IPv4's options, on an IPv6 socket too. */
	if (socket->wildcard && local && local->family == 4 && v4) {
		memcpy(&info4.ipi_spec_dst, local->bytes, 4);
		tow__udp_control_add(control, IPPROTO_IP, IP_PKTINFO, &info4, sizeof info4);
	} else if (socket->wildcard && local && local->family == 6 && !v4) {
		memcpy(&info6.ipi6_addr, local->bytes, 16);
		tow__udp_control_add(control, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
	}
	if (tos)
		tow__udp_control_add(control, v4 ? IPPROTO_IP : IPPROTO_IPV6,
		                     v4 ? IP_TOS : IPV6_TCLASS, &tos, sizeof tos);
}

/* Sends bytes as datagrams of segment bytes, one sendmmsg for up to TOW__UDP_SEGMENTS_MAX of them.
 * Returns how many bytes the kernel took, or -1 with errno. */
static ssize_t send_each(const struct tow_udp_socket *socket, const struct msghdr *model,
                         const uint8_t *bytes, size_t len, size_t segment)
{
	struct mmsghdr messages[TOW__UDP_SEGMENTS_MAX];
	struct iovec iovs[TOW__UDP_SEGMENTS_MAX];
	unsigned count = 0;
	ssize_t taken = 0;
	int n;

	for (size_t at = 0; at < len && count < TOW__UDP_SEGMENTS_MAX; at += segment, count++) {
		iovs[count].iov_base = (void *)(uintptr_t)(bytes + at);
		iovs[count].iov_len = len - at < segment ? len - at : segment;
		messages[count].msg_hdr = *model;
		messages[count].msg_hdr.msg_iov = &iovs[count];
	}
	n = sendmmsg(socket->fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -1;
	for (int i = 0; i < n; i++)
		taken += (ssize_t)iovs[i].iov_len;
	return taken;
}

/* As send_each, with one sendmsg. */
static ssize_t send_run(const struct tow_udp_socket *socket, const struct msghdr *model,
                        struct tow__udp_control *control, const uint8_t *bytes, size_t len,
                        size_t segment)
{
	size_t most =
		segment && segment <= TOW__UDP_GSO_BYTES_MAX ? TOW__UDP_GSO_BYTES_MAX / segment : 1;
	struct tow__udp_control with_segment = *control;
	uint16_t size = (uint16_t)segment;
	struct msghdr message = *model;
	struct iovec iov;

	if (most > TOW__UDP_SEGMENTS_MAX)
		most = TOW__UDP_SEGMENTS_MAX;
	iov.iov_base = (void *)(uintptr_t)bytes;
	iov.iov_len = len < most * segment ? len : most * segment;
	message.msg_iov = &iov;
	if (iov.iov_len > segment) {
		tow__udp_control_add(&with_segment, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
		message.msg_control = with_segment.u.bytes;
		message.msg_controllen = with_segment.len;
	}
	return sendmsg(socket->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sends some of it. Returns as send_each does. */
static ssize_t send_some(struct tow_udp_socket *socket, const struct msghdr *model,
                         struct tow__udp_control *control, const uint8_t *bytes, size_t len,
                         size_t segment)
{
	ssize_t n;

	if (socket->gso_refused && len > segment)
		return send_each(socket, model, bytes, len, segment);
	n = send_run(socket, model, control, bytes, len, segment);
	if (n >= 0 || len <= segment || (errno != EIO && errno != EINVAL))
		return n;
	/* Either segmentation is not to be had, or something else is wrong: one by
	 * one will tell. */
	n = send_each(socket, model, bytes, len, segment);
	if (n >= 0)
		socket->gso_refused = 1;
	return n;
}

int tow_udp_send(struct tow_udp_socket *socket, const struct tow_addr *remote,
                 const struct tow_addr *local, uint8_t ecn, const uint8_t *bytes, size_t len,
                 size_t segment, size_t *sent)
{
	struct tow__udp_control control = { .len = 0 };
	struct sockaddr_storage sa;
	struct msghdr model = { .msg_name = &sa, .msg_iovlen = 1 };
	/* It may be of another datagram, as errors.c says. */
	int error_counts = !socket->events.unreachable;
	size_t done = 0;
	int status = 0;

	assert(!socket->connected);
	model.msg_namelen = tow__addr_to_sockaddr_for(socket->family, remote, &sa);
	tow__udp_control_source(&control, socket, local, remote->family == 4, ecn);
	if (control.len) {
		model.msg_control = control.u.bytes;
		model.msg_controllen = control.len;
	}
	if (!segment || segment > len)
		segment = len;
	do {
		ssize_t n = send_some(socket, &model, &control, bytes + done, len - done, segment);
		if (n >= 0) {
			done += (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			socket->blocked = 1;
			watch(socket);
			status = TOW_BLOCKED;
		} else if (!error_counts) {
			error_counts = 1;
		} else if (errno == EMSGSIZE) {
			status = TOW_ETOOBIG;
		} else if (errno == EBADF || errno == EFAULT || errno == ENOTSOCK) {
			status = TOW_EIO;
		} else if (errno != EINTR) {
			/* The path's trouble (no route, refused, filtered): as good as lost. */
			done = len;
		}
	} while (!status && done < len);
	if (sent)
		*sent = done;
	return status;
}

/* --- lifetime --- */

static int connect_to(struct tow_udp_socket *s, const struct tow_addr *remote,
                      struct tow_error *err)
{
	char text[TOW_ADDR_TEXT_SIZE];
	struct sockaddr_storage sa;
	socklen_t len = tow_addr_to_sockaddr(remote, &sa);
	int saved_errno;

	s->connected = 1;
	s->family = sa.ss_family;
	s->fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd >= 0 && !connect(s->fd, (struct sockaddr *)&sa, len)) {
		len = sizeof sa;
		getsockname(s->fd, (struct sockaddr *)&sa, &len);
		return tow_addr_from_sockaddr((struct sockaddr *)&sa, &s->addr);
	}
	saved_errno = errno;
	if (s->fd >= 0)
		close(s->fd);
	return tow_error_set(err, tow__socket_error(saved_errno), "cannot send to %s: %s",
	                     tow_addr_format(remote, text), strerror(saved_errno));
}

static int lend(void *owner, int *fd, int *channel)
{
	struct tow_udp_socket *socket = owner;
	int fds[2];

	/* one that is there is of a process that has failed */
	tow_udp_socket_reclaim(socket);
	if (tow__udp_channel_pair(fds))
		return TOW_EIO;
	socket->after = tow__udp_channel_new(socket, fds[0]);
	if (!socket->after) {
		close(fds[1]);
		return TOW_ENOMEM;
	}
	*fd = socket->fd;
	*channel = fds[1];
	return 0;
}

static void release(void *owner)
{
	struct tow_udp_socket *socket = owner;

	socket->held = 0;
	watch(socket);
}

int tow_udp_socket_new(struct tow_loop *loop, const struct tow_udp_config *config,
                       const struct tow_udp_events *events, void *user, struct tow_udp_socket **out,
                       struct tow_error *err)
{
	const struct tow__bind bind = {
		.inherited = loop->inherited,
		.type = SOCK_DGRAM,
		.addr = config->bind,
		.dual_stack = config->dual_stack,
		.sharing = config->sharing,
	};
	struct tow_udp_socket *socket = calloc(1, sizeof *socket);
	int status, channel = -1;

	if (!socket)
		return tow_error_set(err, TOW_EIO, "out of memory");
	socket->loop = loop;
	socket->events = *events;
	socket->user = user;
	socket->urgent = config->urgent;
	if (config->connect.family)
		status = connect_to(socket, &config->connect, err);
	else
		status = tow__socket_bind(&bind, &socket->fd, &socket->family, &channel,
		                          &socket->addr, err);
	if (status) {
		free(socket);
		return status;
	}
	socket->wildcard = tow__addr_is_any(&socket->addr);
	set_options(socket, config);
	if (channel >= 0)
		socket->before = tow__udp_channel_new(socket, channel);
	socket->io = tow_io_new(loop, socket->fd, on_ready, socket);
	if (!socket->io) {
		tow__udp_channel_free(socket->before);
		close(socket->fd);
		free(socket);
		return tow_error_set(err, TOW_EIO, "cannot watch a UDP socket");
	}
	if (!socket->connected) {
		socket->held = loop->held && !socket->urgent;
		socket->bound = (struct tow__bound){ lend, release, socket, NULL, NULL };
		tow__bound_enter(loop, &socket->bound);
	}
	watch(socket);
	*out = socket;
	return 0;
}

void tow_udp_socket_free(struct tow_udp_socket *socket)
{
	if (!socket)
		return;
	if (socket->queued)
		tow__udp_outbox_flush(socket->loop);
	tow_io_free(socket->io);
	if (!socket->connected)
		tow__bound_leave(socket->loop, &socket->bound);
	if (socket->before || socket->after)
		tow_loop_disown(socket->loop, socket->fd);
	tow__udp_channel_free(socket->before);
	tow__udp_channel_free(socket->after);
	close(socket->fd);
	socket->freed = 1;
	if (!socket->receiving)
		free(socket);
}

const struct tow_addr *tow_udp_socket_addr(const struct tow_udp_socket *socket)
{
	return &socket->addr;
}

int tow_udp_socket_fd(const struct tow_udp_socket *socket)
{
	return socket->fd;
}

/* --- with other processes --- */

void tow__udp_channel_lost(struct tow_udp_socket *socket, struct tow__udp_channel *channel)
{
	if (channel == socket->after) {
		tow_udp_socket_reclaim(socket);
	} else {
		socket->before = NULL;
		tow__udp_channel_free(channel);
	}
}

void tow_udp_socket_yield(struct tow_udp_socket *socket)
{
	if (!socket->after)
		return;
	socket->yielded = 1;
	watch(socket);
}

void tow_udp_socket_reclaim(struct tow_udp_socket *socket)
{
	tow__udp_channel_free(socket->after);
	socket->after = NULL;
	socket->yielded = 0;
	watch(socket);
}

int tow_udp_socket_has_before(const struct tow_udp_socket *socket)
{
	return socket->before != NULL;
}

int tow_udp_pass(struct tow_udp_socket *socket, const struct tow_udp_packet *packet)
{
	if (socket->before && !packet->passed &&
	    tow__udp_channel_send(socket->before, packet) != TOW_ECLOSED)
		return 1;
	return socket->after && (socket->yielded || socket->urgent) &&
	       tow__udp_channel_send(socket->after, packet) != TOW_ECLOSED;
}
