/* SPDX-License-Identifier: MIT */

/*
 * A signed entry in text form:
 *
 *   {"payload":"<base64url>","protected":"<base64url>","signature":"<base64url>"}
 *
 * The signature covers the ASCII text  protected "." payload  (RFC 7515 section 5.1).
 * Which members a payload has follows from its op, by the two tables below: writing and
 * reading walk the same rows, and signing reads back what it wrote, so nothing gets
 * signed that a hub would not take.
 */

#include <towonel/wire/entry.h>

#include "access_json.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define ALGORITHM       "ML-DSA-65"
#define PROTECTED       "{\"alg\":\"" ALGORITHM "\"}"

enum {
	HAS_HOSTNAME = 1 << 0,
	HAS_NAME = 1 << 1,
	HAS_TLS_MODE = 1 << 2,
	HAS_LISTEN_PORT = 1 << 3,
	HAS_AGENT_ID = 1 << 4,
	HAS_GENERATION = 1 << 5,
	HAS_SERVICES_HASH = 1 << 6,
	HAS_EXPIRES_AT = 1 << 7,
	HAS_PORTS = 1 << 8,
	HAS_IDLE_TIMEOUT = 1 << 9,
	HAS_HTTP_MODE = 1 << 10,
	HAS_ACCESS = 1 << 11,
};

static const struct {
	const char *name;
	unsigned members;
} ops[] = {
	[TOW_ENTRY_UPSERT_HOSTNAME] = { "upsert_hostname",
	                                HAS_HOSTNAME | HAS_TLS_MODE | HAS_HTTP_MODE | HAS_ACCESS },
	[TOW_ENTRY_DELETE_HOSTNAME] = { "delete_hostname", HAS_HOSTNAME },
	[TOW_ENTRY_SET_HOSTNAME_TLS] = { "set_hostname_tls",
	                                 HAS_HOSTNAME | HAS_TLS_MODE | HAS_HTTP_MODE },
	[TOW_ENTRY_UPSERT_AGENT] = { "upsert_agent", HAS_AGENT_ID | HAS_GENERATION |
	                                                     HAS_SERVICES_HASH | HAS_EXPIRES_AT },
	[TOW_ENTRY_REVOKE_AGENT] = { "revoke_agent", HAS_AGENT_ID },
	[TOW_ENTRY_UPSERT_TCP_SERVICE] = { "upsert_tcp_service",
	                                   HAS_NAME | HAS_LISTEN_PORT | HAS_PORTS | HAS_ACCESS },
	[TOW_ENTRY_DELETE_TCP_SERVICE] = { "delete_tcp_service", HAS_NAME },
	[TOW_ENTRY_UPSERT_UDP_SERVICE] = { "upsert_udp_service", HAS_NAME | HAS_LISTEN_PORT |
	                                                                 HAS_PORTS | HAS_ACCESS |
	                                                                 HAS_IDLE_TIMEOUT },
	[TOW_ENTRY_DELETE_UDP_SERVICE] = { "delete_udp_service", HAS_NAME },
	[TOW_ENTRY_LEAVE] = { "leave", 0 },
};

const char *tow_entry_op_name(enum tow_entry_op op)
{
	return ops[op].name;
}

int tow_entry_op_parse(const char *name, enum tow_entry_op *out)
{
	for (size_t i = 0; i < COUNT_OF(ops); i++) {
		if (!strcmp(name, ops[i].name)) {
			*out = (enum tow_entry_op)i;
			return 0;
		}
	}
	return TOW_EINVAL;
}

/* --- members: one pair of functions each --- */

static json_t *write_hash(const uint8_t bytes[TOW_HASH_SIZE])
{
	char text[TOW_HEX_SIZE(TOW_HASH_SIZE)];

	return json_string(tow_hex_encode(bytes, TOW_HASH_SIZE, text));
}

/* Ids and hashes look alike: 64 lower-case digits. */
static int read_hash(const json_t *object, const char *key, uint8_t out[TOW_HASH_SIZE],
                     struct tow_error *err)
{
	struct tow_slice text;
	struct tow_id id;
	int r = tow__json_text(object, key, &text, err);

