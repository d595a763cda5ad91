/* SPDX-License-Identifier: MIT */

/*
 * The edge as its owner sees it: its workers, the routes that are handed in and their copy on disk,
 * reports, and the way down:
 *
 *     tow_edge_close: no listeners, agents are told ──► visitors finish, or the grace is over
 *         ──► visitors and tunnels are reset ──► the routes' copy is written ──► freed ──► done
 */

#include <towonel/edge.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent_session.h"
#include "edge_private.h"
#include "routes/cache.h"
#include "tls/cert_listing.h"
#include "tls/cert_store.h"
#include "tls/issuance.h"
#include "worker.h"

#define REVOCATIONS_EXPIRE_EVERY_NS (600 * TOW_NSEC_PER_SEC)
#define RELAY_CHECK_NS              (200 * TOW_NSEC_PER_MSEC)

struct tow_edge {
	struct workers workers;
	struct worker *first; /* of them: the one in this thread */
	struct tow_addr tunnel_addr, addr;
	char *version;
	char **addresses;
	size_t address_count;
	struct routes_cache *cache;  /* NULL: none */
	struct issuance *issuance;   /* NULL: none */
	uint64_t next_expiry_ns;     /* of revocations in the table */
	struct tow_buf port_changes; /* while the table is locked */

	void (*reported)(void *user, const struct tow_edge_report *report);
	void *user;
	struct tow_timer report_timer;
	uint64_t next_report_ns;
	int changed; /* since the last report */

	struct tow_timer close_timer; /* the grace */
	uint64_t close_deadline_ns;
	int yielded;              /* another process takes over */
	int ended;                /* all but the disk is done with */
	void (*done)(void *user); /* not NULL: closing */
	void *done_user;
};

void tow__timing_default(struct timing *timing)
{
	*timing = (struct timing){
		.client_hello_ns = TOW_CLIENT_HELLO_TIMEOUT_MS * TOW_NSEC_PER_MSEC,
		.cert_wait_ns = TOW_CERT_WAIT_TIMEOUT_MS * TOW_NSEC_PER_MSEC,
		.handshake_ns = TOW_TLS_HANDSHAKE_TIMEOUT_MS * TOW_NSEC_PER_MSEC,
		.carrier_begin_ns = TOW_CARRIER_BEGIN_MS * TOW_NSEC_PER_MSEC,
		.request_ns = TOW_REQUEST_TIMEOUT_MS * TOW_NSEC_PER_MSEC,
		.request_check_ns = TOW_REQUEST_CHECK_MS * TOW_NSEC_PER_MSEC,
		.dial_ns = TOW_DIAL_TIMEOUT_MS * TOW_NSEC_PER_MSEC,
		.dial_silence_ns = TOW_DIAL_SILENCE_MS * TOW_NSEC_PER_MSEC,
		.dial_unreachable_ns = TOW_DIAL_UNREACHABLE_MS * TOW_NSEC_PER_MSEC,
		.dial_alone_ns = TOW_DIAL_ALONE_MS * TOW_NSEC_PER_MSEC,
		.linger_ns = TOW_ALERT_LINGER_MS * TOW_NSEC_PER_MSEC,
		.visitor_idle_ns = TOW_VISITOR_IDLE_MS * TOW_NSEC_PER_MSEC,
		.agent_hello_ns = TOW_AGENT_HELLO_TIMEOUT_MS * TOW_NSEC_PER_MSEC,
		.tenant_wait_ns = TOW_AGENT_TENANT_WAIT_MS * TOW_NSEC_PER_MSEC,
		.agent_close_ns = TOW_AGENT_CLOSE_DELAY_MS * TOW_NSEC_PER_MSEC,
		.ping_interval_ns = TOW_PING_INTERVAL_MS * TOW_NSEC_PER_MSEC,
		.ping_timeout_ns = TOW_PING_TIMEOUT_MS * TOW_NSEC_PER_MSEC,
		.udp_idle_second_ns = TOW_NSEC_PER_SEC,
		.udp_drain_ns = TOW_UDP_DRAIN_IDLE_MS * TOW_NSEC_PER_MSEC,
		.port_retry_min_ns = TOW_PORT_RETRY_MIN_MS * TOW_NSEC_PER_MSEC,
		.port_retry_max_ns = TOW_PORT_RETRY_MAX_MS * TOW_NSEC_PER_MSEC,
		.cert_check_ns = TOW_CERT_CHECK_EVERY_MS * TOW_NSEC_PER_MSEC,
		.cache_delay_ns = TOW_ROUTES_CACHE_DELAY_MS * TOW_NSEC_PER_MSEC,
		.report_interval_ns = TOW_REPORT_INTERVAL_MS * TOW_NSEC_PER_MSEC,
		.report_refresh_ns = TOW_REPORT_REFRESH_MS * TOW_NSEC_PER_MSEC,
	};
}

