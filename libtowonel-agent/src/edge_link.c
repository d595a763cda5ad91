/* SPDX-License-Identifier: MIT */
#include "edge_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/tcp.h>
#include <towonel/tunnel/backoff.h>
#include <towonel/wire/hostname.h>

#include "tunnel.h"

/* A tunnel that lived this long was a good one: the next try is not a repeated failure. */
#define GOOD_TUNNEL_NS   (30 * TOW_NSEC_PER_SEC)
#define REFUSED_DELAY_NS (5 * TOW_NSEC_PER_SEC)
/* An edge that was away for hours has its agents back within seconds all the same. */
#define BACKOFF_LAST_NS (8 * TOW_NSEC_PER_SEC)

/* Between two moves to another port; doubles. */
#define PORT_REST_FIRST_NS (60 * TOW_NSEC_PER_SEC)
#define PORT_REST_LAST_NS  (3600 * TOW_NSEC_PER_SEC)

enum state {
	WAIT, /* for the backoff, or for an address */
	RESOLVE,
	CONNECT,
	UP,
	CLOSING,
};

static const char *const state_names[] = { "wait", "resolve", "connect", "up", "closing" };

struct edge_link {
	struct edge_link_config config;
	enum state state;
	int draining;
	struct tow_timer timer; /* WAIT: the next try */
	struct tow_backoff backoff;

	char *addresses[LINK_ADDRESSES_MAX];
	size_t address_count, address_next;
	char address[300];           /* the one being tried or in use */
	struct tow_resolve *resolve; /* RESOLVE */
	struct tow_addr remotes[TOW_RESOLVE_MAX];
	size_t remote_count,
		remote_next; /* what the name resolved to; each is tried before the next name */

	struct tow_addr remote, source; /* of the last try; source: the way's beginning here */
	int way_appeared;               /* WAIT: no try has been made on it yet */
	struct tow_addr good;           /* where the last tunnel was; the first to be tried again */

	struct tunnel *tunnel;              /* CONNECT and on */
	struct tunnel *left[LINK_LEFT_MAX]; /* to processes that have given way */
	size_t left_count;
	uint64_t next_port_ns, port_rest_ns;
	int moving; /* the last of them still takes visitors */
};

static void try_next(struct edge_link *link);

static void enter(struct edge_link *link, enum state state)
{
	tow_log_trace(link->config.log, "edge link", tow_f_id("edge", &link->config.edge),
	              tow_f_str("from", state_names[link->state]),
	              tow_f_str("to", state_names[state]));
	link->state = state;
}

static void link_free(struct edge_link *link)
{
	tow_timer_stop(&link->timer);
	if (link->resolve)
		tow_resolve_cancel(link->resolve);
	for (size_t i = 0; i < link->address_count; i++)
		free(link->addresses[i]);
	free(link);
}

static void wait_then_try(struct edge_link *link, uint64_t at_least_ns)
{
	uint64_t delay = tow_backoff_next(&link->backoff);
	enter(link, WAIT);
	tow_timer_start_in(&link->timer, delay < at_least_ns ? at_least_ns : delay);
}

/* CLOSING is over when no tunnel is left. */
static void gone_if_bare(struct edge_link *link)
{
	if (link->tunnel || link->left_count)
		return;
	link->config.events->gone(link->config.user, link);
	link_free(link);
}

/* A router on the way may hold on to what it knows of our port, an address that it no longer has
 * for instance, for as long as packets come from there. */
static void try_another_port(struct edge_link *link)
{
	uint64_t now = tow_loop_now_ns(link->config.loop);
	if (now < link->next_port_ns)
		return;
	link->port_rest_ns = link->port_rest_ns == 0                      ? PORT_REST_FIRST_NS
	                     : link->port_rest_ns < PORT_REST_LAST_NS / 2 ? link->port_rest_ns * 2
	                                                                  : PORT_REST_LAST_NS;
	link->next_port_ns = now + link->port_rest_ns;
	tow_log_info(link->config.log, "nothing comes back from the edge; trying another port",
	             tow_f_id("edge", &link->config.edge), tow_f_str("address", link->address));
	(void)tow_quic_endpoint_rebind(link->config.endpoint, NULL);
	tow__edge_link_look(link);
}

