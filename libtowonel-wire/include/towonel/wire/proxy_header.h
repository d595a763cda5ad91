/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_PROXY_HEADER_H
#define TOWONEL_WIRE_PROXY_HEADER_H

/*
 * The PROXY protocol, version 2 (haproxy's doc/proxy-protocol.txt, section 2.2), written and read,
 * with the TLVs that this system uses: PP2_TYPE_ALPN, PP2_TYPE_AUTHORITY, PP2_TYPE_CRC32C,
 * PP2_TYPE_NOOP and PP2_TYPE_UNIQUE_ID. Others are skipped when reading. It opens each visitor
 * stream of the tunnel, and goes to the origin when the service asks for it.
 */

#include "addr.h"
#include "limits.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tow_proxy_command {
	TOW_PROXY_LOCAL, /* addresses mean nothing */
	TOW_PROXY_PROXY,
};

enum tow_proxy_transport {
	TOW_PROXY_STREAM,
	TOW_PROXY_DGRAM,
};

struct tow_proxy_header {
	enum tow_proxy_command command;
	enum tow_proxy_transport transport;
	struct tow_addr source;      /* the visitor; family 0 is AF_UNSPEC */
	struct tow_addr destination; /* where the visitor connected to; same family */
	/* borrowed; empty when absent */
	struct tow_slice authority;
	struct tow_slice alpn;
	struct tow_slice unique_id;  /* at most 128 bytes */
};

/* Writes the header; a CRC32c TLV is added when with_checksum. LOCAL is written without addresses
 * and other TLVs. Returns the length, or TOW_ETOOBIG when it is longer than cap or
 * TOW_PROXY_HEADER_MAX, TOW_EINVAL when the families differ. */
int tow_proxy_header_write(const struct tow_proxy_header *header, int with_checksum, uint8_t *out,
                           size_t cap);

/* Reads a header at the start of bytes; *len is its length. Slices in *out point into bytes. What a
 * LOCAL one carries is skipped; addresses other than of IP read as family 0. Returns 0; TOW_MORE
 * when it is not all there; TOW_EPARSE (signature, version, command, family, TLV lengths, a second
 * TLV of a kind, checksum); TOW_ETOOBIG when it announces more than TOW_PROXY_HEADER_MAX. */
int tow_proxy_header_read(struct tow_slice bytes, struct tow_proxy_header *out, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
