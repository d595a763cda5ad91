/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

/*
 * A few buffers that were used lately, so that bytes which wait for the end of a turn only cost no
 * malloc, and what has nothing waiting holds no memory.
 */

#define SPARE_CAP_MAX 131072

void tow__loop_take_buf(struct tow_loop *loop, struct tow_buf *buf)
{
	if (loop->spare_count)
		*buf = loop->spare[--loop->spare_count];
}

void tow__loop_give_buf(struct tow_loop *loop, struct tow_buf *buf)
{
	if (!buf->base)
		return;
	if (loop->spare_count == TOW__SPARE_MAX || buf->cap > SPARE_CAP_MAX) {
		tow_buf_deinit(buf);
		return;
	}
	tow_buf_clear(buf);
	loop->spare[loop->spare_count++] = *buf;
	*buf = (struct tow_buf){ 0 };
}

void tow__spare_deinit(struct tow_loop *loop)
{
	while (loop->spare_count)
		tow_buf_deinit(&loop->spare[--loop->spare_count]);
}
