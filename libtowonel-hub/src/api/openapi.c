/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <string.h>

/* Relative to the top of the source tree, where make runs; lib.mk names the file as a
 * prerequisite. */
__asm__(".pushsection .rodata\n"
        ".global tow__openapi\n"
        ".hidden tow__openapi\n"
        "tow__openapi: .incbin \"libtowonel-hub/src/api/openapi.json\"\n"
        ".byte 0\n"
        ".popsection\n");

void tow__api_openapi(void *user, struct tow_http_request *request)
{
	(void)user;
	tow_http_respond(request, 200, "application/json", tow_slice_of(tow__openapi));
}
