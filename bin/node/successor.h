/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NODE_SUCCESSOR_H
#define TOWONEL_BIN_NODE_SUCCESSOR_H

/*
 * The process that takes over from this one, as seen from here: it comes through node.sock.
 *
 *     ABSENT ─lend─► LENT ─hub─► HUB_CLOSING ──► HUB_CLOSED ─yield─► YIELDED ─commit─► GONE
 *        ▲             └───────────────┴─────────────┴──────────────────┘ it hangs up:
 *        └────────────────────────────── failed: all is as before ──────┘
 *
 * In GONE it runs the node, and this process ends with its last visitor.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/wire/addr.h>
#include <towonel/wire/buf.h>

struct successor;

struct successor_config {
	struct tow_loop *loop;
	struct tow_log *log;
	const char *data_dir;
	/* The hub is to be closed, and successor_hub_closed called. */
	void (*close_hub)(void *user);
	/* Tunnels are to be yielded. Returns how many agents there are. */
	size_t (*yield)(void *user);
	/* All the rest. */
	void (*commit)(void *user, int pid);
	/* It has failed: what was closed is to be opened again, on the loop's inherited sockets. */
	void (*failed)(void *user, int hub_closed);
	/* A connection for the hub, which is open again. */
	void (*adopt)(void *user, int fd, const struct tow_addr *peer, struct tow_slice early);
	void *user;
};

/* Waits for one. A directory in which that cannot be done is warned about, no more. NULL: no
 * memory. */
struct successor *successor_new(const struct successor_config *config);
void successor_free(struct successor *successor);
void successor_hub_closed(struct successor *successor);
/* A connection for the hub while it is closed: it is kept for whoever opens it. fd is taken. */
void successor_keep(struct successor *successor, int fd, const struct tow_addr *peer,
                    struct tow_slice early);

#endif
