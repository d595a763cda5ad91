/* SPDX-License-Identifier: MIT */

#include "hello.h"

#include <string.h>
#include <towonel/tunnel/loop.h>
#include <towonel/wire/limits.h>

enum hello_outcome tow__hello_judge(const struct tow_control_message *hello,
                                    const struct tow_id *agent_id,
                                    const struct tow_route_table *table, struct tow_entry *entry,
                                    struct tow_error *err)
{
	const struct tow_route_tenant *tenant;
	struct tow_slice jws;

	if (hello->version != TOW_TUNNEL_VERSION) {
		tow_error_set(err, TOW_EVERSION, "version %u of the tunnel protocol, not %u",
		              hello->version, TOW_TUNNEL_VERSION);
		return HELLO_VERSION;
	}
	if (hello->entry == NULL || hello->service_count > TOW_SERVICES_MAX) {
		tow_error_set(err, TOW_EPARSE, "the hello has no entry, or too many services");
		return HELLO_PROTOCOL;
	}
	jws = tow_slice_of(hello->entry);
	if (tow_entry_peek(jws, entry, err) != 0)
		return HELLO_BAD_ENTRY;
	if (entry->op != TOW_ENTRY_UPSERT_AGENT) {
		tow_error_set(err, TOW_EPARSE, "the entry is no upsert_agent");
		return HELLO_BAD_ENTRY;
	}
	if (!tow_id_equal(&entry->agent_id, agent_id)) {
		tow_error_set(err, TOW_EAUTH, "the entry is for another agent's key");
		return HELLO_WRONG_KEY;
	}
	if (entry->expires_at_ms <= tow_wall_ms()) {
		tow_error_set(err, TOW_EEXPIRED, "the entry has expired");
		return HELLO_EXPIRED;
	}
	tenant = tow_route_lookup_tenant(table, &entry->tenant_id);
	if (tenant == NULL) {
		tow_error_set(err, TOW_ENOTFOUND, "the tenant is not known here");
		return HELLO_UNKNOWN_TENANT;
	}
	if (tow_entry_verify(jws, tenant->public_key, entry, err) != 0)
		return HELLO_BAD_SIGNATURE;
	if (tow_route_agent_revoked(table, &entry->tenant_id, agent_id)) {
		tow_error_set(err, TOW_EDENIED, "the agent has been revoked");
		return HELLO_REVOKED;
	}
	return HELLO_WELCOME;
}

size_t tow__hello_size(const struct tow_control_message *hello)
{
	size_t size = strlen(hello->entry);

	for (size_t i = 0; i < hello->service_count; i++)
		size += sizeof(*hello->services) + strlen(hello->services[i]) + 2 * sizeof(size_t);
	return size;
}
