/* SPDX-License-Identifier: MIT */
#include <towonel/wire/addr.h>
#include <towonel/wire/limits.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static size_t host_size(const struct tow_addr *addr)
{
	return addr->family == 4 ? 4 : addr->family == 6 ? 16 : 0;
}

static int is_mapped(const struct tow_addr *addr)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return addr->family == 6 && !memcmp(addr->bytes, prefix, sizeof prefix);
}

void tow_addr_unmap(struct tow_addr *addr)
{
	if (!is_mapped(addr))
		return;
	memmove(addr->bytes, addr->bytes + 12, 4);
	memset(addr->bytes + 4, 0, 12);
	addr->family = 4;
}

int tow_addr_same_host(const struct tow_addr *a, const struct tow_addr *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, host_size(a));
}

int tow_addr_equal(const struct tow_addr *a, const struct tow_addr *b)
{
	return a->port == b->port && tow_addr_same_host(a, b);
}

static int in_prefix(const struct tow_addr *addr, const uint8_t *prefix, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(addr->bytes, prefix, whole))
		return 0;
	return !rest || !((addr->bytes[whole] ^ prefix[whole]) >> (8 - rest));
}

struct prefix {
	uint8_t family, bits, bytes[16];
};

static int in_any(const struct tow_addr *a, const struct prefix *list, size_t count)
{
	struct tow_addr addr = *a;

	tow_addr_unmap(&addr);
	for (size_t i = 0; i < count; i++)
		if (list[i].family == addr.family && in_prefix(&addr, list[i].bytes, list[i].bits))
			return 1;
	return 0;
}

int tow_addr_is_private(const struct tow_addr *a)
{
	static const struct prefix list[] = {
		{ 4, 32, { 0 } },          /* any */
		{ 4, 8, { 10 } },          /* RFC 1918 */
		{ 4, 10, { 100, 64 } },    /* RFC 6598 */
		{ 4, 8, { 127 } },         /* loopback */
		{ 4, 16, { 169, 254 } },   /* RFC 3927 */
		{ 4, 12, { 172, 16 } },    /* RFC 1918 */
		{ 4, 16, { 192, 168 } },   /* RFC 1918 */
		{ 6, 128, { 0 } },         /* any */
		{ 6, 128, { [15] = 1 } },  /* loopback */
		{ 6, 7, { 0xfc } },        /* RFC 4193 */
		{ 6, 10, { 0xfe, 0x80 } }, /* RFC 4291 section 2.5.6 */
	};
	return in_any(a, list, sizeof list / sizeof *list);
}

int tow_addr_is_loopback(const struct tow_addr *a)
{
	static const struct prefix list[] = { { 4, 8, { 127 } }, { 6, 128, { [15] = 1 } } };

	return in_any(a, list, sizeof list / sizeof *list);
}

/* RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups (the first
 * of equals) becomes "::". inet_ntop differs between C libraries on ::a.b.c.d. */
