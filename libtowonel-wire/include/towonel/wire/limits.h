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
#define TOW_PORT_LABEL_MAX 64
#define TOW_URL_MAX 512
#define TOW_TOKEN_MAX 2048

/* ClientHello: RFC 8446 allows 64 KiB and more; no client in use comes near 16 KiB */
#define TOW_CLIENT_HELLO_MAX 16384
#define TOW_CLIENT_HELLO_TIMEOUT_MS 10000
#define TOW_ALPN_MAX 16             /* protocols kept of a hello's list */
#define TOW_ALPN_ID_MAX 255
#define TOW_GROUPS_MAX 32           /* key exchange groups kept of a hello's list */

/* PROXY protocol v2: the header's own length field allows 64 KiB */
#define TOW_PROXY_HEADER_MAX 1024
#define TOW_UNIQUE_ID_SIZE 16

/* tunnel */
#define TOW_CONTROL_MESSAGE_MAX 1048576
#define TOW_REPLAY_MAX 65536        /* bytes an edge keeps until the agent's status byte */
#define TOW_PIPE_UNSENT_MAX 262144  /* read from a socket, not yet given to the peer */
#define TOW_PIPE_UNSENT_MIN 16384   /* the same, however much others have */
#define TOW_QUEUED_MAX 33554432     /* given to a connection's streams and not acknowledged */
#define TOW_STREAMS_PER_AGENT 16384
#define TOW_STREAMS_NOT_OF_UDP 4096 /* of these, which sessions of UDP leave to connections */
#define TOW_HELD_MAX 268435456      /* that the streams of a connection brought and nobody took */
#define TOW_STREAMS_BY_AGENT 4      /* that it opens itself: the control stream */
#define TOW_HANDSHAKES_PER_SECOND 200 /* that strangers may begin with an edge */
#define TOW_DATAGRAM_MAX 65535
#define TOW_UDP_STREAM_QUEUE_MAX 262144 /* framed datagrams that wait, of a session */
#define TOW_UDP_PAYLOAD_MAX 65527       /* of UDP over IPv6 without extensions; IPv4's is 65507 */
#define TOW_DATAGRAM_QUEUE_MS 50        /* DATAGRAM frames that wait are to leave in that time; */
#define TOW_DATAGRAM_QUEUES_MIN 65536   /* so many bytes always may, */
#define TOW_DATAGRAM_QUEUES_MAX 4194304 /* and no more, of a connection's streams together */
#define TOW_CARRIER_UNSENT_MAX 262144   /* framed packets that a full TCP socket has not taken */
#define TOW_CARRIER_PORT       443      /* where agents without UDP come, unless it is told */
#define TOW_CARRIER_BEGIN_MS   10000    /* for a connection to begin on a carrier that came */
#define TOW_CARRIER_DIAL_MS    15000    /* TCP, a proxy, and TLS */
#define TOW_CARRIER_STALL_MS   30000    /* without a byte taken */
#define TOW_ROUTE_EVENT_MAX 268435456 /* a snapshot of a million names */
#define TOW_EVENT_WORD_MAX 64       /* type and id of an event in an event stream */

/* edge: visitors */
#define TOW_HELLO_READ_SIZE       4096 /* a hello in use today fits in one such read */
#define TOW_CERT_WAIT_TIMEOUT_MS  60000 /* for a certificate that is being obtained */
#define TOW_TLS_HANDSHAKE_TIMEOUT_MS 10000
#define TOW_TLS_HANDSHAKE_TURN_US 2000  /* of a loop's turn that goes into them */
#define TOW_TLS_HANDSHAKES_MAX    4096  /* under way at once */
#define TOW_REQUEST_TIMEOUT_MS    30000 /* for a first request, where TLS ends at the edge */
#define TOW_DIAL_TIMEOUT_MS       12000 /* for an agent's status byte; then it is the next's turn */
#define TOW_DIAL_SILENCE_MS       1500  /* without a packet from an agent, when there is another */
#define TOW_DIAL_UNREACHABLE_MS   5500  /* when there is none, and its host says it is not there: a
                                           NAT that has forgotten it does, until its next ping */
#define TOW_DIAL_ALONE_MS         6000  /* ... or says nothing: some probes may have been lost */
#define TOW_DIAL_ATTEMPTS_MAX     8     /* agents tried for one visitor */
#define TOW_VISITOR_IDLE_MS       3600000 /* no byte either way */
#define TOW_ALERT_LINGER_MS       1000    /* for a refused visitor to read why */
#define TOW_ALERT_DRAIN_MAX       65536   /* read from it meanwhile, and thrown away */
#define TOW_KEEPALIVE_IDLE_S      120     /* TCP keep-alive towards visitors and origins: a dead */
#define TOW_KEEPALIVE_INTERVAL_S  30      /* one is found after idle + interval * probes */
#define TOW_KEEPALIVE_PROBES      4
#define TOW_PORT_RETRY_MIN_MS     1000 /* a service's port that could not be bound */
#define TOW_PORT_RETRY_MAX_MS     30000
#define TOW_ROUTES_CACHE_DELAY_MS 1000
#define TOW_DESCRIPTORS_KEPT      16 /* from visitors, for everything else */

