/* SPDX-License-Identifier: MIT */
#include <towonel/wire/buf.h>
#include <towonel/wire/error.h>

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST_CAP 64

struct tow_slice tow_slice_of(const char *text)
{
	return tow_slice_make(text, strlen(text));
}

struct tow_slice tow_slice_make(const void *base, size_t len)
{
	struct tow_slice slice = { base, len };
	return slice;
}

int tow_slice_equal(struct tow_slice a, struct tow_slice b)
{
	return a.len == b.len && (!a.len || !memcmp(a.base, b.base, a.len));
}

/* A fresh block that holds the unread bytes and len more; twice the old size, so that appending
 * byte by byte costs a constant time per byte. */
static uint8_t *grow(struct tow_buf *buf, size_t len)
{
	size_t used = buf->tail - buf->head, cap = SMALLEST_CAP;
	uint8_t *base;

	if (len > SIZE_MAX / 2 - used)
		return NULL;
	while (cap < used + len)
		cap *= 2;
	if (cap < buf->cap)
		cap = buf->cap;
	base = malloc(cap);
	if (!base)
		return NULL;
	if (used)
		memcpy(base, buf->base + buf->head, used);
	free(buf->base);
	buf->base = base;
	buf->head = 0;
	buf->tail = used;
	buf->cap = cap;
	return base + used;
}

uint8_t *tow_buf_reserve(struct tow_buf *buf, size_t len)
{
	size_t used = buf->tail - buf->head;

	if (buf->base && len <= buf->cap - buf->tail)
		return buf->base + buf->tail;
	/* Moving is worth it when it frees at least as much as it moves; otherwise a queue that is
	 * nearly full would be moved for every few bytes. */
	if (buf->base && buf->head >= used && len <= buf->cap - used) {
		memmove(buf->base, buf->base + buf->head, used);
		buf->head = 0;
		buf->tail = used;
		return buf->base + used;
	}
	return grow(buf, len);
}

void tow_buf_commit(struct tow_buf *buf, size_t len)
{
	assert(len <= buf->cap - buf->tail);
	buf->tail += len;
}

int tow_buf_append(struct tow_buf *buf, const void *bytes, size_t len)
{
	uint8_t *to;

	if (!len)
		return 0;
	to = tow_buf_reserve(buf, len);
	if (!to)
		return TOW_ENOMEM;
	memcpy(to, bytes, len);
	buf->tail += len;
	return 0;
}

int tow_buf_append_text(struct tow_buf *buf, const char *text)
{
	return tow_buf_append(buf, text, strlen(text));
}

int tow_buf_printf(struct tow_buf *buf, const char *format, ...)
{
	size_t room = buf->cap - buf->tail;
	va_list args;
	uint8_t *to;
	int len;

	/* Most texts fit what is free, and are formatted once. */
	va_start(args, format);
	len = vsnprintf(room ? (char *)buf->base + buf->tail : NULL, room, format, args);
	va_end(args);
	if (len < 0)
		return TOW_ENOMEM; /* glibc's only reason, the format being checked */
	if ((size_t)len >= room) {
		to = tow_buf_reserve(buf, (size_t)len + 1);
		if (!to)
			return TOW_ENOMEM;
		va_start(args, format);
		vsnprintf((char *)to, (size_t)len + 1, format, args);
		va_end(args);
	}
	buf->tail += (size_t)len;
	return 0;
}

struct tow_slice tow_buf_peek(const struct tow_buf *buf)
{
	if (!buf->base)
		return tow_slice_make(NULL, 0);
	return tow_slice_make(buf->base + buf->head, buf->tail - buf->head);
}

size_t tow_buf_len(const struct tow_buf *buf)
{
	return buf->tail - buf->head;
}

void tow_buf_consume(struct tow_buf *buf, size_t len)
{
	assert(len <= buf->tail - buf->head);
	buf->head += len;
	if (buf->head == buf->tail)
		buf->head = buf->tail = 0;
}

void tow_buf_clear(struct tow_buf *buf)
{
	buf->head = buf->tail = 0;
}

void tow_buf_deinit(struct tow_buf *buf)
{
	free(buf->base);
	memset(buf, 0, sizeof *buf);
}

void tow_buf_wipe(struct tow_buf *buf)
{
	if (buf->base)
		explicit_bzero(buf->base, buf->cap);
	tow_buf_deinit(buf);
}
