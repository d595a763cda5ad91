/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_METRICS_H
#define TOW_EDGE_METRICS_H

#include <towonel/tunnel/metrics.h>
#include <towonel/wire/route_feed.h>
#include "udp/limits.h"

/* Why a visitor was not served. */
#define REFUSAL_TABLE(X)                                                                           \
	X(REFUSED_NO_SNI, "no_sni")                                                                \
	X(REFUSED_UNKNOWN_NAME, "unknown_name")                                                    \
	X(REFUSED_DENIED, "denied")               /* by the service's lists of addresses */        \
	X(REFUSED_NO_AGENT, "no_agent")           /* none with a tunnel serves the name */         \
	X(REFUSED_ORIGIN, "origin")               /* every agent tried said no */                  \
	X(REFUSED_AGENT_TIMEOUT, "agent_timeout") /* the last one tried said nothing */            \
	X(REFUSED_BAD_HELLO, "bad_hello")                                                          \
	X(REFUSED_PLAIN_HTTP, "plain_http")                                                        \
	X(REFUSED_HELLO_TIMEOUT, "hello_timeout")                                                  \
	X(REFUSED_HELLO_TOO_BIG, "hello_too_big")                                                  \
	X(REFUSED_GONE, "gone") /* left before it was served */                                    \
	X(REFUSED_LIMIT, "limit")                                                                  \
	X(REFUSED_ADDRESS_LIMIT, "address_limit")                                                  \
	X(REFUSED_MEMORY, "memory")             /* visitors hold as much as they may in all */     \
	X(REFUSED_TENANT_LIMIT, "tenant_limit") /* the tenant has all that the operator allows */  \
	X(REFUSED_RATE, "rate")               /* too many from its address in too short a time */  \
	X(REFUSED_DESCRIPTORS, "descriptors") /* the process may open few more files */            \
	X(REFUSED_NO_CERTIFICATE, "no_certificate")                                                \
	X(REFUSED_HANDSHAKE, "handshake") /* TLS with the edge failed, or took too long */         \
	X(REFUSED_REQUEST, "request")     /* none that can be forwarded */                         \
	X(REFUSED_INTERNAL, "internal")

enum refusal {
#define REFUSAL_ENUM(name, label) name,
	REFUSAL_TABLE(REFUSAL_ENUM)
#undef REFUSAL_ENUM
		REFUSAL_COUNT,
};

/* What became of an agent's hello. */
#define HELLO_TABLE(X)                                                                             \
	X(HELLO_WELCOME, "welcome")                                                                \
	X(HELLO_SUPERSEDED, "superseded")                                                          \
	X(HELLO_VERSION, "version")                                                                \
	X(HELLO_PROTOCOL, "protocol")                                                              \
	X(HELLO_BAD_ENTRY, "bad_entry")                                                            \
	X(HELLO_UNKNOWN_TENANT, "unknown_tenant")                                                  \
	X(HELLO_BAD_SIGNATURE, "bad_signature")                                                    \
	X(HELLO_WRONG_KEY, "wrong_key")                                                            \
	X(HELLO_EXPIRED, "expired")                                                                \
	X(HELLO_REVOKED, "revoked")                                                                \
	X(HELLO_OVERLOADED, "overloaded")                                                          \
	X(HELLO_DRAINING, "draining")                                                              \
	X(HELLO_TIMEOUT, "timeout")

enum hello_outcome {
#define HELLO_ENUM(name, label) name,
	HELLO_TABLE(HELLO_ENUM)
#undef HELLO_ENUM
		HELLO_OUTCOME_COUNT,
};

/* Datagrams that were not forwarded. */
#define UDP_DROP_TABLE(X)                                                                          \
	X(UDP_DROP_REFUSED, "refused")         /* there is no session for it */                    \
	X(UDP_DROP_REPLAY_FULL, "replay_full") /* no agent has accepted yet, and many wait */      \
	X(UDP_DROP_TUNNEL_FULL, "tunnel_full") /* too many of the session's wait already */        \
	X(UDP_DROP_SOCKET_FULL, "socket_full")                                                     \
	X(UDP_DROP_TENANT_LIMIT, "tenant_limit") /* beyond the tenant's bytes a second */          \
	X(UDP_DROP_TOO_BIG, "too_big")                                                             \
	X(UDP_DROP_UNSENT, "unsent")

enum udp_drop {
#define UDP_DROP_ENUM(name, label) name,
	UDP_DROP_TABLE(UDP_DROP_ENUM)
#undef UDP_DROP_ENUM
		UDP_DROP_COUNT,
};

struct edge_metrics {
	struct tow_metric *active_connections;
	struct tow_metric *connections;
	struct tow_metric *bytes_in; /* from visitors */
	struct tow_metric *bytes_out;
	struct tow_metric *refused[REFUSAL_COUNT];
	struct tow_metric *dials_retried;
	struct tow_metric *handed_over;
	struct tow_metric *udp_sessions; /* now */
	struct tow_metric *udp_sessions_total;
	struct tow_metric *udp_refused[UDP_REFUSAL_COUNT];
	struct tow_metric *udp_datagrams_in, *udp_datagrams_out; /* from visitors, and to them */
	struct tow_metric *udp_bytes_in, *udp_bytes_out;
	struct tow_metric *udp_dropped[UDP_DROP_COUNT];
	struct tow_metric *terminated; /* handshakes */
	struct tow_metric *resumed;
	struct tow_metric *agents_carried;
	struct tow_metric *agents_superseded;
	struct tow_metric *agents_lost; /* closed for not answering pings */
	struct tow_metric *hellos[HELLO_OUTCOME_COUNT];
	struct tow_metric *pongs;
	struct tow_metric *agents_late;
	struct tow_metric *rtt_us; /* summed over pongs */
	struct tow_metric *rtt_min_us;
	struct tow_metric *rtt_max_us;
	struct tow_metric *routes_version;
	struct tow_metric *hostnames;
	struct tow_metric *ports_bound;
	struct tow_metric *ports_failed;
};

/* What the hub is told of it. */
void tow__edge_metrics_traffic(const struct edge_metrics *m, struct tow_edge_traffic *out);
void tow__edge_metrics_init(struct edge_metrics *m, struct tow_metrics *registry);
struct tow_metric *tow__edge_agents_gauge(struct tow_metrics *registry);
struct tow_metric *tow__edge_late_gauge(struct tow_metrics *registry);
const char *tow__refusal_name(enum refusal refusal);
const char *tow__hello_outcome_name(enum hello_outcome outcome);

#endif
