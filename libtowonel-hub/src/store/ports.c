/* SPDX-License-Identifier: MIT */
#include "store/ports.h"

#include <stdio.h>
#include <string.h>

void tow__port_read(const struct tow__db_rows *rows, struct tow__port *out)
{
	out->protocol = tow__db_get_int(rows, 0) ? TOW_PROTOCOL_UDP : TOW_PROTOCOL_TCP;
	out->number = (uint16_t)tow__db_get_int(rows, 1);
	tow__db_get_exactly(rows, 2, out->tenant_id.bytes, sizeof out->tenant_id.bytes);
	tow__db_get_text(rows, 3, out->service, sizeof out->service);
	tow__access_get(rows, 4, &out->access);
	out->reserved = tow__db_get_int(rows, 5) != 0;
	tow__db_get_text(rows, 6, out->label, sizeof out->label);
	out->claimed_ms = tow__db_get_int(rows, 7);
}

int tow__ports_allowed(const struct tow__store *store, enum tow_protocol protocol, uint16_t first,
                       uint16_t count, struct tow__fault *fault)
{
	if (first < 1024 && !store->config.allow_privileged_ports)
		return tow__fault_set(fault, TOW__TENANT_NOT_ALLOWED,
		                      "port %u/%s is below 1024, which this hub does not allow "
		                      "(TOWONEL_HUB_ALLOW_PRIVILEGED_PORTS)",
		                      first, tow_protocol_name(protocol));
	for (unsigned port = first; port < (unsigned)first + count; port++)
		if (tow__store_port_is_hosts(store, (uint16_t)port))
			return tow__fault_set(fault, TOW__PORT_IN_USE,
			                      "port %u/%s is taken by the host of the tunnel "
			                      "itself",
			                      port, tow_protocol_name(protocol));
	return 0;
}

void tow__port_refuse(struct tow__store *store, const struct tow__port *taken,
                      const struct tow_id *asking, struct tow__fault *fault)
{
	const char *protocol = tow_protocol_name(taken->protocol);
	char name[TOW_TENANT_NAME_MAX + 1] = "", id[TOW_ID_TEXT_SIZE];
	struct tow__db_rows rows;

	if (tow_id_equal(&taken->tenant_id, asking)) {
		tow__fault_set(fault, TOW__PORT_IN_USE,
		               "port %u/%s is taken by your own service \"%s\"", taken->number,
		               protocol, taken->service);
		return;
	}
	for (rows = tow__db_query(store->db, "SELECT name FROM invites WHERE tenant_id = $1",
	                          TOW__ARGS(tow__db_id(&taken->tenant_id)));
	     tow__db_next(&rows);)
		tow__db_get_text(&rows, 0, name, sizeof name);
	tow_id_format(&taken->tenant_id, id);
	if (taken->service[0])
		tow__fault_set(fault, TOW__PORT_IN_USE,
		               "port %u/%s is taken by service \"%s\" of tenant \"%s\" (%.16s...)",
		               taken->number, protocol, taken->service, name, id);
	else
		tow__fault_set(fault, TOW__PORT_IN_USE,
		               "port %u/%s is reserved for tenant \"%s\" (%.16s...)", taken->number,
		               protocol, name, id);
}

/* --- what there is --- */

static int expect_tenant(struct tow__store *store, const struct tow_id *tenant,
                         struct tow__fault *fault)
{
	if (tow__store_count_of(store, "SELECT count(*) FROM tenants WHERE id = $1", tenant))
		return 0;
	return tow__fault_set(fault, TOW__NOT_FOUND, "there is no such tenant");
}

int tow__store_port_list(struct tow__store *store, const struct tow_id *tenant,
                         const struct tow__page *page,
                         int (*visit)(void *user, const struct tow__port *port), void *user,
                         uint64_t *total, struct tow__fault *fault)
{
	struct tow__db *db = store->db;
	struct tow__db_value all = tow__db_int(!tenant);
	struct tow__db_value whose = tenant ? tow__db_id(tenant) : tow__db_blob("", 0);
	struct tow__db_rows rows;
	struct tow__port port;

	tow__store_begin(store, TOW__DB_READ);
	if (tenant)
		expect_tenant(store, tenant, fault);
	for (rows = tow__db_query(db, "SELECT count(*) FROM ports WHERE $1 = 1 OR tenant_id = $2",
	                          TOW__ARGS(all, whose));
	     tow__db_next(&rows);)
		*total = tow__db_get_int(&rows, 0);
	for (rows = tow__db_query(
		     db,
		     "SELECT " TOW__PORT_COLUMNS " FROM ports "
		     "WHERE $1 = 1 OR tenant_id = $2 "
		     "ORDER BY protocol, port LIMIT $3 OFFSET $4",
		     TOW__ARGS(all, whose, tow__db_int(page->limit), tow__db_int(page->offset)));
	     tow__db_next(&rows);) {
		tow__port_read(&rows, &port);
		if (visit(user, &port))
			tow__db_fail(db, TOW_ENOMEM, "out of memory");
	}
	return tow__store_finish(store, fault);
}

/* Within a transaction. Returns how many were found. */
static size_t find_available(struct tow__store *store, enum tow_protocol protocol, size_t count,
                             uint16_t *ports)
{
	struct tow__db_rows rows = tow__db_query(
		store->db,
		"SELECT port FROM ports WHERE protocol = $1 AND port >= $2 ORDER BY port",
		TOW__ARGS(tow__db_int(protocol), tow__db_int(TOW__PORTS_FIRST)));
	unsigned next = TOW__PORTS_FIRST;
	size_t n = 0;

	/* merges the ports that are somebody's, in order, with all there are */
	while (n < count && next <= TOW__PORTS_LAST) {
		unsigned held = tow__db_next(&rows) ? (unsigned)tow__db_get_int(&rows, 0)
		                                    : TOW__PORTS_LAST + 1;
		for (; n < count && next < held && next <= TOW__PORTS_LAST; next++)
			if (!tow__store_port_is_hosts(store, (uint16_t)next))
				ports[n++] = (uint16_t)next;
		next = next == held ? held + 1 : next;
	}
	tow__db_end(&rows);
	return n;
}

