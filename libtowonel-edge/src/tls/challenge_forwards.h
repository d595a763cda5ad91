/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_CHALLENGE_FORWARDS_H
#define TOW_EDGE_TLS_CHALLENGE_FORWARDS_H

/*
 * Challenges that an origin answers for itself: it has certificates of its own behind a name whose
 * TLS passes through, and its ACME server asks on port 80 of the edge (RFC 8555 section 8.3).
 */

#include <towonel/tunnel/http_server.h>

struct challenge_forward;
struct short_answer;
struct worker;

struct challenge_forwards {
	struct worker *worker;
	struct challenge_forward *first;
	size_t count;
	uint64_t last_serial;
};

/* Is it for the name's origin to answer? Then it is taken, and answered later. */
int tow__challenge_forward(struct challenge_forwards *forwards, const char *name, const char *token,
                           struct tow_http_request *request);
/* What another worker was asked has an answer; see challenge_fetched. */
void tow__challenge_forwards_answered(struct challenge_forwards *forwards, uint64_t serial,
                                      int status, const struct short_answer *answer);
/* What still waits is answered: there is no more to come. */
void tow__challenge_forwards_deinit(struct challenge_forwards *forwards);

#endif
