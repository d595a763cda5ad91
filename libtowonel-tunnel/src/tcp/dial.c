/* SPDX-License-Identifier: MIT */
#include "tcp/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Happy Eyeballs (RFC 8305): the addresses of a name are tried in turn, families alternating; the
 * next one starts when the last has failed or has not answered in 250 ms, and the first that
 * answers wins.
 *
 *     RESOLVING ──► CONNECTING ──► SETTLED ──► done
 *         └──── timeout, failure ────▲
 *
 * SETTLED lasts until the end of the loop's turn, so that the callback never comes from within
 * start.
 */

#define NEXT_ATTEMPT_NS (250 * TOW_NSEC_PER_MSEC)

struct attempt {
	struct tow_tcp_dial *dial;
	struct tow_io *io;
	int fd; /* -1: none, or over */
};

enum dial_state { RESOLVING, CONNECTING, SETTLED };

struct tow_tcp_dial {
	struct tow_loop *loop;
	enum dial_state state;
	char host[256];
	uint16_t port;
	struct tow_resolve *resolve;
	struct tow_addr addrs[TOW_RESOLVE_MAX];
	struct attempt attempts[TOW_RESOLVE_MAX];
	size_t count, started, failed;
	struct tow_timer next, deadline;
	struct tow_task tell;
	int status, fd; /* once SETTLED */
	struct tow_error err;
	tow_tcp_dialled done;
	void *user;
};

static void end_attempt(struct attempt *attempt)
{
	if (attempt->fd < 0)
		return;
	tow_io_free(attempt->io);
	close(attempt->fd);
	attempt->io = NULL;
	attempt->fd = -1;
}

static void let_go(struct tow_tcp_dial *dial)
{
	tow_resolve_cancel(dial->resolve);
	dial->resolve = NULL;
	for (size_t i = 0; i < dial->started; i++)
		end_attempt(&dial->attempts[i]);
	tow_timer_stop(&dial->next);
	tow_timer_stop(&dial->deadline);
}

static void settle(struct tow_tcp_dial *dial, int status, int fd)
{
	let_go(dial);
	dial->state = SETTLED;
	dial->status = status;
	dial->fd = fd;
	tow_task_schedule(&dial->tell);
}

static void on_tell(void *user)
{
	struct tow_tcp_dial *dial = user;

	dial->done(dial->user, dial->status, dial->fd, dial->status ? &dial->err : NULL);
	free(dial);
}

static void start_next(struct tow_tcp_dial *dial);

static void won(struct attempt *attempt)
{
	int fd = attempt->fd;

	tow_io_free(attempt->io);
	attempt->io = NULL;
	attempt->fd = -1;
	tow__socket_set_options(fd);
	settle(attempt->dial, 0, fd);
}

static void lost(struct attempt *attempt, int error_number)
{
	struct tow_tcp_dial *dial = attempt->dial;
	int status = tow__socket_error(error_number);
	char text[TOW_ADDR_TEXT_SIZE];

	if (status != TOW_EREFUSED && status != TOW_ETIMEDOUT)
		status = TOW_EIO;
	end_attempt(attempt);
	/* That one address is not reachable at all says less than that another one refuses. */
	if (!dial->failed++ || status != TOW_EIO)
		tow_error_set(&dial->err, status, "cannot connect to %s port %u (%s): %s",
		              dial->host, dial->port,
		              tow_addr_format_host(&dial->addrs[attempt - dial->attempts], text),
		              strerror(error_number));
	if (dial->failed == dial->count)
		settle(dial, dial->err.code, -1);
	else if (dial->failed == dial->started || dial->started < dial->count)
		start_next(dial);
}

static void on_ready(void *user, int events)
{
	struct attempt *attempt = user;
	int error_number = 0;
	socklen_t len = sizeof error_number;

	(void)events;
	getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error_number, &len);
	if (error_number)
		lost(attempt, error_number);
	else
		won(attempt);
}

