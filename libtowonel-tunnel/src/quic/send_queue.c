/* SPDX-License-Identifier: MIT */
#include "quic/send_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/error.h>

#define ROOM_MIN         4096
#define SMALLEST_TO_READ 1 /* the class that has ROOM_MIN */
#define LARGEST          (TOW__CHUNK_CLASSES - 1)

/* Kept for the next user: 4 MiB in all. */
static const struct {
	uint32_t cap;
	unsigned keep;
} classes[TOW__CHUNK_CLASSES] = {
	{ 1024, 256 },
	{ 4096, 128 },
	{ 16384, 64 },
	{ 65536, 36 },
};

/* The pool that has the chunks; delta bytes more are given out. */
static struct tow__chunk_pool *count(struct tow__chunk_pool *pool, int64_t delta)
{
	pool->used += (uint64_t)delta;
	for (; pool->above; pool = pool->above)
		pool->above->used += (uint64_t)delta;
	return pool;
}

static struct tow__chunk *chunk_get(struct tow__chunk_pool *pool, unsigned size_class)
{
	struct tow__chunk_pool *source = count(pool, classes[size_class].cap);
	struct tow__chunk *chunk = source->free[size_class];

	if (chunk) {
		source->free[size_class] = chunk->next;
		source->count[size_class]--;
	} else {
		chunk = malloc(sizeof(*chunk) + classes[size_class].cap);
		if (!chunk) {
			count(pool, -(int64_t)classes[size_class].cap);
			return NULL;
		}
		chunk->cap = classes[size_class].cap;
		chunk->size_class = size_class;
	}
	chunk->next = NULL;
	chunk->len = 0;
	return chunk;
}

static void chunk_put(struct tow__chunk_pool *pool, struct tow__chunk *chunk)
{
	unsigned size_class = chunk->size_class;

	pool = count(pool, -(int64_t)chunk->cap);
	if (pool->count[size_class] >= classes[size_class].keep) {
		free(chunk);
		return;
	}
	chunk->next = pool->free[size_class];
	pool->free[size_class] = chunk;
	pool->count[size_class]++;
}

void tow__chunk_pool_deinit(struct tow__chunk_pool *pool)
{
	struct tow__chunk *chunk;
	unsigned i;

	for (i = 0; i < TOW__CHUNK_CLASSES; i++) {
		while ((chunk = pool->free[i]) != NULL) {
			pool->free[i] = chunk->next;
			free(chunk);
		}
		pool->count[i] = 0;
	}
}

static void link_last(struct tow__send_queue *queue, struct tow__chunk *chunk)
{
	if (queue->last) {
		queue->last->next = chunk;
	} else {
		queue->first = chunk;
		queue->base = queue->end;
	}
	queue->last = chunk;
}

/* len bytes more are in the last chunk. */
static void grow_last(struct tow__send_queue *queue, size_t len)
{
	if (!queue->unsent) {
		queue->unsent = queue->last;
		queue->unsent_at = queue->last->len;
	}
	queue->last->len += (uint32_t)len;
	queue->end += len;
}

uint8_t *tow__send_queue_reserve(struct tow__send_queue *queue, struct tow__chunk_pool *pool,
                                 size_t most, size_t *len)
{
	struct tow__chunk *last = queue->last;

	if (!queue->spare) {
		if (last && last->cap - last->len >= ROOM_MIN) {
			*len = last->cap - last->len;
			return last->bytes + last->len;
		}
		while (queue->appetite > SMALLEST_TO_READ && classes[queue->appetite].cap > most)
			queue->appetite--;
		if (queue->appetite < SMALLEST_TO_READ)
			queue->appetite = SMALLEST_TO_READ;
		queue->spare = chunk_get(pool, queue->appetite);
		if (!queue->spare)
			return NULL;
	}
	*len = queue->spare->cap;
	return queue->spare->bytes;
}

void tow__send_queue_commit(struct tow__send_queue *queue, struct tow__chunk_pool *pool, size_t len)
{
	struct tow__chunk *spare = queue->spare;

	queue->spare = NULL;
	if (len == 0) {
		if (spare)
			chunk_put(pool, spare);
		return;
	}
	if (spare) {
		assert(len <= spare->cap);
		/* What the source has ready now says how much it will have next time. */
		if (len == spare->cap && queue->appetite < LARGEST)
			queue->appetite++;
		else if (len < spare->cap / 8 && queue->appetite > SMALLEST_TO_READ)
			queue->appetite--;
		link_last(queue, spare);
	}
	assert(queue->last && len <= queue->last->cap - queue->last->len);
	grow_last(queue, len);
}

