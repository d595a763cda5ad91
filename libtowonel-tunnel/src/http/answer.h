/* SPDX-License-Identifier: MIT */
#ifndef TOW__HTTP_ANSWER_H
#define TOW__HTTP_ANSWER_H

#include "http/request.h"

/* Status line and header fields, without the ones on framing and without the empty line.
 * Returns 0, TOW_ENOMEM. */
int tow__answer_head(struct tow_http_request *request, int status, const char *content_type,
                     struct tow_buf *out);
/* Tells the owner about the answer and frees the request. */
void tow__request_finish(struct tow_http_request *request, int status);

#endif
