/* SPDX-License-Identifier: MIT */
#ifndef TOW_TLS_IDENTITY_CERT_H
#define TOW_TLS_IDENTITY_CERT_H

/*
 * The certificate that shows a node's key: self-signed with the Ed25519 key itself, nothing in it
 * to be believed but that key. Whoever pins a peer compares the key and ignores names and dates
 * (the TLS handshake proves that the peer has the private half), so that a clock that is wrong by
 * years does no harm.
 *
 * Include this before any header of wolfSSL, or after <wolfssl/options.h>.
 */

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <towonel/wire/error.h>
#include <towonel/wire/identity.h>

/* Makes a certificate for the key and installs both in ctx. Returns 0; TOW_ECRYPTO, TOW_ENOMEM. */
int tow__identity_cert_install(WOLFSSL_CTX *ctx, const struct tow_node_key *key,
                               struct tow_error *err);

/* Writes a DER certificate of at most cap bytes. Returns its length; TOW_ECRYPTO, TOW_ENOMEM,
 * TOW_ETOOBIG. */
#define TOW__IDENTITY_CERT_MAX 1024
int tow__identity_cert_make(const struct tow_node_key *key, uint8_t *der, size_t cap);

/* The Ed25519 key in a peer's DER certificate. Returns 0; TOW_EPARSE when it is no certificate or
 * holds another kind of key. */
int tow__identity_cert_parse(struct tow_slice der, struct tow_id *out);

/* For a verify callback: the key of the peer's own certificate. A peer has one certificate, and no
 * chain above it: anything else is refused, so that no certificate but the one that signs the
 * handshake is ever looked at. Returns 0, TOW_EAUTH. */
int tow__identity_cert_of_peer(const WOLFSSL_X509_STORE_CTX *store, struct tow_id *out);

#endif
