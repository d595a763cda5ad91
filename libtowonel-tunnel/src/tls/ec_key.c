/* SPDX-License-Identifier: MIT */
#include "tls/ec_key.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include <towonel/wire/identity.h>

#define HALF    32
#define DER_MAX 256 /* SEC 1 with the public point is 121 bytes, PKCS #8 138 */
#define PEM_MAX 512

static struct tow_ec_key *new_key(void)
{
	struct tow_ec_key *key = calloc(1, sizeof *key);

	if (!key)
		return NULL;
	if (wc_InitRng(&key->rng) != 0) {
		free(key);
		return NULL;
	}
	if (wc_ecc_init(&key->pair) != 0) {
		wc_FreeRng(&key->rng);
		free(key);
		return NULL;
	}
	return key;
}

/* What both kinds of new keys need. */
static int finish(struct tow_ec_key *key, struct tow_ec_key **out)
{
	word32 x = HALF, y = HALF;

	if (wc_ecc_set_rng(&key->pair, &key->rng) != 0 ||
	    wc_ecc_export_public_raw(&key->pair, key->point, &x, key->point + HALF, &y) != 0 ||
	    x != HALF || y != HALF) {
		tow_ec_key_free(key);
		return TOW_ECRYPTO;
	}
	*out = key;
	return 0;
}

int tow_ec_key_generate(struct tow_ec_key **out)
{
	struct tow_ec_key *key = new_key();

	if (!key)
		return TOW_ENOMEM;
	if (wc_ecc_make_key_ex(&key->rng, HALF, &key->pair, ECC_SECP256R1) != 0) {
		tow_ec_key_free(key);
		return TOW_ECRYPTO;
	}
	return finish(key, out);
}

int tow_ec_key_parse(struct tow_slice pem, struct tow_ec_key **out)
{
	struct tow_ec_key *key;
	uint8_t der[DER_MAX];
	word32 at = 0;
	int len, rc = TOW_EPARSE;

	if (pem.len > INT_MAX)
		return TOW_EPARSE;
	len = wc_KeyPemToDer(pem.base, (int)pem.len, der, sizeof der, NULL);
	if (len <= 0)
		return TOW_EPARSE;
	key = new_key();
	if (!key) {
		rc = TOW_ENOMEM;
	} else if (wc_EccPrivateKeyDecode(der, &at, &key->pair, (word32)len) == 0 &&
	           wc_ecc_get_curve_id(key->pair.idx) == ECC_SECP256R1 &&
	           (key->pair.type != ECC_PRIVATEKEY_ONLY ||
	            wc_ecc_make_pub_ex(&key->pair, NULL, &key->rng) == 0) &&
	           wc_ecc_check_key(&key->pair) == 0) {
		rc = finish(key, out);
		key = NULL;
	}
	tow_wipe(der, sizeof der);
	tow_ec_key_free(key);
	return rc;
}

void tow_ec_key_free(struct tow_ec_key *key)
{
	if (!key)
		return;
	wc_ecc_free(&key->pair);
	wc_FreeRng(&key->rng);
	tow_wipe(key, sizeof *key);
	free(key);
}

int tow_ec_key_write(struct tow_ec_key *key, struct tow_buf *out)
{
	uint8_t der[DER_MAX], *room = tow_buf_reserve(out, PEM_MAX);
	int len, rc = TOW_ECRYPTO;

	if (!room)
		return TOW_ENOMEM;
	len = wc_EccKeyToDer(&key->pair, der, sizeof der);
	if (len > 0)
		len = wc_DerToPem(der, (word32)len, room, PEM_MAX, ECC_PRIVATEKEY_TYPE);
	if (len > 0) {
		tow_buf_commit(out, (size_t)len);
		rc = 0;
	}
	tow_wipe(der, sizeof der);
	return rc;
}

void tow_ec_key_public(struct tow_ec_key *key, uint8_t point[TOW_EC_POINT_SIZE])
{
	memcpy(point, key->point, TOW_EC_POINT_SIZE);
}

int tow__ec_key_sign_der(struct tow_ec_key *key, struct tow_slice message,
                         uint8_t signature[TOW__EC_DER_SIGNATURE_MAX])
{
	uint8_t hash[WC_SHA256_DIGEST_SIZE];
	word32 len = TOW__EC_DER_SIGNATURE_MAX;

	if (message.len > UINT_MAX || wc_Sha256Hash(message.base, (word32)message.len, hash) != 0 ||
	    wc_ecc_sign_hash(hash, sizeof hash, signature, &len, &key->rng, &key->pair) != 0)
		return TOW_ECRYPTO;
	return (int)len;
}

int tow_ec_key_sign(struct tow_ec_key *key, struct tow_slice message,
                    uint8_t signature[TOW_EC_SIGNATURE_SIZE])
{
	uint8_t der[TOW__EC_DER_SIGNATURE_MAX], r[HALF] = { 0 }, s[HALF] = { 0 };
	word32 r_len = HALF, s_len = HALF;
	int len = tow__ec_key_sign_der(key, message, der);

	if (len < 0)
		return len;
	if (wc_ecc_sig_to_rs(der, (word32)len, r, &r_len, s, &s_len) != 0 || r_len > HALF ||
	    s_len > HALF)
		return TOW_ECRYPTO;
	memset(signature, 0, TOW_EC_SIGNATURE_SIZE);
	memcpy(signature + HALF - r_len, r, r_len);
	memcpy(signature + TOW_EC_SIGNATURE_SIZE - s_len, s, s_len);
	return 0;
}
