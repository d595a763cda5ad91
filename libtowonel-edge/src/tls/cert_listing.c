/* SPDX-License-Identifier: MIT */

#include "tls/cert_listing.h"

static void add(void *user, const struct cert_info *info)
{
	json_t *list = user;
	json_t *entry = json_pack(
		"{s:s,s:s,s:s,s:I,s:I,s:b,s:b,s:I,s:s}", "name", info->name, "state",
		tow__cert_state_name(info->state), "issuer", info->issuer, "not_before_ms",
		(json_int_t)info->not_before_ms, "not_after_ms", (json_int_t)info->not_after_ms,
		"on_demand", info->issued, "saved", info->issuer[0] != '\0' && !info->unsaved,
		"next_try_ms", (json_int_t)info->next_try_ms, "last_error", info->last_error);

	json_array_append_new(list, entry); /* short of memory, some are missing */
}

json_t *tow__cert_listing(struct cert_store *store)
{
	json_t *list = json_array();

	if (list != NULL && store != NULL)
		tow__cert_store_each(store, add, list);
	return json_pack("{s:o}", "certificates", list);
}

/* --- for a report --- */

struct told {
	struct tow_edge_certificate *list;
	size_t count;
	int trouble; /* of which kind this round is */
};

static int has_trouble(const struct cert_info *info)
{
	return info->state == CERT_FAILED || info->state == CERT_EXPIRED ||
	       info->last_error[0] != '\0';
}

static void tell(void *user, const struct cert_info *info)
{
	struct told *told = user;

	if (told->count == TOW_EDGE_CERTS_TOLD_MAX || has_trouble(info) != told->trouble)
		return;
	told->list[told->count++] = (struct tow_edge_certificate){
		.name = info->name,
		.state = tow__cert_state_name(info->state),
		.not_after_ms = info->not_after_ms,
		.last_error = info->last_error,
	};
}

size_t tow__cert_told(struct cert_store *store,
                      struct tow_edge_certificate out[TOW_EDGE_CERTS_TOLD_MAX])
{
	struct told told = { .list = out };

	for (told.trouble = 1; store != NULL && told.trouble >= 0; told.trouble--)
		tow__cert_store_each(store, tell, &told);
	return told.count;
}