/* edge: workers */
#define TOW_WORKERS_MAX        16
#define TOW_WORKERS_PER_AGENT  4    /* to which an agent has a tunnel, */
#define TOW_TUNNELS_OF_AGENTS  512  /* and so many in all, or one for each agent */
#define TOW_WORKER_MAIL_MAX    4096 /* datagrams from other workers that one has not read yet */
#define TOW_VISITOR_MOVES_MAX  8    /* between workers */

/* edge: requests of visitors whose TLS ends here */
#define TOW_REQUEST_HEAD_MAX        32768
#define TOW_REQUEST_FIELDS_MAX      128
#define TOW_REQUEST_NOMINATED_MAX   16 /* fields that Connection names */
#define TOW_REQUEST_TRAILER_MAX     8192
#define TOW_REQUEST_EMPTY_LINES_MAX 4  /* before it */
#define TOW_REQUESTS_OPEN_MAX       32 /* of one connection, without an answer */
#define TOW_REQUEST_IDLE_MS         120000 /* between an answer and the next request */
#define TOW_REQUEST_STALL_MS        60000  /* without a byte of a body */
#define TOW_REQUEST_CHECK_MS        5000   /* between two looks at these times */

/* edge: certificates */
#define TOW_CERT_CHAIN_MAX      131072
#define TOW_CERT_KEY_MAX        16384
#define TOW_CERT_RECORD_MAX     4096
#define TOW_CERT_NAMES_MAX      65536 /* kept in memory */
#define TOW_CERT_WAITS_MAX      4096  /* visitors that wait for one to be obtained, */
#define TOW_CERT_WAITS_PER_NAME 100   /* and of them for the same one */
#define TOW_CERT_CHECK_EVERY_MS 1000  /* between two looks at a name's files */

/* UDP sessions: an edge's; one costs a stream, and 500 bytes or so more */
#define TOW_UDP_SESSIONS_MAX          65536
#define TOW_UDP_SESSIONS_PER_LISTENER 16384
#define TOW_UDP_SESSIONS_PER_ADDRESS  4096 /* of visitors: a resolver's queries, a NAT's hosts */
#define TOW_UDP_SESSIONS_PER_SECOND   2000 /* that may begin, */
#define TOW_UDP_SESSIONS_BURST        4000 /* after a quiet while so many at once, */
#define TOW_UDP_SESSIONS_RESERVE      2000 /* and of those who have been turned away so many more */
#define TOW_UDP_SOCKET_BUFFER         4194304 /* for what all visitors of a port send in a moment */
#define TOW_UDP_SESSION_BUFFER        1048576 /* likewise for an origin's answers, at the agent */
#define TOW_UDP_DRAIN_IDLE_MS         1000    /* a session so long silent ends with its agent */
#define TOW_AGENT_DESCRIPTORS_KEPT    32      /* from sessions, as is a quarter of the others */

/* edge: agents */
#define TOW_AGENT_HELLO_TIMEOUT_MS 10000
#define TOW_AGENT_TENANT_WAIT_MS   5000     /* the route table may be a moment behind the hub */
#define TOW_AGENT_CLOSE_DELAY_MS   500      /* for a refused agent to read why */
#define TOW_AGENTS_PENDING_MAX     1024     /* that have not been accepted yet */
#define TOW_AGENTS_PENDING_BYTES   33554432 /* of all their hellos together */
#define TOW_AGENT_EARLY_MESSAGES   8        /* read before it is accepted */
#define TOW_AGENTS_PER_TENANT      64
#define TOW_AGENT_HELLOS_PER_MINUTE 60      /* of one that was accepted */
#define TOW_PING_INTERVAL_MS       15000
#define TOW_PING_TIMEOUT_MS        45000
#define TOW_PING_LATE_MS           5000  /* others are preferred to an agent that is so late */
#define TOW_CONTROL_UNSENT_MAX     65536 /* for an agent that asks but does not listen */
#define TOW_REPORT_INTERVAL_MS     1000  /* at most one report in that time */
#define TOW_REPORT_REFRESH_MS      5000  /* and one in that time, for the traffic in it */

/* edge: what it tells the hub */
#define TOW_EDGE_ADDRESSES_MAX   8
#define TOW_EDGE_AGENTS_TOLD_MAX 8192
#define TOW_EDGE_PORTS_TOLD_MAX  4096
#define TOW_EDGE_VERSION_MAX     64
#define TOW_EDGE_REASON_MAX      128
#define TOW_EDGE_CERTS_TOLD_MAX  256 /* those with trouble first */
#define TOW_EDGE_CERT_STATE_MAX  16
#define TOW_EDGE_CERT_ERROR_MAX  256

