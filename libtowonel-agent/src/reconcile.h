/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_RECONCILE_H
#define TOWONEL_AGENT_RECONCILE_H

/*
 * Reconciliation, pure: what the environment wants and what the hub has give the operations that
 * make the second into the first. What the hub has is learnt by folding the tenant's signed log.
 */

#include <towonel/wire/entry.h>
#include <towonel/wire/service.h>

/* One thing the hub has. */
struct hub_item {
	enum tow_service_kind kind;
	char name[TOW_HOSTNAME_SIZE];
	enum tow_tls_mode tls_mode; /* https */
	enum tow_http_mode http_mode;
	uint16_t listen_port;       /* tcp, udp */
	uint16_t port_count;        /* tcp, udp */
	uint16_t idle_timeout_secs; /* udp */
	struct tow_access access;
};

/* All-zero is valid and empty. */
struct hub_state {
	struct hub_item *items;
	size_t count, cap;
	uint64_t latest_sequence;
};

/* Applies one entry of the log, in the log's order. Agent entries only move the sequence. Returns
 * 0, TOW_ENOMEM. */
int tow__hub_state_fold(struct hub_state *state, const struct tow_entry *entry);
void tow__hub_state_deinit(struct hub_state *state);

/* All-zero is valid and empty. Only op, name and what a service says are set in an entry. */
struct operations {
	struct tow_entry *items;
	size_t count, cap;
};

/* Appends what has to be said, deletions first, so that a port or name that moves is free before it
 * is claimed. Returns 0, TOW_ENOMEM. */
int tow__reconcile(const struct tow_service_list *wanted, const struct hub_state *has,
                   struct operations *out);
int tow__operations_append(struct operations *operations, const struct tow_entry *entry);
void tow__operations_deinit(struct operations *operations);

#endif
