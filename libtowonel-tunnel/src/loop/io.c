/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include <stdlib.h>

/*
 * A watcher on a descriptor. The memory is the watcher's own, since libuv holds on to a handle
 * until the turn after it is closed, while the owner and its descriptor may go at once.
 */

struct tow_io {
	uv_poll_t poll;
	struct tow_loop *loop;
	void (*ready)(void *user, int events);
	void *user;
	int wanted; /* by the owner */
	int active; /* in libuv */
};

static void apply(struct tow_io *io);

static void on_poll(uv_poll_t *handle, int status, int uv_events)
{
	struct tow_io *io = handle->data;
	int events = 0;

	if (status < 0) {
		/* libuv has stopped watching. The owner finds out by reading or writing. */
		io->active = 0;
		io->ready(io->user, io->wanted | TOW_IO_ERROR);
		if (!uv_is_closing((uv_handle_t *)handle))
			apply(io);
		return;
	}
	if (uv_events & UV_READABLE)
		events |= TOW_IO_READ;
	if (uv_events & UV_WRITABLE)
		events |= TOW_IO_WRITE;
	io->ready(io->user, events);
}

static void apply(struct tow_io *io)
{
	if (io->active == io->wanted)
		return;
	io->active = io->wanted;
	io->loop->unseen = 1;
	if (!io->wanted)
		uv_poll_stop(&io->poll);
	else
		uv_poll_start(&io->poll,
		              (io->wanted & TOW_IO_READ ? UV_READABLE : 0) |
		                      (io->wanted & TOW_IO_WRITE ? UV_WRITABLE : 0),
		              on_poll);
}

struct tow_io *tow_io_new(struct tow_loop *loop, int fd, void (*ready)(void *user, int events),
                          void *user)
{
	struct tow_io *io = calloc(1, sizeof *io);

	if (!io)
		return NULL;
	if (uv_poll_init(&loop->uv, &io->poll, fd)) {
		free(io);
		return NULL;
	}
	io->poll.data = io;
	io->loop = loop;
	io->ready = ready;
	io->user = user;
	return io;
}

void tow_io_watch(struct tow_io *io, int events)
{
	io->wanted = events & (TOW_IO_READ | TOW_IO_WRITE);
	apply(io);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void tow_io_free(struct tow_io *io)
{
	if (!io)
		return;
	io->loop->unseen = 1;
	uv_close((uv_handle_t *)&io->poll, on_closed);
}
