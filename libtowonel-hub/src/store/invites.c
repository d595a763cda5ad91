/* SPDX-License-Identifier: MIT */

/*
 * Invites and the patterns that come with them. Two tenants' patterns never overlap: equal ones are
 * kept apart by the primary key, a name and the wildcard over it by one probe either way. Writers
 * come one at a time, so what a probe has seen is still so at the commit.
 */

#include "store/private.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS "i.id, i.tenant_id, i.name, i.created_ms, i.expires_ms, i.revoked_ms"

void tow__invite_deinit(struct tow__invite *invite)
{
	tow__names_deinit(&invite->hostnames);
}

static void read_invite(const struct tow__db_rows *rows, struct tow__invite *out)
{
	memset(out, 0, sizeof *out);
	tow__db_get_exactly(rows, 0, out->id, sizeof out->id);
	tow__db_get_exactly(rows, 1, out->tenant_id.bytes, sizeof out->tenant_id.bytes);
	tow__db_get_text(rows, 2, out->name, sizeof out->name);
	out->created_ms = tow__db_get_int(rows, 3);
	out->expires_ms = tow__db_is_null(rows, 4) ? 0 : tow__db_get_int(rows, 4);
	out->revoked_ms = tow__db_is_null(rows, 5) ? 0 : tow__db_get_int(rows, 5);
}

void tow__store_read_patterns(struct tow__store *store, const struct tow_id *tenant,
                              struct tow__names *out)
{
	struct tow__db_rows rows;

	for (rows = tow__db_query(
		     store->db,
		     "SELECT pattern FROM patterns WHERE tenant_id = $1 ORDER BY pattern",
		     TOW__ARGS(tow__db_id(tenant)));
	     tow__db_next(&rows);)
		if (tow__names_add(out, tow__db_get_bytes(&rows, 0)))
			tow__db_fail(store->db, TOW_ENOMEM, "out of memory");
}

/* Whether the invite is there; its secret's hash too, unless NULL. */
static int find(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                struct tow__invite *out, uint8_t *secret_hash)
{
	struct tow__db_rows rows = tow__db_query(
		store->db, "SELECT " COLUMNS ", i.secret_hash FROM invites i WHERE i.id = $1",
		TOW__ARGS(tow__db_blob(id, TOW_INVITE_ID_SIZE)));
	int found = tow__db_next(&rows);

	if (found) {
		read_invite(&rows, out);
		if (secret_hash)
			tow__db_get_exactly(&rows, 6, secret_hash, TOW_HASH_SIZE);
		tow__db_end(&rows);
	}
	return found && !tow__db_failed(store->db);
}

static int not_found(struct tow__fault *fault)
{
	return tow__fault_set(fault, TOW__NOT_FOUND, "there is no such invite, or it was revoked");
}

/* Does anybody have the pattern, or another tenant one that overlaps it? */
static int conflicts(struct tow__store *store, const struct tow_id *tenant, const char *pattern,
                     struct tow__fault *fault)
{
	char zone[TOW_HOSTNAME_SIZE], taken[TOW_HOSTNAME_SIZE], name[TOW_TENANT_NAME_MAX + 1];
	struct tow_id holder;
	struct tow__db_rows rows;
	int found;

	tow__store_zone(pattern, zone);
	/* the same; a wildcard over this name; a name below this wildcard */
	rows = tow__db_query(
		store->db,
		"SELECT p.pattern, p.tenant_id, i.name FROM patterns p "
		"JOIN invites i ON i.tenant_id = p.tenant_id "
		"WHERE p.pattern = $1 OR ((p.pattern = $2 OR p.zone = $1) AND p.tenant_id <> $3) "
		"ORDER BY p.pattern <> $1 LIMIT 1",
		TOW__ARGS(tow__db_text(pattern), tow__db_text(zone), tow__db_id(tenant)));
	found = tow__db_next(&rows);
	if (found) {
		tow__db_get_text(&rows, 0, taken, sizeof taken);
		tow__db_get_exactly(&rows, 1, holder.bytes, sizeof holder.bytes);
		tow__db_get_text(&rows, 2, name, sizeof name);
	}
	tow__db_end(&rows);
	if (!found)
		return 0;
	if (tow_id_equal(&holder, tenant))
		return tow__fault_set(fault, TOW__HOSTNAME_CONFLICT,
		                      "the invite has \"%s\" already", taken);
	if (!strcmp(taken, pattern))
		return tow__fault_set(fault, TOW__HOSTNAME_CONFLICT,
		                      "\"%s\" belongs to tenant \"%s\"", pattern, name);
	return tow__fault_set(fault, TOW__HOSTNAME_CONFLICT,
	                      "\"%s\" overlaps \"%s\", which belongs to tenant \"%s\"", pattern,
	                      taken, name);
}

