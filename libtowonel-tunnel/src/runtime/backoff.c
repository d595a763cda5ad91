/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/backoff.h>

#include <towonel/wire/identity.h>

uint64_t tow_backoff_next(struct tow_backoff *backoff)
{
	uint64_t last_ns = backoff->last_ns ? backoff->last_ns : TOW_BACKOFF_LAST_NS;
	uint64_t random;

	if (backoff->span_ns == 0)
		backoff->span_ns = TOW_BACKOFF_FIRST_NS;
	else if (backoff->span_ns < last_ns / 2)
		backoff->span_ns *= 2;
	else
		backoff->span_ns = last_ns;
	tow_random(&random, sizeof random);
	return backoff->span_ns / 2 + random % (backoff->span_ns / 2);
}

void tow_backoff_reset(struct tow_backoff *backoff)
{
	backoff->span_ns = 0;
}
