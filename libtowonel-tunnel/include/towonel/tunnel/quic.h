/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_QUIC_H
#define TOWONEL_TUNNEL_QUIC_H

/*
 * QUIC v1 (RFC 9000, 9001, 9002) with DATAGRAM frames (RFC 9221): an endpoint is a UDP socket and
 * its connections, for either role. Both sides authenticate with self-signed Ed25519 certificates;
 * a peer is known by its public key, never by a CA. Session resumption is off: it would skip that
 * check.
 *
 * All callbacks run on the loop's thread. Inside a callback everything may be called; what it makes
 * go away goes away after the callback. `closed` is the last call for a connection or a stream, and
 * the pointer is dead when it returns. Structs of events are copied; what is NULL in them is not
 * called.
 *
 *        endpoint 1 ── n connection 1 ── n stream
 *
 * Sending: bytes are queued on a stream (see _reserve and _commit), leave when congestion and flow
 * control let them, and their memory is kept until the peer acknowledged it. Packets leave at the
 * end of the loop's turn, so that one turn's writes share packets and system calls. A writer
 * watches _unsent and waits for `writable`. Receiving: `data` hands bytes over; the peer may send
 * more only as _consume is called.
 *
 * A stream that the server opened may also carry DATAGRAM frames, each beginning with the stream's
 * id / 4 (as in RFC 9297). They are sent once, in no order, and wait for congestion control in a
 * short queue of each stream; the queues take turns with one another and with what streams send.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/tunnel/udp.h>
#include <towonel/wire/identity.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_quic_endpoint;
struct tow_quic_conn;
struct tow_quic_stream;

enum tow_quic_congestion {
	TOW_QUIC_BBR,
	TOW_QUIC_CUBIC,
};

struct tow_quic_stream_events {
	/* In order, without gaps; bytes borrowed for the call; fin with the last (then bytes may be
	 * empty). */
	void (*data)(void *user, struct tow_slice bytes, int fin);
	/* _unsent has fallen to half of the queue's bound after a writer met it. */
	void (*writable)(void *user);
	/* The peer gave up sending (RESET_STREAM); or we did, with TOW_TUNNEL_OVERLOADED, because
	 * too much that it sent was left unconsumed: let go of that. No more data follows. */
	void (*reset)(void *user, uint64_t code);
	/* The peer does not want what is sent (STOP_SENDING); sending has been reset with the same
	 * code. */
	void (*stopped)(void *user, uint64_t code);
	/* A DATAGRAM frame that belongs to this stream. They come in no order, not even with
	 * `data`. */
	void (*datagram)(void *user, struct tow_slice payload);
	/* Both directions have ended and everything sent is acknowledged, or the connection is
	 * gone. */
	void (*closed)(void *user);
};

struct tow_quic_close_reason {
	int status; /* 0: closed in order; TOW_ETIMEDOUT idle, TOW_EAUTH
	             * key, TOW_EQUIC, TOW_ECLOSED */
	int by_peer;
	int application; /* code is an application error code */
	uint64_t code;   /* RFC 9000 section 20 */
	char text[128];  /* for the log */
};

struct tow_quic_conn_events {
	/* Client: handshake confirmed (RFC 9001 section 4.1.2): both sides have checked the other's
	 * key. A server's connection comes by `accepted` instead. */
	void (*established)(void *user);
	/* The peer opened a bidirectional stream; set its events before returning. */
	void (*stream_opened)(void *user, struct tow_quic_stream *stream);
	/* The peer allows more streams after _open_stream gave TOW_BLOCKED. May be NULL. */
	void (*streams_available)(void *user);
	/* Somebody who has seen our packets, the peer's host or a router before it, says that they
	 * do not reach it. A hint, no more: it may pass, and the peer may be about to come from
	 * elsewhere. May be NULL. */
	void (*unreachable)(void *user);
	void (*closed)(void *user, const struct tow_quic_close_reason *reason);
};

