/* SPDX-License-Identifier: MIT */
#include <towonel/wire/service.h>

#include "access_json.h"
#include "host_port.h"
#include "json.h"
#include "utf8.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <towonel/wire/addr.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define HASH_DOMAIN     "towonel/services/v1"
#define INPROC          "inproc:"
#define PLAIN_HTTP      "http:"

static const char *const tls_modes[] = {
	[TOW_TLS_PASSTHROUGH] = "passthrough",
	[TOW_TLS_TERMINATE] = "terminate",
};
static const char *const http_modes[] = {
	[TOW_HTTP_FORWARDED] = "forwarded",
	[TOW_HTTP_PLAIN] = "plain",
	[TOW_HTTP_H2C] = "h2c",
	[TOW_HTTP_CHALLENGE] = "challenge",
};
static const char *const proxy_protocols[] = {
	[TOW_PROXY_NONE] = "none",
	[TOW_PROXY_V2] = "v2",
};
static const char *const authority_prefixes[] = {
	[TOW_SERVICE_HTTPS] = "",
	[TOW_SERVICE_TCP] = "tcp:",
	[TOW_SERVICE_UDP] = "udp:",
};
static const char *const kind_names[] = {
	[TOW_SERVICE_HTTPS] = "https",
	[TOW_SERVICE_TCP] = "TCP",
	[TOW_SERVICE_UDP] = "UDP",
};

const char *tow_tls_mode_name(enum tow_tls_mode mode)
{
	return tls_modes[mode];
}

int tow_tls_mode_parse(const char *name, enum tow_tls_mode *out)
{
	for (size_t i = 0; i < COUNT_OF(tls_modes); i++) {
		if (!strcmp(name, tls_modes[i])) {
			*out = (enum tow_tls_mode)i;
			return 0;
		}
	}
	return TOW_EPARSE;
}

const char *tow_http_mode_name(enum tow_http_mode mode)
{
	return http_modes[mode];
}

int tow_http_mode_parse(const char *name, enum tow_http_mode *out)
{
	for (size_t i = 0; i < COUNT_OF(http_modes); i++) {
		if (!strcmp(name, http_modes[i])) {
			*out = (enum tow_http_mode)i;
			return 0;
		}
	}
	return TOW_EPARSE;
}

int tow_service_name_check(struct tow_slice name, struct tow_error *err)
{
	if (!name.len)
		return tow_error_set(err, TOW_EPARSE, "the service name is empty");
	if (name.len > TOW_SERVICE_NAME_MAX)
		return tow_error_set(err, TOW_EPARSE, "the service name is longer than %d bytes",
		                     TOW_SERVICE_NAME_MAX);
	while (name.len) {
		uint32_t c;
		size_t len = tow__utf8_read(name, &c);
		if (!len)
			return tow_error_set(err, TOW_EPARSE, "the service name is not UTF-8");
		if (tow__utf8_is_control(c))
			return tow_error_set(err, TOW_EPARSE,
			                     "the service name has a control character");
		name = tow_slice_make(name.base + len, name.len - len);
	}
	return 0;
}

static void copy_lower(char *out, const char *text)
{
	size_t i = 0;

	for (; text[i]; i++)
		out[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]);
	out[i] = '\0';
}

/* "inproc:NAME": NAME is the host program's own, and short, so that it is easily compared. */
static int read_inproc(struct tow_slice text, struct tow_service *service, struct tow_error *err)
{
	size_t len = text.len - strlen(INPROC);

	if (!len || len > TOW_SERVICE_NAME_MAX)
		return tow_error_set(err, TOW_EPARSE,
		                     "\"origin\": after inproc: comes a name of "
		                     "1 to %d bytes",
		                     TOW_SERVICE_NAME_MAX);
	for (size_t i = strlen(INPROC); i < text.len; i++)
		if (text.base[i] <= ' ' || text.base[i] > '~')
			return tow_error_set(err, TOW_EPARSE,
			                     "\"origin\": a name after inproc: is printable ASCII");
	if (service->kind == TOW_SERVICE_UDP)
		return tow_error_set(err, TOW_EPARSE, "\"origin\": a UDP service has a host:port");
	memcpy(service->origin_host, text.base, text.len);
	return 0;
}

