/* SPDX-License-Identifier: MIT */
#ifndef TOW__TLS_EC_KEY_H
#define TOW__TLS_EC_KEY_H

#include <towonel/tunnel/ec_key.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/ecc.h>

struct tow_ec_key {
	ecc_key pair;
	WC_RNG rng;
	uint8_t point[TOW_EC_POINT_SIZE];
};

/* Signs the message's SHA-256, as X.509 wants it (RFC 5480: a DER sequence). Returns the
 * signature's length or TOW_ECRYPTO. */
#define TOW__EC_DER_SIGNATURE_MAX 80
int tow__ec_key_sign_der(struct tow_ec_key *key, struct tow_slice message,
                         uint8_t signature[TOW__EC_DER_SIGNATURE_MAX]);

#endif
