/* SPDX-License-Identifier: MIT */
#include <towonel/wire/hostname.h>

#include <string.h>

/* "*.": what a wildcard pattern starts with; the name after it begins here. */
#define WILDCARD_LEN 2

/* As much of a text as a message shows of it, cut between characters. */
static int quote_len(struct tow_slice text)
{
	size_t len = text.len > 80 ? 80 : text.len;

	while (len && len < text.len && (text.base[len] & 0xc0) == 0x80)
		len--;
	return (int)len;
}

static int bad(struct tow_error *err, struct tow_slice text, const char *why)
{
	return tow_error_set(err, TOW_EPARSE, "\"%.*s\" is no hostname: %s", quote_len(text),
	                     text.len ? (const char *)text.base : "", why);
}

static const char *why_not(uint8_t c, struct tow_slice text, size_t at)
{
	if (c >= 0x80)
		return "write international names in their \"xn--\" form";
	if (c == '*')
		return "a wildcard is \"*.\" and a name";
	if (c == ':' && at + 2 < text.len && !memcmp(text.base + at, "://", 3))
		return "leave out the \"scheme://\"";
	if (c == ':')
		return "it has a port, or is an IPv6 address";
	if (c == '/')
		return "it has a path";
	return "only letters, digits, \"-\", \"_\" and dots may stand in it";
}

/* Checks and lower-cases one name without wildcard. */
static int parse_name(struct tow_slice whole, size_t from, char *out, struct tow_error *err)
{
	size_t label = 0, labels = 1, len = whole.len;
	int digits = 1; /* the label so far has nothing else */

	for (size_t i = from; i < len; i++) {
		uint8_t c = whole.base[i];
		if (c == '.') {
			if (!label)
				return bad(err, whole, "it has an empty label");
			if (whole.base[i - 1] == '-')
				return bad(err, whole, "a label ends with \"-\"");
			label = 0;
			digits = 1;
			labels++;
			out[i] = '.';
			continue;
		}
		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c + ('a' - 'A'));
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return bad(err, whole, why_not(c, whole, i));
		if (c == '-' && !label)
			return bad(err, whole, "a label begins with \"-\"");
		if (c < '0' || c > '9')
			digits = 0;
		if (++label > TOW_LABEL_MAX)
			return bad(err, whole, "a label is longer than 63");
		out[i] = (char)c;
	}
	if (!label)
		return bad(err, whole, "it has an empty label");
	if (whole.base[len - 1] == '-')
		return bad(err, whole, "a label ends with \"-\"");
	if (digits)
		return bad(err, whole,
		           labels == 4 ? "it is an IP address" : "its last label is a number");
	if (labels < 2)
		return bad(err, whole,
		           from ? "a wildcard needs two labels after \"*.\""
		                : "it needs at least two labels");
	out[len] = '\0';
	return 0;
}

int tow_hostname_parse(struct tow_slice text, enum tow_hostname_form form,
                       char out[TOW_HOSTNAME_SIZE], struct tow_error *err)
{
	struct tow_slice name = text;
	char checked[TOW_HOSTNAME_SIZE];
	size_t from = 0;
	int r;

	if (name.len && name.base[name.len - 1] == '.')
		name.len--;
	if (!name.len)
		return bad(err, text, "it is empty");
	if (name.len > TOW_HOSTNAME_MAX)
		return bad(err, text, "it is longer than 253");
	if (name.len >= WILDCARD_LEN && !memcmp(name.base, "*.", WILDCARD_LEN)) {
		if (form != TOW_HOSTNAME_PATTERN)
			return bad(err, text, "a wildcard does not fit here");
		memcpy(checked, "*.", WILDCARD_LEN);
		from = WILDCARD_LEN;
	}
	r = parse_name(name, from, checked, err);
	if (!r)
		memcpy(out, checked, name.len + 1);
	return r;
}

int tow_hostname_is_wildcard(const char *pattern)
{
	return pattern[0] == '*' && pattern[1] == '.';
}

int tow_hostname_matches(const char *pattern, const char *name)
{
	const char *dot;

	if (!tow_hostname_is_wildcard(pattern))
		return !strcmp(pattern, name);
	dot = strchr(name, '.');
	return dot && dot != name && !tow_hostname_is_wildcard(name) && !strcmp(pattern + 1, dot);
}

int tow_hostname_covers(const char *outer, const char *inner)
{
	return !strcmp(outer, inner) || tow_hostname_matches(outer, inner);
}

/* The wildcard stands for one label exactly, so two different wildcards have no name in common. */
int tow_hostname_overlaps(const char *a, const char *b)
{
	return tow_hostname_covers(a, b) || tow_hostname_matches(b, a);
}

int tow_hostname_wildcard_of(const char *name, char out[TOW_HOSTNAME_SIZE])
{
	const char *dot = strchr(name, '.');
	size_t len;

	/* below a single label there are no wildcards */
	if (!dot || dot == name || tow_hostname_is_wildcard(name) || !strchr(dot + 1, '.'))
		return TOW_ENOTFOUND;
	len = strlen(dot);
	if (len + 1 >= TOW_HOSTNAME_SIZE)
		return TOW_ENOTFOUND;
	out[0] = '*';
	memcpy(out + 1, dot, len + 1);
	return 0;
}
