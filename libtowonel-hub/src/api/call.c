/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/service.h>

#define PAGE_DEFAULT 100
#define PAGE_MAX     1000

static const char no_memory[] = "the hub is out of memory, try again later";

void *tow__call_new(struct tow_hub *hub, struct tow_http_request *request, size_t size)
{
	struct tow__call *call = calloc(1, size);

	if (!call) {
		tow_http_respond_error(request, tow__fault_status(TOW__UNAVAILABLE),
		                       tow__fault_code(TOW__UNAVAILABLE), "%s", no_memory);
		return NULL;
	}
	call->hub = hub;
	call->request = request;
	return call;
}

static void log_refusal(struct tow__call *call)
{
	struct tow_hub *hub = call->hub;
	const struct tow_http_route *route = tow_http_route_of(call->request);
	uint64_t suppressed;

	if (!tow_log_gate_open(&hub->refused, tow_now_ns(), &suppressed))
		return;
	tow_log_warn(hub->log, "request refused",
	             tow_f_str("endpoint", route ? route->path : "other"),
	             tow_f_str("code", tow__fault_code(call->fault.kind)),
	             tow_f_str("reason", call->fault.text),
	             tow_f_addr("from", tow_http_peer(call->request)),
	             tow_f_str("request_id", tow_http_request_id(call->request)),
	             tow_f_uint("suppressed", suppressed));
}

static void refuse(struct tow__call *call)
{
	const char *code = tow__fault_code(call->fault.kind);
	json_t *body = NULL;

	/* an edge has to know for certain, and not from a wrong clock, that it is to stop; an
	 * agent, that it needs a new key */
	if (call->fault.kind == TOW__EDGE_REFUSED || call->fault.kind == TOW__AGENT_REVOKED)
		body = json_pack("{s:{s:s, s:s, s:b}}", "error", "code", code, "message",
		                 call->fault.text, "revoked", 1);
	if (body)
		tow_http_respond_json(call->request, tow__fault_status(call->fault.kind), body);
	else
		tow_http_respond_error(call->request, tow__fault_status(call->fault.kind), code,
		                       "%s", call->fault.text);
}

/* The end of every call. */
static void answer(struct tow__call *call)
{
	char count[24];

	if (call->fault.kind && call->failed)
		call->failed(call);
	else if (!call->fault.kind && call->respond)
		call->respond(call);
	if (!call->fault.kind && !call->answered)
		tow__call_made(call, call->answer);
	if (call->fault.kind) {
		log_refusal(call);
		refuse(call);
	} else if (!call->answered) {
		if (call->counted) {
			snprintf(count, sizeof count, "%llu",
			         (unsigned long long)call->total_count);
			tow_http_set_header(call->request, "X-Total-Count", count);
		}
		tow_http_respond_json(call->request, call->status ? call->status : 200,
		                      json_incref(call->answer));
	}
	if (call->release)
		call->release(call);
	json_decref(call->body);
	json_decref(call->answer);
	free(call);
}

static void on_thread(struct tow__job *job, struct tow__store *store)
{
	struct tow__call *call = (struct tow__call *)job;
	struct tow__asker asker = { .now_ms = tow_wall_ms(),
		                    .request_id = tow_http_request_id(call->request) };

	tow_addr_format_host(tow_http_peer(call->request), asker.source);
	tow__store_asked_by(store, &asker);
	call->work(call, store);
	tow__store_asked_by(store, NULL);
}

static void on_loop(struct tow__job *job)
{
	struct tow__call *call = (struct tow__call *)job;

	tow__watch_result(call->hub, call->access, call->fault.kind);
	if (call->is_member)
		tow__api_member_asked(call->hub, call->request, &call->member);
	answer(call);
}

void tow__call_run(struct tow__call *call)
{
	if (!call->fault.kind && call->work) {
		call->job.work = on_thread;
		call->job.done = on_loop;
		if (!tow__pool_submit(call->hub->pool, call->access, &call->job))
			return;
		tow__fault_set(&call->fault, TOW__UNAVAILABLE, "the hub is busy, try again later");
	}
	answer(call);
}

