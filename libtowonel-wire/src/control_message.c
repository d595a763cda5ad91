/* SPDX-License-Identifier: MIT */

/*
 * The messages are rows of a table, each with the functions that turn its members into JSON and
 * back. What a peer says for people (its version, why it refuses) ends in logs: it is cut to fit,
 * and what is not printable ASCII becomes '?', on both sides.
 */

#include <towonel/wire/control_message.h>

#include <stdlib.h>

#include <towonel/wire/cursor.h>

#include "json.h"

#define PREFIX_SIZE 4

static const char *const error_names[] = {
	[TOW_TUNNEL_OK] = "ok",
	[TOW_TUNNEL_INTERNAL] = "internal",
	[TOW_TUNNEL_PROTOCOL] = "protocol",
	[TOW_TUNNEL_VERSION_REFUSED] = "version_refused",
	[TOW_TUNNEL_UNAUTHORIZED] = "unauthorized",
	[TOW_TUNNEL_SUPERSEDED] = "superseded",
	[TOW_TUNNEL_DRAINING] = "draining",
	[TOW_TUNNEL_OVERLOADED] = "overloaded",
	[TOW_TUNNEL_UNKNOWN_SERVICE] = "unknown_service",
	[TOW_TUNNEL_ORIGIN_REFUSED] = "origin_refused",
	[TOW_TUNNEL_ORIGIN_TIMEOUT] = "origin_timeout",
	[TOW_TUNNEL_PEER_RESET] = "peer_reset",
	[TOW_TUNNEL_IDLE] = "idle",
};

const char *tow_tunnel_error_name(uint64_t code)
{
	return code < sizeof(error_names) / sizeof(error_names[0]) ? error_names[code] : "unknown";
}

static void copy_printable(char *out, size_t cap, const char *text)
{
	size_t i;

	for (i = 0; text[i] != '\0' && i + 1 < cap; i++)
		out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	out[i] = '\0';
}

/* Members of a JSON object, with a sticky error. */

static void put(json_t *object, const char *name, json_t *value, int *rc)
{
	if (json_object_set_new(object, name, value) != 0 && *rc == 0)
		*rc = TOW_ENOMEM;
}

static void put_number(json_t *object, const char *name, uint64_t value, int *rc)
{
	if (value > INT64_MAX) {
		*rc = TOW_ETOOBIG;
		return;
	}
	put(object, name, json_integer((json_int_t)value), rc);
}

static void put_printable(json_t *object, const char *name, const char *text, int *rc)
{
	char clean[sizeof(((struct tow_control_message *)NULL)->text)];

	copy_printable(clean, sizeof(clean), text);
	put(object, name, json_string(clean), rc);
}

static uint64_t get_number(const json_t *object, const char *name, uint64_t max, int *rc)
{
	uint64_t value = 0;

	if (tow__json_uint(object, name, 0, max, &value, NULL) != 0)
		*rc = TOW_EPARSE;
	return value;
}

/* Optional: an empty text when absent. */
static void get_printable(const json_t *object, const char *name, char *out, size_t cap, int *rc)
{
	const json_t *value = json_object_get(object, name);

	out[0] = '\0';
	if (json_is_string(value))
		copy_printable(out, cap, json_string_value(value));
	else if (value)
		*rc = TOW_EPARSE;
}

/* A copy of a string of 1 to max bytes. */
static char *get_text(const json_t *value, size_t max, int *rc)
{
	char *copy;

	if (!json_is_string(value) || json_string_length(value) == 0 ||
	    json_string_length(value) > max) {
		*rc = TOW_EPARSE;
		return NULL;
	}
	copy = strdup(json_string_value(value));
	if (!copy)
		*rc = TOW_ENOMEM;
	return copy;
}

static int write_hello(const struct tow_control_message *m, json_t *object)
{
	json_t *services = json_array();
	int rc = services ? 0 : TOW_ENOMEM;

	put_number(object, "version", m->version, &rc);
	put_printable(object, "software", m->software, &rc);
	put(object, "entry", json_string(m->entry ? m->entry : ""), &rc);
	for (size_t i = 0; i < m->service_count && rc == 0; i++)
		if (json_array_append_new(services, json_string(m->services[i])) != 0)
			rc = TOW_ENOMEM;
	put(object, "services", services, &rc);
	return rc;
}

