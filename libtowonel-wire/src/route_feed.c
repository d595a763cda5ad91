/* SPDX-License-Identifier: MIT */

/*
 * A snapshot may hold a hundred thousand names. Each item becomes text as it comes, in the buffer
 * of its section, so that the whole never stands in memory as JSON values as well.
 */

#include <towonel/wire/route_feed.h>

#include <stdlib.h>

#include <jansson.h>

#include "access_json.h"

enum section {
	TENANTS,
	HOSTNAMES,
	PORTS,
	REVOKED_AGENTS,
	REMOVED_TENANTS,
	REMOVED_HOSTNAMES,
	REMOVED_PORTS,
	SECTION_COUNT,
};

struct tow_route_writer {
	uint64_t from;
	uint64_t version;
	struct tow_buf sections[SECTION_COUNT]; /* the elements of an array, with commas between */
	int rc;                                 /* sticky */
};

struct tow_route_writer *tow_route_writer_new(uint64_t from, uint64_t version)
{
	struct tow_route_writer *w = calloc(1, sizeof(*w));

	if (w) {
		w->from = from;
		w->version = version;
	}
	return w;
}

void tow_route_writer_free(struct tow_route_writer *writer)
{
	if (!writer)
		return;
	for (size_t i = 0; i < SECTION_COUNT; i++)
		tow_buf_deinit(&writer->sections[i]);
	free(writer);
}

static int append_text(const char *text, size_t len, void *user)
{
	return tow_buf_append(user, text, len) == 0 ? 0 : -1;
}

/* Takes item, which is NULL when it could not be made. */
static void write_item(struct tow_route_writer *w, enum section section, json_t *item)
{
	struct tow_buf *buf = &w->sections[section];

	if (w->rc == 0 &&
	    (!item || (tow_buf_len(buf) > 0 && tow_buf_append(buf, ",", 1) != 0) ||
	     json_dump_callback(item, append_text, buf, JSON_COMPACT | JSON_ENCODE_ANY) != 0))
		w->rc = TOW_ENOMEM;
	json_decref(item);
}

/* Who may come, into an item that may be NULL. Returns the item; NULL, and it is gone, when out of
 * memory. */
static json_t *add_access(json_t *item, const struct tow_access *access)
{
	for (int list = TOW_ACCESS_ALLOW; item && access && list <= TOW_ACCESS_DENY; list++) {
		if (access->counts[list] &&
		    json_object_set_new(item, tow__access_keys[list],
		                        tow__access_write(access, (enum tow_access_list)list))) {
			json_decref(item);
			item = NULL;
		}
	}
	return item;
}

void tow_route_write_tenant(struct tow_route_writer *w, const struct tow_route_tenant *tenant)
{
	const struct tow_tenant_limits *limits = &tenant->limits;
	char id[TOW_ID_TEXT_SIZE], key[TOW_BASE64URL_SIZE(TOW_MLDSA_PUBLIC_SIZE)];
	int has_limits =
		limits->connections || limits->bytes_in_per_sec || limits->bytes_out_per_sec;
	json_t *item;

	tow_id_format(&tenant->id, id);
	tow_base64url_encode(tenant->public_key, sizeof(tenant->public_key), key);
	item = json_pack("{s:s,s:s}", "tenant_id", id, "public_key", key);
	if (has_limits &&
	    json_object_set_new(item, "limits",
	                        json_pack("{s:I,s:I,s:I}", "connections",
	                                  (json_int_t)limits->connections, "bytes_in_per_sec",
	                                  (json_int_t)limits->bytes_in_per_sec, "bytes_out_per_sec",
	                                  (json_int_t)limits->bytes_out_per_sec))) {
		json_decref(item);
		item = NULL;
	}
	write_item(w, TENANTS, item);
}

void tow_route_write_hostname(struct tow_route_writer *w, const struct tow_route_hostname *hostname)
{
	const char *http = NULL; /* not written */
	char id[TOW_ID_TEXT_SIZE];

	tow_id_format(&hostname->tenant_id, id);
	if (hostname->http_mode != TOW_HTTP_FORWARDED)
		http = tow_http_mode_name(hostname->http_mode);
	write_item(w, HOSTNAMES,
	           add_access(json_pack("{s:s,s:s,s:s,s:s*}", "hostname", hostname->pattern,
	                                "tenant_id", id, "tls_mode",
	                                tow_tls_mode_name(hostname->tls_mode), "http", http),
	                      hostname->access));
}