	if (r)
		return r;
	if (tow_id_parse(text, &id))
		return tow_error_set(err, TOW_EPARSE, "\"%s\" must be 64 lower-case hex digits",
		                     key);
	memcpy(out, id.bytes, TOW_HASH_SIZE);
	return 0;
}

static json_t *write_number(uint64_t value)
{
	return value > TOW_JSON_INTEGER_MAX ? NULL : json_integer((json_int_t)value);
}

static int read_number(const json_t *object, const char *key, uint64_t *out, struct tow_error *err)
{
	return tow__json_uint(object, key, 0, TOW_JSON_INTEGER_MAX, out, err);
}

static json_t *write_name(const struct tow_entry *entry)
{
	return json_stringn(entry->name, strnlen(entry->name, sizeof entry->name));
}

static int read_hostname(const json_t *object, const char *key, struct tow_entry *out,
                         struct tow_error *err)
{
	struct tow_slice text;
	int r = tow__json_text(object, key, &text, err);

	return r ? r : tow_hostname_parse(text, TOW_HOSTNAME_PATTERN, out->name, err);
}

static int read_name(const json_t *object, const char *key, struct tow_entry *out,
                     struct tow_error *err)
{
	struct tow_slice text;
	int r = tow__json_text(object, key, &text, err);

	if (!r)
		r = tow_service_name_check(text, err);
	if (!r)
		memcpy(out->name, text.base, text.len + 1);
	return r;
}

static json_t *write_tls_mode(const struct tow_entry *entry)
{
	return json_string(tow_tls_mode_name(entry->tls_mode));
}

static int read_tls_mode(const json_t *object, const char *key, struct tow_entry *out,
                         struct tow_error *err)
{
	struct tow_slice text;
	int r = tow__json_text(object, key, &text, err);

	if (!r && tow_tls_mode_parse((const char *)text.base, &out->tls_mode))
		r = tow_error_set(err, TOW_EPARSE, "\"%s\" must be \"%s\" or \"%s\"", key,
		                  tow_tls_mode_name(TOW_TLS_PASSTHROUGH),
		                  tow_tls_mode_name(TOW_TLS_TERMINATE));
	return r;
}

static int has_http_mode(const struct tow_entry *entry)
{
	return entry->http_mode != TOW_HTTP_FORWARDED;
}

static json_t *write_http_mode(const struct tow_entry *entry)
{
	return json_string(tow_http_mode_name(entry->http_mode));
}

static int read_http_mode(const json_t *object, const char *key, struct tow_entry *out,
                          struct tow_error *err)
{
	struct tow_slice text;
	enum tow_tls_mode needs;
	int r;

	if (!json_object_get(object, key))
		return 0;
	r = tow__json_text(object, key, &text, err);
	if (!r && tow_http_mode_parse((const char *)text.base, &out->http_mode))
		r = tow_error_set(err, TOW_EPARSE,
		                  "\"%s\" must be \"%s\", \"%s\", \"%s\" or \"%s\"", key,
		                  tow_http_mode_name(TOW_HTTP_FORWARDED),
		                  tow_http_mode_name(TOW_HTTP_PLAIN),
		                  tow_http_mode_name(TOW_HTTP_H2C),
		                  tow_http_mode_name(TOW_HTTP_CHALLENGE));
	needs = out->http_mode == TOW_HTTP_CHALLENGE ? TOW_TLS_PASSTHROUGH : TOW_TLS_TERMINATE;
	if (!r && has_http_mode(out) && out->tls_mode != needs)
		r = tow_error_set(err, TOW_EPARSE, "\"%s\" \"%s\" needs \"tls_mode\" \"%s\"",
		                  key, tow_http_mode_name(out->http_mode),
		                  tow_tls_mode_name(needs));
	return r;
}

static json_t *write_listen_port(const struct tow_entry *entry)
{
	return json_integer(entry->listen_port);
}

static int read_listen_port(const json_t *object, const char *key, struct tow_entry *out,
                            struct tow_error *err)
{
	uint64_t port;
	int r = tow__json_uint(object, key, 1, 65535, &port, err);

	if (!r)
		out->listen_port = (uint16_t)port;
	return r;
}

static int has_ports(const struct tow_entry *entry)
{
	return entry->port_count > 1;
}

