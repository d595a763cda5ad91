/* SPDX-License-Identifier: MIT */
#include "store/private.h"

int tow__store_port_list(struct tow__store *store,
                         int (*visit)(void *user, const struct tow_route_port *port,
                                      uint64_t claimed_ms),
                         void *user, struct tow__fault *fault)
{
	struct tow__db_rows rows;
	struct tow_route_port port = { 0 };

	tow__store_begin(store, TOW__DB_READ);
	for (rows = tow__db_query(
		     store->db,
		     "SELECT protocol, port, tenant_id, service, claimed_ms FROM ports "
		     "ORDER BY protocol, port",
		     TOW__NO_ARGS);
	     tow__db_next(&rows);) {
		port.protocol = tow__db_get_int(&rows, 0) ? TOW_PROTOCOL_UDP : TOW_PROTOCOL_TCP;
		port.port = (uint16_t)tow__db_get_int(&rows, 1);
		tow__db_get_exactly(&rows, 2, port.tenant_id.bytes, sizeof port.tenant_id.bytes);
		tow__db_get_text(&rows, 3, port.service, sizeof port.service);
		if (visit(user, &port, tow__db_get_int(&rows, 4)))
			tow__db_fail(store->db, TOW_ENOMEM, "out of memory");
	}
	return tow__store_finish(store, fault);
}

int tow__store_port_available(struct tow__store *store, enum tow_protocol protocol, size_t count,
                              uint16_t *ports, size_t *found, struct tow__fault *fault)
{
	struct tow__db_rows rows;
	unsigned next = TOW__PORTS_FIRST;
	size_t n = 0;

	tow__store_begin(store, TOW__DB_READ);
	rows = tow__db_query(
		store->db,
		"SELECT port FROM ports WHERE protocol = $1 AND port >= $2 ORDER BY port",
		TOW__ARGS(tow__db_int(protocol), tow__db_int(TOW__PORTS_FIRST)));
	/* merges the ports that are held, in order, with all there are */
	while (n < count && next <= TOW__PORTS_LAST) {
		unsigned held = tow__db_next(&rows) ? (unsigned)tow__db_get_int(&rows, 0)
		                                    : TOW__PORTS_LAST + 1;
		for (; n < count && next < held && next <= TOW__PORTS_LAST; next++)
			if (!tow__store_port_reserved(store, (uint16_t)next))
				ports[n++] = (uint16_t)next;
		next = next == held ? held + 1 : next;
	}
	tow__db_end(&rows);
	if (!tow__store_finish(store, fault))
		*found = n;
	return fault->kind;
}
