/* SPDX-License-Identifier: MIT */
/*
 * Reads a message; what was understood, written again, must read the same. The prefix is put before
 * the input, so that the fuzzer works on the JSON; and it is read as it is.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/control_message.h>
#include <towonel/wire/cursor.h>

static void read_again(const struct tow_control_message *first)
{
	struct tow_buf buf = { .base = NULL };
	struct tow_control_message second;
	size_t len;

	if (tow_control_write(first, &buf) != 0)
		return;
	assert(tow_control_read(tow_buf_peek(&buf), &second, &len) == 0);
	assert(len == tow_buf_len(&buf));
	assert(first->type == second.type && first->version == second.version);
	assert(first->service_count == second.service_count);
	for (size_t i = 0; i < first->service_count; i++)
		assert(strcmp(first->services[i], second.services[i]) == 0);
	assert(strcmp(first->text, second.text) == 0 && strcmp(first->software, second.software) == 0);
	assert(first->code == second.code && first->generation == second.generation);
	assert(first->ping_id == second.ping_id && first->sent_ms == second.sent_ms);
	tow_control_message_deinit(&second);
	tow_buf_deinit(&buf);
}

static void run(struct tow_slice bytes)
{
	struct tow_control_message message;
	size_t len;

	if (tow_control_read(bytes, &message, &len) != 0)
		return;
	assert(len <= bytes.len);
	if (message.type != TOW_CONTROL_UNKNOWN && (message.type != TOW_CONTROL_HELLO || message.entry))
		read_again(&message);
	tow_control_message_deinit(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *framed = malloc(4 + size);
	struct tow_writer w = tow_writer_of(framed, 4 + size);

	assert(framed != NULL);
	run(tow_slice_make(data, size));
	tow_write_u32(&w, (uint32_t)size);
	tow_write_bytes(&w, data, size);
	run(tow_slice_make(framed, w.len));
	free(framed);
	return 0;
}
