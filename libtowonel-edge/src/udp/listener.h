/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_UDP_LISTENER_H
#define TOW_EDGE_UDP_LISTENER_H

/*
 * The socket of a UDP port, and the sessions that it brings: one for each address and port of a
 * visitor and each address of ours that it writes to, so that answers leave from that one.
 *
 * With several workers the kernel gives a visitor's datagrams to one of them by his address. Where
 * that has no agent for them, the session goes to one that has, and they are handed on to it.
 */

#include <towonel/tunnel/udp.h>
#include <towonel/wire/addr.h>
#include <towonel/wire/error.h>

struct udp_listener;
struct worker;

/* Returns 0; TOW_EADDRINUSE, TOW_EDENIED, TOW_EIO, TOW_ENOMEM. */
int tow__udp_listener_new(struct worker *w, const struct tow_addr *addr, int dual_stack,
                          struct udp_listener **out, struct tow_error *err);
/* home: the worker that has got the datagram from the kernel. */
void tow__udp_listener_take(struct udp_listener *listener, const struct tow_udp_packet *packet,
                            unsigned home);
/* The edge is closing: no session begins, and those that there are end soon. Returns 1 when it
 * is needed still, for those or as the way to another process. */
int tow__udp_listener_drain(struct udp_listener *listener);
void tow__udp_listener_free(struct udp_listener *listener); /* and ends its sessions */

#endif
