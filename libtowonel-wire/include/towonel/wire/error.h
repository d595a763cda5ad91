/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_ERROR_H
#define TOWONEL_WIRE_ERROR_H

/*
 * Results. A function that can fail returns int: 0 is success, a negative TOW_E* is a
 * failure that callers pass up unchanged, a positive TOW_* is an outcome that the caller
 * handles (more bytes needed, end of input). Codes of other libraries are translated on
 * the line that calls them.
 *
 * Where a person will read the reason, the last parameter is a struct tow_error *, which
 * may be NULL. It is written on failure only, and never holds a secret.
 */

#ifdef __cplusplus
extern "C" {
#endif

#define TOW_ERROR_TABLE(X)                                                                     \
	X(TOW_OK, 0, "success")                                                                \
	/* outcomes */                                                                         \
	X(TOW_MORE, 1, "more input is needed")                                                 \
	X(TOW_EOF, 2, "end of input")                                                          \
	X(TOW_BLOCKED, 3, "would block")                                                       \
	/* failures */                                                                         \
	X(TOW_EINVAL, -1, "invalid argument")                                                  \
	X(TOW_ENOMEM, -2, "out of memory")                                                     \
	X(TOW_EPARSE, -3, "malformed input")                                                   \
	X(TOW_ETOOBIG, -4, "over the limit")                                                   \
	X(TOW_EVERSION, -5, "unsupported version")                                             \
	X(TOW_ESIGNATURE, -6, "signature does not verify")                                     \
	X(TOW_ENOTFOUND, -7, "not found")                                                      \
	X(TOW_ECONFLICT, -8, "conflicts with what is there")                                   \
	X(TOW_EDENIED, -9, "not allowed")                                                      \
	X(TOW_EAUTH, -10, "not authenticated")                                                 \
	X(TOW_EEXPIRED, -11, "expired")                                                        \
	X(TOW_EIO, -12, "input/output error")                                                  \
	X(TOW_EADDRINUSE, -13, "address in use")                                               \
	X(TOW_EREFUSED, -14, "connection refused")                                             \
	X(TOW_ERESET, -15, "connection reset")                                                 \
	X(TOW_ETIMEDOUT, -16, "timed out")                                                     \
	X(TOW_ECLOSED, -17, "closed")                                                          \
	X(TOW_ECRYPTO, -18, "cryptographic failure")                                           \
	X(TOW_ETLS, -19, "TLS failure")                                                        \
	X(TOW_EQUIC, -20, "QUIC failure")                                                      \
	X(TOW_EHTTP, -21, "HTTP failure")                                                      \
	X(TOW_EDB, -22, "database failure")                                                    \
	X(TOW_EUNAVAILABLE, -23, "unavailable")                                                \
	X(TOW_ECONFIG, -24, "bad configuration")                                               \
	X(TOW_ELIMIT, -25, "too many")

enum tow_code {
#define TOW_ERROR_ENUM(name, value, text) name = value,
	TOW_ERROR_TABLE(TOW_ERROR_ENUM)
#undef TOW_ERROR_ENUM
};

#define TOW_ERROR_TEXT_SIZE 400

/* code is 0 or one of TOW_E*; text is one line for people, NUL-terminated, cut to fit. */
struct tow_error {
	int code;
	char text[TOW_ERROR_TEXT_SIZE];
};

/* The fixed text of a code; "unknown error" for any other number. Never NULL, static. */
const char *tow_strerror(int code);

/* Writes code and the formatted text (control characters and what is no UTF-8 become
 * '?') unless err is NULL. The arguments may point into err->text.
 * Returns code, so that a caller can `return tow_error_set(err, TOW_EPARSE, ...)`. */
int tow_error_set(struct tow_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the text that err already has. Returns err's code, 0 for NULL. */
int tow_error_prefix(struct tow_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
#endif
