/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_HTTP_SHORT_ANSWER_H
#define TOW_EDGE_HTTP_SHORT_ANSWER_H

/*
 * The answer to one GET that is known to be short: read as a whole, within TOW_SHORT_ANSWER_MAX. Of
 * its fields those are kept that mean something to whoever gets no more than this one answer.
 */

#include <llhttp.h>
#include <towonel/wire/buf.h>
#include <towonel/wire/limits.h>

struct short_answer {
	llhttp_t parser;
	size_t total;  /* bytes fed */
	char name[16]; /* of the field that is being read; cut, then it is none that is kept */
	char *value;   /* where its value goes; NULL: nowhere */
	size_t value_len, value_size;
	int rc; /* why a callback has stopped the parser */

	unsigned status;
	char content_type[128]; /* "": it does not say */
	char location[TOW_URL_MAX];
	struct tow_buf body;
};

void tow__short_answer_init(struct short_answer *a);
void tow__short_answer_deinit(struct short_answer *a);
/* fin: no bytes follow. Returns 0 when the answer is whole, which is the end; TOW_MORE; TOW_EPARSE,
 * TOW_ETOOBIG, TOW_ENOMEM. */
int tow__short_answer_feed(struct short_answer *a, struct tow_slice bytes, int fin);

#endif
