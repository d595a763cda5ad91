/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_ROUTES_H
#define TOWONEL_HUB_ROUTES_H

/*
 * Keeps subscribers up to date with the routes. Each is at a version; when the store is ahead, the
 * way from the one to the other is read once for all that are at the same version, and handed out.
 */

#include <towonel/tunnel/log.h>
#include <towonel/wire/route_feed.h>

#include "store/pool.h"

struct tow__routes;
struct tow_hub_subscription; /* what the public header calls it */

struct tow__routes *tow__routes_new(struct tow_loop *loop, struct tow_log *log,
                                    struct tow__pool *pool);
/* No job may be under way (the pool is closed). Subscriptions that are left get nothing any more,
 * and are freed by their unsubscribing. */
void tow__routes_free(struct tow__routes *routes);
/* The store has this version. */
void tow__routes_changed(struct tow__routes *routes, uint64_t version);
/* As tow_hub_subscribe, for who has a version already (0: none). The sink may return TOW_BLOCKED:
 * it takes nothing now, stays at its version, and is called again after _resume. */
int tow__routes_subscribe(struct tow__routes *routes, uint64_t version, tow_route_sink sink,
                          void *user, struct tow_hub_subscription **out);
void tow__routes_resume(struct tow_hub_subscription *subscription);
/* Stops handing out. */
void tow__routes_stop(struct tow__routes *routes);

#endif
