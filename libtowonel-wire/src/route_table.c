/* SPDX-License-Identifier: MIT */

/*
 * Four hash tables, and for each tenant the list of what it owns, so that a tenant goes in time
 * proportional to its own things:
 *
 *   owners ---- owner --+-- hostnames -- ...    each also in the table of its kind
 *                       +-- ports ------ ...
 *                       '-- revoked ---- ...
 *
 * A hostname may come before its tenant, or outlive it when a hub says so: its owner is then there
 * without a public key, until it has neither key nor things.
 *
 * Applying has two halves. prepare() does all that can fail: for each key that the event brings and
 * the table lacks it makes a node and puts it into its hash table; when memory runs out these are
 * taken out again, and nothing has changed. commit() then cannot fail: it fills the nodes in, gives
 * them to their owners, and removes. What is removed and brought by the same event stays, since
 * every node brought carries the event's stamp. A snapshot is applied to a set of empty tables,
 * which then takes the place of the old one.
 *
 * Visitors and tenants choose the keys, so the hash is SipHash-2-4 under a random key of the table.
 */

#include <towonel/wire/route_feed.h>

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "route_event.h"

#define HASH_NONFATAL_OOM 1 /* a node that could not be added has hh.tbl NULL */
#include <uthash.h>
#include <utlist.h>

struct owner;

struct hostname {
	struct tow_route_hostname route;
	struct owner *owner; /* NULL while prepared */
	struct hostname *prev, *next;
	struct hostname *fresh_next;
	uint64_t stamp;
	UT_hash_handle hh;
};

struct port_key {
	uint16_t protocol;
	uint16_t port;
};

struct port {
	struct port_key key;
	struct tow_route_port route;
	struct owner *owner;
	struct port *prev, *next;
	struct port *fresh_next;
	uint64_t stamp;
	UT_hash_handle hh;
};

struct revocation_key {
	struct tow_id tenant_id;
	struct tow_id agent_id;
};

struct revocation {
	struct revocation_key key;
	uint64_t expires_at_ms;
	struct owner *owner;
	struct revocation *prev, *next;
	struct revocation *fresh_next;
	uint64_t stamp;
	UT_hash_handle hh;
};

struct owner {
	struct tow_route_tenant tenant;
	int known; /* has a public key */
	struct hostname *hostnames;
	struct port *ports;
	struct revocation *revoked;
	struct owner *fresh_next;
	struct owner *touched_next;
	int touched; /* may have lost its last thing */
	int removed; /* tell the observer */
	uint64_t stamp;
	UT_hash_handle hh;
};

struct tables {
	struct owner *owners;
	struct hostname *hostnames;
	struct port *ports;
	struct revocation *revoked;
};

struct tow_route_table {
	uint64_t version;
	uint64_t stamp; /* of the last event */
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	struct tables tables;
};

/* One event on its way in. */
struct apply {
	const struct tow_route_table *table; /* for the hash key */
	struct tables *tables;
	uint64_t stamp;
	struct owner *fresh_owners;
	struct hostname *fresh_hostnames;
	struct port *fresh_ports;
	struct revocation *fresh_revoked;
	struct owner *touched;
	struct port *removed_ports;
};

const char *tow_protocol_name(enum tow_protocol protocol)
{
	return protocol == TOW_PROTOCOL_UDP ? "udp" : "tcp";
}

static unsigned hash_of(const struct tow_route_table *table, const void *key, size_t len)
{
	uint8_t hash[crypto_shorthash_BYTES];
	unsigned value;

	crypto_shorthash(hash, key, len, table->hash_key);
	memcpy(&value, hash, sizeof(value));
	return value;
}

/* uthash as functions: one finder and one adder for each kind. */

static struct owner *find_owner(const struct tow_route_table *table, const struct tables *t,
                                const struct tow_id *id)
{
	struct owner *found;

	HASH_FIND_BYHASHVALUE(hh, t->owners, id, sizeof(*id), hash_of(table, id, sizeof(*id)),
	                      found);
	return found;
}

