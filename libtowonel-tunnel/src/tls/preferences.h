/* SPDX-License-Identifier: MIT */
#ifndef TOW__TLS_PREFERENCES_H
#define TOW__TLS_PREFERENCES_H

/*
 * What TLS is spoken over TCP, said in one place: TLS 1.3, and 1.2 with ephemeral keys and AEAD
 * only. wolfSSL's defaults differ from version to version.
 */

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

enum tow__tls_role {
	TOW__TLS_SERVER,        /* whose key is pinned: resumption would skip that check */
	TOW__TLS_PUBLIC_SERVER, /* with a certificate; resumes sessions */
	TOW__TLS_CLIENT,        /* of a peer that is ours, or as new: post-quantum first */
	TOW__TLS_ORIGIN_CLIENT, /* of anything that somebody runs at home: what needs
	                         * no second try */
};

/* Versions, ciphers, groups; no session cache; tickets for TOW__TLS_PUBLIC_SERVER only. Returns 0,
 * TOW_ECRYPTO. */
int tow__tls_prefer(WOLFSSL_CTX *ctx, enum tow__tls_role role);

/* Sentences for what goes wrong with a peer's certificate; NULL for another kind of failure. */
const char *tow__tls_certificate_reason(int wolfssl_error);

#endif
