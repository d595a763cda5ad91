/* SPDX-License-Identifier: MIT */
#include "node/parley_message.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include <towonel/wire/error.h>
#include <towonel/wire/identity.h>

static int take_number(const json_t *value, struct parley_message *out)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return TOW_EPARSE;
	out->number = (uint64_t)json_integer_value(value);
	return 0;
}

/* Absent is empty. */
static int take_text(const json_t *message, const char *key, char *out, size_t size)
{
	const json_t *value = json_object_get(message, key);
	const char *text = value ? json_string_value(value) : "";
	if (!text || strlen(text) >= size)
		return TOW_EPARSE;
	snprintf(out, size, "%s", text);
	return 0;
}

static int read_request(const json_t *message, struct parley_message *out)
{
	static const char *const words[] = {
		[PARLEY_LEND] = "lend",
		[PARLEY_HUB] = "hub",
		[PARLEY_YIELD] = "yield",
		[PARLEY_COMMIT] = "commit",
	};
	const char *what = json_string_value(json_object_get(message, "do"));
	for (unsigned i = 0; what && i < sizeof words / sizeof *words; i++) {
		if (strcmp(what, words[i]) != 0)
			continue;
		out->word = (enum parley_word)i;
		return i == PARLEY_LEND ? take_number(json_object_get(message, "version"), out) : 0;
	}
	return TOW_EPARSE;
}

static int read_lent(const json_t *message, struct parley_message *out)
{
	int rc = take_number(json_object_get(message, "lent"), out);
	if (rc == 0)
		rc = take_text(message, "notify_socket", out->notify_socket,
		               sizeof out->notify_socket);
	if (rc == 0)
		rc = take_text(message, "watchdog_usec", out->watchdog_usec,
		               sizeof out->watchdog_usec);
	return rc;
}

static int read_visitor(const json_t *message, struct parley_message *out)
{
	const char *visitor = json_string_value(json_object_get(message, "visitor"));
	const char *early = json_string_value(json_object_get(message, "early"));
	size_t cap = early ? strlen(early) : 0;
	if (!visitor || !early || tow_addr_parse(tow_slice_of(visitor), &out->visitor) != 0)
		return TOW_EPARSE;
	uint8_t *to = tow_buf_reserve(&out->early, cap + 1);
	if (!to)
		return TOW_ENOMEM;
	int len = tow_base64url_decode(tow_slice_of(early), to, cap);
	if (len < 0)
		return TOW_EPARSE;
	tow_buf_commit(&out->early, (size_t)len);
	return 0;
}

static int read_message(const json_t *message, struct parley_message *out)
{
	static const struct {
		const char *key;
		enum parley_word word;
	} answers[] = {
		{ "socket", PARLEY_SOCKET }, { "lent", PARLEY_LENT },
		{ "hub", PARLEY_HUB_STOPPED }, { "agents", PARLEY_AGENTS },
		{ "visitor", PARLEY_VISITOR }, { "done", PARLEY_DONE },
	};
	if (json_object_get(message, "do"))
		return read_request(message, out);
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		const json_t *value = json_object_get(message, answers[i].key);
		if (!value)
			continue;
		out->word = answers[i].word;
		switch (out->word) {
		case PARLEY_LENT: return read_lent(message, out);
		case PARLEY_AGENTS: return take_number(value, out);
		case PARLEY_VISITOR: return read_visitor(message, out);
		default: return 0;
		}
	}
	return TOW_EPARSE;
}

int parley_message_read(struct tow_slice text, struct parley_message *out)
{
	json_t *message =
		json_loadb((const char *)text.base, text.len, JSON_REJECT_DUPLICATES, NULL);
	memset(out, 0, sizeof *out);
	int rc = json_is_object(message) ? read_message(message, out) : TOW_EPARSE;
	json_decref(message);
	if (rc != 0)
		parley_message_deinit(out);
	return rc;
}

void parley_message_deinit(struct parley_message *message)
{
	tow_buf_deinit(&message->early);
}
