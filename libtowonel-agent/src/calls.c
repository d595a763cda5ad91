/* SPDX-License-Identifier: MIT */
#include "calls.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STOP_SHIFT 32

static void ready(void *user, int events)
{
	struct calls *calls = user;
	uint64_t number = 0;
	(void)events;
	if (read(calls->fd, &number, sizeof number) == sizeof number)
		calls->called(calls->user, (unsigned)number, (unsigned)(number >> STOP_SHIFT));
}

int tow__calls_init(struct calls *calls, struct tow_loop *loop,
                    void (*called)(void *user, unsigned wakes, unsigned stops), void *user)
{
	calls->called = called;
	calls->user = user;
	calls->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (calls->fd < 0)
		return TOW_EIO;
	calls->io = tow_io_new(loop, calls->fd, ready, calls);
	if (!calls->io)
		return TOW_ENOMEM;
	tow_io_watch(calls->io, TOW_IO_READ);
	return 0;
}

void tow__calls_deinit(struct calls *calls)
{
	tow_io_free(calls->io);
	calls->io = NULL;
	if (calls->fd >= 0)
		close(calls->fd);
	calls->fd = -1;
}

/* write(2) and nothing else, for the sake of signal handlers. */
void tow__call(const struct calls *calls, enum call what)
{
	uint64_t number = what == CALL_STOP ? UINT64_C(1) << STOP_SHIFT : 1;
	int saved = errno;
	if (write(calls->fd, &number, sizeof number) != sizeof number)
		number = 0; /* the counter is full: it has been asked often enough */
	errno = saved;
}
