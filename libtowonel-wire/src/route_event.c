/* SPDX-License-Identifier: MIT */

#include "route_event.h"

#include <stdlib.h>

#include <towonel/wire/cursor.h>

#include "access_json.h"
#include "json.h"

static int read_id(const json_t *object, const char *name, struct tow_id *out,
                   struct tow_error *err)
{
	struct tow_slice text;
	int rc = tow__json_text(object, name, &text, err);

	if (rc == 0 && tow_id_parse(text, out) != 0)
		rc = tow_error_set(err, TOW_EPARSE, "%s is not an id", name);
	return rc;
}

static int protocol_of(struct tow_slice text, enum tow_protocol *out)
{
	if (tow_slice_equal(text, tow_slice_of("tcp")))
		*out = TOW_PROTOCOL_TCP;
	else if (tow_slice_equal(text, tow_slice_of("udp")))
		*out = TOW_PROTOCOL_UDP;
	else
		return TOW_EPARSE;
	return 0;
}

/* The elements of the lists. What else an object has is ignored: an edge may be older
 * than its hub. */

static int read_limits(const json_t *item, struct tow_tenant_limits *out, struct tow_error *err)
{
	uint64_t connections;
	int rc;

	if (!item)
		return 0;
	if (!json_is_object(item))
		return tow_error_set(err, TOW_EPARSE, "limits is not an object");
	rc = tow__json_uint_or(item, "connections", 0, UINT32_MAX, 0, &connections, err);
	if (rc == 0)
		rc = tow__json_uint_or(item, "bytes_in_per_sec", 0, TOW_TENANT_RATE_MAX, 0,
		                       &out->bytes_in_per_sec, err);
	if (rc == 0)
		rc = tow__json_uint_or(item, "bytes_out_per_sec", 0, TOW_TENANT_RATE_MAX, 0,
		                       &out->bytes_out_per_sec, err);
	if (rc == 0)
		out->connections = (uint32_t)connections;
	return rc;
}

static int read_tenant(const json_t *item, void *out, struct tow_error *err)
{
	struct tow_route_tenant *tenant = out;
	struct tow_slice key;
	int rc = read_id(item, "tenant_id", &tenant->id, err);

	if (rc == 0)
		rc = tow__json_text(item, "public_key", &key, err);
	if (rc == 0 && tow_base64url_decode(key, tenant->public_key, sizeof(tenant->public_key)) !=
	                       (int)sizeof(tenant->public_key))
		rc = tow_error_set(err, TOW_EPARSE, "public_key is not an ML-DSA-65 key");
	return rc == 0 ? read_limits(json_object_get(item, "limits"), &tenant->limits, err) : rc;
}

/* *out is NULL before, and stays so for everybody. */
static int read_access(const json_t *item, struct tow_access **out, struct tow_error *err)
{
	struct tow_access access = { { 0, 0 }, { { 0 } } };
	int rc = tow__access_read(item, TOW_ACCESS_ALLOW, &access, err);

	if (rc == 0)
		rc = tow__access_read(item, TOW_ACCESS_DENY, &access, err);
	if (rc != 0 || tow_access_is_open(&access))
		return rc;
	*out = tow_access_copy(&access);
	return *out ? 0 : tow_error_set(err, TOW_ENOMEM, "out of memory");
}

static int read_hostname(const json_t *item, void *out, struct tow_error *err)
{
	struct tow_route_hostname *hostname = out;
	struct tow_slice text, mode;
	int rc = tow__json_text(item, "hostname", &text, err);

	if (rc == 0)
		rc = tow_hostname_parse(text, TOW_HOSTNAME_PATTERN, hostname->pattern, err);
	if (rc == 0)
		rc = read_id(item, "tenant_id", &hostname->tenant_id, err);
	if (rc == 0)
		rc = tow__json_text(item, "tls_mode", &mode, err);
	if (rc == 0 && tow_tls_mode_parse((const char *)mode.base, &hostname->tls_mode) != 0)
		rc = tow_error_set(err, TOW_EPARSE, "tls_mode is not known");
	if (rc == 0)
		rc = read_access(item, &hostname->access, err);
	if (rc != 0 || json_object_get(item, "http") == NULL)
		return rc;
	rc = tow__json_text(item, "http", &mode, err);
	if (rc == 0 && tow_http_mode_parse((const char *)mode.base, &hostname->http_mode) != 0)
		rc = tow_error_set(err, TOW_EPARSE, "http is not known");
	return rc;
}