static json_t *write_ports(const struct tow_entry *entry)
{
	return json_integer(entry->port_count);
}

static int read_ports(const json_t *object, const char *key, struct tow_entry *out,
                      struct tow_error *err)
{
	uint64_t count;
	int r = tow__json_uint_or(object, key, 1, TOW_PORT_RANGE_MAX, 1, &count, err);

	if (!r && out->listen_port + count - 1 > UINT16_MAX)
		r = tow_error_set(err, TOW_EPARSE, "%u \"%s\" from %u on go beyond 65535",
		                  (unsigned)count, key, (unsigned)out->listen_port);
	if (!r)
		out->port_count = (uint16_t)count;
	return r;
}

static int has_idle_timeout(const struct tow_entry *entry)
{
	return entry->idle_timeout_secs && entry->idle_timeout_secs != TOW_IDLE_TIMEOUT_S;
}

static json_t *write_idle_timeout(const struct tow_entry *entry)
{
	return json_integer(entry->idle_timeout_secs);
}

static int read_idle_timeout(const json_t *object, const char *key, struct tow_entry *out,
                             struct tow_error *err)
{
	uint64_t secs;
	int r = tow__json_uint_or(object, key, 1, TOW_IDLE_TIMEOUT_MAX_S, TOW_IDLE_TIMEOUT_S, &secs,
	                          err);

	if (!r)
		out->idle_timeout_secs = (uint16_t)secs;
	return r;
}

static int has_allowed(const struct tow_entry *entry)
{
	return entry->access.counts[TOW_ACCESS_ALLOW] > 0;
}

static json_t *write_allowed(const struct tow_entry *entry)
{
	return tow__access_write(&entry->access, TOW_ACCESS_ALLOW);
}

static int read_allowed(const json_t *object, const char *key, struct tow_entry *out,
                        struct tow_error *err)
{
	(void)key;
	return tow__access_read(object, TOW_ACCESS_ALLOW, &out->access, err);
}

static int has_denied(const struct tow_entry *entry)
{
	return entry->access.counts[TOW_ACCESS_DENY] > 0;
}

static json_t *write_denied(const struct tow_entry *entry)
{
	return tow__access_write(&entry->access, TOW_ACCESS_DENY);
}

static int read_denied(const json_t *object, const char *key, struct tow_entry *out,
                       struct tow_error *err)
{
	(void)key;
	return tow__access_read(object, TOW_ACCESS_DENY, &out->access, err);
}

static json_t *write_agent_id(const struct tow_entry *entry)
{
	return write_hash(entry->agent_id.bytes);
}

static int read_agent_id(const json_t *object, const char *key, struct tow_entry *out,
                         struct tow_error *err)
{
	return read_hash(object, key, out->agent_id.bytes, err);
}

static json_t *write_generation(const struct tow_entry *entry)
{
	return write_number(entry->generation);
}

static int read_generation(const json_t *object, const char *key, struct tow_entry *out,
                           struct tow_error *err)
{
	return read_number(object, key, &out->generation, err);
}

static json_t *write_services_hash(const struct tow_entry *entry)
{
	return write_hash(entry->services_hash);
}

static int read_services_hash(const json_t *object, const char *key, struct tow_entry *out,
                              struct tow_error *err)
{
	return read_hash(object, key, out->services_hash, err);
}

static json_t *write_expires_at(const struct tow_entry *entry)
{
	return write_number(entry->expires_at_ms);
}

static int read_expires_at(const json_t *object, const char *key, struct tow_entry *out,
                           struct tow_error *err)
{
	return read_number(object, key, &out->expires_at_ms, err);
}

