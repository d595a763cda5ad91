/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_PACE_H
#define TOWONEL_TUNNEL_PACE_H

/*
 * Bytes a second that several connections have together. What is beyond waits where it is, in the
 * sender's own buffers at last: nothing is dropped, unless whoever asks drops it.
 *
 * A bucket is one number, the time at which it will be full again, so that threads may share it.
 * Those who wait do so one after the other, each until a moment of its own: many who wait cost no
 * more than one.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All-zero is valid: no limit. Only what follows may touch it. */
struct tow_pace {
	uint64_t bytes_per_second, full_ns;
	uint64_t turn_ns; /* the last one that was given */
};

void tow_pace_set(struct tow_pace *pace, uint64_t bytes_per_second); /* 0: no limit */
int tow_pace_is_set(const struct tow_pace *pace);                    /* there is a limit */
/* How many bytes may go now; SIZE_MAX without a limit. */
size_t tow_pace_allow(const struct tow_pace *pace, uint64_t now_ns);
/* When to ask again after a 0: nobody else is told the same moment, but where very many wait. */
uint64_t tow_pace_turn(struct tow_pace *pace, uint64_t now_ns);
void tow_pace_spend(struct tow_pace *pace, size_t bytes, uint64_t now_ns);

#ifdef __cplusplus
}
#endif
#endif
