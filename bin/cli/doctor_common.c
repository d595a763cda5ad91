/* SPDX-License-Identifier: MIT */
/* What both sides look at: the hub, the clock, edges, names, descriptors. */
#include "cli/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_DOUBTFUL_MS 5000
/* What any path takes that has an MTU of 1420, as with a VPN on the way. */
#define PAYLOAD_FINE       1372
#define DESCRIPTORS_FEW    4096
#define DESCRIPTORS_FULL   0.9
#define WILDCARD_LABEL     "towonel-doctor" /* any will do */
#define EDGE_ADDRESSES_MAX 1024
#define NAMES_MAX          4096
#define VISITORS_PORT      443

static struct probe *new_probes(size_t count)
{
	struct probe *probes = calloc(count ? count : 1, sizeof *probes);
	if (!probes)
		abort();
	return probes;
}

static void free_probes(struct probe *probes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		probe_deinit(&probes[i]);
	free(probes);
}

/* --- the hub --- */

int doctor_judge_hub(struct doctor *doctor, const struct probe *health, const char *fix)
{
	char why[TOW_ERROR_TEXT_SIZE];
	const char *version = cli_text(health->answer, "version");
	int len = (int)(strlen(health->url) - strlen("/v1/health"));
	if (health->error.code == TOW_EAUTH)
		fix = "another machine or program has this address, or the hub's node.key is "
		      "another one: restore it, or make new invites";
	else if (health->error.code == TOW_ENOTFOUND)
		fix = "in DNS, give that name the address of the hub's host";
	if (*probe_why(health, why)) {
		doctor_find(doctor, ILL, "hub", fix, "%.*s: %s", len, health->url, why);
		return -1;
	}
	if (strcmp(version, TOW_VERSION) == 0)
		doctor_find(doctor, WELL, "hub", NULL, "%.*s answers in %llu ms", len, health->url,
		            health->took_ns / TOW_NSEC_PER_MSEC);
	else
		doctor_find(doctor, DOUBTFUL, "hub", "upgrade the older of the two",
		            "%.*s answers; it has version %s, and %s is here", len, health->url,
		            version, TOW_VERSION);
	return 0;
}

void doctor_judge_clock(struct doctor *doctor, const struct probe *health)
{
	static const char fix[] = "timedatectl set-ntp true, here and on the hub's machine";
	uint64_t hub_ms = cli_number(health->answer, "time_ms");
	/* the hub looked at its clock when half of the time was over */
	double off = ((double)health->ended_ms - (double)hub_ms -
	              (double)health->took_ns / TOW_NSEC_PER_MSEC / 2) /
	             1000;
	double apart = off < 0 ? -off : off;
	if (hub_ms == 0)
		return;
	if (apart * 1000 <= CLOCK_DOUBTFUL_MS)
		doctor_find(doctor, WELL, "clock", NULL, "%.1f s from the hub's", apart);
	else
		doctor_find(doctor, apart * 1000 > TOW_SIGNATURE_WINDOW_MS ? ILL : DOUBTFUL,
		            "clock", fix,
		            "%.0f s %s the hub's; from %d s on it refuses what is "
		            "signed here",
		            apart, off < 0 ? "behind" : "ahead of", TOW_SIGNATURE_WINDOW_MS / 1000);
}

/* --- descriptors --- */

