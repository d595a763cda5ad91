/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_REGISTRATION_H
#define TOWONEL_AGENT_REGISTRATION_H

/*
 * The agent's conversation with the hub:
 *
 *     BOOTSTRAP ─► ANNOUNCE ─► READ ─► APPLY ─► REST ◄──► HEARTBEAT
 *         ▲         │  ▲ ▲                       │           │ │
 *         └ refused ┘  │ └── reload, renewal ────┘           │ └─► READ, to try refused
 *                      └──────── refused ────────────────────┘     services again
 *
 *     HEARTBEAT ─► REVOKE ─► REST    others of the tenant's agents are gone, the hub says
 *     any ─► REVOKED ─► BOOTSTRAP    another agent, or a person, has revoked this one: a new key
 *     any ─► LEAVE ─► ENDED          the agent's own entry is revoked on the way out
 *
 * A failure that may pass is tried again in the same state with backoff; the traffic of tunnels
 * that are up does not depend on any of this. Only a token that the hub refuses is fatal.
 */

#include <jansson.h>
#include <towonel/tunnel/hub_client.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/wire/service.h>
#include <towonel/wire/token.h>

struct registration;

struct registration_events {
	/* The hub's list of edges: an array of {node_id, addresses}; borrowed. */
	void (*edges)(void *user, const json_t *edges);
	/* Those that it no longer has for sure: an array of ids; borrowed. */
	void (*revoked_edges)(void *user, const json_t *ids);
	void (*registered)(void *user);
	/* service: an authority, or NULL for the agent as a whole. Said once until it is accepted
	 * or changes. */
	void (*refused)(void *user, const char *service, const char *text);
	/* For the hub: the tunnels that are up, [{edge_id, quiet_ms, rtt_us}]; owned by the
	 * caller. */
	json_t *(*tunnels)(void *user);
	void (*superseded)(void *user);
	/* The hub will have nothing of this agent's key any more: the key that was lent is to
	 * become another one now. Returns 0; a failure, and it is asked for again later. */
	int (*revoked)(void *user);
	/* The token is no good; `left` follows. */
	void (*fatal)(void *user, int code, const char *text);
	void (*left)(void *user);
};

struct registration_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;
	struct tow_http_client *http;
	const struct tow_token *token; /* borrowed for life, as are the next two */
	const struct tow_tenant_key *tenant_key;
	const struct tow_node_key *agent_key;
	const struct registration_events *events;
	void *user;
};

int tow__registration_new(const struct registration_config *config, struct registration **out);
void tow__registration_free(struct registration *registration);

/* Starts, or starts over with another service list (borrowed until the next call of this). */
void tow__registration_serve(struct registration *registration,
                             const struct tow_service_list *services, uint64_t generation);
/* Asks the hub now whether it still knows this agent, unless a request is under way: an edge has
 * said that it does not. */
void tow__registration_check(struct registration *registration);
/* Tells the hub that this agent goes; `left` follows within timeout_ns, whatever the hub says. It
 * may be called from within. */
void tow__registration_leave(struct registration *registration, uint64_t timeout_ns);

/* Appends the agent's signed entry, which edges ask for too. Returns 0, TOW_ENOMEM, TOW_ECRYPTO. */
int tow__registration_sign_agent(struct registration *registration, struct tow_buf *out);
int tow__registration_done(const struct registration *registration); /* the hub has the services */
int tow__registration_left(const struct registration *registration); /* `left` has been called */

#endif
