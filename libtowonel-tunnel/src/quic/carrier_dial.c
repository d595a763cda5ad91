/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/quic_carrier.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <towonel/tunnel/proxy.h>
#include <towonel/tunnel/tcp.h>
#include <towonel/wire/hostname.h>
#include <towonel/wire/limits.h>

/*
 *     DIAL ──► PROXY ──► HANDSHAKE ──► SETTLED ──► done
 *       '──────────────────▲  │            ▲
 *       '─────────────────────'── failed ──'
 *
 * The peer shows its key here, too, so that whoever sits between cannot even be a carrier; what
 * counts is the connection's own check inside.
 */

enum dial_state { DIAL, PROXY, HANDSHAKE, SETTLED };

struct tow_quic_carrier_dial {
	enum dial_state state;
	struct tow_loop *loop;
	struct tow_quic_endpoint *endpoint;
	char host[TOW_HOSTNAME_SIZE];
	uint16_t port;
	struct tow_id peer;
	const struct tow_proxy *proxy; /* NULL: none */
	struct tow_tcp_dial *tcp;
	struct tow_proxy_connect *asked;
	int fd;
	struct tow_tls *tls;
	struct tow_io *io;
	struct tow_timer deadline;
	struct tow_task tell;
	struct tow_quic_carrier *carrier;
	struct tow_error err;
	tow_quic_carrier_dialled done;
	void *user;
};

static void let_go(struct tow_quic_carrier_dial *dial)
{
	tow_timer_stop(&dial->deadline);
	tow_tcp_dial_cancel(dial->tcp);
	dial->tcp = NULL;
	tow_proxy_connect_cancel(dial->asked);
	dial->asked = NULL;
	if (dial->io)
		tow_io_free(dial->io);
	dial->io = NULL;
	tow_tls_free(dial->tls);
	dial->tls = NULL;
	if (dial->fd >= 0)
		close(dial->fd);
	dial->fd = -1;
}

static void on_tell(void *user)
{
	struct tow_quic_carrier_dial *dial = user;

	dial->done(dial->user, dial->err.code, dial->carrier, dial->err.code ? &dial->err : NULL);
	free(dial);
}

static void fail(struct tow_quic_carrier_dial *dial, const struct tow_error *err)
{
	dial->err = *err;
	let_go(dial);
	dial->state = SETTLED;
	tow_task_schedule(&dial->tell);
}

static void fail_with(struct tow_quic_carrier_dial *dial, int code, const char *text)
{
	struct tow_error err;

	tow_error_set(&err, code, "%s", text);
	fail(dial, &err);
}

static void become_carrier(struct tow_quic_carrier_dial *dial)
{
	struct tow_quic_carrier_config config = {
		.endpoint = dial->endpoint,
		.fd = dial->fd,
		.tls = dial->tls,
	};
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (getsockname(dial->fd, (struct sockaddr *)&addr, &len) == 0)
		(void)tow_addr_from_sockaddr((struct sockaddr *)&addr, &config.local);
	len = sizeof(addr);
	if (getpeername(dial->fd, (struct sockaddr *)&addr, &len) == 0)
		(void)tow_addr_from_sockaddr((struct sockaddr *)&addr, &config.remote);
	if (!config.local.family || !config.remote.family) {
		fail_with(dial, TOW_ERESET, "the connection was reset");
		return;
	}
	tow_io_free(dial->io);
	dial->io = NULL;
	if (tow_quic_carrier_new(&config, &dial->carrier) != 0) {
		fail_with(dial, TOW_ENOMEM, "out of memory");
		return;
	}
	dial->fd = -1;
	dial->tls = NULL;
	let_go(dial);
	dial->state = SETTLED;
	tow_task_schedule(&dial->tell);
}

static void on_ready(void *user, int events)
{
	struct tow_quic_carrier_dial *dial = user;
	struct tow_error err = { 0 };
	const char *alpn;
	int rc = tow_tls_handshake(dial->tls, &err);

	(void)events;
	if (rc == TOW_BLOCKED) {
		tow_io_watch(dial->io, tow_tls_events(dial->tls));
		return;
	}
	if (rc != 0) {
		fail(dial, &err);
		return;
	}
	alpn = tow_tls_alpn(dial->tls);
	if (!alpn || strcmp(alpn, TOW_CARRIER_ALPN) != 0)
		fail_with(dial, TOW_ETLS, "the edge takes no QUIC over TCP");
	else
		become_carrier(dial);
}