int doctor_metric(const struct probe *metrics, const char *name, double *value)
{
	const char *at = (const char *)tow_buf_peek(&metrics->text).base;
	size_t len = strlen(name);
	while (at) {
		if (strncmp(at, name, len) == 0 && at[len] == ' ') {
			*value = strtod(at + len, NULL);
			return 0;
		}
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	return -1;
}

void doctor_judge_descriptors(struct doctor *doctor, const struct probe *metrics,
                              const char *program)
{
	static const char fix[] = "LimitNOFILE=1048576 in its unit, or ulimit -n";
	double open, max;
	if (doctor_metric(metrics, "process_open_fds", &open) != 0 ||
	    doctor_metric(metrics, "process_max_fds", &max) != 0)
		return;
	if (open > max * DESCRIPTORS_FULL)
		doctor_find(doctor, ILL, "descriptors", fix, "%s has %.0f open and may have %.0f",
		            program, open, max);
	else if (max < DESCRIPTORS_FEW)
		doctor_find(doctor, DOUBTFUL, "descriptors", fix,
		            "%s may have %.0f open, and a visitor takes one or two", program, max);
	else
		doctor_find(doctor, WELL, "descriptors", NULL, "%s has %.0f open of %.0f", program,
		            open, max);
}

/* --- edges --- */

static void judge_quic(struct doctor *doctor, const struct probe *probe, const char *name)
{
	char address[TOW_ADDR_TEXT_SIZE];
	tow_addr_format(&probe->addr, address);
	if (probe->error.code == TOW_EAUTH)
		doctor_find(doctor, ILL, "udp",
		            "TOWONEL_EDGE_PUBLIC_ADDRESSES of that edge has to lead to it",
		            "%s/udp is another edge than %s", address, name);
	else if (probe->error.code != 0)
		doctor_find(
			doctor, ILL, "udp",
			"open this port for UDP at the edge's provider and in its firewall, and "
			"outgoing UDP here; until then tunnels go by TCP, and are slower",
			"%s/udp, edge %s: %s", address, name, probe->error.text);
	else if (probe->payload < PAYLOAD_FINE)
		doctor_find(doctor, DOUBTFUL, "udp",
		            "see to the MTU on the way: a VPN or PPPoE, or a firewall that drops "
		            "ICMP",
		            "%s/udp, edge %s: datagrams of %zu bytes at most get through", address,
		            name, probe->payload);
	else
		doctor_find(doctor, WELL, "udp", NULL,
		            "%s/udp, edge %s: QUIC gets through, datagrams of %zu bytes too",
		            address, name, probe->payload);
}

static void judge_tcp(struct doctor *doctor, const struct probe *probe, const char *name)
{
	if (probe->error.code != 0)
		doctor_find(doctor, ILL, "tcp",
		            "open this port for TCP at the edge's provider and in its firewall",
		            "%s:%u/tcp, edge %s: %s", probe->host, probe->port, name,
		            probe->error.text);
	else
		doctor_find(doctor, WELL, "tcp", NULL, "%s:%u/tcp, edge %s: visitors get through",
		            probe->host, probe->port, name);
}

/* Where visitors come to, if the edge says so or that is likely; else 0. */
static uint16_t tcp_port(const json_t *edge, const struct tow_addr *tunnel)
{
	uint64_t port = cli_number(edge, "tcp_port");
	return port && port <= UINT16_MAX      ? (uint16_t)port
	       : tunnel->port == VISITORS_PORT ? VISITORS_PORT
	                                       : 0;
}

/* Of what each name of an edge led to: QUIC, and TCP. */
static void ask_edges(struct doctor *doctor, const struct probe *names, const json_t *const *edges,
                      size_t count, struct doctor_edges *out)
{
	size_t most = 2 * count * TOW_RESOLVE_MAX;
	struct probe *probes = new_probes(most);
	const char **labels = calloc(most + 1, sizeof *labels);
	size_t used = 0;
	out->addrs = calloc(most + 1, sizeof *out->addrs);
	if (!out->addrs || !labels)
		abort();
	for (size_t i = 0; i < count; i++) {
		struct tow_id id;
		const char *name = cli_text(edges[i], "name");
		if (tow_id_parse(tow_slice_of(cli_text(edges[i], "node_id")), &id) != 0)
			continue;
		for (size_t k = 0; k < names[i].addr_count; k++) {
			const struct tow_addr *addr = &names[i].addrs[k];
			out->addrs[out->count++] = *addr;
			labels[used] = *name ? name : names[i].host;
			probe_quic(&probes[used++], addr, &id);
			struct tow_addr tcp = *addr;
			tcp.port = tcp_port(edges[i], addr);
			if (!tcp.port)
				continue;
			labels[used] = labels[used - 1];
			probe_tcp_local(&probes[used++], &tcp);
		}
	}
	probes_run(probes, used);
	for (size_t i = 0; i < used; i++)
		(probes[i].kind == PROBE_QUIC ? judge_quic : judge_tcp)(doctor, &probes[i],
		                                                        labels[i]);
	free_probes(probes, used);
	free(labels);
}

void doctor_judge_edges(struct doctor *doctor, const json_t *edges, struct doctor_edges *out)
{
	struct probe *names = new_probes(EDGE_ADDRESSES_MAX);
	const json_t **of = calloc(EDGE_ADDRESSES_MAX, sizeof *of);
	size_t count = 0, index, k;
	json_t *edge, *address;
	*out = (struct doctor_edges){ 0 };
	if (!of)
		abort();
	json_array_foreach(edges, index, edge)
	{
		json_array_foreach(json_object_get(edge, "addresses"), k, address)
		{
			char host[TOW_HOSTNAME_SIZE];
			uint16_t port;
			const char *text =
				json_is_string(address) ? json_string_value(address) : "";
			if (count == EDGE_ADDRESSES_MAX ||
			    tow_host_port_split(tow_slice_of(text), host, &port, NULL) != 0)
				continue;
			probe_name(&names[count], host, port);
			of[count++] = edge;
		}
	}
	if (count == 0)
		doctor_find(doctor, ILL, "edges",
		            "start towonel-node as an edge, see "
		            "towonel edge-invite create",
		            "the hub lists none");
	probes_run(names, count);
	for (size_t i = 0; i < count; i++) {
		if (names[i].error.code != 0)
			doctor_find(doctor, ILL, "dns",
			            "give that name an address, or set "
			            "TOWONEL_EDGE_PUBLIC_ADDRESSES of the edge",
			            "the edge's address %s: %s", names[i].host,
			            names[i].error.text);
	}
	ask_edges(doctor, names, of, count, out);
	free_probes(names, EDGE_ADDRESSES_MAX);
	free(of);
}

void doctor_edges_deinit(struct doctor_edges *edges)
{
	free(edges->addrs);
}

/* --- names --- */

static int is_edge(const struct doctor_edges *edges, const struct tow_addr *addr)
{
	for (size_t i = 0; i < edges->count; i++)
		if (tow_addr_same_host(&edges->addrs[i], addr))
			return 1;
	return 0;
}

static void judge_name(struct doctor *doctor, const struct probe *probe, const char *name,
                       const struct doctor_edges *edges)
{
	char led[TOW_RESOLVE_MAX * TOW_ADDR_TEXT_SIZE] = "", text[TOW_ADDR_TEXT_SIZE];
	char fix[TOW_HOSTNAME_SIZE + TOW_ADDR_TEXT_SIZE + 64];
	size_t at_edges = 0, len = 0;
	tow_addr_format_host(&edges->addrs[0], text);
	snprintf(fix, sizeof fix, "in DNS: %s %s %s", name,
	         edges->addrs[0].family == 6 ? "AAAA" : "A", text);
	for (size_t i = 0; i < probe->addr_count; i++) {
		at_edges += (size_t)is_edge(edges, &probe->addrs[i]);
		len += (size_t)snprintf(led + len, sizeof led - len, "%s%s", i ? ", " : "",
		                        tow_addr_format_host(&probe->addrs[i], text));
	}
	if (probe->error.code != 0)
		doctor_find(doctor, ILL, "dns", fix, "%s has no address: %s", name,
		            probe->error.text);
	else if (at_edges == 0)
		doctor_find(doctor, ILL, "dns", fix, "%s leads to %s, which is no edge", name, led);
	else if (at_edges < probe->addr_count)
		doctor_find(doctor, DOUBTFUL, "dns", "remove the addresses that are no edge's",
		            "%s leads to %s, not all of which are edges", name, led);
	else
		doctor_find(doctor, WELL, "dns", NULL, "%s leads to an edge, %s", name, led);
}

void doctor_judge_names(struct doctor *doctor, const json_t *hostnames,
                        const struct doctor_edges *edges)
{
	size_t count = json_array_size(hostnames), index;
	struct probe *probes;
	json_t *item;
	if (edges->count == 0)
		return;
	if (count > NAMES_MAX)
		count = NAMES_MAX;
	probes = new_probes(count);
	json_array_foreach(hostnames, index, item)
	{
		char host[TOW_HOSTNAME_SIZE];
		const char *name = json_is_string(item) ? json_string_value(item) : "";
		if (index == count)
			break;
		snprintf(host, sizeof host, "%s%s", *name == '*' ? WILDCARD_LABEL : "",
		         *name == '*' ? name + 1 : name);
		probe_name(&probes[index], host, 443);
	}
	probes_run(probes, count);
	json_array_foreach(hostnames, index, item)
	{
		if (index < count)
			judge_name(doctor, &probes[index],
			           json_is_string(item) ? json_string_value(item) : "", edges);
	}
	free_probes(probes, count);
}
