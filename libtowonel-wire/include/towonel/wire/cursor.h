/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_CURSOR_H
#define TOWONEL_WIRE_CURSOR_H

/*
 * Reader and writer over borrowed bytes, network byte order, with a sticky error: after
 * the first read past the end every further read gives 0 or an empty slice, so a parser
 * reads straight down and asks tow_reader_failed once. All inline and without allocation.
 */

#include <string.h>
#include "buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tow_reader {
	const uint8_t *at;
	size_t left;
	int failed;
};

static inline struct tow_reader tow_reader_of(struct tow_slice bytes)
{
	struct tow_reader r = { bytes.base, bytes.len, 0 };
	return r;
}

/* The next len bytes, borrowed from what is read; empty, and the reader failed, when fewer are
 * left. */
static inline struct tow_slice tow_read_bytes(struct tow_reader *r, size_t len)
{
	struct tow_slice s = { NULL, 0 };
	if (r->failed || len > r->left) {
		r->failed = 1;
		return s;
	}
	s.base = r->at;
	s.len = len;
	r->at = len ? r->at + len : r->at;
	r->left -= len;
	return s;
}

static inline uint64_t tow_read_uint(struct tow_reader *r, size_t width)
{
	struct tow_slice s = tow_read_bytes(r, width);
	uint64_t value = 0;
	for (size_t i = 0; i < s.len; i++)
		value = value << 8 | s.base[i];
	return value;
}

static inline uint8_t tow_read_u8(struct tow_reader *r) { return (uint8_t)tow_read_uint(r, 1); }
static inline uint16_t tow_read_u16(struct tow_reader *r) { return (uint16_t)tow_read_uint(r, 2); }
static inline uint32_t tow_read_u24(struct tow_reader *r) { return (uint32_t)tow_read_uint(r, 3); }
static inline uint32_t tow_read_u32(struct tow_reader *r) { return (uint32_t)tow_read_uint(r, 4); }
static inline uint64_t tow_read_u64(struct tow_reader *r) { return tow_read_uint(r, 8); }

/* A reader over the next len bytes; it has failed when they are not all there. */
static inline struct tow_reader tow_read_sub(struct tow_reader *r, size_t len)
{
	struct tow_reader sub = tow_reader_of(tow_read_bytes(r, len));
	sub.failed = r->failed;
	return sub;
}

/* A vector with a length prefix of width bytes (RFC 8446 section 3.4). */
static inline struct tow_reader tow_read_vector(struct tow_reader *r, size_t width)
{
	size_t len = (size_t)tow_read_uint(r, width);
	return tow_read_sub(r, len);
}

static inline int tow_reader_failed(const struct tow_reader *r) { return r->failed; }
/* All read, and nothing failed. */
static inline int tow_reader_done(const struct tow_reader *r) { return !r->failed && r->left == 0; }

struct tow_writer {
	uint8_t *base;
	size_t len; /* written so far */
	size_t cap;
	int failed; /* something did not fit; len no longer grows */
};

static inline struct tow_writer tow_writer_of(void *base, size_t cap)
{
	struct tow_writer w = { (uint8_t *)base, 0, cap, 0 };
	return w;
}

static inline void tow_write_bytes(struct tow_writer *w, const void *bytes, size_t len)
{
	if (w->failed || len > w->cap - w->len) {
		w->failed = 1;
		return;
	}
	if (len)
		memcpy(w->base + w->len, bytes, len);
	w->len += len;
}

static inline void tow_write_uint(struct tow_writer *w, uint64_t value, size_t width)
{
	uint8_t bytes[8];
	for (size_t i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
	tow_write_bytes(w, bytes, width);
}

static inline void tow_write_u8(struct tow_writer *w, uint8_t v) { tow_write_uint(w, v, 1); }
static inline void tow_write_u16(struct tow_writer *w, uint16_t v) { tow_write_uint(w, v, 2); }
static inline void tow_write_u32(struct tow_writer *w, uint32_t v) { tow_write_uint(w, v, 4); }
static inline void tow_write_u64(struct tow_writer *w, uint64_t v) { tow_write_uint(w, v, 8); }
static inline int tow_writer_failed(const struct tow_writer *w) { return w->failed; }

#ifdef __cplusplus
}
#endif
#endif
