/* SPDX-License-Identifier: MIT */
#include "page/page.h"

#include <string.h>

#include "status_page.h" /* made by scripts/page, as the other file is */

__asm__(".pushsection .rodata\n"
        ".global tow__status_page\n"
        ".hidden tow__status_page\n"
        "tow__status_page: .incbin \"status_page.html\"\n"
        ".byte 0\n"
        ".popsection\n");

extern const char tow__status_page[];

void tow__page_respond(struct tow_http_request *request)
{
	const char *known = tow_http_header(request, "If-None-Match");
	struct tow_slice body = tow_slice_of(tow__status_page);
	int status = 200;

	/* "no-cache" is to ask each time whether it has changed */
	tow_http_set_header(request, "Cache-Control", "no-cache");
	tow_http_set_header(request, "ETag", STATUS_PAGE_ETAG);
	tow_http_set_header(request, "Content-Security-Policy", STATUS_PAGE_CSP);
	tow_http_set_header(request, "X-Content-Type-Options", "nosniff");
	tow_http_set_header(request, "Referrer-Policy", "no-referrer");
	tow_http_set_header(request, "Cross-Origin-Opener-Policy", "same-origin");
	if (known && strstr(known, STATUS_PAGE_ETAG)) {
		status = 304;
		body = tow_slice_make(NULL, 0);
	}
	tow_http_respond(request, status, "text/html; charset=utf-8", body);
}