const char *tow_service_inproc(const struct tow_service *service)
{
	size_t len = strlen(INPROC);

	return strncmp(service->origin_host, INPROC, len) ? NULL : service->origin_host + len;
}

/* One spelling per origin, so that equal services have equal hashes. */
static int split_origin(struct tow_slice text, const char *key, char out[TOW_HOSTNAME_SIZE],
                        uint16_t *port, struct tow_error *err)
{
	struct tow_addr addr;
	char host[TOW_HOSTNAME_SIZE];
	int r = tow_host_port_split(text, host, port, err);

	if (r) {
		tow_error_prefix(err, "\"%s\" must be host:port", key);
		return r;
	}
	if (!tow_addr_parse_host(tow_slice_of(host), &addr))
		tow_addr_format_host(&addr, out);
	else
		copy_lower(out, host);
	return 0;
}

static int read_origin(const json_t *object, struct tow_service *service, struct tow_error *err)
{
	struct tow_slice text;
	int r = tow__json_text(object, "origin", &text, err);

	if (r)
		return r;
	if (text.len >= strlen(INPROC) && !memcmp(text.base, INPROC, strlen(INPROC)))
		return read_inproc(text, service, err);
	return split_origin(text, "origin", service->origin_host, &service->origin_port, err);
}

/* "http_origin": of use only where the edge does not answer for the name itself. */
static int read_http_origin(const json_t *object, struct tow_service *service,
                            struct tow_error *err)
{
	struct tow_slice text;
	int r;

	if (!json_object_get(object, "http_origin"))
		return 0;
	if (service->tls_mode != TOW_TLS_PASSTHROUGH)
		return tow_error_set(err, TOW_EPARSE,
		                     "\"http_origin\" needs \"tls_mode\" "
		                     "{\"mode\":\"passthrough\"}");
	r = tow__json_text(object, "http_origin", &text, err);
	if (!r)
		r = split_origin(text, "http_origin", service->http_origin_host,
		                 &service->http_origin_port, err);
	if (!r)
		service->http_mode = TOW_HTTP_CHALLENGE;
	return r;
}

static int read_proxy_protocol(const json_t *object, struct tow_service *service,
                               struct tow_error *err)
{
	size_t choice;
	int r;

	if (!json_object_get(object, "proxy_protocol")) {
		int raw = service->kind == TOW_SERVICE_HTTPS &&
		          service->tls_mode == TOW_TLS_PASSTHROUGH && !tow_service_inproc(service);
		service->proxy_protocol = raw ? TOW_PROXY_V2 : TOW_PROXY_NONE;
		return 0;
	}
	r = tow__json_choice(object, "proxy_protocol", proxy_protocols, COUNT_OF(proxy_protocols),
	                     &choice, err);
	if (!r)
		service->proxy_protocol = (enum tow_proxy_protocol)choice;
	return r;
}

static int read_tls_mode(const json_t *object, struct tow_service *service, struct tow_error *err)
{
	static const char *const keys[] = { "mode" };
	const json_t *value = json_object_get(object, "tls_mode");
	size_t choice;
	int r;

	if (!value)
		return 0; /* passthrough */
	if (!json_is_object(value))
		return tow_error_set(err, TOW_EPARSE,
		                     "\"tls_mode\" must be {\"mode\":\"passthrough\"} or "
		                     "{\"mode\":\"terminate\"}");
	r = tow__json_check_keys(value, keys, COUNT_OF(keys), err);
	if (!r)
		r = tow__json_choice(value, "mode", tls_modes, COUNT_OF(tls_modes), &choice, err);
	if (r) {
		tow_error_prefix(err, "\"tls_mode\"");
		return r;
	}
	service->tls_mode = (enum tow_tls_mode)choice;
	return 0;
}

