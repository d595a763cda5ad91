/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_ADDR_H
#define TOWONEL_WIRE_ADDR_H

/*
 * An IP address and port without sockets. The family's numbers are 0 (none), 4 and 6, so
 * that a header of this library needs nothing of the system's. IPv4 uses bytes[0..3].
 * IPv4-mapped IPv6 addresses are turned into IPv4 by tow_addr_unmap, which everything that
 * takes an address from a dual-stack socket calls: an origin wants 192.0.2.1, not
 * ::ffff:192.0.2.1.
 */

#include "buf.h"
#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TOW_ADDR_TEXT_SIZE 64 /* "[39 characters]:65535" and the NUL */

struct tow_addr {
	uint8_t family; /* 0, 4, 6 */
	uint16_t port;  /* host byte order */
	uint8_t bytes[16];
};

void tow_addr_unmap(struct tow_addr *addr);
int tow_addr_equal(const struct tow_addr *a, const struct tow_addr *b);      /* with port */
int tow_addr_same_host(const struct tow_addr *a, const struct tow_addr *b);  /* without */
int tow_addr_is_private(
	const struct tow_addr *a); /* RFC 1918, 4193, 6598, link-local, loopback, any */
int tow_addr_is_loopback(const struct tow_addr *a);

/* "192.0.2.1:443", "[2001:db8::1]:443" (RFC 5952). text has TOW_ADDR_TEXT_SIZE
 * bytes. Returns text. */
char *tow_addr_format(const struct tow_addr *addr, char *text);
char *tow_addr_format_host(const struct tow_addr *addr, char *text); /* no port, no brackets */

/* The reverse: a literal address with a port. Returns 0, TOW_EPARSE. */
int tow_addr_parse(struct tow_slice text, struct tow_addr *out);
/* A literal address alone; port 0. Returns 0, TOW_EPARSE. */
int tow_addr_parse_host(struct tow_slice text, struct tow_addr *out);

/* Splits "host:port" or "[v6]:port", host being a name or a literal; host gets at most 254 bytes
 * with the NUL. Port 1 to 65535. Returns 0, TOW_EPARSE with the reason in err. */
int tow_host_port_split(struct tow_slice text, char host[254], uint16_t *port,
                        struct tow_error *err);

#ifdef __cplusplus
}
#endif
#endif
