/* SPDX-License-Identifier: MIT */
#include "pipe/pacing.h"

#include <stdlib.h>

/* Returns 0, TOW_ENOMEM. */
static int wake_at(struct tow__pacing *pacing, uint64_t at_ns)
{
	if (!pacing->timer) {
		pacing->timer = malloc(sizeof *pacing->timer);
		if (!pacing->timer)
			return TOW_ENOMEM;
		tow_timer_init(pacing->timer, pacing->loop, pacing->resume, pacing->user);
	}
	if (pacing->timer->deadline_ns <= at_ns)
		return 0;
	return tow_timer_start(pacing->timer, at_ns);
}

size_t tow__pacing_allow(struct tow__pacing *pacing, enum tow__way way, size_t wanted)
{
	struct tow_pace *pace = pacing->paces[way];
	uint64_t now_ns = tow_loop_now_ns(pacing->loop);
	size_t allowed = 0;

	if (!pace)
		return wanted;
	if (pacing->turns_ns[way] <= now_ns) {
		allowed = tow_pace_allow(pace, now_ns);
		pacing->turns_ns[way] = allowed ? 0 : tow_pace_turn(pace, now_ns);
	}
	/* rather a byte too many than a pipe that nobody wakes */
	if (!allowed && wake_at(pacing, pacing->turns_ns[way]))
		return 1;
	return allowed < wanted ? allowed : wanted;
}

void tow__pacing_spend(struct tow__pacing *pacing, enum tow__way way, size_t bytes)
{
	if (pacing->paces[way])
		tow_pace_spend(pacing->paces[way], bytes, tow_loop_now_ns(pacing->loop));
}

void tow__pacing_deinit(struct tow__pacing *pacing)
{
	if (pacing->timer)
		tow_timer_stop(pacing->timer);
	free(pacing->timer);
	pacing->timer = NULL;
}
