/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_HTTP_REFUSAL_H
#define TOW_EDGE_HTTP_REFUSAL_H

/* What a visitor is told in HTTP/1.1 when the edge itself has to answer. */

#include <towonel/wire/buf.h>

/* Appends an answer that ends the connection; for_head: without the text. Returns 0, TOW_ENOMEM. */
int tow__http_refusal(unsigned status, int for_head, struct tow_buf *out);

#endif
