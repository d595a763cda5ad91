/* SPDX-License-Identifier: MIT */
#include "tcp/socket.h"

#include "loop/loop.h"
#include "runtime/inherited.h"

#include <towonel/wire/limits.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG           4096
#define ACCEPTS_PER_TURN  64 /* then other descriptors get their turn */
#define SHORTAGE_PAUSE_NS (100 * TOW_NSEC_PER_MSEC)

struct tow_tcp_listener {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_io *io;
	struct tow_timer resume;
	struct tow_log_gate gate;
	int fd;
	struct tow_addr addr;
	int wildcard;
	int paused;
	int held; /* the loop's are, or it was made while they were */
	int lent; /* to another process */
	struct tow__bound bound;
	int accepting; /* a callback may free the listener: */
	int freed;     /* then on_ready does it */
	tow_tcp_accepted accepted;
	void *user;
};

static void watch(struct tow_tcp_listener *listener)
{
	int waits = listener->resume.deadline_ns != TOW_NEVER;

	tow_io_watch(listener->io, listener->paused || listener->held || waits ? 0 : TOW_IO_READ);
}

static void on_resume(void *user)
{
	watch(user);
}

/* Without a descriptor to accept with, the queue would wake the loop again and again. */
static void pause_for_shortage(struct tow_tcp_listener *listener, int error_number)
{
	uint64_t suppressed;

	if (tow_log_gate_open(&listener->gate, tow_loop_now_ns(listener->loop), &suppressed))
		tow_log_error(listener->log, "cannot accept connections",
		              tow_f_addr("on", &listener->addr),
		              tow_f_str("error", strerror(error_number)),
		              tow_f_uint("more", suppressed));
	if (!tow_timer_start_in(&listener->resume, SHORTAGE_PAUSE_NS))
		watch(listener);
}

static void hand_over(struct tow_tcp_listener *listener, int fd, const struct sockaddr_storage *sa)
{
	struct tow_addr peer, local = listener->addr;
	struct sockaddr_storage own;
	socklen_t len = sizeof own;

	if (tow_addr_from_sockaddr((const struct sockaddr *)sa, &peer) ||
	    (listener->wildcard && (getsockname(fd, (struct sockaddr *)&own, &len) ||
	                            tow_addr_from_sockaddr((struct sockaddr *)&own, &local)))) {
		close(fd);
		return;
	}
	listener->accepted(listener->user, fd, &peer, &local);
}

static void accept_some(struct tow_tcp_listener *listener)
{
	for (int i = 0; i < ACCEPTS_PER_TURN && !listener->freed && !listener->paused; i++) {
		struct sockaddr_storage sa;
		socklen_t len = sizeof sa;
		int fd = accept4(listener->fd, (struct sockaddr *)&sa, &len,
		                 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			hand_over(listener, fd, &sa);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		           errno == ENOMEM) {
			pause_for_shortage(listener, errno);
			return;
		}
		/* Others are of the connection that was to be accepted, which is gone. */
	}
}

static void on_ready(void *user, int events)
{
	struct tow_tcp_listener *listener = user;

	(void)events;
	listener->accepting = 1;
	accept_some(listener);
	listener->accepting = 0;
	if (listener->freed)
		free(listener);
}

static int lend(void *owner, int *fd, int *channel)
{
	struct tow_tcp_listener *listener = owner;

	(void)channel;
	listener->lent = 1;
	*fd = listener->fd;
	return 0;
}

static void release(void *owner)
{
	struct tow_tcp_listener *listener = owner;

	listener->held = 0;
	watch(listener);
}

int tow_tcp_listener_new(struct tow_loop *loop, struct tow_log *log, const struct tow_addr *addr,
                         int dual_stack, enum tow_port_sharing sharing,
                         tow_tcp_accepted accepted, void *user, struct tow_tcp_listener **out,
                         struct tow_error *err)
{
	const struct tow__bind bind = { .inherited = loop->inherited,
		                        .type = SOCK_STREAM,
		                        .addr = *addr,
		                        .dual_stack = dual_stack,
		                        .sharing = sharing };
	struct tow_tcp_listener *listener = calloc(1, sizeof *listener);
	char text[TOW_ADDR_TEXT_SIZE];
	int status, family;

	if (!listener)
		return tow_error_set(err, TOW_EIO, "out of memory");
	listener->loop = loop;
	listener->log = log;
	listener->accepted = accepted;
	listener->user = user;
	tow_timer_init(&listener->resume, loop, on_resume, listener);
	status = tow__socket_bind(&bind, &listener->fd, &family, NULL, &listener->addr, err);
	if (status) {
		free(listener);
		return status;
	}
	listener->wildcard = tow__addr_is_any(&listener->addr);
	/* what is accepted inherits them, and needs no calls of its own */
	tow__socket_set_options(listener->fd);
	if (listen(listener->fd, BACKLOG)) {
		status = tow_error_set(err, tow__socket_error(errno), "cannot listen on TCP %s: %s",
		                       tow_addr_format(addr, text), strerror(errno));
		goto fail;
	}
	listener->io = tow_io_new(loop, listener->fd, on_ready, listener);
	if (!listener->io) {
		status = tow_error_set(err, TOW_EIO, "cannot watch TCP %s",
		                       tow_addr_format(addr, text));
		goto fail;
	}
	listener->held = loop->held;
	listener->bound = (struct tow__bound){ lend, release, listener, NULL, NULL };
	tow__bound_enter(loop, &listener->bound);
	watch(listener);
	*out = listener;
	return 0;
fail:
	close(listener->fd);
	free(listener);
	return status;
}

void tow_tcp_listener_free(struct tow_tcp_listener *listener)
{
	if (!listener)
		return;
	tow_timer_stop(&listener->resume);
	tow__bound_leave(listener->loop, &listener->bound);
	tow_io_free(listener->io);
	if (listener->lent)
		tow_loop_disown(listener->loop, listener->fd);
	close(listener->fd);
	listener->freed = 1;
	if (!listener->accepting)
		free(listener);
}

void tow_tcp_listener_pause(struct tow_tcp_listener *listener, int paused)
{
	listener->paused = paused;
	watch(listener);
}

void tow_tcp_listener_defer(struct tow_tcp_listener *listener)
{
	const int seconds = 1;

	/* What is not there is done without. */
	setsockopt(listener->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
}

const struct tow_addr *tow_tcp_listener_addr(const struct tow_tcp_listener *listener)
{
	return &listener->addr;
}
