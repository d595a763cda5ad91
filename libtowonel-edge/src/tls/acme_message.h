/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_ACME_MESSAGE_H
#define TOW_EDGE_TLS_ACME_MESSAGE_H

/*
 * What an ACME server says (RFC 8555 section 7.1, RFC 9773 section 4.2, problems of RFC 7807), read
 * into plain structures. Unknown members are ignored; URLs are https, tokens base64url, and texts
 * are cut to fit and without control characters.
 */

#include <towonel/wire/buf.h>
#include <towonel/wire/error.h>
#include <towonel/wire/limits.h>

#define ACME_TOKEN_MAX 128

struct acme_directory {
	char new_nonce[TOW_URL_MAX], new_account[TOW_URL_MAX], new_order[TOW_URL_MAX];
	char revoke_cert[TOW_URL_MAX];
	char renewal_info[TOW_URL_MAX]; /* "" when not offered */
	int external_account_required;
};

/* The part of the type's URN after "urn:ietf:params:acme:error:". */
struct acme_problem {
	char type[48]; /* "" when there was no problem */
	char detail[240];
};

enum acme_status {
	ACME_PENDING,
	ACME_READY,
	ACME_PROCESSING,
	ACME_VALID,
	ACME_INVALID, /* or deactivated, expired, revoked: no way on */
};

struct acme_order_object {
	enum acme_status status;
	char authorization[TOW_URL_MAX]; /* of its one name */
	char finalize[TOW_URL_MAX];
	char certificate[TOW_URL_MAX]; /* "" unless valid */
	struct acme_problem problem;
};

enum acme_challenge_type {
	ACME_HTTP_01,
	ACME_TLS_ALPN_01,
	ACME_CHALLENGE_TYPES,
};

struct acme_challenge {
	char url[TOW_URL_MAX]; /* "" when not offered */
	char token[ACME_TOKEN_MAX + 1];
};

struct acme_authorization {
	enum acme_status status;
	struct acme_challenge challenges[ACME_CHALLENGE_TYPES];
	struct acme_problem problem; /* why a challenge failed */
};

struct acme_window {
	uint64_t start_ms, end_ms; /* Unix time, start <= end */
};

/* These return 0; TOW_EPARSE, TOW_ETOOBIG (TOW_ACME_ANSWER_MAX), TOW_ENOMEM. */
int tow__acme_read_directory(struct tow_slice json, struct acme_directory *out,
                             struct tow_error *err);
int tow__acme_read_order(struct tow_slice json, struct acme_order_object *out,
                         struct tow_error *err);
int tow__acme_read_authorization(struct tow_slice json, struct acme_authorization *out,
                                 struct tow_error *err);
int tow__acme_read_window(struct tow_slice json, struct acme_window *out, struct tow_error *err);
/* Does an account name just this one contact, "mailto:..."? */
int tow__acme_has_contact(struct tow_slice json, const char *contact);
/* Whatever a failed request was answered with; type "" when it was no problem document. */
void tow__acme_read_problem(struct tow_slice json, struct acme_problem *out);

/* A Retry-After field (seconds or a date) as milliseconds from now_ms (Unix time), at most
 * TOW_ACME_RETRY_AFTER_MAX_MS; 0 when absent (NULL), malformed or past. */
uint64_t tow__acme_retry_after(const char *field, uint64_t now_ms);

#endif
