/* SPDX-License-Identifier: MIT */
#include "links.h"

#include <stdlib.h>
#include <string.h>

struct link_slot *tow__links_find(struct links *links, const struct tow_id *edge)
{
	for (size_t i = 0; i < links->count; i++)
		if (tow_id_equal(tow__edge_link_edge(links->slots[i].link), edge))
			return &links->slots[i];
	return NULL;
}

struct link_slot *tow__links_add(struct links *links, const struct edge_link_config *config)
{
	struct link_slot *slots;
	if (links->count >= TOW_EDGES_PER_AGENT)
		return NULL;
	slots = reallocarray(links->slots, links->count + 1, sizeof *slots);
	if (!slots)
		return NULL;
	links->slots = slots;
	struct link_slot *slot = &slots[links->count];
	memset(slot, 0, sizeof *slot);
	if (tow__edge_link_new(config, &slot->link) != 0)
		return NULL;
	links->count++;
	return slot;
}

void tow__links_forget(struct links *links, const struct edge_link *link)
{
	for (size_t i = 0; i < links->count; i++) {
		if (links->slots[i].link == link) {
			links->slots[i] = links->slots[--links->count];
			return;
		}
	}
}

void tow__links_deinit(struct links *links)
{
	free(links->slots);
	memset(links, 0, sizeof *links);
}

static uint64_t quiet_ns(const struct edge_link *link, uint64_t now_ns)
{
	uint64_t last = tow__edge_link_last_pong_ns(link);
	return now_ns > last ? now_ns - last : 0;
}

/* The most of what is so of tunnels that are up. */
static uint64_t most(const struct links *links, uint64_t (*of)(const struct edge_link *, uint64_t))
{
	uint64_t most = 0, now_ns = tow_now_ns();
	for (size_t i = 0; i < links->count; i++) {
		const struct edge_link *link = links->slots[i].link;
		if (tow__edge_link_is_up(link) && of(link, now_ns) > most)
			most = of(link, now_ns);
	}
	return most;
}

static double quiet_seconds(void *user)
{
	return (double)most(user, quiet_ns) / (double)TOW_NSEC_PER_SEC;
}

static uint64_t rtt_ns(const struct edge_link *link, uint64_t now_ns)
{
	(void)now_ns;
	return tow__edge_link_rtt_ns(link);
}

static double rtt_seconds(void *user)
{
	return (double)most(user, rtt_ns) / (double)TOW_NSEC_PER_SEC;
}

static double carried(void *user)
{
	const struct links *links = user;
	size_t count = 0;
	for (size_t i = 0; i < links->count; i++)
		count += tow__edge_link_is_carried(links->slots[i].link) != 0;
	return (double)count;
}

void tow__links_measure(struct links *links, struct tow_metrics *metrics)
{
	tow_metrics_callback(metrics, TOW_METRIC_GAUGE, "towonel_agent_tunnel_quiet_seconds", NULL,
	                     "Time since the quietest tunnel carried a byte there and back.",
	                     quiet_seconds, links);
	tow_metrics_callback(metrics, TOW_METRIC_GAUGE, "towonel_agent_tunnel_rtt_seconds", NULL,
	                     "How long a byte takes there and back through the slowest tunnel.",
	                     rtt_seconds, links);
	tow_metrics_callback(metrics, TOW_METRIC_GAUGE, "towonel_agent_tunnels_over_tcp", NULL,
	                     "Tunnels that go by TCP, because UDP is blocked.", carried, links);
}

int tow__links_all_quiet(const struct links *links, uint64_t for_ns)
{
	uint64_t now_ns = tow_now_ns();
	int up = 0;
	for (size_t i = 0; i < links->count; i++) {
		const struct edge_link *link = links->slots[i].link;
		if (tow__edge_link_is_up(link) && quiet_ns(link, now_ns) < for_ns)
			return 0;
		up |= tow__edge_link_is_up(link);
	}
	return up;
}

void tow__links_note(const struct links *links, struct tow_buf *notes)
{
	uint64_t now_ns = tow_now_ns();
	for (size_t i = 0; i < links->count; i++) {
		const struct edge_link *link = links->slots[i].link;
		if (tow__edge_link_is_up(link))
			tow_buf_printf(
				notes, "tunnel to %s%s: answered %llu s ago, in %.1f ms\n",
				tow__edge_link_address(link),
				tow__edge_link_is_carried(link)
					? ", by TCP as UDP does not get through"
					: "",
				(unsigned long long)(quiet_ns(link, now_ns) / TOW_NSEC_PER_SEC),
				(double)tow__edge_link_rtt_ns(link) / (double)TOW_NSEC_PER_MSEC);
	}
}

json_t *tow__links_tell(const struct links *links, uint64_t now_ns)
{
	json_t *list = json_array();
	char id[TOW_ID_TEXT_SIZE];
	for (size_t i = 0; list && i < links->count && json_array_size(list) < TOW_TUNNELS_TOLD_MAX;
	     i++) {
		const struct edge_link *link = links->slots[i].link;
		if (!tow__edge_link_is_up(link))
			continue;
		json_array_append_new(
			list,
			json_pack("{s:s,s:s,s:I,s:I}", "edge_id",
		                  tow_id_format(tow__edge_link_edge(link), id), "transport",
		                  tow__edge_link_is_carried(link) ? "tcp" : "udp", "quiet_ms",
		                  (json_int_t)(quiet_ns(link, now_ns) / TOW_NSEC_PER_MSEC),
		                  "rtt_us", (json_int_t)(tow__edge_link_rtt_ns(link) / 1000)));
	}
	return list;
}
