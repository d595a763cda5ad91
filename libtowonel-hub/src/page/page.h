/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_PAGE_PAGE_H
#define TOWONEL_HUB_PAGE_PAGE_H

/*
 * The status page, as scripts/page makes it of status.html, .css and .js. It is the same for the
 * hub's API, where it is at "/" and asks /v1/status with the operator's key, and for the health
 * listener, where it is at "/status" and asks /status.json without one.
 */

#include <towonel/tunnel/http_server.h>

void tow__page_respond(struct tow_http_request *request);

#endif
