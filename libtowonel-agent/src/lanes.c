/* SPDX-License-Identifier: MIT */
#include "lanes.h"

#define LANES            (sizeof(((struct lanes *)0)->list) / sizeof(struct lane))
#define GOOD_TUNNEL_NS   (30 * TOW_NSEC_PER_SEC)
#define REFUSED_DELAY_NS (5 * TOW_NSEC_PER_SEC)

static int is_wanted(const struct lane *lane)
{
	const struct lanes *lanes = lane->lanes;
	return !lanes->resting && !lanes->closing && lane->number < lanes->place.tunnels;
}

/* --- a lane's tunnel --- */

static int on_sign(void *user, struct tow_buf *out)
{
	const struct tunnel_config *config = &((struct lane *)user)->lanes->config;
	return config->events->sign(config->user, out);
}

static char **on_services(void *user, size_t *count)
{
	const struct tunnel_config *config = &((struct lane *)user)->lanes->config;
	return config->events->services(config->user, count);
}

static void on_up(void *user, struct tunnel *tunnel)
{
	struct lane *lane = user;
	(void)tunnel;
	tow_log_debug(lane->lanes->config.log, "another worker of the edge is reached",
	              tow_f_id("edge", &lane->lanes->config.edge),
	              tow_f_uint("number", lane->number));
}

/* What the edge has against the agent, the link hears. */
static void on_refused(void *user, struct tunnel *tunnel, const char *why)
{
	struct lane *lane = user;
	(void)tunnel;
	tow_log_debug(lane->lanes->config.log, "another worker of the edge refuses",
	              tow_f_id("edge", &lane->lanes->config.edge), tow_f_str("error", why));
}

static void on_superseded(void *user, struct tunnel *tunnel)
{
	const struct tunnel_config *config = &((struct lane *)user)->lanes->config;
	config->events->superseded(config->user, tunnel);
}

static void on_stream(void *user, struct tunnel *tunnel, struct tow_quic_stream *stream)
{
	const struct tunnel_config *config = &((struct lane *)user)->lanes->config;
	config->events->stream(config->user, tunnel, stream);
}

static void try_later(struct lane *lane, uint64_t at_least_ns)
{
	uint64_t delay = tow_backoff_next(&lane->backoff);
	tow_timer_start_in(&lane->timer, delay < at_least_ns ? at_least_ns : delay);
}

static void on_closed(void *user, struct tunnel *tunnel, const struct tunnel_end *end)
{
	struct lane *lane = user;
	struct lanes *lanes = lane->lanes;
	int was_left = tunnel == lane->left;
	if (was_left)
		lane->left = NULL;
	else
		lane->tunnel = NULL;
	if (end->lived_ns >= GOOD_TUNNEL_NS)
		tow_backoff_reset(&lane->backoff);
	if (is_wanted(lane) && !was_left)
		try_later(lane, end->refused ? REFUSED_DELAY_NS : 0);
	if (lanes->closing && !tow__lanes_any(lanes))
		lanes->gone(lanes->config.user);
}

/* Not at once: where it leads next, it may be sent on again. */
static void on_moved(void *user, struct tunnel *tunnel)
{
	struct lane *lane = user;
	if (tunnel != lane->tunnel || lane->left || !is_wanted(lane))
		return;
	lane->left = tunnel;
	lane->tunnel = NULL;
	try_later(lane, 0);
}

static const struct tunnel_events events = {
	.sign = on_sign,
	.services = on_services,
	.up = on_up,
	.refused = on_refused,
	.superseded = on_superseded,
	.moved = on_moved,
	.stream = on_stream,
	.closed = on_closed,
};

static void dial(struct lane *lane)
{
	struct lanes *lanes = lane->lanes;
	struct tunnel_config config = lanes->config;
	config.events = &events;
	config.user = lane;
	config.worker = (lanes->place.worker + lane->number) % lanes->place.workers;
	config.workers = lanes->place.workers;
	if (tow__tunnel_dial(&config, &lanes->remote, &lane->tunnel) != 0)
		try_later(lane, 0);
}

static void timer_fired(void *user)
{
	struct lane *lane = user;
	if (is_wanted(lane) && !lane->tunnel)
		dial(lane);
}

/* --- all of them --- */

void tow__lanes_init(struct lanes *lanes)
{
	for (size_t i = 0; i < LANES; i++) {
		struct lane *lane = &lanes->list[i];
		*lane = (struct lane){ .lanes = lanes, .number = (unsigned)i + 1 };
		tow_timer_init(&lane->timer, lanes->config.loop, timer_fired, lane);
	}
}

void tow__lanes_open(struct lanes *lanes, const struct tow_addr *remote,
                     const struct tunnel_place *place)
{
	int others = place->worker != lanes->place.worker || place->workers != lanes->place.workers;

	lanes->remote = *remote;
	lanes->place = *place;
	lanes->resting = 0;
	for (size_t i = 0; i < LANES; i++) {
		struct lane *lane = &lanes->list[i];
		tow_timer_stop(&lane->timer);
		if (lane->tunnel && others)
			tow__tunnel_close(lane->tunnel, 0); /* and again, where it leads now */
		else if (!lane->tunnel && is_wanted(lane))
			dial(lane);
	}
}

void tow__lanes_rest(struct lanes *lanes)
{
	lanes->resting = 1;
	for (size_t i = 0; i < LANES; i++)
		tow_timer_stop(&lanes->list[i].timer);
}

void tow__lanes_hello(struct lanes *lanes)
{
	for (size_t i = 0; i < LANES; i++) {
		if (lanes->list[i].tunnel)
			tow__tunnel_hello(lanes->list[i].tunnel);
		if (lanes->list[i].left)
			tow__tunnel_hello(lanes->list[i].left);
	}
}

void tow__lanes_drain(struct lanes *lanes)
{
	tow__lanes_rest(lanes);
	for (size_t i = 0; i < LANES; i++) {
		if (lanes->list[i].tunnel)
			tow__tunnel_drain(lanes->list[i].tunnel);
		if (lanes->list[i].left)
			tow__tunnel_drain(lanes->list[i].left);
	}
}

void tow__lanes_close(struct lanes *lanes, uint64_t code)
{
	tow__lanes_rest(lanes);
	lanes->closing = 1;
	for (size_t i = 0; i < LANES; i++) {
		if (lanes->list[i].tunnel)
			tow__tunnel_close(lanes->list[i].tunnel, code);
		if (lanes->list[i].left)
			tow__tunnel_close(lanes->list[i].left, code);
	}
}

int tow__lanes_any(const struct lanes *lanes)
{
	for (size_t i = 0; i < LANES; i++)
		if (lanes->list[i].tunnel || lanes->list[i].left)
			return 1;
	return 0;
}
