/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_ACME_ADVICE_H
#define TOW_EDGE_TLS_ACME_ADVICE_H

/* What somebody can do about a certificate authority's refusal. */

#include "tls/acme_message.h"

const char *tow__acme_challenge_name(enum acme_challenge_type type);

/* problem: its type, as in struct acme_problem. Writes "" where there is nothing better to say than
 * what the authority has said itself. */
void tow__acme_advise(const char *problem, const char *name, enum acme_challenge_type challenge,
                      char *out, size_t cap);

#endif
