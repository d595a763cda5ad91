/* SPDX-License-Identifier: MIT */
#include "backoff.h"

#include <towonel/wire/identity.h>

uint64_t tow__backoff_next(struct backoff *backoff)
{
	uint64_t random;

	if (backoff->span_ns == 0)
		backoff->span_ns = BACKOFF_FIRST_NS;
	else if (backoff->span_ns < BACKOFF_LAST_NS / 2)
		backoff->span_ns *= 2;
	else
		backoff->span_ns = BACKOFF_LAST_NS;
	tow_random(&random, sizeof random);
	return backoff->span_ns / 2 + random % (backoff->span_ns / 2);
}

void tow__backoff_reset(struct backoff *backoff)
{
	backoff->span_ns = 0;
}