static void shake_hands(struct tow_quic_carrier_dial *dial)
{
	struct tow_tls_context *context = NULL;
	struct tow_error err = { 0 };
	int rc = tow_tls_context_new_pinning(TOW_CARRIER_ALPN, &context, &err);

	if (rc == 0)
		rc = tow_tls_new_pinned(context, dial->fd, dial->host, &dial->peer, &dial->tls);
	tow_tls_context_free(context);
	dial->io = rc == 0 ? tow_io_new(dial->loop, dial->fd, on_ready, dial) : NULL;
	if (!dial->io) {
		fail_with(dial, rc ? rc : TOW_ENOMEM, tow_strerror(rc ? rc : TOW_ENOMEM));
		return;
	}
	dial->state = HANDSHAKE;
	on_ready(dial, 0);
}

static void on_proxy_answered(void *user, int status, const struct tow_error *err)
{
	struct tow_quic_carrier_dial *dial = user;

	dial->asked = NULL;
	if (status != 0)
		fail(dial, err);
	else
		shake_hands(dial);
}

static void on_connected(void *user, int status, int fd, const struct tow_error *err)
{
	struct tow_quic_carrier_dial *dial = user;

	dial->tcp = NULL;
	dial->fd = fd;
	if (status != 0) {
		fail(dial, err);
		return;
	}
	if (!dial->proxy) {
		shake_hands(dial);
		return;
	}
	dial->state = PROXY;
	if (tow_proxy_connect_start(dial->loop, dial->proxy, fd, dial->host, dial->port,
	                            TOW_CARRIER_DIAL_MS * TOW_NSEC_PER_MSEC, on_proxy_answered,
	                            dial, &dial->asked) != 0)
		fail_with(dial, TOW_ENOMEM, "out of memory");
}

static void on_deadline(void *user)
{
	struct tow_quic_carrier_dial *dial = user;

	fail_with(dial, TOW_ETIMEDOUT,
	          dial->state == HANDSHAKE ? "no answer to the TLS handshake"
	          : dial->state == PROXY   ? "the proxy does not answer"
	                                   : "cannot connect: timed out");
}

int tow_quic_carrier_dial_start(const struct tow_quic_carrier_dial_config *config,
                                struct tow_quic_carrier_dial **out)
{
	struct tow_quic_carrier_dial *dial = calloc(1, sizeof(*dial));
	const struct tow_proxy *proxy;
	int rc;

	if (!dial)
		return TOW_ENOMEM;
	proxy = config->proxies ? tow_proxies_find(config->proxies, config->host) : NULL;
	dial->loop = config->loop;
	dial->endpoint = config->endpoint;
	snprintf(dial->host, sizeof(dial->host), "%s", config->host);
	dial->port = config->port;
	dial->peer = *config->peer;
	dial->proxy = proxy;
	dial->fd = -1;
	dial->done = config->done;
	dial->user = config->user;
	tow_timer_init(&dial->deadline, dial->loop, on_deadline, dial);
	tow_task_init(&dial->tell, dial->loop, on_tell, dial);
	rc = tow_timer_start_in(&dial->deadline, TOW_CARRIER_DIAL_MS * TOW_NSEC_PER_MSEC);
	if (rc == 0)
		rc = tow_tcp_dial_start(dial->loop, proxy ? proxy->host : dial->host,
		                        proxy ? proxy->port : dial->port, 0, on_connected, dial,
		                        &dial->tcp);
	if (rc != 0) {
		tow_timer_stop(&dial->deadline);
		free(dial);
		return rc;
	}
	*out = dial;
	return 0;
}

void tow_quic_carrier_dial_cancel(struct tow_quic_carrier_dial *dial)
{
	if (!dial)
		return;
	let_go(dial);
	tow_task_cancel(&dial->tell);
	tow_quic_carrier_free(dial->carrier);
	free(dial);
}
