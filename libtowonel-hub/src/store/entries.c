/* SPDX-License-Identifier: MIT */

/*
 * Taking signed entries. A batch comes from one tenant and is taken whole or not at all:
 *
 *     verify    each: form, tenant known, signature, version; before the transaction,
 *               since it is work
 *     check     ownership of the hostname or the port          \
 *     append    to the log: sequence unused                     > each in turn, in one transaction
 *     apply     the state that follows, and what has changed   /
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/entry_ops.h"
#include "store/log.h"

static enum tow__fault_kind fault_of(int code)
{
	switch (code) {
	case TOW_EVERSION: return TOW__UNSUPPORTED_VERSION;
	case TOW_EINVAL: return TOW__UNSUPPORTED_OP;
	case TOW_ESIGNATURE: return TOW__INVALID_SIGNATURE;
	case TOW_ENOMEM: return TOW__UNAVAILABLE;
	default: return TOW__INVALID_REQUEST;
	}
}

static int verify(struct tow__taking *s, const struct tow__submission *in,
                  struct tow_entry *entries)
{
	uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE];
	struct tow_id tenant = { { 0 } }, named;
	struct tow_error err;

	for (size_t i = 0; i < in->count; i++) {
		int r = tow_entry_tenant(in->jws[i], &named, &err);
		if (r)
			return tow__fault_set(s->fault, fault_of(r), "%s", err.text);
		if (i && !tow_id_equal(&tenant, &named))
			return tow__fault_set(s->fault, TOW__INVALID_REQUEST,
			                      "all entries of a batch are of one tenant");
		if (!i) {
			tenant = named;
			if (tow__store_tenant_key(s->store, &tenant, public_key, s->fault))
				return s->fault->kind;
		}
		r = tow_entry_verify(in->jws[i], public_key, &entries[i], &err);
		if (r)
			return tow__fault_set(s->fault, fault_of(r), "%s", err.text);
		if ((entries[i].op == TOW_ENTRY_LEAVE) != (in->leave != NULL))
			return tow__fault_set(
				s->fault, TOW__UNSUPPORTED_OP,
				in->leave ? "an entry with op \"leave\" is asked for here"
					  : "\"leave\" goes to /v1/tenants/{id}/leave");
		if (in->leave && !tow_id_equal(in->leave, &tenant))
			return tow__fault_set(s->fault, TOW__TENANT_NOT_ALLOWED,
			                      "the entry is of another tenant than the path");
	}
	return 0;
}

/* An agent says every half hour that it goes on living, which is no news. */
static int is_renewal(struct tow__taking *s, const struct tow_entry *e)
{
	struct tow__db_rows rows;
	int known;

	if (e->op != TOW_ENTRY_UPSERT_AGENT)
		return 0;
	rows = tow__db_query(s->store->db,
	                     "SELECT 1 FROM agents WHERE tenant_id = $1 AND id = $2 "
	                     "AND generation = $3 AND services_hash = $4",
	                     TOW__ARGS(tow__db_id(&e->tenant_id), tow__db_id(&e->agent_id),
	                               tow__db_int(e->generation),
	                               tow__db_blob(e->services_hash, sizeof e->services_hash)));
	known = tow__db_next(&rows);
	tow__db_end(&rows);
	return known;
}

static void record(struct tow__taking *s, const struct tow_entry *e)
{
	char action[48], subject[TOW_HOSTNAME_SIZE + 16];

	snprintf(action, sizeof action, "entry.%s", tow_entry_op_name(e->op));
	tow__entry_subject(e, subject, sizeof subject);
	tow__store_audit(s->store, &e->tenant_id, action, &e->tenant_id, subject);
}

static void take(struct tow__taking *s, const struct tow_entry *e, struct tow_slice jws)
{
	int renewal = is_renewal(s, e);

	if (tow__entry_ops[e->op].check)
		tow__entry_ops[e->op].check(s, e);
	if (!s->fault->kind)
		tow__log_append(s->store, e, jws, s->now_ms, s->fault);
	if (s->fault->kind)
		return;
	tow__entry_ops[e->op].apply(s, e);
	if (!renewal)
		record(s, e);
}

/* The tenant may have gone since its key was looked up. */
static int tenant_still_there(struct tow__taking *s, const struct tow_id *tenant)
{
	return tow__store_count_of(s->store, "SELECT count(*) FROM tenants WHERE id = $1",
	                           tenant) == 1;
}

/* The transaction. */
static int take_all(struct tow__taking *s, const struct tow__submission *in,
                    const struct tow_entry *entries, uint64_t *sequence)
{
	struct tow__store *store = s->store;
	struct tow__fault *fault = s->fault;
	uint64_t highest = 0;
	size_t at = 0;

	tow__store_begin(store, TOW__DB_WRITE);
	if (!tenant_still_there(s, &entries[0].tenant_id))
		tow__fault_set(fault, TOW__TENANT_NOT_ALLOWED, "the tenant was removed");
	for (; at < in->count && !fault->kind && !tow__db_failed(store->db); at++) {
		if (entries[at].sequence > highest)
			highest = entries[at].sequence;
		take(s, &entries[at], in->jws[at]);
	}
	if (!fault->kind)
		tow__log_compact(store, &entries[0].tenant_id);
	if (!in->leave)
		highest = tow__store_count_of(s->store,
		                              "SELECT last_sequence FROM tenants WHERE id = $1",
		                              &entries[0].tenant_id);
	if (!tow__store_finish(store, fault))
		*sequence = highest;
	else if (in->count > 1 && at) {
		char text[TOW_ERROR_TEXT_SIZE];
		snprintf(text, sizeof text, "entry %zu of %zu: %.300s", at, in->count, fault->text);
		tow__fault_set(fault, fault->kind, "%s", text);
	}
	return fault->kind;
}

int tow__store_submit(struct tow__store *store, const struct tow__submission *in,
                      struct tow__submitted *out, struct tow__fault *fault)
{
	struct tow__taking s = { store, in->now_ms, fault };
	struct tow_entry *entries = calloc(in->count ? in->count : 1, sizeof *entries);

	if (!entries)
		return tow__fault_set(fault, TOW__UNAVAILABLE,
		                      "the hub is out of memory, try again later");
	if (!in->count)
		tow__fault_set(fault, TOW__INVALID_REQUEST, "there is no entry");
	if (fault->kind || verify(&s, in, entries))
		goto out;
	out->is_signed = 1;
	out->tenant = entries[0].tenant_id;
	while (take_all(&s, in, entries, &out->sequence) && tow__store_again(store, fault))
		;
out:
	free(entries);
	return fault->kind;
}