struct tow_quic_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;    /* may be NULL */
	const char *metrics_prefix;     /* "towonel_edge_quic" */
	const struct tow_node_key *key; /* copied */
	const char *alpn;               /* "towonel/1"; the only one offered and accepted */
	struct tow_udp_config udp;
	enum tow_quic_congestion congestion;
	uint64_t idle_timeout_ns;      /* 45 s when 0 */
	uint64_t keep_alive_ns;        /* 15 s when 0; sent by the client */
	uint64_t handshake_timeout_ns; /* 10 s when 0 */
	size_t max_udp_payload;        /* bound of path MTU discovery; 0: 65487; 1200 and more */
	uint64_t max_streams;   /* that the peer may have open at once; 0: TOW_STREAMS_PER_AGENT */
	size_t max_connections; /* server; 0: 65536; beyond it Initials are answered with
	                           CONNECTION_REFUSED */
	size_t retry_above;     /* server: handshakes open before Retry is asked for; 0: 64 */
	unsigned handshakes_per_second; /* server: that may begin; 0: TOW_HANDSHAKES_PER_SECOND */
	/* Server: this endpoint is one of so many (0: 1) on an address, each in its own thread; the
	 * number of one that is told with _connect_at. The first is made first, with the others'
	 * port; udp.sharing follows from this. stray: a packet came that is another's: hand it
	 * over, to be given to _hand. */
	unsigned worker, workers;
	void (*stray)(void *user, unsigned worker, const struct tow_udp_packet *packet);
	/* Likewise what the network says of a packet, which began so (see udp.h): of one of the
	 * others', for _hand_unreachable. The kernel tells any of them. */
	void (*stray_unreachable)(void *user, struct tow_slice quoted);
	/* What one stream's reader may leave unconsumed before the peer waits, as it may grow; 0: 4
	 * MiB. What all readers of a connection may together, before the one that leaves most is
	 * given up; 0: TOW_HELD_MAX. */
	uint64_t stream_window;
	uint64_t held_max;
	/* What all readers of all connections may together, before connections that hold more than
	 * their share lose the stream that leaves most; 0: no limit. */
	uint64_t held_all_max;
	/* What all streams of all connections may have to send, or to send again, before each is
	 * asked for no more than TOW_PIPE_UNSENT_MIN; 0: no limit but TOW_QUEUED_MAX of each
	 * connection. */
	uint64_t queued_all_max;
	/* Server: a connection has been established; call tow_quic_conn_set_events before
	 * returning. NULL: client only, Initials from strangers are dropped. */
	void (*accepted)(void *user, struct tow_quic_conn *conn);
	void *user;
};

/* Returns 0; TOW_EADDRINUSE, TOW_EDENIED, TOW_EIO, TOW_ENOMEM, TOW_ECRYPTO. */
int tow_quic_endpoint_new(const struct tow_quic_config *config, struct tow_quic_endpoint **out,
                          struct tow_error *err);
/* Closes all connections at once (their `closed` is called), sends what says so, and frees. */
void tow_quic_endpoint_free(struct tow_quic_endpoint *endpoint, uint64_t code);
const struct tow_addr *tow_quic_endpoint_addr(const struct tow_quic_endpoint *endpoint);
/* Its socket, to be shared with another process. */
struct tow_udp_socket *tow_quic_endpoint_socket(struct tow_quic_endpoint *endpoint);
/* Moves a client endpoint to a new local socket, on a port that the system picks: its connections
 * migrate (RFC 9000 section 9). Returns 0, TOW_EIO. */
int tow_quic_endpoint_rebind(struct tow_quic_endpoint *endpoint, struct tow_error *err);
/* Takes a packet that came to another worker's endpoint. */
void tow_quic_endpoint_hand(struct tow_quic_endpoint *endpoint,
                            const struct tow_udp_packet *packet);
void tow_quic_endpoint_hand_unreachable(struct tow_quic_endpoint *endpoint,
                                        struct tow_slice quoted);
size_t tow_quic_endpoint_connections(const struct tow_quic_endpoint *endpoint);

/* Starts a connection to the peer with that node id. `established` or `closed` follows. Returns 0,
 * TOW_ENOMEM, TOW_ECRYPTO, TOW_EIO. */
int tow_quic_connect(struct tow_quic_endpoint *endpoint, const struct tow_addr *remote,
                     const struct tow_id *peer, const struct tow_quic_conn_events *events,
                     void *user, struct tow_quic_conn **out);
/* As _connect, to one of a server's workers. */
int tow_quic_connect_at(struct tow_quic_endpoint *endpoint, const struct tow_addr *remote,
                        const struct tow_id *peer, unsigned worker, unsigned workers,
                        const struct tow_quic_conn_events *events, void *user,
                        struct tow_quic_conn **out);
