/* SPDX-License-Identifier: MIT */
/* A node's machine: what listens here, and whether it is reached by the ways that others take. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <towonel/tunnel/key_file.h>

#include "cli/doctor_node.h"
#include "common.h"

/* What is asked at once. */
enum {
	HUB,         /* here, or that of an edge alone */
	HUB_OUTSIDE, /* by the URL that is in tokens */
	HUB_BY_EDGE, /* by the visitors' port */
	STATUS,
	HUB_METRICS,
	VISITORS,
	AGENTS,
	PLAIN_HTTP,
	EDGE_READY,
	EDGE_METRICS,
	CERTIFICATES,
	DATABASE,
	PROBES,
};

/* --- settings --- */

static int read_keys(struct node *node, struct tow_error *err)
{
	const struct settings *s = &node->settings;
	const char *given = node->doctor->cli->api_key;
	uint8_t key[TOW_SECRET_SIZE];
	struct tow_node_key identity;
	int rc = 0;
	if (node->remote.has_key) {
		node->id = node->remote.key.id;
	} else {
		rc = tow_key_file_read(s->identity_key_path, TOW_KEY_RAW, key, err);
		if (rc != 0)
			return rc;
		tow_node_key_from_seed(key, &identity);
		node->id = identity.id;
		tow_node_key_wipe(&identity);
	}
	if (s->hub_enabled && given) {
		snprintf(node->operator_key, sizeof node->operator_key, "%s", given);
	} else if (s->hub_enabled) {
		rc = tow_key_file_read(s->operator_key_path, TOW_KEY_BASE64URL, key, err);
		if (rc == 0)
			tow_base64url_encode(key, sizeof key, node->operator_key);
	}
	tow_wipe(key, sizeof key);
	return rc;
}

static int read_settings(struct node *node)
{
	struct settings *s = &node->settings;
	struct env *env = node->doctor->env;
	struct tow_error err = { 0 };
	const char *fix = "mend this setting";
	if (!env_get(env, "TOWONEL_DATA_DIR") && access("node.key", F_OK) != 0)
		env_add(env, "TOWONEL_DATA_DIR", DATA_DIR_SYSTEM);
	int hub_was_set = env_get(env, "TOWONEL_HUB_ENABLED") != NULL;
	node->has_http = env_get(env, "TOWONEL_EDGE_TLS_HTTP_LISTEN_ADDR") != NULL;
	int rc = tow_settings_read(settings_table, settings_count, env->items, s, &err);
	if (rc == 0)
		rc = remote_hub_read(s->edge_token, &s->edge_hub_urls, hub_was_set, &s->hub_enabled,
		                     &node->remote, &err);
	if (rc == 0)
		rc = outside_find(s, NULL, &node->outside, &err);
	if (rc == 0) {
		rc = read_keys(node, &err);
		fix = rc == TOW_ENOTFOUND ? "start towonel-node once: it makes its keys"
		                          : "run this as root, or as the node's user";
	}
	if (rc != 0)
		doctor_find(node->doctor, ILL, "settings", fix, "%s", err.text);
	else
		doctor_find(node->doctor, WELL, "settings", NULL, "a node%s, data in %s",
		            !s->hub_enabled    ? " without a hub"
		            : !s->edge_enabled ? " without an edge"
		                               : "",
		            s->data_dir);
	return rc;
}

/* --- what listens here --- */

static void ask(struct node *node, struct probe probes[PROBES])
{
	const struct settings *s = &node->settings;
	if (s->hub_enabled) {
		probe_http_local(&probes[HUB], "https", &s->hub_listen, "/v1/health", &node->id);
		probe_http(&probes[HUB_OUTSIDE], node->outside.public_url, "/v1/health", &node->id);
		probe_http_local(&probes[STATUS], "https", &s->hub_listen, "/v1/status?limit=500",
		                 &node->id);
		probes[STATUS].bearer = node->operator_key;
		probe_http_local(&probes[HUB_METRICS], "http", &s->hub_health_listen, "/metrics",
		                 NULL);
		doctor_probe_database(s, &probes[DATABASE]);
	} else {
		probe_http(&probes[HUB], node->remote.url, "/v1/health", &node->remote.id);
	}
	if (!s->edge_enabled)
		return;
	struct tow_addr tunnel = cli_reach(&s->edge_tunnel_listen);
	probe_tcp_local(&probes[VISITORS], &s->edge_listen);
	probe_quic(&probes[AGENTS], &tunnel, &node->id);
	if (s->hub_enabled)
		probe_http_local(&probes[HUB_BY_EDGE], "https", &s->edge_listen, "/v1/health",
		                 &node->id);
	if (s->acme.email || node->has_http)
		probe_tcp_local(&probes[PLAIN_HTTP], &s->http_listen);
	probe_http_local(&probes[EDGE_READY], "http", &s->edge_health_listen, "/readyz", NULL);
	probe_http_local(&probes[EDGE_METRICS], "http", &s->edge_health_listen, "/metrics", NULL);
	probe_http_local(&probes[CERTIFICATES], "http", &s->edge_health_listen, "/certificates",
	                 NULL);
}

/* Nothing that would listen here does. */
static int is_down(const struct probe probes[PROBES], int has_hub)
{
	for (size_t i = 0; i < PROBES; i++) {
		if (i != HUB_OUTSIDE && i != DATABASE && (i != HUB || has_hub) &&
		    probes[i].kind != PROBE_NONE && probes[i].error.code == 0)
			return 0;
	}
	return 1;
}