/* "origin_protocol" and "forwarded_headers": of use only where the edge sees inside the TLS. */
static int read_http_mode(const json_t *object, struct tow_service *service, struct tow_error *err)
{
	static const char *const protocols[] = { "http/1.1", "h2c" };
	const json_t *headers = json_object_get(object, "forwarded_headers");
	size_t protocol = 0;

	if (service->tls_mode != TOW_TLS_TERMINATE) {
		if (!headers && !json_object_get(object, "origin_protocol"))
			return 0;
		return tow_error_set(err, TOW_EPARSE,
		                     "\"%s\" needs \"tls_mode\" {\"mode\":\"terminate\"}",
		                     headers ? "forwarded_headers" : "origin_protocol");
	}
	if (headers && !json_is_boolean(headers))
		return tow_error_set(err, TOW_EPARSE,
		                     "\"forwarded_headers\" must be true or false");
	if (json_object_get(object, "origin_protocol")) {
		int r = tow__json_choice(object, "origin_protocol", protocols, COUNT_OF(protocols),
		                         &protocol, err);
		if (r)
			return r;
	}
	if (protocol && json_is_true(headers))
		return tow_error_set(err, TOW_EPARSE,
		                     "\"forwarded_headers\" are not for \"origin_protocol\" "
		                     "\"h2c\"");
	service->http_mode = protocol                 ? TOW_HTTP_H2C
	                     : json_is_false(headers) ? TOW_HTTP_PLAIN
	                                              : TOW_HTTP_FORWARDED;
	return 0;
}

/* A name for an SNI (RFC 6066 section 3): no address; a single label will do inside a network. */
static int read_origin_server_name(const json_t *object, struct tow_service *service,
                                   struct tow_error *err)
{
	struct tow_slice text;
	struct tow_addr addr;
	int r;

	if (!json_object_get(object, "origin_server_name"))
		return 0;
	r = tow__json_text(object, "origin_server_name", &text, err);
	if (r)
		return r;
	if (tow_service_inproc(service))
		return tow_error_set(err, TOW_EPARSE,
		                     "\"origin_server_name\" is not for an origin \"inproc:...\"");
	r = tow__host_check(text, 0, err);
	if (!r && !tow_addr_parse_host(text, &addr))
		r = tow_error_set(err, TOW_EPARSE, "an address is no server name");
	if (r) {
		tow_error_prefix(err, "\"origin_server_name\"");
		return r;
	}
	copy_lower(service->origin_server_name, (const char *)text.base);
	if (service->origin_server_name[text.len - 1] == '.')
		service->origin_server_name[text.len - 1] = '\0';
	return 0;
}

static int read_access(const json_t *object, struct tow_service *service, struct tow_error *err)
{
	int r = tow__access_read(object, TOW_ACCESS_ALLOW, &service->access, err);

	return r ? r : tow__access_read(object, TOW_ACCESS_DENY, &service->access, err);
}

static int read_https(const json_t *object, struct tow_service *service, struct tow_error *err)
{
	static const char *const keys[] = { "hostname",        "origin",
		                            "tls_mode",        "origin_server_name",
		                            "origin_protocol", "forwarded_headers",
		                            "proxy_protocol",  "http_origin",
		                            "allow_from",      "deny_from" };
	struct tow_slice text;
	int r = tow__json_check_keys(object, keys, COUNT_OF(keys), err);

	if (!r)
		r = tow__json_text(object, "hostname", &text, err);
	if (!r)
		r = tow_hostname_parse(text, TOW_HOSTNAME_PATTERN, service->name, err);
	if (!r)
		r = read_origin(object, service, err);
	if (!r)
		r = read_origin_server_name(object, service, err);
	if (!r)
		r = read_tls_mode(object, service, err);
	if (!r)
		r = read_http_mode(object, service, err);
	if (!r)
		r = read_http_origin(object, service, err);
	if (!r)
		r = read_proxy_protocol(object, service, err);
	return r ? r : read_access(object, service, err);
}

