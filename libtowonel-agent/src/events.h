/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_EVENTS_H
#define TOWONEL_AGENT_EVENTS_H

/*
 * What the agent tells its host, in order. The queue is bounded: a host that never asks loses the
 * oldest events, except that the last one, STOPPED, is always there.
 */

#include <towonel/agent.h>

#define AGENT_EVENTS_MAX 256

struct agent_events {
	struct agent_event_record *slots; /* a ring of AGENT_EVENTS_MAX, allocated on first use */
	size_t first, count;
	struct agent_event_record *given; /* the one whose strings the host may still be reading */
};

/* Copies the event and its strings. Out of memory loses the event, nothing else. */
void tow__events_push(struct agent_events *events, const struct tow_agent_event *event);
int tow__events_take(struct agent_events *events, struct tow_agent_event *out); /* 1 or 0 */
void tow__events_deinit(struct agent_events *events);

#endif
