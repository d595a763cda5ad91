/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_IDENTITY_H
#define TOWONEL_WIRE_IDENTITY_H

/*
 * Who is who. Nodes, edges and agents have Ed25519 key pairs (RFC 8032); the id is the
 * public key, written as 64 lowercase hex digits. A tenant has an ML-DSA-65 key pair
 * (FIPS 204) made from the 32-byte seed in its token; its id is the SHA-256 of the public
 * key. Structs with secrets are wiped by their _wipe or _free.
 */

#include "buf.h"
#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TOW_ID_SIZE 32
#define TOW_ID_TEXT_SIZE 65 /* 64 hex digits and the NUL */
#define TOW_SEED_SIZE 32
#define TOW_ED25519_SIGNATURE_SIZE 64
#define TOW_MLDSA_PUBLIC_SIZE 1952
#define TOW_MLDSA_SIGNATURE_SIZE 3309
#define TOW_INVITE_ID_SIZE 16
#define TOW_INVITE_ID_TEXT_SIZE 23 /* base64url, no padding, and the NUL */
#define TOW_SECRET_SIZE 32
#define TOW_HASH_SIZE 32

/* A node's, an agent's or a tenant's id. */
struct tow_id {
	uint8_t bytes[TOW_ID_SIZE];
};

int tow_id_equal(const struct tow_id *a, const struct tow_id *b);
int tow_id_is_zero(const struct tow_id *id);
char *tow_id_format(const struct tow_id *id, char text[TOW_ID_TEXT_SIZE]); /* returns text */
int tow_id_parse(struct tow_slice text, struct tow_id *out); /* 0, TOW_EPARSE; lower case only */

/* The server name (SNI) by which a client asks for whoever has this key, and not for a certificate
 * of some host name: the id's first half below a domain that nobody can have. Returns out. */
#define TOW_KEY_NAME_SIZE 49
char *tow_id_key_name(const struct tow_id *id, char out[TOW_KEY_NAME_SIZE]);

/* Ed25519. Transparent, so that it can live inside its owner; wipe it there. */
struct tow_node_key {
	uint8_t seed[TOW_SEED_SIZE];
	struct tow_id id;
};

void tow_node_key_from_seed(const uint8_t seed[TOW_SEED_SIZE], struct tow_node_key *out);
void tow_node_key_generate(struct tow_node_key *out);
void tow_node_key_wipe(struct tow_node_key *key);
void tow_node_key_sign(const struct tow_node_key *key, struct tow_slice message,
                       uint8_t signature[TOW_ED25519_SIGNATURE_SIZE]);
/* Returns 0, TOW_ESIGNATURE. */
int tow_node_id_verify(const struct tow_id *id, struct tow_slice message,
                       const uint8_t signature[TOW_ED25519_SIGNATURE_SIZE]);

/* ML-DSA-65, pure, empty context string. */
struct tow_tenant_key;

/* Derives the key pair (FIPS 204 algorithm 6 with xi = seed). Returns
 * 0, TOW_ENOMEM, TOW_ECRYPTO. */
int tow_tenant_key_new(const uint8_t seed[TOW_SEED_SIZE], struct tow_tenant_key **out);
void tow_tenant_key_free(struct tow_tenant_key *key); /* wipes; takes NULL */
const struct tow_id *tow_tenant_key_id(const struct tow_tenant_key *key);
const uint8_t *
tow_tenant_key_public(const struct tow_tenant_key *key); /* TOW_MLDSA_PUBLIC_SIZE bytes */
/* Hedged signing. A key signs in one thread at a time. Returns 0, TOW_ECRYPTO, TOW_ENOMEM. */
int tow_tenant_key_sign(const struct tow_tenant_key *key, struct tow_slice message,
                        uint8_t signature[TOW_MLDSA_SIGNATURE_SIZE]);
/* Returns 0, TOW_ESIGNATURE, TOW_ENOMEM. */
int tow_tenant_verify(const uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE], struct tow_slice message,
                      struct tow_slice signature);
void tow_tenant_id_of(const uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE], struct tow_id *out);

/* Key files: 32 raw bytes, or 64 hex digits and an optional newline. Returns 0, TOW_EPARSE. */
int tow_seed_parse(struct tow_slice file, uint8_t seed[TOW_SEED_SIZE], struct tow_error *err);

/* Text codings. hex: lower case out, either case in. base64url: RFC 4648 section 5, no padding,
 * no stray bits. Decoders return the number of bytes, or TOW_EPARSE, TOW_ETOOBIG. Encoders want
 * a text of TOW_HEX_SIZE(n) or TOW_BASE64URL_SIZE(n) bytes, NUL included, and return it. */
#define TOW_HEX_SIZE(n) (2 * (n) + 1)
#define TOW_BASE64URL_SIZE(n) (((n) * 4 + 2) / 3 + 1)
char *tow_hex_encode(const void *bytes, size_t len, char *text);
int tow_hex_decode(struct tow_slice text, void *out, size_t cap);
char *tow_base64url_encode(const void *bytes, size_t len, char *text);
int tow_base64url_decode(struct tow_slice text, void *out, size_t cap);

/* Equal in constant time; len bytes each. */
int tow_secret_equal(const void *a, const void *b, size_t len);
void tow_wipe(void *bytes, size_t len);
void tow_random(void *bytes, size_t len);
/* BLAKE2b-256 (RFC 7693), keyed when key_len is not 0 (at most 64). */
void tow_hash(struct tow_slice message, const void *key, size_t key_len,
              uint8_t out[TOW_HASH_SIZE]);

#ifdef __cplusplus
}
#endif
#endif
