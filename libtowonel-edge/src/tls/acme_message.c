/* SPDX-License-Identifier: MIT */

#include "tls/acme_message.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char problem_prefix[] = "urn:ietf:params:acme:error:";

/* An object, or an error. */
static int load(struct tow_slice text, json_t **out, struct tow_error *err)
{
	json_error_t why;
	json_t *json;

	if (text.len > TOW_ACME_ANSWER_MAX)
		return tow_error_set(err, TOW_ETOOBIG, "the answer is too large");
	json = json_loadb((const char *)text.base, text.len, JSON_REJECT_DUPLICATES, &why);
	if (json == NULL)
		return tow_error_set(err, TOW_EPARSE, "the answer is not JSON: %s", why.text);
	if (!json_is_object(json)) {
		json_decref(json);
		return tow_error_set(err, TOW_EPARSE, "the answer is no JSON object");
	}
	*out = json;
	return 0;
}

static int is_url(const char *text)
{
	size_t len = strlen(text);

	if (len >= TOW_URL_MAX || strncmp(text, "https://", 8) != 0 || len == 8)
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
			return 0;
	}
	return 1;
}

/* An optional one may be absent, but not wrong. */
static int read_url(const json_t *object, const char *key, int optional, char out[TOW_URL_MAX],
                    struct tow_error *err)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	out[0] = '\0';
	if (optional && (value == NULL || json_is_null(value)))
		return 0;
	if (text == NULL || !is_url(text))
		return tow_error_set(err, TOW_EPARSE, "the answer has no https URL as \"%s\"", key);
	snprintf(out, TOW_URL_MAX, "%s", text);
	return 0;
}

/* tow_error_set knows how to make any bytes printable, and how to cut them. */
static void copy_text(char *out, size_t cap, const char *text)
{
	struct tow_error clean;

	tow_error_set(&clean, TOW_EPARSE, "%s", text);
	snprintf(out, cap, "%.*s", (int)cap - 1, clean.text);
}

static void read_problem(const json_t *object, struct acme_problem *out)
{
	const char *type = json_string_value(json_object_get(object, "type"));
	const char *detail = json_string_value(json_object_get(object, "detail"));
	size_t prefix = sizeof(problem_prefix) - 1;

	*out = (struct acme_problem){ .type = "" };
	if (type == NULL)
		return;
	if (strncmp(type, problem_prefix, prefix) == 0)
		type += prefix;
	copy_text(out->type, sizeof(out->type), type[0] != '\0' ? type : "unknown");
	copy_text(out->detail, sizeof(out->detail), detail != NULL ? detail : "");
}

int tow__acme_has_contact(struct tow_slice json, const char *contact)
{
	json_t *object;
	const json_t *list;
	const char *only;
	int has;

	if (load(json, &object, NULL) != 0)
		return 0;
	list = json_object_get(object, "contact");
	only = json_string_value(json_array_get(list, 0));
	has = json_array_size(list) == 1 && only != NULL && strcmp(only, contact) == 0;
	json_decref(object);
	return has;
}

void tow__acme_read_problem(struct tow_slice json, struct acme_problem *out)
{
	json_t *object;

	*out = (struct acme_problem){ .type = "" };
	if (load(json, &object, NULL) != 0)
		return;
	read_problem(object, out);
	json_decref(object);
}

int tow__acme_read_directory(struct tow_slice json, struct acme_directory *out,
                             struct tow_error *err)
{
	struct acme_directory directory = { .external_account_required = 0 };
	json_t *object;
	int rc = load(json, &object, err);

	if (rc != 0)
		return rc;
	rc = read_url(object, "newNonce", 0, directory.new_nonce, err);
	if (rc == 0)
		rc = read_url(object, "newAccount", 0, directory.new_account, err);
	if (rc == 0)
		rc = read_url(object, "newOrder", 0, directory.new_order, err);
	if (rc == 0)
		rc = read_url(object, "revokeCert", 1, directory.revoke_cert, err);
	if (rc == 0)
		rc = read_url(object, "renewalInfo", 1, directory.renewal_info, err);
	if (rc == 0) {
		directory.external_account_required = json_is_true(json_object_get(
			json_object_get(object, "meta"), "externalAccountRequired"));
		*out = directory;
	}
	json_decref(object);
	return rc;
}

static int read_status(const json_t *object, enum acme_status *out, struct tow_error *err)
{
	static const struct {
		const char *text;
		enum acme_status status;
	} all[] = {
		{ "pending", ACME_PENDING },       { "ready", ACME_READY },
		{ "processing", ACME_PROCESSING }, { "valid", ACME_VALID },
		{ "invalid", ACME_INVALID },       { "deactivated", ACME_INVALID },
		{ "expired", ACME_INVALID },       { "revoked", ACME_INVALID },
	};
	const char *text = json_string_value(json_object_get(object, "status"));

	for (size_t i = 0; text != NULL && i < sizeof(all) / sizeof(*all); i++) {
		if (strcmp(text, all[i].text) == 0) {
			*out = all[i].status;
			return 0;
		}
	}
	return tow_error_set(err, TOW_EPARSE, "the answer has no known status");
}

int tow__acme_read_order(struct tow_slice json, struct acme_order_object *out,
                         struct tow_error *err)
{
	struct acme_order_object order = { .status = ACME_PENDING };
	const json_t *authorizations;
	json_t *object;
	int rc = load(json, &object, err);

