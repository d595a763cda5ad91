/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_CERT_LISTING_H
#define TOW_EDGE_TLS_CERT_LISTING_H

/* What the store has, as JSON: see tow_edge_certificates. */

#include <jansson.h>
#include <towonel/wire/route_feed.h>
#include "tls/cert_store.h"

/* store NULL: an empty list. NULL when out of memory. */
json_t *tow__cert_listing(struct cert_store *store);
/* The same for a report, those with trouble first; borrowed until the store is used again. Returns
 * how many there are in out. */
size_t tow__cert_told(struct cert_store *store,
                      struct tow_edge_certificate out[TOW_EDGE_CERTS_TOLD_MAX]);

#endif
