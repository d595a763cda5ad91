/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_LIMITS_H
#define TOWONEL_WIRE_LIMITS_H

/*
 * Every bound on what comes from outside, in one place. Sizes are bytes unless the name
 * says otherwise; times say their unit. A queue or a parser that needs a bound names it here.
 */

/* names */
#define TOW_HOSTNAME_MAX 253        /* RFC 1035 section 2.3.4, in text form, no trailing dot */
#define TOW_LABEL_MAX 63
#define TOW_SERVICE_NAME_MAX 64
#define TOW_TENANT_NAME_MAX 64
#define TOW_URL_MAX 512
#define TOW_TOKEN_MAX 2048

/* ClientHello: RFC 8446 allows 64 KiB and more; no client in use comes near 16 KiB */
#define TOW_CLIENT_HELLO_MAX 16384
#define TOW_CLIENT_HELLO_TIMEOUT_MS 10000
#define TOW_ALPN_MAX 16             /* protocols kept of a hello's list */
#define TOW_ALPN_ID_MAX 255

/* PROXY protocol v2: the header's own length field allows 64 KiB */
#define TOW_PROXY_HEADER_MAX 1024
#define TOW_UNIQUE_ID_SIZE 16

/* tunnel */
#define TOW_CONTROL_MESSAGE_MAX 1048576
#define TOW_REPLAY_MAX 65536        /* bytes an edge keeps until the agent's status byte */
#define TOW_PIPE_UNSENT_MAX 262144  /* read from a socket, not yet given to the peer */
#define TOW_STREAMS_PER_AGENT 16384
#define TOW_DATAGRAM_MAX 65535
#define TOW_ROUTE_EVENT_MAX 268435456 /* a snapshot of a million names */

/* configuration and API */
#define TOW_SERVICES_MAX 4096
#define TOW_ENTRY_MAX 65536         /* one JWS in text form */
#define TOW_ENTRIES_PER_BATCH 4096
#define TOW_PORT_RANGE_MAX 512
#define TOW_HTTP_BODY_MAX 65536
#define TOW_HTTP_ENTRIES_BODY_MAX 1048576
#define TOW_HTTP_HEADER_MAX 16384   /* request line and all header fields */
#define TOW_HTTP_HEADERS_COUNT_MAX 64
#define TOW_HTTP_REQUEST_TIMEOUT_MS 15000
#define TOW_HTTP_IDLE_TIMEOUT_MS 60000
#define TOW_HTTP_STALL_TIMEOUT_MS 30000
#define TOW_HTTP_LINGER_MS 2000
#define TOW_HTTP_CONNECTIONS_MAX 1024
#define TOW_REQUEST_ID_MAX 64
#define TOW_SIGNATURE_WINDOW_MS 60000

#endif
