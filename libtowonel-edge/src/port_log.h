/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_PORT_LOG_H
#define TOW_EDGE_PORT_LOG_H

/*
 * What the log says of ports: a line for each, or one for all that follow upon one another in the
 * same turn of the loop, as the ports of a range do.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/wire/route_table.h>

enum port_news {
	PORT_NOTHING,
	PORT_BOUND,
	PORT_BOUND_AT_LAST, /* after failures */
	PORT_FAILED,
	PORT_RELEASED,
};

struct port_log {
	struct tow_log *log;
	struct tow_task flush;
	/* what is to be said: of these ports */
	enum port_news news;
	struct tow_route_port first; /* service and tenant are those of the others too */
	uint16_t last;
	struct tow_error err; /* PORT_FAILED */
};

void tow__port_log_init(struct port_log *log, struct tow_loop *loop, struct tow_log *to);
void tow__port_log_deinit(struct port_log *log); /* says what there is to say */
/* err: of PORT_FAILED. Of a port whose service is not known it is empty. */
void tow__port_log_note(struct port_log *log, enum port_news news,
                        const struct tow_route_port *route, const struct tow_error *err);

#endif
