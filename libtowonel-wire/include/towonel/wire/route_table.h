/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_ROUTE_TABLE_H
#define TOWONEL_WIRE_ROUTE_TABLE_H

/*
 * What an edge knows: which tenant a hostname or a port belongs to, each tenant's public key, and
 * the agent ids that are no longer to be trusted. It starts from a snapshot and follows deltas;
 * each carries the version that it leads to. Lookups are one hash probe for the exact name and one
 * for the wildcard; applying a delta costs what changed.
 *
 * In JSON (the body of a snapshot or a delta):
 *
 *   {"version":42, "from":41,
 *    "tenants":  [{"tenant_id":"..","public_key":"<base64url>",
 *                 "limits":{"connections":100,"bytes_in_per_sec":1000000,"bytes_out_per_sec":0}}],
 *    "hostnames":[{"hostname":"*.a.eu","tenant_id":"..","tls_mode":"passthrough",
 *                 "http":"plain","allow_from":["192.0.2.0/24"],"deny_from":["192.0.2.7"]}],
 *    "ports":    [{"protocol":"tcp","port":2222,"tenant_id":"..","service":"ssh"}],
 *    "revoked_agents":[{"tenant_id":"..","agent_id":"..","expires_at_ms":0}],
 *    "removed": {"tenants":["<id>"],"hostnames":["*.b.eu"],"ports":["tcp/2222"]}}
 *
 * A tenant has "limits" unless they are all 0. A UDP port has "idle_timeout_secs" unless that is
 * 60. A range of ports is one element per port.
 * Ports have "allow_from" and "deny_from" as hostnames have.
 *
 * A snapshot has no "from" and no "removed". Removing a tenant removes all that is its own.
 * An upsert replaces what has the same key, whoever owned it. What is both removed and brought by
 * one delta stays as brought. Versions start at 1. Unknown members are ignored: an edge may be
 * older than its hub.
 */

#include "entry.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tow_protocol {
	TOW_PROTOCOL_TCP,
	TOW_PROTOCOL_UDP,
};
const char *tow_protocol_name(enum tow_protocol protocol); /* "tcp", "udp" */

/* What a tenant may use of an edge, as the operator says; 0: no limit. */
struct tow_tenant_limits {
	uint32_t connections;      /* visitors and UDP sessions at once */
	uint64_t bytes_in_per_sec; /* from visitors */
	uint64_t bytes_out_per_sec;
};

struct tow_route_tenant {
	struct tow_id id;
	struct tow_tenant_limits limits;
	uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE];
};

struct tow_route_hostname {
	char pattern[TOW_HOSTNAME_SIZE];
	struct tow_id tenant_id;
	enum tow_tls_mode tls_mode;
	enum tow_http_mode http_mode; /* "http"; FORWARDED when there is none */
	struct tow_access *access;    /* who may come; NULL: everybody. Borrowed, or the table's */
};

struct tow_route_port {
	enum tow_protocol protocol;
	uint16_t port;
	struct tow_id tenant_id;
	char service[TOW_SERVICE_NAME_MAX + 1];
	uint16_t idle_timeout_secs; /* udp; 0 for tcp */
	struct tow_access *access;  /* as a hostname's */
};

struct tow_route_table;

struct tow_route_table *tow_route_table_new(void); /* NULL when out of memory */
void tow_route_table_free(struct tow_route_table *table);
uint64_t
tow_route_table_version(const struct tow_route_table *table); /* 0 before the first snapshot */

/* What applying an event changed, so that the owner can bind ports and cut tunnels: each is called
 * once per thing that is there after the event and was not before, or the other way round. A port
 * that only goes to another tenant or service was there. Called after the whole event has been
 * applied, removals first; the table may be asked meanwhile, not changed. Any may be NULL. */
struct tow_route_observer {
	void (*port_added)(void *user, const struct tow_route_port *port);
	void (*port_removed)(void *user, enum tow_protocol protocol, uint16_t port);
	void (*tenant_removed)(void *user, const struct tow_id *tenant);
	void (*agent_revoked)(void *user, const struct tow_id *tenant, const struct tow_id *agent);
};

/* Applies a snapshot (everything else goes) or a delta, whole or not at all. Returns 0;
 * TOW_ECONFLICT for a delta whose "from" is not the table's version (ask for a snapshot);
 * TOW_EPARSE, TOW_ENOMEM, TOW_ETOOBIG for more than TOW_ROUTE_EVENT_MAX. */
int tow_route_table_apply(struct tow_route_table *table, struct tow_slice json,
                          const struct tow_route_observer *observer, void *user,
                          struct tow_error *err);
/* Forgets the revocations whose expires_at_ms has come (0: never): the entry of such an agent has
 * expired by itself. Costs the number of revocations. */
void tow_route_table_expire(struct tow_route_table *table, uint64_t now_ms);
/* Appends a snapshot of the table as JSON. Returns 0, TOW_ENOMEM. */
int tow_route_table_dump(const struct tow_route_table *table, struct tow_buf *out);

/* Pointers are valid until the next apply. NULL when there is none. An exact name wins over a
 * wildcard. */
const struct tow_route_hostname *tow_route_lookup(const struct tow_route_table *table,
                                                  const char *server_name);
const struct tow_route_port *tow_route_lookup_port(const struct tow_route_table *table,
                                                   enum tow_protocol protocol, uint16_t port);
const struct tow_route_tenant *tow_route_lookup_tenant(const struct tow_route_table *table,
                                                       const struct tow_id *tenant);
int tow_route_agent_revoked(const struct tow_route_table *table, const struct tow_id *tenant,
                            const struct tow_id *agent);
size_t tow_route_table_hostname_count(const struct tow_route_table *table);
/* Calls visit for each port, in no order. */
void tow_route_table_each_port(const struct tow_route_table *table,
                               void (*visit)(void *user, const struct tow_route_port *port),
                               void *user);

#ifdef __cplusplus
}
#endif
#endif
