/* SPDX-License-Identifier: MIT */

#include <towonel/wire/route_feed.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static size_t at_most(size_t count, size_t max)
{
	return count < max ? count : max;
}

static json_t *traffic_of(const struct tow_edge_traffic *traffic)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "at_ms", (json_int_t)traffic->at_ms,
	                 "visitors", (json_int_t)traffic->visitors, "visitors_total",
	                 (json_int_t)traffic->visitors_total, "bytes_in",
	                 (json_int_t)traffic->bytes_in, "bytes_out",
	                 (json_int_t)traffic->bytes_out);
}

/* What an authority said may be long, and in any encoding: json_stringn refuses a half character
 * at the end, so the cut goes back to where one begins. */
static json_t *cut(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len > max)
		for (len = max; len > 0 && (text[len] & 0xc0) == 0x80; len--)
			;
	json_t *json = json_stringn(text, len);
	return json ? json : json_string("");
}

static json_t *certificate_of(const struct tow_edge_certificate *certificate)
{
	return json_pack("{s:s, s:s, s:I, s:o}", "name", certificate->name, "state",
	                 certificate->state, "not_after_ms", (json_int_t)certificate->not_after_ms,
	                 "last_error", cut(certificate->last_error, TOW_EDGE_CERT_ERROR_MAX));
}

static int write_certificates(json_t *root, const struct tow_edge_report *report)
{
	json_t *list = json_array();
	int rc = list ? 0 : TOW_ENOMEM;

	for (size_t i = 0; !rc && i < at_most(report->certificate_count, TOW_EDGE_CERTS_TOLD_MAX);
	     i++)
		rc = json_array_append_new(list, certificate_of(&report->certificates[i]));
	if (rc)
		json_decref(list);
	else
		rc = json_object_set_new(root, "certificates", list);
	return rc ? TOW_ENOMEM : 0;
}

int tow_edge_report_write(const struct tow_edge_report *report, struct tow_buf *out)
{
	json_t *addresses = json_array(), *agents = json_array(), *ports = json_array();
	json_t *root = json_pack("{s:o, s:i, s:s, s:o, s:o}", "addresses", addresses, "tcp_port",
	                         (int)report->tcp_port, "version",
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
		rc = json_array_append_new(ports, json_pack("{s:s, s:i, s:s}", "protocol",
		                                            tow_protocol_name(port->protocol),
		                                            "port", (int)port->port, "reason",
		                                            tow_strerror(port->why)));
	}
	if (!rc && report->traffic)
		rc = json_object_set_new(root, "traffic", traffic_of(report->traffic));
	if (!rc && report->certificate_count)
		rc = write_certificates(root, report);
	if (!rc)
		text = json_dumps(root, JSON_COMPACT);
	rc = text ? tow_buf_append_text(out, text) : TOW_ENOMEM;
	free(text);
	json_decref(root);
	return rc;
}
