/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <stdio.h>

#include <towonel/wire/limits.h>

#define OPERATOR .flags = TOW__API_OPERATOR
#define PUBLIC   .flags = TOW__API_PUBLIC

const struct tow_http_route tow__api_routes[] = {
	{ "GET", "/", PUBLIC, .handle = tow__api_page },
	{ "GET", "/v1/health", PUBLIC, .handle = tow__api_health },
	{ "GET", "/v1/openapi.json", PUBLIC, .handle = tow__api_openapi },
	{ "GET", "/v1/status", OPERATOR, .handle = tow__api_status },
	{ "GET", "/v1/edges", PUBLIC, .handle = tow__api_edges },
	{ "POST", "/v1/invites", OPERATOR, .handle = tow__api_invite_create },
	{ "GET", "/v1/invites", OPERATOR, .handle = tow__api_invite_list },
	{ "GET", "/v1/invites/{id}", OPERATOR, .handle = tow__api_invite_get },
	{ "DELETE", "/v1/invites/{id}", OPERATOR, .handle = tow__api_invite_revoke },
	{ "POST", "/v1/invites/{id}/hostnames", OPERATOR, .handle = tow__api_invite_add_hostnames },
	{ "DELETE", "/v1/invites/{id}/hostnames/{hostname}", OPERATOR,
	  .handle = tow__api_invite_remove_hostname },
	{ "GET", "/v1/tenants", OPERATOR, .handle = tow__api_tenant_list },
	{ "PATCH", "/v1/tenants/{id}", OPERATOR, .handle = tow__api_tenant_limit },
	{ "DELETE", "/v1/tenants/{id}", OPERATOR, .handle = tow__api_tenant_remove },
	{ "POST", "/v1/tenants/{id}/leave", PUBLIC, .handle = tow__api_tenant_leave },
	{ "GET", "/v1/tenants/{id}/entries", PUBLIC, .handle = tow__api_tenant_entries },
	{ "POST", "/v1/entries", PUBLIC, .body_max = TOW_HTTP_ENTRIES_BODY_MAX,
	  .handle = tow__api_entries },
	{ "POST", "/v1/bootstrap", PUBLIC, .handle = tow__api_bootstrap },
	{ "POST", "/v1/agent/heartbeat", PUBLIC, .body_max = TOW_HTTP_HEARTBEAT_BODY_MAX,
	  .handle = tow__api_agent_heartbeat },
	{ "POST", "/v1/edge-invites", OPERATOR, .handle = tow__api_edge_invite_create },
	{ "GET", "/v1/edge-invites", OPERATOR, .handle = tow__api_edge_invite_list },
	{ "DELETE", "/v1/edge-invites/{id}", OPERATOR, .handle = tow__api_edge_invite_revoke },
	{ "POST", "/v1/edge/heartbeat", PUBLIC, .body_max = TOW_HTTP_HEARTBEAT_BODY_MAX,
	  .handle = tow__api_edge_heartbeat },
	{ "GET", "/v1/routes/subscribe", PUBLIC, .handle = tow__api_subscribe },
	{ "GET", "/v1/ports", OPERATOR, .handle = tow__api_port_list },
	{ "GET", "/v1/ports/available", OPERATOR, .handle = tow__api_port_available },
	{ "POST", "/v1/tenants/{id}/ports", OPERATOR, .handle = tow__api_tenant_port_reserve },
	{ "GET", "/v1/tenants/{id}/ports", OPERATOR, .handle = tow__api_tenant_port_list },
	{ "DELETE", "/v1/tenants/{id}/ports/{protocol}/{port}", OPERATOR,
	  .handle = tow__api_tenant_port_release },
	{ "GET", "/v1/audit", OPERATOR, .handle = tow__api_audit },
};
const size_t tow__api_route_count = sizeof tow__api_routes / sizeof *tow__api_routes;

static int refuse(struct tow_http_request *request, const struct tow__fault *fault)
{
	tow_http_respond_error(request, tow__fault_status(fault->kind),
	                       tow__fault_code(fault->kind), "%s", fault->text);
	return 1;
}

int tow__api_limited(struct tow_hub *hub, struct tow_http_request *request)
{
	uint64_t wait_ms =
		tow_rate_limit_take(hub->rate_limit, tow_http_peer(request), tow_now_ns());
	struct tow__fault fault = { TOW__NO_FAULT, "" };
	char seconds[24];

	if (!wait_ms)
		return 0;
	snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)(wait_ms + 999) / 1000);
	tow_http_set_header(request, "Retry-After", seconds);
	tow__fault_set(&fault, TOW__RATE_LIMITED,
	               "too many requests from this address: %d a second are taken",
	               TOW_REQUESTS_PER_SECOND);
	return refuse(request, &fault);
}

/* Who is behind an address shows only when a signature or a secret has been looked at, which is
 * work: so each request is taken for a stranger's until then. Strangers and those who do not tell
 * the truth are as slow as their address may be, and a thousand agents behind one address are
 * not. */
void tow__api_member_asked(struct tow_hub *hub, const struct tow_http_request *request,
                           const struct tow_id *member)
{
	if (!tow_rate_limit_take_id(hub->member_limit, member, tow_now_ns()))
		tow_rate_limit_give(hub->rate_limit, tow_http_peer(request));
}

int tow__api_before(void *user, struct tow_http_request *request)
{
	struct tow_hub *hub = user;
	const struct tow_http_route *route = tow_http_route_of(request);
	struct tow__fault fault = { TOW__NO_FAULT, "" };
	uint64_t suppressed;

	if (!tow__auth_operator(hub, request, &fault))
		return 0;
	if (route && route->flags & TOW__API_OPERATOR) {
		if (tow_http_header(request, "Authorization") &&
		    tow_log_gate_open(&hub->refused, tow_now_ns(), &suppressed))
			tow_log_warn(hub->log, "a wrong operator key was used",
			             tow_f_addr("from", tow_http_peer(request)),
			             tow_f_str("endpoint", route->path),
			             tow_f_uint("suppressed", suppressed));
		return refuse(request, &fault);
	}
	return tow__api_limited(hub, request);
}

void tow__api_after(void *user, const struct tow_http_request *request, int status)
{
	struct tow_hub *hub = user;
	const struct tow_http_route *route = tow_http_route_of(request);
	const char *endpoint = route ? route->path : "other";
	char labels[160], label[128];

	snprintf(labels, sizeof labels, "%s,status=\"%d\"",
	         tow_metric_label(label, sizeof label, "endpoint", endpoint), status);
	tow_metric_inc(tow_metrics_series(hub->metrics, TOW_METRIC_COUNTER,
	                                  "towonel_hub_requests_total", labels,
	                                  "Requests answered, by endpoint and status."));
	tow_log_debug(hub->log, "request", tow_f_str("method", tow_http_method(request)),
	              tow_f_str("endpoint", endpoint), tow_f_int("status", status),
	              tow_f_addr("from", tow_http_peer(request)),
	              tow_f_str("request_id", tow_http_request_id(request)));
}
