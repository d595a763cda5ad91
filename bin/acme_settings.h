/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_ACME_SETTINGS_H
#define TOWONEL_BIN_ACME_SETTINGS_H

/* TOWONEL_EDGE_TLS_ACME_*: which authority is asked for certificates, and on whose behalf. */

#include <towonel/edge.h>

struct acme_settings {
	char *email, *directory, *ca_file, *binding_kid, *binding_hmac;
	int staging;
};

/* The directory's URL: the one that was set, else one of Let's Encrypt's. */
const char *acme_directory(const struct acme_settings *settings);
/* Checks them, and fills config's parts for certificates on demand and for plain HTTP, which is
 * listened on when it was set or is of use. config points to the others then. Returns 0,
 * TOW_ECONFIG. */
int acme_apply(const struct acme_settings *settings, const struct tow_addr *http_listen,
               int http_is_set, struct tow_edge_acme *acme, struct tow_edge_config *config,
               struct tow_error *err);

#endif
