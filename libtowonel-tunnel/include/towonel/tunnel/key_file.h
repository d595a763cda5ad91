/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_KEY_FILE_H
#define TOWONEL_TUNNEL_KEY_FILE_H

/*
 * Files with secrets: made on first use, mode 0600, complete or not there at all (written aside,
 * synced, then linked into place, so that two processes that race end up with one key), and files
 * replaced atomically.
 */

#include <towonel/wire/buf.h>
#include <towonel/wire/error.h>
#include <towonel/wire/identity.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tow_key_format {
	TOW_KEY_RAW,       /* the 32 bytes */
	TOW_KEY_HEX,       /* 64 hex digits and a newline */
	TOW_KEY_BASE64URL, /* 43 characters and a newline */
	TOW_KEY_SEED,      /* read as raw or hex, made raw */
};

/* Reads the 32-byte key in path, or makes one of random bytes when there is no such file; *created
 * tells (may be NULL). A file that others can read is refused with the chmod to use. Returns 0;
 * TOW_EIO, TOW_EDENIED, TOW_EPARSE, TOW_EUNAVAILABLE (the disk is full): err names the path. */
int tow_key_file_open(const char *path, enum tow_key_format format, uint8_t key[TOW_SECRET_SIZE],
                      int *created, struct tow_error *err);
/* Only reads. Also TOW_ENOTFOUND. */
int tow_key_file_read(const char *path, enum tow_key_format format, uint8_t key[TOW_SECRET_SIZE],
                      struct tow_error *err);

/* Reads a whole file of at most max bytes. Returns 0; TOW_ENOTFOUND, TOW_EDENIED, TOW_ETOOBIG,
 * TOW_EIO, TOW_ENOMEM. */
int tow_file_read(const char *path, size_t max, struct tow_buf *out, struct tow_error *err);
/* Replaces a file: temporary file, fsync, rename, fsync of the directory. Returns 0; TOW_EDENIED,
 * TOW_EIO, TOW_EUNAVAILABLE. */
int tow_file_replace(const char *path, struct tow_slice bytes, unsigned mode,
                     struct tow_error *err);
/* As tow_file_replace, but never over a file that is there: TOW_ECONFLICT. */
int tow_file_create(const char *path, struct tow_slice bytes, unsigned mode, struct tow_error *err);
/* Makes a directory and its parents, mode 0700, unless it is there. Returns 0; TOW_EDENIED,
 * TOW_EIO, TOW_EUNAVAILABLE. */
int tow_directory_make(const char *path, struct tow_error *err);

#ifdef __cplusplus
}
#endif
#endif
