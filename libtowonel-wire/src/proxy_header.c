/* SPDX-License-Identifier: MIT */

/*
 *    0                 12         13        14      16
 *   +------------------+----------+---------+-------+------------------+---------------+
 *   | signature        | 2 | cmd  | fam|tra | u16 n | addresses, ports | TLVs          |
 *   +------------------+----------+---------+-------+------------------+---------------+
 *                                                   '------------- n bytes ------------'
 *
 * A TLV is a type byte, a u16 length and a value. LOCAL (a health check of the proxy itself) says
 * nothing about a visitor: its block is skipped unread, as the specification demands. AF_UNIX is
 * skipped to its TLVs and reads as no address.
 */

#include <towonel/wire/proxy_header.h>

#include <towonel/wire/cursor.h>

enum {
	FIXED_SIZE = 16,
	VERSION = 2,
	COMMAND_LOCAL = 0,
	COMMAND_PROXY = 1,
	FAMILY_UNSPEC = 0,
	FAMILY_INET = 1,
	FAMILY_INET6 = 2,
	FAMILY_UNIX = 3,
	TRANSPORT_UNSPEC = 0,
	TRANSPORT_STREAM = 1,
	TRANSPORT_DGRAM = 2,
	UNIX_ADDRESSES_SIZE = 216,
	TYPE_ALPN = 1,
	TYPE_AUTHORITY = 2,
	TYPE_CRC32C = 3,
	TYPE_UNIQUE_ID = 5,
	CRC_SIZE = 4,
	UNIQUE_ID_MAX = 128,
};

static const uint8_t signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
	                               0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

/* CRC32c (RFC 4960 appendix B), half a byte at a time: headers are short, and so is this. The
 * state is neither inverted here nor in the end, so that a header can be fed in parts. */
