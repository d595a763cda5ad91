/* SPDX-License-Identifier: MIT */
/* The same bytes in one piece and one by one: either way the same answer, and no more than was sent. */
#include <assert.h>
#include <string.h>

#include <towonel/wire/error.h>

#include "http/short_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct short_answer whole, pieces;
	int rc = TOW_MORE, again;

	tow__short_answer_init(&whole);
	tow__short_answer_init(&pieces);
	again = tow__short_answer_feed(&whole, tow_slice_make(data, size), 1);
	for (size_t i = 0; i < size && rc == TOW_MORE; i++)
		rc = tow__short_answer_feed(&pieces, tow_slice_make(data + i, 1), 0);
	if (rc == TOW_MORE)
		rc = tow__short_answer_feed(&pieces, tow_slice_make(data, 0), 1);
	assert(size > TOW_SHORT_ANSWER_MAX || rc == again);
	if (again == 0) {
		assert(whole.status >= 200 && whole.status == pieces.status);
		assert(tow_slice_equal(tow_buf_peek(&whole.body), tow_buf_peek(&pieces.body)));
		assert(tow_buf_len(&whole.body) <= size);
		assert(strcmp(whole.location, pieces.location) == 0 &&
		       !strpbrk(whole.location, "\r\n"));
		assert(strcmp(whole.content_type, pieces.content_type) == 0 &&
		       !strpbrk(whole.content_type, "\r\n"));
	}
	tow__short_answer_deinit(&whole);
	tow__short_answer_deinit(&pieces);
	return 0;
}