/* The public ports and the origin's: both ranges have to end at a port. */
static int read_ports(const json_t *object, struct tow_service *service, struct tow_error *err)
{
	uint64_t first, count;
	int r = tow__json_uint(object, "listen_port", 1, UINT16_MAX, &first, err);

	if (!r)
		r = tow__json_uint_or(object, "ports", 1, TOW_PORT_RANGE_MAX, 1, &count, err);
	if (r)
		return r;
	if (first + count - 1 > UINT16_MAX)
		return tow_error_set(err, TOW_EPARSE,
		                     "%u \"ports\" from \"listen_port\" %u on go beyond 65535",
		                     (unsigned)count, (unsigned)first);
	if (service->origin_port + count - 1 > UINT16_MAX)
		return tow_error_set(err, TOW_EPARSE,
		                     "%u \"ports\" from the origin's port %u on go beyond 65535",
		                     (unsigned)count, (unsigned)service->origin_port);
	service->listen_port = (uint16_t)first;
	service->port_count = (uint16_t)count;
	return 0;
}

static int read_port_service(const json_t *object, struct tow_service *service,
                             struct tow_error *err)
{
	static const char *const keys[] = { "name",      "origin",           "listen_port",
		                            "ports",     "proxy_protocol",   "allow_from",
		                            "deny_from", "idle_timeout_secs" };
	size_t key_count = COUNT_OF(keys) - (service->kind != TOW_SERVICE_UDP);
	struct tow_slice text;
	uint64_t idle = 0;
	int r = tow__json_check_keys(object, keys, key_count, err);

	if (!r)
		r = tow__json_text(object, "name", &text, err);
	if (!r)
		r = tow_service_name_check(text, err);
	if (r)
		return r;
	memcpy(service->name, text.base, text.len);
	r = read_origin(object, service, err);
	if (!r)
		r = read_ports(object, service, err);
	if (!r)
		r = read_proxy_protocol(object, service, err);
	if (!r)
		r = read_access(object, service, err);
	if (!r && service->kind == TOW_SERVICE_UDP)
		r = tow__json_uint_or(object, "idle_timeout_secs", 1, TOW_IDLE_TIMEOUT_MAX_S,
		                      TOW_IDLE_TIMEOUT_S, &idle, err);
	service->idle_timeout_secs = (uint16_t)idle;
	return r;
}

static int is_blank(struct tow_slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!strchr(" \t\r\n", text.base[i]) || !text.base[i])
			return 0;
	return 1;
}

int tow_service_list_parse(struct tow_service_list *list, enum tow_service_kind kind,
                           struct tow_slice json, struct tow_error *err)
{
	json_t *array = NULL;
	struct tow_service *items;
	size_t count;
	int r;

	if (is_blank(json))
		return 0;
	r = tow__json_load(json, TOW_SERVICES_TEXT_MAX, &array, err);
	if (r)
		return r;
	if (!json_is_array(array)) {
		r = tow_error_set(err, TOW_EPARSE, "must be a JSON array: [{...}, ...]");
		goto out;
	}
	count = json_array_size(array);
	if (count > TOW_SERVICES_MAX || list->count > TOW_SERVICES_MAX - count) {
		r = tow_error_set(err, TOW_ETOOBIG, "more than %d services", TOW_SERVICES_MAX);
		goto out;
	}
	if (!count)
		goto out;
	items = realloc(list->items, (list->count + count) * sizeof *items);
	if (!items) {
		r = tow_error_set(err, TOW_ENOMEM, "out of memory");
		goto out;
	}
	list->items = items;
	for (size_t i = 0; i < count && !r; i++) {
		struct tow_service *service = &items[list->count + i];
		memset(service, 0, sizeof *service);
		service->kind = kind;
		r = kind == TOW_SERVICE_HTTPS
		            ? read_https(json_array_get(array, i), service, err)
		            : read_port_service(json_array_get(array, i), service, err);
		if (r)
			tow_error_prefix(err, "element %zu", i + 1);
	}
	if (!r)
		list->count += count;
out:
	json_decref(array);
	return r;
}

/* The first port that both have; 0 when none. */
static unsigned shared_port(const struct tow_service *a, const struct tow_service *b)
{
	unsigned first = a->listen_port > b->listen_port ? a->listen_port : b->listen_port;

	return first < (unsigned)a->listen_port + a->port_count &&
	                       first < (unsigned)b->listen_port + b->port_count
	               ? first
	               : 0;
}

