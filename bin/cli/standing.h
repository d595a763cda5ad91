/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_CLI_STANDING_H
#define TOWONEL_BIN_CLI_STANDING_H

#include "cli/cli.h"

/*
 * How a tenant stands, by what /v1/tenants and /v1/edges say of it:
 *
 *   {tenant_id, name,
 *    agents: [{agent_id, version, live, tunnels, heard_age_ms, last_byte_age_ms}],
 *    services: [{service, state, why, agents: [agent_id]}]}
 *
 * state is "up", or "no agent", "no tunnel", "port failed", "refused", and then why says more.
 */
json_t *cli_tenant_standing(const json_t *tenant, const json_t *edges, uint64_t now_ms);

#endif
