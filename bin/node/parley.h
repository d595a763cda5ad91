/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NODE_PARLEY_H
#define TOWONEL_BIN_NODE_PARLEY_H

/*
 * How the process that runs a node and the one that is to take over talk: through node.sock in the
 * data directory, in messages of JSON that may carry descriptors.
 *
 *      after ─► before                          before ─► after
 *      {"do":"lend","version":1}                {"socket":true} and it, each
 *                                               {"lent":N, "notify_socket", "watchdog_usec"}
 *      {"do":"hub"}                             {"hub":"stopped"}
 *      {"do":"yield"}                           {"agents":N}
 *      {"do":"commit"}                          {"visitor":ADDR,"early":BASE64URL} and it, each
 *                                               {"done":true}
 *
 * Only the same user and root are talked to. One who hangs up before "commit" has failed, and
 * nothing has changed.
 */

#include <jansson.h>
#include <towonel/wire/error.h>

#include "node/parley_message.h"

#define PARLEY_VERSION 1
#define PARLEY_FDS_MAX 2

/* Listens in the directory, unless somebody who lives does. Returns 0; TOW_EADDRINUSE, TOW_ETOOBIG
 * (the path), TOW_EDENIED, TOW_EIO. */
int parley_listen(const char *data_dir, int *out, struct tow_error *err);
/* Returns 0; TOW_ENOTFOUND when nobody answers, TOW_ETOOBIG, TOW_EDENIED, TOW_EIO. */
int parley_connect(const char *data_dir, int *out, struct tow_error *err);
/* Takes one who wants to talk, when there is one who may. *pid: who it is. Returns 0; TOW_BLOCKED,
 * TOW_EDENIED (hung up on). */
int parley_accept(int listener, int *out, int *pid);

/* Takes message. Returns 0, TOW_EIO, TOW_ENOMEM. */
int parley_send(int fd, json_t *message, const int *fds, size_t count);
/* The next message, to be deinitialised, and its descriptors, all of which are the caller's.
 * Returns 0; TOW_BLOCKED (or nothing came for long enough), TOW_EOF, TOW_EPARSE, TOW_ENOMEM. */
int parley_receive(int fd, int wait, struct parley_message *message, int fds[PARLEY_FDS_MAX],
                   size_t *count);

#endif
