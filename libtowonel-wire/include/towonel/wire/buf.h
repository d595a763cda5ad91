/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_BUF_H
#define TOWONEL_WIRE_BUF_H

/*
 * Bytes: tow_slice borrows, tow_buf owns. An all-zero tow_buf is valid and empty. A buffer
 * is written at its tail (reserve, write, commit, or append) and read at its head (peek,
 * consume). Consuming everything rewinds it without freeing.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_slice {
	const uint8_t *base;
	size_t len;
};

struct tow_buf {
	uint8_t *base;
	size_t head; /* first unread byte */
	size_t tail; /* one past the last byte */
	size_t cap;
};

/* The bytes of a NUL-terminated string, without the NUL. Borrowed. */
struct tow_slice tow_slice_of(const char *text);
struct tow_slice tow_slice_make(const void *base, size_t len);
int tow_slice_equal(struct tow_slice a, struct tow_slice b); /* not in constant time */

/* Makes room for len more bytes at the tail; pointers into the buffer become invalid.
 * Returns the place to write to, or NULL when out of memory. Follow with tow_buf_commit. */
uint8_t *tow_buf_reserve(struct tow_buf *buf, size_t len);
void tow_buf_commit(struct tow_buf *buf, size_t len);

/* Returns 0, TOW_ENOMEM. */
int tow_buf_append(struct tow_buf *buf, const void *bytes, size_t len);
int tow_buf_append_text(struct tow_buf *buf, const char *text);
int tow_buf_printf(struct tow_buf *buf, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The unread bytes, until the next call that changes buf. */
struct tow_slice tow_buf_peek(const struct tow_buf *buf);
size_t tow_buf_len(const struct tow_buf *buf);
void tow_buf_consume(struct tow_buf *buf, size_t len); /* len <= tow_buf_len() */
void tow_buf_clear(struct tow_buf *buf);               /* empty, memory kept */
void tow_buf_deinit(struct tow_buf *buf);              /* frees; all-zero again */
/* For secrets: zeroes, then frees. A buffer that grows leaves its old block behind as it was, so
 * reserve a secret's whole size first. */
void tow_buf_wipe(struct tow_buf *buf);

#ifdef __cplusplus
}
#endif
#endif
