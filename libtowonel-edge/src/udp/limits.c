/* SPDX-License-Identifier: MIT */

#include "limits.h"

#include <towonel/tunnel/loop.h>
#include <towonel/wire/limits.h>

const char *tow__udp_refusal_name(enum udp_refusal refusal)
{
	static const char *const names[] = {
#define UDP_REFUSAL_NAME(name, label) [name] = label,
		UDP_REFUSAL_TABLE(UDP_REFUSAL_NAME)
#undef UDP_REFUSAL_NAME
	};

	return names[refusal];
}

void tow__udp_limits_init(struct udp_limits *limits, size_t max, size_t per_listener,
                          size_t per_address)
{
	*limits = (struct udp_limits){
		.max = max ? max : TOW_UDP_SESSIONS_MAX,
		.per_listener = per_listener ? per_listener : TOW_UDP_SESSIONS_PER_LISTENER,
		.per_second = TOW_UDP_SESSIONS_PER_SECOND,
		.burst = TOW_UDP_SESSIONS_BURST,
		.reserve = TOW_UDP_SESSIONS_RESERVE,
	};
	tow__source_limit_init(&limits->sources,
	                       per_address ? per_address : TOW_UDP_SESSIONS_PER_ADDRESS);
}

void tow__udp_limits_deinit(struct udp_limits *limits)
{
	tow__source_limit_deinit(&limits->sources);
	tow__turned_away_deinit(&limits->away);
}

/* Each session that begins moves the time at which the bucket is full by the time that one takes to
 * come back. Those who are new leave a reserve in it. */
static int has_token(struct udp_limits *limits, uint64_t who, uint64_t now_ns)
{
	uint64_t each_ns = TOW_NSEC_PER_SEC / limits->per_second;
	uint64_t taken_ns = limits->full_at_ns > now_ns ? limits->full_at_ns - now_ns : 0;

	if (taken_ns + each_ns <= each_ns * limits->burst)
		return 1;
	if (taken_ns + each_ns <= each_ns * (limits->burst + limits->reserve) &&
	    tow__turned_away_has(&limits->away, who, now_ns))
		return 1;
	tow__turned_away_note(&limits->away, who, now_ns);
	return 0;
}

static void take_token(struct udp_limits *limits, uint64_t now_ns)
{
	if (limits->full_at_ns < now_ns)
		limits->full_at_ns = now_ns;
	limits->full_at_ns += TOW_NSEC_PER_SEC / limits->per_second;
}

/* Nothing is taken before all agree: who is refused by one limit is not to use up another. */
int tow__udp_limits_enter(struct udp_limits *limits, const struct udp_newcomer *newcomer,
                          uint64_t now_ns, enum udp_refusal *why)
{
	*why = UDP_REFUSED_ADDRESS_LIMIT;
	if (tow__source_limit_reached(&limits->sources, newcomer->from))
		return TOW_ELIMIT;
	*why = UDP_REFUSED_RATE;
	if (!has_token(limits, newcomer->who, now_ns))
		return TOW_ELIMIT;
	*why = UDP_REFUSED_LIMIT;
	if (limits->count >= limits->max)
		return TOW_ELIMIT;
	*why = UDP_REFUSED_LISTENER_LIMIT;
	if (newcomer->on_listener >= limits->per_listener)
		return TOW_ELIMIT;
	*why = UDP_REFUSED_INTERNAL;
	if (tow__source_limit_enter(&limits->sources, newcomer->from) != 0)
		return TOW_ELIMIT;
	take_token(limits, now_ns);
	limits->count++;
	return 0;
}

void tow__udp_limits_leave(struct udp_limits *limits, const struct tow_addr *from)
{
	limits->count--;
	tow__source_limit_leave(&limits->sources, from);
}