/* --- the tunnel --- */

static void tunnel_up(void *user, struct tunnel *tunnel)
{
	struct edge_link *link = user;
	(void)tunnel;
	if (link->state == CLOSING)
		return;
	enter(link, UP);
	link->good = link->remotes[link->remote_next - 1];
	link->port_rest_ns = 0;
	if (!link->moving)
		link->config.events->up(link->config.user, link);
	link->moving = 0;
}

static void tunnel_refused(void *user, struct tunnel *tunnel, const char *why)
{
	struct edge_link *link = user;
	(void)tunnel;
	link->config.events->refused(link->config.user, link, why);
}

static void tunnel_superseded(void *user, struct tunnel *tunnel)
{
	struct edge_link *link = user;
	(void)tunnel;
	link->config.events->superseded(link->config.user, link);
}

static void tunnel_silent(void *user, struct tunnel *tunnel)
{
	struct edge_link *link = user;
	if (tunnel == link->tunnel)
		try_another_port(link);
}

static void tunnel_stream(void *user, struct tunnel *tunnel, struct tow_quic_stream *stream)
{
	struct edge_link *link = user;
	(void)tunnel;
	link->config.events->stream(link->config.user, link, stream);
}

static void connect_remote(struct edge_link *link);

static void tunnel_moved(void *user, struct tunnel *tunnel)
{
	struct edge_link *link = user;

	if (tunnel != link->tunnel || link->state != UP || link->draining ||
	    link->left_count == LINK_LEFT_MAX)
		return;
	link->left[link->left_count++] = tunnel;
	link->tunnel = NULL;
	link->moving = 1;
	link->remotes[0] = link->good;
	link->remote_count = 1;
	link->remote_next = 0;
	connect_remote(link);
}

/* Returns 1 when the tunnel was one of them. */
static int forget_left(struct edge_link *link, const struct tunnel *tunnel)
{
	for (size_t i = 0; i < link->left_count; i++) {
		if (link->left[i] != tunnel)
			continue;
		memmove(&link->left[i], &link->left[i + 1],
		        (--link->left_count - i) * sizeof *link->left);
		if (link->moving && i == link->left_count) {
			link->moving = 0;
			link->config.events->lost(link->config.user, link,
			                          "the edge's process has ended");
		}
		return 1;
	}
	return 0;
}

static void tunnel_closed(void *user, struct tunnel *tunnel, const struct tunnel_end *end)
{
	struct edge_link *link = user;

	int was_left = forget_left(link, tunnel);

	if (!was_left)
		link->tunnel = NULL;
	if (link->state == CLOSING) {
		gone_if_bare(link);
		return;
	}
	if (was_left)
		return;
	if (end->was_up) {
		if (end->lived_ns >= GOOD_TUNNEL_NS)
			tow_backoff_reset(&link->backoff);
		link->remote_count = 0; /* ask for the address again: it may be why */
		enter(link, WAIT);
		link->config.events->lost(link->config.user, link, end->why);
	} else {
		tow_log_warn(link->config.log, "no tunnel to the edge; trying again",
		             tow_f_id("edge", &link->config.edge),
		             tow_f_str("address", link->address), tow_f_str("error", end->why));
	}
	if (end->silent)
		try_another_port(link);
	if (!link->draining)
		wait_then_try(link, end->refused ? REFUSED_DELAY_NS : 0);
}

static int sign(void *user, struct tow_buf *out)
{
	struct edge_link *link = user;
	return link->config.events->sign(link->config.user, out);
}

static char **services(void *user, size_t *count)
{
	struct edge_link *link = user;
	return link->config.services(link->config.user, count);
}

