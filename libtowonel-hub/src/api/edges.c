/* SPDX-License-Identifier: MIT */
#include "api/api.h"

static void respond(struct tow__call *call)
{
	call->answer = json_pack("{s:o}", "edges", tow__edges_for_all(&call->hub->edges));
}

void tow__api_edges(void *user, struct tow_http_request *request)
{
	struct tow__call *call = tow__call_new(user, request, sizeof *call);

	if (!call)
		return;
	call->respond = respond;
	tow__call_run(call);
}
