/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_HTTP_REQUEST_HEAD_H
#define TOW_EDGE_HTTP_REQUEST_HEAD_H

/*
 * The head of an HTTP/1 request, read strictly (RFC 9112) and written anew for an origin that
 * trusts what the edge says. What two parsers could read in two ways is refused, not mended: a bare
 * CR or LF, a folded line, a blank before a colon, two lengths, a length beside chunks, codings
 * other than chunked, no Host or several, a target that names another host. What concerns this hop
 * only goes (RFC 9110 section 7.6.1), and what a visitor claims of its own address.
 */

#include <stdint.h>
#include <towonel/wire/buf.h>
#include <towonel/wire/error.h>

/* Where a request has come to, and from whom. */
struct http_place {
	const char *name;    /* of the connection: lower case, no dot at the end */
	const char *address; /* the visitor's, without its port */
	int v6;
};

struct request_head {
	int is_head; /* the method is HEAD: the answer has no body */
	int upgrade; /* the connection may change its protocol with the answer 101 */
	int chunked;
	int has_length;
	uint64_t length;
	unsigned status; /* why it is refused */
};

/* head: all of it, with the empty line. Appends it as it is to go on. Returns 0; TOW_EHTTP:
 * out->status says why; TOW_ENOMEM. */
int tow__request_head_rewrite(struct tow_slice head, const struct http_place *place,
                              struct request_head *out, struct tow_buf *to);

/* Is it a field of a trailer that may go on? */
int tow__request_trailer_allowed(struct tow_slice name);

#endif
