/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_PROXY_H
#define TOWONEL_TUNNEL_PROXY_H

/*
 * HTTP proxies, where the way out leads through one: which, by the environment variables that other
 * programs know, and a TCP connection through it (CONNECT, RFC 9110 section 9.3.6).
 */

#include <towonel/tunnel/loop.h>
#include <towonel/wire/addr.h>
#include <towonel/wire/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* http://[user:password@]host[:port], percent-encoded; the port is 80 when there is none. */
struct tow_proxy {
	char host[TOW_HOSTNAME_MAX + 1];
	uint16_t port;
	char user[TOW_PROXY_USER_MAX + 1]; /* decoded, and without a colon; "": none */
	char password[TOW_PROXY_PASSWORD_MAX + 1];
};
/* Returns 0, TOW_EPARSE: err says what is wrong, without the password. */
int tow_proxy_parse(struct tow_slice url, struct tow_proxy *out, struct tow_error *err);

/* Which hosts are reached through a proxy. All-zero: none is. */
struct tow_proxies {
	int some;
	struct tow_proxy proxy;
	char *bypass; /* a list as in NO_PROXY */
};
/* HTTPS_PROXY or https_proxy, NO_PROXY or no_proxy. Returns 0; TOW_EPARSE, TOW_ENOMEM: then there
 * is none, and err names the variable. */
int tow_proxies_from_environment(struct tow_proxies *out, struct tow_error *err);
void tow_proxies_deinit(struct tow_proxies *proxies);
/* The proxy that leads to a host; NULL: none. NO_PROXY lists, with commas or spaces between: a name
 * (and what is below it; a dot in front does not matter), an address, ADDRESS/BITS, or * for
 * everything. This host's own addresses are never asked of a proxy. */
const struct tow_proxy *tow_proxies_find(const struct tow_proxies *proxies, const char *host);

/* Asks a proxy, on a connection to it, for one to host:port. done gets 0, and fd then leads there;
 * TOW_EDENIED, TOW_EHTTP, TOW_ETIMEDOUT, TOW_ERESET. It is called once, never from within _start.
 * fd stays the caller's. */
struct tow_proxy_connect;
int tow_proxy_connect_start(struct tow_loop *loop, const struct tow_proxy *proxy, int fd,
                            const char *host, uint16_t port, uint64_t timeout_ns,
                            void (*done)(void *user, int status, const struct tow_error *err),
                            void *user, struct tow_proxy_connect **out);
void tow_proxy_connect_cancel(struct tow_proxy_connect *connect); /* done is not called */

/* The head of a proxy's answer. Returns 0 and its status, *len is where it ends; TOW_MORE,
 * TOW_EPARSE, TOW_ETOOBIG. */
int tow_proxy_answer_read(struct tow_slice bytes, unsigned *status, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
