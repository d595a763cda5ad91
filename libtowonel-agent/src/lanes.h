/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_LANES_H
#define TOWONEL_AGENT_LANES_H

/*
 * The further tunnels to an edge of several workers: the link's own tunnel is to one, a lane each
 * to the next ones, so that most visitors find the agent where they come in. An edge does with
 * less, so a lane that is lost is dialled again in its own time, while the link is up.
 *
 *     REST ──► DIAL ──► (tunnel) ──► REST      as many as the edge wants
 */

#include <towonel/tunnel/backoff.h>
#include <towonel/wire/limits.h>

#include "tunnel.h"

struct lanes;

struct lane {
	struct lanes *lanes;
	unsigned number;        /* its worker is so many behind the link's */
	struct tunnel *tunnel;  /* NULL: none */
	struct tunnel *left;    /* to a process that has given way; NULL: none */
	struct tow_timer timer; /* the next try */
	struct tow_backoff backoff;
};

struct lanes {
	struct tunnel_config config; /* with the link's events, of which sign, services, superseded
	                                and stream are called */
	void (*gone)(void *user);    /* after _close: the last tunnel has gone */
	struct lane list[TOW_WORKERS_PER_AGENT - 1];
	struct tow_addr remote;
	struct tunnel_place place; /* the link's */
	int resting;               /* the link is not up, or drains */
	int closing;
};

/* lanes is all-zero but for config and gone. */
void tow__lanes_init(struct lanes *lanes);
/* The link is up, there. */
void tow__lanes_open(struct lanes *lanes, const struct tow_addr *remote,
                     const struct tunnel_place *place);
void tow__lanes_rest(struct lanes *lanes); /* it is not: none is dialled */
void tow__lanes_hello(struct lanes *lanes);
void tow__lanes_drain(struct lanes *lanes);
/* gone may be called from within. */
void tow__lanes_close(struct lanes *lanes, uint64_t code);
int tow__lanes_any(const struct lanes *lanes); /* has a tunnel */

#endif
