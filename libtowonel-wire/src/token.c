/* SPDX-License-Identifier: MIT */

/*
 *     tt_inv_2_aHR0cHM6...Li4u . AAECAwQF... . ICEiIyQl... . QEFCQ0RF...
 *     kind  version  hub url     invite id     secret        seed
 *
 * Nothing of a token is ever repeated in a message, not even of a part that should be harmless:
 * in a token that was pasted wrongly it is not known what stands where.
 */

#include <towonel/wire/token.h>

#include "host_port.h"

#include <stdio.h>
#include <string.h>
#include <towonel/wire/cursor.h>

#define SCHEME          "https://"
#define SCHEME_LEN      (sizeof SCHEME - 1)
#define PARTS           4
#define URL_WITH_ID_MAX (TOW_URL_MAX + TOW_ID_TEXT_SIZE)

static const struct {
	const char *prefix, *name;
} kinds[] = {
	[TOW_TOKEN_INVITE] = { "tt_inv_", "an invite token" },
	[TOW_TOKEN_EDGE] = { "tt_edge_", "an edge token" },
};
static const char version[] = "2_";

static int starts_with(struct tow_slice text, const char *prefix)
{
	size_t len = strlen(prefix);

	return text.len >= len && !memcmp(text.base, prefix, len);
}

static struct tow_slice skip(struct tow_slice text, size_t len)
{
	return tow_slice_make(text.base + len, text.len - len);
}

static int is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct tow_slice trim(struct tow_slice text)
{
	while (text.len && is_space(text.base[0]))
		text = skip(text, 1);
	while (text.len && is_space(text.base[text.len - 1]))
		text.len--;
	return text;
}

/* Cuts *text at the first c; the rest goes to *after. Returns whether there was one. */
static int cut_at(struct tow_slice *text, char c, struct tow_slice *after)
{
	const uint8_t *at = text->len ? memchr(text->base, c, text->len) : NULL;

	if (!at)
		return 0;
	*after = skip(*text, (size_t)(at - text->base) + 1);
	text->len = (size_t)(at - text->base);
	return 1;
}

