/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_H
#define TOWONEL_HUB_H

/*
 * libtowonel-hub: the control plane. It keeps invites, tenants, signed entries and edges in a
 * database, serves the HTTP API, and tells edges which routes there are.
 *
 * Everything here is for the loop's thread. Database calls run on threads of the hub's own and
 * never hold up the loop; what was acknowledged to a client is on disk.
 */

#include <towonel/tunnel/http_server.h>
#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/wire/route_feed.h>
#include <towonel/wire/token.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_hub;

struct tow_hub_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;
	const struct tow_node_key *key; /* the node's identity; copied, as is all that follows */
	const uint8_t *invite_hash_key; /* TOW_SECRET_SIZE bytes: invite secrets are stored as a
	                                   keyed hash */
	const char *operator_key;       /* bearer token of operators, base64url */
	struct tow_addr listen;         /* API, HTTPS */
	int dual_stack;
	const char *public_url;   /* https://host:port, goes into tokens */
	const char *db_driver;    /* "sqlite", "postgres" */
	const char *db_dsn;       /* a file's path; postgres://USER:PASSWORD@HOST/DATABASE */
	size_t db_max_open_conns; /* 0: the driver's default, 4 or 25; postgres takes one more */
	int allow_privileged_ports;
	const uint16_t *reserved_ports; /* ports that this host needs itself */
	size_t reserved_port_count;
	const char *version; /* of the program, for /v1/health */
	/* What the health listener shows to everybody names tenants and services, too: only where
	 * strangers cannot ask. */
	int health_names;
	/* A certificate for what a client asks for and understands, borrowed until the next turn of
	 * the loop; NULL: the node's own will do. May be NULL. */
	struct tow_tls_context *(*certificate)(void *user, const struct tow_client_hello *hello);
	void *user;
};

/* Opens the database and brings its schema up to date (this blocks), then listens; err begins with
 * the config's member that is to blame ("listen: ", "db_dsn: ", "db_driver: "). A database's server
 * that does not answer yet is waited for: the hub then listens, is not ready, and answers what
 * needs the database with 503. Returns 0; TOW_EADDRINUSE, TOW_EDENIED, TOW_EIO, TOW_EDB (err says
 * what to do), TOW_EUNAVAILABLE (the database's server answers, and refuses), TOW_ECONFIG,
 * TOW_ENOMEM. err never has db_dsn's password. */
int tow_hub_new(const struct tow_hub_config *config, struct tow_hub **out, struct tow_error *err);
/* Stops taking requests, lets those under way finish for at most grace_ns, closes the store, frees,
 * calls done. */
void tow_hub_close(struct tow_hub *hub, uint64_t grace_ns, void (*done)(void *user), void *user);
const struct tow_addr *tow_hub_addr(const struct tow_hub *hub);
/* Serves a client of the API that came by another way: fd is taken, with what was read from it. */
void tow_hub_adopt(struct tow_hub *hub, int fd, const struct tow_addr *peer,
                   struct tow_slice early);

/* The route feed, for an edge in the same process: a snapshot soon, then deltas, on the loop's
 * thread. A sink that returns TOW_ECONFLICT gets a snapshot. Returns 0, TOW_ENOMEM. */
struct tow_hub_subscription;
int tow_hub_subscribe(struct tow_hub *hub, tow_route_sink sink, void *user,
                      struct tow_hub_subscription **out);
/* Also from within the sink. One that outlives its hub gets nothing more, and is freed by this all
 * the same. */
void tow_hub_unsubscribe(struct tow_hub_subscription *subscription);

/* What the edge in the same process says of itself; copied. The hub lists it as long as the hub
 * runs. */
void tow_hub_edge_report(struct tow_hub *hub, const struct tow_edge_report *report);

/* For the health listener: the status page, and what it asks for there. Their user is the hub. */
#define TOW_HUB_HEALTH_PAGES 2
extern const struct tow_http_route tow_hub_health_pages[TOW_HUB_HEALTH_PAGES];

/* Appends one line per reason for not being ready (store, edges). */
void tow_hub_not_ready(void *hub, struct tow_buf *reasons);

#ifdef __cplusplus
}
#endif
#endif
