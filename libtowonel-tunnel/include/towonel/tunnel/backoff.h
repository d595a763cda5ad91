/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_BACKOFF_H
#define TOWONEL_TUNNEL_BACKOFF_H

/*
 * Exponential backoff with jitter: each wait is drawn from the upper half of a span that doubles
 * from the first to the last, so that a thousand agents that lost the same edge do not come back in
 * step.
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TOW_BACKOFF_FIRST_NS (250 * UINT64_C(1000000))
#define TOW_BACKOFF_LAST_NS  (30 * UINT64_C(1000000000))

/* All-zero is valid: nothing has failed yet. */
struct tow_backoff {
	uint64_t span_ns;
	uint64_t last_ns; /* the longest span; 0: TOW_BACKOFF_LAST_NS */
};

uint64_t tow_backoff_next(struct tow_backoff *backoff);
void tow_backoff_reset(struct tow_backoff *backoff);

#ifdef __cplusplus
}
#endif
#endif