static struct hostname *find_hostname(const struct tow_route_table *table, const struct tables *t,
                                      const char *pattern)
{
	struct hostname *found;
	size_t len = strlen(pattern);

	HASH_FIND_BYHASHVALUE(hh, t->hostnames, pattern, len, hash_of(table, pattern, len), found);
	return found;
}

static struct port *find_port(const struct tow_route_table *table, const struct tables *t,
                              enum tow_protocol protocol, uint16_t number)
{
	struct port_key key = { (uint16_t)protocol, number };
	struct port *found;

	HASH_FIND_BYHASHVALUE(hh, t->ports, &key, sizeof(key), hash_of(table, &key, sizeof(key)),
	                      found);
	return found;
}

static struct revocation *find_revocation(const struct tow_route_table *table,
                                          const struct tables *t, const struct tow_id *tenant,
                                          const struct tow_id *agent)
{
	struct revocation_key key = { *tenant, *agent };
	struct revocation *found;

	HASH_FIND_BYHASHVALUE(hh, t->revoked, &key, sizeof(key), hash_of(table, &key, sizeof(key)),
	                      found);
	return found;
}

/* The first half: nodes for the keys that are new. Each returns 0, TOW_ENOMEM. */

static int prepare_owner(struct apply *a, const struct tow_id *id)
{
	struct owner *owner;

	if (find_owner(a->table, a->tables, id))
		return 0;
	owner = calloc(1, sizeof(*owner));
	if (!owner)
		return TOW_ENOMEM;
	owner->tenant.id = *id;
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, a->tables->owners, &owner->tenant.id, sizeof(*id),
	                            hash_of(a->table, id, sizeof(*id)), owner);
	if (!owner->hh.tbl) {
		free(owner);
		return TOW_ENOMEM;
	}
	LL_PREPEND2(a->fresh_owners, owner, fresh_next);
	return 0;
}

static int prepare_hostname(struct apply *a, const struct tow_route_hostname *route)
{
	struct hostname *hostname;
	size_t len = strlen(route->pattern);

	if (find_hostname(a->table, a->tables, route->pattern))
		return 0;
	hostname = calloc(1, sizeof(*hostname));
	if (!hostname)
		return TOW_ENOMEM;
	hostname->route = *route;
	hostname->route.access = NULL; /* comes with the rest, once nothing can fail */
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, a->tables->hostnames, hostname->route.pattern, len,
	                            hash_of(a->table, route->pattern, len), hostname);
	if (!hostname->hh.tbl) {
		free(hostname);
		return TOW_ENOMEM;
	}
	LL_PREPEND2(a->fresh_hostnames, hostname, fresh_next);
	return 0;
}

static int prepare_port(struct apply *a, const struct tow_route_port *route)
{
	struct port *port;

	if (find_port(a->table, a->tables, route->protocol, route->port))
		return 0;
	port = calloc(1, sizeof(*port));
	if (!port)
		return TOW_ENOMEM;
	port->key.protocol = (uint16_t)route->protocol;
	port->key.port = route->port;
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, a->tables->ports, &port->key, sizeof(port->key),
	                            hash_of(a->table, &port->key, sizeof(port->key)), port);
	if (!port->hh.tbl) {
		free(port);
		return TOW_ENOMEM;
	}
	LL_PREPEND2(a->fresh_ports, port, fresh_next);
	return 0;
}

static int prepare_revocation(struct apply *a, const struct tow__route_revocation *item)
{
	struct revocation *revocation;

	if (find_revocation(a->table, a->tables, &item->tenant_id, &item->agent_id))
		return 0;
	revocation = calloc(1, sizeof(*revocation));
	if (!revocation)
		return TOW_ENOMEM;
	revocation->key.tenant_id = item->tenant_id;
	revocation->key.agent_id = item->agent_id;
	HASH_ADD_KEYPTR_BYHASHVALUE(
		hh, a->tables->revoked, &revocation->key, sizeof(revocation->key),
		hash_of(a->table, &revocation->key, sizeof(revocation->key)), revocation);
	if (!revocation->hh.tbl) {
		free(revocation);
		return TOW_ENOMEM;
	}
	LL_PREPEND2(a->fresh_revoked, revocation, fresh_next);
	return 0;
}

