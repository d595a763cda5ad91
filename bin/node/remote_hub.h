/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_REMOTE_HUB_H
#define TOWONEL_BIN_REMOTE_HUB_H

/*
 * The hub of a node that runs an edge alone: where it is and whose key it has, from the edge's
 * token, or from a URL for an edge that has a key of its own.
 */

#include <towonel/tunnel/settings.h>
#include <towonel/wire/identity.h>
#include <towonel/wire/limits.h>

struct remote_hub {
	char url[TOW_URL_MAX]; /* "": the hub is in this node */
	struct tow_id id;      /* zero: by its certificate */
	int has_key;           /* the token has brought the edge's key */
	struct tow_node_key key;
};

/* token may be NULL; urls has one at most. *hub_enabled: as it was set, and as it is to be. Returns
 * 0; TOW_ECONFIG, and err names the variable. */
int remote_hub_read(const char *token, const struct tow_string_list *urls, int hub_was_set,
                    int *hub_enabled, struct remote_hub *out, struct tow_error *err);
void remote_hub_wipe(struct remote_hub *hub);

#endif
