/* SPDX-License-Identifier: MIT */
#include "http/router.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool is_utf8(const uint8_t *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		uint8_t lead = s[i++];
		uint8_t low = 0x80, high = 0xbf;
		int more;

		if (lead < 0x80)
			continue;
		if (lead < 0xc2 || lead > 0xf4)
			return false;
		more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
		if (lead == 0xe0)
			low = 0xa0;
		else if (lead == 0xed)
			high = 0x9f;
		else if (lead == 0xf0)
			low = 0x90;
		else if (lead == 0xf4)
			high = 0x8f;
		for (; more; more--, i++) {
			if (i == len || s[i] < low || s[i] > high)
				return false;
			low = 0x80;
			high = 0xbf;
		}
	}
	return true;
}

int tow__percent_decode(struct tow_slice text, int plus, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.base[i];
		if (c == '%') {
			int high = i + 2 < text.len ? hex_digit(text.base[i + 1]) : -1;
			int low = i + 2 < text.len ? hex_digit(text.base[i + 2]) : -1;
			if (high < 0 || low < 0)
				return TOW_EPARSE;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c < 0x20 || c == 0x7f)
			return TOW_EPARSE;
		out[len++] = (char)c;
	}
	out[len] = '\0';
	return is_utf8((const uint8_t *)out, len) ? (int)len : TOW_EPARSE;
}

static size_t find(struct tow_slice text, char c)
{
	const uint8_t *at = text.len ? memchr(text.base, c, text.len) : NULL;

	return at ? (size_t)(at - text.base) : text.len;
}

static struct tow_slice skip(struct tow_slice text, size_t len)
{
	len = len < text.len ? len : text.len;
	return tow_slice_make(text.base + len, text.len - len);
}

static struct tow_slice cut(struct tow_slice text, size_t len)
{
	return tow_slice_make(text.base, len < text.len ? len : text.len);
}

/* Decodes a piece to *at and moves *at behind it. A decoded piece and its NUL are never longer than
 * the piece and the separator that followed it, so the text's size is known beforehand. */
static int put_decoded(char **at, struct tow_slice piece, int plus, const char **out)
{
	int len = tow__percent_decode(piece, plus, *at);

	if (len < 0)
		return len;
	*out = *at;
	*at += len + 1;
	return 0;
}

static int parse_path(struct tow__target *target, struct tow_slice path, char **at)
{
	int rc = 0;

	while (!rc && path.len) {
		size_t len;
		path = skip(path, 1); /* the slash */
		len = find(path, '/');
		if (target->part_count == TOW__PATH_PARTS_MAX)
			return TOW_ETOOBIG;
		rc = put_decoded(at, cut(path, len), 0, &target->parts[target->part_count++]);
		path = skip(path, len);
	}
	return rc;
}

static int parse_query(struct tow__target *target, struct tow_slice query, char **at)
{
	int rc = 0;

	while (!rc && query.len) {
		size_t len = find(query, '&');
		struct tow_slice pair = cut(query, len);
		size_t name_len = find(pair, '=');
		struct tow__param *param = &target->query[target->query_count];
		const char *name;

		query = skip(query, len + 1);
		if (!pair.len)
			continue;
		if (target->query_count == TOW__QUERY_MAX)
			return TOW_ETOOBIG;
		rc = put_decoded(at, cut(pair, name_len), 1, &name);
		if (!rc)
			rc = put_decoded(at, skip(pair, name_len + 1), 1, &param->value);
		if (!rc) {
			param->name = tow_slice_of(name);
			target->query_count++;
		}
	}
	return rc;
}

/* The absolute form is for proxies, but a server has to take it. Gives what
 * follows the authority. */
static int strip_authority(struct tow_slice *target)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
		size_t len = strlen(schemes[i]);
		if (target->len > len &&
		    !strncasecmp((const char *)target->base, schemes[i], len)) {
			size_t slash;
			*target = skip(*target, len);
			slash = find(*target, '/');
			if (find(*target, '?') < slash)
				slash = find(*target, '?');
			*target = skip(*target, slash);
			return slash ? 0 : TOW_EPARSE;
		}
	}
	return TOW_EPARSE;
}

int tow__target_parse(struct tow_slice target, struct tow__target *out)
{
	struct tow__target parsed = { 0 };
	struct tow_slice path, query;
	char *at;
	int rc = 0;

	for (size_t i = 0; i < target.len; i++)
		if (target.base[i] <= 0x20 || target.base[i] >= 0x7f || target.base[i] == '#')
			return TOW_EPARSE;
	if (!target.len || target.base[0] != '/')
		rc = strip_authority(&target);
	if (rc)
		return rc;
	path = cut(target, find(target, '?'));
	query = skip(target, path.len + 1);
	if (!path.len)
		path = tow_slice_of("/");
	/* the path as sent, and each piece decoded; a name without "=" has a value all the same */
	parsed.text = malloc(2 * (path.len + 1) + query.len + 2 + TOW__QUERY_MAX);
	if (!parsed.text)
		return TOW_ENOMEM;
	memcpy(parsed.text, path.base, path.len);
	parsed.text[path.len] = '\0';
	parsed.path = parsed.text;
	at = parsed.text + path.len + 1;
	rc = parse_path(&parsed, path, &at);
	if (!rc)
		rc = parse_query(&parsed, query, &at);
	if (rc)
		tow__target_deinit(&parsed);
	else
		*out = parsed;
	return rc;
}

void tow__target_deinit(struct tow__target *target)
{
	free(target->text);
	memset(target, 0, sizeof *target);
}

/* Does the row's pattern match? {name} takes one part that is not empty. */
static bool match(const struct tow_http_route *route, const struct tow__target *target,
                  struct tow__route_match *out)
{
	struct tow_slice pattern = tow_slice_of(route->path);
	size_t part = 0;

	out->param_count = 0;
	while (pattern.len) {
		struct tow_slice piece;
		const char *value;

		pattern = skip(pattern, 1);
		piece = cut(pattern, find(pattern, '/'));
		pattern = skip(pattern, piece.len);
		if (part == target->part_count)
			return false;
		value = target->parts[part++];
		if (piece.len > 2 && piece.base[0] == '{') {
			if (!*value || out->param_count == TOW__PARAMS_MAX)
				return false;
			out->params[out->param_count].name =
				tow_slice_make(piece.base + 1, piece.len - 2);
			out->params[out->param_count++].value = value;
		} else if (!tow_slice_equal(piece, tow_slice_of(value))) {
			return false;
		}
	}
	return part == target->part_count;
}

static void add_allowed(char *allow, const char *method)
{
	size_t len = strlen(allow);

	snprintf(allow + len, TOW__ALLOW_SIZE - len, "%s%s%s", len ? ", " : "", method,
	         strcmp(method, "GET") ? "" : ", HEAD");
}

int tow__route_find(const struct tow_http_route *routes, size_t count, const char *method,
                    const struct tow__target *target, struct tow__route_match *out)
{
	const char *wanted = strcmp(method, "HEAD") ? method : "GET";
	bool path_known = false;

	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < count; i++) {
		if (!match(&routes[i], target, out))
			continue;
		if (!strcmp(routes[i].method, wanted)) {
			out->route = &routes[i];
			return 0;
		}
		path_known = true;
		add_allowed(out->allow, routes[i].method);
	}
	out->param_count = 0;
	return path_known ? TOW_EDENIED : TOW_ENOTFOUND;
}
