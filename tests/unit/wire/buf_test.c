/* SPDX-License-Identifier: MIT */
#include <towonel/wire/buf.h>
#include <towonel/wire/cursor.h>
#include <towonel/wire/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void an_all_zero_buffer_is_empty(void **state)
{
	struct tow_buf buf = { 0 };

	(void)state;
	assert_int_equal(tow_buf_len(&buf), 0);
	assert_int_equal(tow_buf_peek(&buf).len, 0);
	assert_int_equal(tow_buf_append(&buf, NULL, 0), 0);
	tow_buf_consume(&buf, 0);
	tow_buf_clear(&buf);
	tow_buf_deinit(&buf);
	tow_buf_wipe(&buf);
	assert_non_null(tow_buf_reserve(&buf, 0));
	tow_buf_deinit(&buf);
}

/* Against a model: a byte of the stream is known by its position. */
static void what_goes_in_comes_out_in_order(void **state)
{
	struct tow_buf buf = { 0 };
	size_t written = 0, read = 0;
	uint32_t random = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		random = random * 1664525u + 1013904223u;
		size_t n = (random >> 16) % 300;
		if (random >> 31) {
			uint8_t *to = tow_buf_reserve(&buf, n);
			assert_non_null(to);
			for (size_t i = 0; i < n; i++)
				to[i] = (uint8_t)((written + i) * 7);
			tow_buf_commit(&buf, n);
			written += n;
		} else {
			struct tow_slice bytes = tow_buf_peek(&buf);
			assert_int_equal(bytes.len, written - read);
			if (n > bytes.len)
				n = bytes.len;
			for (size_t i = 0; i < n; i++)
				assert_int_equal(bytes.base[i], (uint8_t)((read + i) * 7));
			tow_buf_consume(&buf, n);
			read += n;
		}
		assert_int_equal(tow_buf_len(&buf), written - read);
	}
	tow_buf_deinit(&buf);
}

static void consuming_everything_rewinds(void **state)
{
	struct tow_buf buf = { 0 };
	uint8_t *base;

	(void)state;
	assert_int_equal(tow_buf_append_text(&buf, "hello"), 0);
	base = buf.base;
	tow_buf_consume(&buf, 5);
	assert_ptr_equal(tow_buf_reserve(&buf, buf.cap), base);
	tow_buf_deinit(&buf);
	assert_null(buf.base);
}

static void a_queue_does_not_grow_without_need(void **state)
{
	struct tow_buf buf = { 0 };
	uint8_t bytes[40] = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(tow_buf_append(&buf, bytes, sizeof bytes), 0);
		if (i)
			tow_buf_consume(&buf, sizeof bytes);
	}
	assert_true(buf.cap <= 256);
	tow_buf_deinit(&buf);
}

static void too_much_is_out_of_memory(void **state)
{
	struct tow_buf buf = { 0 };

	(void)state;
	assert_int_equal(tow_buf_append_text(&buf, "x"), 0);
	assert_null(tow_buf_reserve(&buf, SIZE_MAX));
	assert_null(tow_buf_reserve(&buf, SIZE_MAX / 2));
	assert_int_equal(tow_buf_len(&buf), 1);
	tow_buf_deinit(&buf);
}

static void printf_fits_at_every_length(void **state)
{
	(void)state;
	for (int width = 1; width < 300; width++) {
		struct tow_buf buf = { 0 };
		assert_int_equal(tow_buf_printf(&buf, "%s", ""), 0);
		assert_int_equal(tow_buf_printf(&buf, "%d|", 42), 0);
		assert_int_equal(tow_buf_printf(&buf, "%*d", width, 7), 0);
		assert_int_equal(tow_buf_printf(&buf, "|%s", "end"), 0);
		struct tow_slice s = tow_buf_peek(&buf);
		assert_int_equal(s.len, 3 + width + 4);
		assert_memory_equal(s.base, "42|", 3);
		assert_memory_equal(s.base + 3 + width - 1, "7|end", 5);
		tow_buf_deinit(&buf);
	}
}

static void slices_compare_by_content(void **state)
{
	(void)state;
	assert_true(tow_slice_equal(tow_slice_of("abc"), tow_slice_make("abcd", 3)));
	assert_false(tow_slice_equal(tow_slice_of("abc"), tow_slice_of("abcd")));
	assert_false(tow_slice_equal(tow_slice_of("abc"), tow_slice_of("abd")));
	assert_true(tow_slice_equal(tow_slice_make(NULL, 0), tow_slice_of("")));
}

static void a_reader_that_failed_stays_failed(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 2, 0xaa, 0xbb, 0xcc };
	struct tow_reader r = tow_reader_of(tow_slice_make(bytes, sizeof bytes)), sub;

	(void)state;
	assert_int_equal(tow_read_u8(&r), 1);
	assert_int_equal(tow_read_u16(&r), 0x0203);
	assert_int_equal(tow_read_u24(&r), 0x040506);
	assert_int_equal(tow_read_u32(&r), 0x0708090a);
	sub = tow_read_vector(&r, 1);
	assert_int_equal(tow_read_u16(&sub), 0xaabb);
	assert_true(tow_reader_done(&sub));
	assert_int_equal(tow_read_u8(&sub), 0);
	assert_true(tow_reader_failed(&sub));
	assert_false(tow_reader_failed(&r));
	assert_int_equal(tow_read_u16(&r), 0);
	assert_true(tow_reader_failed(&r));
	assert_int_equal(tow_read_u8(&r), 0); /* though one byte is left */
	assert_false(tow_reader_done(&r));
	sub = tow_read_sub(&r, 0);
	assert_true(tow_reader_failed(&sub));
}

static void a_writer_stops_at_its_end(void **state)
{
	uint8_t out[9];
	struct tow_writer w = tow_writer_of(out, sizeof out);

	(void)state;
	tow_write_u8(&w, 1);
	tow_write_u16(&w, 0x0203);
	tow_write_u32(&w, 0x04050607);
	tow_write_bytes(&w, NULL, 0);
	assert_false(tow_writer_failed(&w));
	tow_write_u64(&w, 1);
	assert_true(tow_writer_failed(&w));
	tow_write_u8(&w, 8);
	assert_int_equal(w.len, 7);
	assert_memory_equal(out, "\1\2\3\4\5\6\7", 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_all_zero_buffer_is_empty),
		cmocka_unit_test(what_goes_in_comes_out_in_order),
		cmocka_unit_test(consuming_everything_rewinds),
		cmocka_unit_test(a_queue_does_not_grow_without_need),
		cmocka_unit_test(too_much_is_out_of_memory),
		cmocka_unit_test(printf_fits_at_every_length),
		cmocka_unit_test(slices_compare_by_content),
		cmocka_unit_test(a_reader_that_failed_stays_failed),
		cmocka_unit_test(a_writer_stops_at_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
