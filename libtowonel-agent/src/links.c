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

uint64_t tow__links_quiet_ns(const struct links *links, uint64_t now_ns)
{
	uint64_t most = 0;
	for (size_t i = 0; i < links->count; i++) {
		const struct edge_link *link = links->slots[i].link;
		if (tow__edge_link_is_up(link) && quiet_ns(link, now_ns) > most)
			most = quiet_ns(link, now_ns);
	}
	return most;
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
			list, json_pack("{s:s,s:I}", "edge_id",
		                        tow_id_format(tow__edge_link_edge(link), id), "quiet_ms",
		                        (json_int_t)(quiet_ns(link, now_ns) / TOW_NSEC_PER_MSEC)));
	}
	return list;
}