	if (rc != 0)
		return rc;
	rc = read_status(object, &order.status, err);
	if (rc == 0)
		rc = read_url(object, "finalize", 0, order.finalize, err);
	if (rc == 0)
		rc = read_url(object, "certificate", order.status != ACME_VALID, order.certificate,
		              err);
	authorizations = json_object_get(object, "authorizations");
	if (rc == 0 && json_array_size(authorizations) != 1)
		rc = tow_error_set(err, TOW_EPARSE, "the order for one name has %zu authorizations",
		                   json_array_size(authorizations));
	if (rc == 0) {
		const char *url = json_string_value(json_array_get(authorizations, 0));

		if (url != NULL && is_url(url))
			snprintf(order.authorization, sizeof(order.authorization), "%s", url);
		else
			rc = tow_error_set(err, TOW_EPARSE, "the order's authorization is no URL");
	}
	if (rc == 0) {
		read_problem(json_object_get(object, "error"), &order.problem);
		*out = order;
	}
	json_decref(object);
	return rc;
}

/* It becomes a part of a path. */
static int is_token(const char *text)
{
	size_t len =
		strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

	return len > 0 && len <= ACME_TOKEN_MAX && text[len] == '\0';
}

/* A challenge of a type that we do not know, or without what it needs, is not offered. */
static void read_challenge(const json_t *object, struct acme_authorization *authorization)
{
	static const char *const types[] = {
		[ACME_HTTP_01] = "http-01",
		[ACME_TLS_ALPN_01] = "tls-alpn-01",
	};
	const char *type = json_string_value(json_object_get(object, "type"));
	const char *url = json_string_value(json_object_get(object, "url"));
	const char *token = json_string_value(json_object_get(object, "token"));

	if (authorization->problem.type[0] == '\0')
		read_problem(json_object_get(object, "error"), &authorization->problem);
	if (type == NULL || url == NULL || !is_url(url) || token == NULL || !is_token(token))
		return;
	for (size_t i = 0; i < ACME_CHALLENGE_TYPES; i++) {
		struct acme_challenge *challenge = &authorization->challenges[i];

		if (strcmp(type, types[i]) != 0)
			continue;
		snprintf(challenge->url, sizeof(challenge->url), "%s", url);
		snprintf(challenge->token, sizeof(challenge->token), "%s", token);
	}
}

int tow__acme_read_authorization(struct tow_slice json, struct acme_authorization *out,
                                 struct tow_error *err)
{
	struct acme_authorization authorization = { .status = ACME_PENDING };
	const json_t *challenge;
	json_t *object;
	size_t index;
	int rc = load(json, &object, err);

	if (rc != 0)
		return rc;
	rc = read_status(object, &authorization.status, err);
	if (rc == 0) {
		json_array_foreach(json_object_get(object, "challenges"), index, challenge)
			read_challenge(challenge, &authorization);
		*out = authorization;
	}
	json_decref(object);
	return rc;
}

/* RFC 3339: 2026-01-02T03:04:05.678Z, or +01:00 for Z. */
static int read_time(const char *text, uint64_t *ms)
{
	struct tm tm = { .tm_year = 0 }, east = { .tm_hour = 0 };
	const char *rest, *end;
	time_t t;

	rest = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (rest == NULL)
		return TOW_EPARSE;
	t = timegm(&tm);
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (strcmp(rest, "Z") != 0 && strcmp(rest, "z") != 0) {
		end = *rest == '+' || *rest == '-' ? strptime(rest + 1, "%H:%M", &east) : NULL;
		if (end == NULL || *end != '\0')
			return TOW_EPARSE;
		t -= (*rest == '-' ? -60 : 60) * (east.tm_hour * 60 + east.tm_min);
	}
	if (t < 0)
		return TOW_EPARSE;
	*ms = (uint64_t)t * 1000;
	return 0;
}

int tow__acme_read_window(struct tow_slice json, struct acme_window *out, struct tow_error *err)
{
	struct acme_window window;
	const json_t *suggested;
	json_t *object;
	int rc = load(json, &object, err);

	if (rc != 0)
		return rc;
	suggested = json_object_get(object, "suggestedWindow");
	if (read_time(json_string_value(json_object_get(suggested, "start")), &window.start_ms) !=
	            0 ||
	    read_time(json_string_value(json_object_get(suggested, "end")), &window.end_ms) != 0 ||
	    window.start_ms > window.end_ms)
		rc = tow_error_set(err, TOW_EPARSE, "the answer suggests no window");
	else
		*out = window;
	json_decref(object);
	return rc;
}

uint64_t tow__acme_retry_after(const char *field, uint64_t now_ms)
{
	struct tm tm = { .tm_year = 0 };
	uint64_t ms = 0;
	const char *rest;

	if (field == NULL)
		return 0;
	if (field[0] != '\0' && strspn(field, "0123456789") == strlen(field)) {
		ms = strlen(field) > 9 ? TOW_ACME_RETRY_AFTER_MAX_MS
		                       : strtoull(field, NULL, 10) * 1000;
	} else {
		rest = strptime(field, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		if (rest != NULL && *rest == '\0') {
			time_t t = timegm(&tm);

			if (t > 0 && (uint64_t)t * 1000 > now_ms)
				ms = (uint64_t)t * 1000 - now_ms;
		}
	}
	return ms < TOW_ACME_RETRY_AFTER_MAX_MS ? ms : TOW_ACME_RETRY_AFTER_MAX_MS;
}
