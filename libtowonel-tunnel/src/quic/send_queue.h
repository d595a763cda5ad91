/* SPDX-License-Identifier: MIT */
#ifndef TOW_QUIC_SEND_QUEUE_H
#define TOW_QUIC_SEND_QUEUE_H

/*
 * What a stream has to send, and what it has sent and may have to send again:
 *
 *      first                 unsent              last
 *      [acked|sent, unacked] [sent|not sent yet] [not sent yet|room]
 *             base ... acked     sent ...               end
 *
 * Bytes never move: packets refer to them until the peer has acknowledged them. Chunks come in a
 * few sizes and go back to a pool that all streams of an endpoint share, so that a bulk transfer
 * reads 64 KiB at a time, a small request holds little, and a stream with nothing to send holds
 * nothing.
 */

#include <stddef.h>
#include <stdint.h>

#include <ngtcp2/ngtcp2.h>

#define TOW__CHUNK_CLASSES 4 /* 1, 4, 16, 64 KiB */

struct tow__chunk {
	struct tow__chunk *next;
	uint32_t cap;
	uint32_t len;
	unsigned size_class;
	uint8_t bytes[];
};

/* All-zero is valid and empty. */
struct tow__chunk_pool {
	struct tow__chunk_pool *above; /* whose chunks are given out, and counted; NULL: its own */
	uint64_t used;                 /* bytes given out, full or not */
	struct tow__chunk *free[TOW__CHUNK_CLASSES];
	unsigned count[TOW__CHUNK_CLASSES];
};
void tow__chunk_pool_deinit(struct tow__chunk_pool *pool);

/* All-zero is valid and empty. */
struct tow__send_queue {
	struct tow__chunk *first, *unsent, *last;
	struct tow__chunk *spare; /* reserved, nothing committed yet */
	size_t unsent_at;         /* index in unsent->bytes */
	uint64_t base;            /* stream offset of first->bytes[0] */
	uint64_t sent;            /* offset of the first byte that was never put in a packet */
	uint64_t end;             /* offset after the last byte */
	unsigned appetite;        /* size class for the next _reserve */
};

/* Room for at least 4096 bytes, and no more than that if that is as much as most; NULL when out of
 * memory. */
uint8_t *tow__send_queue_reserve(struct tow__send_queue *queue, struct tow__chunk_pool *pool,
                                 size_t most, size_t *len);
void tow__send_queue_commit(struct tow__send_queue *queue, struct tow__chunk_pool *pool,
                            size_t len);
/* Appends a copy. Returns 0, TOW_ENOMEM (then nothing was appended). */
int tow__send_queue_append(struct tow__send_queue *queue, struct tow__chunk_pool *pool,
                           const uint8_t *bytes, size_t len);
static inline size_t tow__send_queue_unsent(const struct tow__send_queue *queue)
{
	return (size_t)(queue->end - queue->sent);
}
/* The unsent bytes, in at most cap pieces; *total is their sum. Returns the number of pieces. */
size_t tow__send_queue_peek(const struct tow__send_queue *queue, ngtcp2_vec *vec, size_t cap,
                            size_t *total);
void tow__send_queue_advance(struct tow__send_queue *queue, size_t len);
/* Everything before this stream offset has been acknowledged. */
void tow__send_queue_acked(struct tow__send_queue *queue, struct tow__chunk_pool *pool,
                           uint64_t offset);
/* Drops what has not been sent; what was sent stays until _deinit. */
void tow__send_queue_cut(struct tow__send_queue *queue, struct tow__chunk_pool *pool);
void tow__send_queue_deinit(struct tow__send_queue *queue, struct tow__chunk_pool *pool);

#endif