static int prepare_all(struct apply *a, const struct tow__route_event *event)
{
	const struct tow_route_tenant *tenants = event->tenants.items;
	const struct tow_route_hostname *hostnames = event->hostnames.items;
	const struct tow_route_port *ports = event->ports.items;
	const struct tow__route_revocation *revoked = event->revoked.items;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < event->tenants.count; i++)
		rc = prepare_owner(a, &tenants[i].id);
	for (size_t i = 0; rc == 0 && i < event->hostnames.count; i++) {
		rc = prepare_owner(a, &hostnames[i].tenant_id);
		if (rc == 0)
			rc = prepare_hostname(a, &hostnames[i]);
	}
	for (size_t i = 0; rc == 0 && i < event->ports.count; i++) {
		rc = prepare_owner(a, &ports[i].tenant_id);
		if (rc == 0)
			rc = prepare_port(a, &ports[i]);
	}
	for (size_t i = 0; rc == 0 && i < event->revoked.count; i++) {
		rc = prepare_owner(a, &revoked[i].tenant_id);
		if (rc == 0)
			rc = prepare_revocation(a, &revoked[i]);
	}
	return rc;
}

#define FREE_FRESH(head, list, type)                            \
	for (struct type *node = (list), *next; node; node = next) { \
		next = node->fresh_next;                             \
		HASH_DELETE(hh, head, node);                         \
		free(node);                                          \
	}

static int prepare(struct apply *a, const struct tow__route_event *event)
{
	int rc = prepare_all(a, event);

	if (rc == 0)
		return 0;
	FREE_FRESH(a->tables->owners, a->fresh_owners, owner)
	FREE_FRESH(a->tables->hostnames, a->fresh_hostnames, hostname)
	FREE_FRESH(a->tables->ports, a->fresh_ports, port)
	FREE_FRESH(a->tables->revoked, a->fresh_revoked, revocation)
	return rc;
}

/* The second half. */

static void touch(struct apply *a, struct owner *owner)
{
	if (owner->touched)
		return;
	owner->touched = 1;
	LL_PREPEND2(a->touched, owner, touched_next);
}

static void take_access(struct tow_access **to, struct tow_access **from)
{
	free(*to);
	*to = *from;
	*from = NULL;
}

static void bring_hostname(struct apply *a, struct tow_route_hostname *route)
{
	struct hostname *hostname = find_hostname(a->table, a->tables, route->pattern);
	struct owner *owner = find_owner(a->table, a->tables, &route->tenant_id);

	if (hostname->owner) {
		DL_DELETE(hostname->owner->hostnames, hostname);
		touch(a, hostname->owner);
	}
	hostname->route.tenant_id = route->tenant_id;
	hostname->route.tls_mode = route->tls_mode;
	hostname->route.http_mode = route->http_mode;
	take_access(&hostname->route.access, &route->access);
	hostname->owner = owner;
	hostname->stamp = a->stamp;
	DL_PREPEND(owner->hostnames, hostname);
}

static void bring_port(struct apply *a, struct tow_route_port *route)
{
	struct port *port = find_port(a->table, a->tables, route->protocol, route->port);
	struct owner *owner = find_owner(a->table, a->tables, &route->tenant_id);

	if (port->owner) {
		DL_DELETE(port->owner->ports, port);
		touch(a, port->owner);
	}
	free(port->route.access);
	port->route = *route;
	route->access = NULL; /* the node's now */
	port->owner = owner;
	port->stamp = a->stamp;
	DL_PREPEND(owner->ports, port);
}

static void bring_revocation(struct apply *a, const struct tow__route_revocation *item)
{
	struct revocation *revocation =
	        find_revocation(a->table, a->tables, &item->tenant_id, &item->agent_id);

	if (!revocation->owner) {
		revocation->owner = find_owner(a->table, a->tables, &item->tenant_id);
		DL_PREPEND(revocation->owner->revoked, revocation);
	}
	revocation->expires_at_ms = item->expires_at_ms;
	revocation->stamp = a->stamp;
}

static void free_hostname(struct hostname *hostname)
{
	free(hostname->route.access);
	free(hostname);
}

static void free_port(struct port *port)
{
	free(port->route.access);
	free(port);
}