/* edge: certificates from an ACME server */
#define TOW_ACME_ANSWER_MAX         65536 /* JSON, or a chain of certificates */
#define TOW_ACME_NONCES_MAX         8     /* kept for the next requests */
#define TOW_ACME_NONCE_RETRIES      20    /* of one request: half of all nonces may be refused */
#define TOW_ACME_POLLS_MAX          40    /* of one order, which are 3 minutes at least */
#define TOW_ACME_POLL_MIN_MS        250
#define TOW_ACME_POLL_MAX_MS        5000
#define TOW_ACME_POLL_ASKED_MAX_MS  60000 /* by Retry-After */
#define TOW_ACME_RETRY_AFTER_MAX_MS 2592000000 /* 30 days */
#define TOW_ACME_ORDERS_MAX         4   /* under way at once */
#define TOW_ACME_QUEUE_MAX          256 /* names that wait for their turn, */
#define TOW_ACME_QUEUE_PER_ZONE     32  /* of them below one domain: anybody can think of more */
#define TOW_ACME_ATTEMPTS           4   /* before a cooldown, when the cause may pass */
#define TOW_ACME_BACKOFF_MIN_MS     1000
#define TOW_ACME_COOLDOWN_MS        300000
#define TOW_ACME_RENEWAL_FIRST_MS   5000     /* after the start: when to renew is asked */
#define TOW_ACME_RENEWAL_CHECK_MS   21600000 /* and again */

/* edge: challenges that an origin answers for itself */
#define TOW_CHALLENGE_FORWARDS_MAX 64    /* under way at once, */
#define TOW_CHALLENGE_FORWARDS_PER_TENANT 16 /* and of one tenant, whose origin may not answer */
#define TOW_SHORT_ANSWER_MAX       16384 /* head and body: the text is of some hundred bytes */

/* node: a process that takes over */
#define TOW_HANDOVER_MESSAGE_MAX 131072 /* what a visitor has said is in it */

/* configuration and API */
#define TOW_JSON_DEPTH_MAX 16       /* of services and entries, which need 3 */
#define TOW_JSON_INTEGER_MAX 9007199254740991 /* 2^53 - 1: RFC 8259 section 6 */
#define TOW_SERVICES_MAX 4096
#define TOW_SERVICES_TEXT_MAX 1048576
#define TOW_EDGES_PER_AGENT 256
#define TOW_TUNNELS_TOLD_MAX 32     /* of them in a heartbeat */
#define TOW_VERSION_MAX 64          /* of a program, in text */
#define TOW_ENTRY_MAX 16384         /* one JWS in text form; with the longest lists it is 14 KiB */
#define TOW_ENTRIES_PER_BATCH 4096
#define TOW_PORT_RANGE_MAX 512
#define TOW_INVITE_EXPIRES_MAX_S 2592000
#define TOW_TENANT_RATE_MAX 1000000000000 /* bytes a second that an operator may set */
#define TOW_ACCESS_PREFIXES_MAX 128 /* of a service, allowed and denied together */
#define TOW_IDLE_TIMEOUT_S 60       /* of a UDP session without traffic; a service may */
#define TOW_IDLE_TIMEOUT_MAX_S 3600 /* say otherwise */
#define TOW_KEY_BACKUP_MAX 4096
#define TOW_KEY_BACKUP_PASSES_MAX 16 /* Argon2id's: what a backup may ask for before it is known */
#define TOW_KEY_BACKUP_MEMORY_KIB_MIN 8 /* to be genuine */
#define TOW_KEY_BACKUP_MEMORY_KIB_MAX 1048576
#define TOW_HTTP_BODY_MAX 65536
#define TOW_HTTP_ENTRIES_BODY_MAX 1048576
#define TOW_HTTP_HEARTBEAT_BODY_MAX 1048576 /* with the names of an agent's services */
#define TOW_HTTP_HEADER_MAX 16384   /* request line and all header fields */
#define TOW_PROXY_USER_MAX 128
#define TOW_PROXY_PASSWORD_MAX 256
#define TOW_PROXY_ANSWER_MAX 8192   /* head of a proxy's answer to CONNECT */
#define TOW_HTTP_HEADERS_COUNT_MAX 64
#define TOW_HTTP_REQUEST_TIMEOUT_MS 15000
#define TOW_HTTP_IDLE_TIMEOUT_MS 60000
#define TOW_HTTP_STALL_TIMEOUT_MS 30000
#define TOW_HTTP_LINGER_MS 2000
#define TOW_HTTP_CONNECTIONS_MAX 1024
#define TOW_REQUESTS_PER_SECOND 5  /* from an address, of those who are not known, */
#define TOW_REQUESTS_BURST 30      /* and under way at once, of those who may turn out to be */
#define TOW_MEMBER_REQUESTS_PER_SECOND 50 /* of a tenant with its agents, or of an edge, which */
#define TOW_MEMBER_REQUESTS_BURST 500     /* have shown who they are */
#define TOW_REQUEST_ID_MAX 64
#define TOW_SIGNATURE_WINDOW_MS 60000
#define TOW_SUBSCRIPTIONS_PER_EDGE 4
#define TOW_SUBSCRIBER_QUEUE_MAX 262144     /* not read yet, of one; and one event over it */
#define TOW_SUBSCRIBERS_QUEUE_MAX 134217728 /* of all, before another event is queued for any */
#define TOW_EVENT_COMMENT_MS 15000 /* so that a quiet stream is not taken for a dead one */

#endif
