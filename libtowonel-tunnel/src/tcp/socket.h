/* SPDX-License-Identifier: MIT */
#ifndef TOW__SOCKET_H
#define TOW__SOCKET_H

/* What TCP and UDP sockets have in common. */

#include <towonel/tunnel/tcp.h>

/* As tow_addr_to_sockaddr, for a socket of that family: IPv4 is mapped for AF_INET6. */
socklen_t tow__addr_to_sockaddr_for(int family, const struct tow_addr *addr,
                                    struct sockaddr_storage *out);

struct tow_inherited;

struct tow__bind {
	struct tow_inherited *inherited; /* the loop's */
	int type; /* SOCK_STREAM, SOCK_DGRAM */
	struct tow_addr addr;
	int dual_stack;
	enum tow_port_sharing sharing;
};

/* A bound non-blocking socket, inherited if there is one. The IPv6 wildcard that is to take IPv4 as
 * well becomes the IPv4 wildcard where the kernel has no IPv6. *channel (NULL is fine) is as in
 * tow_inherited_add. Returns 0; TOW_EADDRINUSE, TOW_EDENIED, TOW_EIO. */
int tow__socket_bind(const struct tow__bind *bind, int *fd, int *family, int *channel,
                     struct tow_addr *bound, struct tow_error *err);

/* Translates errno of bind, listen, connect. */
int tow__socket_error(int error_number);

/* What a TCP connection is to have: no delay, and keep-alive. */
void tow__socket_set_options(int fd);

int tow__addr_is_any(const struct tow_addr *addr);

#endif
