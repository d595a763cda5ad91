/* SPDX-License-Identifier: MIT */
#include "host_port.h"

#include <towonel/wire/addr.h>
#include <towonel/wire/limits.h>

#include <string.h>

int tow__port_parse(struct tow_slice text, uint16_t *out)
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

int tow__host_port_cut(struct tow_slice text, struct tow_slice *host, struct tow_slice *port,
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

int tow__host_check(struct tow_slice host, int bracketed, struct tow_error *err)
{
	struct tow_addr addr;

	if (host.len > TOW_HOSTNAME_MAX)
		return tow_error_set(err, TOW_EPARSE, "the host is longer than %d",
		                     TOW_HOSTNAME_MAX);
	if (tow_addr_parse_host(host, &addr))
		addr.family = 0;
	if (bracketed && addr.family != 6)
		return tow_error_set(err, TOW_EPARSE, "between the brackets is no IPv6 address");
	return addr.family ? 0 : check_name(host, err);
}

int tow_host_port_split(struct tow_slice text, char host[254], uint16_t *port,
                        struct tow_error *err)
{
	struct tow_slice name, number;
	uint16_t value;
	int bracketed, r;

	r = tow__host_port_cut(text, &name, &number, &bracketed, err);
	if (r)
		return r;
	if (tow__port_parse(number, &value) || !value)
		return tow_error_set(err, TOW_EPARSE, "the port must be a number from 1 to 65535");
	r = tow__host_check(name, bracketed, err);
	if (r)
		return r;
	memcpy(host, name.base, name.len);
	host[name.len] = '\0';
	*port = value;
	return 0;
}
