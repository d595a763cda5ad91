/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_HTTP_RESPONSES_H
#define TOW_EDGE_HTTP_RESPONSES_H

/*
 * Follows an origin's answers, which go to the visitor as they are: how many requests are still
 * unanswered, and what became of an upgrade. What is no HTTP is followed no further: its visitor is
 * the only one who can be misled by his own origin.
 */

#include <llhttp.h>
#include <towonel/wire/limits.h>

struct responses {
	llhttp_t parser;
	/* Requests without a whole answer, the oldest first; a ring. */
	struct {
		unsigned char is_head, upgrade;
	} open[TOW_REQUESTS_OPEN_MAX];
	size_t first, count;
	int begun;    /* the oldest one's answer has */
	int upgraded; /* 101 was the answer to an upgrade: no HTTP follows */
	int closes;   /* the last answer said that none follows */
	int lost;     /* this is no HTTP */
};

void tow__responses_init(struct responses *r);
/* count is below TOW_REQUESTS_OPEN_MAX */
void tow__responses_expect(struct responses *r, int is_head, int upgrade);
void tow__responses_feed(struct responses *r, const void *bytes, size_t len);
void tow__responses_end(struct responses *r); /* the origin has finished */

#endif
