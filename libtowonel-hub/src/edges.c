/* SPDX-License-Identifier: MIT */
#include "edges.h"

#include <string.h>

int tow__edges_report(struct tow__edges *edges, const struct tow_edge_report *report)
{
	json_t *addresses = json_array();

	for (size_t i = 0; i < report->address_count; i++)
		if (json_array_append_new(addresses, json_string(report->addresses[i]))) {
			json_decref(addresses);
			return TOW_ENOMEM;
		}
	if (!addresses)
		return TOW_ENOMEM;
	json_decref(edges->addresses);
	edges->addresses = addresses;
	edges->node_id = report->node_id;
	edges->reported = 1;
	return 0;
}

void tow__edges_deinit(struct tow__edges *edges)
{
	json_decref(edges->addresses);
	memset(edges, 0, sizeof *edges);
}

json_t *tow__edges_for_agents(const struct tow__edges *edges)
{
	char id[TOW_ID_TEXT_SIZE];

	if (!edges->reported)
		return json_array();
	return json_pack("[{s:s, s:O}]", "node_id", tow_id_format(&edges->node_id, id), "addresses",
	                 edges->addresses);
}

json_t *tow__edges_for_all(const struct tow__edges *edges)
{
	char id[TOW_ID_TEXT_SIZE];

	if (!edges->reported)
		return json_array();
	return json_pack("[{s:s, s:s, s:O, s:b}]", "node_id", tow_id_format(&edges->node_id, id),
	                 "name", TOW__LOCAL_EDGE_NAME, "addresses", edges->addresses, "live", 1);
}

json_t *tow__edges_ids(const struct tow__edges *edges)
{
	char id[TOW_ID_TEXT_SIZE];

	if (!edges->reported)
		return json_array();
	return json_pack("[s]", tow_id_format(&edges->node_id, id));
}
