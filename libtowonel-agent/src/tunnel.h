/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_TUNNEL_H
#define TOWONEL_AGENT_TUNNEL_H

/*
 * One tunnel to an edge: a QUIC connection and the control stream on it, from the dial to the end.
 *
 *     CONNECT ──► HELLO ──► UP
 *         │ key     │ welcome │ connection lost, or no pong
 *         └─────────┴─────────┴──► closed
 *
 * It counts as up when the edge has said welcome, and as alive as long as pings come back: a
 * connection that carries nothing end to end is torn down, whatever QUIC thinks of it.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/quic_carrier.h>

struct tunnel;

struct tunnel_end {
	const char *why;
	int said_hello, was_up;
	int refused;       /* the edge does not want this agent */
	int silent;        /* nothing came from there */
	uint64_t lived_ns; /* since it was up */
};

struct tunnel_events {
	/* Appends the agent's signed entry. Returns 0 or a negative code. */
	int (*sign)(void *user, struct tow_buf *out);
	/* Authorities that this agent serves: malloc'd array of malloc'd strings; NULL: no
	 * memory. */
	char **(*services)(void *user, size_t *count);
	void (*up)(void *user, struct tunnel *tunnel);
	void (*refused)(void *user, struct tunnel *tunnel, const char *why);
	void (*superseded)(void *user, struct tunnel *tunnel);
	/* Another process of the edge answers where this tunnel leads to; it stays up for what it
	 * carries, until the edge closes it. */
	void (*moved)(void *user, struct tunnel *tunnel);
	void (*stream)(void *user, struct tunnel *tunnel, struct tow_quic_stream *stream);
	/* The last call; the tunnel is freed when it returns. */
	void (*closed)(void *user, struct tunnel *tunnel, const struct tunnel_end *end);
};

/* Of an edge's workers the one that a tunnel leads to, and how many tunnels the edge wants. */
struct tunnel_place {
	unsigned worker, workers, tunnels;
};

struct tunnel_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_quic_endpoint *endpoint;
	struct tow_id edge;
	unsigned worker, workers; /* of the edge's, who is wanted; workers 0: anyone */
	const struct tunnel_events *events;
	void *user;
};

/* Returns 0, or a negative code: then there is no tunnel. */
int tow__tunnel_dial(const struct tunnel_config *config, const struct tow_addr *remote,
                     struct tunnel **out);
/* The same over a carrier, which is the tunnel's when it returns 0. */
int tow__tunnel_dial_over(const struct tunnel_config *config, struct tow_quic_carrier *carrier,
                          struct tunnel **out);
/* Says hello again, if it has said it: the service list has changed. */
void tow__tunnel_hello(struct tunnel *tunnel);
/* Pings at once: the network may not be what it was. */
void tow__tunnel_look(struct tunnel *tunnel);
/* Asks the edge for no new streams, now or as soon as it is up. */
void tow__tunnel_drain(struct tunnel *tunnel);
void tow__tunnel_close(struct tunnel *tunnel, uint64_t code); /* `closed` follows */

/* For its owner, to string tunnels together. */
struct tunnel **tow__tunnel_next(struct tunnel *tunnel);

int tow__tunnel_is_up(const struct tunnel *tunnel);
int tow__tunnel_is_draining(const struct tunnel *tunnel);
int tow__tunnel_is_answered(const struct tunnel *tunnel); /* the edge has shown its key */
size_t tow__tunnel_streams(const struct tunnel *tunnel);  /* visitors' */
/* Of a tunnel that is up. */
const struct tunnel_place *tow__tunnel_place(const struct tunnel *tunnel);
/* When the last byte is known to have gone end to end; 0: never. Monotonic. */
uint64_t tow__tunnel_last_pong_ns(const struct tunnel *tunnel);
/* How long the last answered ping took; 0: none was. */
uint64_t tow__tunnel_rtt_ns(const struct tunnel *tunnel);

#endif
