/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_EC_KEY_H
#define TOWONEL_TUNNEL_EC_KEY_H

/*
 * ECDSA keys on P-256, for what public certificate authorities understand: the key of an ACME
 * account, the keys of certificates, and what is signed with them; and for browsers, which know no
 * Ed25519.
 */

#include <towonel/wire/buf.h>
#include <towonel/wire/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TOW_EC_POINT_SIZE     64 /* x and y, big-endian */
#define TOW_EC_SIGNATURE_SIZE 64 /* r and s, big-endian: ES256 (RFC 7518 section 3.4) */

struct tow_ec_key;

/* A new key. Returns 0; TOW_ECRYPTO, TOW_ENOMEM. */
int tow_ec_key_generate(struct tow_ec_key **out);
/* The first private key in a PEM text. Returns 0; TOW_EPARSE, TOW_ENOMEM. */
int tow_ec_key_parse(struct tow_slice pem, struct tow_ec_key **out);
void tow_ec_key_free(struct tow_ec_key *key); /* wipes; takes NULL */

/* Appends the key as PEM (SEC 1); wipe out afterwards. Returns 0; TOW_ECRYPTO, TOW_ENOMEM. */
int tow_ec_key_write(struct tow_ec_key *key, struct tow_buf *out);
void tow_ec_key_public(struct tow_ec_key *key, uint8_t point[TOW_EC_POINT_SIZE]);
/* Signs the message's SHA-256. Returns 0, TOW_ECRYPTO. */
int tow_ec_key_sign(struct tow_ec_key *key, struct tow_slice message,
                    uint8_t signature[TOW_EC_SIGNATURE_SIZE]);

/* Appends a certificate request for one host name (PKCS #10, RFC 2986), as DER. Returns 0;
 * TOW_EINVAL (name), TOW_ECRYPTO, TOW_ENOMEM. */
int tow_ec_key_request(struct tow_ec_key *key, const char *hostname, struct tow_buf *out);
/* Appends the self-signed certificate that answers a TLS-ALPN-01 challenge (RFC 8737 section 3),
 * as PEM. digest: SHA-256 of the key authorization. Returns as tow_ec_key_request. */
int tow_ec_key_challenge_certificate(struct tow_ec_key *key, const char *hostname,
                                     const uint8_t digest[32], struct tow_buf *out);

/* Appends a self-signed certificate for a host name or an address, good for so many days, as PEM.
 * Returns as tow_ec_key_request. */
int tow_ec_key_own_certificate(struct tow_ec_key *key, const char *host, unsigned days,
                               struct tow_buf *out);

#ifdef __cplusplus
}
#endif
#endif