static char lower(uint8_t c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static int is_https(struct tow_slice text)
{
	for (size_t i = 0; i < SCHEME_LEN; i++)
		if (i == text.len || lower(text.base[i]) != SCHEME[i])
			return 0;
	return 1;
}

/* "host", "host:port", "[v6]", "[v6]:port" */
static int check_authority(struct tow_slice text, struct tow_error *err)
{
	struct tow_slice host, number;
	uint16_t port;
	int bracketed, r;

	if (text.len && (text.base[0] != '[' ? !memchr(text.base, ':', text.len)
	                                     : text.base[text.len - 1] == ']')) {
		bracketed = text.base[0] == '[';
		host = bracketed ? tow_slice_make(text.base + 1, text.len - 2) : text;
		return tow__host_check(host, bracketed, err);
	}
	r = tow__host_port_cut(text, &host, &number, &bracketed, err);
	if (r)
		return r;
	if (tow__port_parse(number, &port) || !port)
		return tow_error_set(err, TOW_EPARSE, "the port must be a number from 1 to 65535");
	return tow__host_check(host, bracketed, err);
}

int tow_hub_url_parse(struct tow_slice text, char url[TOW_URL_MAX], struct tow_id *id,
                      struct tow_error *err)
{
	struct tow_slice fragment, authority;
	struct tow_id parsed = { { 0 } };
	int r;

	text = trim(text);
	if (!is_https(text))
		return tow_error_set(err, TOW_EPARSE, "the URL must begin with https://");
	/* zero would read as no id, so that any certificate that is valid for the host would do */
	if (cut_at(&text, '#', &fragment) &&
	    (tow_id_parse(fragment, &parsed) || tow_id_is_zero(&parsed)))
		return tow_error_set(
			err, TOW_EPARSE,
			"after the URL's \"#\" come the 64 hex digits of the hub's id");
	authority = skip(text, SCHEME_LEN);
	if (authority.len && authority.base[authority.len - 1] == '/')
		authority.len--;
	if (SCHEME_LEN + authority.len >= TOW_URL_MAX)
		return tow_error_set(err, TOW_EPARSE, "the URL is longer than %d", TOW_URL_MAX - 1);
	for (size_t i = 0; i < authority.len; i++)
		if (strchr("/?@", authority.base[i]))
			return tow_error_set(err, TOW_EPARSE,
			                     "the URL must be https://host or https://host:port, "
			                     "without user, path or query");
	r = check_authority(authority, err);
	if (r)
		return r;
	memcpy(url, SCHEME, SCHEME_LEN);
	for (size_t i = 0; i < authority.len; i++)
		url[SCHEME_LEN + i] = lower(authority.base[i]);
	url[SCHEME_LEN + authority.len] = '\0';
	*id = parsed;
	return 0;
}

static int wrong_kind(struct tow_slice text, enum tow_token_kind kind, struct tow_error *err)
{
	enum tow_token_kind other = kind == TOW_TOKEN_EDGE ? TOW_TOKEN_INVITE : TOW_TOKEN_EDGE;

	if (!text.len)
		return tow_error_set(err, TOW_EPARSE, "the token is empty");
	if (starts_with(text, kinds[other].prefix))
		return tow_error_set(
			err, TOW_EINVAL, "this is %s; %s, which begins with %s%s, is needed here",
			kinds[other].name, kinds[kind].name, kinds[kind].prefix, version);
	return tow_error_set(err, TOW_EPARSE, "this is no token: %s begins with %s%s",
	                     kinds[kind].name, kinds[kind].prefix, version);
}

static int split(struct tow_slice text, struct tow_slice parts[PARTS], struct tow_error *err)
{
	unsigned count = 1;

	parts[0] = text;
	for (unsigned i = 0; i + 1 < PARTS && cut_at(&parts[i], '.', &parts[i + 1]); i++)
		count++;
	for (size_t i = 0; count == PARTS && i < parts[PARTS - 1].len; i++)
		if (parts[PARTS - 1].base[i] == '.')
			return tow_error_set(err, TOW_EPARSE,
			                     "the token has more than %d parts between dots",
			                     PARTS);
	if (count != PARTS)
		return tow_error_set(err, TOW_EPARSE,
		                     "the token has %u part%s between dots instead of %d: "
		                     "was it cut off?",
		                     count, count == 1 ? "" : "s", PARTS);
	return 0;
}

static int decode(struct tow_slice part, const char *name, uint8_t *out, size_t size,
                  struct tow_error *err)
{
	int len = tow_base64url_decode(part, out, size);

	if (len == TOW_EPARSE)
		return tow_error_set(err, TOW_EPARSE, "the token's %s is not base64url", name);
	if (len < 0 || (size_t)len != size)
		return tow_error_set(err, TOW_EPARSE, "the token's %s has not %zu bytes", name,
		                     size);
	return 0;
}

static int decode_url(struct tow_slice part, struct tow_token *token, struct tow_error *err)
{
	uint8_t url[URL_WITH_ID_MAX];
	int len = tow_base64url_decode(part, url, sizeof url), r;

	if (len < 0)
		return tow_error_set(err, TOW_EPARSE, "the token's hub URL is %s",
		                     len == TOW_ETOOBIG ? "too long" : "not base64url");
	r = tow_hub_url_parse(tow_slice_make(url, (size_t)len), token->hub_url, &token->hub_id,
	                      err);
	if (r) {
		tow_error_prefix(err, "the token's hub URL");
		return r;
	}
	if (!memchr(url, '#', (size_t)len))
		return tow_error_set(err, TOW_EPARSE, "the token's hub URL lacks the hub's id");
	return 0;
}

int tow_token_parse(struct tow_slice text, enum tow_token_kind kind, struct tow_token *out,
                    struct tow_error *err)
{
	struct tow_slice parts[PARTS];
	struct tow_token token = { .kind = kind };
	int r;

	text = trim(text);
	if (!starts_with(text, kinds[kind].prefix))
		return wrong_kind(text, kind, err);
	text = skip(text, strlen(kinds[kind].prefix));
	if (!starts_with(text, version))
		return tow_error_set(err, TOW_EVERSION,
		                     "the token is of another version: one that begins with %s%s "
		                     "is needed",
		                     kinds[kind].prefix, version);
	if (text.len > TOW_TOKEN_MAX)
		return tow_error_set(err, TOW_EPARSE, "the token is longer than %d", TOW_TOKEN_MAX);
	r = split(skip(text, sizeof version - 1), parts, err);
	if (!r)
		r = decode_url(parts[0], &token, err);
	if (!r)
		r = decode(parts[1], "invite id", token.invite_id, sizeof token.invite_id, err);
	if (!r)
		r = decode(parts[2], "secret", token.secret, sizeof token.secret, err);
	if (!r)
		r = decode(parts[3], "seed", token.seed, sizeof token.seed, err);
	if (!r)
		*out = token;
	tow_token_wipe(&token);
	return r;
}

int tow_token_format(const struct tow_token *token, char *text, size_t cap)
{
	char url[URL_WITH_ID_MAX], id[TOW_ID_TEXT_SIZE], part[TOW_BASE64URL_SIZE(URL_WITH_ID_MAX)];
	const struct {
		const void *bytes;
		size_t len;
	} parts[PARTS] = {
		{ url, strlen(token->hub_url) + 1 + sizeof id - 1 },
		{ token->invite_id, sizeof token->invite_id },
		{ token->secret, sizeof token->secret },
		{ token->seed, sizeof token->seed },
	};
	struct tow_writer w = tow_writer_of(text, cap);

	snprintf(url, sizeof url, "%s#%s", token->hub_url, tow_id_format(&token->hub_id, id));
	tow_write_bytes(&w, kinds[token->kind].prefix, strlen(kinds[token->kind].prefix));
	tow_write_bytes(&w, version, sizeof version - 1);
	for (unsigned i = 0; i < PARTS; i++) {
		if (i)
			tow_write_u8(&w, '.');
		tow_base64url_encode(parts[i].bytes, parts[i].len, part);
		tow_write_bytes(&w, part, strlen(part));
	}
	tow_write_u8(&w, '\0');
	tow_wipe(part, sizeof part);
	if (!tow_writer_failed(&w))
		return 0;
	tow_wipe(text, w.len);
	return TOW_ETOOBIG;
}

void tow_token_wipe(struct tow_token *token)
{
	tow_wipe(token, sizeof *token);
}
