/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_STORE_LIBPQ_H
#define TOWONEL_HUB_STORE_LIBPQ_H

/*
 * libpq, loaded when the first database of its kind is opened: it brings some twenty libraries with
 * it (TLS, Kerberos, LDAP), which would be 5 MB of memory to a hub that keeps to SQLite.
 */

#include <libpq-fe.h>
#include <towonel/wire/error.h>

/* What we call. */
#define TOW__PQ_FUNCTIONS(X)                                                                       \
	X(PQclear)                                                                                 \
	X(PQcmdStatus)                                                                             \
	X(PQcmdTuples)                                                                             \
	X(PQconnectdbParams)                                                                       \
	X(PQconninfoFree)                                                                          \
	X(PQconninfoParse)                                                                         \
	X(PQconsumeInput)                                                                          \
	X(PQerrorMessage)                                                                          \
	X(PQfinish)                                                                                \
	X(PQfreemem)                                                                               \
	X(PQgetResult)                                                                             \
	X(PQgetisnull)                                                                             \
	X(PQgetlength)                                                                             \
	X(PQgetvalue)                                                                              \
	X(PQisBusy)                                                                                \
	X(PQnotifies)                                                                              \
	X(PQntuples)                                                                               \
	X(PQpingParams)                                                                            \
	X(PQresultErrorField)                                                                      \
	X(PQresultStatus)                                                                          \
	X(PQsendPrepare)                                                                           \
	X(PQsendQuery)                                                                             \
	X(PQsendQueryPrepared)                                                                     \
	X(PQsetNoticeReceiver)                                                                     \
	X(PQsocket)                                                                                \
	X(PQstatus)                                                                                \
	X(PQtransactionStatus)

struct tow__pq {
#define TOW__PQ_MEMBER(name) __typeof__(name) *name;
	TOW__PQ_FUNCTIONS(TOW__PQ_MEMBER)
#undef TOW__PQ_MEMBER
};

/* From any thread. NULL: it is not there, err (TOW_ECONFIG) says so. */
const struct tow__pq *tow__pq_load(struct tow_error *err);

#endif