/* --- the request --- */

static int known(const char *const *keys, const char *key)
{
	while (*keys && strcmp(*keys, key) != 0)
		keys++;
	return *keys != NULL;
}

/* What jansson says is wrong, without what it quotes: that may be part of a secret. */
static void refuse_json(struct tow__call *call, json_error_t *error)
{
	char *quote = strstr(error->text, " near ");

	if (quote)
		*quote = '\0';
	tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
	               "the body is not JSON: line %d, column %d: %s", error->line, error->column,
	               error->text);
}

void tow__call_body(struct tow__call *call, const char *const *keys)
{
	struct tow_slice body = tow_http_body(call->request);
	json_error_t error;
	const char *key;
	json_t *value;

	if (call->fault.kind)
		return;
	if (!body.len) {
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
		               "the body is empty, where a JSON object is expected");
		return;
	}
	call->body = json_loadb((const char *)body.base, body.len, JSON_REJECT_DUPLICATES, &error);
	if (!call->body) {
		refuse_json(call, &error);
		return;
	}
	if (!json_is_object(call->body)) {
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST, "the body is no JSON object");
		return;
	}
	json_object_foreach(call->body, key, value) if (!known(keys, key))
	{
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST, "unknown field \"%.64s\"", key);
		return;
	}
}

/* NULL when absent, or after a fault. null counts as absent. */
static json_t *member(struct tow__call *call, const char *key, int required)
{
	json_t *value = call->fault.kind ? NULL : json_object_get(call->body, key);

	if (json_is_null(value))
		value = NULL;
	if (!value && required && !call->fault.kind)
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST, "the field \"%s\" is missing",
		               key);
	return value;
}

const char *tow__call_text(struct tow__call *call, const char *key, int required)
{
	json_t *value = member(call, key, required);

	if (value && !json_is_string(value)) {
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST, "\"%s\" is no string", key);
		return NULL;
	}
	return json_string_value(value);
}

uint64_t tow__call_int(struct tow__call *call, const char *key, uint64_t max, int required)
{
	json_t *value = member(call, key, required);

	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) > max) {
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
		               "\"%s\" is no whole number from 0 to %llu", key,
		               (unsigned long long)max);
		return 0;
	}
	return (uint64_t)json_integer_value(value);
}

void tow__call_id(struct tow__call *call, const char *key, struct tow_id *out)
{
	const char *text = tow__call_text(call, key, 1);

	if (text && tow_id_parse(tow_slice_of(text), out))
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
		               "\"%s\" is not 64 lowercase hex digits", key);
}

void tow__call_bytes(struct tow__call *call, const char *key, uint8_t *out, size_t len)
{
	const char *text = tow__call_text(call, key, 1);

	if (text && tow_base64url_decode(tow_slice_of(text), out, len) != (int)len)
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
		               "\"%s\" is not %zu bytes in base64url", key, len);
}

void tow__call_name(struct tow__call *call, const char *prefix, char out[TOW_TENANT_NAME_MAX + 1])
{
	const char *name = tow__call_text(call, "name", 0);
	struct tow_error err;
	char random_part[9];
	uint8_t bytes[4];

	if (!name || !*name) {
		tow_random(bytes, sizeof bytes);
		snprintf(out, TOW_TENANT_NAME_MAX + 1, "%s-%s", prefix,
		         tow_hex_encode(bytes, sizeof bytes, random_part));
		return;
	}
	if (tow_service_name_check(tow_slice_of(name), &err))
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST, "\"name\": %s", err.text);
	else
		snprintf(out, TOW_TENANT_NAME_MAX + 1, "%s", name);
}

