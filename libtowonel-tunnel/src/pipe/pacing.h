/* SPDX-License-Identifier: MIT */
#ifndef TOW_TUNNEL_PIPE_PACING_H
#define TOW_TUNNEL_PIPE_PACING_H

/*
 * A pipe's side of the paces that it shares with others: how much it may move now, and a call when
 * there is more. The timer is made when it is first needed, for most pipes have no limit.
 */

#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/pace.h>

enum tow__way { TOW__TO_STREAM, TOW__TO_SOCKET };

struct tow__pacing {
	struct tow_loop *loop;
	struct tow_pace *paces[2]; /* by way; NULL: none */
	uint64_t turns_ns[2];      /* not before then; 0: now */
	struct tow_timer *timer;
	void (*resume)(void *user); /* something may move again */
	void *user;
};

/* How many of so many bytes may move now; 0: none, and resume follows. */
size_t tow__pacing_allow(struct tow__pacing *pacing, enum tow__way way, size_t wanted);
void tow__pacing_spend(struct tow__pacing *pacing, enum tow__way way, size_t bytes);
void tow__pacing_deinit(struct tow__pacing *pacing);

#endif
