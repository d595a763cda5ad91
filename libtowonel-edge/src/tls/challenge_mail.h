/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_CHALLENGE_MAIL_H
#define TOW_EDGE_TLS_CHALLENGE_MAIL_H

/*
 * A question about a challenge goes by mail to the worker that has a tunnel of the agent's; the
 * answer comes back the same way, or does not when that worker has none to give.
 *
 *     forwards (first worker) ── question ──► errand ─ fetch
 *                             ◄── answer ──── its end
 */

#include "tls/challenge_fetch.h"

struct challenge_errand; /* one that is under way, of worker.errands */

/* serial: by which the answer is known. Returns 0, TOW_ENOMEM. */
int tow__challenge_mail(struct worker *to, uint64_t serial,
                        const struct challenge_question *question);
/* On the worker's thread: those that are under way there end. */
void tow__challenge_errands_end(struct worker *w);

#endif
