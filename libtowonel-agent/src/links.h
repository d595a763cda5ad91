/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_LINKS_H
#define TOWONEL_AGENT_LINKS_H

/* An agent's links, one to each edge that it follows. */

#include <jansson.h>
#include <towonel/tunnel/metrics.h>

#include "edge_link.h"

struct link_slot {
	struct edge_link *link;
	unsigned missing; /* how many of the hub's lists in a row it was not in */
};

/* All-zero is valid: none. */
struct links {
	struct link_slot *slots;
	size_t count;
};

struct link_slot *tow__links_find(struct links *links, const struct tow_id *edge); /* NULL: none */
/* A new link. NULL when there are too many, or no memory. */
struct link_slot *tow__links_add(struct links *links, const struct edge_link_config *config);
void tow__links_forget(struct links *links, const struct edge_link *link); /* which has gone */
void tow__links_deinit(struct links *links);                               /* all have gone */

/* Puts into metrics how quiet and how slow tunnels are, and by what they go. links is borrowed for
 * their life. */
void tow__links_measure(struct links *links, struct tow_metrics *metrics);
/* Tunnels are up, but none has proved for so long that bytes go end to end. */
int tow__links_all_quiet(const struct links *links, uint64_t for_ns);
/* Appends a line for each tunnel that is up. */
void tow__links_note(const struct links *links, struct tow_buf *notes);
/* The tunnels that are up, as many as are told of: [{edge_id, transport, quiet_ms,
 * rtt_us}]. NULL when out of memory. */
json_t *tow__links_tell(const struct links *links, uint64_t now_ns);

#endif
