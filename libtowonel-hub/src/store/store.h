/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_STORE_STORE_H
#define TOWONEL_HUB_STORE_STORE_H

/*
 * What the hub knows, on disk: invites, tenants and their patterns, the log of signed entries, and
 * what follows from it (hostnames, ports, agents). Each operation is one transaction; an entry,
 * what follows from it, and the new version of the routes are on disk together or not at all.
 *
 * A struct tow__store is one connection, for one thread at a time (pool.h keeps several).
 * Operations block. They take the time as an argument and return 0 or the kind of *fault, which
 * then says why; nothing has changed in that case. After a change of what edges know,
 * tow__store_version is the version that it made.
 */

#include <towonel/wire/addr.h>
#include <towonel/wire/entry.h>
#include <towonel/wire/limits.h>
#include <towonel/wire/route_feed.h>

#include "fault.h"
#include "names.h"

/* Bounds on what one tenant can make the hub keep. */
#define TOW__PATTERNS_PER_TENANT  1024
#define TOW__HOSTNAMES_PER_TENANT 65536
#define TOW__PORTS_PER_TENANT     4096
#define TOW__AGENTS_PER_TENANT    4096    /* those revoked or expired but not yet swept included */
#define TOW__REPORTS_PER_TENANT   4194304 /* bytes of what its agents say of themselves, together */
/* One that is heard of by nobody for so long is gone. */
#define TOW__AGENT_SILENT_MS 90000
#define TOW__ELDERS_MAX      64
/* How long an agent that the hub has never seen stays revoked. */
#define TOW__REVOCATION_KEPT_MS (30ULL * 24 * 3600 * 1000)
/* What is kept of what one tenant did, and of what the operator did; and for how long. */
#define TOW__AUDIT_PER_TENANT   10000
#define TOW__AUDIT_OF_OPERATORS 100000
#define TOW__AUDIT_KEPT_MS      (400ULL * 24 * 3600 * 1000)
/* Versions that the change log goes back; a subscriber that is further behind gets a snapshot. */
#define TOW__CHANGES_KEPT 4096

/* Entries that a tenant's log may have over what they come to, before those that are void go. */
#define TOW__ENTRIES_KEPT 8192

struct tow__store;
struct tow__db_gate;

struct tow__store_config {
	const char *driver; /* "sqlite", "postgres" */
	const char *dsn;
	struct tow__db_gate *gate; /* of all stores on one database; NULL: one of its own */
	int allow_privileged_ports;
	const uint16_t *reserved_ports; /* borrowed for the store's life */
	size_t reserved_port_count;
	uint64_t changes_kept; /* 0: TOW__CHANGES_KEPT */
	uint64_t entries_kept; /* 0: TOW__ENTRIES_KEPT */
	uint64_t audit_kept;   /* of each actor; 0: TOW__AUDIT_PER_TENANT, _OF_OPERATORS */
};

/* What to do about the schema. */
enum tow__store_schema {
	TOW__SCHEMA_IS_READY,  /* nothing: another store has done it */
	TOW__SCHEMA_NOW,       /* connect and bring it up to date */
	TOW__SCHEMA_WHEN_USED, /* the same once it is used: the server is away */
};
/* Returns 0; TOW_ECONFIG, TOW_EDENIED, TOW_EIO, TOW_EDB, TOW_EUNAVAILABLE, TOW_ENOMEM. */
int tow__store_open(const struct tow__store_config *config, enum tow__store_schema schema,
                    struct tow__store **out, struct tow_error *err);
void tow__store_close(struct tow__store *store); /* takes NULL */
/* After a failure: is it that no server answers, or none yet? Waits for it for some seconds. */
int tow__store_is_away(struct tow__store *store);
int tow__store_ping(struct tow__store *store, struct tow__fault *fault);
/* Does the database take writes? Changes nothing that matters. */
int tow__store_try_write(struct tow__store *store, struct tow__fault *fault);
/* Of the routes, as this connection last made or saw it. */
uint64_t tow__store_version(const struct tow__store *store);
/* Sees which it is now. */
int tow__store_see_version(struct tow__store *store, struct tow__fault *fault);
/* Waits until somebody makes a new version, as tow__db_listen. Only for a store that is shared: one
 * whose database other hubs may use too. */
