/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <stdlib.h>
#include <string.h>

#include <towonel/wire/addr.h>
#include <towonel/wire/hostname.h>

/* What an edge apart from the hub says of itself: agents are told its addresses, the operator the
 * rest. */

struct heartbeat {
	struct tow__call call;
	struct tow_id edge;
	char *report;
	char name[TOW_TENANT_NAME_MAX + 1];
};

static void work(struct tow__call *call, struct tow__store *store)
{
	struct heartbeat *h = (struct heartbeat *)call;
	struct tow__edge_report report = { .node_id = h->edge,
		                           .json = h->report,
		                           .now_ms = tow_wall_ms() };

	call->is_member = !tow__store_edge_report(store, &report, h->name, &call->fault);
	call->member = h->edge;
}

static void respond(struct tow__call *call)
{
	struct heartbeat *h = (struct heartbeat *)call;

	tow__edges_heard(call->hub->edges, &h->edge, h->name, call->body);
	call->answer = json_pack("{s:s, s:i}", "status", "ok", "next_interval_secs",
	                         TOW__EDGE_INTERVAL_SECS);
}

static void release(struct tow__call *call)
{
	free(((struct heartbeat *)call)->report);
}

static int is_address(const json_t *item)
{
	char host[254];
	uint16_t port;

	return json_is_string(item) &&
	       !tow_host_port_split(tow_slice_of(json_string_value(item)), host, &port, NULL);
}

static int is_id(const json_t *item)
{
	struct tow_id id;

	return json_is_string(item) && !tow_id_parse(tow_slice_of(json_string_value(item)), &id);
}

static int is_port(const json_t *item)
{
	const char *protocol = json_string_value(json_object_get(item, "protocol"));
	json_int_t port = json_integer_value(json_object_get(item, "port"));
	const json_t *reason = json_object_get(item, "reason");

	if (reason && (!json_is_string(reason) || json_string_length(reason) > TOW_EDGE_REASON_MAX))
		return 0;
	return protocol && (!strcmp(protocol, "tcp") || !strcmp(protocol, "udp")) && port > 0 &&
	       port <= UINT16_MAX;
}

static int is_text(const json_t *item, size_t max)
{
	return json_is_string(item) && json_string_length(item) <= max;
}

static int is_count(const json_t *item)
{
	return json_is_integer(item) && json_integer_value(item) >= 0;
}

static int is_certificate(const json_t *item)
{
	return is_text(json_object_get(item, "name"), TOW_HOSTNAME_SIZE - 1) &&
	       is_text(json_object_get(item, "state"), TOW_EDGE_CERT_STATE_MAX) &&
	       is_text(json_object_get(item, "last_error"), TOW_EDGE_CERT_ERROR_MAX) &&
	       is_count(json_object_get(item, "not_after_ms"));
}

static void check_traffic(struct tow__call *call)
{
	static const char *const counts[] = { "at_ms", "visitors", "visitors_total", "bytes_in",
		                              "bytes_out" };
	json_t *traffic = json_object_get(call->body, "traffic");

	if (call->fault.kind || !traffic)
		return;
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		if (!is_count(json_object_get(traffic, counts[i])))
			tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
			               "\"traffic\" has no whole number \"%s\"", counts[i]);
}

static void check_list(struct tow__call *call, const char *key, size_t max, const char *what,
                       int (*is_good)(const json_t *item))
{
	json_t *list = json_object_get(call->body, key), *item;
	size_t index;

	if (call->fault.kind || !list)
		return;
	if (!json_is_array(list) || json_array_size(list) > max) {
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
		               "\"%s\" is no list of at most %zu", key, max);
		return;
	}
	json_array_foreach(list, index, item)
	{
		if (is_good(item))
			continue;
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST, "\"%s\" has what is no %s", key,
		               what);
		return;
	}
}

void tow__api_edge_heartbeat(void *user, struct tow_http_request *request)
{
	static const char *const keys[] = { "addresses",    "tcp_port", "version",      "agents",
		                            "failed_ports", "traffic",  "certificates", NULL };
	struct heartbeat *h = tow__call_new(user, request, sizeof *h);
	const char *version;

	if (!h)
		return;
	h->call.access = TOW__DB_WRITE;
	h->call.work = work;
	h->call.respond = respond;
	h->call.release = release;
	tow__call_body(&h->call, keys);
	version = tow__call_text(&h->call, "version", 0);
	if (version && strlen(version) > TOW_EDGE_VERSION_MAX)
		tow__fault_set(&h->call.fault, TOW__INVALID_REQUEST,
		               "\"version\" is longer than %d bytes", TOW_EDGE_VERSION_MAX);
	tow__call_int(&h->call, "tcp_port", UINT16_MAX, 0);
	check_list(&h->call, "addresses", TOW_EDGE_ADDRESSES_MAX, "HOST:PORT", is_address);
	check_list(&h->call, "agents", TOW_EDGE_AGENTS_TOLD_MAX, "agent's id", is_id);
	check_list(&h->call, "failed_ports", TOW_EDGE_PORTS_TOLD_MAX, "protocol and port", is_port);
	check_list(&h->call, "certificates", TOW_EDGE_CERTS_TOLD_MAX, "certificate",
	           is_certificate);
	check_traffic(&h->call);
	if (!h->call.fault.kind &&
	    !tow__auth_signed(h->call.hub, request, TOW_DOMAIN_EDGE_HEARTBEAT, &h->edge,
	                      &h->call.fault)) {
		h->report = json_dumps(h->call.body, JSON_COMPACT);
		if (!h->report)
			tow__call_made(&h->call, NULL);
	}
	tow__call_run(&h->call);
}
