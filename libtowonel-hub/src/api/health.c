/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#define PROTOCOL_VERSION 1 /* of the tunnel: ALPN towonel/1 */

json_t *tow__json_health(const struct tow_hub *hub)
{
	char id[TOW_ID_TEXT_SIZE];

	return json_pack("{s:s, s:s, s:s, s:i, s:I}", "status", "ok", "node_id",
	                 tow_id_format(&hub->key.id, id), "version", hub->version,
	                 "protocol_version", PROTOCOL_VERSION, "time_ms",
	                 (json_int_t)tow_wall_ms());
}

static void respond(struct tow__call *call)
{
	call->answer = tow__json_health(call->hub);
}

void tow__api_health(void *user, struct tow_http_request *request)
{
	struct tow__call *call = tow__call_new(user, request, sizeof *call);

	if (!call)
		return;
	call->respond = respond;
	tow__call_run(call);
}
