/* SPDX-License-Identifier: MIT */
#ifndef TOW__HTTP_CLIENT_H
#define TOW__HTTP_CLIENT_H

#include <towonel/tunnel/http_client.h>

/* Called once when the call is over and its memory goes, also after a cancel: for what belongs to
 * it. */
void tow__http_call_on_release(struct tow_http_call *call, void (*release)(void *user), void *user);

#endif
