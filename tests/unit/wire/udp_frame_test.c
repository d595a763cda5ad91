/* SPDX-License-Identifier: MIT */
#include <towonel/wire/udp_frame.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* RFC 9000 appendix A.1 */
static const struct {
	uint8_t bytes[8];
	size_t len;
	uint64_t value;
	int shortest;
} samples[] = {
	{ { 0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c }, 8, 151288809941952652, 1 },
	{ { 0x9d, 0x7f, 0x3e, 0x7d }, 4, 494878333, 1 },
	{ { 0x7b, 0xbd }, 2, 15293, 1 },
	{ { 0x25 }, 1, 37, 1 },
	{ { 0x40, 0x25 }, 2, 37, 0 },
};

static void varints_are_those_of_the_rfc(void **state)
{
	uint8_t out[TOW_VARINT_MAX_SIZE];
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		assert_int_equal(tow_varint_read(tow_slice_make(samples[i].bytes, sizeof(samples[i].bytes)),
		                                 &value),
		                 samples[i].len);
		assert_true(value == samples[i].value);
		for (size_t n = 0; n < samples[i].len; n++)
			assert_int_equal(tow_varint_read(tow_slice_make(samples[i].bytes, n), &value),
			                 TOW_EPARSE);
		if (!samples[i].shortest)
			continue;
		assert_int_equal(tow_varint_write(samples[i].value, out, sizeof(out)), samples[i].len);
		assert_memory_equal(out, samples[i].bytes, samples[i].len);
	}
}

static void varints_change_their_size_at_powers_of_two(void **state)
{
	static const struct {
		uint64_t value;
		int len;
	} cases[] = {
		{ 0, 1 },
		{ 63, 1 },
		{ 64, 2 },
		{ 16383, 2 },
		{ 16384, 4 },
		{ 1073741823, 4 },
		{ 1073741824, 8 },
		{ (UINT64_C(1) << 62) - 1, 8 },
		{ UINT64_C(1) << 62, TOW_ETOOBIG },
		{ UINT64_MAX, TOW_ETOOBIG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t out[TOW_VARINT_MAX_SIZE];
		uint64_t value;

		assert_int_equal(tow_varint_write(cases[i].value, out, sizeof(out)), cases[i].len);
		if (cases[i].len < 0)
			continue;
		assert_int_equal(tow_varint_write(cases[i].value, out, (size_t)cases[i].len - 1), TOW_ETOOBIG);
		assert_int_equal(tow_varint_read(tow_slice_make(out, sizeof(out)), &value), cases[i].len);
		assert_true(value == cases[i].value);
	}
}

static void frames_come_back_as_they_went(void **state)
{
	static const size_t sizes[] = { 0, 1, 255, 256, 1200, TOW_DATAGRAM_MAX };
	static uint8_t payload[TOW_DATAGRAM_MAX + 1];
	struct tow_buf buf = { .base = NULL };

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 31);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_int_equal(tow_udp_frame_append(&buf, tow_slice_make(payload, sizes[i])), 0);
	assert_int_equal(tow_udp_frame_append(&buf, tow_slice_make(payload, sizeof(payload))), TOW_ETOOBIG);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct tow_slice got;
		size_t len;

		assert_int_equal(tow_udp_frame_read(tow_buf_peek(&buf), &got, &len), 0);
		assert_int_equal(len, TOW_UDP_FRAME_HEADER_SIZE + sizes[i]);
		assert_true(tow_slice_equal(got, tow_slice_make(payload, sizes[i])));
		tow_buf_consume(&buf, len);
	}
	assert_int_equal(tow_buf_len(&buf), 0);
	tow_buf_deinit(&buf);
}

static void part_of_a_frame_waits_for_more(void **state)
{
	static const uint8_t frame[] = { 0, 3, 'a', 'b', 'c', 'd' };
	struct tow_slice payload;
	size_t len;

	(void)state;
	for (size_t n = 0; n < 5; n++)
		assert_int_equal(tow_udp_frame_read(tow_slice_make(frame, n), &payload, &len), TOW_MORE);
	assert_int_equal(tow_udp_frame_read(tow_slice_make(frame, 6), &payload, &len), 0);
	assert_int_equal(len, 5);
	assert_true(tow_slice_equal(payload, tow_slice_of("abc")));
}

static void datagrams_name_their_stream(void **state)
{
	static const struct {
		uint64_t stream;
		int prefix;
	} cases[] = {
		{ 1, 1 },
		{ 253, 1 }, /* the 64th session */
		{ 257, 2 },
		{ (UINT64_C(1) << 62) - 3, 8 },
		{ 0, TOW_EINVAL }, /* opened by the agent */
		{ 2, TOW_EINVAL },
		{ 3, TOW_EINVAL }, /* in one direction only */
		{ (UINT64_C(1) << 62) + 1, TOW_EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t bytes[TOW_VARINT_MAX_SIZE + 2];
		struct tow_slice payload;
		uint64_t stream;
		int n = tow_udp_datagram_prefix(cases[i].stream, bytes, TOW_VARINT_MAX_SIZE);

		assert_int_equal(n, cases[i].prefix);
		if (n < 0)
			continue;
		assert_int_equal(tow_udp_datagram_prefix(cases[i].stream, bytes, (size_t)n - 1), TOW_ETOOBIG);
		memcpy(bytes + n, "hi", 2);
		assert_int_equal(tow_udp_datagram_read(tow_slice_make(bytes, (size_t)n + 2), &stream, &payload), 0);
		assert_true(stream == cases[i].stream);
		assert_true(tow_slice_equal(payload, tow_slice_of("hi")));
		assert_int_equal(tow_udp_datagram_read(tow_slice_make(bytes, (size_t)n), &stream, &payload), 0);
		assert_int_equal(payload.len, 0);
		assert_int_equal(tow_udp_datagram_read(tow_slice_make(bytes, (size_t)n - 1), &stream, &payload),
		                 TOW_EPARSE);
	}
}

static void a_stream_that_cannot_be_is_refused(void **state)
{
	static const uint8_t bytes[] = { 0xd0, 0, 0, 0, 0, 0, 0, 0 }; /* 2^60, four times which is no id */
	struct tow_slice payload;
	uint64_t stream;

	(void)state;
	assert_int_equal(tow_udp_datagram_read(tow_slice_make(bytes, sizeof(bytes)), &stream, &payload),
	                 TOW_EPARSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(varints_are_those_of_the_rfc),
		cmocka_unit_test(varints_change_their_size_at_powers_of_two),
		cmocka_unit_test(frames_come_back_as_they_went),
		cmocka_unit_test(part_of_a_frame_waits_for_more),
		cmocka_unit_test(datagrams_name_their_stream),
		cmocka_unit_test(a_stream_that_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
