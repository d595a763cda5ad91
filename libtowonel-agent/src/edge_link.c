/* SPDX-License-Identifier: MIT */
#include "edge_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/backoff.h>
#include <towonel/tunnel/tcp.h>
#include <towonel/wire/control_message.h>
#include <towonel/wire/hostname.h>

#include "lanes.h"
#include "tunnel.h"

/* A tunnel that lived this long was a good one: the next try is not a repeated failure. */
#define GOOD_TUNNEL_NS   (30 * TOW_NSEC_PER_SEC)
#define REFUSED_DELAY_NS (5 * TOW_NSEC_PER_SEC)
/* An edge that was away for hours has its agents back within seconds all the same. */
#define BACKOFF_LAST_NS (8 * TOW_NSEC_PER_SEC)
/* Three packets have gone unanswered by then. With as much of chance, so that agents whose edge has
 * many to greet do not all come twice. */
#define TCP_AFTER_NS  (3 * TOW_NSEC_PER_SEC)
#define TCP_SPREAD_NS (2 * TOW_NSEC_PER_SEC)
/* A pong is due every 5 s. */
#define SUSPECT_NS   (8 * TOW_NSEC_PER_SEC)
#define UDP_EVERY_NS (30 * TOW_NSEC_PER_SEC)
#define TICK_NS      (2 * TOW_NSEC_PER_SEC)

#define LEFT_BEHIND_MAX 16 /* tunnels to processes that have given way */

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
	struct tow_timer timer; /* WAIT: the next try; CONNECT: TCP as well; UP: the next look */
	struct tow_backoff backoff;

	char *addresses[LINK_ADDRESSES_MAX];
	size_t address_count, address_next;
	uint16_t tcp_port;
	int usual_port;               /* the edge's idea of its TCP port has failed */
	char host[TOW_HOSTNAME_SIZE]; /* of the address being tried or in use */
	char address[300], tcp_address[300];
	const char *shown;           /* one of them; NULL: there is none yet */
	struct tow_resolve *resolve; /* RESOLVE; UP: for another try by UDP */
	struct tow_addr remotes[TOW_RESOLVE_MAX];
	size_t remote_count,
		remote_next; /* what the name resolved to; each is tried before the next name */

	struct tow_addr remote, source; /* of the last try; source: the way's beginning here */
	int way_appeared;               /* WAIT: no try has been made on it yet */
	struct tow_addr good;           /* where the last tunnel was; the first to be tried again */

	uint64_t next_port_ns, port_rest_ns;
	/* Each NULL, being dialled, or up. */
	struct tunnel *udp, *tcp;
	struct tow_quic_carrier_dial *carrier; /* on the way to tcp */
	struct tunnel *current;                /* UP: one of them, or of `finishing` when moving */
	struct tunnel *finishing;              /* a list of those that another took over from */
	int moving;                /* UP: to another process of the edge; current takes visitors */
	uint64_t next_move_ns;     /* one before that waits for a look */
	int blocked;               /* the last tunnel that was up went by TCP */
	uint64_t next_try_ns;      /* UP: of the other way */
	struct tunnel_place place; /* of udp, the last time that it was up; all-zero: never yet */
	struct lanes lanes;        /* beside it */
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
	tow_quic_carrier_dial_cancel(link->carrier);
	for (size_t i = 0; i < link->address_count; i++)
		free(link->addresses[i]);
	free(link);
}

static int is_trying(const struct edge_link *link)
{
	return link->udp || link->tcp || link->carrier;
}

static void wait_then_try(struct edge_link *link, uint64_t at_least_ns)
{
	uint64_t delay = tow_backoff_next(&link->backoff);
	enter(link, WAIT);
	tow_timer_start_in(&link->timer, delay < at_least_ns ? at_least_ns : delay);
}