static void format_v6(const uint8_t *bytes, char *text)
{
	unsigned groups[8], run_at = 8, run_len = 1;
	char *p = text;

	for (unsigned i = 0; i < 8; i++)
		groups[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
	for (unsigned i = 0, len; i < 8; i += len + 1) {
		for (len = 0; i + len < 8 && !groups[i + len];)
			len++;
		if (len > run_len) {
			run_at = i;
			run_len = len;
		}
	}
	for (unsigned i = 0; i < 8; i++) {
		if (i == run_at) {
			memcpy(p, "::", 3);
			p += 2;
			i += run_len - 1;
			continue;
		}
		p += snprintf(p, 6, i && i != run_at + run_len ? ":%x" : "%x", groups[i]);
	}
}

char *tow_addr_format_host(const struct tow_addr *addr, char *text)
{
	const uint8_t *b = addr->bytes;

	if (addr->family == 4)
		snprintf(text, TOW_ADDR_TEXT_SIZE, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
	else if (is_mapped(addr)) /* RFC 5952 section 5 */
		snprintf(text, TOW_ADDR_TEXT_SIZE, "::ffff:%u.%u.%u.%u", b[12], b[13], b[14],
		         b[15]);
	else if (addr->family == 6)
		format_v6(b, text);
	else
		memcpy(text, "-", 2);
	return text;
}

char *tow_addr_format(const struct tow_addr *addr, char *text)
{
	char host[TOW_ADDR_TEXT_SIZE - 16]; /* 45 characters at most */

	tow_addr_format_host(addr, host);
	snprintf(text, TOW_ADDR_TEXT_SIZE, addr->family == 6 ? "[%s]:%u" : "%s:%u", host,
	         (unsigned)addr->port);
	return text;
}

int tow_addr_parse_host(struct tow_slice text, struct tow_addr *out)
{
	char host[INET6_ADDRSTRLEN];
	struct tow_addr addr = { 0 };

	if (!text.len || text.len >= sizeof host || memchr(text.base, '\0', text.len))
		return TOW_EPARSE;
	memcpy(host, text.base, text.len);
	host[text.len] = '\0';
	if (inet_pton(AF_INET, host, addr.bytes) == 1)
		addr.family = 4;
	else if (inet_pton(AF_INET6, host, addr.bytes) == 1)
		addr.family = 6;
	else
		return TOW_EPARSE;
	*out = addr;
	return 0;
}

/* Decimal, without sign, blanks or leading zeros. */
static int parse_port(struct tow_slice text, uint16_t *out)
{
	unsigned port = 0;

	if (!text.len || text.len > 5 || (text.len > 1 && text.base[0] == '0'))
		return TOW_EPARSE;
	for (size_t i = 0; i < text.len; i++) {
		if (text.base[i] < '0' || text.base[i] > '9')
			return TOW_EPARSE;
		port = port * 10 + (text.base[i] - '0');
	}
	if (port > 65535)
		return TOW_EPARSE;
	*out = (uint16_t)port;
	return 0;
}

/* Cuts at the colon before the port; takes the brackets off. *bracketed says whether there were
 * any. */
static int cut_port(struct tow_slice text, struct tow_slice *host, struct tow_slice *port,
                    int *bracketed, struct tow_error *err)
{
	const uint8_t *end, *colon, *close;

	*bracketed = 0;
	if (!text.len)
		return tow_error_set(err, TOW_EPARSE, "the host and the port are missing");
	end = text.base + text.len;
	*bracketed = text.base[0] == '[';
	if (*bracketed) {
		close = memchr(text.base, ']', text.len);
		if (!close)
			return tow_error_set(err, TOW_EPARSE, "the \"[\" has no \"]\"");
		colon = close + 1;
		if (colon == end)
			return tow_error_set(err, TOW_EPARSE, "the port is missing");
		if (*colon != ':')
			return tow_error_set(err, TOW_EPARSE,
			                     "after \"]\" comes \":\" and the port");
		*host = tow_slice_make(text.base + 1, (size_t)(close - text.base) - 1);
	} else {
		colon = memchr(text.base, ':', text.len);
		if (!colon)
			return tow_error_set(err, TOW_EPARSE, "the port is missing");
		if (end - colon > 2 && colon[1] == '/' && colon[2] == '/')
			return tow_error_set(err, TOW_EPARSE, "a URL is no host:port");
		if (memchr(colon + 1, ':', (size_t)(end - colon) - 1))
			return tow_error_set(err, TOW_EPARSE,
			                     "an IPv6 address needs brackets: [address]:port");
		*host = tow_slice_make(text.base, (size_t)(colon - text.base));
	}
	*port = tow_slice_make(colon + 1, (size_t)(end - colon) - 1);
	return 0;
}

int tow_addr_parse(struct tow_slice text, struct tow_addr *out)
{
	struct tow_slice host, port;
	struct tow_addr addr;
	int bracketed;

	if (cut_port(text, &host, &port, &bracketed, NULL) || tow_addr_parse_host(host, &addr) ||
	    bracketed != (addr.family == 6) || parse_port(port, &addr.port))
		return TOW_EPARSE;
	*out = addr;
	return 0;
}

/* A name that a resolver takes: one label or more, also with a dot at the end. A name whose last
 * label is a number would be read as an address by some resolvers and not by others. */
static int check_name(struct tow_slice name, struct tow_error *err)
{
	size_t label = 0, len = name.len;
	int digits = 1;

	if (len && name.base[len - 1] == '.')
		len--;
	if (!len)
		return tow_error_set(err, TOW_EPARSE, "the host is missing");
	for (size_t i = 0; i < len; i++) {
		uint8_t c = name.base[i];
		if (c == '.') {
			if (!label)
				return tow_error_set(err, TOW_EPARSE,
				                     "the host has an empty label");
			label = 0;
			digits = 1;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_'))
			return tow_error_set(
				err, TOW_EPARSE,
				"the host has a character that no name or address has");
		if (c < '0' || c > '9')
			digits = 0;
		if (++label > TOW_LABEL_MAX)
			return tow_error_set(err, TOW_EPARSE,
			                     "a label of the host is longer than %d",
			                     TOW_LABEL_MAX);
	}
	if (!label)
		return tow_error_set(err, TOW_EPARSE, "the host has an empty label");
	if (digits)
		return tow_error_set(err, TOW_EPARSE, "the host is no valid IPv4 address");
	return 0;
}

int tow_host_port_split(struct tow_slice text, char host[254], uint16_t *port,
                        struct tow_error *err)
{
	struct tow_slice name, number;
	struct tow_addr addr;
	uint16_t value;
	int bracketed, r;

	r = cut_port(text, &name, &number, &bracketed, err);
	if (r)
		return r;
	if (parse_port(number, &value) || !value)
		return tow_error_set(err, TOW_EPARSE, "the port must be a number from 1 to 65535");
	if (name.len > TOW_HOSTNAME_MAX)
		return tow_error_set(err, TOW_EPARSE, "the host is longer than %d",
		                     TOW_HOSTNAME_MAX);
	if (tow_addr_parse_host(name, &addr))
		addr.family = 0;
	if (bracketed && addr.family != 6)
		return tow_error_set(err, TOW_EPARSE, "between the brackets is no IPv6 address");
	r = addr.family ? 0 : check_name(name, err);
	if (r)
		return r;
	memcpy(host, name.base, name.len);
	host[name.len] = '\0';
	*port = value;
	return 0;
}
