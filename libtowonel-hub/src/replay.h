/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_REPLAY_H
#define TOWONEL_HUB_REPLAY_H

/*
 * Signed requests that were seen, so that each is good once. Only what is still fresh has to be
 * remembered; the memory is bounded, and when it is full new requests are refused rather than old
 * ones forgotten.
 */

#include <towonel/wire/identity.h>

#define TOW__REPLAY_MAX 131072 /* requests remembered, at least; twice that at most */

struct tow__replay;

struct tow__replay *tow__replay_new(void); /* NULL: out of memory */
void tow__replay_free(struct tow__replay *replay);
/* Returns 0 the first time; TOW_ECONFLICT when it was seen, TOW_ELIMIT when there is no room,
 * TOW_ENOMEM. */
int tow__replay_use(struct tow__replay *replay, const struct tow_id *id, uint64_t timestamp_ms,
                    uint64_t now_ms);

#endif