static int check_pair(const struct tow_service *a, const struct tow_service *b,
                      struct tow_error *err)
{
	if (a->kind == b->kind) {
		if (!strcmp(a->name, b->name))
			return tow_error_set(err, TOW_ECONFLICT,
			                     a->kind == TOW_SERVICE_HTTPS
			                             ? "the hostname \"%s\" is declared twice"
			                             : "the service name \"%s\" is declared twice",
			                     a->name);
		if (shared_port(a, b))
			return tow_error_set(err, TOW_ECONFLICT,
			                     "\"%s\" and \"%s\" both want %s port %u", a->name,
			                     b->name, kind_names[a->kind], shared_port(a, b));
	} else if ((a->kind == TOW_SERVICE_HTTPS || b->kind == TOW_SERVICE_HTTPS) &&
	           !strcasecmp(a->name, b->name)) {
		return tow_error_set(err, TOW_ECONFLICT,
		                     "\"%s\" is a hostname and the name of a %s service", a->name,
		                     kind_names[a->kind == TOW_SERVICE_HTTPS ? b->kind : a->kind]);
	}
	return 0;
}

int tow_service_list_check(const struct tow_service_list *list, struct tow_error *err)
{
	for (size_t i = 0; i < list->count; i++) {
		for (size_t j = 0; j < i; j++) {
			int r = check_pair(&list->items[j], &list->items[i], err);
			if (r)
				return r;
		}
	}
	return 0;
}

int tow_service_list_copy(const struct tow_service_list *list, struct tow_service_list *out)
{
	struct tow_service_list copy = { 0 };

	if (list->count) {
		copy.items = malloc(list->count * sizeof *copy.items);
		if (!copy.items)
			return TOW_ENOMEM;
		memcpy(copy.items, list->items, list->count * sizeof *copy.items);
		copy.count = list->count;
	}
	*out = copy;
	return 0;
}

void tow_service_list_deinit(struct tow_service_list *list)
{
	free(list->items);
	memset(list, 0, sizeof *list);
}

/* Kind and name come first; the rest only matters in a list that _check would refuse. */
static int compare(const struct tow_service *a, const struct tow_service *b)
{
	int r = (int)a->kind - (int)b->kind;

	if (!r)
		r = strcmp(a->name, b->name);
	if (!r)
		r = (int)a->listen_port - (int)b->listen_port;
	if (!r)
		r = (int)a->port_count - (int)b->port_count;
	if (!r)
		r = strcmp(a->origin_host, b->origin_host);
	if (!r)
		r = (int)a->origin_port - (int)b->origin_port;
	if (!r)
		r = strcmp(a->origin_server_name, b->origin_server_name);
	if (!r)
		r = (int)a->tls_mode - (int)b->tls_mode;
	if (!r)
		r = (int)a->http_mode - (int)b->http_mode;
	if (!r)
		r = strcmp(a->http_origin_host, b->http_origin_host);
	if (!r)
		r = (int)a->http_origin_port - (int)b->http_origin_port;
	if (!r)
		r = (int)a->proxy_protocol - (int)b->proxy_protocol;
	if (!r)
		r = (int)a->idle_timeout_secs - (int)b->idle_timeout_secs;
	if (!r)
		r = tow_access_compare(&a->access, &b->access);
	return r;
}

static void hash_uint(crypto_generichash_blake2b_state *state, unsigned value)
{
	uint8_t bytes[2] = { (uint8_t)(value >> 8), (uint8_t)value };

	crypto_generichash_blake2b_update(state, bytes, sizeof bytes);
}

static void hash_text(crypto_generichash_blake2b_state *state, const char *text)
{
	size_t len = strlen(text);

	hash_uint(state, (unsigned)len);
	crypto_generichash_blake2b_update(state, (const uint8_t *)text, len);
}

static void hash_prefixes(crypto_generichash_blake2b_state *state, const struct tow_access *access,
                          enum tow_access_list list)
{
	size_t count;
	const struct tow_prefix *prefixes = tow_access_prefixes(access, list, &count);

	hash_uint(state, (unsigned)count);
	crypto_generichash_blake2b_update(state, (const uint8_t *)prefixes,
	                                  count * sizeof *prefixes);
}