static int read_port(const json_t *item, void *out, struct tow_error *err)
{
	struct tow_route_port *port = out;
	struct tow_slice protocol, service;
	uint64_t number = 0, idle = 0;
	int rc = tow__json_text(item, "protocol", &protocol, err);

	if (rc == 0 && protocol_of(protocol, &port->protocol) != 0)
		rc = tow_error_set(err, TOW_EPARSE, "protocol is neither tcp nor udp");
	if (rc == 0)
		rc = tow__json_uint(item, "port", 1, UINT16_MAX, &number, err);
	port->port = (uint16_t)number;
	if (rc == 0)
		rc = read_id(item, "tenant_id", &port->tenant_id, err);
	if (rc == 0)
		rc = tow__json_text(item, "service", &service, err);
	if (rc == 0)
		rc = tow_service_name_check(service, err);
	if (rc == 0)
		memcpy(port->service, service.base, service.len); /* at most TOW_SERVICE_NAME_MAX */
	if (rc == 0 && port->protocol == TOW_PROTOCOL_UDP)
		rc = tow__json_uint_or(item, "idle_timeout_secs", 1, TOW_IDLE_TIMEOUT_MAX_S,
		                       TOW_IDLE_TIMEOUT_S, &idle, err);
	port->idle_timeout_secs = (uint16_t)idle;
	return rc != 0 ? rc : read_access(item, &port->access, err);
}

static int read_revocation(const json_t *item, void *out, struct tow_error *err)
{
	struct tow__route_revocation *revocation = out;
	int rc = read_id(item, "tenant_id", &revocation->tenant_id, err);

	if (rc == 0)
		rc = read_id(item, "agent_id", &revocation->agent_id, err);
	if (rc == 0)
		rc = tow__json_uint(item, "expires_at_ms", 0, INT64_MAX, &revocation->expires_at_ms,
		                    err);
	return rc;
}

static int read_removed_tenant(const json_t *item, void *out, struct tow_error *err)
{
	if (!json_is_string(item) || tow_id_parse(tow_slice_of(json_string_value(item)), out) != 0)
		return tow_error_set(err, TOW_EPARSE, "not an id");
	return 0;
}

static int read_removed_hostname(const json_t *item, void *out, struct tow_error *err)
{
	struct tow_route_hostname *hostname = out;

	if (!json_is_string(item))
		return tow_error_set(err, TOW_EPARSE, "not a string");
	return tow_hostname_parse(tow_slice_of(json_string_value(item)), TOW_HOSTNAME_PATTERN,
	                          hostname->pattern, err);
}

/* "tcp/2222" */
static int read_removed_port(const json_t *item, void *out, struct tow_error *err)
{
	struct tow_route_port *port = out;
	struct tow_reader r =
		tow_reader_of(tow_slice_of(json_is_string(item) ? json_string_value(item) : ""));
	struct tow_slice protocol = tow_read_bytes(&r, 3);
	uint32_t number = 0;
	int rc = tow_read_u8(&r) == '/' ? protocol_of(protocol, &port->protocol) : TOW_EPARSE;

	while (rc == 0 && r.left > 0) {
		unsigned digit = (unsigned)tow_read_u8(&r) - '0';

		number = number * 10 + digit;
		if (digit > 9 || number == 0 || number > UINT16_MAX)
			rc = TOW_EPARSE;
	}
	if (rc != 0 || number == 0)
		return tow_error_set(err, TOW_EPARSE, "not of the form tcp/PORT or udp/PORT");
	port->port = (uint16_t)number;
	return 0;
}

struct section {
	const char *name;
	size_t item_size;
	int (*read)(const json_t *item, void *out, struct tow_error *err);
};