static const struct {
	unsigned member;
	const char *key;
	json_t *(*write)(const struct tow_entry *entry); /* NULL: no memory, or no such value */
	int (*read)(const json_t *object, const char *key, struct tow_entry *out,
	            struct tow_error *err);
	int (*said)(const struct tow_entry *entry); /* not NULL: left out unless it says so */
} members[] = {
	{ HAS_HOSTNAME, "hostname", write_name, read_hostname, NULL },
	{ HAS_NAME, "name", write_name, read_name, NULL },
	{ HAS_TLS_MODE, "tls_mode", write_tls_mode, read_tls_mode, NULL },
	{ HAS_HTTP_MODE, "http", write_http_mode, read_http_mode, has_http_mode },
	{ HAS_LISTEN_PORT, "listen_port", write_listen_port, read_listen_port, NULL },
	{ HAS_PORTS, "ports", write_ports, read_ports, has_ports },
	{ HAS_ACCESS, "allow_from", write_allowed, read_allowed, has_allowed },
	{ HAS_ACCESS, "deny_from", write_denied, read_denied, has_denied },
	{ HAS_IDLE_TIMEOUT, "idle_timeout_secs", write_idle_timeout, read_idle_timeout,
	  has_idle_timeout },
	{ HAS_AGENT_ID, "agent_id", write_agent_id, read_agent_id, NULL },
	{ HAS_GENERATION, "generation", write_generation, read_generation, NULL },
	{ HAS_SERVICES_HASH, "services_hash", write_services_hash, read_services_hash, NULL },
	{ HAS_EXPIRES_AT, "expires_at_ms", write_expires_at, read_expires_at, NULL },
};

/* --- payload --- */

static const char *const common_keys[] = { "version", "tenant_id", "sequence", "timestamp_ms",
	                                   "op" };

static int read_op(const json_t *object, enum tow_entry_op *out, struct tow_error *err)
{
	struct tow_slice text;
	int r = tow__json_text(object, "op", &text, err);

	if (!r && tow_entry_op_parse((const char *)text.base, out))
		r = tow_error_set(err, TOW_EINVAL, "unknown op \"%.80s\"", (const char *)text.base);
	return r;
}

/* The version comes first: of another version nothing else is known. */
static int read_payload(struct tow_slice text, struct tow_entry *out, struct tow_error *err)
{
	const char *keys[COUNT_OF(common_keys) + COUNT_OF(members)];
	size_t count = COUNT_OF(common_keys);
	struct tow_entry entry;
	uint64_t version;
	json_t *object;
	int r = tow__json_load(text, TOW_ENTRY_MAX, &object, err);

	if (r)
		return r;
	memset(&entry, 0, sizeof entry);
	r = tow__json_uint(object, "version", 0, UINT32_MAX, &version, err);
	if (!r && version != TOW_ENTRY_VERSION)
		r = tow_error_set(err, TOW_EVERSION, "version %u is not supported, only %d",
		                  (unsigned)version, TOW_ENTRY_VERSION);
	if (!r)
		r = read_op(object, &entry.op, err);
	if (r)
		goto out;
	entry.version = (uint32_t)version;
	memcpy(keys, common_keys, sizeof common_keys);
	for (size_t i = 0; i < COUNT_OF(members); i++)
		if (ops[entry.op].members & members[i].member)
			keys[count++] = members[i].key;
	r = tow__json_check_keys(object, keys, count, err);
	if (!r)
		r = read_hash(object, "tenant_id", entry.tenant_id.bytes, err);
	if (!r)
		r = tow__json_uint(object, "sequence", 1, TOW_JSON_INTEGER_MAX, &entry.sequence,
		                   err);
	if (!r)
		r = read_number(object, "timestamp_ms", &entry.timestamp_ms, err);
	for (size_t i = 0; i < COUNT_OF(members) && !r; i++)
		if (ops[entry.op].members & members[i].member)
			r = members[i].read(object, members[i].key, &entry, err);
	if (!r)
		*out = entry;
out:
	json_decref(object);
	return r;
}