void tow__call_hostnames(struct tow__call *call, const char *key, struct tow__names *out)
{
	json_t *list = member(call, key, 1), *value;
	char name[TOW_HOSTNAME_SIZE];
	struct tow_error err;
	size_t i;

	if (!list)
		return;
	if (!json_is_array(list) || !json_array_size(list) ||
	    json_array_size(list) > TOW__PATTERNS_PER_TENANT) {
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
		               "\"%s\" is no list of 1 to %d hostnames", key,
		               TOW__PATTERNS_PER_TENANT);
		return;
	}
	json_array_foreach(list, i, value)
	{
		if (!json_is_string(value)) {
			tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
			               "\"%s\" has a value that is no string", key);
			return;
		}
		if (tow_hostname_parse(tow_slice_of(json_string_value(value)), TOW_HOSTNAME_PATTERN,
		                       name, &err)) {
			tow__fault_set(&call->fault, TOW__INVALID_REQUEST, "%s", err.text);
			return;
		}
		if (!tow__names_have(out, name) && tow__names_add(out, tow_slice_of(name))) {
			tow__fault_set(&call->fault, TOW__UNAVAILABLE, "%s", no_memory);
			return;
		}
	}
}

void tow__call_path_tenant(struct tow__call *call, struct tow_id *out)
{
	if (tow_id_parse(tow_slice_of(tow_http_param(call->request, "id")), out))
		tow__fault_set(&call->fault, TOW__NOT_FOUND, "there is no such tenant");
}

void tow__call_path_invite(struct tow__call *call, uint8_t out[TOW_INVITE_ID_SIZE])
{
	if (tow_base64url_decode(tow_slice_of(tow_http_param(call->request, "id")), out,
	                         TOW_INVITE_ID_SIZE) != TOW_INVITE_ID_SIZE)
		tow__fault_set(&call->fault, TOW__NOT_FOUND, "there is no such invite");
}

int tow__digits_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t value;

	if (!digits || digits > 18 || text[digits])
		return TOW_EPARSE;
	value = strtoull(text, NULL, 10);
	if (value < min || value > max)
		return TOW_EPARSE;
	*out = value;
	return 0;
}

uint64_t tow__call_query_int(struct tow__call *call, const char *key, uint64_t min, uint64_t max,
                             uint64_t fallback)
{
	const char *text = tow_http_query(call->request, key);
	uint64_t value = fallback;

	if (text && !call->fault.kind && tow__digits_parse(text, min, max, &value))
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
		               "\"%s\" is no number from %llu to %llu", key,
		               (unsigned long long)min, (unsigned long long)max);
	return value;
}

int tow__call_query_id(struct tow__call *call, const char *key, struct tow_id *out)
{
	const char *text = tow_http_query(call->request, key);

	if (!text || call->fault.kind)
		return 0;
	if (!tow_id_parse(tow_slice_of(text), out))
		return 1;
	tow__fault_set(&call->fault, TOW__INVALID_REQUEST, "\"%s\" is not 64 lowercase hex digits",
	               key);
	return 0;
}

void tow__call_page(struct tow__call *call, struct tow__page *out)
{
	out->limit = tow__call_query_int(call, "limit", 1, PAGE_MAX, PAGE_DEFAULT);
	out->offset = tow__call_query_int(call, "offset", 0, INT32_MAX, 0);
}

/* --- the answer --- */

json_t *tow__json_names(const struct tow__names *names)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < names->count; i++)
		if (json_array_append_new(list, json_string(names->items[i]))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

json_t *tow__json_access(const struct tow_access *access, enum tow_access_list list)
{
	size_t count;
	const struct tow_prefix *prefixes = tow_access_prefixes(access, list, &count);
	char text[TOW_PREFIX_TEXT_SIZE];
	json_t *array = json_array();

	for (size_t i = 0; array && i < count; i++)
		if (json_array_append_new(array,
		                          json_string(tow_prefix_format(&prefixes[i], text)))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

json_t *tow__json_time(uint64_t ms)
{
	return ms ? json_integer((json_int_t)ms) : json_null();
}

json_t *tow__json_id(const struct tow_id *id)
{
	char text[TOW_ID_TEXT_SIZE];

	return json_string(tow_id_format(id, text));
}

json_t *tow__call_made(struct tow__call *call, json_t *json)
{
	if (!json)
		tow__fault_set(&call->fault, TOW__UNAVAILABLE, "%s", no_memory);
	return json;
}
