/* SPDX-License-Identifier: MIT */
#ifndef TOW_TUNNEL_PIPE_SOCKET_IO_H
#define TOW_TUNNEL_PIPE_SOCKET_IO_H

/* One read or write of a pipe's socket, through its TLS session if it has one. */

#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/tls.h>
#include <towonel/wire/buf.h>

/* Returns 0; TOW_BLOCKED, with the events that it waits for in *waits; TOW_EOF, TOW_ERESET,
 * TOW_ETLS. */
int tow__socket_receive(int fd, struct tow_tls *tls, void *to, size_t cap, size_t *n, int *waits);
/* Returns 0; TOW_BLOCKED as above; TOW_ECLOSED (it takes no more, but may have something to say),
 * TOW_ERESET, TOW_ETLS. */
int tow__socket_transmit(int fd, struct tow_tls *tls, struct tow_slice bytes, size_t *n,
                         int *waits);

#endif
