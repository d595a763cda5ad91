/* SPDX-License-Identifier: MIT */

#include "listener.h"

#include <stdlib.h>
#include <string.h>
#include <towonel/wire/control_message.h>

#include "../worker.h"
#include "session.h"

static void key_of(const struct tow_udp_packet *packet, uint8_t key[UDP_KEY_SIZE])
{
	const struct tow_addr *remote = &packet->remote, *local = &packet->local;

	memset(key, 0, UDP_KEY_SIZE);
	key[0] = remote->family;
	key[1] = (uint8_t)(remote->port >> 8);
	key[2] = (uint8_t)remote->port;
	memcpy(key + 3, remote->bytes, remote->family == 4 ? 4 : 16);
	memcpy(key + 19, local->bytes, local->family == 4 ? 4 : 16);
}

static struct udp_session *find(struct udp_listener *listener, const uint8_t key[UDP_KEY_SIZE])
{
	struct udp_session *session = listener->last;

	/* Mostly who wrote last writes again. */
	if (session == NULL || memcmp(session->key, key, UDP_KEY_SIZE) != 0)
		session = listener->last = tow__udp_session_find(listener, key);
	return session;
}

/* Is this not the worker for it? Then it is on its way to the one that is. */
static int goes_elsewhere(struct udp_listener *listener, const uint8_t key[UDP_KEY_SIZE],
                          const struct tow_udp_packet *packet, unsigned home)
{
	struct worker *w = listener->worker;

	if (home == w->index)
		return tow__udp_signposts_follow(listener, key, packet);
	/* Home hears of it first, so that it does not send it here again. */
	if (tow__udp_signposts_mislead(listener, key, home) == 0)
		tow__worker_mail_packet(&w->all->list[home], packet, listener->port, home);
	return 1;
}

void tow__udp_listener_take(struct udp_listener *listener, const struct tow_udp_packet *packet,
                            unsigned home)
{
	struct udp_session *session;
	uint8_t key[UDP_KEY_SIZE];

	key_of(packet, key);
	session = find(listener, key);
	if (session != NULL && tow__udp_session_outdated(session)) {
		tow__udp_session_end(session, TOW_TUNNEL_IDLE);
		session = NULL;
	}
	if (session == NULL && (goes_elsewhere(listener, key, packet, home) ||
	                        tow_udp_pass(listener->socket, packet)))
		return;
	if (session != NULL)
		tow__udp_session_receive(session, packet->bytes);
	else if (!listener->worker->draining)
		tow__udp_session_begin(listener, key, packet);
	else
		tow_metric_inc(listener->worker->metrics.udp_dropped[UDP_DROP_REFUSED]);
}

static void on_packet(void *user, const struct tow_udp_packet *packet)
{
	struct udp_listener *listener = user;
	struct worker *w = listener->worker;

	tow__udp_listener_take(listener, packet, w->index);
	tow_metric_inc(w->metrics.udp_datagrams_in);
	tow_metric_add(w->metrics.udp_bytes_in, (int64_t)packet->bytes.len);
}

static void on_lost(void *user, int code)
{
	struct udp_listener *listener = user;

	tow_metric_inc(
		listener->worker->metrics.udp_dropped[code == TOW_BLOCKED   ? UDP_DROP_SOCKET_FULL
	                                              : code == TOW_ETOOBIG ? UDP_DROP_TOO_BIG
	                                                                    : UDP_DROP_UNSENT]);
}

static const struct tow_udp_events events = { .packet = on_packet, .lost = on_lost };

int tow__udp_listener_new(struct worker *w, const struct tow_addr *addr, int dual_stack,
                          struct udp_listener **out, struct tow_error *err)
{
	const struct tow_udp_config config = {
		.bind = *addr,
		.dual_stack = dual_stack,
		.sharing = tow__worker_sharing(w),
		.receive_buffer = TOW_UDP_SOCKET_BUFFER,
		.send_buffer = TOW_UDP_SOCKET_BUFFER,
	};
	struct udp_listener *listener = calloc(1, sizeof(*listener));
	int rc;

	if (listener == NULL)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	listener->worker = w;
	listener->port = addr->port;
	rc = tow_udp_socket_new(w->loop, &config, &events, listener, &listener->socket, err);
	if (rc != 0) {
		free(listener);
		return rc;
	}
	*out = listener;
	return 0;
}

int tow__udp_listener_drain(struct udp_listener *listener)
{
	struct worker *w = listener->worker;
	struct udp_session *session, *next;

	if (w->yielded)
		tow_udp_socket_yield(listener->socket);
	HASH_ITER(hh, listener->sessions, session, next)
	tow__udp_session_drain(session);
	/* With one socket less the kernel would give datagrams to other workers than before. */
	if (w->all->count > 1 && atomic_load(&w->all->sessions) > 0)
		return 1;
	return listener->sessions != NULL || tow_udp_socket_has_before(listener->socket);
}

void tow__udp_listener_free(struct udp_listener *listener)
{
	while (listener->sessions != NULL)
		tow__udp_session_end(listener->sessions, TOW_TUNNEL_DRAINING);
	tow__udp_signposts_deinit(listener);
	tow_udp_socket_free(listener->socket);
	free(listener);
}
