/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_HEARD_H
#define TOWONEL_HUB_HEARD_H

/*
 * When agents were heard of last, and what they said of their tunnels: what is too fleeting for the
 * store. The table is bounded; one that is not in it is one that was not heard of.
 */

#include <towonel/wire/identity.h>

#define TOW__HEARD_MAX     16384
#define TOW__HEARD_KEPT_MS (10 * 60 * 1000)

struct tow__heard;

struct tow__heard_agent {
	uint64_t heard_ms; /* 0: never */
	uint64_t tunnel_ms; /* when an edge last lost a tunnel to it; 0: never; not for _put */
	uint8_t report_hash[TOW_HASH_SIZE]; /* of what it said that the store keeps */
	char *tunnels; /* JSON, which as text takes little; NULL: it said nothing of them */
};

struct tow__heard *tow__heard_new(void); /* NULL: out of memory */
void tow__heard_free(struct tow__heard *heard);
/* NULL: not heard of. Valid until the next _put. */
const struct tow__heard_agent *tow__heard_find(const struct tow__heard *heard,
                                               const struct tow_id *id);
/* An edge has no tunnel to it any more. */
void tow__heard_lost(struct tow__heard *heard, const struct tow_id *id, uint64_t now_ms);
/* May the agent have been heard of at since_ms or later, or an edge have had a tunnel to it? When
 * the table is full: yes. */
int tow__heard_maybe(const struct tow__heard *heard, const struct tow_id *id, uint64_t since_ms);
/* Takes tunnels. When there is no memory or no room for another one, it stays unheard of. */
void tow__heard_put(struct tow__heard *heard, const struct tow_id *id,
                    const struct tow__heard_agent *agent);

#endif