static void failed(struct edge_link *link, const char *address, const char *by, const char *why)
{
	if (link->state == UP)
		tow_log_debug(link->config.log, "no other tunnel to the edge",
		              tow_f_id("edge", &link->config.edge), tow_f_str("address", address),
		              tow_f_str("by", by), tow_f_str("error", why));
	else
		tow_log_warn(link->config.log, "no tunnel to the edge; trying again",
		             tow_f_id("edge", &link->config.edge), tow_f_str("address", address),
		             tow_f_str("by", by), tow_f_str("error", why));
}

/* --- tunnels that have been taken over from, or were tried in vain --- */

static void let_finish(struct edge_link *link, struct tunnel **slot)
{
	struct tunnel *tunnel = *slot;

	*slot = NULL;
	*tow__tunnel_next(tunnel) = link->finishing;
	link->finishing = tunnel;
	tow__tunnel_drain(tunnel);
}

static void abandon(struct edge_link *link, struct tunnel **slot)
{
	struct tunnel *tunnel = *slot;

	if (!tunnel)
		return;
	let_finish(link, slot);
	tow__tunnel_close(tunnel, TOW_TUNNEL_OK);
}

static void abandon_tcp(struct edge_link *link)
{
	tow_quic_carrier_dial_cancel(link->carrier);
	link->carrier = NULL;
	abandon(link, &link->tcp);
}

/* Those to processes that have given way are the edge's to close. */
static void close_finished(struct edge_link *link)
{
	for (struct tunnel *t = link->finishing; t; t = *tow__tunnel_next(t))
		if (tow__tunnel_is_draining(t) && tow__tunnel_streams(t) == 0)
			tow__tunnel_close(t, TOW_TUNNEL_OK);
}

/* What is up finishes, what is on its way is given up. */
static void give_way(struct edge_link *link, struct tunnel **slot)
{
	if (*slot && *slot == link->current)
		let_finish(link, slot);
	else
		abandon(link, slot);
}

/* Returns 1 if it was one of them. */
static int is_finished(struct edge_link *link, const struct tunnel *tunnel)
{
	struct tunnel **at = &link->finishing;

	while (*at && *at != tunnel)
		at = tow__tunnel_next(*at);
	if (!*at)
		return 0;
	*at = *tow__tunnel_next(*at);
	return 1;
}

/* CLOSING: the last to go takes the link along. */
static void leave_when_empty(void *user)
{
	struct edge_link *link = user;
	if (is_trying(link) || link->finishing || tow__lanes_any(&link->lanes))
		return;
	link->config.events->gone(link->config.user, link);
	link_free(link);
}

/* A router on the way may hold on to what it knows of our port, an address that it no longer has
 * for instance, for as long as packets come from there. Returns 0 when that was tried lately. */
static int try_another_port(struct edge_link *link)
{
	uint64_t now = tow_loop_now_ns(link->config.loop);
	if (now < link->next_port_ns)
		return 0;
	link->port_rest_ns = link->port_rest_ns == 0                      ? PORT_REST_FIRST_NS
	                     : link->port_rest_ns < PORT_REST_LAST_NS / 2 ? link->port_rest_ns * 2
	                                                                  : PORT_REST_LAST_NS;
	link->next_port_ns = now + link->port_rest_ns;
	tow_log_info(link->config.log, "nothing comes back from the edge; trying another port",
	             tow_f_id("edge", &link->config.edge), tow_f_str("address", link->address));
	(void)tow_quic_endpoint_rebind(link->config.endpoint, NULL);
	tow__edge_link_look(link);
	return 1;
}

/* --- the tunnels --- */

static int falls_silent(const struct edge_link *link)
{
	uint64_t now = tow_loop_now_ns(link->config.loop);
	uint64_t last = tow__tunnel_last_pong_ns(link->current);

	return now > last && now - last >= SUSPECT_NS;
}

