/* SPDX-License-Identifier: MIT */

/* What an agent is made of, and in which order it is taken apart. */

#include "agent_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <towonel/wire/control_message.h>

#include "config.h"

#define DRAIN_DEFAULT_MS 25000
#define QUIET_NS         (12 * TOW_NSEC_PER_SEC) /* two pings without an answer */

static void sink(void *user, enum tow_log_level level, const char *line)
{
	struct tow_agent *agent = user;
	agent->log_line(agent->log_user, (enum tow_agent_log_level)level, line);
}

static void not_ready(void *user, struct tow_buf *reasons)
{
	struct tow_agent *agent = user;
	if (agent->up_count == 0)
		tow_buf_append_text(reasons, "no tunnel is up\n");
	if (tow__links_all_quiet(&agent->links, QUIET_NS))
		tow_buf_append_text(reasons, "nothing comes back through any tunnel\n");
	if (!tow__registration_done(agent->registration))
		tow_buf_append_text(reasons, "the hub has not taken the services yet\n");
	if (agent->state != RUNNING)
		tow_buf_append_text(reasons, "the agent is stopping\n");
}

static void notes(void *user, struct tow_buf *notes)
{
	struct tow_agent *agent = user;
	tow__links_note(&agent->links, notes);
}

static int make_metrics(struct tow_agent *agent)
{
	char label[64];
	struct tow_metrics *m = agent->metrics = tow_metrics_new();
	if (!m)
		return TOW_ENOMEM;
	tow_metrics_add_process(m);
	agent->links_accepted = tow_metrics_series(m, TOW_METRIC_COUNTER,
	                                           "towonel_agent_edge_connections_accepted_total",
	                                           NULL, "Tunnels that an edge has accepted.");
	agent->links_rejected = tow_metrics_series(m, TOW_METRIC_COUNTER,
	                                           "towonel_agent_edge_connections_rejected_total",
	                                           NULL, "Tunnels that an edge has refused.");
	agent->transport_changes = tow_metrics_series(
		m, TOW_METRIC_COUNTER, "towonel_agent_transport_changes_total", NULL,
		"Tunnels that have gone over to TCP, or back to UDP.");
	agent->tunnels = tow_metrics_series(m, TOW_METRIC_GAUGE, "towonel_agent_tunnels", NULL,
	                                    "Tunnels that are up.");
	tow_metric_set(
		tow_metrics_series(m, TOW_METRIC_GAUGE, "towonel_agent_info",
	                           tow_metric_label(label, sizeof label, "version", TOW_VERSION),
	                           "The version of the agent."),
		1);
	tow__links_measure(&agent->links, m);
	return 0;
}

/* What tunnels may keep together; on a small machine no more than an eighth of its memory. */
static uint64_t share_of_memory(uint64_t most)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	uint64_t share = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 8 : most;

	return share < most ? share : most;
}

int tow__agent_make_endpoint(struct tow_agent *agent, struct tow_error *err)
{
	struct tow_quic_config config = {
		.loop = agent->loop,
		.log = agent->log,
		.metrics = agent->metrics,
		.metrics_prefix = "towonel_agent_quic",
		.key = &agent->key,
		.alpn = TOW_TUNNEL_ALPN,
		.udp = { .bind = { .family = 6 }, .dual_stack = 1, .dont_fragment = 1 },
		.held_all_max = share_of_memory(TOW_HELD_MAX),
		.queued_all_max = share_of_memory(2 * TOW_QUEUED_MAX),
	};
	int rc = tow_quic_endpoint_new(&config, &agent->endpoint, err);
	if (rc != 0) { /* a host without IPv6 */
		config.udp.bind.family = 4;
		config.udp.dual_stack = 0;
		rc = tow_quic_endpoint_new(&config, &agent->endpoint, err);
	}
	return rc;
}

static int make_health(struct tow_agent *agent, const struct tow_agent_config *config,
                       struct tow_error *err)
{
	struct tow_health_config health = {
		.loop = agent->loop,
		.log = agent->log,
		.metrics = agent->metrics,
		.not_ready = not_ready,
		.notes = notes,
		.user = agent,
	};
	if (!config->health_listen || !config->health_listen[0])
		return 0;
	if (tow_addr_parse(tow_slice_of(config->health_listen), &health.listen) != 0)
		return tow_error_set(err, TOW_EINVAL, "health_listen: \"%s\" is not ADDRESS:PORT",
		                     config->health_listen);
	int rc = tow_health_new(&health, &agent->health, err);
	return rc == 0 ? 0 : tow_error_prefix(err, "health_listen");
}

static int make_parts(struct tow_agent *agent, struct tow_error *err)
{
	struct tow_http_client_config http = {
		.loop = agent->loop,
		.log = agent->log,
		.user_agent = "towonel-agent/" TOW_VERSION,
	};
	agent->http = tow_http_client_new(&http);
	if (!agent->http)
		return TOW_ENOMEM;
	struct registration_config registration = {
		.loop = agent->loop,
		.log = agent->log,
		.metrics = agent->metrics,
		.http = agent->http,
		.token = &agent->token,
		.tenant_key = agent->tenant_key,
		.agent_key = &agent->key,
		.events = &tow__agent_registration_events,
		.user = agent,
	};
	int rc = tow__registration_new(&registration, &agent->registration);
	if (rc != 0)
		return rc;
	agent->forwards.loop = agent->loop;
	agent->forwards.log = agent->log;
	agent->forwards.metrics = agent->metrics;
	agent->forwards.services = &agent->services;
	agent->forwards.idle = tow__agent_forwards_idle;
	agent->forwards.user = agent;
	tow__forwards_init(&agent->forwards);

	rc = tow__calls_init(&agent->calls, agent->loop, tow__agent_called, agent);
	if (rc == TOW_EIO)
		return tow_error_set(err, rc, "eventfd: %s", strerror(errno));
	if (rc != 0)
		return rc;
	if ((rc = tow__agent_make_endpoint(agent, err)) != 0)
		return rc;
	agent->roaming = (struct roaming){ agent->log, agent->endpoint, &agent->links, NULL, NULL };
	tow__roaming_init(&agent->roaming, agent->loop, agent->metrics);
	return 0;
}

