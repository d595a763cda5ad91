/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_STANDING_H
#define TOWONEL_HUB_STANDING_H

/*
 * What is up and what is not, concluded from what agents and edges say. Everything is JSON as the
 * API has it, and an answer is NULL or lacks a part when there is no memory.
 */

#include <jansson.h>
#include <stdint.h>

/* What the live edges say, by what it is about. */
struct tow__edges_said {
	json_t *tunnels; /* {agent_id: on how many edges it has one}; NULL: no edge says */
	json_t *failed;  /* {"tcp:2222": why it cannot be bound, and where} */
};

void tow__edges_said_init(struct tow__edges_said *said, const json_t *edges);
void tow__edges_said_deinit(struct tow__edges_said *said);

/*
 * How a tenant stands, by what the list of tenants and the edges say of it:
 *
 *   {tenant_id, name,
 *    agents: [{agent_id, version, live, tunnels, transports: [{edge_id, transport}],
 *              heard_age_ms, last_byte_age_ms, rtt_us}],
 *    services: [{service, state, why, agents: [agent_id]}]}
 *
 * state is "up", or "no agent", "no tunnel", "port failed", "refused", and then why says more.
 */
json_t *tow__tenant_standing(const json_t *tenant, const struct tow__edges_said *said,
                             uint64_t now_ms);

#endif