static void judge_port(struct node *node, const struct probe *probe, const struct tow_addr *listen,
                       const char *protocol, const char *whose, const char *variable)
{
	char address[TOW_ADDR_TEXT_SIZE], fix[256];
	tow_addr_format(listen, address);
	if (probe->kind == PROBE_NONE)
		return;
	snprintf(fix, sizeof fix,
	         "does the firewall let it in, or has another program the port (ss -lntup)? %s "
	         "sets it",
	         variable);
	if (probe->error.code != 0)
		doctor_find(node->doctor, ILL, "port", fix, "%s/%s, for %s: %s", address, protocol,
		            whose, probe->error.text);
	else
		doctor_find(node->doctor, WELL, "port", NULL, "%s/%s, for %s", address, protocol,
		            whose);
}

static void judge_ports(struct node *node, const struct probe probes[PROBES])
{
	const struct settings *s = &node->settings;
	char why[TOW_ERROR_TEXT_SIZE];
	judge_port(node, &probes[VISITORS], &s->edge_listen, "tcp", "visitors",
	           "TOWONEL_EDGE_LISTEN_ADDR");
	judge_port(node, &probes[AGENTS], &s->edge_tunnel_listen, "udp", "agents",
	           "TOWONEL_EDGE_TUNNEL_LISTEN_ADDR");
	judge_port(node, &probes[PLAIN_HTTP], &s->http_listen, "tcp", "certificates on demand",
	           "TOWONEL_EDGE_TLS_HTTP_LISTEN_ADDR");
	if (probes[VISITORS].error.code == 0 && *probe_why(&probes[HUB_BY_EDGE], why))
		doctor_find(node->doctor, ILL, "port",
		            "stop what has it, or set TOWONEL_EDGE_LISTEN_ADDR",
		            "the visitors' port is another program's: %s", why);
}

/* --- as others see it --- */

static void judge_outside(struct node *node, const struct probe *probe)
{
	const char *url = node->outside.public_url;
	char why[TOW_ERROR_TEXT_SIZE];
	struct tow_addr addr;
	if (probe->kind == PROBE_NONE)
		return;
	if (!*probe_why(probe, why) &&
	    tow_addr_parse_host(tow_slice_of(node->outside.public_host), &addr) == 0 &&
	    tow_addr_is_private(&addr))
		doctor_find(
			node->doctor, DOUBTFUL, "hub",
			"set TOWONEL_HUB_PUBLIC_URL, and TOWONEL_EDGE_PUBLIC_ADDRESSES, unless all "
			"agents are here",
			"tokens name %s, which leads here from this network alone", url);
	else if (!*probe_why(probe, why))
		doctor_find(node->doctor, WELL, "hub", NULL, "tokens lead to it: %s", url);
	else
		/* A NAT that does not lead back is no fault. */
		doctor_find(node->doctor,
		            probe->error.code == TOW_EAUTH || probe->error.code == TOW_ENOTFOUND
		                    ? ILL
		                    : DOUBTFUL,
		            "hub",
		            "TOWONEL_HUB_PUBLIC_URL has to lead here, and its port to be open; "
		            "towonel doctor on an agent's machine tells",
		            "tokens name %s: %s", url, why);
}

static void look_around(struct node *node, struct probe probes[PROBES])
{
	struct doctor *doctor = node->doctor;
	char why[TOW_ERROR_TEXT_SIZE];
	const json_t *status = *probe_why(&probes[STATUS], why) ? NULL : probes[STATUS].answer;
	if (doctor_judge_hub(doctor, &probes[HUB], "is that node up, and its port open?") == 0 &&
	    !node->settings.hub_enabled)
		doctor_judge_clock(doctor, &probes[HUB]);
	if (node->settings.hub_enabled) {
		doctor_judge_own_clock(doctor);
		judge_outside(node, &probes[HUB_OUTSIDE]);
		if (!status && probes[HUB].error.code == 0)
			doctor_find(doctor, ILL, "operator",
			            probes[STATUS].status == 401
			                    ? "use operator.key of the data directory"
			                    : "see the node's log",
			            "%s", why);
	}
	judge_ports(node, probes);
	if (probes[CERTIFICATES].error.code == 0)
		doctor_judge_certificates(doctor, probes[CERTIFICATES].answer);
	doctor_judge_descriptors(
		doctor,
		&probes[probes[EDGE_METRICS].kind == PROBE_NONE ? HUB_METRICS : EDGE_METRICS],
		"towonel-node");
	doctor_judge_database(doctor, &node->settings, &probes[DATABASE], status);
	if (status)
		doctor_judge_status(doctor, status);
	else if (probes[EDGE_READY].kind != PROBE_NONE && probes[EDGE_READY].status != 200)
		doctor_find(doctor, ILL, "edge", "see the node's log", "it is not ready");
}

void doctor_node(struct doctor *doctor)
{
	struct node node = { .doctor = doctor };
	struct probe probes[PROBES] = { 0 };
	if (read_settings(&node) != 0)
		goto out;
	doctor_judge_disk(doctor, &node.settings);
	ask(&node, probes);
	probes_run(probes, PROBES);
	if (is_down(probes, node.settings.hub_enabled))
		doctor_find(
			doctor, ILL, "node",
			"start it: systemctl start towonel-node; journalctl -u towonel-node says "
			"why it ended",
			"towonel-node does not run here: nothing answers on any of its ports");
	else
		look_around(&node, probes);
	for (size_t i = 0; i < PROBES; i++)
		probe_deinit(&probes[i]);
out:
	remote_hub_wipe(&node.remote);
	tow_wipe(node.operator_key, sizeof node.operator_key);
	tow_settings_deinit(settings_table, settings_count, &node.settings);
}
