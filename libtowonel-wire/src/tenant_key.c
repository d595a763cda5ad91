/* SPDX-License-Identifier: MIT */

/*
 * ML-DSA-65 (FIPS 204), the pure variant with an empty context string, by wolfCrypt.
 *
 * A key is derived and its public half exported once; signing draws the 32 random bytes of
 * the hedged variant from libsodium, so that wolfCrypt needs no generator of its own.
 */

#include <towonel/wire/identity.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/dilithium.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

struct tow_tenant_key {
	dilithium_key *pair; /* apart, since signing takes it without const */
	struct tow_id id;
	uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE];
};

static int translate(int r)
{
	return r == MEMORY_E ? TOW_ENOMEM : TOW_ECRYPTO;
}

static int new_pair(dilithium_key **out)
{
	dilithium_key *pair = malloc(sizeof *pair);
	int r;

	if (!pair)
		return TOW_ENOMEM;
	r = wc_dilithium_init(pair);
	if (r) {
		free(pair);
		return translate(r);
	}
	r = wc_dilithium_set_level(pair, WC_ML_DSA_65);
	if (r) {
		wc_dilithium_free(pair);
		free(pair);
		return translate(r);
	}
	*out = pair;
	return 0;
}

static void free_pair(dilithium_key *pair)
{
	if (!pair)
		return;
	wc_dilithium_free(pair);
	tow_wipe(pair, sizeof *pair);
	free(pair);
}

int tow_tenant_key_new(const uint8_t seed[TOW_SEED_SIZE], struct tow_tenant_key **out)
{
	struct tow_tenant_key *key = calloc(1, sizeof *key);
	word32 len = TOW_MLDSA_PUBLIC_SIZE;
	int r;

	if (!key)
		return TOW_ENOMEM;
	r = new_pair(&key->pair);
	if (r)
		goto out;
	r = wc_dilithium_make_key_from_seed(key->pair, seed);
	if (!r)
		r = wc_dilithium_export_public(key->pair, key->public_key, &len);
	if (r || len != TOW_MLDSA_PUBLIC_SIZE) {
		r = translate(r);
		goto out;
	}
	tow_tenant_id_of(key->public_key, &key->id);
	*out = key;
	key = NULL;
out:
	tow_tenant_key_free(key);
	return r;
}

void tow_tenant_key_free(struct tow_tenant_key *key)
{
	if (!key)
		return;
	free_pair(key->pair);
	free(key);
}

const struct tow_id *tow_tenant_key_id(const struct tow_tenant_key *key)
{
	return &key->id;
}

const uint8_t *tow_tenant_key_public(const struct tow_tenant_key *key)
{
	return key->public_key;
}

int tow_tenant_key_sign(const struct tow_tenant_key *key, struct tow_slice message,
                        uint8_t signature[TOW_MLDSA_SIGNATURE_SIZE])
{
	static const uint8_t nothing[1];
	uint8_t random[TOW_SEED_SIZE];
	word32 len = TOW_MLDSA_SIGNATURE_SIZE;
	int r;

	if (message.len > UINT32_MAX)
		return TOW_ECRYPTO;
	tow_random(random, sizeof random);
	r = wc_dilithium_sign_ctx_msg_with_seed(NULL, 0, message.len ? message.base : nothing,
	                                        (word32)message.len, signature, &len, key->pair,
	                                        random);
	tow_wipe(random, sizeof random);
	if (r || len != TOW_MLDSA_SIGNATURE_SIZE)
		return translate(r);
	return 0;
}

int tow_tenant_verify(const uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE], struct tow_slice message,
                      struct tow_slice signature)
{
	static const uint8_t nothing[1];
	dilithium_key *pair;
	int r, valid = 0;

	if (signature.len != TOW_MLDSA_SIGNATURE_SIZE || message.len > UINT32_MAX)
		return TOW_ESIGNATURE;
	r = new_pair(&pair);
	if (r)
		return r == TOW_ENOMEM ? r : TOW_ESIGNATURE;
	r = wc_dilithium_import_public(public_key, TOW_MLDSA_PUBLIC_SIZE, pair);
	if (!r)
		r = wc_dilithium_verify_ctx_msg(signature.base, (word32)signature.len, NULL, 0,
		                                message.len ? message.base : nothing,
		                                (word32)message.len, &valid, pair);
	free_pair(pair);
	if (r == MEMORY_E)
		return TOW_ENOMEM;
	return !r && valid == 1 ? 0 : TOW_ESIGNATURE;
}

void tow_tenant_id_of(const uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE], struct tow_id *out)
{
	crypto_hash_sha256(out->bytes, public_key, TOW_MLDSA_PUBLIC_SIZE);
}
