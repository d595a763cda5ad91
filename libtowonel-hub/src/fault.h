/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_FAULT_H
#define TOWONEL_HUB_FAULT_H

/*
 * Why a request is refused: the API's code with its HTTP status, and a line for the person who
 * asked. The store decides most of them (it knows whose a name is), so it speaks in these too.
 */

#include <towonel/wire/error.h>

#define TOW__FAULT_TABLE(X)                                                                        \
	X(TOW__INVALID_REQUEST, 400, "invalid_request")                                            \
	X(TOW__INVALID_SIGNATURE, 400, "invalid_signature")                                        \
	X(TOW__UNSUPPORTED_OP, 400, "unsupported_op")                                              \
	X(TOW__UNAUTHORIZED, 401, "unauthorized")                                                  \
	X(TOW__EDGE_REFUSED, 401, "unauthorized")                                                  \
	X(TOW__TENANT_NOT_ALLOWED, 403, "tenant_not_allowed")                                      \
	X(TOW__AGENT_REVOKED, 403, "tenant_not_allowed")                                           \
	X(TOW__HOSTNAME_NOT_OWNED, 403, "hostname_not_owned")                                      \
	X(TOW__NOT_FOUND, 404, "not_found")                                                        \
	X(TOW__SEQUENCE_CONFLICT, 409, "sequence_conflict")                                        \
	X(TOW__HOSTNAME_CONFLICT, 409, "hostname_conflict")                                        \
	X(TOW__PORT_IN_USE, 409, "port_in_use")                                                    \
	X(TOW__INVITE_EXPIRED, 410, "invite_expired")                                              \
	X(TOW__UNSUPPORTED_VERSION, 422, "unsupported_version")                                    \
	X(TOW__RATE_LIMITED, 429, "rate_limited")                                                  \
	X(TOW__INTERNAL, 500, "internal")                                                          \
	X(TOW__UNAVAILABLE, 503, "unavailable")

enum tow__fault_kind {
	TOW__NO_FAULT,
#define TOW__FAULT_ENUM(name, status, code) name,
	TOW__FAULT_TABLE(TOW__FAULT_ENUM)
#undef TOW__FAULT_ENUM
};

/* All-zero: no fault. */
struct tow__fault {
	enum tow__fault_kind kind;
	char text[TOW_ERROR_TEXT_SIZE];
};

/* Returns kind, so that a caller can `return tow__fault_set(fault, TOW__NOT_FOUND, ...)`. */
enum tow__fault_kind tow__fault_set(struct tow__fault *fault, enum tow__fault_kind kind,
                                    const char *format, ...) __attribute__((format(printf, 3, 4)));
int tow__fault_status(enum tow__fault_kind kind);
const char *tow__fault_code(enum tow__fault_kind kind);

#endif
