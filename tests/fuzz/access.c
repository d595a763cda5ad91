/* SPDX-License-Identifier: MIT */
/* The first byte chooses the list. What is taken is a set in order, is written, and that is taken again as the same;
 * a copy has the same to say of each address. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/access.h>

static void check_order(const struct tow_access *access, enum tow_access_list list)
{
	size_t count;
	const struct tow_prefix *prefixes = tow_access_prefixes(access, list, &count);

	for (size_t i = 0; i < count; i++) {
		assert(prefixes[i].family == 4 || prefixes[i].family == 6);
		assert(prefixes[i].bits <= (prefixes[i].family == 4 ? 32 : 128));
		assert(!i || memcmp(&prefixes[i - 1], &prefixes[i], sizeof *prefixes) < 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum tow_access_list list = size && data[0] % 2 ? TOW_ACCESS_DENY : TOW_ACCESS_ALLOW;
	struct tow_slice text = size ? tow_slice_make(data + 1, size - 1) : tow_slice_make(data, 0);
	struct tow_access access, again, *copy;
	struct tow_error err = { 0 };
	struct tow_buf written = { 0 };

	memset(&access, 0, sizeof access);
	memset(&again, 0, sizeof again);
	if (tow_access_parse(&access, list, text, &err)) {
		assert((err.code == TOW_EPARSE || err.code == TOW_ELIMIT) && err.text[0]);
		check_order(&access, list);
		return 0;
	}
	check_order(&access, list);
	assert(!tow_access_format(&access, list, &written));
	assert(!tow_access_parse(&again, list, tow_buf_peek(&written), NULL));
	assert(!memcmp(&access, &again, sizeof access));
	copy = tow_access_copy(&access);
	assert(copy && !tow_access_compare(copy, &access));
	for (int i = 0; i < TOW_ACCESS_PREFIXES_MAX && i < access.counts[list]; i++) {
		struct tow_addr addr = { .family = access.prefixes[i].family };
		memcpy(addr.bytes, access.prefixes[i].bytes, sizeof addr.bytes);
		assert(tow_access_permits(copy, &addr) == (list == TOW_ACCESS_ALLOW));
	}
	free(copy);
	tow_buf_deinit(&written);
	return 0;
}