static int add_pattern(struct tow__store *store, const struct tow_id *tenant, const char *pattern,
                       struct tow__fault *fault)
{
	char zone[TOW_HOSTNAME_SIZE];

	tow__store_zone(pattern, zone);
	if (!tow__db_run(store->db,
	                 "INSERT INTO patterns (pattern, zone, tenant_id) VALUES ($1, $2, $3) "
	                 "ON CONFLICT DO NOTHING",
	                 TOW__ARGS(tow__db_text(pattern), tow__db_text(zone), tow__db_id(tenant))))
		return tow__fault_set(fault, TOW__HOSTNAME_CONFLICT, "\"%s\" is taken", pattern);
	return 0;
}

static int too_many(size_t count, struct tow__fault *fault)
{
	if (count <= TOW__PATTERNS_PER_TENANT)
		return 0;
	return tow__fault_set(fault, TOW__INVALID_REQUEST, "an invite has at most %d hostnames",
	                      TOW__PATTERNS_PER_TENANT);
}

static int create(struct tow__store *store, const struct tow__invite *invite,
                  const uint8_t secret_hash[TOW_HASH_SIZE],
                  const uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE], struct tow__fault *fault)
{
	const struct tow_id *tenant = &invite->tenant_id;
	const struct tow__names *names = &invite->hostnames;

	tow__store_begin(store, TOW__DB_WRITE);
	too_many(names->count, fault);
	tow__db_run(store->db,
	            "INSERT INTO tenants (id, public_key, created_ms, last_sequence, "
	            "pruned_sequence, entry_count, hostname_count) "
	            "VALUES ($1, $2, $3, 0, 0, 0, 0)",
	            TOW__ARGS(tow__db_id(tenant), tow__db_blob(public_key, TOW_MLDSA_PUBLIC_SIZE),
	                      tow__db_int(invite->created_ms)));
	tow__db_run(
		store->db,
		"INSERT INTO invites (id, tenant_id, name, secret_hash, created_ms, expires_ms) "
		"VALUES ($1, $2, $3, $4, $5, $6)",
		TOW__ARGS(tow__db_blob(invite->id, sizeof invite->id), tow__db_id(tenant),
	                  tow__db_text(invite->name), tow__db_blob(secret_hash, TOW_HASH_SIZE),
	                  tow__db_int(invite->created_ms),
	                  invite->expires_ms ? tow__db_int(invite->expires_ms) : tow__db_null()));
	for (size_t i = 0; i < names->count && !fault->kind && !tow__db_failed(store->db); i++)
		if (!conflicts(store, tenant, names->items[i], fault))
			add_pattern(store, tenant, names->items[i], fault);
	tow__store_changed_tenant(store, tenant);
	tow__store_audit(store, NULL, "invite.create", tenant, invite->name);
	return tow__store_finish(store, fault);
}

int tow__store_invite_create(struct tow__store *store, const struct tow__invite *invite,
                             const uint8_t secret_hash[TOW_HASH_SIZE],
                             const uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE],
                             struct tow__fault *fault)
{
	while (create(store, invite, secret_hash, public_key, fault) &&
	       tow__store_again(store, fault))
		;
	return fault->kind;
}