static void remove_hostname(struct apply *a, struct hostname *hostname)
{
	if (hostname->stamp == a->stamp)
		return;
	DL_DELETE(hostname->owner->hostnames, hostname);
	touch(a, hostname->owner);
	HASH_DELETE(hh, a->tables->hostnames, hostname);
	free_hostname(hostname);
}

/* The node is kept until the observer has been told. */
static void remove_port(struct apply *a, struct port *port)
{
	if (port->stamp == a->stamp)
		return;
	DL_DELETE(port->owner->ports, port);
	touch(a, port->owner);
	HASH_DELETE(hh, a->tables->ports, port);
	LL_PREPEND2(a->removed_ports, port, fresh_next);
}

static void remove_tenant(struct apply *a, struct owner *owner)
{
	struct hostname *hostname, *next_hostname;
	struct port *port, *next_port;
	struct revocation *revocation, *next_revocation;

	touch(a, owner);
	if (owner->known && owner->stamp != a->stamp) {
		owner->known = 0;
		owner->removed = 1;
	}
	DL_FOREACH_SAFE(owner->hostnames, hostname, next_hostname)
		remove_hostname(a, hostname);
	DL_FOREACH_SAFE(owner->ports, port, next_port)
		remove_port(a, port);
	DL_FOREACH_SAFE(owner->revoked, revocation, next_revocation) {
		if (revocation->stamp == a->stamp)
			continue;
		DL_DELETE(owner->revoked, revocation);
		HASH_DELETE(hh, a->tables->revoked, revocation);
		free(revocation);
	}
}

static int owner_is_dead(const struct owner *owner)
{
	return !owner->known && !owner->hostnames && !owner->ports && !owner->revoked;
}

static void commit(struct apply *a, const struct tow__route_event *event)
{
	const struct tow_route_tenant *tenants = event->tenants.items;
	struct tow_route_hostname *hostnames = event->hostnames.items;
	struct tow_route_port *ports = event->ports.items;
	const struct tow__route_revocation *revoked = event->revoked.items;
	const struct tow_id *removed_tenants = event->removed_tenants.items;
	const struct tow_route_hostname *removed_hostnames = event->removed_hostnames.items;
	const struct tow_route_port *removed_ports = event->removed_ports.items;
	struct owner *owner;

	for (size_t i = 0; i < event->tenants.count; i++) {
		owner = find_owner(a->table, a->tables, &tenants[i].id);
		owner->tenant = tenants[i];
		owner->known = 1;
		owner->stamp = a->stamp;
	}
	for (size_t i = 0; i < event->hostnames.count; i++)
		bring_hostname(a, &hostnames[i]);
	for (size_t i = 0; i < event->ports.count; i++)
		bring_port(a, &ports[i]);
	for (size_t i = 0; i < event->revoked.count; i++)
		bring_revocation(a, &revoked[i]);

	for (size_t i = 0; i < event->removed_tenants.count; i++) {
		owner = find_owner(a->table, a->tables, &removed_tenants[i]);
		if (owner)
			remove_tenant(a, owner);
	}
	for (size_t i = 0; i < event->removed_hostnames.count; i++) {
		struct hostname *hostname =
		        find_hostname(a->table, a->tables, removed_hostnames[i].pattern);

		if (hostname)
			remove_hostname(a, hostname);
	}
	for (size_t i = 0; i < event->removed_ports.count; i++) {
		struct port *port = find_port(a->table, a->tables, removed_ports[i].protocol,
		                              removed_ports[i].port);

		if (port)
			remove_port(a, port);
	}
	LL_FOREACH2(a->touched, owner, touched_next)
		if (owner_is_dead(owner))
			HASH_DELETE(hh, a->tables->owners, owner);
}

static void tell_added(const struct apply *a, const struct tables *before,
                       const struct tow_route_observer *observer, void *user)
{
	const struct port *port;
	const struct revocation *revocation;

	LL_FOREACH2(a->fresh_ports, port, fresh_next)
		if (observer->port_added &&
		    !find_port(a->table, before, port->route.protocol, port->route.port))
			observer->port_added(user, &port->route);
	LL_FOREACH2(a->fresh_revoked, revocation, fresh_next)
		if (observer->agent_revoked &&
		    !find_revocation(a->table, before, &revocation->key.tenant_id,
		                     &revocation->key.agent_id))
			observer->agent_revoked(user, &revocation->key.tenant_id,
			                        &revocation->key.agent_id);
}

