/* SPDX-License-Identifier: MIT */
/* What is taken is written, and that is taken again as the same; URLs likewise. */
#include <assert.h>
#include <string.h>

#include <towonel/wire/token.h>

static void check(struct tow_slice text, enum tow_token_kind kind)
{
	char written[TOW_TOKEN_MAX + 16];
	struct tow_token token, again;
	struct tow_error err = { 0 };

	memset(&token, 0, sizeof token);
	if (tow_token_parse(text, kind, &token, &err)) {
		assert(err.code == TOW_EPARSE || err.code == TOW_EVERSION ||
		       err.code == TOW_EINVAL);
		assert(err.text[0]);
		return;
	}
	assert(!tow_token_format(&token, written, sizeof written));
	assert(!tow_token_parse(tow_slice_of(written), kind, &again, NULL));
	assert(!strcmp(token.hub_url, again.hub_url) && tow_id_equal(&token.hub_id, &again.hub_id));
	assert(!memcmp(token.invite_id, again.invite_id, sizeof token.invite_id));
	assert(tow_secret_equal(token.secret, again.secret, sizeof token.secret));
	assert(tow_secret_equal(token.seed, again.seed, sizeof token.seed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_slice text = tow_slice_make(data, size);
	char url[TOW_URL_MAX], again[TOW_URL_MAX];
	struct tow_id id;

	check(text, TOW_TOKEN_INVITE);
	check(text, TOW_TOKEN_EDGE);
	if (!tow_hub_url_parse(text, url, &id, NULL)) {
		assert(!tow_hub_url_parse(tow_slice_of(url), again, &id, NULL));
		assert(!strcmp(url, again) && tow_id_is_zero(&id));
	}
	return 0;
}
