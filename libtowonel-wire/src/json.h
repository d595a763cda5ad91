/* SPDX-License-Identifier: MIT */
#ifndef TOW_WIRE_JSON_H
#define TOW_WIRE_JSON_H

/*
 * JSON from outside, read strictly: no duplicate keys, no unknown ones, whole numbers only, bounded
 * in size and depth. Messages name the key.
 */

#include <jansson.h>
#include <towonel/wire/buf.h>
#include <towonel/wire/error.h>

/* Reads an object or an array. Returns 0, TOW_EPARSE, TOW_ETOOBIG (more than max bytes),
 * TOW_ENOMEM. */
int tow__json_load(struct tow_slice text, size_t max, json_t **out, struct tow_error *err);

/* Is value an object, with no other keys than these? Returns 0, TOW_EPARSE. */
int tow__json_check_keys(const json_t *value, const char *const *keys, size_t count,
                         struct tow_error *err);

/* A string; borrowed from object, NUL-terminated, and without a NUL inside.
 * Returns 0, TOW_EPARSE. */
int tow__json_text(const json_t *object, const char *key, struct tow_slice *out,
                   struct tow_error *err);

/* The index of a string in a list of choices. Returns 0, TOW_EPARSE. */
int tow__json_choice(const json_t *object, const char *key, const char *const *choices,
                     size_t count, size_t *out, struct tow_error *err);

/* A whole number from min to max. Returns 0, TOW_EPARSE. */
int tow__json_uint(const json_t *object, const char *key, uint64_t min, uint64_t max, uint64_t *out,
                   struct tow_error *err);
/* The same; fallback when it is absent. */
int tow__json_uint_or(const json_t *object, const char *key, uint64_t min, uint64_t max,
                      uint64_t fallback, uint64_t *out, struct tow_error *err);

#endif
