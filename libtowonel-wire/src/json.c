/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <towonel/wire/limits.h>
#include <towonel/wire/nearest.h>

/* jansson recurses once per level, and has a limit that is no setting. What is no JSON gets any
 * result: it is refused later. */
static int is_too_deep(struct tow_slice text)
{
	unsigned depth = 0;
	int in_string = 0;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.base[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = 0;
		} else if (c == '"') {
			in_string = 1;
		} else if (c == '[' || c == '{') {
			if (++depth > TOW_JSON_DEPTH_MAX)
				return 1;
		} else if ((c == ']' || c == '}') && depth) {
			depth--;
		}
	}
	return 0;
}

int tow__json_load(struct tow_slice text, size_t max, json_t **out, struct tow_error *err)
{
	json_error_t why;
	json_t *value;

	if (text.len > max)
		return tow_error_set(err, TOW_ETOOBIG, "longer than %zu bytes", max);
	if (!text.len)
		return tow_error_set(err, TOW_EPARSE, "empty, where JSON is expected");
	if (is_too_deep(text))
		return tow_error_set(err, TOW_EPARSE, "JSON nested more than %d deep",
		                     TOW_JSON_DEPTH_MAX);
	value = json_loadb((const char *)text.base, text.len, JSON_REJECT_DUPLICATES, &why);
	if (!value && json_error_code(&why) == json_error_out_of_memory)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	if (!value)
		return tow_error_set(err, TOW_EPARSE, "not JSON: line %d, column %d: %s", why.line,
		                     why.column, why.text);
	*out = value;
	return 0;
}

int tow__json_check_keys(const json_t *value, const char *const *keys, size_t count,
                         struct tow_error *err)
{
	const char *key, *meant;
	const json_t *member;

	if (!json_is_object(value))
		return tow_error_set(err, TOW_EPARSE, "must be a JSON object");
	json_object_foreach((json_t *)value, key, member)
	{
		size_t i = 0;
		while (i < count && !tow_slice_equal(tow_slice_of(key), tow_slice_of(keys[i])))
			i++;
		if (i < count)
			continue;
		meant = tow_nearest(tow_slice_of(key), keys, count);
		if (meant)
			return tow_error_set(err, TOW_EPARSE,
			                     "unknown key \"%.80s\" (did you mean \"%s\"?)", key,
			                     meant);
		return tow_error_set(err, TOW_EPARSE, "unknown key \"%.80s\"", key);
	}
	return 0;
}

int tow__json_text(const json_t *object, const char *key, struct tow_slice *out,
                   struct tow_error *err)
{
	const json_t *value = json_object_get(object, key);

	if (!value)
		return tow_error_set(err, TOW_EPARSE, "\"%s\" is missing", key);
	if (!json_is_string(value))
		return tow_error_set(err, TOW_EPARSE, "\"%s\" must be a string", key);
	*out = tow_slice_make(json_string_value(value), json_string_length(value));
	return 0;
}

int tow__json_choice(const json_t *object, const char *key, const char *const *choices,
                     size_t count, size_t *out, struct tow_error *err)
{
	const json_t *value = json_object_get(object, key);
	char list[128];
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		if (json_is_string(value) && tow_slice_equal(tow_slice_of(json_string_value(value)),
		                                             tow_slice_of(choices[i]))) {
			*out = i;
			return 0;
		}
	}
	if (!value)
		return tow_error_set(err, TOW_EPARSE, "\"%s\" is missing", key);
	for (size_t i = 0; i < count && used < sizeof list; i++)
		used += (size_t)snprintf(list + used, sizeof list - used, "%s\"%s\"",
		                         i ? " or " : "", choices[i]);
	return tow_error_set(err, TOW_EPARSE, "\"%s\" must be %s", key, list);
}

int tow__json_uint(const json_t *object, const char *key, uint64_t min, uint64_t max, uint64_t *out,
                   struct tow_error *err)
{
	const json_t *value = json_object_get(object, key);
	json_int_t number = json_integer_value(value);

	if (!value)
		return tow_error_set(err, TOW_EPARSE, "\"%s\" is missing", key);
	if (!json_is_integer(value) || number < 0 || (uint64_t)number < min ||
	    (uint64_t)number > max)
		return tow_error_set(err, TOW_EPARSE,
		                     "\"%s\" must be a whole number from %" PRIu64 " to %" PRIu64,
		                     key, min, max);
	*out = (uint64_t)number;
	return 0;
}

int tow__json_uint_or(const json_t *object, const char *key, uint64_t min, uint64_t max,
                      uint64_t fallback, uint64_t *out, struct tow_error *err)
{
	if (json_object_get(object, key))
		return tow__json_uint(object, key, min, max, out, err);
	*out = fallback;
	return 0;
}