void tow_route_write_port(struct tow_route_writer *w, const struct tow_route_port *port)
{
	char id[TOW_ID_TEXT_SIZE];
	int has_idle = port->protocol == TOW_PROTOCOL_UDP && port->idle_timeout_secs &&
	               port->idle_timeout_secs != TOW_IDLE_TIMEOUT_S;
	json_t *item;

	tow_id_format(&port->tenant_id, id);
	item = json_pack("{s:s,s:i,s:s,s:s}", "protocol", tow_protocol_name(port->protocol), "port",
	                 (int)port->port, "tenant_id", id, "service", port->service);
	if (has_idle &&
	    json_object_set_new(item, "idle_timeout_secs", json_integer(port->idle_timeout_secs))) {
		json_decref(item);
		item = NULL;
	}
	write_item(w, PORTS, add_access(item, port->access));
}

void tow_route_write_revoked_agent(struct tow_route_writer *w, const struct tow_id *tenant,
                                   const struct tow_id *agent, uint64_t expires_at_ms)
{
	char tenant_text[TOW_ID_TEXT_SIZE], agent_text[TOW_ID_TEXT_SIZE];
	json_int_t expires = expires_at_ms > INT64_MAX ? INT64_MAX : (json_int_t)expires_at_ms;

	tow_id_format(tenant, tenant_text);
	tow_id_format(agent, agent_text);
	write_item(w, REVOKED_AGENTS,
	           json_pack("{s:s,s:s,s:I}", "tenant_id", tenant_text, "agent_id", agent_text,
	                     "expires_at_ms", expires));
}

void tow_route_write_tenant_removed(struct tow_route_writer *w, const struct tow_id *tenant)
{
	char id[TOW_ID_TEXT_SIZE];

	write_item(w, REMOVED_TENANTS, json_string(tow_id_format(tenant, id)));
}

void tow_route_write_hostname_removed(struct tow_route_writer *w, const char *pattern)
{
	write_item(w, REMOVED_HOSTNAMES, json_string(pattern));
}

void tow_route_write_port_removed(struct tow_route_writer *w, enum tow_protocol protocol,
                                  uint16_t port)
{
	write_item(w, REMOVED_PORTS,
	           json_sprintf("%s/%u", tow_protocol_name(protocol), (unsigned)port));
}

/* Appends `"name":[...]`. */
static int append_section(struct tow_buf *out, const char *name, const struct tow_buf *section)
{
	struct tow_slice items = tow_buf_peek(section);
	int rc = tow_buf_printf(out, "\"%s\":[", name);

	if (rc == 0)
		rc = tow_buf_append(out, items.base, items.len);
	return rc != 0 ? rc : tow_buf_append_text(out, "]");
}

int tow_route_writer_finish(struct tow_route_writer *w, struct tow_buf *out)
{
	static const struct {
		const char *before;
		const char *name;
	} sections[SECTION_COUNT] = {
		[TENANTS] = { ",", "tenants" },
		[HOSTNAMES] = { ",", "hostnames" },
		[PORTS] = { ",", "ports" },
		[REVOKED_AGENTS] = { ",", "revoked_agents" },
		[REMOVED_TENANTS] = { ",\"removed\":{", "tenants" },
		[REMOVED_HOSTNAMES] = { ",", "hostnames" },
		[REMOVED_PORTS] = { ",", "ports" },
	};
	size_t count = w->from ? SECTION_COUNT : REMOVED_TENANTS;
	struct tow_buf text = { .base = NULL };
	int rc = w->rc;

	if (rc == 0)
		rc = tow_buf_printf(&text, "{\"version\":%llu", (unsigned long long)w->version);
	if (rc == 0 && w->from)
		rc = tow_buf_printf(&text, ",\"from\":%llu", (unsigned long long)w->from);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = tow_buf_append_text(&text, sections[i].before);
		if (rc == 0)
			rc = append_section(&text, sections[i].name, &w->sections[i]);
	}
	if (rc == 0)
		rc = tow_buf_append_text(&text, w->from ? "}}" : "}");
	if (rc == 0)
		rc = tow_buf_append(out, text.base + text.head, tow_buf_len(&text));
	tow_buf_deinit(&text);
	return rc;
}
