/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_CALLS_H
#define TOWONEL_AGENT_CALLS_H

/*
 * Calls from other threads and from signal handlers to the loop's thread: one event descriptor
 * carries both kinds, stops counted in the upper half of its number.
 */

#include <towonel/tunnel/loop.h>

struct calls {
	int fd; /* -1: none */
	struct tow_io *io;
	void (*called)(void *user, unsigned wakes, unsigned stops);
	void *user;
};

enum call {
	CALL_WAKE,
	CALL_STOP,
};

/* Returns 0, TOW_EIO (errno says why), TOW_ENOMEM. */
int tow__calls_init(struct calls *calls, struct tow_loop *loop,
                    void (*called)(void *user, unsigned wakes, unsigned stops), void *user);
/* Also of one whose fd is -1 and that was never initialised. */
void tow__calls_deinit(struct calls *calls);
/* From any thread or signal handler. */
void tow__call(const struct calls *calls, enum call what);

#endif
