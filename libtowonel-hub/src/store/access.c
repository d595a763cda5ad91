/* SPDX-License-Identifier: MIT */
#include "store/access.h"

#include <string.h>

static size_t append(const struct tow_access *access, enum tow_access_list list, char *out)
{
	size_t count, len = 0;
	const struct tow_prefix *prefixes = tow_access_prefixes(access, list, &count);

	for (size_t i = 0; i < count; i++) {
		if (i)
			out[len++] = ',';
		len += strlen(tow_prefix_format(&prefixes[i], out + len));
	}
	return len;
}

char *tow__access_text(const struct tow_access *access, char out[TOW__ACCESS_TEXT_SIZE])
{
	size_t len;

	out[0] = '\0';
	if (tow_access_is_open(access))
		return out;
	len = append(access, TOW_ACCESS_ALLOW, out);
	out[len++] = '!';
	out[len] = '\0';
	append(access, TOW_ACCESS_DENY, out + len);
	return out;
}

void tow__access_get(const struct tow__db_rows *rows, int column, struct tow_access *out)
{
	struct tow_slice text = tow__db_get_bytes(rows, column);
	const uint8_t *mark = text.len ? memchr(text.base, '!', text.len) : NULL;
	size_t len = mark ? (size_t)(mark - text.base) : 0;

	memset(out, 0, sizeof *out);
	if (!text.len)
		return;
	if (!mark ||
	    tow_access_parse(out, TOW_ACCESS_ALLOW, tow_slice_make(text.base, len), NULL) ||
	    tow_access_parse(out, TOW_ACCESS_DENY, tow_slice_make(mark + 1, text.len - len - 1),
	                     NULL))
		tow__db_fail(rows->db, TOW_EDB, "\"%.*s\" in a column \"access\"",
		             (int)(text.len < 80 ? text.len : 80), (const char *)text.base);
}
