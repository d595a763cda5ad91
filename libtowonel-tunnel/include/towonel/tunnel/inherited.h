/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_INHERITED_H
#define TOWONEL_TUNNEL_INHERITED_H

/*
 * Sockets that somebody else has bound: the service manager, which listens before its service runs,
 * or the process that ran before. On a loop that has such a set, whoever binds an address gets the
 * socket that is bound to it already, if there is one, without having to know.
 *
 * A set may be used by several threads.
 */

#include <stddef.h>
#include <towonel/tunnel/loop.h>
#include <towonel/wire/addr.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_inherited;

struct tow_inherited *tow_inherited_new(void); /* NULL: out of memory */
/* Closes what nobody has taken. NULL is fine. The loops that have the set have gone before. */
void tow_inherited_free(struct tow_inherited *set);

/* Takes fd, a TCP or UDP socket, and channel: the way to the process that goes on using the same
 * UDP socket, or -1. Returns 0; TOW_EINVAL (no such socket, or not bound), TOW_ENOMEM: both are
 * closed. */
int tow_inherited_add(struct tow_inherited *set, int fd, int channel);
/* Adds what the service manager passes (sd_listen_fds(3)), if it is for this process, and removes
 * the variables that say so. Returns how many. */
size_t tow_inherited_add_activated(struct tow_inherited *set);
/* How many nobody has taken; the address of one of them. */
size_t tow_inherited_left(struct tow_inherited *set);
void tow_inherited_addr(struct tow_inherited *set, size_t i, struct tow_addr *out);
/* How many sockets of that type (SOCK_STREAM, SOCK_DGRAM) are bound to that address; a wildcard is
 * as good as another. */
size_t tow_inherited_count(struct tow_inherited *set, int type, const struct tow_addr *addr);

/* The set is borrowed for as long as something is bound on the loop; NULL: none any more. */
void tow_loop_set_inherited(struct tow_loop *loop, struct tow_inherited *set);

/* What is bound on the loop from now on waits: nothing is accepted or read. After _release it does
 * not. (A QUIC endpoint does not wait: its peers would not wait either.) */
void tow_loop_hold(struct tow_loop *loop);
void tow_loop_release(struct tow_loop *loop);

/* For the process that takes over: gives each socket that is bound on the loop, and, for UDP, the
 * channel that goes with it (-1: none). Both are borrowed for the call. Returns 0, or what stopped
 * it: of _lend, or of give. */
int tow_loop_lend(struct tow_loop *loop, int (*give)(void *user, int fd, int channel), void *user);

#ifdef __cplusplus
}
#endif
#endif