static const struct tunnel_events tunnel_events = {
	.sign = sign,
	.services = services,
	.up = tunnel_up,
	.refused = tunnel_refused,
	.superseded = tunnel_superseded,
	.moved = tunnel_moved,
	.silent = tunnel_silent,
	.stream = tunnel_stream,
	.closed = tunnel_closed,
};

static void connect_remote(struct edge_link *link)
{
	const struct tow_addr *remote = &link->remotes[link->remote_next++];
	tow_addr_format(remote, link->address);
	const struct tunnel_config tunnel = {
		.loop = link->config.loop,
		.log = link->config.log,
		.endpoint = link->config.endpoint,
		.edge = link->config.edge,
		.events = &tunnel_events,
		.user = link,
	};
	enter(link, CONNECT);
	link->remote = *remote;
	link->way_appeared = 0;
	if (tow_route_source(remote, &link->source) != 0)
		link->source.family = 0;
	int rc = tow__tunnel_dial(&tunnel, remote, &link->tunnel);
	if (rc != 0) {
		tow_log_warn(link->config.log, "no tunnel to the edge; trying again",
		             tow_f_id("edge", &link->config.edge),
		             tow_f_str("address", link->address),
		             tow_f_str("error", tow_strerror(rc)));
		wait_then_try(link, 0);
	}
}

static void resolved(void *user, int status, const struct tow_addr *addrs, size_t count,
                     const struct tow_error *err)
{
	struct edge_link *link = user;
	link->resolve = NULL;
	if (status != 0) {
		tow_log_warn(link->config.log,
		             "the edge's address cannot be resolved; trying again",
		             tow_f_str("address", link->address), tow_f_str("error", err->text));
		if (!link->good.family) {
			wait_then_try(link, 0);
			return;
		}
		addrs = &link->good; /* names may be gone, and the edge be where it was */
		count = 1;
	}
	link->remote_count = count < TOW_RESOLVE_MAX ? count : TOW_RESOLVE_MAX;
	link->remote_next = 0;
	memcpy(link->remotes, addrs, link->remote_count * sizeof *addrs);
	for (size_t i = 1; i < link->remote_count; i++) {
		if (tow_addr_equal(&link->remotes[i], &link->good)) {
			link->remotes[i] = link->remotes[0];
			link->remotes[0] = link->good;
		}
	}
	connect_remote(link);
}

static void try_next(struct edge_link *link)
{
	char host[TOW_HOSTNAME_SIZE];
	uint16_t port;

	if (link->remote_next < link->remote_count) {
		connect_remote(link);
		return;
	}
	link->remote_count = link->remote_next = 0;
	if (link->address_count == 0) {
		enter(link, WAIT);
		return;
	}
	snprintf(link->address, sizeof link->address, "%s",
	         link->addresses[link->address_next++ % link->address_count]);
	enter(link, RESOLVE);
	if (tow_host_port_split(tow_slice_of(link->address), host, &port, NULL) != 0 ||
	    tow_resolve_start(link->config.loop, host, port, resolved, link, &link->resolve) != 0) {
		link->resolve = NULL;
		wait_then_try(link, 0);
	}
}

static void timer_fired(void *user)
{
	struct edge_link *link = user;
	if (link->state == WAIT)
		try_next(link);
}

/* --- lifetime --- */

int tow__edge_link_new(const struct edge_link_config *config, struct edge_link **out)
{
	struct edge_link *link = calloc(1, sizeof *link);
	if (!link)
		return TOW_ENOMEM;
	link->config = *config;
	link->backoff.last_ns = BACKOFF_LAST_NS;
	tow_timer_init(&link->timer, config->loop, timer_fired, link);
	*out = link;
	return 0;
}

