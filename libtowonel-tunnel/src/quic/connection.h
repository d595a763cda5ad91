/* SPDX-License-Identifier: MIT */
#ifndef TOW_QUIC_CONNECTION_H
#define TOW_QUIC_CONNECTION_H

/*
 * One connection and its streams, without I/O and without a clock: packets go in with the addresses
 * they came on and the time, packets come out into a buffer, and _deadline says when to come again.
 * The endpoint does the I/O; a simulation does it in memory.
 *
 *      CONNECTING ──handshake confirmed──► UP ──failed, closed──► ENDING ──_finish──► ENDED
 *          └──────────────── failed, closed ─────────────────────────▲
 *
 * ngtcp2 must not be entered again from its own callbacks to read or write packets. Nothing in the
 * public interface does: sending only queues and wakes the owner, closing only changes the state.
 * What has to happen after ngtcp2 returned (`writable`, `closed` of a stream) waits in the list of
 * notes and is told by tow__quic_conn_settle.
 */

#include <ngtcp2/ngtcp2.h>

#include <towonel/tunnel/quic.h>

#include "quic/crypto.h"
#include "quic/send_queue.h"

/* Ours, of both roles. */
#define TOW__QUIC_CID_SIZE 16

/* The largest batch: what one IPv6 packet carries is the most that GSO takes at once. */
#define TOW__QUIC_PAYLOAD_MAX  65487
#define TOW__QUIC_SEGMENTS_MAX 64
/* Of a packet that a carrier takes: four frames fill a TLS record. */
#define TOW__QUIC_CARRIED_PAYLOAD 4094

/* DATAGRAM frames that came to nothing, other than by a queue that was full. */
enum tow__quic_datagram_loss {
	TOW__QUIC_DATAGRAM_LOST,  /* its packet was not acknowledged in time */
	TOW__QUIC_DATAGRAM_LARGE, /* the path carries less than when it was queued */
	TOW__QUIC_DATAGRAM_STRAY, /* came for a stream that is not, or wants none */
	TOW__QUIC_DATAGRAM_LOSSES,
};

/* What a connection asks of its owner. Called from anywhere, ngtcp2's callbacks included. */
struct tow__quic_host {
	struct tow_quic_config config; /* no field is 0 any more; key and alpn are gone */
	struct tow__quic_crypto crypto;
	struct tow__chunk_pool chunks;
	uint64_t held;               /* by all connections */
	uint64_t connections;        /* that there are */
	struct tow_metric *given_up; /* streams; NULL: not counted */
	struct tow_metric *datagram_losses[TOW__QUIC_DATAGRAM_LOSSES]; /* NULL: not counted */
	/* There is something to send, to tell, or to end. */
	void (*wake)(void *owner);
	/* Packets to this connection id are for this connection, from now on or no more. Returns 0,
	 * TOW_ENOMEM. */
	int (*cid_add)(void *owner, const uint8_t *cid, size_t len);
	void (*cid_remove)(void *owner, const uint8_t *cid, size_t len);
	/* A server's connection is established. */
	void (*accepted)(void *owner);
	/* NULL for the system's randomness. TLS always has that. */
	void (*random)(void *random_user, uint8_t *out, size_t len);
	void *random_user;
};

enum tow__quic_state {
	TOW__QUIC_CONNECTING,
	TOW__QUIC_UP,
	TOW__QUIC_ENDING,
	TOW__QUIC_ENDED,
};

enum tow__quic_farewell {
	TOW__QUIC_SILENT, /* nothing, or no longer anything, to say */
	TOW__QUIC_SAY_TRANSPORT,
	TOW__QUIC_SAY_APPLICATION,
};

struct tow__quic_datagram {
	struct tow__quic_datagram *next;
	size_t len;
	uint8_t bytes[];
};

/* What narrow.c knows of the path, and of a stream. */
struct tow__quic_narrow {
	uint64_t look_ns;         /* the next one */
	uint64_t until_ns;        /* packets are kept small; 0: they are not */
	uint64_t for_ns;          /* the last time */
	uint64_t frames;          /* large ones, sent since one was acknowledged */
	uint64_t frames_since_ns; /* the look that found the first of them */
	uint64_t frames_received; /* packets that had come by then */
	unsigned moved : 1;       /* the peer did, as ngtcp2 tells in passing */
};
struct tow__quic_stall {
	uint64_t at, since_ns, sent;
};

