/* SPDX-License-Identifier: MIT */

#include <towonel/wire/route_feed.h>

#include <stdlib.h>

#include <jansson.h>

static size_t at_most(size_t count, size_t max)
{
	return count < max ? count : max;
}

int tow_edge_report_write(const struct tow_edge_report *report, struct tow_buf *out)
{
	json_t *addresses = json_array(), *agents = json_array(), *ports = json_array();
	json_t *root = json_pack("{s:o, s:s, s:o, s:o}", "addresses", addresses, "version",
	                         report->version ? report->version : "", "agents", agents,
	                         "failed_ports", ports);
	char id[TOW_ID_TEXT_SIZE];
	char *text = NULL;
	int rc = root ? 0 : TOW_ENOMEM;

	for (size_t i = 0; !rc && i < at_most(report->address_count, TOW_EDGE_ADDRESSES_MAX); i++)
		rc = json_array_append_new(addresses, json_string(report->addresses[i]));
	for (size_t i = 0; !rc && i < at_most(report->agent_count, TOW_EDGE_AGENTS_TOLD_MAX); i++)
		rc = json_array_append_new(agents,
		                           json_string(tow_id_format(&report->agents[i], id)));
	for (size_t i = 0; !rc && i < at_most(report->failed_port_count, TOW_EDGE_PORTS_TOLD_MAX);
	     i++) {
		const struct tow_failed_port *port = &report->failed_ports[i];
		rc = json_array_append_new(
			ports, json_pack("{s:s, s:i, s:s}", "protocol",
		                         tow_protocol_name(port->protocol), "port", (int)port->port,
		                         "reason", tow_strerror(port->why)));
	}
	if (!rc)
		text = json_dumps(root, JSON_COMPACT);
	rc = text ? tow_buf_append_text(out, text) : TOW_ENOMEM;
	free(text);
	json_decref(root);
	return rc;
}
