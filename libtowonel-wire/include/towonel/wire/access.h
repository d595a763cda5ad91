/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_ACCESS_H
#define TOWONEL_WIRE_ACCESS_H

/*
 * Who may come to a service: lists of IP prefixes that are allowed and denied. What is denied
 * stays out, whatever is allowed; without a list of what is allowed everybody else may come. An
 * IPv4-mapped IPv6 prefix is the IPv4 prefix, as an address is. A list is a set: in which order it
 * was written, and how often it names a prefix, makes no difference.
 */

#include "addr.h"
#include "limits.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TOW_PREFIX_TEXT_SIZE 56 /* the longest address, "/128" and the NUL */

struct tow_prefix {
	uint8_t family; /* 4, 6 */
	uint8_t bytes[16];
	uint8_t bits; /* the bytes beyond are 0 */
};

/* "192.0.2.0/24", "2001:db8::/32", or an address for it alone. An address that has bits beyond the
 * prefix is refused: one of the two is a mistake. Returns 0; TOW_EPARSE. */
int tow_prefix_parse(struct tow_slice text, struct tow_prefix *out, struct tow_error *err);
/* An address alone is written without "/32" or "/128". Returns out. */
char *tow_prefix_format(const struct tow_prefix *prefix, char out[TOW_PREFIX_TEXT_SIZE]);
int tow_prefix_contains(const struct tow_prefix *prefix, const struct tow_addr *addr);

enum tow_access_list {
	TOW_ACCESS_ALLOW,
	TOW_ACCESS_DENY,
};

/* All-zero is valid: everybody may come. */
struct tow_access {
	uint8_t counts[2];                                   /* by list */
	struct tow_prefix prefixes[TOW_ACCESS_PREFIXES_MAX]; /* those allowed, then those denied,
	                                                         each in order; the rest is 0 */
};

/* Returns 0; TOW_ELIMIT for more than TOW_ACCESS_PREFIXES_MAX in both lists. */
int tow_access_add(struct tow_access *access, enum tow_access_list list,
                   const struct tow_prefix *prefix);
/* Adds those of a text with commas between them, which may be empty. On failure some may have been
 * added. Returns 0; TOW_EPARSE, TOW_ELIMIT. */
int tow_access_parse(struct tow_access *access, enum tow_access_list list, struct tow_slice text,
                     struct tow_error *err);
/* Appends a list as such a text. Returns 0, TOW_ENOMEM. */
int tow_access_format(const struct tow_access *access, enum tow_access_list list,
                      struct tow_buf *out);
/* The prefixes of a list, borrowed; *count of them. */
const struct tow_prefix *tow_access_prefixes(const struct tow_access *access,
                                             enum tow_access_list list, size_t *count);

/* NULL is everybody in all of these. */
int tow_access_permits(const struct tow_access *access, const struct tow_addr *addr);
int tow_access_is_open(const struct tow_access *access); /* for everybody */
/* The order of sets: negative, 0 or positive. */
int tow_access_compare(const struct tow_access *a, const struct tow_access *b);
/* A copy with room for what it has and nothing more: not to be assigned from or added to. Free it
 * with free. NULL: out of memory. */
struct tow_access *tow_access_copy(const struct tow_access *access);

#ifdef __cplusplus
}
#endif
#endif
