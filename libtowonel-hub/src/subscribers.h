/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_SUBSCRIBERS_H
#define TOWONEL_HUB_SUBSCRIBERS_H

/*
 * Edges that follow the routes over HTTPS, each through an event stream:
 *
 *     id: 42
 *     event: delta            or snapshot
 *     data: {"version":42,"from":41, ...}
 *
 * What a slow one has not read waits, up to a bound; beyond it nothing more is queued for it, and
 * when it has caught up it is told all that came since in one event, which is a snapshot when that
 * is too much. Memory for snapshots is bounded for all together: those that come at once take
 * turns.
 */

#include <jansson.h>
#include <towonel/tunnel/http_server.h>
#include <towonel/wire/identity.h>

struct tow_hub;
struct tow__subscribers;

struct tow__subscribers *tow__subscribers_new(struct tow_hub *hub); /* NULL: out of memory */
/* After the server, with which the streams end. */
void tow__subscribers_free(struct tow__subscribers *subscribers); /* takes NULL */

/* Answers the request with the stream. version: what the edge has; 0: nothing. An edge that
 * subscribes too often loses the oldest. */
void tow__subscribers_add(struct tow__subscribers *subscribers, struct tow_http_request *request,
                          const struct tow_id *edge, uint64_t version);
/* Ends the streams of these edges ([node_id]; may be NULL). */
void tow__subscribers_cut(struct tow__subscribers *subscribers, const json_t *edges);

#endif
