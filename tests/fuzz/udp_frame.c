/* SPDX-License-Identifier: MIT */
/*
 * Reads the input as the frames of a stream and as a datagram; what was read, written again, must read
 * the same.
 */
#include <assert.h>

#include <towonel/wire/udp_frame.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_slice rest = tow_slice_make(data, size), payload;
	struct tow_buf again = { .base = NULL };
	uint8_t prefix[TOW_VARINT_MAX_SIZE];
	uint64_t stream_id;
	size_t len;

	while (tow_udp_frame_read(rest, &payload, &len) == 0) {
		assert(len <= rest.len);
		assert(tow_udp_frame_append(&again, payload) == 0);
		rest = tow_slice_make(rest.base + len, rest.len - len);
	}
	assert(tow_slice_equal(tow_buf_peek(&again), tow_slice_make(data, size - rest.len)));
	tow_buf_deinit(&again);

	if (tow_udp_datagram_read(tow_slice_make(data, size), &stream_id, &payload) == 0) {
		int n = tow_udp_datagram_prefix(stream_id, prefix, sizeof(prefix));
		uint64_t quarter;

		assert(n > 0 && (size_t)n + payload.len <= size);
		assert(tow_varint_read(tow_slice_make(prefix, (size_t)n), &quarter) == n);
		assert(quarter == stream_id / 4);
	}
	return 0;
}
