/* SPDX-License-Identifier: MIT */
/* What is taken is written, and that is taken again as the same; and what is cheap to open is not
 * opened without its passphrase. */
#include <assert.h>
#include <string.h>

#include <towonel/wire/key_backup.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_key_backup backup, again;
	struct tow_buf written = { 0 };
	struct tow_error err = { 0 };
	uint8_t seed[TOW_SEED_SIZE];

	memset(&backup, 0, sizeof backup);
	memset(&again, 0, sizeof again);
	if (tow_key_backup_parse(tow_slice_make(data, size), &backup, &err)) {
		assert(err.code == TOW_EPARSE || err.code == TOW_EVERSION ||
		       err.code == TOW_ETOOBIG);
		assert(err.text[0]);
		return 0;
	}
	assert(!tow_key_backup_format(&backup, &written));
	assert(!tow_key_backup_parse(tow_buf_peek(&written), &again, NULL));
	assert(!memcmp(&backup, &again, sizeof backup));
	tow_buf_deinit(&written);
	if (backup.cost.passes == 1 && backup.cost.memory_kib <= 64)
		assert(tow_key_backup_open(&backup, tow_slice_of("no such phrase"), seed, &err) ==
		       TOW_EDENIED);
	return 0;
}