void tow__edge_link_set_addresses(struct edge_link *link, const char *const *addresses,
                                  size_t count)
{
	int idle = link->state == WAIT && link->address_count == 0;
	if (count > LINK_ADDRESSES_MAX)
		count = LINK_ADDRESSES_MAX;
	for (size_t i = 0; i < link->address_count; i++)
		free(link->addresses[i]);
	link->address_count = 0;
	for (size_t i = 0; i < count; i++) {
		link->addresses[link->address_count] = strdup(addresses[i]);
		if (link->addresses[link->address_count])
			link->address_count++;
	}
	if (idle && link->address_count && !link->draining)
		try_next(link);
}

void tow__edge_link_hello(struct edge_link *link)
{
	if (link->tunnel)
		tow__tunnel_hello(link->tunnel);
	if (link->moving)
		tow__tunnel_hello(link->left[link->left_count - 1]);
}

void tow__edge_link_drain(struct edge_link *link)
{
	link->draining = 1;
	for (size_t i = 0; i < link->left_count; i++)
		tow__tunnel_drain(link->left[i]);
	if (link->tunnel)
		tow__tunnel_drain(link->tunnel);
	else if (link->state == WAIT)
		tow_timer_stop(&link->timer);
}

int tow__edge_link_has_moved(struct edge_link *link)
{
	struct tow_addr source;
	if (!link->remote.family)
		return 0;
	if (tow_route_source(&link->remote, &source) != 0) {
		if (!link->tunnel)
			link->source.family = 0;
		return 0; /* a tunnel waits: the way may come back as it was */
	}
	if (tow_addr_equal(&source, &link->source))
		return 0;
	if (link->tunnel) {
		char from[TOW_ADDR_TEXT_SIZE], to[TOW_ADDR_TEXT_SIZE];
		tow_log_info(link->config.log, "this host's address has changed; the tunnel moves",
		             tow_f_id("edge", &link->config.edge),
		             tow_f_str("from", tow_addr_format_host(&link->source, from)),
		             tow_f_str("to", tow_addr_format_host(&source, to)));
	}
	link->source = source;
	link->way_appeared = 1;
	return link->tunnel != NULL;
}

void tow__edge_link_look(struct edge_link *link)
{
	for (size_t i = 0; i < link->left_count; i++)
		tow__tunnel_look(link->left[i]);
	if (link->tunnel) {
		tow__tunnel_look(link->tunnel);
	} else if (link->state == WAIT && link->way_appeared && !link->draining) {
		tow_backoff_reset(&link->backoff);
		tow_timer_start_in(&link->timer, tow_backoff_next(&link->backoff));
	}
}

void tow__edge_link_close(struct edge_link *link, uint64_t code)
{
	if (link->state == CLOSING)
		return;
	enter(link, CLOSING);
	tow_timer_stop(&link->timer);
	link->moving = 0;
	for (size_t i = 0; i < link->left_count; i++)
		tow__tunnel_close(link->left[i], code);
	if (link->tunnel)
		tow__tunnel_close(link->tunnel, code);
	gone_if_bare(link); /* else tunnel_closed does the rest */
}

int tow__edge_link_is_up(const struct edge_link *link)
{
	return link->state == UP || link->moving;
}

const struct tow_id *tow__edge_link_edge(const struct edge_link *link)
{
	return &link->config.edge;
}

const char *tow__edge_link_address(const struct edge_link *link)
{
	return link->address;
}

/* The one that takes visitors. */
static const struct tunnel *serving(const struct edge_link *link)
{
	return link->moving ? link->left[link->left_count - 1] : link->tunnel;
}

uint64_t tow__edge_link_last_pong_ns(const struct edge_link *link)
{
	const struct tunnel *tunnel = serving(link);
	return tunnel ? tow__tunnel_last_pong_ns(tunnel) : 0;
}

uint64_t tow__edge_link_rtt_ns(const struct edge_link *link)
{
	const struct tunnel *tunnel = serving(link);
	return tunnel ? tow__tunnel_rtt_ns(tunnel) : 0;
}