/* --- reports --- */

static void on_changed(void *user)
{
	struct tow_edge *e = user;
	uint64_t now = tow_loop_now_ns(e->first->loop);
	uint64_t at = e->next_report_ns > now ? e->next_report_ns : now;

	e->changed = 1;
	if (e->reported == NULL || e->done != NULL || e->report_timer.deadline_ns <= at)
		return;
	tow_timer_start(&e->report_timer, at);
}

static void on_report_timer(void *user)
{
	struct tow_edge *e = user;
	struct worker *w = e->first;
	size_t agent_count = tow__roster_count(&e->workers.roster);
	struct tow_id *agents = calloc(agent_count + 1, sizeof(*agents));
	struct tow_failed_port *ports = calloc(w->ports.failed + 1, sizeof(*ports));
	struct tow_edge_certificate certs[TOW_EDGE_CERTS_TOLD_MAX];
	struct tow_edge_traffic traffic;
	struct tow_edge_report report = {
		.node_id = w->node_id,
		.addresses = (const char *const *)e->addresses,
		.address_count = e->address_count,
		.tcp_port = e->addr.port,
		.version = e->version,
		.agents = agents,
		.failed_ports = ports,
		.traffic = &traffic,
		.certificates = certs,
		.certificate_count = tow__cert_told(w->certs, certs),
		.minor = !e->changed,
	};

	e->next_report_ns = tow_loop_now_ns(w->loop) + w->timing.report_interval_ns;
	if (agents != NULL && ports != NULL) {
		e->changed = 0;
		tow_timer_start_in(&e->report_timer, w->timing.report_refresh_ns);
		tow__edge_metrics_traffic(&w->metrics, &traffic);
		report.agent_count = tow__roster_agents(&e->workers.roster, agents, agent_count);
		report.failed_port_count = tow__ports_failed(&w->ports, ports, w->ports.failed);
		e->reported(e->user, &report);
	} else {
		on_changed(e); /* when there is memory again */
	}
	free(agents);
	free(ports);
}

/* --- routes --- */

/* Sockets are bound and closed when the table is free again: there may be thousands. */
struct port_change {
	int added;
	struct tow_route_port port;
};

static void change_port(struct ports *ports, const struct port_change *change)
{
	if (change->added)
		tow__ports_add(ports, &change->port);
	else
		tow__ports_remove(ports, change->port.protocol, change->port.port);
}

static void change_ports(struct tow_edge *e)
{
	struct tow_slice bytes = tow_buf_peek(&e->port_changes);
	struct port_change change;

	for (size_t i = 0; i < bytes.len; i += sizeof(change)) {
		memcpy(&change, bytes.base + i, sizeof(change));
		change_port(&e->first->ports, &change);
	}
	tow_buf_deinit(&e->port_changes);
}

static void note_port_change(struct tow_edge *e, const struct port_change *change)
{
	if (tow_buf_append(&e->port_changes, change, sizeof(*change)) == 0)
		return;
	change_ports(e); /* out of memory: at once, then, and in order */
	change_port(&e->first->ports, change);
}

static void on_port_added(void *user, const struct tow_route_port *port)
{
	const struct port_change change = { .added = 1, .port = *port };

	note_port_change(user, &change);
}

static void on_port_removed(void *user, enum tow_protocol protocol, uint16_t port)
{
	const struct port_change change = { .port = { .protocol = protocol, .port = port } };

	note_port_change(user, &change);
}

static void cut_tenant(struct worker *w, void *tenant)
{
	tow__agents_cut_tenant(&w->agents, tenant);
}

static void cut_agent(struct worker *w, void *ids)
{
	const struct tow_id *tenant = ids, *agent = tenant + 1;

	tow__agents_cut_agent(&w->agents, tenant, agent);
}

static void on_tenant_removed(void *user, const struct tow_id *tenant)
{
	struct tow_edge *e = user;

	tow__agents_cut_tenant(&e->first->agents, tenant);
	tow__workers_mail(e->first, cut_tenant, tenant, sizeof(*tenant));
}

