/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_CERT_FILES_H
#define TOW_EDGE_TLS_CERT_FILES_H

/* The files of a directory of certificates, by name. */

#include <stdint.h>
#include <towonel/wire/buf.h>
#include <towonel/wire/error.h>

/* A pair of files as it was when it was looked at; all zero unless both are there. */
struct cert_stamp {
	uint64_t chain[3], key[3]; /* time of change, inode, size */
};

/* Calls visit for each name that has a file of a kind that the store keeps, perhaps more than once.
 * Returns 0; TOW_ENOTFOUND, TOW_EDENIED, TOW_EIO for the directory. */
int tow__cert_files_each(const char *directory, void (*visit)(void *user, const char *name),
                         void *user, struct tow_error *err);

void tow__cert_files_stamp(const char *directory, const char *name, struct cert_stamp *out);

/* Appends to both; wipe key. *open_to_others: the key can be read by others. */
int tow__cert_files_read(const char *directory, const char *name, struct tow_buf *chain,
                         struct tow_buf *key, int *open_to_others, struct tow_error *err);
int tow__cert_files_read_chain(const char *directory, const char *name, struct tow_buf *out);
int tow__cert_files_read_record(const char *directory, const char *name, struct tow_buf *out);

/* Removes the pair and the record, the chain first. Returns 0, TOW_EIO. */
int tow__cert_files_remove(const char *directory, const char *name, struct tow_error *err);

/* Writes what is not empty: record, key, chain, in that order, so that a chain never stands beside
 * nothing. Makes the directory. */
int tow__cert_files_write(const char *directory, const char *name, struct tow_slice chain,
                          struct tow_slice key, struct tow_slice record, struct tow_error *err);

#endif
