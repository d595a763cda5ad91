/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_PORTS_H
#define TOW_EDGE_PORTS_H

/*
 * The listeners of TCP and UDP services: one for each port of the route table. A port that cannot
 * be bound is tried again, less and less often; the others do not wait for it.
 *
 * Of several workers each has a socket of its own for a port. The first worker's is bound first,
 * and counts; the others follow it when it is.
 */

#include <towonel/wire/addr.h>
#include <towonel/wire/route_feed.h>
#include "port_log.h"

struct port;
struct udp_listener;
struct worker;

struct ports {
	struct worker *worker;
	struct port *ports; /* by protocol and number */
	size_t bound, failed;
	struct tow_addr host; /* where to bind; its port does not matter */
	int dual_stack;
	struct port_log log;
};

void tow__ports_init(struct ports *ports, struct worker *worker, const struct tow_addr *host,
                     int dual_stack);
void tow__ports_deinit(struct ports *ports); /* releases all; twice is fine */
/* Releases all but those that are needed still, for UDP. */
void tow__ports_drain(struct ports *ports);

/* As the route table says. */
void tow__ports_add(struct ports *ports, const struct tow_route_port *route);
void tow__ports_remove(struct ports *ports, enum tow_protocol protocol, uint16_t number);

/* NULL: there is none for that UDP port. */
struct udp_listener *tow__ports_udp(const struct ports *ports, uint16_t number);

/* Writes at most cap of the ports that are not bound. Returns how many. */
size_t tow__ports_failed(const struct ports *ports, struct tow_failed_port *out, size_t cap);

#endif
