/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_ISSUANCE_H
#define TOW_EDGE_TLS_ISSUANCE_H

/*
 * What an edge has for certificates on demand: an issuer when an ACME server is named, and port 80,
 * which serves the issuer, and redirects in any case.
 */

#include <towonel/edge.h>

struct issuance;
struct worker;

/* https_port: where visitors find https. err begins with the config's member that is to blame, if
 * it is one. Returns 0, or as tow__issuer_new and tow__http_port_new. *out is NULL when there is
 * nothing to do. */
int tow__issuance_new(struct worker *worker, const struct tow_edge_config *config,
                      uint16_t https_port, struct issuance **out, struct tow_error *err);
void tow__issuance_free(struct issuance *issuance); /* takes NULL */

#endif
