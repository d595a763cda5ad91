/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NODE_OUTSIDE_H
#define TOWONEL_BIN_NODE_OUTSIDE_H

/* What a node is called by those outside: the address that agents are told, and the hub's URL. */

#include <towonel/wire/hostname.h>

#include "node/settings.h"

struct outside {
	char derived_address[TOW_ADDR_TEXT_SIZE]; /* when no public address was set */
	char public_url[TOW_URL_MAX];
	char public_host[TOW_HOSTNAME_SIZE]; /* the URL's host: a name or an address */
	char public_name[TOW_HOSTNAME_SIZE]; /* one that can have a certificate; "": it cannot */
};

/* What was not set is derived; warns when that leads to a private address. Returns 0, TOW_ECONFIG,
 * TOW_EPARSE. */
int outside_find(const struct settings *settings, struct tow_log *log, struct outside *out,
                 struct tow_error *err);

#endif
