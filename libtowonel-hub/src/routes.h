/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_ROUTES_H
#define TOWONEL_HUB_ROUTES_H

/*
 * Keeps subscribers up to date with the routes. Each is at a version; when the store is ahead, the
 * way from the one to the other is read once for all that are at the same version, and handed out.
 */

#include <towonel/tunnel/log.h>

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
/* Stops handing out. */
void tow__routes_stop(struct tow__routes *routes);

#endif
