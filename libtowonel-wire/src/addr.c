/* SPDX-License-Identifier: MIT */
#include <towonel/wire/addr.h>

#include "host_port.h"

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

int tow_addr_parse(struct tow_slice text, struct tow_addr *out)
{
	struct tow_slice host, port;
	struct tow_addr addr;
	int bracketed;

	if (tow__host_port_cut(text, &host, &port, &bracketed, NULL) ||
	    tow_addr_parse_host(host, &addr) || bracketed != (addr.family == 6) ||
	    tow__port_parse(port, &addr.port))
		return TOW_EPARSE;
	*out = addr;
	return 0;
}
