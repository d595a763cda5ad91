/* SPDX-License-Identifier: MIT */
/* A peer's certificate, before anything about the peer is known. */
#include <assert.h>

#include "tls/identity_cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_id id, again;
	int ret = tow__identity_cert_parse(tow_slice_make(data, size), &id);

	assert(ret == 0 || ret == TOW_EPARSE);
	if (ret == 0) {
		assert(tow__identity_cert_parse(tow_slice_make(data, size), &again) == 0);
		assert(tow_id_equal(&id, &again));
	}
	return 0;
}