static void tunnel_up(void *user, struct tunnel *tunnel)
{
	struct edge_link *link = user;
	int by_tcp = tunnel == link->tcp, was_up = link->state == UP;
	int goes_on = was_up && by_tcp == link->blocked;

	if (link->state == CLOSING || (tunnel != link->udp && !by_tcp))
		return;
	if (by_tcp) {
		give_way(link, &link->udp);
		tow__lanes_rest(&link->lanes); /* what UDP carried is as good as gone */
	} else {
		tow_quic_carrier_dial_cancel(link->carrier);
		link->carrier = NULL;
		give_way(link, &link->tcp);
		link->good = link->remotes[link->remote_next - 1];
		link->port_rest_ns = 0;
		link->place = *tow__tunnel_place(tunnel);
		if (!link->draining)
			tow__lanes_open(&link->lanes, &link->good, &link->place);
		if (link->blocked)
			tow__lanes_hello(&link->lanes); /* the edge has let go of them meanwhile */
	}
	link->current = tunnel;
	link->moving = 0;
	link->blocked = by_tcp;
	link->shown = by_tcp ? link->tcp_address : link->address;
	link->next_try_ns = tow_loop_now_ns(link->config.loop) + UDP_EVERY_NS;
	enter(link, UP);
	tow_timer_start_in(&link->timer, TICK_NS);
	if (!was_up)
		link->config.events->up(link->config.user, link);
	else if (!goes_on)
		link->config.events->moved(link->config.user, link);
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

static void tunnel_stream(void *user, struct tunnel *tunnel, struct tow_quic_stream *stream)
{
	struct edge_link *link = user;
	(void)tunnel;
	link->config.events->stream(link->config.user, link, stream);
}

static void redial(struct edge_link *link);

/* Of those that the edge is to close, there is no end to be had of one that never does. */
static void bound_left_behind(struct edge_link *link)
{
	struct tunnel *oldest = NULL;
	size_t count = 0;

	for (struct tunnel *t = link->finishing; t; t = *tow__tunnel_next(t)) {
		if (!tow__tunnel_is_draining(t)) {
			oldest = t;
			count++;
		}
	}
	if (count >= LEFT_BEHIND_MAX)
		tow__tunnel_close(oldest, TOW_TUNNEL_OK);
}

/* What is up goes on until there is another one like it. When the last move was a moment ago, the
 * next look dials. */
static void leave_behind(struct edge_link *link)
{
	struct tunnel *tunnel = link->current;
	uint64_t now = tow_loop_now_ns(link->config.loop);

	bound_left_behind(link);
	*(tunnel == link->udp ? &link->udp : &link->tcp) = NULL;
	*tow__tunnel_next(tunnel) = link->finishing;
	link->finishing = tunnel;
	link->moving = 1;
	if (now >= link->next_move_ns)
		redial(link);
	link->next_move_ns = now + TICK_NS;
}

static void tunnel_moved(void *user, struct tunnel *tunnel)
{
	struct edge_link *link = user;

	if (tunnel == link->current && !link->moving && !link->draining)
		leave_behind(link);
}

static void tunnel_lost(struct edge_link *link, const struct tunnel_end *end)
{
	link->current = NULL;
	link->moving = 0;
	tow_resolve_cancel(link->resolve);
	link->resolve = NULL;
	if (end->lived_ns >= GOOD_TUNNEL_NS)
		tow_backoff_reset(&link->backoff);
	if (is_trying(link)) { /* the other way, since it fell silent */
		enter(link, CONNECT);
		tow_timer_stop(&link->timer);
	} else {
		link->remote_count = 0; /* ask for the address again: it may be why */
		enter(link, WAIT);
	}
	link->config.events->lost(link->config.user, link, end->why);
}

static void tunnel_closed(void *user, struct tunnel *tunnel, const struct tunnel_end *end)
{
	struct edge_link *link = user;
	int by_tcp = tunnel == link->tcp, was_current = tunnel == link->current;
	int finished = is_finished(link, tunnel);

	if (!finished)
		*(by_tcp ? &link->tcp : &link->udp) = NULL;
	if (link->state == CLOSING) {
		if (was_current)
			link->current = NULL;
		leave_when_empty(link);
		return;
	}
	/* Since the other one's hello the edge takes this one for a tunnel of before. */
	if (end->said_hello && !was_current && link->state == UP && !link->moving &&
	    !link->draining)
		tow__tunnel_hello(link->current);
	if (finished && !was_current)
		return;
	if (was_current)
		tunnel_lost(link, end);
	else
		failed(link, by_tcp ? link->tcp_address : link->address, by_tcp ? "tcp" : "udp",
		       end->why);
	if (end->silent && !by_tcp && link->state != UP)
		(void)try_another_port(link);
	if (link->state != UP)
		tow__lanes_rest(&link->lanes);
	if (link->state != UP && !is_trying(link) && !link->draining)
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
	.stream = tunnel_stream,
	.closed = tunnel_closed,
};

static struct tunnel_config tunnel_config(struct edge_link *link)
{
	return (struct tunnel_config){
		.loop = link->config.loop,
		.log = link->config.log,
		.endpoint = link->config.endpoint,
		.edge = link->config.edge,
		.worker = link->place.worker,
		.workers = link->place.workers,
		.events = &tunnel_events,
		.user = link,
	};
}

/* --- by TCP --- */

static void tcp_failed(struct edge_link *link, const char *why)
{
	failed(link, link->tcp_address, "tcp", why);
	link->usual_port = !link->usual_port;
	if (link->state == CONNECT && !is_trying(link) && !link->draining)
		wait_then_try(link, 0);
}

static void carrier_dialled(void *user, int status, struct tow_quic_carrier *carrier,
                            const struct tow_error *err)
{
	struct edge_link *link = user;
	const struct tunnel_config config = tunnel_config(link);

	link->carrier = NULL;
	if (status != 0) {
		tcp_failed(link, err->text);
		return;
	}
	status = tow__tunnel_dial_over(&config, carrier, &link->tcp);
	if (status != 0) {
		tow_quic_carrier_free(carrier);
		tcp_failed(link, tow_strerror(status));
	}
}

static void dial_tcp(struct edge_link *link)
{
	const struct tow_quic_carrier_dial_config config = {
		.loop = link->config.loop,
		.endpoint = link->config.endpoint,
		.host = link->host,
		.port = link->usual_port ? TOW_CARRIER_PORT : link->tcp_port,
		.peer = &link->config.edge,
		.proxies = link->config.proxies,
		.done = carrier_dialled,
		.user = link,
	};
	int rc;

	if (link->tcp || link->carrier)
		return;
	snprintf(link->tcp_address, sizeof link->tcp_address,
	         strchr(link->host, ':') ? "[%s]:%u" : "%s:%u", link->host, config.port);
	rc = tow_quic_carrier_dial_start(&config, &link->carrier);
	if (rc != 0)
		tcp_failed(link, tow_strerror(rc));
}

/* --- by UDP --- */

static void dial_udp(struct edge_link *link)
{
	const struct tow_addr *remote = &link->remotes[link->remote_next++];
	const struct tunnel_config config = tunnel_config(link);
	int rc;

	tow_addr_format(remote, link->address);
	link->remote = *remote;
	link->way_appeared = 0;
	if (tow_route_source(remote, &link->source) != 0)
		link->source.family = 0;
	rc = tow__tunnel_dial(&config, remote, &link->udp);
	if (rc != 0)
		failed(link, link->address, "udp", tow_strerror(rc));
}

/* To the process that has taken over, by the way that works. */
static void redial(struct edge_link *link)
{
	if (is_trying(link))
		return;
	if (link->blocked) {
		dial_tcp(link);
		return;
	}
	link->remotes[0] = link->good;
	link->remote_count = 1;
	link->remote_next = 0;
	dial_udp(link);
}

/* Not at once, unless UDP was of no use before. */
static void start(struct edge_link *link)
{
	uint32_t chance;

	tow_random(&chance, sizeof chance);
	enter(link, CONNECT);
	link->shown = link->address;
	dial_udp(link);
	if (link->blocked)
		dial_tcp(link);
	else
		tow_timer_start_in(&link->timer, TCP_AFTER_NS + chance % TCP_SPREAD_NS);
	if (link->state == CONNECT && !is_trying(link))
		wait_then_try(link, 0);
}

/* A proxy may know the name that we do not. */
static void unresolved(struct edge_link *link, const char *why)
{
	tow_log_warn(link->config.log, "the edge's address cannot be resolved; trying again",
	             tow_f_str("address", link->address), tow_f_str("error", why));
	if (!tow_proxies_find(link->config.proxies, link->host)) {
		wait_then_try(link, 0);
		return;
	}
	enter(link, CONNECT);
	dial_tcp(link);
}

static void resolved(void *user, int status, const struct tow_addr *addrs, size_t count,
                     const struct tow_error *err)
{
	struct edge_link *link = user;
	link->resolve = NULL;
	if (status != 0) {
		if (!link->good.family) {
			if (link->state == RESOLVE)
				unresolved(link, err->text);
			return;
		}
		tow_log_warn(link->config.log,
		             "the edge's address cannot be resolved; trying the last one",
		             tow_f_str("address", link->address), tow_f_str("error", err->text));
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
	if (link->state == RESOLVE)
		start(link);
	else if (!link->udp)
		dial_udp(link);
}

/* Takes the next address that the hub has told. Returns 0, or a negative code. */
static int resolve_next(struct edge_link *link)
{
	uint16_t port;

	link->remote_count = link->remote_next = 0;
	snprintf(link->address, sizeof link->address, "%s",
	         link->addresses[link->address_next++ % link->address_count]);
	if (tow_host_port_split(tow_slice_of(link->address), link->host, &port, NULL) != 0)
		return TOW_EPARSE;
	return tow_resolve_start(link->config.loop, link->host, port, resolved, link,
	                         &link->resolve);
}

static void try_next(struct edge_link *link)
{
	if (link->remote_next < link->remote_count) {
		start(link);
		return;
	}
	enter(link, link->address_count ? RESOLVE : WAIT);
	if (link->address_count && resolve_next(link) != 0) {
		link->resolve = NULL;
		wait_then_try(link, 0);
	}
}

/* While one way is up: is the other one to be tried? */
static void look(struct edge_link *link)
{
	uint64_t now = tow_loop_now_ns(link->config.loop);

	close_finished(link);
	tow_timer_start_in(&link->timer, TICK_NS);
	if (link->draining)
		return;
	if (link->moving) {
		redial(link);
	} else if (link->blocked) {
		if (now < link->next_try_ns || link->udp || link->resolve || !link->address_count)
			return;
		link->next_try_ns = now + UDP_EVERY_NS;
		if (link->remote_next < link->remote_count)
			dial_udp(link);
		else
			(void)resolve_next(link);
	} else if (falls_silent(link)) {
		if (!try_another_port(link)) /* which keeps the streams; TCP is next */
			dial_tcp(link);
	} else if (!link->tcp || !tow__tunnel_is_answered(link->tcp)) {
		abandon_tcp(link);
	}
}

static void timer_fired(void *user)
{
	struct edge_link *link = user;
	switch (link->state) {
	case WAIT: try_next(link); break;
	case CONNECT:
		if (!link->udp || !tow__tunnel_is_answered(link->udp))
			dial_tcp(link);
		break;
	case UP: look(link); break;
	case RESOLVE:
	case CLOSING: break;
	}
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
	link->lanes.config = (struct tunnel_config){
		.loop = config->loop,
		.log = config->log,
		.endpoint = config->endpoint,
		.edge = config->edge,
		.events = &tunnel_events,
		.user = link,
	};
	link->lanes.gone = leave_when_empty;
	tow__lanes_init(&link->lanes);
	*out = link;
	return 0;
}

void tow__edge_link_set_addresses(struct edge_link *link, const char *const *addresses,
                                  size_t count, uint16_t tcp_port)
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
	link->tcp_port = tcp_port;
	if (idle && link->address_count && !link->draining)
		try_next(link);
}

void tow__edge_link_hello(struct edge_link *link)
{
	if (link->moving && link->current)
		tow__tunnel_hello(link->current);
	if (link->udp)
		tow__tunnel_hello(link->udp);
	if (link->tcp)
		tow__tunnel_hello(link->tcp);
	tow__lanes_hello(&link->lanes);
}

void tow__edge_link_drain(struct edge_link *link)
{
	link->draining = 1;
	tow__lanes_drain(&link->lanes);
	for (struct tunnel *t = link->finishing; t; t = *tow__tunnel_next(t))
		tow__tunnel_drain(t);
	if (link->udp)
		tow__tunnel_drain(link->udp);
	if (link->tcp)
		tow__tunnel_drain(link->tcp);
	if (link->state == WAIT)
		tow_timer_stop(&link->timer);
}

int tow__edge_link_has_moved(struct edge_link *link)
{
	struct tow_addr source;
	if (!link->remote.family)
		return 0;
	if (tow_route_source(&link->remote, &source) != 0) {
		if (!is_trying(link))
			link->source.family = 0;
		return 0; /* a tunnel waits: the way may come back as it was */
	}
	if (tow_addr_equal(&source, &link->source))
		return 0;
	if (is_trying(link)) {
		char from[TOW_ADDR_TEXT_SIZE], to[TOW_ADDR_TEXT_SIZE];
		tow_log_info(link->config.log, "this host's address has changed; the tunnel moves",
		             tow_f_id("edge", &link->config.edge),
		             tow_f_str("from", tow_addr_format_host(&link->source, from)),
		             tow_f_str("to", tow_addr_format_host(&source, to)));
	}
	link->source = source;
	link->way_appeared = 1;
	/* TCP does not move. */
	if (link->state == UP && link->blocked && !link->moving && !link->draining)
		leave_behind(link);
	return link->udp || link->finishing;
}

void tow__edge_link_look(struct edge_link *link)
{
	for (struct tunnel *t = link->finishing; t; t = *tow__tunnel_next(t))
		tow__tunnel_look(t);
	if (link->udp)
		tow__tunnel_look(link->udp);
	if (link->tcp)
		tow__tunnel_look(link->tcp);
	/* once: where the network is never the same for long, the try would not come */
	if (link->state == WAIT && link->way_appeared && !link->draining) {
		link->way_appeared = 0;
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
	tow_resolve_cancel(link->resolve); /* its answer would be dialled */
	link->resolve = NULL;
	tow_quic_carrier_dial_cancel(link->carrier);
	link->carrier = NULL;
	for (struct tunnel *t = link->finishing; t; t = *tow__tunnel_next(t))
		tow__tunnel_close(t, code);
	if (link->udp)
		tow__tunnel_close(link->udp, code);
	if (link->tcp)
		tow__tunnel_close(link->tcp, code);
	tow__lanes_close(&link->lanes, code);
	leave_when_empty(link);
}

int tow__edge_link_is_up(const struct edge_link *link)
{
	return link->state == UP;
}

int tow__edge_link_is_carried(const struct edge_link *link)
{
	return link->state == UP && link->blocked;
}

const struct tow_id *tow__edge_link_edge(const struct edge_link *link)
{
	return &link->config.edge;
}

const char *tow__edge_link_address(const struct edge_link *link)
{
	return link->shown ? link->shown : "";
}

uint64_t tow__edge_link_last_pong_ns(const struct edge_link *link)
{
	return link->current ? tow__tunnel_last_pong_ns(link->current) : 0;
}

uint64_t tow__edge_link_rtt_ns(const struct edge_link *link)
{
	return link->current ? tow__tunnel_rtt_ns(link->current) : 0;
}