static void on_agent_revoked(void *user, const struct tow_id *tenant, const struct tow_id *agent)
{
	struct tow_edge *e = user;

	const struct tow_id ids[] = { *tenant, *agent };

	tow__agents_cut_agent(&e->first->agents, tenant, agent);
	tow__workers_mail(e->first, cut_agent, ids, sizeof(ids));
}

static const struct tow_route_observer observer = {
	.port_added = on_port_added,
	.port_removed = on_port_removed,
	.tenant_removed = on_tenant_removed,
	.agent_revoked = on_agent_revoked,
};

static void gauge_routes(struct worker *w)
{
	tow_metric_set(w->metrics.routes_version, (int64_t)tow_route_table_version(w->table));
	tow_metric_set(w->metrics.hostnames, (int64_t)tow_route_table_hostname_count(w->table));
}

/* Revocations only come with events, so this is often enough. */
static void expire_revocations(struct tow_edge *e)
{
	uint64_t now = tow_loop_now_ns(e->first->loop);

	if (now < e->next_expiry_ns)
		return;
	e->next_expiry_ns = now + REVOCATIONS_EXPIRE_EVERY_NS;
	pthread_rwlock_wrlock(&e->workers.table_lock);
	tow_route_table_expire(e->workers.table, tow_wall_ms());
	pthread_rwlock_unlock(&e->workers.table_lock);
}

static void routes_changed(struct worker *w, void *message)
{
	(void)message;
	tow__agent_sessions_routes_changed(w);
}

int tow_edge_apply(void *edge, const struct tow_route_event *event)
{
	struct tow_edge *e = edge;
	struct worker *w = e->first;
	struct tow_error err;
	int rc;

	pthread_rwlock_wrlock(&e->workers.table_lock);
	rc = tow_route_table_apply(e->workers.table, event->json, &observer, e, &err);
	pthread_rwlock_unlock(&e->workers.table_lock);
	change_ports(e);
	if (rc != 0) {
		if (rc != TOW_ECONFLICT)
			tow_log_error(w->log, "an event of the route feed cannot be applied",
			              tow_f_uint("version", event->version), tow_f_err(&err));
		return rc;
	}
	expire_revocations(e);
	gauge_routes(w);
	tow_log_debug(w->log, "routes have changed", tow_f_uint("version", event->version),
	              tow_f_str("by", event->kind == TOW_ROUTE_SNAPSHOT ? "snapshot" : "delta"));
	if (e->cache != NULL)
		tow__routes_cache_changed(e->cache);
	tow__agent_sessions_routes_changed(w);
	tow__tenants_refresh(&e->workers.tenants, w->table);
	tow__workers_mail(w, routes_changed, NULL, 0);
	return 0;
}

uint64_t tow_edge_route_version(const struct tow_edge *edge)
{
	return tow_route_table_version(edge->first->table);
}

static void bind_known_port(void *user, const struct tow_route_port *port)
{
	struct tow_edge *e = user;

	tow__ports_add(&e->first->ports, port);
}

/* --- the way up --- */

static void on_deserted(void *user);
static void on_ended(void *user);
static void on_settled(void *user);
static void on_close_timer(void *user);

static void free_edge(struct tow_edge *e)
{
	struct worker *w = e->first;
	struct cert_store *certs;

	e->reported = NULL; /* what is let go of below changes the state, and nobody is to hear */
	tow_timer_stop(&e->report_timer);
	tow_timer_stop(&e->close_timer);
	certs = w != NULL ? w->certs : NULL;
	tow__workers_deinit(&e->workers);
	tow__routes_cache_free(e->cache);
	tow__issuance_free(e->issuance);
	tow__cert_store_free(certs);
	for (size_t i = 0; i < e->address_count; i++)
		free(e->addresses[i]);
	free(e->addresses);
	free(e->version);
	free(e);
}

/* What agents are told to dial: what the config says, else where the tunnel listens. */
static int copy_addresses(struct tow_edge *e, const struct tow_edge_config *config)
{
	char text[TOW_ADDR_TEXT_SIZE];
	const char *bound = tow_addr_format(&e->tunnel_addr, text);
	size_t count = config->public_address_count > 0 ? config->public_address_count : 1;

	e->addresses = calloc(count, sizeof(*e->addresses));
	if (e->addresses == NULL)
		return TOW_ENOMEM;
	for (; e->address_count < count; e->address_count++) {
		const char *address = config->public_address_count > 0
		                              ? config->public_addresses[e->address_count]
		                              : bound;

		e->addresses[e->address_count] = strdup(address);
		if (e->addresses[e->address_count] == NULL)
			return TOW_ENOMEM;
	}
	return 0;
}

