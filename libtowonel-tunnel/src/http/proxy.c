/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/proxy.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <towonel/wire/hostname.h>
#include <towonel/wire/identity.h>

#include "http/router.h"

#define DEFAULT_PORT 80

/* --- what a variable says --- */

/* user:password, each percent-encoded; the password may be missing. */
static int read_credentials(struct tow_slice text, struct tow_proxy *out)
{
	const uint8_t *colon = text.len ? memchr(text.base, ':', text.len) : NULL;
	struct tow_slice user = text, password = { NULL, 0 };

	if (colon) {
		user.len = (size_t)(colon - text.base);
		password = tow_slice_make(colon + 1, text.len - user.len - 1);
	}
	if (user.len > TOW_PROXY_USER_MAX || password.len > TOW_PROXY_PASSWORD_MAX ||
	    tow__percent_decode(user, 0, out->user) < 0 ||
	    tow__percent_decode(password, 0, out->password) < 0 || strchr(out->user, ':'))
		return TOW_EPARSE;
	return 0;
}

static int read_host(struct tow_slice text, struct tow_proxy *out)
{
	char with_port[TOW_HOSTNAME_SIZE + 16];
	const char *colon = memrchr(text.base, ':', text.len);
	const char *bracket = memrchr(text.base, ']', text.len);

	if (text.len > TOW_HOSTNAME_MAX + 8)
		return TOW_EPARSE;
	snprintf(with_port, sizeof(with_port),
	         colon && (!bracket || colon > bracket) ? "%.*s" : "%.*s:%d", (int)text.len,
	         (const char *)text.base, DEFAULT_PORT);
	return tow_host_port_split(tow_slice_of(with_port), out->host, &out->port, NULL);
}

int tow_proxy_parse(struct tow_slice url, struct tow_proxy *out, struct tow_error *err)
{
	static const char scheme[] = "http://";
	struct tow_proxy proxy = { .port = 0 };
	const uint8_t *end, *at, *scheme_end;

	scheme_end = memmem(url.base, url.len, "://", 3);
	if (scheme_end) {
		if (url.len < sizeof(scheme) - 1 ||
		    strncasecmp((const char *)url.base, scheme, sizeof(scheme) - 1) != 0)
			return tow_error_set(
				err, TOW_EPARSE,
				"only proxies that are spoken to by http:// are known");
		url = tow_slice_make(url.base + sizeof(scheme) - 1, url.len - sizeof(scheme) + 1);
	}
	end = memchr(url.base, '/', url.len);
	if (end)
		url.len = (size_t)(end - url.base);
	at = url.len ? memrchr(url.base, '@', url.len) : NULL;
	if (at) {
		if (read_credentials(tow_slice_make(url.base, (size_t)(at - url.base)), &proxy) !=
		    0)
			return tow_error_set(err, TOW_EPARSE,
			                     "user and password of the proxy cannot be read");
		url = tow_slice_make(at + 1, url.len - (size_t)(at + 1 - url.base));
	}
	if (!url.len || read_host(url, &proxy) != 0)
		return tow_error_set(err, TOW_EPARSE, "not http://[USER:PASSWORD@]HOST[:PORT]");
	*out = proxy;
	return 0;
}

static const char *first_of(const char *one, const char *other, const char **name)
{
	const char *value = getenv(one);

	*name = value && *value ? one : other;
	return value && *value ? value : getenv(other);
}

int tow_proxies_from_environment(struct tow_proxies *out, struct tow_error *err)
{
	struct tow_proxies proxies = { 0 };
	const char *name, *unused;
	const char *url = first_of("HTTPS_PROXY", "https_proxy", &name);
	const char *bypass = first_of("NO_PROXY", "no_proxy", &unused);
	int rc;

	if (url && *url) {
		rc = tow_proxy_parse(tow_slice_of(url), &proxies.proxy, err);
		if (rc != 0)
			return tow_error_prefix(err, "%s", name);
		proxies.some = 1;
		proxies.bypass = strdup(bypass ? bypass : "");
		if (!proxies.bypass)
			return tow_error_set(err, TOW_ENOMEM, "out of memory");
	}
	*out = proxies;
	return 0;
}

void tow_proxies_deinit(struct tow_proxies *proxies)
{
	free(proxies->bypass);
	tow_wipe(&proxies->proxy, sizeof(proxies->proxy));
	*proxies = (struct tow_proxies){ 0 };
}

/* --- what goes past it --- */

static int in_network(const struct tow_addr *addr, const struct tow_addr *network, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (addr->family != network->family || bits > (addr->family == 4 ? 32u : 128u))
		return 0;
	if (memcmp(addr->bytes, network->bytes, whole) != 0)
		return 0;
	return rest == 0 ||
	       ((addr->bytes[whole] ^ network->bytes[whole]) & (0xff00u >> rest) & 0xff) == 0;
}

static int address_matches(const struct tow_addr *addr, struct tow_slice item)
{
	const uint8_t *slash = memchr(item.base, '/', item.len);
	struct tow_addr network;
	unsigned bits = 128;

	if (item.len > 2 && item.base[0] == '[' && item.base[item.len - 1] == ']')
		item = tow_slice_make(item.base + 1, item.len - 2);
	if (slash) {
		size_t digits = item.len - (size_t)(slash + 1 - item.base);

		if (digits == 0 || digits > 3)
			return 0;
		bits = 0;
		for (size_t i = 1; i <= digits; i++) {
			if (slash[i] < '0' || slash[i] > '9')
				return 0;
			bits = bits * 10 + (slash[i] - '0');
		}
		item.len = (size_t)(slash - item.base);
	}
	if (tow_addr_parse_host(item, &network) != 0)
		return 0;
	tow_addr_unmap(&network);
	return in_network(addr, &network, slash ? bits : network.family == 4 ? 32 : 128);
}

static int name_matches(const char *host, struct tow_slice item)
{
	size_t len = strlen(host);

	if (item.len && item.base[0] == '*' && item.len > 1)
		item = tow_slice_make(item.base + 1, item.len - 1);
	if (item.len && item.base[0] == '.')
		item = tow_slice_make(item.base + 1, item.len - 1);
	if (!item.len || item.len > len ||
	    strncasecmp(host + len - item.len, (const char *)item.base, item.len) != 0)
		return 0;
	return item.len == len || host[len - item.len - 1] == '.';
}

static int goes_past(const char *host, const struct tow_addr *addr, struct tow_slice item)
{
	if (item.len == 1 && item.base[0] == '*')
		return 1;
	return addr ? address_matches(addr, item) : name_matches(host, item);
}

const struct tow_proxy *tow_proxies_find(const struct tow_proxies *proxies, const char *host)
{
	struct tow_addr addr;
	const char *at = proxies->bypass;
	int literal = tow_addr_parse_host(tow_slice_of(host), &addr) == 0;
	size_t len;

	if (!proxies->some)
		return NULL;
	if (literal)
		tow_addr_unmap(&addr);
	if (literal ? tow_addr_is_loopback(&addr) : strcasecmp(host, "localhost") == 0)
		return NULL;
	for (; *at; at += len) {
		at += strspn(at, ", \t");
		len = strcspn(at, ", \t");
		if (len && goes_past(host, literal ? &addr : NULL,
		                     tow_slice_make((const uint8_t *)at, len)))
			return NULL;
	}
	return &proxies->proxy;
}
