/* SPDX-License-Identifier: MIT */
#ifndef TOW_WIRE_ACCESS_JSON_H
#define TOW_WIRE_ACCESS_JSON_H

/*
 * Access in JSON: the members "allow_from" and "deny_from", arrays of prefixes as text, each left
 * out when it has none.
 */

#include <jansson.h>
#include <towonel/wire/access.h>

extern const char *const tow__access_keys[2]; /* by list */

/* Adds what the member of a list says, if it is there. A list of who is allowed that names nobody
 * is refused: it might be meant either way. Returns 0; TOW_EPARSE. */
int tow__access_read(const json_t *object, enum tow_access_list list, struct tow_access *out,
                     struct tow_error *err);
/* The array of a list. NULL: out of memory. */
json_t *tow__access_write(const struct tow_access *access, enum tow_access_list list);

#endif