static int open_cache(struct tow_edge *e, const char *path)
{
	struct worker *w = e->first;
	const struct routes_cache_config config = {
		.loop = w->loop,
		.log = w->log,
		.table = w->table,
		.path = path,
		.delay_ns = w->timing.cache_delay_ns,
		.settled = on_settled,
		.user = e,
	};
	int rc = tow__routes_cache_new(&config, &e->cache);

	if (rc == 0)
		tow__routes_cache_load(e->cache, e->workers.table);
	return rc;
}

/* Does the name's TLS end here? */
static int terminates(void *user, const char *name)
{
	const struct worker *w = user;
	const struct tow_route_hostname *route = tow_route_lookup(w->table, name);

	return strcmp(name, w->api.name) == 0 ||
	       (route != NULL && route->tls_mode == TOW_TLS_TERMINATE);
}

static int open_certs(struct tow_edge *e, const struct tow_edge_config *config)
{
	struct worker *w = e->first;
	const struct cert_store_config certs = {
		.loop = w->loop,
		.log = w->log,
		.metrics = config->metrics,
		.directory = config->cert_dir,
		.check_every_ns = w->timing.cert_check_ns,
		.routed = terminates,
		.user = w,
	};

	int rc = tow__cert_store_new(&certs, &w->certs);

	for (unsigned i = 1; rc == 0 && i < e->workers.count; i++)
		e->workers.list[i].certs = w->certs;
	return rc;
}

int tow__edge_new_timed(const struct tow_edge_config *config, const struct timing *timing,
                        struct tow_edge **out, struct tow_error *err)
{
	struct tow_edge *e = calloc(1, sizeof(*e));
	struct worker *w;
	int rc = TOW_ENOMEM;

	if (e == NULL)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	e->reported = config->reported;
	e->user = config->user;
	e->workers.changed = on_changed;
	e->workers.deserted = on_deserted;
	e->workers.ended = on_ended;
	e->workers.user = e;
	tow_timer_init(&e->report_timer, config->loop, on_report_timer, e);
	tow_timer_init(&e->close_timer, config->loop, on_close_timer, e);
	e->version = strdup(config->version != NULL ? config->version : "");
	rc = tow__workers_init(&e->workers, config, timing);
	w = e->first = e->workers.list;
	if (e->version == NULL || rc != 0) {
		rc = tow_error_set(err, TOW_ENOMEM, "out of memory");
		goto out;
	}
	for (unsigned i = 0; i < e->workers.count; i++)
		e->workers.list[i].software = e->version;
	rc = tow__workers_open(&e->workers, config, err);
	if (rc != 0)
		goto out;
	e->tunnel_addr = *tow_quic_endpoint_addr(w->endpoint);
	e->addr = *tow_tcp_listener_addr(w->listener);
	rc = copy_addresses(e, config);
	if (rc == 0 && config->routes_cache_path != NULL)
		rc = open_cache(e, config->routes_cache_path);
	if (rc == 0 && config->cert_dir != NULL)
		rc = open_certs(e, config);
	if (rc != 0) {
		tow_error_set(err, rc, "out of memory");
		goto out;
	}
	rc = tow__issuance_new(w, config, e->addr.port, &e->issuance, err);
	if (rc != 0)
		goto out;
	tow_edge_api_certificate(e, w->api.name); /* so that it is there when somebody comes */
	gauge_routes(w);
	tow_route_table_each_port(w->table, bind_known_port, e);
	on_changed(e);
	tow__workers_start(&e->workers);
	*out = e;
	return 0;
out:
	free_edge(e);
	return rc;
}

int tow_edge_new(const struct tow_edge_config *config, struct tow_edge **out, struct tow_error *err)
{
	struct timing timing;

	tow__timing_default(&timing);
	return tow__edge_new_timed(config, &timing, out, err);
}

/* --- the way down --- */

static void on_settled(void *user)
{
	struct tow_edge *e = user;
	void (*done)(void *) = e->done;
	void *done_user = e->done_user;

	free_edge(e);
	done(done_user);
}

static void on_ended(void *user)
{
	struct tow_edge *e = user;

	if (tow__routes_cache_flush(e->cache) == 0)
		on_settled(e);
}

/* Visitors finish what they have begun, within the grace; then nothing is waited for
 * but the disk. */
static void on_close_timer(void *user)
{
	struct tow_edge *e = user;

	if (e->yielded && tow_loop_now_ns(e->first->loop) < e->close_deadline_ns &&
	    tow__workers_are_relay(&e->workers)) {
		tow_timer_start_in(&e->close_timer, RELAY_CHECK_NS);
		return;
	}
	e->ended = 1;
	tow__workers_end(&e->workers);
}

