/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_VISITOR_H
#define TOW_EDGE_VISITOR_H

#include <towonel/wire/addr.h>

struct visitor;
struct worker;

/* Serves an accepted connection; takes fd, and closes it when a limit is reached. port is 0 for one
 * that begins with a ClientHello, else that of the TCP service which it came to. */
void tow__visitor_accept(struct worker *w, int fd, const struct tow_addr *peer,
                         const struct tow_addr *local, uint16_t service_port);
/* Resets a visitor, wherever it stands. */
void tow__visitor_abort(struct visitor *v);
/* The worker's list. */
struct visitor *tow__visitor_next(const struct visitor *v);

#endif
