/* SPDX-License-Identifier: MIT */
#ifndef TOW_SRC_ROUTE_EVENT_H
#define TOW_SRC_ROUTE_EVENT_H

/*
 * A snapshot or a delta, read out of its JSON and checked item by item, before any table is
 * touched.
 */

#include <towonel/wire/route_table.h>

struct tow__route_list {
	void *items; /* of the type that its comment below says */
	size_t count;
};

struct tow__route_revocation {
	struct tow_id tenant_id;
	struct tow_id agent_id;
	uint64_t expires_at_ms;
};

struct tow__route_event {
	int is_delta;
	uint64_t from; /* of a delta */
	uint64_t version;
	struct tow__route_list tenants;           /* struct tow_route_tenant */
	struct tow__route_list hostnames;         /* struct tow_route_hostname, each with its */
	struct tow__route_list ports;             /* struct tow_route_port, access its own */
	struct tow__route_list revoked;           /* struct tow__route_revocation */
	struct tow__route_list removed_tenants;   /* struct tow_id */
	struct tow__route_list removed_hostnames; /* struct tow_route_hostname, the pattern alone */
	struct tow__route_list removed_ports; /* struct tow_route_port, protocol and port alone */
};

/* Returns 0; TOW_EPARSE, TOW_ETOOBIG, TOW_ENOMEM, and *out is empty then. */
int tow__route_event_parse(struct tow_slice json, struct tow__route_event *out,
                           struct tow_error *err);
void tow__route_event_deinit(struct tow__route_event *event);

#endif
