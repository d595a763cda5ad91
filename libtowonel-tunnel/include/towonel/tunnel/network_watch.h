/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_NETWORK_WATCH_H
#define TOWONEL_TUNNEL_NETWORK_WATCH_H

/*
 * Tells when something about this host's network has changed: a link, an address, a route (Linux:
 * rtnetlink(7)). What it is has to be asked of those who know; much of it is nothing to most.
 */

#include <towonel/tunnel/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_network_watch;

/* `changed` is called after each change, or a second later when there are very many. Returns 0;
 * TOW_EIO (the system does not tell), TOW_ENOMEM. */
int tow_network_watch_new(struct tow_loop *loop, void (*changed)(void *user), void *user,
                          struct tow_network_watch **out);
void tow_network_watch_free(struct tow_network_watch *watch);

#ifdef __cplusplus
}
#endif
#endif
