/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_HTTP_EXCHANGE_H
#define TOW_EDGE_HTTP_EXCHANGE_H

/*
 * HTTP/1.1 between a visitor and an origin, on one connection of each: requests go on as
 * request_head.h says, answers as they are. Between them stands who waits for whom:
 *
 *  - a visitor may ask ahead, up to TOW_REQUESTS_OPEN_MAX; then nothing is read from it;
 *  - what follows an upgrade waits for the answer to it;
 *  - a request that is refused is answered when those before it are, and ends the connection.
 *
 * Bytes in, bytes out; it is a tow_pipe_filter, and owns nothing of the pipe's.
 */

#include <towonel/wire/addr.h>
#include <towonel/wire/hostname.h>
#include "http/requests.h"
#include "http/responses.h"

struct exchange;

/* name: of the connection. Returns NULL when out of memory. */
struct exchange *tow__exchange_new(const char *name, const struct tow_addr *visitor,
                                   uint64_t now_ns);
void tow__exchange_free(struct exchange *x); /* takes NULL */

/* See struct tow_pipe_filter; x is a struct exchange. */
int tow__exchange_from_visitor(void *x, uint64_t now_ns, struct tow_slice bytes,
                               struct tow_buf *to);
int tow__exchange_from_origin(void *x, uint64_t now_ns, struct tow_slice bytes, int fin,
                              struct tow_buf *tail);

/* Why it has refused, as a status; 0: it has not. */
unsigned tow__exchange_refused(const struct exchange *x);
/* Has it been given a part of a request that is not complete? */
int tow__exchange_begun(const struct exchange *x);
/* Looks at the clock; reading: the visitor is what is waited for. Returns 1 when that was too long:
 * then it takes nothing more, and _from_origin says how it ends. */
int tow__exchange_expire(struct exchange *x, uint64_t now_ns, int reading);

#endif
