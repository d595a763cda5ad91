/* SPDX-License-Identifier: MIT */
#include "hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"

static void changed(void *user, uint64_t version)
{
	struct tow_hub *hub = user;

	/* a write that was under way when the hub started to close */
	if (hub->routes)
		tow__routes_changed(hub->routes, version);
	/* an edge may have been revoked by way of another hub */
	if (hub->edges && tow__pool_is_shared(hub->pool))
		tow__edges_look(hub->edges);
}

static void lost(void *user)
{
	struct tow_hub *hub = user;

	if (hub->watch)
		tow__watch_look(hub);
}

static void hub_free(struct tow_hub *hub)
{
	tow__subscribers_free(hub->subscribers);
	tow__edges_free(hub->edges);
	tow__routes_free(hub->routes);
	tow__watch_free(hub);
	tow_rate_limit_free(hub->rate_limit);
	tow_rate_limit_free(hub->member_limit);
	tow__replay_free(hub->replay);
	tow__heard_free(hub->heard);
	tow_tls_context_free(hub->tls);
	free(hub->reserved_ports);
	tow_node_key_wipe(&hub->key);
	tow_wipe(hub->invite_hash_key, sizeof hub->invite_hash_key);
	free(hub);
}

static void store_closed(void *user)
{
	struct tow_hub *hub = user;
	void (*closed)(void *) = hub->closed;
	void *closed_user = hub->closed_user;

	hub_free(hub);
	if (closed)
		closed(closed_user);
}

static void server_closed(void *user)
{
	struct tow_hub *hub = user;

	tow__pool_close(hub->pool, store_closed, hub);
}

void tow_hub_close(struct tow_hub *hub, uint64_t grace_ns, void (*done)(void *user), void *user)
{
	hub->closed = done;
	hub->closed_user = user;
	tow__watch_stop(hub);
	tow__edges_stop(hub->edges);
	tow__routes_stop(hub->routes);
	/* the store outlives the server: requests under way still ask it */
	tow_http_server_close(hub->server, grace_ns, server_closed, hub);
}

static int copy_config(struct tow_hub *hub, const struct tow_hub_config *config)
{
	hub->loop = config->loop;
	hub->log = config->log;
	hub->metrics = config->metrics;
	hub->certificate = config->certificate;
	hub->certificate_user = config->user;
	hub->key = *config->key;
	memcpy(hub->invite_hash_key, config->invite_hash_key, sizeof hub->invite_hash_key);
	tow__auth_init(hub, config->operator_key);
	snprintf(hub->public_url, sizeof hub->public_url, "%s", config->public_url);
	snprintf(hub->version, sizeof hub->version, "%s", config->version);
	hub->health_names = config->health_names;
	hub->reserved_ports = calloc(config->reserved_port_count + 1, sizeof *hub->reserved_ports);
	if (!hub->reserved_ports)
		return TOW_ENOMEM;
	if (config->reserved_port_count)
		memcpy(hub->reserved_ports, config->reserved_ports,
		       config->reserved_port_count * sizeof *hub->reserved_ports);
	return 0;
}

static int open_store(struct tow_hub *hub, const struct tow_hub_config *config,
                      struct tow_error *err)
{
	struct tow__pool_config pool = {
		.loop = hub->loop,
		.store = { .driver = config->db_driver,
		           .dsn = config->db_dsn,
		           .allow_privileged_ports = config->allow_privileged_ports,
		           .reserved_ports = hub->reserved_ports,
		           .reserved_port_count = config->reserved_port_count },
		.threads = config->db_max_open_conns,
		.changed = changed,
		.lost = lost,
		.user = hub,
	};

	struct tow_error away = { 0 };
	int r = tow__pool_new(&pool, &hub->pool, &away);

	if (r)
		return tow_error_set(err, r, "%s", away.text);
	if (away.code)
		tow_log_warn(hub->log, "the database does not answer: the hub waits for it",
		             tow_f_err(&away));
	return 0;
}

