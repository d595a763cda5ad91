/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_UDP_TURNED_AWAY_H
#define TOW_EDGE_UDP_TURNED_AWAY_H

/*
 * Visitors who were turned away a moment ago, because too many wanted to begin at once. A real one
 * asks again; one of a million made-up sources does not come a second time. What is kept is two
 * Bloom filters of one size, the present and the one before: however many come, it costs no more
 * memory, and only lets more of them pass for somebody who has been here.
 */

#include <stdint.h>

#define TURNED_AWAY_BITS 8388608 /* half a million in one period: 1 in 500 is taken for another */

struct turned_away {
	uint8_t *bits[2]; /* NULL: nobody has been yet */
	int present;
	uint64_t turn_ns; /* when the present one becomes the one before */
};

void tow__turned_away_deinit(struct turned_away *away);
/* who: a keyed hash of the visitor. Out of memory, nobody is noted. */
void tow__turned_away_note(struct turned_away *away, uint64_t who, uint64_t now_ns);
/* In the last 5 seconds, or up to 10. */
int tow__turned_away_has(struct turned_away *away, uint64_t who, uint64_t now_ns);

#endif
