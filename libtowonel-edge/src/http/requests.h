/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_HTTP_REQUESTS_H
#define TOW_EDGE_HTTP_REQUESTS_H

/*
 * The requests of one connection, one after the other, as they go on to the origin:
 *
 *     HEAD ──► BODY ──► HEAD ...        a head is collected, rewritten, and goes on as a whole
 *      │ │       │
 *      │ '───────┴──► REFUSED           status says why; nothing more is taken
 *      '──► UPGRADING ──► RAW           what follows waits for the answer, then goes as it is
 *
 * llhttp reads each head too, in its strict mode: a request goes on only when both readings are the
 * same. Bodies are passed through as they come; chunks are framed anew, so that extensions and
 * other liberties of the visitor's framing end here.
 */

#include <llhttp.h>
#include "http/request_head.h"

enum requests_state {
	REQUESTS_HEAD,
	REQUESTS_BODY,
	REQUESTS_UPGRADING,
	REQUESTS_RAW,
	REQUESTS_REFUSED,
};

struct requests {
	struct http_place place; /* borrowed */
	enum requests_state state;
	struct request_head head; /* of the last one */
	unsigned status;          /* REFUSED */
	int refused_inside;       /* after its head had gone on */
	struct tow_buf collected; /* HEAD: what there is of it; BODY: fields of a trailer */
	size_t searched;          /* of it, for the empty line */
	unsigned empty_lines;     /* before it */
	size_t trailer_name;      /* of the field being read, in collected */
	int in_name;
	llhttp_t parser;
	struct tow_buf *to; /* during a call */
	int rc;             /* of a callback */
	int complete;
};

void tow__requests_init(struct requests *r, const struct http_place *place);
void tow__requests_deinit(struct requests *r);

/* Takes bytes up to the end of a request, and appends what goes on. *taken is how many. Returns 0
 * when more is needed; TOW_MORE at the end of a request's head, which is called once for each;
 * TOW_BLOCKED in UPGRADING; TOW_EHTTP in REFUSED; TOW_ENOMEM. */
int tow__requests_feed(struct requests *r, struct tow_slice bytes, size_t *taken,
                       struct tow_buf *to);
/* The answer to an upgrade: the connection is something else now, or more requests come. */
void tow__requests_upgraded(struct requests *r, int accepted);
void tow__requests_refuse(struct requests *r, unsigned status);
/* Has a request begun that is not complete? */
int tow__requests_partial(const struct requests *r);

#endif
