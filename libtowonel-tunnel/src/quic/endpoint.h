/* SPDX-License-Identifier: MIT */
#ifndef TOW_QUIC_ENDPOINT_H
#define TOW_QUIC_ENDPOINT_H

/*
 * The I/O of QUIC: one UDP socket, the connections on it, their timers, and one task that at the
 * end of a turn lets every connection that has something to say fill packets, in turns of one batch
 * each.
 *
 *      packet ─► connection id ─┐
 *      timer ───────────────────┼─► link ─► connection ─► dirty list ─► task: flush
 *      public calls ────────────┘                              one sendmsg per batch, or retire
 *
 * A link outlives its connection: for a while it answers what still comes with the same
 * CONNECTION_CLOSE, or with silence when the peer was the one who closed (RFC 9000 section 10.2).
 * Only those bytes are kept.
 *
 * Callbacks may do anything, free the endpoint included. Memory goes only when nothing of ours is
 * on the stack (`depth`), at the latest in the task.
 */

#include "quic/carrier.h"
#include "quic/cid_map.h"
#include "quic/connection.h"
#include "quic/stateless.h"

#define RECENT_RETRIES 32

struct tow__link {
	struct tow_quic_endpoint *endpoint;
	struct tow_quic_conn *conn; /* NULL: lingering */
	struct tow__link *prev, *next;
	struct tow__link *dirty_next;
	unsigned dirty : 1;
	unsigned handshaking : 1;         /* counted for Retry */
	unsigned client : 1;              /* counted */
	unsigned carried : 1;             /* by a carrier, not by the endpoint's socket, */
	struct tow_quic_carrier *carrier; /* which may be gone: NULL */
	unsigned asked : 1;               /* the connection has woken us since it was let write */
	unsigned owed;                    /* packets that came since then, */
	size_t owed_bytes;                /* and how large they were together */
	struct tow_timer timer;
	uint64_t patient_until_ns;
	struct tow__cid_entry *cids;
	uint8_t *farewell; /* lingering: what is said again */
	size_t farewell_len;
	struct tow_addr farewell_local, farewell_remote;
	uint64_t heard; /* lingering: packets that came */
};

struct tow__endpoint_metrics {
	struct tow_metric *connections, *accepted, *failed, *deferred;
	struct tow_metric *packets, *bytes_in, *bytes_out, *unknown;
	struct tow_metric *replies, *retries, *resets, *strays;
	struct tow_metric *carriers;
};

struct tow_quic_endpoint {
	struct tow__quic_host host;
	struct tow_udp_socket *socket;
	struct tow_udp_socket *old_socket; /* after a rebind, until the task */
	struct tow_addr addr;
	struct tow__cid_map map;
	struct tow__link *links;                     /* with a connection */
	struct tow__link *lingering, *lingering_end; /* without, oldest first */
	size_t connections, handshakes, client_count, lingering_count;
	struct tow__link *dirty, **dirty_end;
	struct tow_task task;
	uint64_t batch_ns; /* when this batch of packets came; 0: it has not */
	unsigned depth;
	unsigned freeing : 1;
	struct tow_quic_carrier *carriers;
	uint8_t *frames;              /* one batch for a carrier; NULL: there was none yet */
	uint8_t *buf;                 /* one batch */
	struct tow__quic_batch stuck; /* what the socket has not taken of it */
	size_t stuck_at;
	uint64_t replies_second, begun_second, unreachable_second;
	unsigned replies, begun, unreachable; /* in that second */
	struct {
		uint32_t hash;
		uint64_t until_ns;
	} recent[RECENT_RETRIES];
	unsigned recent_next;
	struct tow__endpoint_metrics metrics;
	struct tow_metric nowhere;
};

static inline void tow__endpoint_enter(struct tow_quic_endpoint *endpoint)
{
	endpoint->depth++;
}

static inline void tow__endpoint_leave(struct tow_quic_endpoint *endpoint)
{
	endpoint->depth--;
}

/* --- endpoint.c --- */

/* One datagram to a stranger, or again to one who has been told, the way that his came; lost when
 * the socket is full, or when there have been many this second. carrier may be NULL. */
void tow__endpoint_reply(struct tow_quic_endpoint *endpoint, struct tow_quic_carrier *carrier,
                         const struct tow_addr *local, const struct tow_addr *remote,
                         const uint8_t *bytes, size_t len);
void tow__endpoint_batch_end(struct tow_quic_endpoint *endpoint); /* of packets that came */

/* --- ingress.c --- */

void tow__endpoint_packet(void *user, const struct tow_udp_packet *packet);
/* carrier: what brought it; NULL: the socket. handed: by another worker, so it is not handed on. */
void tow__endpoint_take(struct tow_quic_endpoint *endpoint, struct tow_quic_carrier *carrier,
                        const struct tow_udp_packet *packet, int handed);
void tow__endpoint_unreachable(void *user, struct tow_slice quoted);

/* --- link.c: the first four are what a connection asks of its owner --- */

void tow__link_wake(void *owner);
int tow__link_cid_add(void *owner, const uint8_t *cid, size_t len);
void tow__link_cid_remove(void *owner, const uint8_t *cid, size_t len);
void tow__link_accepted(void *owner);

struct tow__link *tow__link_new(struct tow_quic_endpoint *endpoint); /* NULL: no memory */
void tow__link_drop(struct tow__link *link); /* with its connection, if it came to have one */
/* The connection is freed; the link answers for it for a while. */
void tow__link_linger(struct tow__link *link, uint64_t for_ns);
void tow__link_forget(struct tow__link *link); /* one that lingers */
void tow__link_look(struct tow__link *link);   /* the task will see what there is to do */
void tow__link_received(struct tow__link *link, size_t bytes, uint64_t now_ns); /* a packet */
/* The connection has nothing to say that could not travel with what comes next. */
int tow__link_may_wait(const struct tow__link *link, uint64_t now_ns);
void tow__link_set_timer(struct tow__link *link, uint64_t now_ns);

#endif
