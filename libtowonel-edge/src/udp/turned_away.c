/* SPDX-License-Identifier: MIT */

#include "turned_away.h"

#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/loop.h>

#define BYTES     (TURNED_AWAY_BITS / 8)
#define PROBES    4
#define PERIOD_NS (5 * TOW_NSEC_PER_SEC)

void tow__turned_away_deinit(struct turned_away *away)
{
	free(away->bits[0]);
	free(away->bits[1]);
}

static void turn(struct turned_away *away, uint64_t now_ns)
{
	if (now_ns < away->turn_ns)
		return;
	if (now_ns - away->turn_ns >= PERIOD_NS)
		memset(away->bits[away->present], 0, BYTES);
	away->present = !away->present;
	memset(away->bits[away->present], 0, BYTES);
	away->turn_ns = now_ns + PERIOD_NS;
}

/* The two halves of one hash make as many as are wanted (Kirsch and Mitzenmacher). */
static uint32_t probe(uint64_t who, uint32_t number)
{
	return ((uint32_t)who + number * ((uint32_t)(who >> 32) | 1)) % TURNED_AWAY_BITS;
}

static int has(const uint8_t *bits, uint64_t who)
{
	for (uint32_t i = 0; i < PROBES; i++) {
		uint32_t bit = probe(who, i);

		if (!(bits[bit / 8] & 1u << bit % 8))
			return 0;
	}
	return 1;
}

void tow__turned_away_note(struct turned_away *away, uint64_t who, uint64_t now_ns)
{
	for (int i = 0; i < 2; i++) {
		if (away->bits[i] == NULL)
			away->bits[i] = calloc(1, BYTES);
		if (away->bits[i] == NULL)
			return;
	}
	turn(away, now_ns);
	for (uint32_t i = 0; i < PROBES; i++) {
		uint32_t bit = probe(who, i);

		away->bits[away->present][bit / 8] |= (uint8_t)(1u << bit % 8);
	}
}

int tow__turned_away_has(struct turned_away *away, uint64_t who, uint64_t now_ns)
{
	if (away->bits[0] == NULL || away->bits[1] == NULL)
		return 0;
	turn(away, now_ns);
	return has(away->bits[0], who) || has(away->bits[1], who);
}
