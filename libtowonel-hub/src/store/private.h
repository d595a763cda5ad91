/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_STORE_PRIVATE_H
#define TOWONEL_HUB_STORE_PRIVATE_H

/* What the files of the store share. */

#include "store/access.h"
#include "store/db.h"
#include "store/store.h"

struct tow__store {
	struct tow__db *db;
	struct tow__store_config config;
	int schema_due;   /* the schema may not be up to date */
	uint64_t version; /* of the last commit */
	uint64_t next;    /* of the transaction under way; 0 until something has changed */
	unsigned tries;   /* of the operation under way that were in vain */
	const struct tow__asker *asker; /* NULL: nobody */
};

void tow__store_begin(struct tow__store *store, enum tow__db_access access);
/* Commits, or rolls back when there is a fault already or the database failed. Returns as every
 * operation. */
int tow__store_finish(struct tow__store *store, struct tow__fault *fault);
/* After a failed _finish: 1 when it failed only because of others at the same time and is to be
 * done again from its _begin, with the fault cleared. */
int tow__store_again(struct tow__store *store, struct tow__fault *fault);

/* Notes that something of the routes has changed in this transaction. */
void tow__store_changed_tenant(struct tow__store *store, const struct tow_id *tenant);
void tow__store_changed_agent(struct tow__store *store, const struct tow_id *tenant,
                              const struct tow_id *agent);
void tow__store_changed_hostname(struct tow__store *store, const char *pattern);
void tow__store_changed_port(struct tow__store *store, enum tow_protocol protocol, uint16_t port);
/* The version that the transaction under way makes, which this call makes it do. */
uint64_t tow__store_next_version(struct tow__store *store);

/* Records, with what the transaction changes, that the operator did it (by NULL), or a tenant.
 * tenant: to whom; NULL: to none. subject may be "". */
void tow__store_audit(struct tow__store *store, const struct tow_id *by, const char *action,
                      const struct tow_id *tenant, const char *subject);
/* Drops what was kept for long enough. */
void tow__audit_sweep(struct tow__store *store, uint64_t now_ms);
/* Within a transaction: forgets the edges of hubs that are no more. */
void tow__edges_sweep(struct tow__store *store, uint64_t now_ms);

/* Within a transaction: */
/* The number that a query about a tenant gives; 0 without a row. */
uint64_t tow__store_count_of(struct tow__store *store, const char *sql,
                             const struct tow_id *tenant);
void tow__store_read_patterns(struct tow__store *store, const struct tow_id *tenant,
                              struct tow__names *out);
/* Releases all it has, kills its invite. 1: it was there. */
int tow__store_drop_tenant(struct tow__store *store, const struct tow_id *tenant, uint64_t now_ms);
/* Columns tls_mode, http_mode and access, which come one after the other; out->access is
 * access, or NULL for everybody. */
void tow__store_read_modes(struct tow__db_rows *rows, int column, struct tow_route_hostname *out,
                           struct tow_access *access);
/* Columns connections_max, bytes_in_per_sec and bytes_out_per_sec, one after the other. */
void tow__store_read_limits(const struct tow__db_rows *rows, int column,
                            struct tow_tenant_limits *out);
/* The wildcard that would match the pattern; "" when there is none. */
void tow__store_zone(const char *pattern, char out[TOW_HOSTNAME_SIZE]);

#endif
