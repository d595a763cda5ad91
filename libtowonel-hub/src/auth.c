/* SPDX-License-Identifier: MIT */
#include "auth.h"

#include <string.h>
#include <strings.h>

#define BEARER "Bearer "

static struct tow_slice header_of(const struct tow_http_request *request)
{
	const char *value = tow_http_header(request, "Authorization");

	return tow_slice_of(value ? value : "");
}

void tow__auth_init(struct tow_hub *hub, const char *operator_key)
{
	tow_random(hub->operator_hash_key, sizeof hub->operator_hash_key);
	tow_hash(tow_slice_of(operator_key), hub->operator_hash_key, sizeof hub->operator_hash_key,
	         hub->operator_hash);
}

enum tow__fault_kind tow__auth_operator(struct tow_hub *hub, const struct tow_http_request *request,
                                        struct tow__fault *fault)
{
	struct tow_slice value = header_of(request);
	uint8_t hash[TOW_HASH_SIZE];
	const size_t scheme = sizeof BEARER - 1;

	if (value.len < scheme || strncasecmp((const char *)value.base, BEARER, scheme) != 0)
		return tow__fault_set(fault, TOW__UNAUTHORIZED,
		                      "the operator's key is asked for: Authorization: Bearer KEY");
	value = tow_slice_make(value.base + scheme, value.len - scheme);
	/* hashes have one length, so the comparison tells nothing of the key's */
	tow_hash(value, hub->operator_hash_key, sizeof hub->operator_hash_key, hash);
	if (!tow_secret_equal(hash, hub->operator_hash, sizeof hash))
		return tow__fault_set(fault, TOW__UNAUTHORIZED, "this is not the operator's key");
	return TOW__NO_FAULT;
}

static enum tow__fault_kind unsigned_(struct tow__fault *fault)
{
	return tow__fault_set(
		fault, TOW__UNAUTHORIZED,
		"a signed request is asked for: Authorization: Signature ID.TIME.SIGNATURE");
}

static enum tow__fault_kind check_fresh(uint64_t timestamp_ms, struct tow__fault *fault)
{
	uint64_t now = tow_wall_ms();
	uint64_t off = timestamp_ms > now ? timestamp_ms - now : now - timestamp_ms;

	if (off <= TOW_SIGNATURE_WINDOW_MS)
		return TOW__NO_FAULT;
	return tow__fault_set(
		fault, TOW__UNAUTHORIZED,
		"the request was signed %llu s %s by the hub's clock; at most %d s are taken: "
		"is this machine's clock right?",
		(unsigned long long)(off / 1000), timestamp_ms > now ? "ahead" : "ago",
		TOW_SIGNATURE_WINDOW_MS / 1000);
}

enum tow__fault_kind tow__auth_use_once(struct tow_hub *hub, const struct tow_id *id,
                                        uint64_t timestamp_ms, struct tow__fault *fault)
{
	switch (tow__replay_use(hub->replay, id, timestamp_ms, tow_wall_ms())) {
	case 0: return TOW__NO_FAULT;
	case TOW_ECONFLICT:
		return tow__fault_set(fault, TOW__UNAUTHORIZED,
		                      "this signature was used already: sign anew");
	default:
		return tow__fault_set(
			fault, TOW__UNAVAILABLE,
			"the hub has too many signed requests to remember, try again later");
	}
}

enum tow__fault_kind tow__auth_signed(struct tow_hub *hub, const struct tow_http_request *request,
                                      const char *domain, struct tow_id *id,
                                      struct tow__fault *fault)
{
	struct tow_request_signature signature;

	if (tow_request_signature_parse(header_of(request), &signature))
		return unsigned_(fault);
	if (check_fresh(signature.timestamp_ms, fault))
		return fault->kind;
	if (tow_request_signature_verify(&signature, domain, tow_http_body(request)))
		return tow__fault_set(fault, TOW__UNAUTHORIZED,
		                      "the request's signature does not verify");
	if (tow__auth_use_once(hub, &signature.node_id, signature.timestamp_ms, fault))
		return fault->kind;
	*id = signature.node_id;
	return TOW__NO_FAULT;
}

int tow__auth_is_tenant(const struct tow_http_request *request)
{
	return header_of(request).len >= TOW_REQUEST_SIGNATURE_SIZE;
}

enum tow__fault_kind tow__auth_tenant(const struct tow_http_request *request,
                                      struct tow_tenant_request_signature *out,
                                      struct tow__fault *fault)
{
	if (tow_tenant_request_signature_parse(header_of(request), out))
		return unsigned_(fault);
	return check_fresh(out->timestamp_ms, fault);
}
