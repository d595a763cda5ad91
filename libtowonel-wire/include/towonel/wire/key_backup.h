/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_KEY_BACKUP_H
#define TOWONEL_WIRE_KEY_BACKUP_H

/*
 * A tenant's key under a passphrase: one JSON object, to be kept where others may see it.
 *
 *   {"format": "towonel-tenant-key", "version": 1, "tenant_id": "<64 hex>",
 *    "kdf": "argon2id", "passes": 3, "memory_kib": 262144, "salt": "<16 bytes>",
 *    "cipher": "xchacha20-poly1305", "nonce": "<24 bytes>", "sealed": "<32 + 16 bytes>"}
 *
 * Bytes are base64url without padding. The key that seals is Argon2id (RFC 9106, version 1.3, one
 * lane, 32 bytes) of the passphrase's bytes with that salt, passes and memory. "sealed" is the
 * tenant's seed under XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha, IETF construction), with the
 * additional data "towonel-tenant-key/1/<tenant id>/<passes>/<memory_kib>": what stands in the
 * open cannot be exchanged unnoticed. Unknown members are refused.
 */

#include "buf.h"
#include "error.h"
#include "identity.h"
#include "limits.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TOW_KEY_BACKUP_SALT_SIZE   16
#define TOW_KEY_BACKUP_NONCE_SIZE  24
#define TOW_KEY_BACKUP_SEALED_SIZE (TOW_SEED_SIZE + 16)

/* Bounds are in limits.h. More of either makes guessing dearer, and opening too. */
struct tow_key_backup_cost {
	uint32_t passes, memory_kib;
};

struct tow_key_backup {
	struct tow_id tenant_id;
	struct tow_key_backup_cost cost;
	uint8_t salt[TOW_KEY_BACKUP_SALT_SIZE];
	uint8_t nonce[TOW_KEY_BACKUP_NONCE_SIZE];
	uint8_t sealed[TOW_KEY_BACKUP_SEALED_SIZE];
};

/* Seals with a fresh salt and nonce. cost NULL: 3 passes over 256 MiB, about a second. Returns 0;
 * TOW_EINVAL (an empty passphrase, a cost out of bounds), TOW_ENOMEM, TOW_ECRYPTO. */
int tow_key_backup_seal(const uint8_t seed[TOW_SEED_SIZE], struct tow_slice passphrase,
                        const struct tow_key_backup_cost *cost, struct tow_key_backup *out,
                        struct tow_error *err);
/* Returns 0; TOW_EDENIED: another passphrase, or the backup was changed; TOW_EINVAL (as seal),
 * TOW_ENOMEM, TOW_ECRYPTO. */
int tow_key_backup_open(const struct tow_key_backup *backup, struct tow_slice passphrase,
                        uint8_t seed[TOW_SEED_SIZE], struct tow_error *err);

/* Appends the text, ending with a newline. Returns 0, TOW_ENOMEM. */
int tow_key_backup_format(const struct tow_key_backup *backup, struct tow_buf *out);
/* Returns 0; TOW_EPARSE, TOW_EVERSION, TOW_ETOOBIG, TOW_ENOMEM. */
int tow_key_backup_parse(struct tow_slice text, struct tow_key_backup *out, struct tow_error *err);

#ifdef __cplusplus
}
#endif
#endif
