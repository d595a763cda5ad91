/* SPDX-License-Identifier: MIT */
#include "origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <towonel/tunnel/tcp.h>
#include <towonel/wire/proxy_header.h>

struct origin_dial {
	struct tow_loop *loop;
	struct tow_tls_context *context; /* NULL: no TLS */
	char server_name[TOW_HOSTNAME_SIZE];
	uint8_t greeting[TOW_PROXY_HEADER_MAX];
	size_t greeting_len;
	origin_dialled done;
	void *user;

	struct tow_tcp_dial *dial; /* DIAL */
	int fd;
	struct tow_tls *tls; /* HANDSHAKE */
	struct tow_io *io;
	struct tow_timer timer;
};

void tow__origin_tls_deinit(struct origin_tls *tls)
{
	tow_tls_context_free(tls->verified);
	tow_tls_context_free(tls->local);
	memset(tls, 0, sizeof *tls);
}

static int context_for(struct origin_tls *tls, const struct tow_service *service,
                       struct tow_tls_context **out)
{
	struct tow_addr addr;
	int local = tow_addr_parse_host(tow_slice_of(service->origin_host), &addr) == 0 &&
	            tow_addr_is_loopback(&addr);
	struct tow_tls_context **slot = local ? &tls->local : &tls->verified;
	if (!*slot) {
		int rc = tow_tls_context_new_client(NULL, local, NULL, slot, NULL);
		if (rc != 0)
			return rc;
	}
	*out = *slot;
	return 0;
}

static void dial_free(struct origin_dial *d)
{
	tow_timer_stop(&d->timer);
	tow_io_free(d->io);
	tow_tls_free(d->tls);
	if (d->fd >= 0)
		close(d->fd);
	if (d->dial)
		tow_tcp_dial_cancel(d->dial);
	free(d);
}

static void finish(struct origin_dial *d, int status, const struct tow_error *err)
{
	origin_dialled done = d->done;
	void *user = d->user;
	int fd = -1;
	struct tow_tls *tls = NULL;

	if (status == 0) {
		fd = d->fd;
		tls = d->tls;
		d->fd = -1;
		d->tls = NULL;
	}
	dial_free(d);
	done(user, status, fd, tls, err);
}

static void shake(void *user, int events)
{
	struct origin_dial *d = user;
	struct tow_error err = { 0 };
	(void)events;
	int rc = tow_tls_handshake(d->tls, &err);
	if (rc == TOW_BLOCKED)
		tow_io_watch(d->io, tow_tls_events(d->tls));
	else
		finish(d, rc, &err);
}

static void timed_out(void *user)
{
	struct tow_error err;
	tow_error_set(&err, TOW_ETIMEDOUT, "the TLS handshake with the origin takes too long");
	finish(user, TOW_ETIMEDOUT, &err);
}

static int start_tls(struct origin_dial *d)
{
	int rc = tow_tls_new(d->context, d->fd, d->server_name, &d->tls);
	if (rc != 0)
		return rc;
	d->io = tow_io_new(d->loop, d->fd, shake, d);
	if (!d->io)
		return TOW_ENOMEM;
	tow_io_watch(d->io, TOW_IO_WRITE);
	return tow_timer_start_in(&d->timer, ORIGIN_DIAL_TIMEOUT_NS);
}

/* A fresh socket's buffer takes a PROXY header whole; if it does not, the origin is in no state to
 * serve. */
static int greet(const struct origin_dial *d)
{
	if (d->greeting_len == 0)
		return 0;
	ssize_t n = send(d->fd, d->greeting, d->greeting_len, MSG_NOSIGNAL);
	return n == (ssize_t)d->greeting_len ? 0 : TOW_EIO;
}

static void connected(void *user, int status, int fd, const struct tow_error *err)
{
	struct origin_dial *d = user;
	struct tow_error reason;
	d->dial = NULL;
	if (status != 0) {
		finish(d, status, err);
		return;
	}
	d->fd = fd;
	status = greet(d);
	if (status == 0 && d->context) {
		status = start_tls(d);
		if (status == 0)
			return;
	}
	if (status != 0)
		tow_error_set(&reason, status, "%s", tow_strerror(status));
	finish(d, status, status ? &reason : NULL);
}

int tow__origin_dial(struct tow_loop *loop, struct origin_tls *tls,
                     const struct tow_service *service, struct tow_slice greeting,
                     origin_dialled done, void *user, struct origin_dial **out)
{
	struct origin_dial *d = calloc(1, sizeof *d);
	int rc = 0;
	if (!d)
		return TOW_ENOMEM;
	d->loop = loop;
	d->fd = -1;
	d->done = done;
	d->user = user;
	tow_timer_init(&d->timer, loop, timed_out, d);
	d->greeting_len = greeting.len < sizeof d->greeting ? greeting.len : 0;
	if (d->greeting_len)
		memcpy(d->greeting, greeting.base, d->greeting_len);
	if (service->origin_server_name[0]) {
		memcpy(d->server_name, service->origin_server_name, sizeof d->server_name);
		rc = context_for(tls, service, &d->context);
	}
	if (rc == 0)
		rc = tow_tcp_dial_start(loop, service->origin_host, service->origin_port,
		                        ORIGIN_DIAL_TIMEOUT_NS, connected, d, &d->dial);
	if (rc != 0) {
		dial_free(d);
		return rc;
	}
	*out = d;
	return 0;
}

void tow__origin_dial_cancel(struct origin_dial *dial)
{
	dial_free(dial);
}
