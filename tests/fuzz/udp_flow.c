/* SPDX-License-Identifier: MIT */
/*
 * The first byte says in what pieces the rest comes from the stream: the datagrams must be the same as when it comes
 * in one.
 */
#include <assert.h>

#include <towonel/tunnel/udp_flow.h>
#include <towonel/wire/limits.h>
#include <towonel/wire/udp_frame.h>

static void keep(void *user, struct tow_slice payload)
{
	assert(payload.len <= TOW_DATAGRAM_MAX);
	assert(tow_udp_frame_append(user, payload) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tow_udp_flow whole = { 0 }, pieces = { 0 };
	struct tow_buf from_whole = { 0 }, from_pieces = { 0 };
	size_t piece = size > 0 ? data[0] % 64u + 1 : 1;

	for (size_t at = 1; at < size; at += piece)
		assert(tow_udp_flow_read(
			       &pieces,
			       tow_slice_make(data + at, size - at < piece ? size - at : piece),
			       keep, &from_pieces) == 0);
	if (size > 0)
		assert(tow_udp_flow_read(&whole, tow_slice_make(data + 1, size - 1), keep,
		                         &from_whole) == 0);
	assert(tow_slice_equal(tow_buf_peek(&from_whole), tow_buf_peek(&from_pieces)));
	assert(tow_slice_equal(tow_buf_peek(&whole.partial), tow_buf_peek(&pieces.partial)));
	tow_udp_flow_deinit(&whole);
	tow_udp_flow_deinit(&pieces);
	tow_buf_deinit(&from_whole);
	tow_buf_deinit(&from_pieces);
	return 0;
}
