/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_CHALLENGE_FETCH_H
#define TOW_EDGE_TLS_CHALLENGE_FETCH_H

/*
 * Asks a name's own origin for the answer to a challenge, by way of an agent, which leads the
 * question to the service's http_origin. Nothing of the visitor's but its address and the token
 * goes there, and what comes back is short.
 */

#include <towonel/wire/addr.h>
#include <towonel/wire/hostname.h>
#include <towonel/wire/identity.h>
#include "http/short_answer.h"
#include "tls/acme_message.h"

struct challenge_fetch;
struct worker;

struct challenge_question {
	struct tow_id tenant;
	char name[TOW_HOSTNAME_SIZE];
	char token[ACME_TOKEN_MAX + 1];
	struct tow_addr visitor;
};

/* answer NULL: there is none, and status tells a visitor why (502 to 504). It is borrowed. */
typedef void (*challenge_fetched)(void *user, int status, const struct short_answer *answer);

/* done is called once, perhaps before this returns; the fetch is freed with it. Returns 0,
 * TOW_ENOMEM: then it is not called. */
int tow__challenge_fetch_start(struct worker *worker, const struct challenge_question *question,
                               challenge_fetched done, void *user, struct challenge_fetch **out);
/* done is not called any more. */
void tow__challenge_fetch_cancel(struct challenge_fetch *fetch);

#endif
