/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_BACKOFF_H
#define TOWONEL_AGENT_BACKOFF_H

/*
 * Exponential backoff with jitter: each wait is drawn from the upper half of a span that doubles
 * from FIRST to LAST, so that a thousand agents that lost the same edge do not come back in step.
 */

#include <stdint.h>

#define BACKOFF_FIRST_NS (250 * UINT64_C(1000000))
#define BACKOFF_LAST_NS  (30 * UINT64_C(1000000000))

/* All-zero is valid: nothing has failed yet. */
struct backoff {
	uint64_t span_ns;
};

uint64_t tow__backoff_next(struct backoff *backoff);
void tow__backoff_reset(struct backoff *backoff);

#endif
