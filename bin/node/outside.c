/* SPDX-License-Identifier: MIT */
#include "node/outside.h"

#include <stdio.h>
#include <string.h>

#include <towonel/tunnel/tcp.h>
#include <towonel/wire/token.h>

static int is_any(const struct tow_addr *addr)
{
	static const struct tow_addr any4 = { .family = 4 }, any6 = { .family = 6 };
	return tow_addr_same_host(addr, &any4) || tow_addr_same_host(addr, &any6);
}

/* The address that agents are told, and the URL that goes into tokens, when they were not set. */
static int find_url(const struct settings *s, struct tow_log *log, struct outside *out,
                    struct tow_error *err)
{
	struct tow_addr addr = s->edge_tunnel_listen;
	char host[TOW_HOSTNAME_SIZE], text[TOW_ADDR_TEXT_SIZE];
	uint16_t port;

	for (size_t i = s->public_addresses.count; i-- > 0;) {
		if (tow_host_port_split(tow_slice_of(s->public_addresses.items[i]), host, &port,
		                        err) != 0)
			return tow_error_prefix(err, "TOWONEL_EDGE_PUBLIC_ADDRESSES: \"%s\"",
			                        s->public_addresses.items[i]);
	}
	if (is_any(&addr) && tow_default_route_addr(4, &addr) != 0 &&
	    tow_default_route_addr(6, &addr) != 0)
		addr = (struct tow_addr){ .family = 4, .bytes = { 127, 0, 0, 1 } };
	addr.port = s->edge_tunnel_listen.port;
	tow_addr_format(&addr, out->derived_address);
	if (s->edge_enabled && s->public_addresses.count == 0 && tow_addr_is_private(&addr))
		tow_log_warn(
			log,
			"agents will be told a private address; set TOWONEL_EDGE_PUBLIC_ADDRESSES",
			tow_f_str("address", out->derived_address));

	if (s->hub_public_url) {
		struct tow_id fragment;
		if (tow_hub_url_parse(tow_slice_of(s->hub_public_url), out->public_url, &fragment,
		                      err) != 0)
			return tow_error_prefix(err, "TOWONEL_HUB_PUBLIC_URL");
		return 0;
	}
	if (s->edge_enabled && s->public_addresses.count > 0) {
		tow_host_port_split(tow_slice_of(s->public_addresses.items[0]), host, &port, NULL);
		struct tow_addr literal;
		int v6 = tow_addr_parse_host(tow_slice_of(host), &literal) == 0 &&
		         literal.family == 6;
		snprintf(out->public_url, sizeof out->public_url,
		         v6 ? "https://[%s]:%u" : "https://%s:%u", host, s->hub_listen.port);
		return 0;
	}
	if (!is_any(&s->hub_listen)) {
		addr = s->hub_listen;
		tow_addr_unmap(&addr);
	}
	addr.port = s->hub_listen.port;
	snprintf(out->public_url, sizeof out->public_url, "https://%s",
	         tow_addr_format(&addr, text));
	if (s->hub_enabled && tow_addr_is_private(&addr))
		tow_log_warn(log, "tokens will name a private address; set TOWONEL_HUB_PUBLIC_URL",
		             tow_f_str("url", out->public_url));
	return 0;
}

/* The host of the hub's URL, when it is a name that can have a certificate. */
static void find_public_name(struct outside *out)
{
	const char *authority = out->public_url + strlen("https://");
	size_t len = strcspn(authority, ":/");
	struct tow_addr literal;
	uint16_t port;
	if (tow_host_port_split(tow_slice_make(authority, strcspn(authority, "/")),
	                        out->public_host, &port, NULL) != 0)
		snprintf(out->public_host, sizeof out->public_host, "%.*s", (int)len, authority);
	if (tow_addr_parse_host(tow_slice_make(authority, len), &literal) != 0 &&
	    memchr(authority, '.', len) != NULL)
		tow_hostname_parse(tow_slice_make(authority, len), TOW_HOSTNAME_EXACT,
		                   out->public_name, NULL);
}

int outside_find(const struct settings *settings, struct tow_log *log, struct outside *out,
                 struct tow_error *err)
{
	int rc = find_url(settings, log, out, err);
	if (rc == 0)
		find_public_name(out);
	return rc;
}
