/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <stdlib.h>
#include <string.h>

/* The feed of the routes, for an edge that was invited. */

struct subscribe {
	struct tow__call call;
	struct tow_id edge;
	uint64_t version;
};

static void work(struct tow__call *call, struct tow__store *store)
{
	struct subscribe *s = (struct subscribe *)call;

	call->is_member = !tow__store_edge_check(store, &s->edge, &call->fault);
	call->member = s->edge;
}

static void respond(struct tow__call *call)
{
	struct subscribe *s = (struct subscribe *)call;

	tow__subscribers_add(call->hub->subscribers, call->request, &s->edge, s->version);
	call->answered = 1;
	/* it may have been revoked since it was looked up */
	tow__edges_look(call->hub->edges);
}

/* An id that this hub cannot have given counts as none: a snapshot is right for everybody. */
static uint64_t version_of(const char *last_event_id)
{
	size_t digits = last_event_id ? strspn(last_event_id, "0123456789") : 0;

	return digits && digits <= 18 && !last_event_id[digits] ? strtoull(last_event_id, NULL, 10)
	                                                        : 0;
}

void tow__api_subscribe(void *user, struct tow_http_request *request)
{
	struct subscribe *s = tow__call_new(user, request, sizeof *s);

	if (!s)
		return;
	s->call.work = work;
	s->call.respond = respond;
	s->version = version_of(tow_http_header(request, "Last-Event-ID"));
	tow__auth_signed(s->call.hub, request, TOW_DOMAIN_EDGE_SUBSCRIBE, &s->edge, &s->call.fault);
	tow__call_run(&s->call);
}