static uint32_t crc32c_feed(uint32_t crc, const uint8_t *bytes, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

/* Of a whole header, the four bytes at `at` counting as zero. */
static uint32_t checksum(struct tow_slice header, size_t at)
{
	static const uint8_t zero[CRC_SIZE];
	uint32_t crc = crc32c_feed(0xffffffff, header.base, at);

	crc = crc32c_feed(crc, zero, sizeof(zero));
	return ~crc32c_feed(crc, header.base + at + CRC_SIZE, header.len - at - CRC_SIZE);
}

static size_t address_size(uint8_t family)
{
	return family == 4 ? 4 : family == 6 ? 16 : 0;
}

static void write_tlv(struct tow_writer *w, uint8_t type, struct tow_slice value)
{
	if (value.len == 0)
		return;
	if (value.len > UINT16_MAX) {
		w->failed = 1;
		return;
	}
	tow_write_u8(w, type);
	tow_write_u16(w, (uint16_t)value.len);
	tow_write_bytes(w, value.base, value.len);
}

static uint8_t family_and_transport(const struct tow_proxy_header *header)
{
	uint8_t family = header->source.family == 4   ? FAMILY_INET
	                 : header->source.family == 6 ? FAMILY_INET6
	                                              : FAMILY_UNSPEC;
	uint8_t transport =
		header->transport == TOW_PROXY_DGRAM ? TRANSPORT_DGRAM : TRANSPORT_STREAM;

	if (header->command == TOW_PROXY_LOCAL)
		return 0;
	if (family == FAMILY_UNSPEC && transport == TRANSPORT_STREAM)
		transport = TRANSPORT_UNSPEC; /* 0x00, the one form that every receiver must know */
	return (uint8_t)(family << 4 | transport);
}

int tow_proxy_header_write(const struct tow_proxy_header *header, int with_checksum, uint8_t *out,
                           size_t cap)
{
	struct tow_writer w =
		tow_writer_of(out, cap < TOW_PROXY_HEADER_MAX ? cap : TOW_PROXY_HEADER_MAX);
	uint8_t family = header->source.family;
	int local = header->command == TOW_PROXY_LOCAL;
	size_t crc_at = 0;

	if (family != header->destination.family || (family != 0 && address_size(family) == 0))
		return TOW_EINVAL;
	if (header->unique_id.len > UNIQUE_ID_MAX)
		return TOW_ETOOBIG;
	tow_write_bytes(&w, signature, sizeof(signature));
	tow_write_u8(&w, VERSION << 4 | (local ? COMMAND_LOCAL : COMMAND_PROXY));
	tow_write_u8(&w, family_and_transport(header));
	tow_write_u16(&w, 0); /* the length, when it is known */
	if (!local) {
		if (family != 0) {
			tow_write_bytes(&w, header->source.bytes, address_size(family));
			tow_write_bytes(&w, header->destination.bytes, address_size(family));
			tow_write_u16(&w, header->source.port);
			tow_write_u16(&w, header->destination.port);
		}
		write_tlv(&w, TYPE_ALPN, header->alpn);
		write_tlv(&w, TYPE_AUTHORITY, header->authority);
		write_tlv(&w, TYPE_UNIQUE_ID, header->unique_id);
	}
	if (with_checksum) {
		static const uint8_t zero[CRC_SIZE];

		write_tlv(&w, TYPE_CRC32C, tow_slice_make(zero, sizeof(zero)));
		crc_at = w.len - CRC_SIZE;
	}
	if (tow_writer_failed(&w))
		return TOW_ETOOBIG;
	out[FIXED_SIZE - 2] = (uint8_t)((w.len - FIXED_SIZE) >> 8);
	out[FIXED_SIZE - 1] = (uint8_t)(w.len - FIXED_SIZE);
	if (with_checksum) {
		struct tow_writer crc = tow_writer_of(out + crc_at, CRC_SIZE);

		tow_write_u32(&crc, checksum(tow_slice_make(out, w.len), crc_at));
	}
	return (int)w.len;
}

static void read_address(struct tow_reader *r, uint8_t family, struct tow_addr *addr)
{
	struct tow_slice bytes = tow_read_bytes(r, address_size(family));

	addr->family = family;
	if (bytes.len > 0)
		memcpy(addr->bytes, bytes.base, bytes.len);
}

/* The family and transport byte and what it announces. Returns 0, TOW_EPARSE. */
static int read_addresses(struct tow_reader *r, uint8_t kind, struct tow_proxy_header *header)
{
	uint8_t family = kind >> 4, transport = kind & 15;

	if (family > FAMILY_UNIX || transport > TRANSPORT_DGRAM ||
	    (family != FAMILY_UNSPEC && transport == TRANSPORT_UNSPEC))
		return TOW_EPARSE;
	header->transport = transport == TRANSPORT_DGRAM ? TOW_PROXY_DGRAM : TOW_PROXY_STREAM;
	if (family == FAMILY_UNIX) {
		tow_read_bytes(r, UNIX_ADDRESSES_SIZE);
	} else if (family != FAMILY_UNSPEC) {
		read_address(r, family == FAMILY_INET ? 4 : 6, &header->source);
		read_address(r, family == FAMILY_INET ? 4 : 6, &header->destination);
		header->source.port = tow_read_u16(r);
		header->destination.port = tow_read_u16(r);
	}
	return tow_reader_failed(r) ? TOW_EPARSE : 0;
}

static int check_checksum(struct tow_slice whole, struct tow_slice stored)
{
	struct tow_reader r = tow_reader_of(stored);

	if (stored.len != CRC_SIZE)
		return TOW_EPARSE;
	return tow_read_u32(&r) == checksum(whole, (size_t)(stored.base - whole.base)) ? 0
	                                                                               : TOW_EPARSE;
}

static int read_tlvs(struct tow_reader *r, struct tow_slice whole, struct tow_proxy_header *header)
{
	unsigned seen = 0;

	while (r->left > 0) {
		uint8_t type = tow_read_u8(r);
		struct tow_slice value = tow_read_bytes(r, tow_read_u16(r));

		if (tow_reader_failed(r))
			return TOW_EPARSE;
		switch (type) {
		case TYPE_ALPN:
			header->alpn = value;
			break;
		case TYPE_AUTHORITY:
			header->authority = value;
			break;
		case TYPE_UNIQUE_ID:
			if (value.len > UNIQUE_ID_MAX)
				return TOW_EPARSE;
			header->unique_id = value;
			break;
		case TYPE_CRC32C:
			if (check_checksum(whole, value) != 0)
				return TOW_EPARSE;
			break;
		default: /* PP2_TYPE_NOOP, and what others may have added: as often as they like */
			continue;
		}
		if (seen & 1u << type)
			return TOW_EPARSE;
		seen |= 1u << type;
	}
	return 0;
}

int tow_proxy_header_read(struct tow_slice bytes, struct tow_proxy_header *out, size_t *len)
{
	struct tow_proxy_header header = { .command = TOW_PROXY_LOCAL };
	struct tow_reader r = tow_reader_of(bytes), block;
	struct tow_slice whole;
	uint8_t version_and_command, kind;
	size_t n = bytes.len < sizeof(signature) ? bytes.len : sizeof(signature);
	int rc;

	/* What is no header must not wait for sixteen bytes that may never come. */
	if (n > 0 && memcmp(bytes.base, signature, n) != 0)
		return TOW_EPARSE;
	tow_read_bytes(&r, sizeof(signature));
	version_and_command = tow_read_u8(&r);
	kind = tow_read_u8(&r);
	if (bytes.len > sizeof(signature) && version_and_command >> 4 != VERSION)
		return TOW_EPARSE;
	n = tow_read_u16(&r);
	if (tow_reader_failed(&r))
		return TOW_MORE;
	if (FIXED_SIZE + n > TOW_PROXY_HEADER_MAX)
		return TOW_ETOOBIG;
	block = tow_read_sub(&r, n);
	if (tow_reader_failed(&r))
		return TOW_MORE;
	whole = tow_slice_make(bytes.base, FIXED_SIZE + n);

	switch (version_and_command & 15) {
	case COMMAND_LOCAL:
		break;
	case COMMAND_PROXY:
		header.command = TOW_PROXY_PROXY;
		rc = read_addresses(&block, kind, &header);
		if (rc == 0)
			rc = read_tlvs(&block, whole, &header);
		if (rc != 0)
			return rc;
		break;
	default:
		return TOW_EPARSE;
	}
	*out = header;
	*len = whole.len;
	return 0;
}
