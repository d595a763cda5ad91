/* SPDX-License-Identifier: MIT */
#include <towonel/wire/access.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- prefixes --- */

static unsigned width_of(const struct tow_prefix *prefix)
{
	return prefix->family == 4 ? 32 : 128;
}

/* Has it bits beyond its length? Then it gets them cleared. */
static int trim(struct tow_prefix *prefix)
{
	int had = 0;

	for (unsigned i = prefix->bits / 8; i < width_of(prefix) / 8; i++) {
		uint8_t kept = i == prefix->bits / 8 ? (uint8_t)(0xff00 >> prefix->bits % 8) : 0;

		had |= prefix->bytes[i] & ~kept;
		prefix->bytes[i] &= kept;
	}
	return had != 0;
}

/* Returns 0, TOW_EPARSE. */
static int read_bits(struct tow_slice text, unsigned max, uint8_t *out)
{
	unsigned bits = 0;

	if (!text.len || text.len > 3 || (text.len > 1 && text.base[0] == '0'))
		return TOW_EPARSE;
	for (size_t i = 0; i < text.len; i++) {
		if (text.base[i] < '0' || text.base[i] > '9')
			return TOW_EPARSE;
		bits = bits * 10 + text.base[i] - '0';
	}
	if (bits > max)
		return TOW_EPARSE;
	*out = (uint8_t)bits;
	return 0;
}

int tow_prefix_parse(struct tow_slice text, struct tow_prefix *out, struct tow_error *err)
{
	const uint8_t *slash = text.len ? memchr(text.base, '/', text.len) : NULL;
	size_t host_len = slash ? (size_t)(slash - text.base) : text.len;
	struct tow_slice bits = { NULL, 0 };
	struct tow_prefix prefix = { 0 };
	struct tow_addr addr;
	char trimmed[TOW_PREFIX_TEXT_SIZE];
	int len = text.len < 64 ? (int)text.len : 64;

	if (slash)
		bits = tow_slice_make(slash + 1, text.len - host_len - 1);
	if (tow_addr_parse_host(tow_slice_make(text.base, host_len), &addr))
		goto malformed;
	prefix.family = addr.family;
	prefix.bits = (uint8_t)width_of(&prefix);
	if (slash && read_bits(bits, width_of(&prefix), &prefix.bits))
		goto malformed;
	tow_addr_unmap(&addr);
	if (addr.family != prefix.family) {
		/* a mapped address, of a prefix that has others beside */
		if (prefix.bits < 96)
			goto malformed;
		prefix.family = addr.family;
		prefix.bits -= 96;
	}
	memcpy(prefix.bytes, addr.bytes, sizeof prefix.bytes);
	if (trim(&prefix))
		return tow_error_set(err, TOW_EPARSE,
		                     "\"%.*s\" has bits beyond its prefix; the network is %s", len,
		                     (const char *)text.base, tow_prefix_format(&prefix, trimmed));
	*out = prefix;
	return 0;
malformed:
	return tow_error_set(err, TOW_EPARSE,
	                     "\"%.*s\" is neither an address nor a prefix such as 192.0.2.0/24",
	                     len, text.len ? (const char *)text.base : "");
}

char *tow_prefix_format(const struct tow_prefix *prefix, char out[TOW_PREFIX_TEXT_SIZE])
{
	struct tow_addr addr = { .family = prefix->family };
	char host[TOW_ADDR_TEXT_SIZE];

	memcpy(addr.bytes, prefix->bytes, sizeof addr.bytes);
	tow_addr_format_host(&addr, host);
	if (prefix->bits == width_of(prefix))
		snprintf(out, TOW_PREFIX_TEXT_SIZE, "%.46s", host);
	else
		snprintf(out, TOW_PREFIX_TEXT_SIZE, "%.46s/%u", host, prefix->bits);
	return out;
}

int tow_prefix_contains(const struct tow_prefix *prefix, const struct tow_addr *addr)
{
	struct tow_addr plain = *addr;
	unsigned whole = prefix->bits / 8, rest = prefix->bits % 8;

	tow_addr_unmap(&plain);
	if (plain.family != prefix->family || memcmp(plain.bytes, prefix->bytes, whole))
		return 0;
	return !rest || !((plain.bytes[whole] ^ prefix->bytes[whole]) >> (8 - rest));
}

/* --- access --- */

static size_t total(const struct tow_access *access)
{
	return (size_t)access->counts[TOW_ACCESS_ALLOW] + access->counts[TOW_ACCESS_DENY];
}

