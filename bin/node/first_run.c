/* SPDX-License-Identifier: MIT */
#include "node/first_run.h"

#include <stdio.h>
#include <string.h>

#include <towonel/wire/addr.h>
#include <towonel/wire/hostname.h>

#define EXAMPLE_NAME "app.example.eu"

static void tell_ports(const struct settings *s, struct tow_buf *out)
{
	tow_buf_printf(out, "1. Open these ports, in the firewall here and at your provider:\n");
	if (s->edge_enabled)
		tow_buf_printf(out,
		               "     %5u/tcp  visitors\n"
		               "     %5u/udp  agents\n",
		               s->edge_listen.port, s->edge_tunnel_listen.port);
	tow_buf_printf(out, "     %5u/tcp  agents and the command line: the hub\n",
	               s->hub_listen.port);
	if (s->edge_enabled && s->acme.email)
		tow_buf_printf(out, "     %5u/tcp  certificates on demand\n", s->http_listen.port);
}

/* One record for the name; host is where it is to lead. */
static void tell_record(const char *name, const char *host, struct tow_buf *out)
{
	struct tow_addr addr;
	const char *type = "CNAME";
	if (tow_addr_parse_host(tow_slice_of(host), &addr) == 0) {
		type = addr.family == 6 ? "AAAA" : "A";
		if (tow_addr_is_private(&addr)) /* it is nobody's outside */
			host = "THE-PUBLIC-ADDRESS-OF-THIS-HOST";
	}
	tow_buf_printf(out, "     %s  %s  %s\n", name, type, host);
}

/* A name that is to lead here has an address; those that are exposed lead where it does. */
static void tell_names(const struct settings *s, const struct outside *outside, struct tow_buf *out)
{
	const struct tow_string_list *public = &s->public_addresses;
	char host[TOW_HOSTNAME_SIZE], derived[TOW_HOSTNAME_SIZE];
	struct tow_addr addr;
	uint16_t port;
	if (tow_host_port_split(tow_slice_of(outside->derived_address), derived, &port, NULL) != 0)
		derived[0] = 0;
	tow_buf_printf(out, "2. Point DNS here%s:\n",
	               s->edge_enabled ? ", and each name that you expose" : "");
	if (outside->public_name[0])
		tell_record(outside->public_name, derived, out);
	if (!s->edge_enabled)
		return;
	for (size_t i = 0; i < public->count; i++) {
		if (tow_host_port_split(tow_slice_of(public->items[i]), host, &port, NULL) == 0 &&
		    strcmp(host, outside->public_name) != 0 &&
		    tow_addr_parse_host(tow_slice_of(host), &addr) != 0)
			tell_record(host, derived, out);
	}
	if (public->count == 0 ||
	    tow_host_port_split(tow_slice_of(public->items[0]), host, &port, NULL) != 0)
		snprintf(host, sizeof host, "%s", derived);
	tell_record(EXAMPLE_NAME, host, out);
}

static void tell_commands(const struct settings *s, struct tow_buf *out)
{
	tow_buf_printf(
		out,
		"3. Make an invite here:\n"
		"     TOWONEL_DATA_DIR=%s towonel invite create --name home --hostnames "
		"'" EXAMPLE_NAME "'\n"
		"   and start an agent at home with the token that it prints:\n"
		"     TOWONEL_INVITE_TOKEN=tt_inv_2_... TOWONEL_AGENT_SERVICES='[{\"hostname\":"
		"\"" EXAMPLE_NAME "\",\"origin\":\"127.0.0.1:8443\"}]' towonel-agent\n"
		"Then `towonel doctor` tells, here and there, what does not work yet and why.\n",
		s->data_dir);
}

void first_run_tell(const struct settings *settings, const struct outside *outside,
                    struct tow_log *log)
{
	struct tow_buf text = { 0 };
	if (settings->log_level < TOW_LOG_INFO)
		return;
	tow_buf_printf(&text, "This node is new, and has made its keys in %s. What comes next:\n",
	               settings->data_dir);
	tell_ports(settings, &text);
	tell_names(settings, outside, &text);
	tell_commands(settings, &text);
	if (tow_buf_append(&text, "", 1) != 0) {
		tow_buf_deinit(&text);
		return;
	}
	const char *lines = (const char *)tow_buf_peek(&text).base;
	if (settings->log_format == TOW_LOG_JSON)
		tow_log_info(log, "first run", tow_f_str("next", lines));
	else
		fputs(lines, stderr);
	tow_buf_deinit(&text);
}
