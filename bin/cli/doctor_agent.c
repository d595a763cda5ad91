/* SPDX-License-Identifier: MIT */
/* An agent's machine: its token and services, the hub, every edge, names and origins. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/service.h>
#include <towonel/wire/token.h>

#include "agent/settings.h"
#include "cli/doctor.h"

#define QUIET_MAX_SECS 60

struct agent {
	struct doctor *doctor;
	struct agent_settings settings;
	struct tow_token token;
	struct tow_service_list services;
	char hub_url[TOW_URL_MAX];
	struct tow_id hub_id;
};

/* --- settings --- */

static int parse_services(struct agent *agent, struct tow_error *err)
{
	const struct agent_settings *s = &agent->settings;
	const struct {
		enum tow_service_kind kind;
		const char *variable, *setting;
	} lists[] = {
		{ TOW_SERVICE_HTTPS, "TOWONEL_AGENT_SERVICES", s->services },
		{ TOW_SERVICE_TCP, "TOWONEL_AGENT_TCP_SERVICES", s->tcp_services },
		{ TOW_SERVICE_UDP, "TOWONEL_AGENT_UDP_SERVICES", s->udp_services },
	};
	int rc = 0;
	for (size_t i = 0; i < 3 && rc == 0; i++) {
		char *text = NULL;
		rc = agent_settings_load(lists[i].variable, lists[i].setting, &text, err);
		if (rc == 0 && text) {
			rc = tow_service_list_parse(&agent->services, lists[i].kind,
			                            tow_slice_of(text), err);
			if (rc != 0)
				tow_error_prefix(err, "%s", lists[i].variable);
		}
		free(text);
	}
	return rc == 0 ? tow_service_list_check(&agent->services, err) : rc;
}

static int parse_token(struct agent *agent, struct tow_error *err)
{
	const struct cli *cli = agent->doctor->cli;
	const char *text = cli->token ? cli->token : agent->settings.invite_token;
	if (!text)
		return tow_error_set(err, TOW_ECONFIG, "TOWONEL_INVITE_TOKEN is not set");
	int rc = tow_token_parse(tow_slice_of(text), TOW_TOKEN_INVITE, &agent->token, err);
	if (rc != 0)
		return tow_error_prefix(err, "%s", cli->token ? "--token" : "TOWONEL_INVITE_TOKEN");
	snprintf(agent->hub_url, sizeof agent->hub_url, "%s", agent->token.hub_url);
	agent->hub_id = agent->token.hub_id;
	if (!cli->hub_url)
		return 0;
	struct tow_id id;
	rc = tow_hub_url_parse(tow_slice_of(cli->hub_url), agent->hub_url, &id, err);
	if (rc == 0 && !tow_id_is_zero(&id))
		agent->hub_id = id;
	return rc == 0 ? 0 : tow_error_prefix(err, "--hub-url");
}

static int read_settings(struct agent *agent)
{
	struct tow_error err;
	int rc = tow_settings_read(agent_settings_table, agent_settings_count,
	                           agent->doctor->env->items, &agent->settings, &err);
	if (rc == 0)
		rc = parse_token(agent, &err);
	if (rc == 0)
		rc = parse_services(agent, &err);
	if (rc != 0)
		doctor_find(agent->doctor, ILL, "settings", "mend this setting", "%s", err.text);
	else
		doctor_find(agent->doctor, agent->services.count ? WELL : DOUBTFUL, "settings",
		            agent->services.count ? NULL
		                                  : "set TOWONEL_AGENT_SERVICES, or "
		                                    "_TCP_SERVICES, _UDP_SERVICES",
		            "services: %zu", agent->services.count);
	return rc;
}

/* --- what is near: origins, the agent itself --- */

static void judge_origins(struct agent *agent)
{
	size_t count = agent->services.count;
	struct probe *probes = calloc(count ? count : 1, sizeof *probes);
	if (!probes)
		abort();
	for (size_t i = 0; i < count; i++) {
		const struct tow_service *s = &agent->services.items[i];
		if (s->kind != TOW_SERVICE_UDP && !tow_service_inproc(s))
			probe_tcp(&probes[i], s->origin_host, s->origin_port);
	}
	probes_run(probes, count);
	for (size_t i = 0; i < count; i++) {
		const struct tow_service *s = &agent->services.items[i];
		if (probes[i].kind == PROBE_NONE)
			continue;
		if (probes[i].error.code != 0)
			doctor_find(agent->doctor, ILL, "origin",
			            "start the service, or mend its origin", "%s: %s:%u: %s",
			            s->name, s->origin_host, s->origin_port, probes[i].error.text);
		else
			doctor_find(agent->doctor, WELL, "origin", NULL, "%s: %s:%u listens",
			            s->name, s->origin_host, s->origin_port);
		probe_deinit(&probes[i]);
	}
	free(probes);
}

