/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_ROUTE_FEED_H
#define TOWONEL_WIRE_ROUTE_FEED_H

/*
 * What a hub tells its edges, and what an edge tells its hub, as values: the hub's side builds
 * events, the edge's side applies them, and whether a function call or HTTPS lies between makes no
 * difference to either.
 */

#include "route_table.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tow_route_event_kind {
	TOW_ROUTE_SNAPSHOT,
	TOW_ROUTE_DELTA,
};

struct tow_route_event {
	enum tow_route_event_kind kind;
	uint64_t version;      /* the one it leads to */
	struct tow_slice json; /* borrowed for the call */
};

/* Takes an event. Returns 0, or TOW_ECONFLICT to ask for a snapshot. */
typedef int (*tow_route_sink)(void *user, const struct tow_route_event *event);

/* Builds the JSON of a snapshot or a delta piece by piece. from is 0 for a snapshot. */
struct tow_route_writer;
struct tow_route_writer *tow_route_writer_new(uint64_t from,
                                              uint64_t version); /* NULL: out of memory */
void tow_route_writer_free(struct tow_route_writer *writer);
/* Failures are sticky and come out of _finish. */
void tow_route_write_tenant(struct tow_route_writer *w, const struct tow_route_tenant *tenant);
void tow_route_write_hostname(struct tow_route_writer *w,
                              const struct tow_route_hostname *hostname);
void tow_route_write_port(struct tow_route_writer *w, const struct tow_route_port *port);
void tow_route_write_revoked_agent(struct tow_route_writer *w, const struct tow_id *tenant,
                                   const struct tow_id *agent, uint64_t expires_at_ms);
void tow_route_write_tenant_removed(struct tow_route_writer *w, const struct tow_id *tenant);
void tow_route_write_hostname_removed(struct tow_route_writer *w, const char *pattern);
void tow_route_write_port_removed(struct tow_route_writer *w, enum tow_protocol protocol,
                                  uint16_t port);
/* Appends the JSON. Returns 0, TOW_ENOMEM. */
int tow_route_writer_finish(struct tow_route_writer *w, struct tow_buf *out);

/* A service's port that an edge cannot bind. It goes on trying. */
struct tow_failed_port {
	enum tow_protocol protocol;
	uint16_t port;
	int why; /* TOW_EADDRINUSE, TOW_EDENIED, ... */
};

/* Visitors and their bytes since the edge started, UDP sessions and datagrams among them. */
struct tow_edge_traffic {
	uint64_t at_ms;    /* when it was counted, Unix time */
	uint64_t visitors; /* now */
	uint64_t visitors_total;
	uint64_t bytes_in, bytes_out; /* in: from visitors */
};

/* A certificate of a name whose TLS ends at the edge. */
struct tow_edge_certificate {
	const char *name;
	const char *state;      /* "served", "failed", ... */
	uint64_t not_after_ms;  /* 0: there is none */
	const char *last_error; /* why there is none, or no new one; "" */
};

/* An edge's state, for the hub's list of edges and for `towonel status`. All borrowed. */
struct tow_edge_report {
	struct tow_id node_id;
	const char *const *addresses; /* "host:port" of the tunnel listener, as agents dial it */
	size_t address_count;
	uint16_t tcp_port; /* of the visitors' listener there, where agents without UDP come */
	const char *version;
	const struct tow_id *agents; /* with a tunnel up */
	size_t agent_count;
	const struct tow_failed_port *failed_ports;
	size_t failed_port_count;
	const struct tow_edge_traffic *traffic; /* NULL: not told */
	const struct tow_edge_certificate *certificates;
	size_t certificate_count;
	int minor; /* only traffic and certificates may have changed: it can wait for the next
	              heartbeat */
};

/* Appends it as the body of a heartbeat:
 *
 *   {"addresses":["host:port"], "tcp_port":443, "version":"..", "agents":["<id>"],
 *    "failed_ports":[{"protocol":"tcp","port":2222,"reason":"address in use"}],
 *    "traffic":{"at_ms":..,"visitors":1,"visitors_total":9,"bytes_in":..,"bytes_out":..},
 *    "certificates":[{"name":"a.eu","state":"served","not_after_ms":..,"last_error":""}]}
 *
 * with the first of what is more than the limits. Returns 0, TOW_ENOMEM. */
int tow_edge_report_write(const struct tow_edge_report *report, struct tow_buf *out);

#ifdef __cplusplus
}
#endif
#endif