/* The payload as compact text, to be freed; NULL when out of memory or a value is out of range. */
static char *write_payload(const struct tow_entry *entry)
{
	json_t *object = json_object();
	char *text = NULL;
	int r = 0;

	r |= json_object_set_new(object, "version", json_integer(entry->version));
	r |= json_object_set_new(object, "tenant_id", write_hash(entry->tenant_id.bytes));
	r |= json_object_set_new(object, "sequence", write_number(entry->sequence));
	r |= json_object_set_new(object, "timestamp_ms", write_number(entry->timestamp_ms));
	r |= json_object_set_new(object, "op", json_string(ops[entry->op].name));
	for (size_t i = 0; i < COUNT_OF(members); i++)
		if (ops[entry->op].members & members[i].member &&
		    (!members[i].said || members[i].said(entry)))
			r |= json_object_set_new(object, members[i].key, members[i].write(entry));
	if (!r)
		text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

/* --- JWS --- */

/* A JWS taken apart: what was signed, the bytes of payload and signature. */
struct jws {
	struct tow_buf signing_input;
	struct tow_buf payload;
	uint8_t signature[TOW_MLDSA_SIGNATURE_SIZE];
};

static void jws_deinit(struct jws *jws)
{
	tow_buf_deinit(&jws->signing_input);
	tow_buf_deinit(&jws->payload);
}

/* Appends the bytes that a base64url text stands for. */
static int decode_part(struct tow_slice text, const char *key, struct tow_buf *out,
                       struct tow_error *err)
{
	uint8_t *to = tow_buf_reserve(out, text.len);
	int len;

	if (!to)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	len = tow_base64url_decode(text, to, text.len);
	if (len < 0)
		return tow_error_set(err, TOW_EPARSE, "\"%s\" is not base64url", key);
	tow_buf_commit(out, (size_t)len);
	return 0;
}

static int check_protected(struct tow_slice text, struct tow_error *err)
{
	static const char *const keys[] = { "alg" }, *const algorithms[] = { ALGORITHM };
	struct tow_buf header = { 0 };
	json_t *object = NULL;
	size_t choice;
	int r = decode_part(text, "protected", &header, err);

	if (!r)
		r = tow__json_load(tow_buf_peek(&header), TOW_ENTRY_MAX, &object, err);
	/* no "crit", and nothing that could change what the signature means: RFC 7515 section 4 */
	if (!r)
		r = tow__json_check_keys(object, keys, COUNT_OF(keys), err);
	if (!r)
		r = tow__json_choice(object, "alg", algorithms, COUNT_OF(algorithms), &choice, err);
	if (r)
		tow_error_prefix(err, "protected header");
	json_decref(object);
	tow_buf_deinit(&header);
	return r;
}

static int jws_read(struct tow_slice text, struct jws *out, struct tow_error *err)
{
	static const char *const keys[] = { "payload", "protected", "signature" };
	struct tow_slice header, payload, signature;
	json_t *object = NULL;
	int r = tow__json_load(text, TOW_ENTRY_MAX, &object, err);

	if (!r)
		r = tow__json_check_keys(object, keys, COUNT_OF(keys), err);
	if (!r)
		r = tow__json_text(object, "protected", &header, err);
	if (!r)
		r = tow__json_text(object, "payload", &payload, err);
	if (!r)
		r = tow__json_text(object, "signature", &signature, err);
	if (!r)
		r = check_protected(header, err);
	if (!r)
		r = decode_part(payload, "payload", &out->payload, err);
	if (!r && tow_base64url_decode(signature, out->signature, sizeof out->signature) !=
	                  TOW_MLDSA_SIGNATURE_SIZE)
		r = tow_error_set(err, TOW_EPARSE, "\"signature\" is not %d bytes in base64url",
		                  TOW_MLDSA_SIGNATURE_SIZE);
	if (!r && (tow_buf_append(&out->signing_input, header.base, header.len) ||
	           tow_buf_append_text(&out->signing_input, ".") ||
	           tow_buf_append(&out->signing_input, payload.base, payload.len)))
		r = tow_error_set(err, TOW_ENOMEM, "out of memory");
	json_decref(object);
	return r;
}

static int append_base64url(struct tow_buf *buf, const void *bytes, size_t len)
{
	uint8_t *to = tow_buf_reserve(buf, TOW_BASE64URL_SIZE(len));

	if (!to)
		return TOW_ENOMEM;
	tow_base64url_encode(bytes, len, (char *)to);
	tow_buf_commit(buf, TOW_BASE64URL_SIZE(len) - 1);
	return 0;
}

/* The protected header in base64url always has this length. */
#define PROTECTED_TEXT_LEN (TOW_BASE64URL_SIZE(sizeof PROTECTED - 1) - 1)

int tow_entry_sign(const struct tow_entry *entry, const struct tow_tenant_key *key,
                   struct tow_buf *out, struct tow_error *err)
{
	uint8_t signature[TOW_MLDSA_SIGNATURE_SIZE];
	struct tow_buf input = { 0 }, text = { 0 };
	struct tow_entry read_back;
	struct tow_slice parts;
	char *payload = NULL;
	int r;

	if ((size_t)entry->op >= COUNT_OF(ops) || (unsigned)entry->tls_mode > TOW_TLS_TERMINATE)
		return tow_error_set(err, TOW_EINVAL, "no such op or TLS mode");
	if (!tow_id_equal(&entry->tenant_id, tow_tenant_key_id(key)))
		return tow_error_set(err, TOW_EINVAL, "the entry is another tenant's than the key");
	payload = write_payload(entry);
	if (!payload)
		return tow_error_set(err, TOW_EINVAL, "a value of the entry is out of range");
	r = read_payload(tow_slice_of(payload), &read_back, err);
	if (r) {
		r = r == TOW_ENOMEM ? r : TOW_EINVAL;
		if (err)
			err->code = r;
		goto out;
	}
	r = append_base64url(&input, PROTECTED, sizeof PROTECTED - 1);
	if (!r)
		r = tow_buf_append_text(&input, ".");
	if (!r)
		r = append_base64url(&input, payload, strlen(payload));
	if (!r)
		r = tow_tenant_key_sign(key, tow_buf_peek(&input), signature);
	if (r)
		goto failed;
	parts = tow_buf_peek(&input);
	r = tow_buf_printf(&text, "{\"payload\":\"%.*s\",\"protected\":\"%.*s\",\"signature\":\"",
	                   (int)(parts.len - PROTECTED_TEXT_LEN - 1),
	                   (const char *)parts.base + PROTECTED_TEXT_LEN + 1,
	                   (int)PROTECTED_TEXT_LEN, (const char *)parts.base);
	if (!r)
		r = append_base64url(&text, signature, sizeof signature);
	if (!r)
		r = tow_buf_append_text(&text, "\"}");
	if (!r)
		r = tow_buf_append(out, tow_buf_peek(&text).base, tow_buf_len(&text));
failed:
	if (r)
		tow_error_set(err, r, "%s", tow_strerror(r));
out:
	free(payload);
	tow_buf_deinit(&input);
	tow_buf_deinit(&text);
	return r;
}

int tow_entry_tenant(struct tow_slice jws, struct tow_id *out, struct tow_error *err)
{
	struct jws parts = { 0 };
	json_t *payload = NULL;
	int r = jws_read(jws, &parts, err);

	if (!r)
		r = tow__json_load(tow_buf_peek(&parts.payload), TOW_ENTRY_MAX, &payload, err);
	if (!r)
		r = read_hash(payload, "tenant_id", out->bytes, err);
	json_decref(payload);
	jws_deinit(&parts);
	return r;
}

int tow_entry_peek(struct tow_slice jws, struct tow_entry *out, struct tow_error *err)
{
	struct jws parts = { 0 };
	int r = jws_read(jws, &parts, err);

	if (!r)
		r = read_payload(tow_buf_peek(&parts.payload), out, err);
	jws_deinit(&parts);
	return r;
}

int tow_entry_verify(struct tow_slice jws, const uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE],
                     struct tow_entry *out, struct tow_error *err)
{
	struct jws parts = { 0 };
	struct tow_entry entry;
	struct tow_id tenant;
	int r = jws_read(jws, &parts, err);

	if (r)
		goto out;
	r = tow_tenant_verify(public_key, tow_buf_peek(&parts.signing_input),
	                      tow_slice_make(parts.signature, sizeof parts.signature));
	if (r) {
		tow_error_set(err, r, "%s", tow_strerror(r));
		goto out;
	}
	r = read_payload(tow_buf_peek(&parts.payload), &entry, err);
	if (r)
		goto out;
	tow_tenant_id_of(public_key, &tenant);
	if (tow_id_equal(&tenant, &entry.tenant_id))
		*out = entry;
	else
		r = tow_error_set(err, TOW_ESIGNATURE, "signed with the key of another tenant");
out:
	jws_deinit(&parts);
	return r;
}
