/* SPDX-License-Identifier: MIT */
#ifndef TOW__HTTP_ROUTER_H
#define TOW__HTTP_ROUTER_H

/*
 * From a request target to a row of the table: takes the target apart (RFC 9112 section 3.2),
 * decodes its parts (RFC 3986 section 2.1) and compares them with the rows' patterns.
 */

#include <towonel/tunnel/http_server.h>

enum {
	TOW__PATH_PARTS_MAX = 16,
	TOW__PARAMS_MAX = 6,
	TOW__QUERY_MAX = 32,
	TOW__ALLOW_SIZE = 80,
};

struct tow__param {
	struct tow_slice name; /* within the pattern or the target's text */
	const char *value;
};

struct tow__target {
	char *text; /* owned; everything below points into it */
	const char *path;
	const char *parts[TOW__PATH_PARTS_MAX];
	size_t part_count;
	struct tow__param query[TOW__QUERY_MAX];
	size_t query_count;
};

/* Decodes %XX, and '+' as a blank when plus. out has text.len + 1 bytes. Refuses broken escapes,
 * control characters and what is not UTF-8. Returns the length, TOW_EPARSE. */
int tow__percent_decode(struct tow_slice text, int plus, char *out);

/* Origin form or absolute form. Returns 0; TOW_EPARSE; TOW_ETOOBIG (parts, query); TOW_ENOMEM. */
int tow__target_parse(struct tow_slice target, struct tow__target *out);
void tow__target_deinit(struct tow__target *target); /* all-zero again */

struct tow__route_match {
	const struct tow_http_route *route;
	struct tow__param params[TOW__PARAMS_MAX]; /* values point into the target */
	size_t param_count;
	char allow[TOW__ALLOW_SIZE]; /* with TOW_EDENIED: the methods that the path has */
};

/* Returns 0; TOW_ENOTFOUND; TOW_EDENIED when the path is known and the method is not. */
int tow__route_find(const struct tow_http_route *routes, size_t count, const char *method,
                    const struct tow__target *target, struct tow__route_match *out);

#endif
