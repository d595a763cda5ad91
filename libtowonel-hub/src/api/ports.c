/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <stdio.h>
#include <string.h>

#define AVAILABLE_MAX     200
#define AVAILABLE_DEFAULT 20
#define LIST_MAX          (2 * 65535) /* there are no more; so without a limit it is all */

struct port_call {
	struct tow__call call;
	struct tow__port port; /* what is asked for */
	int of_tenant;
	struct tow__page page;
	size_t count; /* of available ones */
};

static struct port_call *new_call(struct tow_hub *hub, struct tow_http_request *request)
{
	return tow__call_new(hub, request, sizeof(struct port_call));
}

static int protocol_of(const char *text, enum tow_protocol *out)
{
	if (!text || (strcmp(text, "tcp") != 0 && strcmp(text, "udp") != 0))
		return TOW_EPARSE;
	*out = text[0] == 'u' ? TOW_PROTOCOL_UDP : TOW_PROTOCOL_TCP;
	return 0;
}

static void refuse_protocol(struct tow__call *call)
{
	if (!call->fault.kind)
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST, "\"protocol\" is tcp or udp");
}

json_t *tow__json_port(const struct tow__port *port)
{
	return json_pack("{s:i, s:s, s:o, s:s?, s:o, s:o, s:b, s:s?, s:I}", "port", port->number,
	                 "protocol", tow_protocol_name(port->protocol), "tenant_id",
	                 tow__json_id(&port->tenant_id), "service",
	                 port->service[0] ? port->service : NULL, "allow_from",
	                 tow__json_access(&port->access, TOW_ACCESS_ALLOW), "deny_from",
	                 tow__json_access(&port->access, TOW_ACCESS_DENY), "reserved",
	                 port->reserved, "label", port->label[0] ? port->label : NULL,
	                 "claimed_at_ms", (json_int_t)port->claimed_ms);
}

/* --- lists --- */

static int add_port(void *user, const struct tow__port *port)
{
	struct tow__call *call = user;

	return json_array_append_new(json_object_get(call->answer, "ports"), tow__json_port(port))
	               ? TOW_ENOMEM
	               : 0;
}

static void list_work(struct tow__call *call, struct tow__store *store)
{
	struct port_call *p = (struct port_call *)call;

	call->answer = json_pack("{s:[]}", "ports");
	call->counted = 1;
	tow__store_port_list(store, p->of_tenant ? &p->port.tenant_id : NULL, &p->page, add_port,
	                     call, &call->total_count, &call->fault);
}

static void list(struct port_call *p)
{
	p->call.work = list_work;
	p->page.limit = tow__call_query_int(&p->call, "limit", 1, LIST_MAX, LIST_MAX);
	p->page.offset = tow__call_query_int(&p->call, "offset", 0, LIST_MAX, 0);
	tow__call_run(&p->call);
}

void tow__api_port_list(void *user, struct tow_http_request *request)
{
	struct port_call *p = new_call(user, request);

	if (p)
		list(p);
}

void tow__api_tenant_port_list(void *user, struct tow_http_request *request)
{
	struct port_call *p = new_call(user, request);

	if (!p)
		return;
	p->of_tenant = 1;
	tow__call_path_tenant(&p->call, &p->port.tenant_id);
	list(p);
}

/* --- available --- */

static void available_work(struct tow__call *call, struct tow__store *store)
{
	struct port_call *p = (struct port_call *)call;
	uint16_t ports[AVAILABLE_MAX];
	size_t found;
	json_t *list;

	if (tow__store_port_available(store, p->port.protocol, p->count, ports, &found,
	                              &call->fault))
		return;
	list = json_array();
	for (size_t i = 0; i < found; i++)
		json_array_append_new(list, json_integer(ports[i]));
	call->answer = json_pack("{s:s, s:i, s:i, s:o}", "protocol",
	                         tow_protocol_name(p->port.protocol), "range_start",
	                         TOW__PORTS_FIRST, "range_end", TOW__PORTS_LAST, "ports", list);
}

