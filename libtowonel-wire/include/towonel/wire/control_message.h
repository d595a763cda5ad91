/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_CONTROL_MESSAGE_H
#define TOWONEL_WIRE_CONTROL_MESSAGE_H

/*
 * The control stream of a tunnel: u32 length, then that many bytes of JSON with a member "type".
 *
 *   agent -> edge  hello {version, software, entry, services: [authority, ...]}
 *   edge -> agent  welcome {edge_id, software, worker, workers, tunnels}   of an edge with several
 *                  workers: to which one the tunnel is, of how many, and how many are to be had
 *                  refused {code, message}       then the connection is closed
 *                  superseded {generation}       by an agent with another service list
 *   either         drain {redial?}               no new streams, please
 *                  ping {id, sent_ms}            answered at once by
 *                  pong {id, sent_ms}            with the same members
 *
 * A type that is not known is ignored (it reads as TOW_CONTROL_UNKNOWN), so that either side can be
 * newer; a hello of another version is refused.
 */

#include "entry.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TOW_TUNNEL_VERSION 1
#define TOW_TUNNEL_ALPN    "towonel/1"

enum tow_control_type {
	TOW_CONTROL_UNKNOWN,
	TOW_CONTROL_HELLO,
	TOW_CONTROL_WELCOME,
	TOW_CONTROL_REFUSED,
	TOW_CONTROL_SUPERSEDED,
	TOW_CONTROL_DRAIN,
	TOW_CONTROL_PING,
	TOW_CONTROL_PONG,
};

/* QUIC application error codes (RFC 9000 section 20.2) of connections and streams. */
enum tow_tunnel_error {
	TOW_TUNNEL_OK = 0x0,
	TOW_TUNNEL_INTERNAL = 0x1,
	TOW_TUNNEL_PROTOCOL = 0x2, /* bad control message, header or frame */
	TOW_TUNNEL_VERSION_REFUSED = 0x3,
	TOW_TUNNEL_UNAUTHORIZED = 0x4, /* entry, tenant or agent not accepted */
	TOW_TUNNEL_SUPERSEDED = 0x5,
	TOW_TUNNEL_DRAINING = 0x6,
	TOW_TUNNEL_OVERLOADED = 0x7,
	TOW_TUNNEL_UNKNOWN_SERVICE = 0x8,
	TOW_TUNNEL_ORIGIN_REFUSED = 0x9, /* the origin cannot be reached */
	TOW_TUNNEL_ORIGIN_TIMEOUT = 0xa,
	TOW_TUNNEL_PEER_RESET = 0xb, /* the TCP peer on the other side reset */
	TOW_TUNNEL_IDLE = 0xc,
};
const char *tow_tunnel_error_name(uint64_t code); /* "origin_refused"; "unknown" */

/* The byte with which the agent answers a visitor stream before the origin's bytes. Anything but
 * this one is a protocol error; failures come as a reset with a code from above. */
#define TOW_STREAM_ACCEPTED 0x01

struct tow_control_message {
	enum tow_control_type type;
	uint32_t version; /* hello */
	char *entry;      /* hello: JWS text of an upsert_agent; owned */
	char **services;  /* hello: authorities; owned */
	size_t service_count;
	struct tow_id edge_id;     /* welcome */
	char software[32];         /* hello, welcome: version of the program */
	unsigned worker, workers;  /* welcome: worker < workers; workers 0: not said */
	unsigned tunnels;          /* welcome: at most workers; 0: not said */
	uint64_t code;             /* refused: enum tow_tunnel_error */
	char text[128];            /* refused: for the log */
	uint64_t generation;       /* superseded */
	int redial;                /* drain: another process answers at the same address */
	uint64_t ping_id, sent_ms; /* ping, pong: sent_ms on the sender's monotonic clock */
};

/* Appends prefix and JSON. Texts that are no UTF-8 count as out of memory, numbers end at 2^63 - 1.
 * Returns 0, TOW_ENOMEM, TOW_ETOOBIG, TOW_EINVAL (no such type). */
int tow_control_write(const struct tow_control_message *message, struct tow_buf *out);
/* The message at the start of bytes; *len is its whole length. Free it with _deinit. Of a hello of
 * another version only the version is read. software and text come cut to fit, with '?' for
 * anything but printable ASCII. Returns 0; TOW_MORE; TOW_EPARSE; TOW_ETOOBIG; TOW_ENOMEM. */
int tow_control_read(struct tow_slice bytes, struct tow_control_message *out, size_t *len);
void tow_control_message_deinit(struct tow_control_message *message);

#ifdef __cplusplus
}
#endif
#endif
