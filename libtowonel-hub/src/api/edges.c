/* SPDX-License-Identifier: MIT */
#include "api/api.h"

/* Whoever asks is told where the edges are; the operator, how they are too. */
static void respond(struct tow__call *call)
{
	struct tow__fault fault;
	int details = !tow__auth_operator(call->hub, call->request, &fault);

	call->answer = json_pack("{s:o}", "edges", tow__edges_for_all(call->hub->edges, details));
}

void tow__api_edges(void *user, struct tow_http_request *request)
{
	struct tow__call *call = tow__call_new(user, request, sizeof *call);

	if (!call)
		return;
	call->respond = respond;
	tow__call_run(call);
}
