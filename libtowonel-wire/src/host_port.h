/* SPDX-License-Identifier: MIT */
#ifndef TOW_WIRE_HOST_PORT_H
#define TOW_WIRE_HOST_PORT_H

/* The parts of "host:port", for addresses, origins and URLs. */

#include <towonel/wire/buf.h>
#include <towonel/wire/error.h>

/* Cuts at the colon before the port and takes an IPv6 address's brackets off; *bracketed says
 * whether there were any. Neither part is looked at. Returns 0, TOW_EPARSE. */
int tow__host_port_cut(struct tow_slice text, struct tow_slice *host, struct tow_slice *port,
                       int *bracketed, struct tow_error *err);

/* 0 to 65535 in decimal, without sign, blanks or leading zeros. Returns 0, TOW_EPARSE. */
int tow__port_parse(struct tow_slice text, uint16_t *out);

/* A literal address (IPv6 if bracketed) or a name that resolvers take. Returns 0, TOW_EPARSE. */
int tow__host_check(struct tow_slice host, int bracketed, struct tow_error *err);

#endif
