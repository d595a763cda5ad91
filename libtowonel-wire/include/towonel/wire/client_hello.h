/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_CLIENT_HELLO_H
#define TOWONEL_WIRE_CLIENT_HELLO_H

/*
 * Reads the server name and the ALPN list out of a TLS ClientHello (RFC 8446 section 4.1.2,
 * RFC 6066 section 3, RFC 7301), fed in pieces of any size. The hello may span several records
 * (RFC 8446 section 5.1). The parser keeps its own copy of the handshake message; the caller keeps
 * the raw bytes to forward.
 */

#include "hostname.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The ALPN list is kept without GREASE values (RFC 8701), so that its first is a protocol. */
struct tow_client_hello {
	char server_name[TOW_HOSTNAME_SIZE]; /* lower case; "" when the hello has none */
	uint16_t legacy_version;
	int offers_tls13;
	int takes_ed25519;                   /* signatures: RFC 8446 section 4.2.3 */
	size_t group_count;                  /* as many as there are slots for; 0: not said */
	uint16_t groups[TOW_GROUPS_MAX];     /* RFC 8446 section 4.2.7 */
	size_t alpn_count;                   /* as many as there are slots for */
	struct tow_slice alpn[TOW_ALPN_MAX]; /* borrowed from the parser */
};

/* All-zero is valid: a parser that has read nothing. */
struct tow_client_hello_parser {
	struct tow_buf message; /* handshake bytes so far */
	uint8_t header[5];      /* record header being collected */
	uint8_t header_len;
	uint16_t record_left;   /* bytes left in the present record */
	size_t total;           /* raw bytes taken */
	int done;               /* something else than TOW_MORE was returned */
};

/* Takes the next bytes. Returns 0 when the hello is complete (bytes after it are not looked at,
 * *out is filled, and valid until the parser is freed); TOW_MORE; TOW_EPARSE when it is not a TLS
 * ClientHello; TOW_ETOOBIG past TOW_CLIENT_HELLO_MAX; TOW_ENOMEM. After anything but TOW_MORE the
 * parser takes no more bytes: TOW_EINVAL. A server name that is no valid hostname is TOW_EPARSE. */
int tow_client_hello_feed(struct tow_client_hello_parser *parser, struct tow_slice bytes,
                          struct tow_client_hello *out);
void tow_client_hello_deinit(struct tow_client_hello_parser *parser);

/* A fatal TLS alert record (RFC 8446 section 6.2), TOW_TLS_ALERT_SIZE bytes. */
#define TOW_TLS_ALERT_SIZE 7
enum tow_tls_alert {
	TOW_ALERT_UNEXPECTED_MESSAGE = 10,
	TOW_ALERT_HANDSHAKE_FAILURE = 40,
	TOW_ALERT_ACCESS_DENIED = 49,
	TOW_ALERT_DECODE_ERROR = 50,
	TOW_ALERT_INTERNAL_ERROR = 80,
	TOW_ALERT_UNRECOGNIZED_NAME = 112,
};
void tow_tls_alert_write(enum tow_tls_alert alert, uint8_t out[TOW_TLS_ALERT_SIZE]);

#ifdef __cplusplus
}
#endif
#endif
