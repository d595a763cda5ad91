/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_TOKEN_H
#define TOWONEL_WIRE_TOKEN_H

/*
 * The one secret that an agent, or an edge-only node, is given:
 *
 *     tt_inv_2_<hub url>.<invite id>.<invite secret>.<tenant seed>
 *     tt_edge_2_<hub url>.<invite id>.<invite secret>.<edge seed>
 *
 * each part base64url without padding. The hub URL is https://host[:port]#<64 hex>, the
 * fragment being the hub's node id: whoever holds the token trusts that key.
 */

#include "identity.h"
#include "limits.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tow_token_kind {
	TOW_TOKEN_INVITE,
	TOW_TOKEN_EDGE,
};

struct tow_token {
	enum tow_token_kind kind;
	char hub_url[TOW_URL_MAX]; /* without the fragment and without a trailing slash */
	struct tow_id hub_id;
	uint8_t invite_id[TOW_INVITE_ID_SIZE];
	uint8_t secret[TOW_SECRET_SIZE];
	uint8_t seed[TOW_SEED_SIZE];
};

/* Surrounding white space is ignored. Returns 0; TOW_EVERSION for another version than 2,
 * TOW_EINVAL for a token of the other kind, TOW_EPARSE for anything else: err says what is
 * wrong without repeating any of it. */
int tow_token_parse(struct tow_slice text, enum tow_token_kind kind, struct tow_token *out,
                    struct tow_error *err);
/* text gets at most cap bytes. Returns 0, TOW_ETOOBIG. */
int tow_token_format(const struct tow_token *token, char *text, size_t cap);
void tow_token_wipe(struct tow_token *token);

/* Splits "https://host[:port][#id]": url without fragment and trailing slash, id zero when there is
 * no fragment. Returns 0, TOW_EPARSE. */
int tow_hub_url_parse(struct tow_slice text, char url[TOW_URL_MAX], struct tow_id *id,
                      struct tow_error *err);

#ifdef __cplusplus
}
#endif
#endif
