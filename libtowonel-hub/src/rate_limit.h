/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_RATE_LIMIT_H
#define TOWONEL_HUB_RATE_LIMIT_H

/*
 * So many requests a second per source address (per /64 for IPv6, which is what one customer has),
 * with a burst. The table has a fixed size: an address that is not in it pushes out the one of its
 * set that was quiet longest, so a flood of addresses costs no memory and only makes the limit
 * softer.
 */

#include <towonel/wire/addr.h>

#define TOW__RATE_PER_SECOND 5
#define TOW__RATE_BURST      30

struct tow__rate_limit;

struct tow__rate_limit *tow__rate_limit_new(void); /* NULL: out of memory */
void tow__rate_limit_free(struct tow__rate_limit *limit);
/* Takes one request. Returns 0, or the milliseconds until there is room for one. */
uint64_t tow__rate_limit_take(struct tow__rate_limit *limit, const struct tow_addr *from,
                              uint64_t now_ns);

#endif