static int read_hello(const json_t *object, struct tow_control_message *m)
{
	const json_t *services = json_object_get(object, "services");
	size_t count = json_array_size(services);
	int rc = 0;

	m->version = (uint32_t)get_number(object, "version", UINT32_MAX, &rc);
	if (rc != 0 || m->version != TOW_TUNNEL_VERSION)
		return rc; /* who speaks another version may mean other members */
	get_printable(object, "software", m->software, sizeof(m->software), &rc);
	m->entry = get_text(json_object_get(object, "entry"), TOW_ENTRY_MAX, &rc);
	if (!json_is_array(services) || count > TOW_SERVICES_MAX)
		return TOW_EPARSE;
	if (rc != 0 || count == 0)
		return rc;
	m->services = calloc(count, sizeof(*m->services));
	if (!m->services)
		return TOW_ENOMEM;
	for (size_t i = 0; i < count && rc == 0; i++) {
		m->services[i] = get_text(json_array_get(services, i), TOW_AUTHORITY_SIZE - 1, &rc);
		m->service_count = i + (m->services[i] != NULL);
	}
	return rc;
}

static int write_welcome(const struct tow_control_message *m, json_t *object)
{
	char id[TOW_ID_TEXT_SIZE];
	int rc = 0;

	put(object, "edge_id", json_string(tow_id_format(&m->edge_id, id)), &rc);
	put_printable(object, "software", m->software, &rc);
	if (m->workers > 0) {
		put(object, "worker", json_integer(m->worker), &rc);
		put(object, "workers", json_integer(m->workers), &rc);
		if (m->tunnels > 0)
			put(object, "tunnels", json_integer(m->tunnels), &rc);
	}
	return rc;
}

static int read_welcome(const json_t *object, struct tow_control_message *m)
{
	const char *id = json_string_value(json_object_get(object, "edge_id"));
	json_int_t worker = json_integer_value(json_object_get(object, "worker"));
	json_int_t workers = json_integer_value(json_object_get(object, "workers"));
	json_int_t tunnels = json_integer_value(json_object_get(object, "tunnels"));
	int rc = 0;

	if (!id || tow_id_parse(tow_slice_of(id), &m->edge_id) != 0)
		return TOW_EPARSE;
	get_printable(object, "software", m->software, sizeof(m->software), &rc);
	/* More than a connection id can name are as good as not said. */
	if (worker >= 0 && worker < workers && workers <= UINT8_MAX + 1) {
		m->worker = (unsigned)worker;
		m->workers = (unsigned)workers;
		if (tunnels > 0 && tunnels <= workers)
			m->tunnels = (unsigned)tunnels;
	}
	return rc;
}

static int write_refused(const struct tow_control_message *m, json_t *object)
{
	int rc = 0;

	put_number(object, "code", m->code, &rc);
	put_printable(object, "message", m->text, &rc);
	return rc;
}

static int read_refused(const json_t *object, struct tow_control_message *m)
{
	int rc = 0;

	m->code = get_number(object, "code", INT64_MAX, &rc);
	get_printable(object, "message", m->text, sizeof(m->text), &rc);
	return rc;
}

static int write_superseded(const struct tow_control_message *m, json_t *object)
{
	int rc = 0;

	put_number(object, "generation", m->generation, &rc);
	return rc;
}

static int read_superseded(const json_t *object, struct tow_control_message *m)
{
	int rc = 0;

	m->generation = get_number(object, "generation", INT64_MAX, &rc);
	return rc;
}

static int write_drain(const struct tow_control_message *m, json_t *object)
{
	int rc = 0;

	if (m->redial)
		put(object, "redial", json_true(), &rc);
	return rc;
}

static int read_drain(const json_t *object, struct tow_control_message *m)
{
	m->redial = json_is_true(json_object_get(object, "redial"));
	return 0;
}

static int write_ping(const struct tow_control_message *m, json_t *object)
{
	int rc = 0;

	put_number(object, "id", m->ping_id, &rc);
	put_number(object, "sent_ms", m->sent_ms, &rc);
	return rc;
}

static int read_ping(const json_t *object, struct tow_control_message *m)
{
	int rc = 0;

	m->ping_id = get_number(object, "id", INT64_MAX, &rc);
	m->sent_ms = get_number(object, "sent_ms", INT64_MAX, &rc);
	return rc;
}

