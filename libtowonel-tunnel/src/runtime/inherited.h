/* SPDX-License-Identifier: MIT */
#ifndef TOW__INHERITED_H
#define TOW__INHERITED_H

#include <towonel/tunnel/inherited.h>

/* A socket that is bound on a loop, for as long as it is: part of its owner. */
struct tow__bound {
	int (*lend)(void *owner, int *fd, int *channel);
	void (*release)(void *owner); /* it need not wait any longer */
	void *owner;
	struct tow__bound *prev, *next;
};
void tow__bound_enter(struct tow_loop *loop, struct tow__bound *bound);
void tow__bound_leave(struct tow_loop *loop, struct tow__bound *bound);

/* Takes the socket of that type (SOCK_STREAM, SOCK_DGRAM) that is bound to addr; a wildcard is as
 * good as another, since what the manager bound need not be of the same family. Returns its
 * descriptor, non-blocking, with *family and *channel (which may be NULL); -1: there
 * is none. */
int tow__inherited_take(struct tow_inherited *set, int type, const struct tow_addr *addr,
                        int *family, int *channel);

#endif