/* Returns 0, or an errno: EINPROGRESS when the answer will come. */
static int begin(struct attempt *attempt, const struct tow_addr *addr)
{
	struct sockaddr_storage sa;
	socklen_t len = tow_addr_to_sockaddr(addr, &sa);

	attempt->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (attempt->fd < 0)
		return errno;
	if (!connect(attempt->fd, (struct sockaddr *)&sa, len))
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	/* A peer on this host has answered by now: asking again saves the poller. */
	if (tow_addr_is_loopback(addr) &&
	    (!connect(attempt->fd, (struct sockaddr *)&sa, len) || errno == EISCONN))
		return 0;
	if (errno != EINPROGRESS && errno != EALREADY)
		return errno;
	attempt->io = tow_io_new(attempt->dial->loop, attempt->fd, on_ready, attempt);
	if (!attempt->io)
		return ENOMEM;
	tow_io_watch(attempt->io, TOW_IO_WRITE);
	return EINPROGRESS;
}

static void start_next(struct tow_tcp_dial *dial)
{
	struct attempt *attempt = &dial->attempts[dial->started];
	int result;

	if (dial->state != CONNECTING || dial->started == dial->count)
		return;
	attempt->dial = dial;
	result = begin(attempt, &dial->addrs[dial->started++]);
	if (!result) {
		won(attempt);
	} else if (result != EINPROGRESS) {
		lost(attempt, result);
	} else if (dial->started < dial->count &&
	           tow_timer_start_in(&dial->next, NEXT_ATTEMPT_NS)) {
		/* Without a timer there is no waiting: all at once, then. */
		start_next(dial);
	}
}

static void on_next(void *user)
{
	start_next(user);
}

static void on_deadline(void *user)
{
	struct tow_tcp_dial *dial = user;

	tow_error_set(&dial->err, TOW_ETIMEDOUT, "cannot connect to %s port %u: %s", dial->host,
	              dial->port,
	              dial->state == RESOLVING ? "timed out resolving the name" : "timed out");
	settle(dial, TOW_ETIMEDOUT, -1);
}

/* Alternates the families, starting with that of the first, each in its own order. */
static void interleave(struct tow_addr *out, const struct tow_addr *addrs, size_t count)
{
	size_t at[2] = { 0, 0 };
	uint8_t first = addrs[0].family;

	for (size_t i = 0, other = 0; i < count; i++, other = !other) {
		for (int tries = 0; tries < 2; tries++, other = !other) {
			size_t *p = &at[other];
			while (*p < count && (addrs[*p].family == first) == (int)other)
				++*p;
			if (*p < count)
				break;
		}
		out[i] = addrs[at[other]++];
	}
}

static void on_resolved(void *user, int status, const struct tow_addr *addrs, size_t count,
                        const struct tow_error *err)
{
	struct tow_tcp_dial *dial = user;

	dial->resolve = NULL;
	if (status) {
		dial->err = *err;
		settle(dial, status, -1);
		return;
	}
	interleave(dial->addrs, addrs, count);
	dial->count = count;
	dial->state = CONNECTING;
	start_next(dial);
}

int tow_tcp_dial_start(struct tow_loop *loop, const char *host, uint16_t port, uint64_t timeout_ns,
                       tow_tcp_dialled done, void *user, struct tow_tcp_dial **out)
{
	struct tow_tcp_dial *dial;
	int status = TOW_ENOMEM;

	if (strlen(host) >= sizeof dial->host)
		return TOW_EINVAL;
	dial = calloc(1, sizeof *dial);
	if (!dial)
		return TOW_ENOMEM;
	dial->loop = loop;
	dial->port = port;
	dial->done = done;
	dial->user = user;
	snprintf(dial->host, sizeof dial->host, "%s", host);
	tow_timer_init(&dial->next, loop, on_next, dial);
	tow_timer_init(&dial->deadline, loop, on_deadline, dial);
	tow_task_init(&dial->tell, loop, on_tell, dial);
	if (timeout_ns && tow_timer_start_in(&dial->deadline, timeout_ns))
		goto fail;
	if (!tow_addr_parse_host(tow_slice_of(host), &dial->addrs[0])) {
		dial->addrs[0].port = port;
		dial->count = 1;
		dial->state = CONNECTING;
		start_next(dial);
	} else {
		status = tow_resolve_start(loop, host, port, on_resolved, dial, &dial->resolve);
		if (status)
			goto fail;
	}
	*out = dial;
	return 0;
fail:
	tow_timer_stop(&dial->deadline);
	free(dial);
	return status;
}

void tow_tcp_dial_cancel(struct tow_tcp_dial *dial)
{
	if (!dial)
		return;
	let_go(dial);
	tow_task_cancel(&dial->tell);
	if (dial->state == SETTLED && dial->fd >= 0)
		close(dial->fd);
	free(dial);
}
