/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_TCP_H
#define TOWONEL_TUNNEL_TCP_H

/*
 * TCP sockets as file descriptors: listening, accepting, dialling. All are non-blocking and
 * close-on-exec; accepted and dialled ones have TCP_NODELAY and keep-alive set.
 */

#include <sys/socket.h>
#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/wire/addr.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Address conversions. _to returns the length. IPv4-mapped addresses come out as IPv4. */
socklen_t tow_addr_to_sockaddr(const struct tow_addr *addr, struct sockaddr_storage *out);
int tow_addr_from_sockaddr(const struct sockaddr *sa, struct tow_addr *out); /* 0, TOW_EINVAL */

/* Several sockets of one process on one address and port (SO_REUSEPORT), among which the kernel
 * spreads what comes. The first is bound alone, so that a port which another process has is not
 * joined by mistake. */
enum tow_port_sharing {
	TOW_PORT_ALONE,
	TOW_PORT_FOUND, /* the first */
	TOW_PORT_JOIN,
};

/* Accepts connections. A shortage of descriptors stops accepting for a moment and is logged at most
 * once a second; it never spins. */
struct tow_tcp_listener;
typedef void (*tow_tcp_accepted)(void *user, int fd, const struct tow_addr *peer,
                                 const struct tow_addr *local); /* fd is the callee's */
/* port 0 picks a free one. The IPv6 wildcard takes IPv4 as well when dual_stack. Returns 0;
 * TOW_EADDRINUSE, TOW_EDENIED, TOW_EIO with the address named in err. */
int tow_tcp_listener_new(struct tow_loop *loop, struct tow_log *log, const struct tow_addr *addr,
                         int dual_stack, enum tow_port_sharing sharing,
                         tow_tcp_accepted accepted, void *user, struct tow_tcp_listener **out,
                         struct tow_error *err);
void tow_tcp_listener_free(struct tow_tcp_listener *listener);
void tow_tcp_listener_pause(struct tow_tcp_listener *listener, int paused);
/* For protocols in which the peer speaks first: it is accepted when it has, or a second after it
 * came, which saves looking at it in vain. */
void tow_tcp_listener_defer(struct tow_tcp_listener *listener);
const struct tow_addr *
tow_tcp_listener_addr(const struct tow_tcp_listener *listener); /* as bound */

/* Dials host:port. A literal address is tried at once; a name is resolved on a worker thread, its
 * addresses are tried in turn, the next one starting 250 ms after the last (RFC 8305). */
struct tow_tcp_dial;
/* status: 0 and fd (the callee's), or TOW_EREFUSED, TOW_ETIMEDOUT, TOW_ENOTFOUND (name), TOW_EIO.
 * Called once, never from within tow_tcp_dial_start. */
typedef void (*tow_tcp_dialled)(void *user, int status, int fd, const struct tow_error *err);
int tow_tcp_dial_start(struct tow_loop *loop, const char *host, uint16_t port, uint64_t timeout_ns,
                       tow_tcp_dialled done, void *user, struct tow_tcp_dial **out);
void tow_tcp_dial_cancel(struct tow_tcp_dial *dial); /* done is not called */

/* Resolves host:port to at most cap addresses, literal or by name. done is never called from
 * within. */
#define TOW_RESOLVE_MAX 16
struct tow_resolve;
typedef void (*tow_resolved)(void *user, int status, const struct tow_addr *addrs, size_t count,
                             const struct tow_error *err);
int tow_resolve_start(struct tow_loop *loop, const char *host, uint16_t port, tow_resolved done,
                      void *user, struct tow_resolve **out);
void tow_resolve_cancel(struct tow_resolve *resolve);

/* The local address from which this host would send to another now; port 0; sends nothing. Returns
 * 0; TOW_ENOTFOUND when no way leads there. */
int tow_route_source(const struct tow_addr *remote, struct tow_addr *out);
/* The local address that the default route would use, for family 4 or 6; port 0; sends nothing.
 * Returns 0, TOW_ENOTFOUND. */
int tow_default_route_addr(int family, struct tow_addr *out);

/* A reset instead of a FIN when fd is closed next. */
void tow_tcp_set_reset(int fd);

#ifdef __cplusplus
}
#endif
#endif
