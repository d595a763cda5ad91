/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NODE_ACTIVATION_H
#define TOWONEL_BIN_NODE_ACTIVATION_H

#include <towonel/tunnel/inherited.h>
#include <towonel/tunnel/log.h>

/* Sockets of a service manager that listens before its service runs: what is bound on the loop is
 * these, where they fit. Returns the set, to be freed after the loop; NULL: there are none. */
struct tow_inherited *activation_take(struct tow_loop *loop);
/* When all is bound: warns of those that nobody wanted. set may be NULL. */
void activation_check(struct tow_inherited *set, struct tow_log *log);

#endif
