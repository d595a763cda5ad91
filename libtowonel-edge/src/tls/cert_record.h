/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_CERT_RECORD_H
#define TOW_EDGE_TLS_CERT_RECORD_H

/*
 * What is remembered about a name beside its certificate, in NAME.json:
 *
 *   {"issued_sha256":"<64 hex>", "replaced_sha256":"<64 hex>", "renew_at_ms":0, "failures":0,
 *    "retry_at_ms":0, "last_error":""}
 *
 * The fingerprints tell a certificate that the issuer has brought from one that somebody has put in
 * its place since. The one that was replaced may still be there, since it is after the record that
 * the pair is written.
 */

#include <towonel/wire/buf.h>
#include <towonel/wire/error.h>
#include <towonel/wire/identity.h>

struct cert_record {
	uint8_t issued[TOW_HASH_SIZE];   /* all zero: none */
	uint8_t replaced[TOW_HASH_SIZE]; /* the issuer's one before it; likewise */
	uint64_t renew_at_ms;
	unsigned failures; /* in a row */
	uint64_t retry_at_ms;
	char last_error[TOW_ERROR_TEXT_SIZE];
};

/* Appends JSON. Returns 0, TOW_ENOMEM. */
int tow__cert_record_write(const struct cert_record *record, struct tow_buf *out);
/* Unknown members are ignored. Returns 0; TOW_EPARSE, TOW_ETOOBIG. */
int tow__cert_record_read(struct tow_slice json, struct cert_record *out);

#endif