int tow__send_queue_append(struct tow__send_queue *queue, struct tow__chunk_pool *pool,
                           const uint8_t *bytes, size_t len)
{
	struct tow__chunk *more = NULL, **link = &more, *chunk;
	size_t room = queue->last ? queue->last->cap - queue->last->len : 0;
	size_t left, n;
	unsigned size_class;

	/* All the memory first, so that a failure changes nothing. */
	for (left = len > room ? len - room : 0; left > 0; left -= n) {
		for (size_class = 0; size_class < LARGEST && classes[size_class].cap < left;
		     size_class++)
			;
		chunk = chunk_get(pool, size_class);
		if (!chunk)
			goto no_memory;
		*link = chunk;
		link = &chunk->next;
		n = left < chunk->cap ? left : chunk->cap;
	}
	while (len > 0) {
		if (room == 0) {
			chunk = more;
			more = more->next;
			chunk->next = NULL;
			link_last(queue, chunk);
			room = chunk->cap;
		}
		n = len < room ? len : room;
		memcpy(queue->last->bytes + queue->last->len, bytes, n);
		grow_last(queue, n);
		bytes += n;
		len -= n;
		room -= n;
	}
	return 0;
no_memory:
	while ((chunk = more) != NULL) {
		more = chunk->next;
		chunk_put(pool, chunk);
	}
	return TOW_ENOMEM;
}

size_t tow__send_queue_peek(const struct tow__send_queue *queue, ngtcp2_vec *vec, size_t cap,
                            size_t *total)
{
	struct tow__chunk *chunk;
	size_t at = queue->unsent_at, n = 0;

	*total = 0;
	for (chunk = queue->unsent; chunk && n < cap; chunk = chunk->next) {
		if (chunk->len > at) {
			vec[n].base = chunk->bytes + at;
			vec[n].len = chunk->len - at;
			*total += vec[n].len;
			n++;
		}
		at = 0;
	}
	return n;
}

void tow__send_queue_advance(struct tow__send_queue *queue, size_t len)
{
	size_t n;

	queue->sent += len;
	assert(queue->sent <= queue->end);
	while (len > 0) {
		n = queue->unsent->len - queue->unsent_at;
		if (len < n) {
			queue->unsent_at += len;
			return;
		}
		len -= n;
		queue->unsent = queue->unsent->next;
		queue->unsent_at = 0;
	}
	if (queue->sent == queue->end)
		queue->unsent = NULL;
}

void tow__send_queue_acked(struct tow__send_queue *queue, struct tow__chunk_pool *pool,
                           uint64_t offset)
{
	struct tow__chunk *chunk;

	while ((chunk = queue->first) != NULL && queue->base + chunk->len <= offset) {
		queue->base += chunk->len;
		queue->first = chunk->next;
		if (!queue->first)
			queue->last = NULL;
		chunk_put(pool, chunk);
	}
}

static void put_from(struct tow__chunk_pool *pool, struct tow__chunk *chunk)
{
	struct tow__chunk *next;

	for (; chunk; chunk = next) {
		next = chunk->next;
		chunk_put(pool, chunk);
	}
}

void tow__send_queue_cut(struct tow__send_queue *queue, struct tow__chunk_pool *pool)
{
	struct tow__chunk *unsent = queue->unsent, *chunk;

	if (queue->spare)
		chunk_put(pool, queue->spare);
	queue->spare = NULL;
	if (!unsent)
		return;
	queue->unsent = NULL;
	queue->end = queue->sent;
	if (unsent == queue->first && queue->base == queue->sent) {
		queue->first = NULL;
		queue->last = NULL;
		put_from(pool, unsent);
		return;
	}
	if (queue->unsent_at > 0) {
		unsent->len = (uint32_t)queue->unsent_at;
		chunk = unsent;
	} else {
		for (chunk = queue->first; chunk->next != unsent; chunk = chunk->next)
			;
	}
	unsent = chunk->next;
	chunk->next = NULL;
	queue->last = chunk;
	put_from(pool, unsent);
}

void tow__send_queue_deinit(struct tow__send_queue *queue, struct tow__chunk_pool *pool)
{
	if (queue->spare)
		chunk_put(pool, queue->spare);
	put_from(pool, queue->first);
	memset(queue, 0, sizeof(*queue));
}
