/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <string.h>

#define AVAILABLE_MAX     200
#define AVAILABLE_DEFAULT 20

static int add_port(void *user, const struct tow_route_port *port, uint64_t claimed_ms)
{
	struct tow__call *call = user;
	json_t *json = json_pack("{s:i, s:s, s:o, s:s, s:n, s:I}", "port", port->port, "protocol",
	                         tow_protocol_name(port->protocol), "tenant_id",
	                         tow__json_id(&port->tenant_id), "service", port->service, "label",
	                         "claimed_at_ms", (json_int_t)claimed_ms);

	return json_array_append_new(json_object_get(call->answer, "ports"), json) ? TOW_ENOMEM : 0;
}

static void list_work(struct tow__call *call, struct tow__store *store)
{
	call->answer = json_pack("{s:[]}", "ports");
	tow__store_port_list(store, add_port, call, &call->fault);
}

void tow__api_port_list(void *user, struct tow_http_request *request)
{
	struct tow__call *call = tow__call_new(user, request, sizeof *call);

	if (!call)
		return;
	call->work = list_work;
	tow__call_run(call);
}

struct available {
	struct tow__call call;
	enum tow_protocol protocol;
	size_t count;
};

static void available_work(struct tow__call *call, struct tow__store *store)
{
	struct available *a = (struct available *)call;
	uint16_t ports[AVAILABLE_MAX];
	size_t found;
	json_t *list;

	if (tow__store_port_available(store, a->protocol, a->count, ports, &found, &call->fault))
		return;
	list = json_array();
	for (size_t i = 0; i < found; i++)
		json_array_append_new(list, json_integer(ports[i]));
	call->answer = json_pack("{s:s, s:i, s:i, s:o}", "protocol", tow_protocol_name(a->protocol),
	                         "range_start", TOW__PORTS_FIRST, "range_end", TOW__PORTS_LAST,
	                         "ports", list);
}

void tow__api_port_available(void *user, struct tow_http_request *request)
{
	struct available *a = tow__call_new(user, request, sizeof *a);
	const char *protocol = tow_http_query(request, "protocol");

	if (!a)
		return;
	a->call.work = available_work;
	if (protocol && !strcmp(protocol, "udp"))
		a->protocol = TOW_PROTOCOL_UDP;
	else if (!protocol || strcmp(protocol, "tcp") != 0)
		tow__fault_set(&a->call.fault, TOW__INVALID_REQUEST, "\"protocol\" is tcp or udp");
	a->count = tow__call_query_int(&a->call, "count", 1, AVAILABLE_MAX, AVAILABLE_DEFAULT);
	tow__call_run(&a->call);
}