int tow__store_is_shared(const struct tow__store *store);
int tow__store_listen(struct tow__store *store, int wake_fd, uint64_t *version);
/* Does the host need the port itself? */
int tow__store_port_is_hosts(const struct tow__store *store, uint16_t port);
/* Drops agents that have expired with the entries about them, and what the audit has kept for long
 * enough. */
int tow__store_sweep(struct tow__store *store, uint64_t now_ms, struct tow__fault *fault);
int tow__store_count_tenants(struct tow__store *store, uint64_t *count, struct tow__fault *fault);

/* --- invites --- */

struct tow__invite {
	uint8_t id[TOW_INVITE_ID_SIZE];
	struct tow_id tenant_id;
	char name[TOW_TENANT_NAME_MAX + 1];
	struct tow__names hostnames; /* the patterns; none when revoked */
	uint64_t created_ms;
	uint64_t expires_ms; /* 0: never */
	uint64_t revoked_ms; /* 0: is not */
};
void tow__invite_deinit(struct tow__invite *invite);

struct tow__page {
	uint64_t limit, offset;
};

/* Makes the invite and its tenant. */
int tow__store_invite_create(struct tow__store *store, const struct tow__invite *invite,
                             const uint8_t secret_hash[TOW_HASH_SIZE],
                             const uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE],
                             struct tow__fault *fault);
int tow__store_invite_get(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                          struct tow__invite *out, struct tow__fault *fault);
/* Oldest first. visit returns 0, or TOW_ENOMEM to stop. */
int tow__store_invite_list(struct tow__store *store, const struct tow__page *page,
                           int (*visit)(void *user, const struct tow__invite *invite), void *user,
                           uint64_t *total, struct tow__fault *fault);
/* *hostnames: all of them, afterwards. A name that any tenant has is a conflict. */
int tow__store_invite_add_hostnames(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                                    const struct tow__names *add, struct tow__names *hostnames,
                                    struct tow__fault *fault);
/* Releases the hostnames that are in use under it, too. The last one stays. */
int tow__store_invite_remove_hostname(struct tow__store *store,
                                      const uint8_t id[TOW_INVITE_ID_SIZE], const char *pattern,
                                      struct tow__names *hostnames, struct tow__fault *fault);
/* Removes the tenant. */
int tow__store_invite_revoke(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                             uint64_t now_ms, struct tow__fault *fault);
/* For bootstrap. The same TOW__UNAUTHORIZED whether the invite is unknown or revoked or the secret
 * is another; TOW__INVITE_EXPIRED only with the right one. */
int tow__store_invite_check(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                            const uint8_t secret_hash[TOW_HASH_SIZE], uint64_t now_ms,
                            struct tow__invite *out, struct tow__fault *fault);

/* --- tenants --- */

struct tow__agent {
	struct tow_id id;
	uint64_t generation;
	uint8_t services_hash[TOW_HASH_SIZE];
	uint64_t expires_ms;
	char *report; /* what it said of itself, JSON; "": nothing. Owned in a list, else NULL */
};

/* A public port that is a tenant's. */
struct tow__port {
	enum tow_protocol protocol;
	uint16_t number;
	struct tow_id tenant_id;
	char service[TOW_SERVICE_NAME_MAX + 1]; /* "": none has it now */
	struct tow_access access;               /* of the service */
	int reserved;
	char label[TOW_PORT_LABEL_MAX + 1]; /* of the reservation */
	uint64_t claimed_ms;                /* since when it is the tenant's */
};

/* Who may come to a hostname. */
struct tow__hostname_access {
	char pattern[TOW_HOSTNAME_SIZE];
	struct tow_access access;
};

struct tow__tenant {
	struct tow_id id;
	char name[TOW_TENANT_NAME_MAX + 1];
	uint64_t created_ms;
	struct tow_tenant_limits limits;
	struct tow__names patterns;  /* may use */
	struct tow__names hostnames; /* uses */
	struct tow__hostname_access *access; /* of those that are not for everybody */
	size_t access_count;
	struct tow__agent *agents;   /* neither revoked nor expired */
	size_t agent_count;
	struct tow__port *ports;
	size_t port_count;
};

/* Oldest first. */
int tow__store_tenant_list(struct tow__store *store, const struct tow__page *page, uint64_t now_ms,
                           int (*visit)(void *user, const struct tow__tenant *tenant), void *user,
                           uint64_t *total, struct tow__fault *fault);