static size_t size_of(const struct tow_access *access)
{
	return offsetof(struct tow_access, prefixes) + total(access) * sizeof *access->prefixes;
}

int tow_access_add(struct tow_access *access, enum tow_access_list list,
                   const struct tow_prefix *prefix)
{
	size_t at = list == TOW_ACCESS_DENY ? access->counts[TOW_ACCESS_ALLOW] : 0;
	size_t end = at + access->counts[list], count = total(access);
	int order = 1;

	while (at < end && (order = memcmp(&access->prefixes[at], prefix, sizeof *prefix)) < 0)
		at++;
	if (at < end && order == 0)
		return 0;
	if (count == TOW_ACCESS_PREFIXES_MAX)
		return TOW_ELIMIT;
	memmove(&access->prefixes[at + 1], &access->prefixes[at], (count - at) * sizeof *prefix);
	access->prefixes[at] = *prefix;
	access->counts[list]++;
	return 0;
}

static struct tow_slice trim_blanks(struct tow_slice text)
{
	while (text.len && text.base[0] == ' ')
		text = tow_slice_make(text.base + 1, text.len - 1);
	while (text.len && text.base[text.len - 1] == ' ')
		text.len--;
	return text;
}

int tow_access_parse(struct tow_access *access, enum tow_access_list list, struct tow_slice text,
                     struct tow_error *err)
{
	int r = 0;

	while (!r && text.len) {
		const uint8_t *comma = memchr(text.base, ',', text.len);
		size_t len = comma ? (size_t)(comma - text.base) : text.len;
		struct tow_prefix prefix;

		if (comma && len + 1 == text.len)
			return tow_error_set(err, TOW_EPARSE, "nothing follows the last comma");
		r = tow_prefix_parse(trim_blanks(tow_slice_make(text.base, len)), &prefix, err);
		if (!r && tow_access_add(access, list, &prefix))
			r = tow_error_set(err, TOW_ELIMIT, "more than %d prefixes",
			                  TOW_ACCESS_PREFIXES_MAX);
		len += comma != NULL;
		text = tow_slice_make(text.base + len, text.len - len);
	}
	return r;
}

int tow_access_format(const struct tow_access *access, enum tow_access_list list,
                      struct tow_buf *out)
{
	size_t count;
	const struct tow_prefix *prefixes = tow_access_prefixes(access, list, &count);
	char text[TOW_PREFIX_TEXT_SIZE];
	int r = 0;

	for (size_t i = 0; i < count && !r; i++)
		r = tow_buf_printf(out, "%s%s", i ? "," : "",
		                   tow_prefix_format(&prefixes[i], text));
	return r;
}

const struct tow_prefix *tow_access_prefixes(const struct tow_access *access,
                                             enum tow_access_list list, size_t *count)
{
	if (!access) {
		*count = 0;
		return NULL;
	}
	*count = access->counts[list];
	return &access->prefixes[list == TOW_ACCESS_DENY ? access->counts[TOW_ACCESS_ALLOW] : 0];
}

static int is_in(const struct tow_access *access, enum tow_access_list list,
                 const struct tow_addr *addr)
{
	size_t count;
	const struct tow_prefix *prefixes = tow_access_prefixes(access, list, &count);

	for (size_t i = 0; i < count; i++)
		if (tow_prefix_contains(&prefixes[i], addr))
			return 1;
	return 0;
}

int tow_access_permits(const struct tow_access *access, const struct tow_addr *addr)
{
	if (!access)
		return 1;
	return !is_in(access, TOW_ACCESS_DENY, addr) &&
	       (!access->counts[TOW_ACCESS_ALLOW] || is_in(access, TOW_ACCESS_ALLOW, addr));
}

int tow_access_is_open(const struct tow_access *access)
{
	return !access || !total(access);
}

int tow_access_compare(const struct tow_access *a, const struct tow_access *b)
{
	static const struct tow_access everybody;
	int r;

	a = a ? a : &everybody;
	b = b ? b : &everybody;
	r = memcmp(a->counts, b->counts, sizeof a->counts);
	return r ? r : memcmp(a->prefixes, b->prefixes, total(a) * sizeof *a->prefixes);
}

struct tow_access *tow_access_copy(const struct tow_access *access)
{
	struct tow_access *copy = malloc(size_of(access));

	if (copy)
		memcpy(copy, access, size_of(access));
	return copy;
}
