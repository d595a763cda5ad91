/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_RATE_LIMIT_H
#define TOWONEL_TUNNEL_RATE_LIMIT_H

/*
 * So many events a second per source address (per /64 for IPv6, which is what one customer has), or
 * per identity, with a burst. The table has a fixed size: who is not in it pushes out the one of
 * his set that was quiet longest, so a flood of addresses costs no memory and only makes the limit
 * softer.
 */

#include <towonel/wire/addr.h>
#include <towonel/wire/identity.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_rate_limit;

/* per_second from 1 to 1000000000. NULL: out of memory. */
struct tow_rate_limit *tow_rate_limit_new(unsigned per_second, unsigned burst);
void tow_rate_limit_free(struct tow_rate_limit *limit); /* takes NULL */
/* Takes one. Returns 0, or the milliseconds until there is room for one. */
uint64_t tow_rate_limit_take(struct tow_rate_limit *limit, const struct tow_addr *from,
                             uint64_t now_ns);
uint64_t tow_rate_limit_take_id(struct tow_rate_limit *limit, const struct tow_id *id,
                                uint64_t now_ns);
/* Gives back one that was taken: it was not to be limited, as it turned out. */
void tow_rate_limit_give(struct tow_rate_limit *limit, const struct tow_addr *from);

#ifdef __cplusplus
}
#endif
#endif