struct tow_quic_conn {
	ngtcp2_conn *quic;
	WOLFSSL *
		tls; /* NULL once the handshake is confirmed: nothing of TLS is needed afterwards */
	ngtcp2_crypto_conn_ref ref;
	struct tow__quic_host *host;
	void *owner;
	struct tow__quic_peer peer;
	struct tow_quic_conn_events events;
	void *user;
	enum tow__quic_state state;
	enum tow__quic_farewell farewell;
	struct tow_quic_close_reason reason;
	unsigned server : 1;
	unsigned carried : 1;
	unsigned inside : 1;    /* ngtcp2 is on the stack */
	unsigned announced : 1; /* established or accepted was called: closed is owed */
	unsigned streams_short : 1;
	unsigned unhurried : 1; /* what is in `ready` may wait for something to travel with */
	unsigned confirmed : 1;
	unsigned migrating : 1;
	unsigned never_was : 1; /* server: forget it without a word; the client's next packet starts
	                           anew */
	unsigned wants_retry : 1; /* ... and is answered with a Retry first */
	struct tow_addr remote, local;
	struct tow__chunk_pool chunks;   /* the host's, as far as they are this connection's */
	struct tow_quic_stream *streams; /* all */
	struct tow_quic_stream
		*ready; /* a ring of those with something to send; the head is next */
	struct tow_quic_stream *had_its_turn; /* the last packet was full of it */
	struct tow_quic_stream *notes, **notes_end;
	size_t open_streams;
	uint64_t held;                            /* delivered and not consumed, by all streams */
	struct tow_quic_stream *datagram_streams; /* those with DATAGRAM frames; the head is next */
	size_t datagram_stream_count;
	size_t datagram_bytes; /* that wait, of all streams */
	size_t datagram_room;  /* for as many as the path carries in a moment */
	unsigned streams_turn : 1;
	struct tow__quic_narrow narrow;
};

struct tow_quic_stream {
	struct tow_quic_conn *conn;
	int64_t id;
	struct tow_quic_stream_events events;
	void *user;
	struct tow_quic_stream *prev, *next;             /* of the connection */
	struct tow_quic_stream *ready_prev, *ready_next; /* NULL: not ready */
	struct tow_quic_stream *note_next;
	struct tow_quic_stream *datagram_prev, *datagram_next; /* of datagram_streams */
	struct tow__quic_datagram *datagrams, **datagrams_end;
	size_t datagram_bytes;
	struct tow__send_queue queue;
	uint64_t delivered, consumed;
	uint64_t acked; /* the peer has everything before this offset */
	struct tow__quic_stall stall;
	unsigned noted : 1;
	unsigned want_writable : 1;
	unsigned fin_wanted : 1;
	unsigned fin_sent : 1;
	unsigned sending_ended : 1; /* reset or stopped: what is written is dropped */
	unsigned abandoned : 1;
	unsigned given_up : 1; /* by us, because it held too much */
	unsigned gone : 1;     /* ngtcp2 has closed it: `closed` is owed, then it is freed */
};

/* --- connection.c --- */

struct tow__quic_conn_params {
	struct tow__quic_host *host;
	void *owner;
	const struct tow_addr *local, *remote;
	int carried;     /* not by UDP */
	ngtcp2_cid scid; /* ours; the owner has put it in its map */
	uint64_t now_ns;
	/* client */
	const struct tow_id *peer;
	const struct tow_quic_conn_events *events;
	void *user;
	unsigned worker, workers; /* of the server's, who is wanted; workers 0: anyone */
	/* server: the Initial's header, and the id the client chose first, when a Retry came
	 * between */
	const ngtcp2_pkt_hd *initial;
	const ngtcp2_cid *original_dcid;
};
/* Returns 0; TOW_ENOMEM, TOW_ECRYPTO. */
int tow__quic_conn_new(const struct tow__quic_conn_params *params, struct tow_quic_conn **out);
void tow__quic_conn_free(struct tow_quic_conn *conn);

/* A datagram that came. */
void tow__quic_conn_receive(struct tow_quic_conn *conn, const struct tow_addr *local,
                            const struct tow_addr *remote, uint8_t ecn, struct tow_slice bytes,
                            uint64_t now_ns);

/* Packets to send: len bytes, each packet segment bytes long but the last, which may be shorter. */
struct tow__quic_batch {
	size_t at; /* in the buffer */
	size_t len, segment;
	struct tow_addr local, remote;
	uint8_t ecn;
	int more; /* ask again: there may be another one */
};
/* Writes to buf, of TOW__QUIC_PAYLOAD_MAX bytes. Returns how many batches; 0 when there is nothing
 * to send now. The last one's `more` is for all. */
#define TOW__QUIC_BATCHES_MAX 2
int tow__quic_conn_write(struct tow_quic_conn *conn, uint8_t *buf, uint64_t now_ns,
                         struct tow__quic_batch batches[TOW__QUIC_BATCHES_MAX]);
