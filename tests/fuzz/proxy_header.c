/* SPDX-License-Identifier: MIT */
/*
 * Reads a header; what it means, written again, must mean the same, and must need no more room.
 */
#include <assert.h>

#include <towonel/wire/proxy_header.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_proxy_header first, second;
	uint8_t out[TOW_PROXY_HEADER_MAX];
	size_t len, again;
	int n;

	if (tow_proxy_header_read(tow_slice_make(data, size), &first, &len) != 0)
		return 0;
	assert(len <= size && len <= TOW_PROXY_HEADER_MAX);
	n = tow_proxy_header_write(&first, 0, out, sizeof(out));
	assert(n > 0 && (size_t)n <= len);
	assert(tow_proxy_header_read(tow_slice_make(out, (size_t)n), &second, &again) == 0);
	assert(again == (size_t)n);
	assert(first.command == second.command && first.transport == second.transport);
	assert(tow_addr_equal(&first.source, &second.source));
	assert(tow_addr_equal(&first.destination, &second.destination));
	assert(tow_slice_equal(first.authority, second.authority));
	assert(tow_slice_equal(first.alpn, second.alpn));
	assert(tow_slice_equal(first.unique_id, second.unique_id));

	n = tow_proxy_header_write(&first, 1, out, sizeof(out));
	if (n > 0)
		assert(tow_proxy_header_read(tow_slice_make(out, (size_t)n), &second, &again) == 0);
	return 0;
}
