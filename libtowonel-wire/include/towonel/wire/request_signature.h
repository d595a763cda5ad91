/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_REQUEST_SIGNATURE_H
#define TOWONEL_WIRE_REQUEST_SIGNATURE_H

/*
 * The header of a signed request: "Signature <node id>.<ts ms>.<signature>", Ed25519 over
 * "<domain>/<node id>/<ts ms>/<hex BLAKE2b-256 of the body>". The domain keeps a signature made
 * for one purpose from being used for another. Freshness and single use are the hub's to check.
 */

#include "identity.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TOW_DOMAIN_AGENT_HEARTBEAT "towonel/agent-heartbeat/v1"
#define TOW_DOMAIN_EDGE_HEARTBEAT  "towonel/edge-heartbeat/v1"
#define TOW_DOMAIN_EDGE_SUBSCRIBE  "towonel/edge-sub/v1"
#define TOW_DOMAIN_TENANT_ENTRIES  "towonel/entries/v1"
#define TOW_REQUEST_SIGNATURE_SIZE 192 /* the header's value, and the NUL */

struct tow_request_signature {
	struct tow_id node_id;
	uint64_t timestamp_ms;
	uint8_t signature[TOW_ED25519_SIGNATURE_SIZE];
};

void tow_request_sign(const struct tow_node_key *key, const char *domain, uint64_t timestamp_ms,
                      struct tow_slice body, char out[TOW_REQUEST_SIGNATURE_SIZE]);
/* Returns 0, TOW_EPARSE. */
int tow_request_signature_parse(struct tow_slice value, struct tow_request_signature *out);
/* Returns 0, TOW_ESIGNATURE. */
int tow_request_signature_verify(const struct tow_request_signature *signature, const char *domain,
                                 struct tow_slice body);

/* The same by a tenant: its id stands for the node's, and the signature is ML-DSA-65. It is for
 * reading what is the tenant's own; what a tenant changes, it says in entries. */
#define TOW_TENANT_REQUEST_SIGNATURE_SIZE 4608

struct tow_tenant_request_signature {
	struct tow_id tenant_id;
	uint64_t timestamp_ms;
	uint8_t signature[TOW_MLDSA_SIGNATURE_SIZE];
};

/* Returns 0, TOW_ECRYPTO, TOW_ENOMEM. */
int tow_tenant_request_sign(const struct tow_tenant_key *key, const char *domain,
                            uint64_t timestamp_ms, struct tow_slice body,
                            char out[TOW_TENANT_REQUEST_SIGNATURE_SIZE]);
/* Returns 0, TOW_EPARSE. */
int tow_tenant_request_signature_parse(struct tow_slice value,
                                       struct tow_tenant_request_signature *out);
/* public_key: the one that belongs to the tenant id. Returns 0, TOW_ESIGNATURE, TOW_ENOMEM. */
int tow_tenant_request_signature_verify(const struct tow_tenant_request_signature *signature,
                                        const uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE],
                                        const char *domain, struct tow_slice body);

#ifdef __cplusplus
}
#endif
#endif
