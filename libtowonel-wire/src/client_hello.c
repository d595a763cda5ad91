/* SPDX-License-Identifier: MIT */

/*
 * A hello on the wire is one handshake message, cut into as many records as the client likes:
 *
 *   record    22 | version 03 xx | u16 length | fragment ...
 *   message   1 | u24 length | version | random[32] | session id | cipher suites |
 *             compression methods | extensions
 *
 * Feeding undoes the records and collects the message; nothing inside it is looked at until it
 * is whole, so however small the pieces are, every byte is looked at once. What can be refused
 * early is: a byte that cannot be right where it stands, or an announced length over the limit.
 *
 * Only five extensions are read. The rest of the hello is between client and origin, which judge
 * it far more strictly than a forwarder should: unknown and GREASE values (RFC 8701) pass. With
 * Encrypted ClientHello the name read is the outer, public one.
 */

#include <towonel/wire/client_hello.h>

#include <towonel/wire/cursor.h>

enum {
	RECORD_ALERT = 21,
	RECORD_HANDSHAKE = 22,
	RECORD_FRAGMENT_MAX = 16384, /* RFC 8446 section 5.1 */
	MESSAGE_CLIENT_HELLO = 1,
	MESSAGE_HEADER_SIZE = 4,
	EXTENSION_SERVER_NAME = 0,
	EXTENSION_SUPPORTED_GROUPS = 10,
	EXTENSION_SIGNATURE_ALGORITHMS = 13,
	EXTENSION_ALPN = 16,
	EXTENSION_SUPPORTED_VERSIONS = 43,
	NAME_TYPE_HOST = 0,
	VERSION_TLS13 = 0x0304,
	SIGNATURE_ED25519 = 0x0807,
	ALERT_FATAL = 2,
};

static int read_server_name(struct tow_reader extension, struct tow_client_hello *hello)
{
	struct tow_reader list = tow_read_vector(&extension, 2);

	if (!tow_reader_done(&extension) || list.left == 0)
		return TOW_EPARSE;
	while (list.left > 0 && !list.failed) {
		uint8_t type = tow_read_u8(&list);
		struct tow_slice name = tow_read_bytes(&list, tow_read_u16(&list));

		if (tow_reader_failed(&list))
			return TOW_EPARSE;
		if (type != NAME_TYPE_HOST)
			continue;
		if (hello->server_name[0] != '\0') /* one name of a type: RFC 6066 section 3 */
			return TOW_EPARSE;
		if (tow_hostname_parse(name, TOW_HOSTNAME_EXACT, hello->server_name, NULL) != 0)
			return TOW_EPARSE;
	}
	return 0;
}

/* RFC 8701 section 2: 0x0A0A, 0x1A1A, ... 0xFAFA. */
static int is_grease(struct tow_slice protocol)
{
	return protocol.len == 2 && protocol.base[0] == protocol.base[1] &&
	       (protocol.base[0] & 0x0f) == 0x0a;
}

static int read_alpn(struct tow_reader extension, struct tow_client_hello *hello)
{
	struct tow_reader list = tow_read_vector(&extension, 2);

	if (!tow_reader_done(&extension) || list.left == 0)
		return TOW_EPARSE;
	while (list.left > 0) {
		struct tow_slice protocol = tow_read_bytes(&list, tow_read_u8(&list));

		if (tow_reader_failed(&list) || protocol.len == 0)
			return TOW_EPARSE;
		if (hello->alpn_count < TOW_ALPN_MAX && !is_grease(protocol))
			hello->alpn[hello->alpn_count++] = protocol;
	}
	return 0;
}

static int read_supported_versions(struct tow_reader extension, struct tow_client_hello *hello)
{
	struct tow_reader list = tow_read_vector(&extension, 1);

	if (!tow_reader_done(&extension) || list.left == 0)
		return TOW_EPARSE;
	while (list.left > 0 && !list.failed)
		if (tow_read_u16(&list) == VERSION_TLS13)
			hello->offers_tls13 = 1;
	return tow_reader_done(&list) ? 0 : TOW_EPARSE;
}

static int read_groups(struct tow_reader extension, struct tow_client_hello *hello)
{
	struct tow_reader list = tow_read_vector(&extension, 2);

	/* What is wrong with it is for whoever answers to say. */
	while (tow_reader_done(&extension) && list.left > 1 && hello->group_count < TOW_GROUPS_MAX)
		hello->groups[hello->group_count++] = tow_read_u16(&list);
	return 0;
}

static int read_signatures(struct tow_reader extension, struct tow_client_hello *hello)
{
	struct tow_reader list = tow_read_vector(&extension, 2);

	while (tow_reader_done(&extension) && list.left > 1)
		if (tow_read_u16(&list) == SIGNATURE_ED25519)
			hello->takes_ed25519 = 1;
	return 0; /* see read_groups */
}

