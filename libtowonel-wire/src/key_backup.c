/* SPDX-License-Identifier: MIT */
#include <towonel/wire/key_backup.h>

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

#define FORMAT  "towonel-tenant-key"
#define VERSION 1
#define KDF     "argon2id"
#define CIPHER  "xchacha20-poly1305"

static_assert(TOW_KEY_BACKUP_SALT_SIZE == crypto_pwhash_argon2id_SALTBYTES, "as documented");
static_assert(TOW_KEY_BACKUP_NONCE_SIZE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
              "as documented");
static_assert(TOW_KEY_BACKUP_SEALED_SIZE ==
                      TOW_SEED_SIZE + crypto_aead_xchacha20poly1305_ietf_ABYTES,
              "as documented");
static_assert(TOW_KEY_BACKUP_MEMORY_KIB_MIN * 1024 == crypto_pwhash_argon2id_MEMLIMIT_MIN,
              "Argon2 takes no less");

static const struct tow_key_backup_cost moderate = { 3, 262144 };

/* --- sealing ------------------------------------------------------------------------------ */

static int check(const struct tow_key_backup_cost *cost, struct tow_slice passphrase,
                 struct tow_error *err)
{
	if (cost->passes < 1 || cost->passes > TOW_KEY_BACKUP_PASSES_MAX ||
	    cost->memory_kib < TOW_KEY_BACKUP_MEMORY_KIB_MIN ||
	    cost->memory_kib > TOW_KEY_BACKUP_MEMORY_KIB_MAX)
		return tow_error_set(err, TOW_EINVAL, "passes or memory_kib are out of bounds");
	if (!passphrase.len)
		return tow_error_set(err, TOW_EINVAL, "the passphrase is empty");
	return 0;
}

static int derive(const struct tow_key_backup *backup, struct tow_slice passphrase,
                  uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES], struct tow_error *err)
{
	if (sodium_init() < 0)
		return tow_error_set(err, TOW_ECRYPTO, "libsodium does not start");
	if (crypto_pwhash_argon2id(key, crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
	                           (const char *)passphrase.base, passphrase.len, backup->salt,
	                           backup->cost.passes, (size_t)backup->cost.memory_kib * 1024,
	                           crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
		return tow_error_set(err, TOW_ENOMEM,
		                     "there are no %" PRIu32 " MiB of memory for the passphrase",
		                     backup->cost.memory_kib / 1024);
	return 0;
}

#define CONTEXT_SIZE (sizeof FORMAT + TOW_ID_TEXT_SIZE + 32)

/* The additional data. */
static struct tow_slice context_of(const struct tow_key_backup *backup, char text[CONTEXT_SIZE])
{
	char id[TOW_ID_TEXT_SIZE];

	snprintf(text, CONTEXT_SIZE, FORMAT "/%d/%s/%" PRIu32 "/%" PRIu32, VERSION,
	         tow_id_format(&backup->tenant_id, id), backup->cost.passes,
	         backup->cost.memory_kib);
	return tow_slice_of(text);
}

static int tenant_of(const uint8_t seed[TOW_SEED_SIZE], struct tow_id *out, struct tow_error *err)
{
	struct tow_tenant_key *tenant = NULL;
	int rc = tow_tenant_key_new(seed, &tenant);

	if (rc)
		return tow_error_set(err, rc, "cannot make the tenant's key: %s", tow_strerror(rc));
	*out = *tow_tenant_key_id(tenant);
	tow_tenant_key_free(tenant);
	return 0;
}

int tow_key_backup_seal(const uint8_t seed[TOW_SEED_SIZE], struct tow_slice passphrase,
                        const struct tow_key_backup_cost *cost, struct tow_key_backup *out,
                        struct tow_error *err)
{
	uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
	struct tow_key_backup made = { .cost = cost ? *cost : moderate };
	char text[CONTEXT_SIZE];
	struct tow_slice context;
	int rc = check(&made.cost, passphrase, err);

	if (!rc)
		rc = tenant_of(seed, &made.tenant_id, err);
	if (rc)
		return rc;
	tow_random(made.salt, sizeof made.salt);
	tow_random(made.nonce, sizeof made.nonce);
	rc = derive(&made, passphrase, key, err);
	if (!rc) {
		context = context_of(&made, text);
		crypto_aead_xchacha20poly1305_ietf_encrypt(made.sealed, NULL, seed, TOW_SEED_SIZE,
		                                           context.base, context.len, NULL,
		                                           made.nonce, key);
		*out = made;
	}
	tow_wipe(key, sizeof key);
	return rc;
}

int tow_key_backup_open(const struct tow_key_backup *backup, struct tow_slice passphrase,
                        uint8_t seed[TOW_SEED_SIZE], struct tow_error *err)
{
	uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES], opened[TOW_SEED_SIZE];
	char text[CONTEXT_SIZE];
	struct tow_slice context = context_of(backup, text);
	struct tow_id id;
	int rc = check(&backup->cost, passphrase, err);

	if (!rc)
		rc = derive(backup, passphrase, key, err);
	if (rc)
		return rc;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(opened, NULL, NULL, backup->sealed,
	                                               sizeof backup->sealed, context.base,
	                                               context.len, backup->nonce, key) != 0)
		rc = tow_error_set(err, TOW_EDENIED,
		                   "the passphrase is another one, or the backup was changed");
	else
		rc = tenant_of(opened, &id, err);
	/* sealed together by who had the passphrase: no attack, but a broken writer */
	if (!rc && !tow_id_equal(&id, &backup->tenant_id))
		rc = tow_error_set(err, TOW_EDENIED, "the key inside is that of another tenant");
	if (!rc)
		memcpy(seed, opened, sizeof opened);
	tow_wipe(opened, sizeof opened);
	tow_wipe(key, sizeof key);
	return rc;
}

