/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_HOSTNAME_H
#define TOWONEL_WIRE_HOSTNAME_H

/*
 * DNS names as services use them: lower case, no trailing dot, letters, digits, hyphen and
 * underscore, at least two labels, not an IP address. A pattern is a name or "*." and a name;
 * the wildcard stands for exactly one label.
 */

#include "buf.h"
#include "error.h"
#include "limits.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TOW_HOSTNAME_SIZE (TOW_HOSTNAME_MAX + 1)

enum tow_hostname_form {
	TOW_HOSTNAME_EXACT,   /* wildcards refused */
	TOW_HOSTNAME_PATTERN, /* wildcards allowed */
};

/* Checks and lower-cases; one trailing dot is dropped. Returns 0, TOW_EPARSE (err
 * names the fault). */
int tow_hostname_parse(struct tow_slice text, enum tow_hostname_form form,
                       char out[TOW_HOSTNAME_SIZE], struct tow_error *err);

/* All of these take normalised names. */
int tow_hostname_is_wildcard(const char *pattern);
/* Does the pattern match the exact name? */
int tow_hostname_matches(const char *pattern, const char *name);
/* Is every name that `inner` matches also matched by `outer`? Both may be wildcards. */
int tow_hostname_covers(const char *outer, const char *inner);
/* Is there a name that both match? */
int tow_hostname_overlaps(const char *a, const char *b);
/* The wildcard that would match an exact name: "a.b.c" -> "*.b.c". Returns 0, TOW_ENOTFOUND. */
int tow_hostname_wildcard_of(const char *name, char out[TOW_HOSTNAME_SIZE]);

#ifdef __cplusplus
}
#endif
#endif
