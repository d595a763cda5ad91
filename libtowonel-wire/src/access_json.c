/* SPDX-License-Identifier: MIT */
#include "access_json.h"

#include "json.h"

const char *const tow__access_keys[2] = {
	[TOW_ACCESS_ALLOW] = "allow_from",
	[TOW_ACCESS_DENY] = "deny_from",
};

int tow__access_read(const json_t *object, enum tow_access_list list, struct tow_access *out,
                     struct tow_error *err)
{
	const char *key = tow__access_keys[list];
	const json_t *array = json_object_get(object, key), *item;
	size_t i;
	int r;

	if (!array)
		return 0;
	if (!json_is_array(array))
		return tow_error_set(err, TOW_EPARSE,
		                     "\"%s\" must be an array of addresses and prefixes: "
		                     "[\"192.0.2.0/24\", ...]",
		                     key);
	if (list == TOW_ACCESS_ALLOW && !json_array_size(array))
		return tow_error_set(err, TOW_EPARSE,
		                     "\"%s\" has nobody: leave it out to allow everybody", key);
	json_array_foreach(array, i, item)
	{
		struct tow_prefix prefix;
		if (!json_is_string(item))
			return tow_error_set(err, TOW_EPARSE, "\"%s\" must be an array of strings",
			                     key);
		r = tow_prefix_parse(tow_slice_make((const uint8_t *)json_string_value(item),
		                                    json_string_length(item)),
		                     &prefix, err);
		if (r) {
			tow_error_prefix(err, "\"%s\"", key);
			return r;
		}
		if (tow_access_add(out, list, &prefix))
			return tow_error_set(
				err, TOW_EPARSE, "\"%s\" and \"%s\" have more than %d prefixes",
				tow__access_keys[TOW_ACCESS_ALLOW],
				tow__access_keys[TOW_ACCESS_DENY], TOW_ACCESS_PREFIXES_MAX);
	}
	return 0;
}

json_t *tow__access_write(const struct tow_access *access, enum tow_access_list list)
{
	size_t count;
	const struct tow_prefix *prefixes = tow_access_prefixes(access, list, &count);
	char text[TOW_PREFIX_TEXT_SIZE];
	json_t *array = json_array();

	for (size_t i = 0; array && i < count; i++) {
		if (json_array_append_new(array,
		                          json_string(tow_prefix_format(&prefixes[i], text)))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}