int tow__store_tenant_remove(struct tow__store *store, const struct tow_id *id, uint64_t now_ms,
                             struct tow__fault *fault);
enum tow__limit {
	TOW__LIMIT_CONNECTIONS = 1,
	TOW__LIMIT_IN = 2,
	TOW__LIMIT_OUT = 4,
};
/* Sets which of them; *limits is afterwards what they all are. TOW__NOT_FOUND for a tenant that is
 * not there. */
int tow__store_tenant_limit(struct tow__store *store, const struct tow_id *id, unsigned which,
                            struct tow_tenant_limits *limits, struct tow__fault *fault);
/* TOW__TENANT_NOT_ALLOWED for a tenant that is not there. */
int tow__store_tenant_key(struct tow__store *store, const struct tow_id *id,
                          uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE], struct tow__fault *fault);

/* --- entries --- */

struct tow__submission {
	const struct tow_slice *jws; /* of one tenant; all are taken or none */
	size_t count;
	const struct tow_id *leave; /* the tenant that leaves; then jws is one entry, and it says
	                               so. Else NULL */
	uint64_t now_ms;
};
struct tow__submitted {
	uint64_t sequence; /* the highest that the tenant has used */
	int is_signed;     /* by the tenant, whatever else may be wrong */
	struct tow_id tenant;
};
/* Checks in the order: tenant known, signature, version, ownership, sequence unused. *out is
 * all-zero before. */
int tow__store_submit(struct tow__store *store, const struct tow__submission *submission,
                      struct tow__submitted *out, struct tow__fault *fault);
/* By sequence: at most page->limit entries after sequence page->offset. *latest: as of _submit.
 * TOW__NOT_FOUND for a tenant that is not there. */
int tow__store_entries(struct tow__store *store, const struct tow_id *tenant,
                       const struct tow__page *page,
                       int (*visit)(void *user, uint64_t sequence, struct tow_slice jws),
                       void *user, uint64_t *latest, struct tow__fault *fault);

/* --- agents --- */

/* Is this an agent of the tenant, neither revoked nor expired? TOW__TENANT_NOT_ALLOWED when not. */
int tow__store_agent_check(struct tow__store *store, const struct tow_id *tenant,
                           const struct tow_id *agent, uint64_t now_ms, struct tow__fault *fault);
/* The tenant's other agents. */
struct tow__siblings {
	int superseded; /* one of them, with other services, has come after this one */
	/* Those that announced themselves TOW__AGENT_SILENT_MS ago or longer. */
	struct tow_id elder[TOW__ELDERS_MAX];
	size_t elder_count;
};
/* The same, and looks for others. */
int tow__store_agent_siblings(struct tow__store *store, const struct tow_id *tenant,
                              const struct tow__agent *agent, uint64_t now_ms,
                              struct tow__siblings *out, struct tow__fault *fault);

/* The same, and keeps what the agent says of itself; nothing of it when the tenant's agents
 * together say too much. */
int tow__store_agent_report(struct tow__store *store, const struct tow_id *tenant,
                            const struct tow__agent *agent, const char *report, uint64_t now_ms,
                            struct tow__siblings *out, struct tow__fault *fault);

/* --- audit --- */

/* Who the operations that follow are done for, so that what they change is recorded with it. */
struct tow__asker {
	uint64_t now_ms;
	char source[TOW_ADDR_TEXT_SIZE];
	const char *request_id; /* borrowed until the next _asked_by */
};
/* NULL: nobody, and nothing is recorded. */
void tow__store_asked_by(struct tow__store *store, const struct tow__asker *asker);

struct tow__audit_event {
	uint64_t id, at_ms;
	int by_operator; /* else by the tenant itself */
	int has_tenant;
	struct tow_id tenant_id;
	char tenant_name[TOW_TENANT_NAME_MAX + 1];
	char action[48], subject[TOW_HOSTNAME_SIZE + 16];
	char source[TOW_ADDR_TEXT_SIZE], request_id[TOW_REQUEST_ID_MAX + 1];
};
/* Newest first: at most page->limit events older than id page->offset (0: from the newest), those
 * of one tenant unless NULL. */
int tow__store_audit_list(struct tow__store *store, const struct tow_id *tenant,
                          const struct tow__page *page,
                          int (*visit)(void *user, const struct tow__audit_event *event),
                          void *user, struct tow__fault *fault);