static const struct {
	const char *name;
	int (*write)(const struct tow_control_message *m, json_t *object); /* NULL: no members */
	int (*read)(const json_t *object, struct tow_control_message *m);
} types[] = {
	[TOW_CONTROL_HELLO] = { "hello", write_hello, read_hello },
	[TOW_CONTROL_WELCOME] = { "welcome", write_welcome, read_welcome },
	[TOW_CONTROL_REFUSED] = { "refused", write_refused, read_refused },
	[TOW_CONTROL_SUPERSEDED] = { "superseded", write_superseded, read_superseded },
	[TOW_CONTROL_DRAIN] = { "drain", write_drain, read_drain },
	[TOW_CONTROL_PING] = { "ping", write_ping, read_ping },
	[TOW_CONTROL_PONG] = { "pong", write_ping, read_ping },
};

#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

/* Appends the prefix and the JSON text. */
static int append(const json_t *object, struct tow_buf *out)
{
	size_t len = json_dumpb(object, NULL, 0, JSON_COMPACT);
	struct tow_writer prefix;
	uint8_t *at;

	if (len == 0)
		return TOW_ENOMEM;
	if (len > TOW_CONTROL_MESSAGE_MAX)
		return TOW_ETOOBIG;
	at = tow_buf_reserve(out, PREFIX_SIZE + len);
	if (!at)
		return TOW_ENOMEM;
	if (json_dumpb(object, (char *)at + PREFIX_SIZE, len, JSON_COMPACT) != len)
		return TOW_ENOMEM;
	prefix = tow_writer_of(at, PREFIX_SIZE);
	tow_write_u32(&prefix, (uint32_t)len);
	tow_buf_commit(out, PREFIX_SIZE + len);
	return 0;
}

int tow_control_write(const struct tow_control_message *message, struct tow_buf *out)
{
	json_t *object;
	int rc = 0;

	if (message->type <= TOW_CONTROL_UNKNOWN || message->type >= TYPE_COUNT)
		return TOW_EINVAL;
	object = json_object();
	if (!object)
		return TOW_ENOMEM;
	put(object, "type", json_string(types[message->type].name), &rc);
	if (rc == 0 && types[message->type].write)
		rc = types[message->type].write(message, object);
	if (rc == 0)
		rc = append(object, out);
	json_decref(object);
	return rc;
}

static enum tow_control_type type_of(const char *name)
{
	for (size_t i = TOW_CONTROL_UNKNOWN + 1; i < TYPE_COUNT; i++)
		if (strcmp(name, types[i].name) == 0)
			return (enum tow_control_type)i;
	return TOW_CONTROL_UNKNOWN;
}

static int read_object(const json_t *object, struct tow_control_message *message)
{
	const char *name = json_string_value(json_object_get(object, "type"));

	if (!name)
		return TOW_EPARSE;
	message->type = type_of(name);
	return types[message->type].read ? types[message->type].read(object, message) : 0;
}

int tow_control_read(struct tow_slice bytes, struct tow_control_message *out, size_t *len)
{
	struct tow_control_message message = { .type = TOW_CONTROL_UNKNOWN };
	struct tow_reader r = tow_reader_of(bytes);
	uint32_t text_len = tow_read_u32(&r);
	struct tow_slice text;
	json_t *object;
	int rc;

	if (tow_reader_failed(&r))
		return TOW_MORE;
	if (text_len > TOW_CONTROL_MESSAGE_MAX)
		return TOW_ETOOBIG;
	text = tow_read_bytes(&r, text_len);
	if (tow_reader_failed(&r))
		return TOW_MORE;
	rc = tow__json_load(text, TOW_CONTROL_MESSAGE_MAX, &object, NULL);
	if (rc != 0)
		return rc;
	rc = read_object(object, &message);
	json_decref(object);
	if (rc != 0) {
		tow_control_message_deinit(&message);
		return rc;
	}
	*out = message;
	*len = PREFIX_SIZE + text_len;
	return 0;
}

void tow_control_message_deinit(struct tow_control_message *message)
{
	for (size_t i = 0; i < message->service_count; i++)
		free(message->services[i]);
	free(message->services);
	free(message->entry);
	memset(message, 0, sizeof(*message));
}
