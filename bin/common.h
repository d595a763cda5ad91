/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_COMMON_H
#define TOWONEL_BIN_COMMON_H

#include <stddef.h>

/* What the three programs share: exit codes, the two flags that all of them have, and the
 * descriptor limit. */

#define EXIT_OK     0
#define EXIT_FAILED 1
#define EXIT_USAGE  2

#define DATA_DIR_SYSTEM "/var/lib/towonel"

/* Handles --help and --version of a program that takes no other arguments: prints and exits, or
 * complains and exits with EXIT_USAGE. help is printed as it is. */
void program_flags(int argc, char **argv, const char *name, void (*help)(void));

/* Raises the soft limit of descriptors to the hard one: each visitor takes one or two. */
void raise_descriptor_limit(void);

/* The member of a library's config that a setting fills. */
struct member {
	const char *member, *variable;
};
/* A library blames a member of its config, "MEMBER: text"; people know it by the name of the
 * variable, which takes its place. */
void name_variable(char *text, size_t cap, const struct member *members, size_t count);

/* "NAME: text" on stderr, one line. */
void complain(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
