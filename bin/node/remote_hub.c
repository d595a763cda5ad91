/* SPDX-License-Identifier: MIT */
#include "node/remote_hub.h"

#include <stdio.h>

#include <towonel/wire/token.h>

static int read_token(const char *text, struct remote_hub *out, struct tow_error *err)
{
	struct tow_token token;
	int rc = tow_token_parse(tow_slice_of(text), TOW_TOKEN_EDGE, &token, err);
	if (rc != 0)
		return tow_error_prefix(err, "TOWONEL_EDGE_INVITE_TOKEN");
	snprintf(out->url, sizeof out->url, "%s", token.hub_url);
	out->id = token.hub_id;
	tow_node_key_from_seed(token.seed, &out->key);
	out->has_key = 1;
	tow_token_wipe(&token);
	return 0;
}

/* Another way to the hub than the token's; the key stays unless the URL names one itself. */
static int read_url(const struct tow_string_list *urls, struct remote_hub *out,
                    struct tow_error *err)
{
	struct tow_id id;
	if (urls->count > 1)
		return tow_error_set(err, TOW_ECONFIG,
		                     "TOWONEL_EDGE_HUB_URL: an edge follows one hub, not %zu",
		                     urls->count);
	if (tow_hub_url_parse(tow_slice_of(urls->items[0]), out->url, &id, err) != 0)
		return tow_error_prefix(err, "TOWONEL_EDGE_HUB_URL");
	if (!tow_id_is_zero(&id))
		out->id = id;
	return 0;
}

int remote_hub_read(const char *token, const struct tow_string_list *urls, int hub_was_set,
                    int *hub_enabled, struct remote_hub *out, struct tow_error *err)
{
	const char *variable = token ? "TOWONEL_EDGE_INVITE_TOKEN" : "TOWONEL_EDGE_HUB_URL";
	if (!token && urls->count == 0)
		return *hub_enabled
		               ? 0
		               : tow_error_set(err, TOW_ECONFIG,
		                               "TOWONEL_HUB_ENABLED is false: an edge without a "
		                               "hub in the same node needs "
		                               "TOWONEL_EDGE_INVITE_TOKEN (see towonel edge-invite "
		                               "create) or TOWONEL_EDGE_HUB_URL");
	/* the token alone is enough; with a URL it has to be said */
	if (*hub_enabled && (hub_was_set || !token))
		return tow_error_set(err, TOW_ECONFIG,
		                     "%s is for an edge apart from its hub: set "
		                     "TOWONEL_HUB_ENABLED=false, or leave it away",
		                     variable);
	*hub_enabled = 0;
	int rc = token ? read_token(token, out, err) : 0;
	if (rc == 0 && urls->count > 0)
		rc = read_url(urls, out, err);
	return rc;
}

void remote_hub_wipe(struct remote_hub *hub)
{
	tow_node_key_wipe(&hub->key);
}
