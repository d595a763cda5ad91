/* SPDX-License-Identifier: MIT */
#ifndef TOW_WIRE_UTF8_H
#define TOW_WIRE_UTF8_H

#include <towonel/wire/buf.h>

/* The length, 1 to 4, of the well-formed UTF-8 sequence (RFC 3629) at the start of bytes; its code
 * point goes to *c. 0 when there is none. */
size_t tow__utf8_read(struct tow_slice bytes, uint32_t *c);

/* C0, DEL and C1: what a terminal obeys. */
int tow__utf8_is_control(uint32_t c);

#endif