int tow__store_invite_get(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                          struct tow__invite *out, struct tow__fault *fault)
{
	struct tow__invite invite = { .revoked_ms = 0 };

	tow__store_begin(store, TOW__DB_READ);
	if (find(store, id, &invite, NULL))
		tow__store_read_patterns(store, &invite.tenant_id, &invite.hostnames);
	else
		tow__fault_set(fault, TOW__NOT_FOUND, "there is no such invite");
	if (tow__store_finish(store, fault))
		tow__invite_deinit(&invite);
	else
		*out = invite;
	return fault->kind;
}

int tow__store_invite_list(struct tow__store *store, const struct tow__page *page,
                           int (*visit)(void *user, const struct tow__invite *invite), void *user,
                           uint64_t *total, struct tow__fault *fault)
{
	struct tow__db *db = store->db;
	struct tow__db_rows rows;
	struct tow__invite invite;

	tow__store_begin(store, TOW__DB_READ);
	for (rows = tow__db_query(db, "SELECT count(*) FROM invites", TOW__NO_ARGS);
	     tow__db_next(&rows);)
		*total = tow__db_get_int(&rows, 0);
	for (rows = tow__db_query(db,
	                          "SELECT " COLUMNS " FROM invites i ORDER BY i.created_ms, i.id "
	                          "LIMIT $1 OFFSET $2",
	                          TOW__ARGS(tow__db_int(page->limit), tow__db_int(page->offset)));
	     tow__db_next(&rows);) {
		read_invite(&rows, &invite);
		tow__store_read_patterns(store, &invite.tenant_id, &invite.hostnames);
		if (!tow__db_failed(db) && visit(user, &invite))
			tow__db_fail(db, TOW_ENOMEM, "out of memory");
		tow__invite_deinit(&invite);
	}
	return tow__store_finish(store, fault);
}

/* Ends a change of an invite's patterns by telling what they now are. */
static int finish_with_patterns(struct tow__store *store, const struct tow__invite *invite,
                                struct tow__names *hostnames, struct tow__fault *fault)
{
	struct tow__names now = { .count = 0 };

	if (!fault->kind) {
		tow__store_read_patterns(store, &invite->tenant_id, &now);
		too_many(now.count, fault);
	}
	if (tow__store_finish(store, fault))
		tow__names_deinit(&now);
	else
		*hostnames = now;
	return fault->kind;
}

static int add_hostnames(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                         const struct tow__names *add, struct tow__names *hostnames,
                         struct tow__fault *fault)
{
	struct tow__invite invite = { .revoked_ms = 0 };

	tow__store_begin(store, TOW__DB_WRITE);
	if (!find(store, id, &invite, NULL) || invite.revoked_ms)
		not_found(fault);
	for (size_t i = 0; i < add->count && !fault->kind && !tow__db_failed(store->db); i++) {
		if (!conflicts(store, &invite.tenant_id, add->items[i], fault))
			add_pattern(store, &invite.tenant_id, add->items[i], fault);
		tow__store_audit(store, NULL, "invite.add_hostname", &invite.tenant_id,
		                 add->items[i]);
	}
	return finish_with_patterns(store, &invite, hostnames, fault);
}

int tow__store_invite_add_hostnames(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                                    const struct tow__names *add, struct tow__names *hostnames,
                                    struct tow__fault *fault)
{
	while (add_hostnames(store, id, add, hostnames, fault) && tow__store_again(store, fault))
		;
	return fault->kind;
}

#define UNCOVERED                                                                                  \
	"FROM hostnames WHERE tenant_id = $1 "                                                     \
	"AND pattern NOT IN (SELECT p.pattern FROM patterns p WHERE p.tenant_id = $1) "            \
	"AND zone NOT IN (SELECT p.pattern FROM patterns p WHERE p.tenant_id = $1)"

static int remove_hostname(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                           const char *pattern, struct tow__names *hostnames,
                           struct tow__fault *fault)
{
	struct tow__db *db = store->db;
	struct tow__invite invite = { .revoked_ms = 0 };
	struct tow__names left = { .count = 0 }, gone = { .count = 0 };
	struct tow__db_rows rows;