void tow_quic_conn_set_events(struct tow_quic_conn *conn, const struct tow_quic_conn_events *events,
                              void *user);
/* The peer's key, once established. */
const struct tow_id *tow_quic_conn_peer(const struct tow_quic_conn *conn);
const struct tow_addr *tow_quic_conn_remote(const struct tow_quic_conn *conn);
/* Sends CONNECTION_CLOSE with an application code; `closed` is called before the next turn. text is
 * cut to fit. */
void tow_quic_conn_close(struct tow_quic_conn *conn, uint64_t code, const char *text);

struct tow_quic_stats {
	uint64_t bytes_sent, bytes_received; /* UDP payload */
	uint64_t packets_sent, packets_received, packets_lost;
	uint64_t smoothed_rtt_ns, min_rtt_ns;
	uint64_t congestion_window;
	size_t max_udp_payload; /* of the path, as found */
	size_t open_streams;
};
void tow_quic_conn_stats(const struct tow_quic_conn *conn, struct tow_quic_stats *out);

/* Opens a bidirectional stream. Returns 0, TOW_BLOCKED (no stream
 * credit), TOW_ECLOSED, TOW_ENOMEM. */
int tow_quic_open_stream(struct tow_quic_conn *conn, const struct tow_quic_stream_events *events,
                         void *user, struct tow_quic_stream **out);
void tow_quic_stream_set_events(struct tow_quic_stream *stream,
                                const struct tow_quic_stream_events *events, void *user);
struct tow_quic_conn *tow_quic_stream_conn(const struct tow_quic_stream *stream);
uint64_t tow_quic_stream_id(const struct tow_quic_stream *stream);

/* Room at the tail of the send queue, to read into; *len is how much (at least 4096). Follow with
 * _commit of what was used, 0 too. NULL when out of memory. */
uint8_t *tow_quic_stream_reserve(struct tow_quic_stream *stream, size_t *len);
void tow_quic_stream_commit(struct tow_quic_stream *stream, size_t len);
/* Queues a copy. Not bounded: the caller looks at _unsent. Returns 0, TOW_ENOMEM, TOW_ECLOSED. */
int tow_quic_stream_write(struct tow_quic_stream *stream, struct tow_slice bytes);
/* As _write, for what is in no hurry: it travels with what is sent next on the connection, an
 * acknowledgement that is due within a few milliseconds at the latest. */
int tow_quic_stream_write_unhurried(struct tow_quic_stream *stream, struct tow_slice bytes);
/* Bytes queued that have not been put into a packet yet. */
size_t tow_quic_stream_unsent(const struct tow_quic_stream *stream);
/* How much of that a writer should let come together: TOW_PIPE_UNSENT_MAX, and less when much is
 * queued by others, whose peers may all be slow. */
size_t tow_quic_stream_unsent_max(const struct tow_quic_stream *stream);
/* Ask for `writable` once _unsent <= _unsent_max / 2. */
void tow_quic_stream_want_writable(struct tow_quic_stream *stream);
void tow_quic_stream_finish(struct tow_quic_stream *stream); /* FIN after what is queued */
void tow_quic_stream_reset(struct tow_quic_stream *stream,
                           uint64_t code);                                /* drops what is queued */
void tow_quic_stream_stop(struct tow_quic_stream *stream, uint64_t code); /* STOP_SENDING */
/* Allows the peer to send len bytes more; len sums up to what `data` delivered. When a stream is
 * closed before that, the rest counts as consumed. */
void tow_quic_stream_consume(struct tow_quic_stream *stream, size_t len);
/* No more callbacks to this user; resets both directions with code if they are open. The stream is
 * dead to the caller. */
void tow_quic_stream_abandon(struct tow_quic_stream *stream, uint64_t code);

/* The largest payload that a DATAGRAM frame of the stream can carry now; 0: none can be sent. */
size_t tow_quic_stream_datagram_max(const struct tow_quic_stream *stream);
/* Queues a copy. Returns 0; TOW_ETOOBIG; TOW_BLOCKED when as many wait as the path carries in a
 * moment (it is dropped, as loss is); TOW_ECLOSED. */
int tow_quic_stream_send_datagram(struct tow_quic_stream *stream, struct tow_slice payload);

#ifdef __cplusplus
}
#endif
#endif