static int read_extensions(struct tow_reader list, struct tow_client_hello *hello)
{
	static const struct {
		uint16_t type;
		int (*read)(struct tow_reader extension, struct tow_client_hello *hello);
	} known[] = {
		{ EXTENSION_SERVER_NAME, read_server_name },
		{ EXTENSION_SUPPORTED_GROUPS, read_groups },
		{ EXTENSION_SIGNATURE_ALGORITHMS, read_signatures },
		{ EXTENSION_ALPN, read_alpn },
		{ EXTENSION_SUPPORTED_VERSIONS, read_supported_versions },
	};
	unsigned seen = 0;

	while (list.left > 0) {
		uint16_t type = tow_read_u16(&list);
		struct tow_reader extension = tow_read_vector(&list, 2);

		if (tow_reader_failed(&list))
			return TOW_EPARSE;
		for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			int rc;

			if (known[i].type != type)
				continue;
			if (seen & 1u << i) /* twice: the origin might take the other one */
				return TOW_EPARSE;
			seen |= 1u << i;
			rc = known[i].read(extension, hello);
			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

/* body is the message without its header. */
static int read_hello(struct tow_slice body, struct tow_client_hello *out)
{
	struct tow_client_hello hello = { .server_name = "" };
	struct tow_reader r = tow_reader_of(body);
	struct tow_reader session_id, cipher_suites, compressions, extensions;
	int rc;

	hello.legacy_version = tow_read_u16(&r);
	tow_read_bytes(&r, 32);
	session_id = tow_read_vector(&r, 1);
	cipher_suites = tow_read_vector(&r, 2);
	compressions = tow_read_vector(&r, 1);
	if (tow_reader_failed(&r) || hello.legacy_version >> 8 != 3 || session_id.left > 32 ||
	    cipher_suites.left == 0 || cipher_suites.left % 2 != 0 || compressions.left == 0)
		return TOW_EPARSE;
	if (r.left > 0) { /* before TLS 1.3 a hello may end here */
		extensions = tow_read_vector(&r, 2);
		if (!tow_reader_done(&r))
			return TOW_EPARSE;
		rc = read_extensions(extensions, &hello);
		if (rc != 0)
			return rc;
	}
	*out = hello;
	return 0;
}

/* The header of a record, complete or not: can it begin a piece of a hello? */
static int check_record_header(const uint8_t *header, size_t len)
{
	size_t fragment;

	/* The version is to be ignored (RFC 8446 section 5.1), but 3 has always been its first
	 * byte. */
	if ((len > 0 && header[0] != RECORD_HANDSHAKE) || (len > 1 && header[1] != 3))
		return TOW_EPARSE;
	if (len < 5)
		return 0;
	fragment = (size_t)header[3] << 8 | header[4];
	return fragment == 0 || fragment > RECORD_FRAGMENT_MAX ? TOW_EPARSE : 0;
}

/* Returns 0 when the message is whole and *len its length, TOW_MORE, TOW_EPARSE, TOW_ETOOBIG. */
static int message_complete(struct tow_slice message, size_t *len)
{
	struct tow_reader r = tow_reader_of(message);
	size_t body;

	if (message.len > 0 && message.base[0] != MESSAGE_CLIENT_HELLO)
		return TOW_EPARSE;
	tow_read_u8(&r);
	body = tow_read_u24(&r);
	if (tow_reader_failed(&r))
		return TOW_MORE;
	if (body > TOW_CLIENT_HELLO_MAX - MESSAGE_HEADER_SIZE)
		return TOW_ETOOBIG;
	*len = MESSAGE_HEADER_SIZE + body;
	return message.len >= *len ? 0 : TOW_MORE;
}

/* One step: some bytes of a record's header or fragment go from *bytes into the parser. */
static int take(struct tow_client_hello_parser *p, struct tow_slice *bytes, size_t *message_len)
{
	size_t n = TOW_CLIENT_HELLO_MAX - p->total;
	int rc = TOW_MORE;

	n = n < bytes->len ? n : bytes->len;
	if (p->record_left == 0) {
		if (n > sizeof(p->header) - p->header_len)
			n = sizeof(p->header) - p->header_len;
		memcpy(p->header + p->header_len, bytes->base, n);
		p->header_len = (uint8_t)(p->header_len + n);
		if (check_record_header(p->header, p->header_len) != 0)
			return TOW_EPARSE;
		if (p->header_len == sizeof(p->header)) {
			p->record_left = (uint16_t)(p->header[3] << 8 | p->header[4]);
			p->header_len = 0;
		}
	} else {
		if (n > p->record_left)
			n = p->record_left;
		if (tow_buf_append(&p->message, bytes->base, n) != 0)
			return TOW_ENOMEM;
		p->record_left = (uint16_t)(p->record_left - n);
		rc = message_complete(tow_buf_peek(&p->message), message_len);
	}
	p->total += n;
	bytes->base += n;
	bytes->len -= n;
	return rc;
}

int tow_client_hello_feed(struct tow_client_hello_parser *parser, struct tow_slice bytes,
                          struct tow_client_hello *out)
{
	size_t message_len = 0;
	struct tow_slice body;

	if (parser->done)
		return TOW_EINVAL;
	while (bytes.len > 0) {
		int rc = take(parser, &bytes, &message_len);

		if (rc == TOW_MORE && parser->total < TOW_CLIENT_HELLO_MAX)
			continue;
		parser->done = 1;
		if (rc == TOW_MORE)
			return TOW_ETOOBIG;
		if (rc != 0)
			return rc;
		body = tow_buf_peek(&parser->message);
		return read_hello(tow_slice_make(body.base + MESSAGE_HEADER_SIZE,
		                                 message_len - MESSAGE_HEADER_SIZE),
		                  out);
	}
	return TOW_MORE;
}

void tow_client_hello_deinit(struct tow_client_hello_parser *parser)
{
	tow_buf_deinit(&parser->message);
	memset(parser, 0, sizeof(*parser));
}

void tow_tls_alert_write(enum tow_tls_alert alert, uint8_t out[TOW_TLS_ALERT_SIZE])
{
	const uint8_t record[TOW_TLS_ALERT_SIZE] = { RECORD_ALERT,  3, 3, 0, 2, ALERT_FATAL,
		                                     (uint8_t)alert };

	memcpy(out, record, sizeof(record));
}
