/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/hub_client.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/loop.h>
#include <towonel/wire/request_signature.h>

#include "http/client.h"

struct hub_call {
	struct tow_hub_client *client; /* NULL: freed, or answered */
	struct hub_call *next, **link;
	struct tow_http_call *http;
	tow_hub_answered done;
	void *user;
	void (*on_data)(void *user, struct tow_slice bytes); /* of a stream; else NULL */
	struct tow_buf refusal;                              /* a stream's body when it is none */
};

struct tow_hub_client {
	struct tow_http_client *http;
	char url[TOW_URL_MAX];
	struct tow_id hub_id;
	struct tow_node_key key;
	int has_key;
	uint64_t signed_ms; /* the last timestamp: a hub takes each once */
	const struct tow_tenant_key *tenant_key;
	char *operator_key;
	struct hub_call *calls;
};

struct tow_hub_client *tow_hub_client_new(const struct tow_hub_client_config *config)
{
	struct tow_hub_client *client = calloc(1, sizeof *client);

	if (!client)
		return NULL;
	client->http = config->http;
	snprintf(client->url, sizeof client->url, "%s", config->url);
	client->hub_id = config->hub_id;
	if (config->key) {
		client->key = *config->key;
		client->has_key = 1;
	}
	client->tenant_key = config->tenant_key;
	if (config->operator_key) {
		client->operator_key = strdup(config->operator_key);
		if (!client->operator_key) {
			tow_hub_client_free(client);
			return NULL;
		}
	}
	return client;
}

static void unlink_call(struct hub_call *call)
{
	if (!call->client)
		return;
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	call->client = NULL;
}

void tow_hub_client_free(struct tow_hub_client *client)
{
	if (!client)
		return;
	while (client->calls) {
		struct hub_call *call = client->calls;
		unlink_call(call);
		tow_http_call_cancel(call->http);
	}
	if (client->operator_key)
		explicit_bzero(client->operator_key, strlen(client->operator_key));
	free(client->operator_key);
	tow_node_key_wipe(&client->key);
	free(client);
}

static void release(void *user)
{
	struct hub_call *call = user;

	unlink_call(call);
	tow_buf_deinit(&call->refusal);
	free(call);
}

/* --- answers --- */

static int code_of(int status)
{
	switch (status) {
	case 401: return TOW_EAUTH;
	case 403: return TOW_EDENIED;
	case 404: return TOW_ENOTFOUND;
	case 409: return TOW_ECONFLICT;
	case 410: return TOW_EEXPIRED;
	case 413: return TOW_ETOOBIG;
	case 422: return TOW_EVERSION;
	case 429: return TOW_EUNAVAILABLE;
	default: break;
	}
	return status >= 500 ? TOW_EUNAVAILABLE : status >= 400 ? TOW_EINVAL : TOW_EHTTP;
}

static void describe_unreached(const struct tow_hub_client *client,
                               const struct tow_http_result *result, struct tow_hub_answer *answer)
{
	answer->error = result->error;
	answer->retriable = result->error.code != TOW_EAUTH && result->error.code != TOW_ETOOBIG &&
	                    result->error.code != TOW_ENOMEM;
	if (result->error.code == TOW_EAUTH)
		tow_error_prefix(&answer->error, "the hub at %s is not the one that was expected",
		                 client->url);
	else if (result->error.code == TOW_EHTTP || result->error.code == TOW_ETOOBIG)
		tow_error_prefix(&answer->error, "the hub at %s cannot be understood", client->url);
	else
		tow_error_prefix(&answer->error, "the hub at %s does not answer", client->url);
}

