/* SPDX-License-Identifier: MIT */
#include "utf8.h"

size_t tow__utf8_read(struct tow_slice bytes, uint32_t *c)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t lead;
	uint32_t value;
	size_t len;

	if (!bytes.len)
		return 0;
	lead = bytes.base[0];
	if (lead < 0x80) {
		*c = lead;
		return 1;
	}
	len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (lead < 0xc0 || lead > 0xf4 || len > bytes.len)
		return 0;
	value = lead & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((bytes.base[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (bytes.base[i] & 0x3f);
	}
	/* overlong, past the last code point, or half of a surrogate pair */
	if (value < smallest[len] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*c = value;
	return len;
}

int tow__utf8_is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f);
}