void tow__api_port_available(void *user, struct tow_http_request *request)
{
	struct port_call *p = new_call(user, request);

	if (!p)
		return;
	p->call.work = available_work;
	if (protocol_of(tow_http_query(request, "protocol"), &p->port.protocol))
		refuse_protocol(&p->call);
	p->count = tow__call_query_int(&p->call, "count", 1, AVAILABLE_MAX, AVAILABLE_DEFAULT);
	tow__call_run(&p->call);
}

/* --- reservations --- */

static void reserve_work(struct tow__call *call, struct tow__store *store)
{
	struct port_call *p = (struct port_call *)call;

	p->port.claimed_ms = tow_wall_ms();
	tow__store_port_reserve(store, &p->port, &call->fault);
}

static void reserved(struct tow__call *call)
{
	struct port_call *p = (struct port_call *)call;
	const struct tow__port *port = &p->port;
	json_t *edges = tow__edges_for_agents(call->hub->edges);

	tow_log_info(call->hub->log, "port reserved", tow_f_uint("port", port->number),
	             tow_f_str("protocol", tow_protocol_name(port->protocol)),
	             tow_f_id("tenant", &port->tenant_id),
	             tow_f_addr("by", tow_http_peer(call->request)));
	call->status = 201;
	call->answer = json_pack("{s:s, s:i, s:s, s:s?, s:I, s:O?}", "status", "ok", "port",
	                         port->number, "protocol", tow_protocol_name(port->protocol),
	                         "label", port->label[0] ? port->label : NULL, "claimed_at_ms",
	                         (json_int_t)port->claimed_ms, "edge", json_array_get(edges, 0));
	json_decref(edges);
}

static void set_label(struct port_call *p, const char *label)
{
	if (!label || !label[0] || p->call.fault.kind)
		return;
	if (strlen(label) > TOW_PORT_LABEL_MAX)
		tow__fault_set(&p->call.fault, TOW__INVALID_REQUEST,
		               "\"label\" is longer than %d bytes", TOW_PORT_LABEL_MAX);
	else if (tow_service_name_check(tow_slice_of(label), NULL))
		tow__fault_set(&p->call.fault, TOW__INVALID_REQUEST,
		               "\"label\" has a control character");
	else
		snprintf(p->port.label, sizeof p->port.label, "%s", label);
}

void tow__api_tenant_port_reserve(void *user, struct tow_http_request *request)
{
	static const char *const keys[] = { "protocol", "preferred", "label", NULL };
	struct port_call *p = new_call(user, request);

	if (!p)
		return;
	p->call.access = TOW__DB_WRITE;
	p->call.work = reserve_work;
	p->call.respond = reserved;
	tow__call_path_tenant(&p->call, &p->port.tenant_id);
	tow__call_body(&p->call, keys);
	if (protocol_of(tow__call_text(&p->call, "protocol", 1), &p->port.protocol))
		refuse_protocol(&p->call);
	p->port.number = (uint16_t)tow__call_int(&p->call, "preferred", UINT16_MAX, 0);
	set_label(p, tow__call_text(&p->call, "label", 0));
	tow__call_run(&p->call);
}

static void release_work(struct tow__call *call, struct tow__store *store)
{
	const struct tow__port *port = &((struct port_call *)call)->port;

	if (!tow__store_port_release(store, &port->tenant_id, port->protocol, port->number,
	                             &call->fault))
		call->answer =
			json_pack("{s:s, s:i, s:s}", "status", "released", "port", port->number,
		                  "protocol", tow_protocol_name(port->protocol));
}

void tow__api_tenant_port_release(void *user, struct tow_http_request *request)
{
	struct port_call *p = new_call(user, request);
	uint64_t number;

	if (!p)
		return;
	p->call.access = TOW__DB_WRITE;
	p->call.work = release_work;
	tow__call_path_tenant(&p->call, &p->port.tenant_id);
	if (protocol_of(tow_http_param(request, "protocol"), &p->port.protocol) ||
	    tow__digits_parse(tow_http_param(request, "port"), 1, UINT16_MAX, &number))
		tow__fault_set(&p->call.fault, TOW__NOT_FOUND, "there is no such port");
	else
		p->port.number = (uint16_t)number;
	tow__call_run(&p->call);
}