static int make(struct tow_agent *agent, const struct tow_agent_config *config,
                struct tow_error *err)
{
	int rc;
	if (!config->invite_token || !config->invite_token[0])
		return tow_error_set(err, TOW_EINVAL, "invite_token: there is none");
	rc = tow_token_parse(tow_slice_of(config->invite_token), TOW_TOKEN_INVITE, &agent->token,
	                     err);
	if (rc != 0)
		return tow_error_prefix(err, "invite_token");
	if ((rc = tow__config_services(config, config->accept != NULL, &agent->services, err)) != 0)
		return rc;
	if ((rc = tow__config_trusted(config, &agent->trusted, err)) != 0)
		return rc;
	agent->trusted_count = config->trusted_edge_count;
	agent->forwards.host = (struct inproc_host){ config->accept, config->accept_user };

	agent->drain_ms = config->drain_ms ? config->drain_ms : DRAIN_DEFAULT_MS;
	agent->log_line = config->log;
	agent->log_user = config->log_user;
	if (config->log) {
		agent->log =
			tow_log_new((enum tow_log_level)config->log_level,
		                    config->log_json ? TOW_LOG_JSON : TOW_LOG_TEXT, sink, agent);
		if (!agent->log)
			return TOW_ENOMEM;
	}
	if (tow_proxies_from_environment(&agent->proxies, err) != 0)
		tow_log_warn(agent->log, "the proxy is not used", tow_f_err(err));
	tow_node_key_generate(&agent->key);
	tow_id_format(&agent->key.id, agent->id);
	agent->generation = tow_wall_ms();
	if ((rc = tow_tenant_key_new(agent->token.seed, &agent->tenant_key)) != 0 ||
	    (rc = make_metrics(agent)) != 0)
		return rc;
	agent->loop = tow_loop_new();
	if (!agent->loop)
		return TOW_ENOMEM;
	tow_task_init(&agent->deliver, agent->loop, tow__agent_deliver, agent);
	tow_task_init(&agent->advance, agent->loop, tow__agent_advance, agent);
	tow_timer_init(&agent->drain_timer, agent->loop, tow__agent_drain_late, agent);
	if ((rc = make_parts(agent, err)) != 0)
		return rc;
	if ((rc = make_health(agent, config, err)) != 0)
		return rc;
	tow_log_info(agent->log, "agent starts", tow_f_id("agent", &agent->key.id),
	             tow_f_str("version", TOW_VERSION), tow_f_str("hub", agent->token.hub_url),
	             tow_f_uint("services", agent->services.count));
	tow__config_warn(&agent->services, agent->log);
	tow__registration_serve(agent->registration, &agent->services, agent->generation);
	return 0;
}

int tow_agent_new(const struct tow_agent_config *config, struct tow_agent **out, char *error,
                  size_t error_size)
{
	struct tow_error err = { 0 };
	struct tow_agent *agent = calloc(1, sizeof *agent);
	int rc = TOW_ENOMEM;
	if (agent) {
		agent->calls.fd = -1;
		rc = make(agent, config, &err);
	}
	if (rc != 0) {
		tow_agent_free(agent);
		if (error && error_size)
			snprintf(error, error_size, "%s",
			         err.text[0] ? err.text : tow_strerror(rc));
		return rc;
	}
	*out = agent;
	return 0;
}

void tow_agent_free(struct tow_agent *agent)
{
	if (!agent)
		return;
	agent->on_event = NULL;
	agent->state = STOPPED; /* nothing that ends now leads anywhere */
	tow_health_free(agent->health);
	tow__roaming_deinit(&agent->roaming);
	if (agent->loop && agent->forwards.accepted)
		tow__forwards_deinit(&agent->forwards);
	for (size_t i = agent->links.count; i-- > 0;)
		tow__edge_link_close(agent->links.slots[i].link, TOW_TUNNEL_OK);
	if (agent->endpoint)
		tow_quic_endpoint_free(agent->endpoint, TOW_TUNNEL_OK);
	tow__registration_free(agent->registration);
	tow_http_client_free(agent->http);
	tow__calls_deinit(&agent->calls);
	if (agent->loop) {
		tow_task_cancel(&agent->deliver);
		tow_task_cancel(&agent->advance);
		tow_timer_stop(&agent->drain_timer);
		tow_loop_free(agent->loop);
	}
	tow_metrics_free(agent->metrics);
	tow_proxies_deinit(&agent->proxies);
	tow__events_deinit(&agent->events);
	tow_service_list_deinit(&agent->services);
	tow_tenant_key_free(agent->tenant_key);
	tow_node_key_wipe(&agent->key);
	tow_token_wipe(&agent->token);
	tow_log_free(agent->log);
	tow__links_deinit(&agent->links);
	free(agent->trusted);
	free(agent->stop_text);
	free(agent);
}
