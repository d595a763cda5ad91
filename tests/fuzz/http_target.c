/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <string.h>

#include "http/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct tow_http_route routes[] = {
	{ "GET", "/", 0, 0, NULL },
	{ "GET", "/v1/invites/{id}", 0, 0, NULL },
	{ "DELETE", "/v1/invites/{id}/hostnames/{hostname}", 0, 0, NULL },
	{ "POST", "/{a}/{b}/{c}", 0, 0, NULL },
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "DELETE" };
	struct tow__target target;
	struct tow__route_match match;

	if (tow__target_parse(tow_slice_make(bytes, len), &target))
		return 0;
	assert(target.path[0] == '/' && target.part_count >= 1);
	for (size_t i = 0; i < target.part_count; i++)
		assert(strlen(target.parts[i]) <= len);
	for (size_t i = 0; i < target.query_count; i++)
		assert(target.query[i].name.len + strlen(target.query[i].value) <= len);
	for (size_t i = 0; i < 4; i++) {
		int rc = tow__route_find(routes, 4, methods[i], &target, &match);
		assert(rc == 0 || rc == TOW_ENOTFOUND || rc == TOW_EDENIED);
		assert((rc == 0) == (match.route != NULL));
		assert((rc == TOW_EDENIED) == (!match.route && match.allow[0]));
		for (size_t p = 0; p < match.param_count; p++)
			assert(match.params[p].value[0]);
	}
	tow__target_deinit(&target);
	return 0;
}