static void describe_refusal(const struct tow_hub_client *client, struct tow_hub_answer *answer)
{
	const json_t *error = json_object_get(answer->body, "error");
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *message = json_string_value(json_object_get(error, "message"));

	answer->retriable = answer->status == 429 || answer->status >= 500;
	if (code && message) {
		snprintf(answer->code, sizeof answer->code, "%s", code);
		tow_error_set(&answer->error, code_of(answer->status), "%s", message);
	} else if (answer->status >= 300 && answer->status < 400) {
		tow_error_set(&answer->error, TOW_EHTTP,
		              "%s answers with a redirect (status %d), which a hub does not: is "
		              "the URL right?",
		              client->url, answer->status);
	} else {
		tow_error_set(&answer->error, code_of(answer->status),
		              "%s answers with status %d, but not as a hub does: is the URL right?",
		              client->url, answer->status);
	}
}

static uint64_t count_in(const char *text)
{
	uint64_t count = 0;

	for (; text && *text >= '0' && *text <= '9' && count < UINT32_MAX; text++)
		count = count * 10 + (uint64_t)(*text - '0');
	return count;
}

static void describe_end(const struct tow_hub_client *client, const struct tow_http_result *result,
                         struct tow_hub_answer *answer)
{
	answer->retriable = 1;
	tow_error_set(&answer->error, TOW_ECLOSED, "the hub at %s has ended the stream%s%s",
	              client->url, result->error.code ? ": " : "",
	              result->error.code ? result->error.text : "");
}

static void on_done(void *user, const struct tow_http_result *result)
{
	struct hub_call *call = user;
	struct tow_hub_client *client = call->client;
	struct tow_slice body = call->on_data ? tow_buf_peek(&call->refusal) : result->body;
	struct tow_hub_answer answer = { .status = result->status,
		                         .retry_after_ms = result->retry_after_ms };

	if (!client)
		return;
	if (call->on_data && result->status == 200) {
		describe_end(client, result, &answer);
	} else if (result->error.code) {
		answer.status = 0;
		describe_unreached(client, result, &answer);
	} else {
		if (body.len)
			answer.body = json_loadb((const char *)body.base, body.len,
			                         JSON_REJECT_DUPLICATES, NULL);
		answer.total_count = count_in(result->header(result, "X-Total-Count"));
		if (result->status < 200 || result->status > 299)
			describe_refusal(client, &answer);
		else if (!json_is_object(answer.body) || call->on_data)
			tow_error_set(&answer.error, TOW_EHTTP,
			              "%s answers, but not as a hub does: is the URL right?",
			              client->url);
	}
	unlink_call(call); /* the client may be freed by what comes */
	call->done(call->user, &answer);
	json_decref(answer.body);
}

static void on_stream(void *user, int status, struct tow_slice bytes)
{
	struct hub_call *call = user;

	if (!call->client)
		return;
	if (status == 200)
		call->on_data(call->user, bytes);
	else if (bytes.len <= TOW_HTTP_BODY_MAX - tow_buf_len(&call->refusal))
		tow_buf_append(&call->refusal, bytes.base, bytes.len);
}

/* --- requests --- */

static uint64_t next_timestamp(struct tow_hub_client *client)
{
	uint64_t now = tow_wall_ms();

	/* a clock that was set back is followed all the same */
	if (now <= client->signed_ms && client->signed_ms - now < 1000)
		now = client->signed_ms + 1;
	client->signed_ms = now;
	return now;
}

/* NUL-terminated, in out. */
static int format_auth(struct tow_hub_client *client, enum tow_hub_auth auth, const char *domain,
                       struct tow_slice body, struct tow_buf *out)
{
	char signature[TOW_TENANT_REQUEST_SIGNATURE_SIZE];
	int rc = 0;

	static_assert(sizeof signature >= TOW_REQUEST_SIGNATURE_SIZE, "holds either");

	if (auth == TOW_HUB_OPERATOR && client->operator_key) {
		/* at once, so that no shorter copy is left behind */
		if (!tow_buf_reserve(out, strlen(client->operator_key) + 64))
			return TOW_ENOMEM;
		rc = tow_buf_printf(out, "Authorization: Bearer %s", client->operator_key);
	} else if (auth == TOW_HUB_SIGNED && client->has_key) {
		tow_request_sign(&client->key, domain, next_timestamp(client), body, signature);
		rc = tow_buf_printf(out, "Authorization: %s", signature);
	} else if (auth == TOW_HUB_TENANT && client->tenant_key) {
		rc = tow_tenant_request_sign(client->tenant_key, domain, next_timestamp(client),
		                             body, signature);
		if (!rc)
			rc = tow_buf_printf(out, "Authorization: %s", signature);
	}
	return rc ? rc : tow_buf_append(out, "", 1);
}

