/* SPDX-License-Identifier: MIT */

#include "worker.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <towonel/tunnel/quic_carrier.h>
#include "agent_session.h"
#include "tls/challenge_mail.h"
#include "visitor.h"

/* Of what visitors may hold: before an agent takes them, and on the way to it; the rest is on the
 * way from it. */
#define EARLY_SHARE  4
#define QUEUED_SHARE 4

/* All but what the process needs to go on: the hub's clients, health checks, files. */
static int descriptors_for_visitors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
		return INT_MAX;
	return (int)limit.rlim_cur - TOW_DESCRIPTORS_KEPT;
}

int tow__worker_init(struct worker *w, struct workers *all, const struct tow_edge_config *config)
{
	w->all = all;
	w->loop = w->index == 0 ? config->loop : tow_loop_new_beside(config->loop);
	w->log = config->log;
	w->timing = all->timing;
	w->node_id = config->key->id;
	w->table = all->table;
	w->api.visitor = config->api_visitor;
	w->api.user = config->user;
	tow_id_key_name(&w->node_id, w->api.key_name);
	if (config->api_name != NULL)
		snprintf(w->api.name, sizeof(w->api.name), "%s", config->api_name);
	w->early_max = config->memory_max / EARLY_SHARE / all->count;
	w->fd_max = descriptors_for_visitors();
	tow__edge_metrics_init(&w->metrics, config->metrics);
	tow__ports_init(&w->ports, w, &config->listen, config->listen_dual_stack);
	return w->loop != NULL ? 0 : TOW_ENOMEM;
}

enum tow_port_sharing tow__worker_sharing(const struct worker *w)
{
	if (w->all->count == 1)
		return TOW_PORT_ALONE;
	return w->index == 0 ? TOW_PORT_FOUND : TOW_PORT_JOIN;
}

static void on_accepted(void *user, int fd, const struct tow_addr *peer,
                        const struct tow_addr *local)
{
	struct worker *w = user;

	tow__visitor_accept(w, fd, peer, local, 0);
}

static void on_stray(void *user, unsigned worker, const struct tow_udp_packet *packet)
{
	struct worker *w = user;

	tow__worker_mail_packet(&w->all->list[worker], packet, 0, 0);
}

/* What the network has said of a packet. */
struct quote {
	size_t len;
	uint8_t bytes[64];
};

static void on_quote(struct worker *w, void *message)
{
	const struct quote *quote = message;

	if (w->endpoint != NULL)
		tow_quic_endpoint_hand_unreachable(w->endpoint,
		                                   tow_slice_make(quote->bytes, quote->len));
}

static void on_stray_unreachable(void *user, struct tow_slice quoted)
{
	struct quote quote = { .len = quoted.len };

	if (quoted.len > sizeof(quote.bytes))
		quote.len = sizeof(quote.bytes);
	memcpy(quote.bytes, quoted.base, quote.len);
	tow__workers_mail(user, on_quote, &quote, sizeof(quote));
}

int tow__worker_open(struct worker *w, const struct tow_edge_config *config, struct tow_error *err)
{
	const struct worker *first = &w->all->list[0];
	struct tow_addr listen = config->listen;
	struct tow_quic_config quic = {
		.loop = w->loop,
		.log = w->log,
		.metrics = config->metrics,
		.metrics_prefix = "towonel_edge_quic",
		.key = config->key,
		.alpn = TOW_TUNNEL_ALPN,
		.udp = { .bind = config->tunnel_listen, .dual_stack = config->tunnel_dual_stack },
		.max_streams = TOW_STREAMS_BY_AGENT,
		.handshakes_per_second = config->handshakes_per_second,
		.held_all_max = (config->memory_max - config->memory_max / EARLY_SHARE -
		                 config->memory_max / QUEUED_SHARE) /
		                w->all->count,
		.queued_all_max = config->memory_max / QUEUED_SHARE / w->all->count,
		.accepted = tow__agent_session_accept,
		.worker = w->index,
		.workers = w->all->count,
		.stray = on_stray,
		.stray_unreachable = on_stray_unreachable,
		.user = w,
	};
	int rc;

	if (w->index > 0) {
		quic.udp.bind.port = tow_quic_endpoint_addr(first->endpoint)->port;
		listen.port = tow_tcp_listener_addr(first->listener)->port;
	}
	rc = tow_quic_endpoint_new(&quic, &w->endpoint, err);
	if (rc != 0)
		return tow_error_prefix(err, "tunnel_listen");
	rc = tow_tcp_listener_new(w->loop, w->log, &listen, config->listen_dual_stack,
	                          tow__worker_sharing(w), on_accepted, w, &w->listener, err);
	if (rc != 0)
		return tow_error_prefix(err, "listen");
	tow_tcp_listener_defer(w->listener);
	return tow_tls_context_new_identity(config->key, TOW_CARRIER_ALPN, &w->carrier_tls, err);
}

static void drain_agent(void *user, struct agent_session *s)
{
	(void)user;
	tow__agent_session_drain(s);
}

static void redial_agent(void *user, struct agent_session *s)
{
	const int *carried = user;

	if (s->carried == *carried)
		tow__agent_session_redial(s);
}

void tow__worker_drain(struct worker *w, int hurried)
{
	int first = !w->draining, carried = 1;

	w->draining = 1;
	w->hurried = hurried;
	if (first) {
		tow_tcp_listener_free(w->listener);
		w->listener = NULL;
		if (w->yielded)
			tow__agents_each(&w->agents, redial_agent, &carried);
		else
			tow__agents_each(&w->agents, drain_agent, NULL);
	}
	tow__ports_drain(&w->ports);
}

void tow__worker_yield(struct worker *w, int yields)
{
	int carried = 0; /* those have no way to the other process before it accepts */

	w->yielded = yields;
	if (!yields || w->endpoint == NULL)
		return;
	tow_udp_socket_yield(tow_quic_endpoint_socket(w->endpoint));
	tow__agents_each(&w->agents, redial_agent, &carried);
}

void tow__worker_end(struct worker *w)
{
	w->ended = 1;
	while (w->visitors != NULL)
		tow__visitor_abort(w->visitors);
	tow__challenge_errands_end(w);
	tow__ports_deinit(&w->ports);
	if (w->endpoint != NULL)
		tow_quic_endpoint_free(w->endpoint, TOW_TUNNEL_DRAINING);
	w->endpoint = NULL;
}

void tow__worker_deinit(struct worker *w)
{
	if (w->listener != NULL)
		tow_tcp_listener_free(w->listener);
	w->listener = NULL;
	tow__ports_deinit(&w->ports);
	if (w->endpoint != NULL)
		tow_quic_endpoint_free(w->endpoint, TOW_TUNNEL_DRAINING);
	w->endpoint = NULL;
	tow_tls_context_free(w->carrier_tls);
	if (w->index > 0)
		tow_loop_free(w->loop);
}

static void on_changed(struct worker *w, void *message)
{
	struct workers *all = w->all;

	(void)message;
	atomic_store(&all->change_told, 0);
	all->changed(all->user);
}

void tow__worker_changed(struct worker *w)
{
	struct workers *all = w->all;

	if (all->over)
		return;
	if (w->index == 0)
		all->changed(all->user);
	else if (!atomic_exchange(&all->change_told, 1) &&
	         tow__worker_mail(&all->list[0], on_changed, NULL, 0) != 0)
		atomic_store(&all->change_told, 0); /* the next one tells of it */
}
