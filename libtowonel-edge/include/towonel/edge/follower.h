/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_EDGE_FOLLOWER_H
#define TOWONEL_EDGE_FOLLOWER_H

/*
 * What ties an edge to a hub that is elsewhere: it follows the hub's routes and hands them to a
 * sink, as the hub itself does in one process, and tells the hub how the edge is. While the hub
 * cannot be reached it goes on trying, and the edge serves what it has.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/wire/limits.h>
#include <towonel/wire/route_feed.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_follower;

struct tow_follower_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;
	const struct tow_node_key *key; /* the edge's; copied */
	char hub_url[TOW_URL_MAX];      /* without a trailing slash */
	struct tow_id hub_id;           /* zero: verify chain and name */
	const char *user_agent;         /* copied */
	tow_route_sink sink;            /* tow_edge_apply */
	void *sink_user;                /* the edge */
	/* The hub says that it has no such edge (any more): nothing is tried again. text is for
	 * people. The follower may be freed from here. */
	void (*revoked)(void *user, const char *text);
	void *user;
};

/* Returns 0, TOW_ENOMEM. */
int tow_follower_new(const struct tow_follower_config *config, struct tow_follower **out);
void tow_follower_free(struct tow_follower *follower); /* takes NULL */
/* What the edge says of itself; copied. */
void tow_follower_report(struct tow_follower *follower, const struct tow_edge_report *report);
/* Appends a line when the hub cannot be reached. */
void tow_follower_note(const struct tow_follower *follower, struct tow_buf *notes);

#ifdef __cplusplus
}
#endif
#endif
