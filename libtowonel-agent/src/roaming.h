/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_ROAMING_H
#define TOWONEL_AGENT_ROAMING_H

/*
 * This host moves: a new lease, another network, an interface that is gone. The system tells that
 * something is different; whether it matters is asked for each link: does its way begin at another
 * address of ours than before? Then the endpoint moves to a new socket, its connections migrate and
 * their streams live on, and a link that waits for its next try makes it now.
 *
 * Without it a tunnel notices with its next ping.
 */

#include <towonel/tunnel/network_watch.h>

#include "links.h"

struct roaming {
	struct tow_log *log;
	struct tow_quic_endpoint *endpoint;
	struct links *links;
	struct tow_network_watch *watch; /* NULL: the system does not tell */
	struct tow_metric *moves;
};

/* All but `watch` and `moves` is set. */
void tow__roaming_init(struct roaming *roaming, struct tow_loop *loop, struct tow_metrics *metrics);
void tow__roaming_deinit(struct roaming *roaming);

#endif
