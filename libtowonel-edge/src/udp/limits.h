/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_UDP_LIMITS_H
#define TOW_EDGE_UDP_LIMITS_H

/*
 * Who may begin a UDP session. A datagram's source is as its sender likes, so a session is cheap to
 * ask for and not so cheap to have: there may be so many in all, on one listener, from one address
 * (an IPv6 /64 counts as one), and so many may begin in a second. Past a limit new ones are
 * refused, and those that are there go on.
 *
 * Whoever makes sources up sees no answer, and mostly has no reason to use one twice. So where a
 * listener or the edge is full, the session that was silent longest makes room, of those whose
 * visitor has never spoken after an answer. And where too many begin in a second, those who were
 * turned away and ask again come before all who are new. One who repeats each source that he makes
 * up gets past the second of these, but not past the first.
 */

#include "../source_limit.h"
#include "turned_away.h"

#define UDP_REFUSAL_TABLE(X)                                                                       \
	X(UDP_REFUSED_LIMIT, "limit")                                                              \
	X(UDP_REFUSED_LISTENER_LIMIT, "listener_limit")                                            \
	X(UDP_REFUSED_ADDRESS_LIMIT, "address_limit")                                              \
	X(UDP_REFUSED_TENANT_LIMIT, "tenant_limit") /* it has all that the operator allows */      \
	X(UDP_REFUSED_ONE_SIDED, "one_sided")       /* it made room for another one */             \
	X(UDP_REFUSED_RATE, "rate")                                                                \
	X(UDP_REFUSED_NO_ROUTE, "no_route")                                                        \
	X(UDP_REFUSED_DENIED, "denied")               /* by the service's lists of addresses */    \
	X(UDP_REFUSED_NO_AGENT, "no_agent")           /* none with a tunnel has the service */     \
	X(UDP_REFUSED_ORIGIN, "origin")               /* every agent tried said no */              \
	X(UDP_REFUSED_AGENT_TIMEOUT, "agent_timeout") /* the last one tried said nothing */        \
	X(UDP_REFUSED_INTERNAL, "internal")

enum udp_refusal {
#define UDP_REFUSAL_ENUM(name, label) name,
	UDP_REFUSAL_TABLE(UDP_REFUSAL_ENUM)
#undef UDP_REFUSAL_ENUM
		UDP_REFUSAL_COUNT,
};

struct udp_port_use;

struct udp_limits {
	size_t max, per_listener;
	unsigned per_second, burst, reserve; /* reserve: beyond burst, for those who ask again */
	struct source_limit sources;
	struct turned_away away;
	struct udp_port_use *ports; /* which have sessions */
	size_t count;
	uint64_t full_at_ns; /* when as many may begin as a burst is */
};

/* One who wants to begin. */
struct udp_newcomer {
	const struct tow_addr *from;
	uint64_t who;  /* a keyed hash of it, its port included */
	uint16_t port; /* of ours */
};

/* Of 0 is as in limits.h. */
void tow__udp_limits_init(struct udp_limits *limits, size_t max, size_t per_listener,
                          size_t per_address);
void tow__udp_limits_deinit(struct udp_limits *limits);
/* Counts one more. Returns 0; TOW_ELIMIT and *why. */
int tow__udp_limits_enter(struct udp_limits *limits, const struct udp_newcomer *newcomer,
                          uint64_t now_ns, enum udp_refusal *why);
/* Is there no room for one more on that port? */
int tow__udp_limits_full(const struct udp_limits *limits, uint16_t port);
void tow__udp_limits_leave(struct udp_limits *limits, const struct tow_addr *from, uint16_t port);

const char *tow__udp_refusal_name(enum udp_refusal refusal);

#endif
