/* SPDX-License-Identifier: MIT */

#include "edge_metrics.h"

#include <towonel/tunnel/loop.h>

const char *tow__refusal_name(enum refusal refusal)
{
	static const char *const names[] = {
#define REFUSAL_NAME(name, label) [name] = label,
		REFUSAL_TABLE(REFUSAL_NAME)
#undef REFUSAL_NAME
	};

	return names[refusal];
}

const char *tow__hello_outcome_name(enum hello_outcome outcome)
{
	static const char *const names[] = {
#define HELLO_NAME(name, label) [name] = label,
		HELLO_TABLE(HELLO_NAME)
#undef HELLO_NAME
	};

	return names[outcome];
}

static const char *const udp_drop_names[] = {
#define UDP_DROP_NAME(name, label) [name] = label,
	UDP_DROP_TABLE(UDP_DROP_NAME)
#undef UDP_DROP_NAME
};

static struct tow_metric *counter(struct tow_metrics *registry, const char *name,
                                  const char *labels, const char *help)
{
	return tow_metrics_series(registry, TOW_METRIC_COUNTER, name, labels, help);
}

static struct tow_metric *gauge(struct tow_metrics *registry, const char *name, const char *help)
{
	return tow_metrics_series(registry, TOW_METRIC_GAUGE, name, NULL, help);
}

static void init_udp(struct edge_metrics *m, struct tow_metrics *registry)
{
	static const char datagrams[] = "Datagrams of UDP sessions; in is from visitors.";
	static const char bytes[] = "Payload of those datagrams.";
	char label[64];

	m->udp_sessions = gauge(registry, "towonel_edge_udp_sessions", "UDP sessions now.");
	m->udp_sessions_total =
		counter(registry, "towonel_edge_udp_sessions_total", NULL, "UDP sessions begun.");
	for (int i = 0; i < UDP_REFUSAL_COUNT; i++)
		m->udp_refused[i] =
			counter(registry, "towonel_edge_udp_sessions_refused_total",
		                tow_metric_label(label, sizeof(label), "reason",
		                                 tow__udp_refusal_name((enum udp_refusal)i)),
		                "UDP sessions that were not to be, by reason.");
	m->udp_datagrams_in = counter(registry, "towonel_edge_udp_datagrams_total",
	                              "direction=\"in\"", datagrams);
	m->udp_datagrams_out = counter(registry, "towonel_edge_udp_datagrams_total",
	                               "direction=\"out\"", datagrams);
	m->udp_bytes_in =
		counter(registry, "towonel_edge_udp_bytes_total", "direction=\"in\"", bytes);
	m->udp_bytes_out =
		counter(registry, "towonel_edge_udp_bytes_total", "direction=\"out\"", bytes);
	for (int i = 0; i < UDP_DROP_COUNT; i++)
		m->udp_dropped[i] =
			counter(registry, "towonel_edge_udp_dropped_total",
		                tow_metric_label(label, sizeof(label), "reason", udp_drop_names[i]),
		                "Datagrams that were not forwarded, by reason.");
}

void tow__edge_metrics_traffic(const struct edge_metrics *m, struct tow_edge_traffic *out)
{
	*out = (struct tow_edge_traffic){
		.at_ms = tow_wall_ms(),
		.visitors = (uint64_t)(tow_metric_get(m->active_connections) +
		                       tow_metric_get(m->udp_sessions)),
		.visitors_total = (uint64_t)(tow_metric_get(m->connections) +
		                             tow_metric_get(m->udp_sessions_total)),
		.bytes_in =
			(uint64_t)(tow_metric_get(m->bytes_in) + tow_metric_get(m->udp_bytes_in)),
		.bytes_out =
			(uint64_t)(tow_metric_get(m->bytes_out) + tow_metric_get(m->udp_bytes_out)),
	};
}

struct tow_metric *tow__edge_agents_gauge(struct tow_metrics *registry)
{
	return gauge(registry, "towonel_edge_agents_connected", "Agents that take new streams.");
}

struct tow_metric *tow__edge_late_gauge(struct tow_metrics *registry)
{
	return gauge(registry, "towonel_edge_agents_late",
	             "Agents that had not answered a ping when the next was due.");
}

void tow__edge_metrics_init(struct edge_metrics *m, struct tow_metrics *registry)
{
	char label[64];

	m->active_connections =
		gauge(registry, "towonel_edge_active_connections", "Visitors connected now.");
	m->connections =
		counter(registry, "towonel_edge_connections_total", NULL, "Visitors accepted.");
	m->bytes_in = counter(registry, "towonel_edge_bytes_in_total", NULL,
	                      "Bytes read from visitors that were let through.");
	m->bytes_out = counter(registry, "towonel_edge_bytes_out_total", NULL,
	                       "Bytes written to visitors.");
	for (int i = 0; i < REFUSAL_COUNT; i++)
		m->refused[i] = counter(registry, "towonel_edge_connections_refused_total",
		                        tow_metric_label(label, sizeof(label), "reason",
		                                         tow__refusal_name((enum refusal)i)),
		                        "Visitors that were not served, by reason.");
	m->dials_retried = counter(registry, "towonel_edge_dials_retried_total", NULL,
	                           "Visitors tried on another agent after one had failed.");
	m->handed_over = counter(registry, "towonel_edge_visitors_handed_over_total", NULL,
	                         "Times that a visitor went to another worker.");
	init_udp(m, registry);
	m->terminated = counter(registry, "towonel_edge_tls_handshakes_total", NULL,
	                        "TLS handshakes with visitors whose TLS ends here.");
	m->resumed = counter(registry, "towonel_edge_tls_resumed_total", NULL,
	                     "Those of them that resumed a session.");
	m->agents_carried = gauge(registry, "towonel_edge_agents_over_tcp",
	                          "Of them, those whose tunnel is carried by TCP.");
	m->agents_superseded = counter(registry, "towonel_edge_agents_superseded_total", NULL,
	                               "Agents replaced by others with another service list.");
	m->agents_lost = counter(registry, "towonel_edge_agents_lost_total", NULL,
	                         "Agents cut off because they did not answer pings.");
	for (int i = 0; i < HELLO_OUTCOME_COUNT; i++)
		m->hellos[i] =
			counter(registry, "towonel_edge_agent_hellos_total",
		                tow_metric_label(label, sizeof(label), "outcome",
		                                 tow__hello_outcome_name((enum hello_outcome)i)),
		                "Agents that asked to be taken, by what became of it.");
	m->pongs = counter(registry, "towonel_edge_agent_pongs_total", NULL,
	                   "Pings answered by agents.");
	m->agents_late = tow__edge_late_gauge(registry);
	m->rtt_us = counter(registry, "towonel_edge_agent_rtt_microseconds_total", NULL,
	                    "Time that answered pings took, summed: divide by the pongs.");
	m->rtt_min_us = gauge(registry, "towonel_edge_agent_rtt_min_microseconds",
	                      "The nearest agent's last ping.");
	m->rtt_max_us = gauge(registry, "towonel_edge_agent_rtt_max_microseconds",
	                      "The farthest agent's last ping.");
	m->routes_version =
		gauge(registry, "towonel_edge_routes_version", "Version of the route table.");
	m->hostnames = gauge(registry, "towonel_edge_hostnames", "Hostnames in the route table.");
	m->ports_bound = gauge(registry, "towonel_edge_ports_bound", "Ports of services bound.");
	m->ports_failed = gauge(registry, "towonel_edge_ports_failed",
	                        "Ports of services that could not be bound.");
}
