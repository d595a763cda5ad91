/* SPDX-License-Identifier: MIT */

#include "tls/cert_record.h"

#include <string.h>
#include <jansson.h>
#include <towonel/wire/limits.h>

#define FAILURES_MAX 1000000

int tow__cert_record_write(const struct cert_record *record, struct tow_buf *out)
{
	char issued[TOW_HEX_SIZE(TOW_HASH_SIZE)], replaced[TOW_HEX_SIZE(TOW_HASH_SIZE)];
	char *text = NULL;
	json_t *json;
	int rc = TOW_ENOMEM;

	tow_hex_encode(record->issued, sizeof(record->issued), issued);
	tow_hex_encode(record->replaced, sizeof(record->replaced), replaced);
	json = json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "issued_sha256", issued,
	                 "replaced_sha256", replaced, "renew_at_ms",
	                 (json_int_t)record->renew_at_ms, "failures", (json_int_t)record->failures,
	                 "retry_at_ms", (json_int_t)record->retry_at_ms, "last_error",
	                 record->last_error);
	if (json != NULL)
		text = json_dumps(json, JSON_COMPACT);
	if (text != NULL)
		rc = tow_buf_printf(out, "%s\n", text);
	free(text);
	json_decref(json);
	return rc;
}

/* A whole number from 0 to max, 0 when it is absent. */
static int read_uint(const json_t *object, const char *key, uint64_t max, uint64_t *out)
{
	const json_t *value = json_object_get(object, key);

	*out = 0;
	if (value == NULL)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) > max)
		return TOW_EPARSE;
	*out = (uint64_t)json_integer_value(value);
	return 0;
}

/* Hex, all zero when it is absent. */
static int read_hash(const json_t *object, const char *key, uint8_t out[TOW_HASH_SIZE])
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL || tow_hex_decode(tow_slice_of(text), out, TOW_HASH_SIZE) ==
	                               TOW_HASH_SIZE
	               ? 0
	               : TOW_EPARSE;
}

int tow__cert_record_read(struct tow_slice json, struct cert_record *out)
{
	struct cert_record record = { .failures = 0 };
	const char *error;
	uint64_t failures = 0;
	json_t *object;
	int rc = TOW_EPARSE;

	if (json.len > TOW_CERT_RECORD_MAX)
		return TOW_ETOOBIG;
	object = json_loadb((const char *)json.base, json.len, JSON_REJECT_DUPLICATES, NULL);
	error = json_string_value(json_object_get(object, "last_error"));
	if (json_is_object(object) && read_hash(object, "issued_sha256", record.issued) == 0 &&
	    read_hash(object, "replaced_sha256", record.replaced) == 0 &&
	    read_uint(object, "renew_at_ms", TOW_JSON_INTEGER_MAX, &record.renew_at_ms) == 0 &&
	    read_uint(object, "failures", FAILURES_MAX, &failures) == 0 &&
	    read_uint(object, "retry_at_ms", TOW_JSON_INTEGER_MAX, &record.retry_at_ms) == 0) {
		struct tow_error text;

		tow_error_set(&text, 0, "%s", error != NULL ? error : ""); /* one line, printable */
		memcpy(record.last_error, text.text, sizeof(record.last_error));
		record.failures = (unsigned)failures;
		*out = record;
		rc = 0;
	}
	json_decref(object);
	return rc;
}
