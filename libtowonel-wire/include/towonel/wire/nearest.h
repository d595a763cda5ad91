/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_NEAREST_H
#define TOWONEL_WIRE_NEAREST_H

/* What was probably meant: for "did you mean ...?" after an unknown key or variable. */

#include "buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The one of count names with the fewest edits (a character more, less or other, two neighbours
 * swapped) to word, if those are at most a third of its characters. NULL when there is none. Texts
 * over 64 bytes are not compared. */
const char *tow_nearest(struct tow_slice word, const char *const *names, size_t count);

#ifdef __cplusplus
}
#endif
#endif
