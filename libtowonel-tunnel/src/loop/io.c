/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Watchers on descriptors, in the loop's own epoll set, found by descriptor. System calls are saved
 * where they are most of the work, with a connection that comes and goes:
 *
 * - A descriptor is entered for reading at once, as nearly all will be read first.
 * - Interest in reading is withdrawn only when the kernel reports something that nobody wants: a
 *   pipe that pauses for a moment pays nothing. But at its end a descriptor is ready for ever: as
 *   soon as nobody wants it, its entry goes.
 * - A watcher that goes leaves its entry: it ends with the descriptor, which is mostly closed right
 *   afterwards. If it is not, its next event removes the entry, or the next watcher takes it over.
 *   But an entry is of a file, not of a descriptor: when a child of a host that has forked may have
 *   the file too, the entry would stay, and nothing could remove it. There it goes at once.
 */

struct tow_io {
	struct tow_loop *loop;
	int fd;
	int wanted;    /* by the owner: TOW_IO_* */
	uint32_t told; /* what the kernel knows: EPOLL*; 0: nothing of this descriptor */
	int ended;     /* an end or an error has been reported, and will be again */
	void (*ready)(void *user, int events);
	void *user;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_int has_forked;

static void note_fork(void)
{
	atomic_store(&has_forked, 1);
}

static void watch_for_forks(void)
{
	/* before it: another thread may close something while it goes on */
	pthread_atfork(note_fork, NULL, NULL);
}

void tow__ios_watch_for_forks(void)
{
	pthread_once(&once, watch_for_forks);
}

static uint32_t epoll_events(int wanted)
{
	/* Errors are always reported; for one who wants nothing once will do. */
	return wanted ? (wanted & TOW_IO_READ ? (uint32_t)(EPOLLIN | EPOLLRDHUP) : 0) |
	                        (wanted & TOW_IO_WRITE ? (uint32_t)EPOLLOUT : 0)
	              : (uint32_t)EPOLLONESHOT;
}

static int tell(struct tow_io *io, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = io->fd };

	io->told = events;
	return epoll_ctl(io->loop->epoll_fd, operation, io->fd, &event);
}

static int make_room(struct tow_loop *loop, int fd)
{
	size_t cap = loop->ios_cap ? loop->ios_cap : 64;
	struct tow_io **ios;

	while (cap <= (size_t)fd)
		cap *= 2;
	if (cap == loop->ios_cap)
		return 0;
	ios = realloc(loop->ios, cap * sizeof *ios);
	if (!ios)
		return TOW_ENOMEM;
	for (size_t i = loop->ios_cap; i < cap; i++)
		ios[i] = NULL;
	loop->ios = ios;
	loop->ios_cap = cap;
	return 0;
}

struct tow_io *tow_io_new(struct tow_loop *loop, int fd, void (*ready)(void *user, int events),
                          void *user)
{
	struct tow_io *io;

	if (fd < 0 || make_room(loop, fd))
		return NULL;
	io = malloc(sizeof *io);
	if (!io)
		return NULL;
	*io = (struct tow_io){ .loop = loop, .fd = fd, .ready = ready, .user = user };
	if (tell(io, EPOLL_CTL_ADD, epoll_events(TOW_IO_READ)) &&
	    (errno != EEXIST || tell(io, EPOLL_CTL_MOD, epoll_events(TOW_IO_READ)))) {
		free(io);
		return NULL;
	}
	loop->ios[fd] = io;
	loop->io_count++;
	return io;
}

static void forget(struct tow_loop *loop, int fd)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* The kernel is to report no more than what is wanted. */
static void withdraw(struct tow_io *io)
{
	if (io->wanted || !io->ended) {
		tell(io, EPOLL_CTL_MOD, epoll_events(io->wanted));
		return;
	}
	forget(io->loop, io->fd);
	io->told = 0;
}

void tow_io_watch(struct tow_io *io, int events)
{
	uint32_t wants = epoll_events(events);

	io->wanted = events & (TOW_IO_READ | TOW_IO_WRITE);
	if (io->wanted && wants & ~io->told)
		tell(io, io->told ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, wants);
	/* A socket is nearly always writable: that interest goes at once. */
	else if (io->told & ~wants & EPOLLOUT || (!io->wanted && io->ended && io->told))
		withdraw(io);
}

void tow_io_hand_over(struct tow_io *io, void (*ready)(void *user, int events), void *user)
{
	io->ready = ready;
	io->user = user;
}

void tow_io_free(struct tow_io *io)
{
	struct tow_loop *loop;

	if (!io)
		return;
	loop = io->loop;
	/* What was reported of it must not reach one that gets the same number in this turn. */
	for (int i = loop->event_at; i < loop->event_count; i++)
		if (loop->events[i].data.fd == io->fd)
			loop->events[i].events = 0;
	if (loop->ios[io->fd] == io) {
		loop->ios[io->fd] = NULL;
		if (io->told && atomic_load(&has_forked))
			forget(loop, io->fd);
	}
	loop->io_count--;
	free(io);
}

void tow_loop_disown(struct tow_loop *loop, int fd)
{
	forget(loop, fd);
}

void tow__io_event(struct tow_loop *loop, const struct epoll_event *event)
{
	struct tow_io *io = loop->ios[event->data.fd];
	int events = 0;

	if (!event->events)
		return;
	if (!io) {
		forget(loop, event->data.fd);
		return;
	}
	if (event->events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP))
		io->ended = 1;
	if (event->events & EPOLLIN)
		events |= TOW_IO_READ;
	if (event->events & EPOLLOUT)
		events |= TOW_IO_WRITE;
	if (event->events & (EPOLLERR | EPOLLHUP))
		events |= io->wanted;
	events &= io->wanted;
	if (!events) {
		/* Said again, it would be reported again. */
		if (io->ended || io->told != epoll_events(io->wanted))
			withdraw(io);
		return;
	}
	if (event->events & EPOLLERR)
		events |= TOW_IO_ERROR;
	if (event->events & EPOLLRDHUP && events & TOW_IO_READ)
		events |= TOW_IO_HANGUP;
	io->ready(io->user, events);
}
