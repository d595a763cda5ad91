/* SPDX-License-Identifier: MIT */
/*
 * An input that begins with 'P' is a payload, and is put into a JWS here, since a fuzzer does not
 * find its way through base64url; any other is a JWS. What is taken can be signed, and is then
 * verified as the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/entry.h>
#include <towonel/wire/limits.h>

static struct tow_tenant_key *key;

static void wrap(struct tow_slice payload, struct tow_buf *out)
{
	size_t text_size = TOW_BASE64URL_SIZE(payload.len);
	char *text = malloc(text_size);
	static char signature[TOW_BASE64URL_SIZE(TOW_MLDSA_SIGNATURE_SIZE)];

	assert(text);
	memset(signature, 'A', sizeof signature - 1);
	assert(!tow_buf_printf(out,
	                       "{\"protected\":\"eyJhbGciOiJNTC1EU0EtNjUifQ\",\"payload\":\"%s\","
	                       "\"signature\":\"%s\"}",
	                       tow_base64url_encode(payload.base, payload.len, text), signature));
	free(text);
}

static void sign_and_verify(struct tow_entry *entry)
{
	struct tow_entry again;
	struct tow_buf jws = { 0 };

	entry->tenant_id = *tow_tenant_key_id(key);
	assert(!tow_entry_sign(entry, key, &jws, NULL));
	assert(!tow_entry_verify(tow_buf_peek(&jws), tow_tenant_key_public(key), &again, NULL));
	assert(again.op == entry->op && again.sequence == entry->sequence);
	assert(again.timestamp_ms == entry->timestamp_ms && !strcmp(again.name, entry->name));
	assert(again.listen_port == entry->listen_port && again.tls_mode == entry->tls_mode);
	assert(again.http_mode == entry->http_mode);
	assert(again.port_count == entry->port_count);
	assert(again.idle_timeout_secs == entry->idle_timeout_secs);
	assert(!memcmp(&again.access, &entry->access, sizeof again.access));
	assert(!entry->port_count || entry->listen_port + entry->port_count - 1 <= UINT16_MAX);
	assert(tow_id_equal(&again.agent_id, &entry->agent_id));
	assert(again.generation == entry->generation);
	assert(again.expires_at_ms == entry->expires_at_ms);
	assert(!memcmp(again.services_hash, entry->services_hash, TOW_HASH_SIZE));
	tow_buf_deinit(&jws);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[TOW_SEED_SIZE];
	struct tow_slice text = tow_slice_make(data, size);
	struct tow_buf jws = { 0 };
	struct tow_entry entry;
	struct tow_id tenant;
	struct tow_error err = { 0 };

	if (!key)
		assert(!tow_tenant_key_new(seed, &key));
	if (size && data[0] == 'P') {
		wrap(tow_slice_make(data + 1, size - 1), &jws);
		text = tow_buf_peek(&jws);
	}
	if (tow_entry_peek(text, &entry, &err)) {
		assert(err.code && err.text[0]);
	} else {
		assert(!tow_entry_tenant(text, &tenant, NULL));
		assert(tow_id_equal(&tenant, &entry.tenant_id));
		sign_and_verify(&entry);
	}
	tow_entry_tenant(text, &tenant, NULL);
	tow_entry_verify(text, tow_tenant_key_public(key), &entry, NULL);
	tow_buf_deinit(&jws);
	return 0;
}
