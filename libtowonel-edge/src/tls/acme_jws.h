/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_ACME_JWS_H
#define TOW_EDGE_TLS_ACME_JWS_H

/*
 * Requests as ACME wants them signed: flattened JWS (RFC 7515 section 7.2.2) with ES256, and the
 * binding of an account to one that the authority already knows (RFC 8555 section 7.3.4).
 */

#include <towonel/tunnel/ec_key.h>
#include <towonel/wire/buf.h>
#include <towonel/wire/identity.h>

#define ACME_THUMBPRINT_SIZE TOW_BASE64URL_SIZE(32)

struct acme_jws {
	struct tow_ec_key *key;
	const char *kid; /* the account's URL; NULL: the key itself goes along */
	const char *nonce, *url;
	struct tow_slice payload; /* empty: POST-as-GET */
};

/* Appends the JWS. Returns 0; TOW_ECRYPTO, TOW_ENOMEM. */
int tow__acme_jws_write(const struct acme_jws *jws, struct tow_buf *out);
/* Appends the binding of key's account: HS256 over its public key. Returns 0, TOW_ENOMEM. */
int tow__acme_binding_write(struct tow_ec_key *key, const char *kid, struct tow_slice mac_key,
                            const char *url, struct tow_buf *out);
/* Of the public key (RFC 7638). Returns out. */
char *tow__acme_thumbprint(struct tow_ec_key *key, char out[ACME_THUMBPRINT_SIZE]);

#endif
