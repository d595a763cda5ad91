/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#define LIMIT_MAX     1000
#define LIMIT_DEFAULT 100

struct audit {
	struct tow__call call;
	struct tow_id tenant;
	int of_tenant;
	struct tow__page page; /* offset: the event to go on from */
	json_t *events;
	uint64_t last;
};

static int add_event(void *user, const struct tow__audit_event *e)
{
	struct audit *a = user;
	json_t *json = json_pack(
		"{s:I, s:I, s:s, s:s, s:o, s:o, s:s, s:s, s:s}", "id", (json_int_t)e->id, "at_ms",
		(json_int_t)e->at_ms, "actor", e->by_operator ? "operator" : "tenant", "action",
		e->action, "tenant_id", e->has_tenant ? tow__json_id(&e->tenant_id) : json_null(),
		"tenant_name", *e->tenant_name ? json_string(e->tenant_name) : json_null(),
		"subject", e->subject, "source", e->source, "request_id", e->request_id);

	a->last = e->id;
	return json_array_append_new(a->events, json) ? TOW_ENOMEM : 0;
}

static void work(struct tow__call *call, struct tow__store *store)
{
	struct audit *a = (struct audit *)call;

	a->events = tow__call_made(call, json_array());
	if (a->events)
		tow__store_audit_list(store, a->of_tenant ? &a->tenant : NULL, &a->page, add_event,
		                      a, &call->fault);
}

static void respond(struct tow__call *call)
{
	struct audit *a = (struct audit *)call;
	json_t *before = json_array_size(a->events) == a->page.limit
	                         ? json_integer((json_int_t)a->last)
	                         : json_null();

	call->answer = json_pack("{s:O, s:o}", "events", a->events, "next_before", before);
}

static void release(struct tow__call *call)
{
	json_decref(((struct audit *)call)->events);
}

void tow__api_audit(void *user, struct tow_http_request *request)
{
	struct audit *a = tow__call_new(user, request, sizeof *a);

	if (!a)
		return;
	a->call.work = work;
	a->call.respond = respond;
	a->call.release = release;
	a->of_tenant = tow__call_query_id(&a->call, "tenant_id", &a->tenant);
	a->page.offset = tow__call_query_int(&a->call, "before", 1, INT64_MAX, 0);
	a->page.limit = tow__call_query_int(&a->call, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT);
	tow__call_run(&a->call);
}
