/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_ENTRY_H
#define TOWONEL_WIRE_ENTRY_H

/*
 * Signed entries: what a tenant says. Each is a JWS (RFC 7515, flattened JSON serialization)
 * with the protected header {"alg":"ML-DSA-65"} (draft-ietf-cose-dilithium names the algorithm)
 * and a JSON payload:
 *
 *   {"version":1,"tenant_id":"<64 hex>","sequence":7,"timestamp_ms":1700000000000,
 *    "op":"upsert_hostname","hostname":"app.example.eu","tls_mode":"passthrough"}
 *
 *   upsert_hostname {hostname, tls_mode, http, allow_from, deny_from}
 *   delete_hostname {hostname}
 *   set_hostname_tls {hostname, tls_mode, http}
 *   upsert_tcp_service {name, listen_port, ports, allow_from, deny_from}
 *   delete_tcp_service {name}
 *   upsert_udp_service {name, listen_port, ports, allow_from, deny_from, idle_timeout_secs}
 *   delete_udp_service {name}
 *   upsert_agent {agent_id, generation, services_hash, expires_at_ms}
 *   revoke_agent {agent_id}
 *   leave {}
 *
 * ports, idle_timeout_secs and http are left out when they are 1, 60 and "forwarded", allow_from
 * and deny_from when they have nobody. An upsert says all of a service; set_hostname_tls leaves who
 * may come as it is.
 *
 * Unknown members are refused, so that a hub never stores half of what was meant.
 */

#include "identity.h"
#include "service.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TOW_ENTRY_VERSION 1

enum tow_entry_op {
	TOW_ENTRY_UPSERT_HOSTNAME,
	TOW_ENTRY_DELETE_HOSTNAME,
	TOW_ENTRY_SET_HOSTNAME_TLS,
	TOW_ENTRY_UPSERT_AGENT,
	TOW_ENTRY_REVOKE_AGENT,
	TOW_ENTRY_UPSERT_TCP_SERVICE,
	TOW_ENTRY_DELETE_TCP_SERVICE,
	TOW_ENTRY_UPSERT_UDP_SERVICE,
	TOW_ENTRY_DELETE_UDP_SERVICE,
	TOW_ENTRY_LEAVE,
};

struct tow_entry {
	uint32_t version;
	struct tow_id tenant_id;
	uint64_t sequence;     /* 1 or more, each used once by a tenant */
	uint64_t timestamp_ms; /* Unix */
	enum tow_entry_op op;
	/* which of these count depends on op; the others are zero */
	char name[TOW_HOSTNAME_SIZE]; /* hostname pattern, or service name */
	enum tow_tls_mode tls_mode;
	enum tow_http_mode http_mode; /* PLAIN, H2C: with terminate; CHALLENGE: with passthrough */
	uint16_t listen_port;
	uint16_t port_count;        /* from listen_port on; 0 is signed as 1 */
	uint16_t idle_timeout_secs; /* udp; 0 is signed as 60 */
	struct tow_access access;   /* upserts of a hostname or a service */
	struct tow_id agent_id;
	uint64_t generation; /* the agent's start, Unix ms */
	uint8_t services_hash[TOW_HASH_SIZE];
	uint64_t expires_at_ms;
};

/* Appends the JWS as compact JSON text. Returns 0, TOW_ENOMEM, TOW_ECRYPTO, TOW_EINVAL. */
int tow_entry_sign(const struct tow_entry *entry, const struct tow_tenant_key *key,
                   struct tow_buf *out, struct tow_error *err);

/* Reads whose entry it says it is, to learn whose key to check it with, and nothing else: the
 * version may be another, the op unknown. Returns 0; TOW_EPARSE, TOW_ETOOBIG, TOW_ENOMEM. */
int tow_entry_tenant(struct tow_slice jws, struct tow_id *out, struct tow_error *err);

/* Reads the payload without checking the signature. Returns 0; TOW_EPARSE, TOW_EVERSION (payload
 * version), TOW_EINVAL (op unknown), TOW_ETOOBIG, TOW_ENOMEM. */
int tow_entry_peek(struct tow_slice jws, struct tow_entry *out, struct tow_error *err);

/* As peek, but in the order: form, signature, version, payload. Also checks that the tenant id in
 * the payload is that of the key. Returns as peek, and TOW_ESIGNATURE. */
int tow_entry_verify(struct tow_slice jws, const uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE],
                     struct tow_entry *out, struct tow_error *err);

const char *tow_entry_op_name(enum tow_entry_op op);
int tow_entry_op_parse(const char *name, enum tow_entry_op *out); /* 0, TOW_EINVAL */

#ifdef __cplusplus
}
#endif
#endif
