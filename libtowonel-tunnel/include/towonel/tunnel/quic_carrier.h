/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_QUIC_CARRIER_H
#define TOWONEL_TUNNEL_QUIC_CARRIER_H

/*
 * A QUIC connection without UDP, for networks that let none through: the same packets, each with
 * its length in front, inside TLS over TCP. Everything else about the connection is as in quic.h:
 * keys are checked inside, streams are as they are. A carrier carries one connection, and neither
 * outlives the other.
 */

#include <towonel/tunnel/quic.h>
#include <towonel/tunnel/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

/* By which TLS tells a carrier from a visitor. */
#define TOW_CARRIER_ALPN "towonel-tcp/1"

struct tow_quic_carrier;

struct tow_quic_carrier_config {
	struct tow_quic_endpoint *endpoint;
	int fd;
	struct tow_tls *tls; /* after its handshake */
	struct tow_addr local, remote;
	uint64_t begin_timeout_ns; /* a server's: for a connection to begin; 0: a client's */
	/* There is no more to carry: the socket is gone (status says why), the connection has ended
	 * and everything is written (0), or none began (TOW_ETIMEDOUT). Free it then. Never called
	 * from within a function of this header. May be NULL: a client hears from its
	 * connection. */
	void (*closed)(void *user, int status);
	void *user;
};

/* fd and tls are the carrier's when it returns 0. Returns 0, TOW_ENOMEM. */
int tow_quic_carrier_new(const struct tow_quic_carrier_config *config,
                         struct tow_quic_carrier **out);
/* Ends its connection, if it has one, without a word, and closes the socket. */
void tow_quic_carrier_free(struct tow_quic_carrier *carrier);

/* As tow_quic_connect. */
int tow_quic_connect_over(struct tow_quic_carrier *carrier, const struct tow_id *peer,
                          const struct tow_quic_conn_events *events, void *user,
                          struct tow_quic_conn **out);
int tow_quic_conn_is_carried(const struct tow_quic_conn *conn);

/* From TCP to a carrier, through a proxy where one leads to the host. */
struct tow_proxies;
struct tow_quic_carrier_dial;
/* status: 0 and a carrier, the callee's; TOW_EREFUSED, TOW_ETIMEDOUT, TOW_ENOTFOUND (name),
 * TOW_EAUTH (another key), TOW_EDENIED and TOW_EHTTP (proxy), TOW_ETLS, TOW_ERESET, TOW_EIO. */
typedef void (*tow_quic_carrier_dialled)(void *user, int status, struct tow_quic_carrier *carrier,
                                         const struct tow_error *err);
struct tow_quic_carrier_dial_config {
	struct tow_loop *loop;
	struct tow_quic_endpoint *endpoint;
	const char *host;
	uint16_t port;
	const struct tow_id *peer;         /* whose key the other side has to show */
	const struct tow_proxies *proxies; /* borrowed until done; NULL: none */
	tow_quic_carrier_dialled done;     /* once, never from within _start */
	void *user;
};
int tow_quic_carrier_dial_start(const struct tow_quic_carrier_dial_config *config,
                                struct tow_quic_carrier_dial **out);
void tow_quic_carrier_dial_cancel(struct tow_quic_carrier_dial *dial); /* done is not called */

#ifdef __cplusplus
}
#endif
#endif