/* Tells what a delta removed, and frees it. */
static void bury(struct apply *a, const struct tow_route_observer *observer, void *user)
{
	struct owner *owner, *next_owner;
	struct port *port, *next_port;

	LL_FOREACH_SAFE2(a->removed_ports, port, next_port, fresh_next) {
		if (observer->port_removed)
			observer->port_removed(user, port->route.protocol, port->route.port);
		free_port(port);
	}
	LL_FOREACH_SAFE2(a->touched, owner, next_owner, touched_next) {
		if (owner->removed && observer->tenant_removed)
			observer->tenant_removed(user, &owner->tenant.id);
		owner->touched = owner->removed = 0;
		if (owner_is_dead(owner))
			free(owner);
	}
}

static void tables_deinit(struct tables *t)
{
	struct owner *owner, *next_owner;
	struct hostname *hostname, *next_hostname;
	struct port *port, *next_port;
	struct revocation *revocation, *next_revocation;

	HASH_ITER(hh, t->owners, owner, next_owner) {
		HASH_DELETE(hh, t->owners, owner);
		free(owner);
	}
	HASH_ITER(hh, t->hostnames, hostname, next_hostname) {
		HASH_DELETE(hh, t->hostnames, hostname);
		free_hostname(hostname);
	}
	HASH_ITER(hh, t->ports, port, next_port) {
		HASH_DELETE(hh, t->ports, port);
		free_port(port);
	}
	HASH_ITER(hh, t->revoked, revocation, next_revocation) {
		HASH_DELETE(hh, t->revoked, revocation);
		free(revocation);
	}
}

/* Tells what a snapshot no longer has, and frees the tables that had it. */
static void bury_all(const struct tow_route_table *table, struct tables *before,
                     const struct tow_route_observer *observer, void *user)
{
	struct port *port, *next_port;
	struct owner *owner, *next_owner;

	HASH_ITER(hh, before->ports, port, next_port)
		if (observer->port_removed &&
		    !find_port(table, &table->tables, port->route.protocol, port->route.port))
			observer->port_removed(user, port->route.protocol, port->route.port);
	HASH_ITER(hh, before->owners, owner, next_owner)
		if (observer->tenant_removed && owner->known &&
		    !tow_route_lookup_tenant(table, &owner->tenant.id))
			observer->tenant_removed(user, &owner->tenant.id);
	tables_deinit(before);
}

static int apply_event(struct tow_route_table *table, const struct tow__route_event *event,
                       const struct tow_route_observer *observer, void *user)
{
	struct tables before = { NULL, NULL, NULL, NULL };
	struct tables fresh = { NULL, NULL, NULL, NULL };
	struct apply a = { .table = table, .stamp = table->stamp + 1 };
	int rc;

	a.tables = event->is_delta ? &table->tables : &fresh;
	rc = prepare(&a, event);
	if (rc != 0)
		return rc;
	commit(&a, event);
	if (!event->is_delta) {
		before = table->tables;
		table->tables = fresh;
	}
	table->stamp = a.stamp;
	table->version = event->version;

	bury(&a, observer, user);
	tell_added(&a, &before, observer, user);
	bury_all(table, &before, observer, user);
	return 0;
}

int tow_route_table_apply(struct tow_route_table *table, struct tow_slice json,
                          const struct tow_route_observer *observer, void *user,
                          struct tow_error *err)
{
	static const struct tow_route_observer nobody;
	struct tow__route_event event;
	int rc = tow__route_event_parse(json, &event, err);

	if (rc != 0)
		return rc;
	if (event.is_delta && (table->version == 0 || event.from != table->version))
		rc = tow_error_set(
			err, TOW_ECONFLICT, "a delta from version %llu, the table has %llu",
			(unsigned long long)event.from, (unsigned long long)table->version);
	else if (apply_event(table, &event, observer ? observer : &nobody, user) != 0)
		rc = tow_error_set(err, TOW_ENOMEM, "out of memory");
	tow__route_event_deinit(&event);
	return rc;
}