/* Adds the client's URL to the path, and what all calls have in common. */
static int start(struct tow_hub_client *client, struct hub_call *call, const char *path,
                 struct tow_http_call_config *config)
{
	struct tow_buf url = { 0 };
	int rc = tow_buf_printf(&url, "%s%s", client->url, path);

	if (!rc)
		rc = tow_buf_append(&url, "", 1);
	if (!rc) {
		config->url = (const char *)url.base;
		config->pin = tow_id_is_zero(&client->hub_id) ? NULL : &client->hub_id;
		config->done = on_done;
		config->user = call;
		rc = tow_http_call_start(client->http, config, &call->http);
	}
	tow_buf_deinit(&url);
	if (rc)
		return rc;
	call->client = client;
	call->next = client->calls;
	call->link = &client->calls;
	if (call->next)
		call->next->link = &call->next;
	client->calls = call;
	tow__http_call_on_release(call->http, release, call);
	return 0;
}

int tow_hub_call(struct tow_hub_client *client, const char *method, const char *path, json_t *body,
                 enum tow_hub_auth auth, const char *domain, tow_hub_answered done, void *user,
                 struct tow_http_call **out)
{
	struct hub_call *call = calloc(1, sizeof *call);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct tow_slice bytes = tow_slice_make(text, text ? strlen(text) : 0);
	struct tow_buf auth_line = { 0 };
	const char *headers[3] = { "Accept: application/json" };
	struct tow_http_call_config config = {
		.method = method,
		.headers = headers,
		.body = bytes,
		.content_type = "application/json",
	};
	int rc = !call || (body && !text) ? TOW_ENOMEM : 0;

	json_decref(body);
	if (!rc)
		rc = format_auth(client, auth, domain, bytes, &auth_line);
	if (!rc) {
		if (tow_buf_len(&auth_line) > 1)
			headers[1] = (const char *)auth_line.base;
		call->done = done;
		call->user = user;
		rc = start(client, call, path, &config);
	}
	if (rc)
		free(call);
	else if (out)
		*out = call->http;
	tow_buf_wipe(&auth_line);
	if (text)
		explicit_bzero(text, bytes.len);
	free(text);
	return rc;
}

int tow_hub_stream(struct tow_hub_client *client, const char *path, const char *domain,
                   uint64_t last_event_id, void (*on_data)(void *user, struct tow_slice bytes),
                   tow_hub_answered done, void *user, struct tow_http_call **out)
{
	struct hub_call *call = calloc(1, sizeof *call);
	struct tow_buf auth_line = { 0 };
	char last_id[48];
	const char *headers[4] = { "Accept: text/event-stream" };
	struct tow_http_call_config config = {
		.method = "GET",
		.headers = headers,
		.timeout_ns = TOW_NEVER,
		.on_data = on_stream,
	};
	int rc = call ? format_auth(client, TOW_HUB_SIGNED, domain, tow_slice_make(NULL, 0),
	                            &auth_line)
	              : TOW_ENOMEM;

	if (!rc) {
		headers[1] = (const char *)auth_line.base;
		if (last_event_id) {
			snprintf(last_id, sizeof last_id, "Last-Event-ID: %llu",
			         (unsigned long long)last_event_id);
			headers[2] = last_id;
		}
		call->done = done;
		call->user = user;
		call->on_data = on_data;
		rc = start(client, call, path, &config);
	}
	if (rc)
		free(call);
	else if (out)
		*out = call->http;
	tow_buf_deinit(&auth_line);
	return rc;
}