static void on_deserted(void *user)
{
	struct tow_edge *e = user;

	if (e->done != NULL && !e->ended && tow__workers_are_deserted(&e->workers))
		tow_timer_start_in(&e->close_timer, 0);
}

void tow_edge_close(struct tow_edge *edge, uint64_t grace_ns, void (*done)(void *user), void *user)
{
	uint64_t now = tow_now_ns();
	uint64_t deadline = grace_ns < TOW_NEVER - 1 - now ? now + grace_ns : TOW_NEVER - 1;
	int first = edge->done == NULL;

	edge->done = done;
	edge->done_user = user;
	if (edge->ended)
		return;
	if (first) {
		tow__issuance_free(edge->issuance);
		edge->issuance = NULL;
		tow_timer_stop(&edge->report_timer);
		tow_log_info(edge->first->log, "edge is closing",
		             tow_f_uint("visitors", atomic_load(&edge->workers.visitors)),
		             tow_f_uint("udp_sessions", atomic_load(&edge->workers.sessions)));
	}
	/* with another process there, the first time is none to hurry */
	tow__workers_drain(&edge->workers, !first || !edge->yielded);
	edge->close_deadline_ns = deadline;
	if (tow__workers_are_deserted(&edge->workers))
		deadline = now;
	if (first || deadline < edge->close_timer.deadline_ns)
		tow_timer_start(&edge->close_timer, deadline);
}

/* --- another process takes over --- */

void tow_edge_yield(struct tow_edge *edge)
{
	edge->yielded = 1;
	if (!edge->ended)
		tow__workers_yield(&edge->workers, 1);
}

void tow_edge_resume(struct tow_edge *edge)
{
	edge->yielded = 0;
	if (!edge->ended)
		tow__workers_yield(&edge->workers, 0);
}

size_t tow_edge_agents(const struct tow_edge *edge)
{
	return tow__roster_count((struct roster *)(uintptr_t)&edge->workers.roster);
}

/* --- what can be asked --- */

const struct tow_addr *tow_edge_addr(const struct tow_edge *edge)
{
	return &edge->addr;
}

const struct tow_addr *tow_edge_tunnel_addr(const struct tow_edge *edge)
{
	return &edge->tunnel_addr;
}

void tow_edge_not_ready(void *edge, struct tow_buf *reasons)
{
	struct tow_edge *e = edge;

	if (e->done != NULL)
		tow_buf_append_text(reasons, "the edge is draining\n");
	if (tow_route_table_version(e->first->table) == 0)
		tow_buf_append_text(reasons, "there are no routes yet\n");
	else if (tow__roster_count(&e->workers.roster) == 0 &&
	         tow_route_table_hostname_count(e->first->table) > 0)
		tow_buf_append_text(reasons, "no agent is connected\n");
}

void tow_edge_notes(void *edge, struct tow_buf *notes)
{
	struct tow_edge *e = edge;
	const struct edge_metrics *m = &e->first->metrics;

	if (tow_metric_get(m->rtt_max_us) > 0)
		tow_buf_printf(notes, "agents answered their last pings in %.1f to %.1f ms\n",
		               (double)tow_metric_get(m->rtt_min_us) / 1000,
		               (double)tow_metric_get(m->rtt_max_us) / 1000);
	if (tow_metric_get(m->agents_late) > 0)
		tow_buf_printf(notes, "%lld of %lld agents owe an answer to a ping\n",
		               (long long)tow_metric_get(m->agents_late),
		               (long long)tow__roster_count(&e->workers.roster));
}

static void on_api_certificate(void *user, struct tow_tls_context *context)
{
	(void)user;
	(void)context; /* for those who come later */
}

struct tow_tls_context *tow_edge_api_certificate(struct tow_edge *edge, const char *name)
{
	struct worker *w = edge->first;
	struct tow_tls_context *context = NULL;
	struct cert_wait wait = { .done = on_api_certificate };

	if (w->certs == NULL || w->api.name[0] == '\0' || strcmp(name, w->api.name) != 0)
		return NULL;
	if (tow__cert_store_get(w->certs, w->api.name, &wait, &context) != 0)
		context = NULL;
	tow__cert_wait_cancel(&wait);
	return context;
}

json_t *tow_edge_certificates(void *edge)
{
	const struct tow_edge *e = edge;

	return tow__cert_listing(e->first->certs);
}
