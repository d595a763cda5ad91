/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_SUMMARY_H
#define TOWONEL_HUB_SUMMARY_H

/*
 * The status for whoever has no key: what is up and how much of it, without the name of a tenant, a
 * service or a certificate.
 *
 *   {hub: {status, node_id, version, protocol_version, time_ms, store},
 *    edges: [{node_id, name, addresses, live, version, last_seen_ms, traffic,
 *             agents: 3, failed_ports: 0, certificates: {served: 2}}],
 *    summary: {tenants: 1, agents: {live: 3, gone: 0}, services: {up: 4, "no agent": 1}}}
 */

#include <jansson.h>

/* Of the document that the operator is given; NULL when out of memory. */
json_t *tow__status_summary(const json_t *document);

#endif