static void judge_contact(struct agent *agent, const struct probe *ready,
                          const struct probe *metrics)
{
	struct tow_slice text = tow_buf_peek(&ready->text);
	double quiet, tunnels;
	if (ready->error.code != 0) {
		doctor_find(agent->doctor, DOUBTFUL, "agent",
		            "start towonel-agent: systemctl status towonel-agent",
		            "no agent answers on %s", agent->settings.health_listen);
		return;
	}
	if (ready->status != 200)
		doctor_find(agent->doctor, ILL, "agent",
		            "see what else is found here, and the agent's log",
		            "it is not ready: %.*s", (int)strcspn((const char *)text.base, "\n"),
		            (const char *)text.base);
	if (doctor_metric(metrics, "towonel_agent_tunnels", &tunnels) == 0 && tunnels > 0 &&
	    doctor_metric(metrics, "towonel_agent_tunnel_quiet_seconds", &quiet) == 0)
		doctor_find(agent->doctor, quiet > QUIET_MAX_SECS ? ILL : WELL, "contact",
		            quiet > QUIET_MAX_SECS ? "see the agent's log: is the path down?"
		                                   : NULL,
		            "tunnels: %.0f; a byte went to an edge and back %.0f s ago", tunnels,
		            quiet);
	doctor_judge_descriptors(agent->doctor, metrics, "towonel-agent");
}

static void look_near(struct agent *agent)
{
	struct probe probes[2] = { 0 };
	struct tow_addr listen;
	judge_origins(agent);
	if (tow_addr_parse(tow_slice_of(agent->settings.health_listen), &listen) != 0)
		return; /* "none" */
	probe_http_local(&probes[0], "http", &listen, "/readyz", NULL);
	probe_http_local(&probes[1], "http", &listen, "/metrics", NULL);
	probes_run(probes, 2);
	judge_contact(agent, &probes[0], &probes[1]);
	for (size_t i = 0; i < 2; i++)
		probe_deinit(&probes[i]);
}

/* --- what is far: the hub, the edges, the names --- */

static json_t *bootstrap_of(const struct tow_token *token)
{
	char id[TOW_BASE64URL_SIZE(TOW_INVITE_ID_SIZE)],
		secret[TOW_BASE64URL_SIZE(TOW_SECRET_SIZE)];
	tow_base64url_encode(token->invite_id, sizeof token->invite_id, id);
	tow_base64url_encode(token->secret, sizeof token->secret, secret);
	json_t *request = json_pack("{s:s, s:s}", "invite_id", id, "invite_secret", secret);
	tow_wipe(secret, sizeof secret);
	return request;
}

static int is_allowed(const json_t *patterns, const char *name)
{
	size_t index;
	json_t *pattern;
	json_array_foreach(patterns, index, pattern)
	{
		if (json_is_string(pattern) &&
		    tow_hostname_covers(json_string_value(pattern), name))
			return 1;
	}
	return 0;
}

static void judge_names(struct agent *agent, const json_t *patterns,
                        const struct doctor_edges *edges)
{
	json_t *names = json_array();
	for (size_t i = 0; i < agent->services.count; i++) {
		const struct tow_service *s = &agent->services.items[i];
		if (s->kind != TOW_SERVICE_HTTPS)
			continue;
		if (is_allowed(patterns, s->name))
			json_array_append_new(names, json_string(s->name));
		else
			doctor_find(agent->doctor, ILL, "hostname",
			            "on the hub: towonel invite hostnames --id ID --add NAME",
			            "%s is not among what this token may serve", s->name);
	}
	doctor_judge_names(agent->doctor, names, edges);
	json_decref(names);
}

static void look_far(struct agent *agent)
{
	struct doctor *doctor = agent->doctor;
	struct probe probes[2] = { 0 };
	struct probe *health = &probes[0], *bootstrap = &probes[1];
	struct doctor_edges edges;
	char why[TOW_ERROR_TEXT_SIZE];
	probe_http(health, agent->hub_url, "/v1/health", &agent->hub_id);
	probe_http(bootstrap, agent->hub_url, "/v1/bootstrap", &agent->hub_id);
	bootstrap->request = bootstrap_of(&agent->token);
	probes_run(probes, 2);
	if (doctor_judge_hub(
		    doctor, health,
		    "is the node up, and this port open there? The address is the token's, "
		    "TOWONEL_HUB_PUBLIC_URL when it was made") != 0)
		goto out;
	doctor_judge_clock(doctor, health);
	if (*probe_why(bootstrap, why)) {
		doctor_find(doctor, ILL, "token", "a new one: towonel invite create, on the hub",
		            "the hub refuses it: %s", why);
		goto out;
	}
	doctor_find(doctor, WELL, "token", NULL, "the hub takes it");
	doctor_judge_edges(doctor, json_object_get(bootstrap->answer, "edges"), &edges);
	judge_names(agent, json_object_get(bootstrap->answer, "hostnames"), &edges);
	doctor_edges_deinit(&edges);
out:
	probe_deinit(health);
	probe_deinit(bootstrap);
}

void doctor_agent(struct doctor *doctor)
{
	struct agent agent = { .doctor = doctor };
	if (read_settings(&agent) == 0) {
		look_near(&agent);
		look_far(&agent);
	}
	tow_service_list_deinit(&agent.services);
	tow_token_wipe(&agent.token);
	tow_settings_deinit(agent_settings_table, agent_settings_count, &agent.settings);
}
