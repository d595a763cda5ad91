/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NODE_PREDECESSOR_H
#define TOWONEL_BIN_NODE_PREDECESSOR_H

/*
 * The process that this one takes over from, as seen from here.
 *
 *     _find: its sockets ─► _stop_hub: the store is free ─► (the parts are made, and wait) ─►
 *     _relieve: agents dial this process ─► when they are here, or late: visitors come here ─► done
 *
 * Until the last step it serves, and goes on doing so when this process ends. When it ends itself,
 * this one does without it.
 */

#include <towonel/tunnel/inherited.h>
#include <towonel/tunnel/log.h>
#include <towonel/wire/addr.h>
#include <towonel/wire/buf.h>

struct predecessor;

/* Asks the process that runs in the directory for its sockets, which come into the set; and takes
 * its service manager over, in the environment. Blocks. Returns 0; TOW_ENOTFOUND when none runs,
 * TOW_EVERSION, TOW_EDENIED, TOW_EIO, TOW_ENOMEM. */
int predecessor_find(const char *data_dir, struct tow_inherited *set, struct predecessor **out,
                     struct tow_error *err);
/* Has its hub closed. Blocks. Returns 0, TOW_EIO. */
int predecessor_stop_hub(struct predecessor *predecessor, struct tow_error *err);

struct predecessor_relief {
	struct tow_loop *loop;
	struct tow_log *log;
	size_t (*agents)(void *user); /* how many are here */
	/* A connection for the hub that came to it meanwhile. */
	void (*adopt)(void *user, int fd, const struct tow_addr *peer, struct tow_slice early);
	/* Nothing comes to it any more: what is bound here is to be released. */
	void (*done)(void *user);
	void *user;
};
/* From the loop. */
void predecessor_relieve(struct predecessor *predecessor, const struct predecessor_relief *relief);
int predecessor_pid(const struct predecessor *predecessor);
void predecessor_free(struct predecessor *predecessor);

#endif