/* --- edges --- */

struct tow__edge_invite {
	uint8_t id[TOW_INVITE_ID_SIZE];
	struct tow_id node_id; /* the edge's */
	char name[TOW_TENANT_NAME_MAX + 1];
	uint64_t created_ms;
	uint64_t revoked_ms; /* 0: is not */
};

/* secret_hash NULL: for an edge that has a key already. TOW__INVALID_REQUEST for a key that was
 * invited before. */
int tow__store_edge_invite_create(struct tow__store *store, const struct tow__edge_invite *invite,
                                  const uint8_t *secret_hash, struct tow__fault *fault);
/* Oldest first, as _invite_list. */
int tow__store_edge_invite_list(struct tow__store *store, const struct tow__page *page,
                                int (*visit)(void *user, const struct tow__edge_invite *invite),
                                void *user, uint64_t *total, struct tow__fault *fault);
/* *node_id: the edge that is no longer one. It is a new version, so that all hubs hear of it. */
int tow__store_edge_invite_revoke(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                                  uint64_t now_ms, struct tow_id *node_id,
                                  struct tow__fault *fault);

/* Was this edge invited, and not revoked? TOW__EDGE_REFUSED when not. */
int tow__store_edge_check(struct tow__store *store, const struct tow_id *node_id,
                          struct tow__fault *fault);

struct tow__edge_report {
	struct tow_id node_id;
	const char *own_name; /* of a hub's own edge; NULL: one that has to be invited */
	const char *json;
	uint64_t now_ms;
};
/* What an edge says of itself. *name (may be NULL): its invite's. Refused as by _check. */
int tow__store_edge_report(struct tow__store *store, const struct tow__edge_report *report,
                           char name[TOW_TENANT_NAME_MAX + 1], struct tow__fault *fault);

struct tow__edge {
	struct tow_id node_id;
	char name[TOW_TENANT_NAME_MAX + 1];
	struct tow_slice report; /* JSON; empty: it never said anything. Borrowed for the call */
	uint64_t seen_ms;
	int revoked;
};
/* All edges that may be, and those that were revoked since. */
int tow__store_edge_list(struct tow__store *store, uint64_t revoked_since_ms,
                         int (*visit)(void *user, const struct tow__edge *edge), void *user,
                         struct tow__fault *fault);
/* How long what a hub's own edge said is kept. */
#define TOW__EDGE_KEPT_MS (24ULL * 3600 * 1000)

/* --- ports --- */

/* By protocol and number. tenant: whose (TOW__NOT_FOUND when there is none); NULL: everybody's. */
int tow__store_port_list(struct tow__store *store, const struct tow_id *tenant,
                         const struct tow__page *page,
                         int (*visit)(void *user, const struct tow__port *port), void *user,
                         uint64_t *total, struct tow__fault *fault);
/* The first `count` ports that are nobody's and the host does not need, within TOW__PORTS_FIRST to
 * _LAST. */
#define TOW__PORTS_FIRST 20000
#define TOW__PORTS_LAST  32767 /* outgoing connections take theirs from above */
int tow__store_port_available(struct tow__store *store, enum tow_protocol protocol, size_t count,
                              uint16_t *ports, size_t *found, struct tow__fault *fault);
/* Holds a port for its tenant, whose services may claim it then or have it already. In: protocol,
 * tenant, label, the time as claimed_ms, and number, 0 for any that is available. Out: number,
 * service, claimed_ms. TOW__NOT_FOUND for a tenant that is not there. */
int tow__store_port_reserve(struct tow__store *store, struct tow__port *port,
                            struct tow__fault *fault);
/* Ends that. A service that has the port keeps it. TOW__NOT_FOUND when it is not reserved for the
 * tenant. */
int tow__store_port_release(struct tow__store *store, const struct tow_id *tenant,
                            enum tow_protocol protocol, uint16_t number, struct tow__fault *fault);

/* --- routes --- */

/* What leads from a version (0: from nothing) to the newest one: appends a snapshot or a delta.
 * *version: the newest; equal to from when there is nothing to say, and json is then untouched. */
int tow__store_routes_since(struct tow__store *store, uint64_t from, uint64_t now_ms,
                            enum tow_route_event_kind *kind, uint64_t *version,
                            struct tow_buf *json, struct tow__fault *fault);

#endif