struct tow_route_table *tow_route_table_new(void)
{
	struct tow_route_table *table = calloc(1, sizeof(*table));

	if (table)
		tow_random(table->hash_key, sizeof(table->hash_key));
	return table;
}

void tow_route_table_free(struct tow_route_table *table)
{
	if (!table)
		return;
	tables_deinit(&table->tables);
	free(table);
}

uint64_t tow_route_table_version(const struct tow_route_table *table)
{
	return table->version;
}

void tow_route_table_expire(struct tow_route_table *table, uint64_t now_ms)
{
	struct apply a = { .table = table, .tables = &table->tables, .stamp = table->stamp + 1 };
	struct revocation *revocation, *next;
	struct owner *owner, *next_owner;

	HASH_ITER(hh, table->tables.revoked, revocation, next) {
		if (revocation->expires_at_ms == 0 || revocation->expires_at_ms > now_ms)
			continue;
		DL_DELETE(revocation->owner->revoked, revocation);
		touch(&a, revocation->owner);
		HASH_DELETE(hh, table->tables.revoked, revocation);
		free(revocation);
	}
	LL_FOREACH_SAFE2(a.touched, owner, next_owner, touched_next) {
		owner->touched = 0;
		if (owner_is_dead(owner)) {
			HASH_DELETE(hh, table->tables.owners, owner);
			free(owner);
		}
	}
}

int tow_route_table_dump(const struct tow_route_table *table, struct tow_buf *out)
{
	struct tow_route_writer *w = tow_route_writer_new(0, table->version);
	const struct tables *t = &table->tables;
	int rc;

	if (!w)
		return TOW_ENOMEM;
	for (const struct owner *o = t->owners; o; o = o->hh.next)
		if (o->known)
			tow_route_write_tenant(w, &o->tenant);
	for (const struct hostname *h = t->hostnames; h; h = h->hh.next)
		tow_route_write_hostname(w, &h->route);
	for (const struct port *p = t->ports; p; p = p->hh.next)
		tow_route_write_port(w, &p->route);
	for (const struct revocation *r = t->revoked; r; r = r->hh.next)
		tow_route_write_revoked_agent(w, &r->key.tenant_id, &r->key.agent_id,
		                              r->expires_at_ms);
	rc = tow_route_writer_finish(w, out);
	tow_route_writer_free(w);
	return rc;
}

const struct tow_route_hostname *tow_route_lookup(const struct tow_route_table *table,
                                                  const char *server_name)
{
	const struct hostname *found = find_hostname(table, &table->tables, server_name);
	char wildcard[TOW_HOSTNAME_SIZE];

	if (!found && tow_hostname_wildcard_of(server_name, wildcard) == 0)
		found = find_hostname(table, &table->tables, wildcard);
	return found ? &found->route : NULL;
}

const struct tow_route_port *tow_route_lookup_port(const struct tow_route_table *table,
                                                   enum tow_protocol protocol, uint16_t port)
{
	const struct port *found = find_port(table, &table->tables, protocol, port);

	return found ? &found->route : NULL;
}

const struct tow_route_tenant *tow_route_lookup_tenant(const struct tow_route_table *table,
                                                       const struct tow_id *tenant)
{
	const struct owner *found = find_owner(table, &table->tables, tenant);

	return found && found->known ? &found->tenant : NULL;
}

int tow_route_agent_revoked(const struct tow_route_table *table, const struct tow_id *tenant,
                            const struct tow_id *agent)
{
	return find_revocation(table, &table->tables, tenant, agent) != NULL;
}

size_t tow_route_table_hostname_count(const struct tow_route_table *table)
{
	return HASH_COUNT(table->tables.hostnames);
}

void tow_route_table_each_port(const struct tow_route_table *table,
                               void (*visit)(void *user, const struct tow_route_port *port),
                               void *user)
{
	for (const struct port *p = table->tables.ports; p; p = p->hh.next)
		visit(user, &p->route);
}
