/* SPDX-License-Identifier: MIT */
#include <towonel/wire/identity.h>

#include <assert.h>
#include <sodium.h>
#include <string.h>

/* Before the first random byte and the first key. Cheap when done before, and thread safe; it fails
 * only where the system has no randomness to give, and then nothing may go on. */
static void start_sodium(void)
{
	int r = sodium_init();

	assert(r >= 0);
}

int tow_id_equal(const struct tow_id *a, const struct tow_id *b)
{
	return !memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

int tow_id_is_zero(const struct tow_id *id)
{
	return sodium_is_zero(id->bytes, sizeof id->bytes);
}

char *tow_id_format(const struct tow_id *id, char text[TOW_ID_TEXT_SIZE])
{
	return tow_hex_encode(id->bytes, sizeof id->bytes, text);
}

char *tow_id_key_name(const struct tow_id *id, char out[TOW_KEY_NAME_SIZE])
{
	static const char domain[] = ".towonel.invalid"; /* RFC 6761 section 6.4 */

	tow_hex_encode(id->bytes, TOW_ID_SIZE / 2, out);
	memcpy(out + TOW_ID_SIZE, domain, sizeof domain);
	return out;
}

int tow_id_parse(struct tow_slice text, struct tow_id *out)
{
	struct tow_id id;

	if (text.len != TOW_ID_TEXT_SIZE - 1)
		return TOW_EPARSE;
	for (size_t i = 0; i < text.len; i++)
		if (text.base[i] >= 'A' && text.base[i] <= 'F')
			return TOW_EPARSE;
	if (tow_hex_decode(text, id.bytes, sizeof id.bytes) != TOW_ID_SIZE)
		return TOW_EPARSE;
	*out = id;
	return 0;
}

void tow_node_key_from_seed(const uint8_t seed[TOW_SEED_SIZE], struct tow_node_key *out)
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES], copy[TOW_SEED_SIZE];

	start_sodium();
	memcpy(copy, seed, sizeof copy); /* which may be out's own */
	crypto_sign_seed_keypair(out->id.bytes, secret, copy);
	memcpy(out->seed, copy, sizeof copy);
	tow_wipe(secret, sizeof secret);
	tow_wipe(copy, sizeof copy);
}

void tow_node_key_generate(struct tow_node_key *out)
{
	tow_random(out->seed, sizeof out->seed);
	tow_node_key_from_seed(out->seed, out);
}

void tow_node_key_wipe(struct tow_node_key *key)
{
	tow_wipe(key, sizeof *key);
}

void tow_node_key_sign(const struct tow_node_key *key, struct tow_slice message,
                       uint8_t signature[TOW_ED25519_SIGNATURE_SIZE])
{
	/* libsodium's form of the key: seed, public key */
	uint8_t secret[crypto_sign_SECRETKEYBYTES];

	start_sodium();
	memcpy(secret, key->seed, TOW_SEED_SIZE);
	memcpy(secret + TOW_SEED_SIZE, key->id.bytes, TOW_ID_SIZE);
	crypto_sign_detached(signature, NULL, message.base, message.len, secret);
	tow_wipe(secret, sizeof secret);
}

int tow_node_id_verify(const struct tow_id *id, struct tow_slice message,
                       const uint8_t signature[TOW_ED25519_SIGNATURE_SIZE])
{
	start_sodium();
	if (crypto_sign_verify_detached(signature, message.base, message.len, id->bytes))
		return TOW_ESIGNATURE;
	return 0;
}

int tow_seed_parse(struct tow_slice file, uint8_t seed[TOW_SEED_SIZE], struct tow_error *err)
{
	uint8_t bytes[TOW_SEED_SIZE];

	if (file.len == TOW_SEED_SIZE) {
		memcpy(seed, file.base, TOW_SEED_SIZE);
		return 0;
	}
	if (file.len && file.base[file.len - 1] == '\n')
		file.len--;
	if (file.len && file.base[file.len - 1] == '\r')
		file.len--;
	if (file.len != 2 * TOW_SEED_SIZE)
		return tow_error_set(err, TOW_EPARSE,
		                     "a key is 32 bytes or 64 hex digits, this is neither");
	if (tow_hex_decode(file, bytes, sizeof bytes) != TOW_SEED_SIZE) {
		tow_wipe(bytes, sizeof bytes);
		return tow_error_set(err, TOW_EPARSE,
		                     "a key of 64 characters must be hex digits only");
	}
	memcpy(seed, bytes, sizeof bytes);
	tow_wipe(bytes, sizeof bytes);
	return 0;
}

int tow_secret_equal(const void *a, const void *b, size_t len)
{
	return !sodium_memcmp(a, b, len);
}

void tow_wipe(void *bytes, size_t len)
{
	sodium_memzero(bytes, len);
}

void tow_random(void *bytes, size_t len)
{
	start_sodium();
	randombytes_buf(bytes, len);
}

void tow_hash(struct tow_slice message, const void *key, size_t key_len, uint8_t out[TOW_HASH_SIZE])
{
	assert(key_len <= crypto_generichash_blake2b_KEYBYTES_MAX);
	start_sodium();
	crypto_generichash_blake2b(out, TOW_HASH_SIZE, message.base, message.len,
	                           key_len ? key : NULL, key_len);
}