/* Streams or datagrams wait to be sent. */
int tow__quic_conn_has_more(const struct tow_quic_conn *conn);
/* packet begins as those do that are sent on this connection, which nobody can guess. */
int tow__quic_conn_is_own(const struct tow_quic_conn *conn, struct tow_slice packet);
/* When to call _expire; TOW_NEVER when ending. */
uint64_t tow__quic_conn_deadline(const struct tow_quic_conn *conn);
void tow__quic_conn_expire(struct tow_quic_conn *conn, uint64_t now_ns);
/* Tells what waited for ngtcp2 to return. Part of _receive, _write and _expire. */
void tow__quic_conn_settle(struct tow_quic_conn *conn);

/* For a client whose socket has changed. */
void tow__quic_conn_migrate(struct tow_quic_conn *conn, const struct tow_addr *local);

/* The end, when state is ENDING: first the packet that says so, if there is one to send (returns 1)
 * ... */
int tow__quic_conn_write_close(struct tow_quic_conn *conn, uint8_t *buf, uint64_t now_ns,
                               struct tow__quic_batch *batch);
/* ... then `closed` of all streams and of the connection. */
void tow__quic_conn_finish(struct tow_quic_conn *conn);

/* A connection id of ours. */
void tow__quic_host_cid(struct tow__quic_host *host, ngtcp2_cid *out);

/* How it ends; the first reason counts. text may be NULL. Wakes the owner. */
void tow__quic_conn_end(struct tow_quic_conn *conn, int status, enum tow__quic_farewell farewell,
                        uint64_t code, const char *text);

/* --- closing.c --- */

/* ... because of what ngtcp2 returned from reading, writing or a deadline. */
void tow__quic_conn_end_with(struct tow_quic_conn *conn, int liberr);

/* --- callbacks.c --- */

extern const ngtcp2_callbacks tow__quic_callbacks;

/* --- datagram.c --- */

/* Adds waiting DATAGRAM frames to a packet, one of each stream in turn. Returns
 * NGTCP2_ERR_WRITE_MORE when none waits any more and there is room, else what _write_packet is to
 * return. */
ngtcp2_ssize tow__quic_write_datagrams(struct tow_quic_conn *conn, ngtcp2_path *path,
                                       ngtcp2_pkt_info *info, uint8_t *dest, size_t cap,
                                       ngtcp2_tstamp now_ns);
/* How many may wait, after a look at the path. */
void tow__quic_datagrams_measure(struct tow_quic_conn *conn);
void tow__quic_datagrams_drop(struct tow_quic_stream *stream); /* all that wait */
void tow__quic_datagram_count(struct tow_quic_conn *conn, enum tow__quic_datagram_loss loss);

/* --- narrow.c --- */

/* The largest packet to be sent now. */
size_t tow__quic_packet_max(const struct tow_quic_conn *conn);
/* How much of cap may be written to: probes for larger sizes want it all. */
size_t tow__quic_packet_room(const struct tow_quic_conn *conn, size_t cap);
/* The way to the peer is another one, of which nothing is known. */
void tow__quic_narrow_moved(struct tow_quic_conn *conn, uint64_t now_ns);
/* From time to time while something waits to be acknowledged. */
void tow__quic_narrow_look(struct tow_quic_conn *conn, uint64_t now_ns);
void tow__quic_narrow_frame_sent(struct tow_quic_conn *conn, size_t size);
void tow__quic_narrow_frame_acked(struct tow_quic_conn *conn, size_t size);

/* --- stream.c --- */

struct tow_quic_stream *tow__quic_stream_new(struct tow_quic_conn *conn,
                                             int64_t id); /* NULL: no memory */
void tow__quic_stream_free(struct tow_quic_stream *stream);
void tow__quic_stream_note(struct tow_quic_stream *stream);  /* _settle will look at it */
void tow__quic_stream_ready(struct tow_quic_stream *stream); /* has something to send */
void tow__quic_stream_unready(struct tow_quic_stream *stream);
/* Data goes to the application. The connection's credit for it is given at once, so that streams
 * whose readers are slow, each bounded by its own window, do not hold up the others, the control
 * stream among them. */
void tow__quic_stream_delivered(struct tow_quic_stream *stream, size_t len);
/* When all streams together hold too much, gives up the one that holds most. */
void tow__quic_conn_relieve(struct tow_quic_conn *conn);
/* Credit for what was taken, here or for good. */
void tow__quic_stream_credit(struct tow_quic_stream *stream, size_t len);

#endif
