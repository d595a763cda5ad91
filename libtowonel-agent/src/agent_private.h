/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_PRIVATE_H
#define TOWONEL_AGENT_PRIVATE_H

/* What the files of an agent share: agent.c has what it does, parts.c makes and frees it. */

#include <towonel/agent.h>
#include <towonel/tunnel/health.h>
#include <towonel/tunnel/http_client.h>

#include "calls.h"
#include "events.h"
#include "forward/tcp.h"
#include "links.h"
#include "registration.h"
#include "roaming.h"

enum agent_state {
	RUNNING,
	DRAINING,
	LEAVING,
	STOPPED,
};

struct tow_agent {
	enum agent_state state;
	int code; /* of STOPPED */
	char *stop_text;
	struct tow_loop *loop;
	struct tow_log *log;
	void (*log_line)(void *user, enum tow_agent_log_level level, const char *line);
	void *log_user;

	struct tow_token token;
	struct tow_tenant_key *tenant_key;
	struct tow_node_key key;
	char id[TOW_ID_TEXT_SIZE];
	struct tow_service_list services;
	uint64_t generation;
	struct tow_id *trusted; /* NULL: whoever the hub lists */
	size_t trusted_count;
	uint64_t drain_ms;

	struct tow_metrics *metrics;
	struct tow_metric *links_accepted, *links_rejected, *tunnels, *transport_changes;
	struct tow_proxies proxies; /* on the way of TCP */
	struct tow_health *health;
	struct tow_http_client *http;
	struct tow_quic_endpoint *endpoint;
	struct registration *registration;
	struct forwards forwards;
	struct links links;
	struct roaming roaming;
	size_t up_count;
	int registered, serving;

	struct agent_events events;
	void (*on_event)(void *user, const struct tow_agent_event *event); /* tow_agent_run */
	void *on_event_user;
	struct tow_task deliver;
	struct tow_task advance; /* DRAINING, LEAVING: looks whether the state is over */
	struct tow_timer drain_timer;
	struct calls calls;
	int superseded;
};

/* --- agent.c --- */

extern const struct registration_events tow__agent_registration_events;
void tow__agent_deliver(void *user);
void tow__agent_advance(void *user);
void tow__agent_drain_late(void *user);
void tow__agent_forwards_idle(void *user);
void tow__agent_called(void *user, unsigned wakes, unsigned stops);

/* --- parts.c --- */

/* Another endpoint, with the key as it is now. Returns 0, or as tow_quic_endpoint_new. */
int tow__agent_make_endpoint(struct tow_agent *agent, struct tow_error *err);

#endif
