/* SPDX-License-Identifier: MIT */
#ifndef TOW_QUIC_STEERING_H
#define TOW_QUIC_STEERING_H

/*
 * Several endpoints, each in its own thread, on one address and port: the sockets are a reuseport
 * group, and the connection id in a packet says whose it is, wherever it comes from.
 *
 *      home = first byte of the destination connection id  mod  number of workers
 *
 *      long header  (RFC 8999 section 5.1)   byte, version (4), id length, id ...
 *      short header (section 5.2)            byte, id ...
 *
 * A server's ids are made so that they lead to the worker that made them. The id of a client's
 * first packets is the client's choice: by chance, or for a worker that it wants.
 *
 * A program in the kernel picks the socket. What comes to another one all the same (without the
 * program, or because the kernel has put packets of several connections of one address together) is
 * a stray, and is handed over.
 */

#include <ngtcp2/ngtcp2.h>

#include <towonel/wire/buf.h>

/* Makes an id lead to the worker. */
void tow__steer_cid(ngtcp2_cid *cid, unsigned worker, unsigned workers);
/* Whose a datagram is; 0 when it is too short to say. */
unsigned tow__steer_home(struct tow_slice datagram, unsigned workers);
/* Has the kernel do that, for the group of a socket whose members were bound in the workers' order.
 * Without it, it spreads packets by their addresses. */
void tow__steer_socket(int fd, unsigned workers);

#endif
