/* SPDX-License-Identifier: MIT */
/*
 * What is taken is in normal form: taken again it stays as it is, and the relations between names
 * hold for it. The input is two names, with a line feed between.
 */
#include <assert.h>
#include <string.h>

#include <towonel/wire/hostname.h>

static int parse(struct tow_slice text, char out[TOW_HOSTNAME_SIZE])
{
	struct tow_error err = { 0 };
	char again[TOW_HOSTNAME_SIZE];
	int r = tow_hostname_parse(text, TOW_HOSTNAME_PATTERN, out, &err);

	assert(err.code == r && strlen(err.text) < sizeof err.text);
	assert(!r || err.text[0]);
	if (r)
		return r;
	assert(strlen(out) <= TOW_HOSTNAME_MAX);
	assert(!tow_hostname_parse(tow_slice_of(out), TOW_HOSTNAME_PATTERN, again, NULL));
	assert(!strcmp(out, again));
	assert(!tow_hostname_parse(text, TOW_HOSTNAME_EXACT, again, NULL) ==
	       !tow_hostname_is_wildcard(out));
	assert(tow_hostname_covers(out, out) && tow_hostname_overlaps(out, out));
	if (!tow_hostname_wildcard_of(out, again)) {
		assert(tow_hostname_matches(again, out));
		assert(tow_hostname_covers(again, out) && !tow_hostname_covers(out, again));
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	size_t first = end ? (size_t)(end - data) : size;
	char a[TOW_HOSTNAME_SIZE], b[TOW_HOSTNAME_SIZE];

	if (parse(tow_slice_make(data, first), a) || !end ||
	    parse(tow_slice_make(end + 1, size - first - 1), b))
		return 0;
	assert(tow_hostname_overlaps(a, b) == tow_hostname_overlaps(b, a));
	assert(tow_hostname_overlaps(a, b) ==
	       (tow_hostname_covers(a, b) || tow_hostname_covers(b, a)));
	assert(!(tow_hostname_covers(a, b) && tow_hostname_covers(b, a)) || !strcmp(a, b));
	return 0;
}
