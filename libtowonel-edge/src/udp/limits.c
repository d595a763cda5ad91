/* SPDX-License-Identifier: MIT */

#include "limits.h"

#include <assert.h>
#include <stdlib.h>
#include <towonel/tunnel/loop.h>
#include <towonel/wire/limits.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct udp_port_use {
	uint16_t port;
	size_t count;
	UT_hash_handle hh;
};

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
	struct udp_port_use *use, *next;

	HASH_ITER(hh, limits->ports, use, next)
	{
		HASH_DEL(limits->ports, use);
		free(use);
	}
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

static struct udp_port_use *find_port(const struct udp_limits *limits, uint16_t port)
{
	struct udp_port_use *use;

	HASH_FIND(hh, limits->ports, &port, sizeof(port), use);
	return use;
}

/* Returns 0, TOW_ENOMEM. */
static int enter_port(struct udp_limits *limits, uint16_t port)
{
	struct udp_port_use *use = find_port(limits, port);

	if (use == NULL) {
		use = calloc(1, sizeof(*use));
		if (use == NULL)
			return TOW_ENOMEM;
		use->port = port;
		HASH_ADD(hh, limits->ports, port, sizeof(use->port), use);
		if (use->hh.tbl == NULL) {
			free(use);
			return TOW_ENOMEM;
		}
	}
	use->count++;
	return 0;
}

static void leave_port(struct udp_limits *limits, uint16_t port)
{
	struct udp_port_use *use = find_port(limits, port);

	assert(use != NULL && use->count > 0);
	if (--use->count > 0)
		return;
	HASH_DEL(limits->ports, use);
	free(use);
}

int tow__udp_limits_full(const struct udp_limits *limits, uint16_t port)
{
	const struct udp_port_use *use = find_port(limits, port);

	return limits->count >= limits->max || (use != NULL && use->count >= limits->per_listener);
}

/* Nothing is taken before all agree: who is refused by one limit is not to use up another. */
int tow__udp_limits_enter(struct udp_limits *limits, const struct udp_newcomer *newcomer,
                          uint64_t now_ns, enum udp_refusal *why)
{
	const struct udp_port_use *use = find_port(limits, newcomer->port);

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
	if (use != NULL && use->count >= limits->per_listener)
		return TOW_ELIMIT;
	*why = UDP_REFUSED_INTERNAL;
	if (tow__source_limit_enter(&limits->sources, newcomer->from) != 0)
		return TOW_ELIMIT;
	if (enter_port(limits, newcomer->port) != 0) {
		tow__source_limit_leave(&limits->sources, newcomer->from);
		return TOW_ELIMIT;
	}
	take_token(limits, now_ns);
	limits->count++;
	return 0;
}

void tow__udp_limits_leave(struct udp_limits *limits, const struct tow_addr *from, uint16_t port)
{
	limits->count--;
	leave_port(limits, port);
	tow__source_limit_leave(&limits->sources, from);
}
