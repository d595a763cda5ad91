/* SPDX-License-Identifier: MIT */
#ifndef FIXTURE_H
#define FIXTURE_H

/* A store of its own, and tenants that sign; on either driver. Failures end the test. */

#include "store/store.h"

#define NOW 1700000000000ULL

struct fixture {
	char dir[64], path[80]; /* of SQLite's file */
	char dsn[160];          /* of PostgreSQL's schema */
	struct tow__store_config config;
	struct tow__store *store;
};

struct tenant {
	struct tow__invite invite;
	struct tow_tenant_key *key;
	uint8_t secret_hash[TOW_HASH_SIZE];
	uint64_t sequence; /* of the last entry */
};

/* *state: the driver, as run_on_drivers has it; NULL: sqlite. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
void fixture_reopen(struct fixture *f);
/* With the store closed: makes the database one that nobody has used. */
void fixture_empty(struct fixture *f);
/* Runs statements on the database, beside the store. */
void fixture_sql(struct fixture *f, const char *sql);
uint64_t fixture_number(struct fixture *f, const char *sql);

/* patterns: comma-separated. Returns the store's answer. */
enum tow__fault_kind tenant_make(struct fixture *f, struct tenant *t, const char *name,
                                 const char *patterns, struct tow__fault *fault);
void tenant_make_ok(struct fixture *f, struct tenant *t, const char *name, const char *patterns);
void tenant_deinit(struct tenant *t);
void names_of(const char *list, struct tow__names *out);

/* An entry with the tenant's next sequence; name may be NULL. */
struct tow_entry entry_of(struct tenant *t, enum tow_entry_op op, const char *name);
struct tow_entry agent_entry_of(struct tenant *t, uint8_t agent, uint64_t generation, uint8_t hash,
                                uint64_t expires_ms);
/* Of a service with so many ports. */
struct tow_entry ports_entry_of(struct tenant *t, enum tow_entry_op op, const char *name,
                                uint16_t port, uint16_t count);
/* Signs and submits; *fault says the outcome. */
enum tow__fault_kind submit(struct fixture *f, struct tenant *t, const struct tow_entry *entries,
                            size_t count, struct tow__fault *fault);
void submit_ok(struct fixture *f, struct tenant *t, struct tow_entry entry);
/* Expects the fault, and its text to have the given part. */
void submit_refused(struct fixture *f, struct tenant *t, struct tow_entry entry,
                    enum tow__fault_kind kind, const char *part);
/* What the ports of all tenants are: "tcp/5000-5015=game udp/53=dns udp/54=dns! tcp/7000=! ", where
 * ! is for reserved ones. */
void expect_ports(struct fixture *f, const char *want);

#endif