/* --- text --------------------------------------------------------------------------------- */

int tow_key_backup_format(const struct tow_key_backup *backup, struct tow_buf *out)
{
	char id[TOW_ID_TEXT_SIZE], salt[TOW_BASE64URL_SIZE(sizeof backup->salt)],
		nonce[TOW_BASE64URL_SIZE(sizeof backup->nonce)],
		sealed[TOW_BASE64URL_SIZE(sizeof backup->sealed)];

	return tow_buf_printf(out,
	                      "{\n"
	                      "  \"format\": \"" FORMAT "\",\n"
	                      "  \"version\": %d,\n"
	                      "  \"tenant_id\": \"%s\",\n"
	                      "  \"kdf\": \"" KDF "\",\n"
	                      "  \"passes\": %" PRIu32 ",\n"
	                      "  \"memory_kib\": %" PRIu32 ",\n"
	                      "  \"salt\": \"%s\",\n"
	                      "  \"cipher\": \"" CIPHER "\",\n"
	                      "  \"nonce\": \"%s\",\n"
	                      "  \"sealed\": \"%s\"\n"
	                      "}\n",
	                      VERSION, tow_id_format(&backup->tenant_id, id), backup->cost.passes,
	                      backup->cost.memory_kib,
	                      tow_base64url_encode(backup->salt, sizeof backup->salt, salt),
	                      tow_base64url_encode(backup->nonce, sizeof backup->nonce, nonce),
	                      tow_base64url_encode(backup->sealed, sizeof backup->sealed, sealed));
}

static int parse_bytes(const json_t *object, const char *key, uint8_t *out, size_t len,
                       struct tow_error *err)
{
	struct tow_slice text;
	int rc = tow__json_text(object, key, &text, err);

	if (!rc && tow_base64url_decode(text, out, len) != (int)len)
		rc = tow_error_set(err, TOW_EPARSE, "\"%s\" is not %zu bytes in base64url", key,
		                   len);
	return rc;
}

static int parse_head(const json_t *object, struct tow_error *err)
{
	static const char *const formats[] = { FORMAT }, *const kdfs[] = { KDF },
				 *const ciphers[] = { CIPHER };
	uint64_t version;
	size_t which;
	int rc = tow__json_choice(object, "format", formats, 1, &which, err);

	if (!rc)
		rc = tow__json_uint(object, "version", 1, TOW_JSON_INTEGER_MAX, &version, err);
	if (!rc && version != VERSION)
		rc = tow_error_set(err, TOW_EVERSION,
		                   "version %" PRIu64 " of the format is not known here: a newer "
		                   "towonel made it",
		                   version);
	if (!rc)
		rc = tow__json_choice(object, "kdf", kdfs, 1, &which, err);
	if (!rc)
		rc = tow__json_choice(object, "cipher", ciphers, 1, &which, err);
	return rc;
}

static int parse_object(const json_t *object, struct tow_key_backup *out, struct tow_error *err)
{
	static const char *const keys[] = { "format", "version", "tenant_id",  "kdf",   "passes",
		                            "salt",   "cipher",  "memory_kib", "nonce", "sealed" };
	uint64_t passes = 0, memory = 0;
	struct tow_slice id;
	int rc = json_is_object(object) ? parse_head(object, err)
	                                : tow_error_set(err, TOW_EPARSE, "must be a JSON object");

	/* after the version: another one may have other members */
	if (!rc)
		rc = tow__json_check_keys(object, keys, sizeof keys / sizeof *keys, err);
	if (!rc)
		rc = tow__json_text(object, "tenant_id", &id, err);
	if (!rc && tow_id_parse(id, &out->tenant_id))
		rc = tow_error_set(err, TOW_EPARSE, "\"tenant_id\" is not 64 lowercase hex digits");
	if (!rc)
		rc = tow__json_uint(object, "passes", 1, TOW_KEY_BACKUP_PASSES_MAX, &passes, err);
	if (!rc)
		rc = tow__json_uint(object, "memory_kib", TOW_KEY_BACKUP_MEMORY_KIB_MIN,
		                    TOW_KEY_BACKUP_MEMORY_KIB_MAX, &memory, err);
	out->cost = (struct tow_key_backup_cost){ (uint32_t)passes, (uint32_t)memory };
	if (!rc)
		rc = parse_bytes(object, "salt", out->salt, sizeof out->salt, err);
	if (!rc)
		rc = parse_bytes(object, "nonce", out->nonce, sizeof out->nonce, err);
	if (!rc)
		rc = parse_bytes(object, "sealed", out->sealed, sizeof out->sealed, err);
	return rc;
}

int tow_key_backup_parse(struct tow_slice text, struct tow_key_backup *out, struct tow_error *err)
{
	struct tow_key_backup parsed = { .cost = moderate };
	json_t *object = NULL;
	int rc = tow__json_load(text, TOW_KEY_BACKUP_MAX, &object, err);

	if (!rc)
		rc = parse_object(object, &parsed, err);
	if (!rc)
		*out = parsed;
	json_decref(object);
	return rc;
}