static int make_parts(struct tow_hub *hub)
{
	hub->rate_limit = tow_rate_limit_new(TOW_REQUESTS_PER_SECOND, TOW_REQUESTS_BURST);
	hub->member_limit =
		tow_rate_limit_new(TOW_MEMBER_REQUESTS_PER_SECOND, TOW_MEMBER_REQUESTS_BURST);
	hub->replay = tow__replay_new();
	hub->heard = tow__heard_new();
	hub->routes = tow__routes_new(hub->loop, hub->log, hub->pool);
	hub->edges = tow__edges_new(hub);
	hub->subscribers = tow__subscribers_new(hub);
	hub->tenants_total =
		tow_metrics_series(hub->metrics, TOW_METRIC_GAUGE, "towonel_hub_tenants_total",
	                           NULL, "Tenants that there are.");
	hub->entries_accepted = tow_metrics_series(hub->metrics, TOW_METRIC_COUNTER,
	                                           "towonel_hub_entries_accepted_total", NULL,
	                                           "Signed entries that were accepted.");
	return hub->rate_limit && hub->member_limit && hub->replay && hub->heard && hub->routes &&
	                       hub->edges && hub->subscribers && !tow__watch_new(hub)
	               ? 0
	               : TOW_ENOMEM;
}

static struct tow_tls_context *choose_tls(void *user, const struct tow_client_hello *hello)
{
	struct tow_hub *hub = user;

	return hub->certificate(hub->certificate_user, hello);
}

static int listen_(struct tow_hub *hub, const struct tow_hub_config *config, struct tow_error *err)
{
	struct tow_http_server_config server = {
		.loop = hub->loop,
		.log = hub->log,
		.listen = config->listen,
		.dual_stack = config->dual_stack,
		.routes = tow__api_routes,
		.route_count = tow__api_route_count,
		.before = tow__api_before,
		.after = tow__api_after,
		.choose_tls = config->certificate ? choose_tls : NULL,
		.user = hub,
	};
	int r = tow_tls_context_new_identity(&hub->key, "http/1.1", &hub->tls, err);

	server.tls = hub->tls;
	if (r)
		return r;
	r = tow_http_server_new(&server, &hub->server, err);
	return r ? tow_error_prefix(err, "listen") : 0;
}

int tow_hub_new(const struct tow_hub_config *config, struct tow_hub **out, struct tow_error *err)
{
	struct tow_hub *hub = calloc(1, sizeof *hub);
	int r;

	/* before there are threads that make JSON */
	json_object_seed(0);
	if (!hub || copy_config(hub, config)) {
		free(hub);
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	}
	hub->started_ns = tow_now_ns();
	r = open_store(hub, config, err);
	if (r) {
		tow_error_prefix(err,
		                 tow__db_connections(config->db_driver) ? "db_dsn" : "db_driver");
		hub_free(hub);
		return r;
	}
	r = make_parts(hub);
	if (r)
		tow_error_set(err, r, "out of memory");
	else
		r = listen_(hub, config, err);
	if (r) {
		tow__pool_free(hub->pool);
		hub_free(hub);
		return r;
	}
	if (tow__pool_listen(hub->pool))
		tow_log_warn(hub->log, "out of memory: other hubs' changes will come late");
	tow__watch_start(hub);
	tow__edges_start(hub->edges);
	*out = hub;
	return 0;
}

const struct tow_addr *tow_hub_addr(const struct tow_hub *hub)
{
	return tow_http_server_addr(hub->server);
}

void tow_hub_adopt(struct tow_hub *hub, int fd, const struct tow_addr *peer, struct tow_slice early)
{
	tow_http_server_adopt(hub->server, fd, peer, early);
}

void tow_hub_edge_report(struct tow_hub *hub, const struct tow_edge_report *report)
{
	if (tow__edges_report(hub->edges, report))
		tow_log_warn(hub->log, "out of memory: the list of edges stays as it was");
}