	tow__store_begin(store, TOW__DB_WRITE);
	if (!find(store, id, &invite, NULL) || invite.revoked_ms) {
		not_found(fault);
		return finish_with_patterns(store, &invite, hostnames, fault);
	}
	if (!tow__db_run(db, "DELETE FROM patterns WHERE pattern = $1 AND tenant_id = $2",
	                 TOW__ARGS(tow__db_text(pattern), tow__db_id(&invite.tenant_id))))
		tow__fault_set(fault, TOW__NOT_FOUND, "the invite has no hostname \"%s\"", pattern);
	tow__store_read_patterns(store, &invite.tenant_id, &left);
	if (!left.count && !fault->kind)
		tow__fault_set(fault, TOW__INVALID_REQUEST,
		               "\"%s\" is the invite's last hostname: revoke the invite instead",
		               pattern);
	tow__names_deinit(&left);
	for (rows = tow__db_query(db, "SELECT pattern " UNCOVERED,
	                          TOW__ARGS(tow__db_id(&invite.tenant_id)));
	     tow__db_next(&rows);)
		if (tow__names_add(&gone, tow__db_get_bytes(&rows, 0)))
			tow__db_fail(db, TOW_ENOMEM, "out of memory");
	for (size_t i = 0; i < gone.count; i++)
		tow__store_changed_hostname(store, gone.items[i]);
	tow__db_run(db, "DELETE " UNCOVERED, TOW__ARGS(tow__db_id(&invite.tenant_id)));
	tow__db_run(db, "UPDATE tenants SET hostname_count = hostname_count - $1 WHERE id = $2",
	            TOW__ARGS(tow__db_int(gone.count), tow__db_id(&invite.tenant_id)));
	tow__names_deinit(&gone);
	tow__store_audit(store, NULL, "invite.remove_hostname", &invite.tenant_id, pattern);
	return finish_with_patterns(store, &invite, hostnames, fault);
}

int tow__store_invite_remove_hostname(struct tow__store *store,
                                      const uint8_t id[TOW_INVITE_ID_SIZE], const char *pattern,
                                      struct tow__names *hostnames, struct tow__fault *fault)
{
	while (remove_hostname(store, id, pattern, hostnames, fault) &&
	       tow__store_again(store, fault))
		;
	return fault->kind;
}

int tow__store_invite_revoke(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                             uint64_t now_ms, struct tow__fault *fault)
{
	struct tow__invite invite = { .revoked_ms = 0 };

	do {
		tow__store_begin(store, TOW__DB_WRITE);
		if (!find(store, id, &invite, NULL) || invite.revoked_ms)
			not_found(fault);
		else
			tow__store_drop_tenant(store, &invite.tenant_id, now_ms);
		tow__store_audit(store, NULL, "invite.revoke", &invite.tenant_id, invite.name);
	} while (tow__store_finish(store, fault) && tow__store_again(store, fault));
	return fault->kind;
}

int tow__store_invite_check(struct tow__store *store, const uint8_t id[TOW_INVITE_ID_SIZE],
                            const uint8_t secret_hash[TOW_HASH_SIZE], uint64_t now_ms,
                            struct tow__invite *out, struct tow__fault *fault)
{
	uint8_t hash[TOW_HASH_SIZE] = { 0 };
	struct tow__invite invite = { .revoked_ms = 0 };
	int found, right;

	tow__store_begin(store, TOW__DB_READ);
	found = find(store, id, &invite, hash);
	/* compared in any case, so that the time tells nothing */
	right = tow_secret_equal(hash, secret_hash, sizeof hash);
	if (!found || !right || invite.revoked_ms)
		tow__fault_set(fault, TOW__UNAUTHORIZED,
		               "the invite is unknown or was revoked, or its secret is another: "
		               "ask the operator "
		               "for a new token");
	else if (invite.expires_ms && invite.expires_ms <= now_ms)
		tow__fault_set(fault, TOW__INVITE_EXPIRED,
		               "the invite has expired: ask the operator for a new one");
	else
		tow__store_read_patterns(store, &invite.tenant_id, &invite.hostnames);
	if (tow__store_finish(store, fault))
		tow__invite_deinit(&invite);
	else
		*out = invite;
	return fault->kind;
}
