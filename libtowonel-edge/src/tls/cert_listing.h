/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_CERT_LISTING_H
#define TOW_EDGE_TLS_CERT_LISTING_H

/* What the store has, as JSON: see tow_edge_certificates. */

#include <jansson.h>
#include "tls/cert_store.h"

/* store NULL: an empty list. NULL when out of memory. */
json_t *tow__cert_listing(struct cert_store *store);

#endif