int tow__store_port_available(struct tow__store *store, enum tow_protocol protocol, size_t count,
                              uint16_t *ports, size_t *found, struct tow__fault *fault)
{
	size_t n;

	tow__store_begin(store, TOW__DB_READ);
	n = find_available(store, protocol, count, ports);
	if (!tow__store_finish(store, fault))
		*found = n;
	return fault->kind;
}

/* --- reservations --- */

/* Gives the port a number. */
static int choose(struct tow__store *store, struct tow__port *port, struct tow__fault *fault)
{
	if (port->number)
		return tow__ports_allowed(store, port->protocol, port->number, 1, fault);
	if (!find_available(store, port->protocol, 1, &port->number))
		return tow__fault_set(fault, TOW__PORT_IN_USE, "no port from %d to %d is free",
		                      TOW__PORTS_FIRST, TOW__PORTS_LAST);
	return 0;
}

/* As it is now; 1: it is somebody's. */
static int find(struct tow__store *store, const struct tow__port *port, struct tow__port *out)
{
	struct tow__db_rows rows = tow__db_query(
		store->db,
		"SELECT " TOW__PORT_COLUMNS " FROM ports WHERE protocol = $1 AND port = $2",
		TOW__ARGS(tow__db_int(port->protocol), tow__db_int(port->number)));
	int found = tow__db_next(&rows);

	if (found)
		tow__port_read(&rows, out);
	tow__db_end(&rows);
	return found;
}

static void record(struct tow__store *store, const char *action, const struct tow_id *tenant,
                   enum tow_protocol protocol, uint16_t number)
{
	char subject[16];

	snprintf(subject, sizeof subject, "%u/%s", number, tow_protocol_name(protocol));
	tow__store_audit(store, NULL, action, tenant, subject);
}

static void reserve(struct tow__store *store, struct tow__port *port, struct tow__fault *fault)
{
	struct tow__port now;

	if (expect_tenant(store, &port->tenant_id, fault) || choose(store, port, fault))
		return;
	if (!find(store, port, &now)) {
		port->service[0] = '\0';
		if (tow__store_count_of(store, "SELECT count(*) FROM ports WHERE tenant_id = $1",
		                        &port->tenant_id) >= TOW__PORTS_PER_TENANT)
			tow__fault_set(fault, TOW__TENANT_NOT_ALLOWED,
			               "a tenant has at most %d ports", TOW__PORTS_PER_TENANT);
	} else if (!tow_id_equal(&now.tenant_id, &port->tenant_id)) {
		tow__port_refuse(store, &now, &port->tenant_id, fault);
	} else if (now.reserved) {
		tow__fault_set(fault, TOW__PORT_IN_USE,
		               "port %u/%s is reserved for this tenant already", port->number,
		               tow_protocol_name(port->protocol));
	} else {
		memcpy(port->service, now.service, sizeof port->service);
		port->claimed_ms = now.claimed_ms;
	}
	if (fault->kind)
		return;
	tow__db_run(store->db,
	            "INSERT INTO ports (protocol, port, tenant_id, service, idle_timeout_secs, "
	            "reserved, label, claimed_ms) VALUES ($1, $2, $3, '', 0, 1, $4, $5) "
	            "ON CONFLICT (protocol, port) DO UPDATE SET reserved = 1, "
	            "label = excluded.label",
	            TOW__ARGS(tow__db_int(port->protocol), tow__db_int(port->number),
	                      tow__db_id(&port->tenant_id), tow__db_text(port->label),
	                      tow__db_int(port->claimed_ms)));
	record(store, "port.reserve", &port->tenant_id, port->protocol, port->number);
}

int tow__store_port_reserve(struct tow__store *store, struct tow__port *port,
                            struct tow__fault *fault)
{
	const struct tow__port asked = *port;

	do {
		*port = asked;
		tow__store_begin(store, TOW__DB_WRITE);
		reserve(store, port, fault);
	} while (tow__store_finish(store, fault) && tow__store_again(store, fault));
	return fault->kind;
}

int tow__store_port_release(struct tow__store *store, const struct tow_id *tenant,
                            enum tow_protocol protocol, uint16_t number, struct tow__fault *fault)
{
	const struct tow__db_value key[] = { tow__db_int(protocol), tow__db_int(number),
		                             tow__db_id(tenant) };

	/* edges hear of services' ports only, and those stay as they are */
	do {
		tow__store_begin(store, TOW__DB_WRITE);
		if (!tow__db_run(store->db,
		                 "DELETE FROM ports WHERE protocol = $1 AND port = $2 "
		                 "AND tenant_id = $3 AND reserved = 1 AND service = ''",
		                 key, 3) &&
		    !tow__db_run(store->db,
		                 "UPDATE ports SET reserved = 0, label = '' WHERE protocol = $1 "
		                 "AND port = $2 AND tenant_id = $3 AND reserved = 1",
		                 key, 3))
			tow__fault_set(fault, TOW__NOT_FOUND,
			               "port %u/%s is not reserved for this tenant", number,
			               tow_protocol_name(protocol));
		else
			record(store, "port.release", tenant, protocol, number);
	} while (tow__store_finish(store, fault) && tow__store_again(store, fault));
	return fault->kind;
}
