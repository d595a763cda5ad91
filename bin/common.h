/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_COMMON_H
#define TOWONEL_BIN_COMMON_H

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

/* "NAME: text" on stderr, one line. */
void complain(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
