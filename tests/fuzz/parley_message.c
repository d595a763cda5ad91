/* SPDX-License-Identifier: MIT */
/* What a process that takes over says, and what it is told. */
#include <assert.h>
#include <string.h>

#include <towonel/wire/error.h>
#include <towonel/wire/limits.h>

#include "node/parley_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parley_message message;
	int rc;

	if (size > TOW_HANDOVER_MESSAGE_MAX)
		return 0;
	rc = parley_message_read(tow_slice_make(data, size), &message);
	if (rc != 0) {
		assert(rc == TOW_EPARSE || rc == TOW_ENOMEM);
		assert(tow_buf_len(&message.early) == 0);
		return 0;
	}
	assert(message.word <= PARLEY_DONE);
	assert(strlen(message.notify_socket) < sizeof(message.notify_socket));
	assert(strlen(message.watchdog_usec) < sizeof(message.watchdog_usec));
	if (message.word == PARLEY_VISITOR)
		assert(message.visitor.family == 4 || message.visitor.family == 6);
	else
		assert(tow_buf_len(&message.early) == 0);
	parley_message_deinit(&message);
	return 0;
}