static void hash_service(crypto_generichash_blake2b_state *state, const struct tow_service *s)
{
	hash_uint(state, s->kind);
	hash_text(state, s->name);
	hash_text(state, s->origin_host);
	hash_uint(state, s->origin_port);
	hash_text(state, s->origin_server_name);
	hash_uint(state, s->tls_mode);
	hash_uint(state, s->http_mode);
	hash_text(state, s->http_origin_host);
	hash_uint(state, s->http_origin_port);
	hash_uint(state, s->proxy_protocol);
	hash_uint(state, s->listen_port);
	hash_uint(state, s->port_count);
	hash_uint(state, s->idle_timeout_secs);
	hash_prefixes(state, &s->access, TOW_ACCESS_ALLOW);
	hash_prefixes(state, &s->access, TOW_ACCESS_DENY);
}

/* Takes the services in order by looking for the next one each time: it needs no memory, so it
 * cannot fail, and lists are short. Equal ones are taken together. */
void tow_service_list_hash(const struct tow_service_list *list, uint8_t out[TOW_HASH_SIZE])
{
	crypto_generichash_blake2b_state state;
	const struct tow_service *last = NULL;

	crypto_generichash_blake2b_init(&state, NULL, 0, TOW_HASH_SIZE);
	hash_text(&state, HASH_DOMAIN);
	for (;;) {
		const struct tow_service *next = NULL;
		size_t same = 0;
		for (size_t i = 0; i < list->count; i++) {
			const struct tow_service *s = &list->items[i];
			int r = next ? compare(s, next) : -1;
			if (r > 0 || (last && compare(s, last) <= 0))
				continue;
			same = r ? 1 : same + 1;
			next = s;
		}
		if (!next)
			break;
		while (same--)
			hash_service(&state, next);
		last = next;
	}
	crypto_generichash_blake2b_final(&state, out, TOW_HASH_SIZE);
}

static int has_authority(const struct tow_service *service, const char *authority)
{
	const char *prefix = authority_prefixes[service->kind];
	size_t len = strlen(prefix);

	return !strncmp(authority, prefix, len) && !strcmp(authority + len, service->name);
}

const struct tow_service *tow_service_list_find(const struct tow_service_list *list,
                                                const char *authority)
{
	const struct tow_service *wildcard = NULL;
	int is_hostname = !strchr(authority, ':');

	if (tow_service_is_plain_http(authority)) {
		wildcard = tow_service_list_find(list, authority + strlen(PLAIN_HTTP));
		return wildcard && wildcard->http_origin_port ? wildcard : NULL;
	}
	for (size_t i = 0; i < list->count; i++) {
		const struct tow_service *s = &list->items[i];
		if (has_authority(s, authority))
			return s;
		if (s->kind == TOW_SERVICE_HTTPS && is_hostname &&
		    tow_hostname_matches(s->name, authority))
			wildcard = s;
	}
	return wildcard;
}

char *tow_service_authority(const struct tow_service *service, char out[TOW_AUTHORITY_SIZE])
{
	snprintf(out, TOW_AUTHORITY_SIZE, "%s%s", authority_prefixes[service->kind], service->name);
	return out;
}

int tow_service_is_plain_http(const char *authority)
{
	return !strncmp(authority, PLAIN_HTTP, strlen(PLAIN_HTTP)) &&
	       !strchr(authority + strlen(PLAIN_HTTP), ':');
}

void tow_service_take_plain_http(struct tow_service *service)
{
	memcpy(service->origin_host, service->http_origin_host, sizeof service->origin_host);
	service->origin_port = service->http_origin_port;
	service->origin_server_name[0] = '\0';
	service->proxy_protocol = TOW_PROXY_NONE;
}

int tow_service_origin_port(const struct tow_service *service, uint16_t public_port, uint16_t *out)
{
	unsigned offset = (unsigned)public_port - service->listen_port; /* huge below the first */

	if (service->kind == TOW_SERVICE_HTTPS)
		offset = 0;
	else if (offset >= service->port_count)
		return TOW_EINVAL;
	*out = (uint16_t)(service->origin_port + offset);
	return 0;
}