static int read_list(const json_t *parent, const struct section *section,
                     struct tow__route_list *out, struct tow_error *err)
{
	const json_t *array = json_object_get(parent, section->name);
	size_t count = json_array_size(array);
	uint8_t *items;

	if (array && !json_is_array(array))
		return tow_error_set(err, TOW_EPARSE, "%s is not an array", section->name);
	if (count == 0)
		return 0;
	items = calloc(count, section->item_size);
	if (!items)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	out->items = items;
	out->count = count;
	for (size_t i = 0; i < count; i++) {
		int rc = section->read(json_array_get(array, i), items + i * section->item_size,
		                       err);

		if (rc != 0) {
			tow_error_prefix(err, "%s[%zu]", section->name, i);
			return rc;
		}
	}
	return 0;
}

static int read_versions(const json_t *root, struct tow__route_event *event, struct tow_error *err)
{
	int rc = tow__json_uint(root, "version", 1, INT64_MAX, &event->version, err);

	event->is_delta = json_object_get(root, "from") != NULL;
	if (rc != 0 || !event->is_delta)
		return rc;
	rc = tow__json_uint(root, "from", 0, INT64_MAX, &event->from, err);
	if (rc == 0 && event->from >= event->version)
		rc = tow_error_set(err, TOW_EPARSE, "version does not come after from");
	return rc;
}

static int read_event(const json_t *root, struct tow__route_event *event, struct tow_error *err)
{
	const json_t *removed = json_object_get(root, "removed");
	const struct {
		const json_t *parent;
		struct section section;
		struct tow__route_list *list;
	} sections[] = {
		{ root,
		  { "tenants", sizeof(struct tow_route_tenant), read_tenant },
		  &event->tenants },
		{ root,
		  { "hostnames", sizeof(struct tow_route_hostname), read_hostname },
		  &event->hostnames },
		{ root, { "ports", sizeof(struct tow_route_port), read_port }, &event->ports },
		{ root,
		  { "revoked_agents", sizeof(struct tow__route_revocation), read_revocation },
		  &event->revoked },
		{ removed,
		  { "tenants", sizeof(struct tow_id), read_removed_tenant },
		  &event->removed_tenants },
		{ removed,
		  { "hostnames", sizeof(struct tow_route_hostname), read_removed_hostname },
		  &event->removed_hostnames },
		{ removed,
		  { "ports", sizeof(struct tow_route_port), read_removed_port },
		  &event->removed_ports },
	};
	int rc;

	if (!json_is_object(root))
		return tow_error_set(err, TOW_EPARSE, "not an object");
	rc = read_versions(root, event, err);
	if (rc == 0 && removed && (!json_is_object(removed) || !event->is_delta))
		rc = tow_error_set(err, TOW_EPARSE, "removed is not an object of a delta");
	for (size_t i = 0; rc == 0 && i < sizeof(sections) / sizeof(sections[0]); i++)
		rc = read_list(sections[i].parent, &sections[i].section, sections[i].list, err);
	return rc;
}

int tow__route_event_parse(struct tow_slice json, struct tow__route_event *out,
                           struct tow_error *err)
{
	struct tow__route_event event = { .version = 0 };
	json_t *root;
	int rc = tow__json_load(json, TOW_ROUTE_EVENT_MAX, &root, err);

	if (rc != 0) {
		*out = event;
		return rc;
	}
	rc = read_event(root, &event, err);
	json_decref(root);
	if (rc != 0)
		tow__route_event_deinit(&event);
	*out = event;
	return rc;
}

void tow__route_event_deinit(struct tow__route_event *event)
{
	struct tow_route_hostname *hostnames = event->hostnames.items;
	struct tow_route_port *ports = event->ports.items;

	for (size_t i = 0; i < event->hostnames.count; i++)
		free(hostnames[i].access);
	for (size_t i = 0; i < event->ports.count; i++)
		free(ports[i].access);
	free(event->tenants.items);
	free(event->hostnames.items);
	free(event->ports.items);
	free(event->revoked.items);
	free(event->removed_tenants.items);
	free(event->removed_hostnames.items);
	free(event->removed_ports.items);
	memset(event, 0, sizeof(*event));
}
