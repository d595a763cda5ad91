/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_HELLO_H
#define TOW_EDGE_HELLO_H

/* What an agent says of itself, held against what the TLS handshake and the route table say. */

#include <towonel/wire/control_message.h>
#include <towonel/wire/entry.h>
#include <towonel/wire/route_table.h>
#include "edge_metrics.h"

/* Is the sender, whose key is agent_id, who the entry says, and does the tenant say it now? entry
 * is to be believed when that gives HELLO_WELCOME; else err says why not. */
enum hello_outcome tow__hello_judge(const struct tow_control_message *hello,
                                    const struct tow_id *agent_id,
                                    const struct tow_route_table *table, struct tow_entry *entry,
                                    struct tow_error *err);
/* About what one that has an entry takes in memory. */
size_t tow__hello_size(const struct tow_control_message *hello);

#endif
