/* SPDX-License-Identifier: MIT */

#include "http/request_head.h"

#include <string.h>
#include <strings.h>
#include <towonel/wire/limits.h>

enum kind {
	OTHER,
	DROPPED,   /* not for the origin, or not the visitor's to say */
	FORWARDED, /* what the edge says itself */
	HOST,
	CONTENT_LENGTH,
	TRANSFER_ENCODING,
	CONNECTION,
	UPGRADE,
};

struct field {
	struct tow_slice name, value;
	enum kind kind;
};

/* What Connection may say of itself; anything else in it is the name of a field. */
enum {
	SAYS_CLOSE = 1,
	SAYS_KEEP_ALIVE = 2,
	SAYS_UPGRADE = 4,
	SAYS_TE = 8,
};

struct parse {
	const struct http_place *place;
	struct request_head *head;
	struct tow_slice method, target, version;
	struct field fields[TOW_REQUEST_FIELDS_MAX];
	size_t field_count;
	struct tow_slice nominated[TOW_REQUEST_NOMINATED_MAX]; /* by Connection, to be dropped */
	size_t nominated_count;
	unsigned connection;
	struct tow_slice host;
	int hosts, upgrades;
};

static int refuse(struct parse *p, unsigned status)
{
	p->head->status = status;
	return TOW_EHTTP;
}

/* --- characters (RFC 9110 section 5.6) --- */

static int is_token_char(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static int is_token(struct tow_slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!is_token_char(text.base[i]))
			return 0;
	}
	return text.len > 0;
}

static int is_value(struct tow_slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((text.base[i] < ' ' && text.base[i] != '\t') || text.base[i] == 0x7f)
			return 0;
	}
	return 1;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static int equals(struct tow_slice text, const char *name)
{
	return text.len == strlen(name) &&
	       strncasecmp((const char *)text.base, name, text.len) == 0;
}

static struct tow_slice trim(struct tow_slice text)
{
	while (text.len > 0 && (*text.base == ' ' || *text.base == '\t')) {
		text.base++;
		text.len--;
	}
	while (text.len > 0 && (text.base[text.len - 1] == ' ' || text.base[text.len - 1] == '\t'))
		text.len--;
	return text;
}

/* Takes the text up to a separator off its front; all of it when there is none. */
static struct tow_slice split(struct tow_slice *text, char separator)
{
	const uint8_t *at = text->len > 0 ? memchr(text->base, separator, text->len) : NULL;
	size_t len = at != NULL ? (size_t)(at - text->base) : text->len;
	struct tow_slice front = tow_slice_make(text->base, len);

	len += at != NULL;
	*text = tow_slice_make(text->base + len, text->len - len);
	return front;
}

/* --- fields --- */

/* Many applications cannot tell '_' from '-' in a name (RFC 3875 section 4.1.18), so neither do we
 * where it matters. */
static int alike(struct tow_slice name, const char *known, size_t len)
{
	if (name.len < len)
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (lower(name.base[i] == '_' ? '-' : name.base[i]) != (uint8_t)known[i])
			return 0;
	}
	return 1;
}

static enum kind kind_of(struct tow_slice name)
{
	static const struct {
		const char *name;
		enum kind kind;
	} known[] = {
		{ "host", HOST },
		{ "content-length", CONTENT_LENGTH },
		{ "transfer-encoding", TRANSFER_ENCODING },
		{ "connection", CONNECTION },
		{ "upgrade", UPGRADE },
		{ "forwarded", FORWARDED },
		{ "x-real-ip", FORWARDED },
		{ "keep-alive", DROPPED },
		{ "proxy-connection", DROPPED },
		{ "proxy", DROPPED }, /* becomes HTTP_PROXY in CGI programs */
		{ "http2-settings", DROPPED },
	};
	static const char family[] = "x-forwarded-";

	if (alike(name, family, sizeof(family) - 1))
		return FORWARDED;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (name.len == strlen(known[i].name) && alike(name, known[i].name, name.len))
			return known[i].kind;
	}
	return OTHER;
}

int tow__request_trailer_allowed(struct tow_slice name)
{
	return is_token(name) && kind_of(name) == OTHER;
}

static int read_length(struct parse *p, struct tow_slice value)
{
	uint64_t length = 0;

	if (p->head->has_length || value.len == 0 || value.len > 18)
		return refuse(p, 400);
	for (size_t i = 0; i < value.len; i++) {
		if (value.base[i] < '0' || value.base[i] > '9')
			return refuse(p, 400);
		length = length * 10 + (value.base[i] - '0');
	}
	p->head->has_length = 1;
	p->head->length = length;
	return 0;
}

static int read_connection(struct parse *p, struct tow_slice value)
{
	static const struct {
		const char *text;
		unsigned says;
	} options[] = {
		{ "close", SAYS_CLOSE },
		{ "keep-alive", SAYS_KEEP_ALIVE },
		{ "upgrade", SAYS_UPGRADE },
		{ "te", SAYS_TE },
	};

	while (value.len > 0) {
		struct tow_slice option = trim(split(&value, ','));
		unsigned says = 0;

		for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
			if (equals(option, options[i].text))
				says = options[i].says;
		}
		p->connection |= says;
		if (says != 0 || option.len == 0)
			continue;
		if (!is_token(option) || kind_of(option) > FORWARDED ||
		    p->nominated_count == TOW_REQUEST_NOMINATED_MAX)
			return refuse(p, 400);
		p->nominated[p->nominated_count++] = option;
	}
	return 0;
}

static int read_field(struct parse *p, struct tow_slice line)
{
	struct tow_slice rest = line;
	struct field field = { .name = split(&rest, ':') };

	if (field.name.len == line.len || !is_token(field.name)) /* folded lines too */
		return refuse(p, 400);
	field.value = trim(rest);
	field.kind = kind_of(field.name);
	if (!is_value(field.value))
		return refuse(p, 400);
	if (field.kind > FORWARDED && memchr(field.name.base, '_', field.name.len) != NULL)
		return refuse(p, 400);
	if (p->field_count == TOW_REQUEST_FIELDS_MAX)
		return refuse(p, 431);
	p->fields[p->field_count++] = field;
	switch (field.kind) {
	case HOST: p->host = field.value; return p->hosts++ == 0 ? 0 : refuse(p, 400);
	case CONTENT_LENGTH: return read_length(p, field.value);
	case TRANSFER_ENCODING:
		if (p->head->chunked)
			return refuse(p, 400);
		p->head->chunked = 1;
		return equals(field.value, "chunked") ? 0 : refuse(p, 501);
	case CONNECTION: return read_connection(p, field.value);
	case UPGRADE: p->upgrades++; return 0;
	default: return 0;
	}
}

/* --- the request line --- */

static int read_request_line(struct parse *p, struct tow_slice line)
{
	p->method = split(&line, ' ');
	p->target = split(&line, ' ');
	p->version = line;
	if (!is_token(p->method) || p->target.len == 0)
		return refuse(p, 400);
	for (size_t i = 0; i < p->target.len; i++) {
		if (p->target.base[i] <= ' ' || p->target.base[i] > '~' || p->target.base[i] == '#')
			return refuse(p, 400);
	}
	if (!tow_slice_equal(p->version, tow_slice_of("HTTP/1.1")) &&
	    !tow_slice_equal(p->version, tow_slice_of("HTTP/1.0")))
		return refuse(p, p->version.len == 8 && memcmp(p->version.base, "HTTP/", 5) == 0
		                         ? 505
		                         : 400);
	p->head->is_head = tow_slice_equal(p->method, tow_slice_of("HEAD"));
	return tow_slice_equal(p->method, tow_slice_of("CONNECT")) ? refuse(p, 405) : 0;
}

static int is_1_0(const struct parse *p)
{
	return p->version.base[p->version.len - 1] == '0';
}

/* Is it the connection's name, with or without a port? */
static int is_here(const struct parse *p, struct tow_slice host)
{
	struct tow_slice name = split(&host, ':');
	size_t len = strlen(p->place->name);

	if (host.len > 5)
		return 0;
	for (size_t i = 0; i < host.len; i++) {
		if (host.base[i] < '0' || host.base[i] > '9')
			return 0;
	}
	return (name.len == len || (name.len == len + 1 && name.base[len] == '.')) &&
	       strncasecmp((const char *)name.base, p->place->name, len) == 0;
}

/* What could be a host at all: anything else is no request for another one, but a bad one. */
static int is_host(struct tow_slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = lower(text.base[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      (c != '\0' && strchr("-._:[]", c) != NULL)))
			return 0;
	}
	return text.len > 0;
}

static int check_host(struct parse *p)
{
	if (p->hosts == 0 && !is_1_0(p))
		return refuse(p, 400);
	if (p->hosts == 0)
		p->host = tow_slice_of(p->place->name);
	if (!is_host(p->host))
		return refuse(p, 400);
	return is_here(p, p->host) ? 0 : refuse(p, 421);
}

/* An absolute target is an origin's business only after its authority was compared: it becomes the
 * form that every origin knows. */
static int check_target(struct parse *p)
{
	static const char *const schemes[] = { "https://", "http://" };
	struct tow_slice authority;
	size_t len;

	if (p->target.base[0] == '/')
		return 0;
	if (tow_slice_equal(p->target, tow_slice_of("*")))
		return tow_slice_equal(p->method, tow_slice_of("OPTIONS")) ? 0 : refuse(p, 400);
	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		len = strlen(schemes[i]);
		if (p->target.len < len ||
		    strncasecmp((const char *)p->target.base, schemes[i], len) != 0)
			continue;
		authority = tow_slice_make(p->target.base + len, p->target.len - len);
		len = 0;
		while (len < authority.len && authority.base[len] != '/' &&
		       authority.base[len] != '?')
			len++;
		p->target = tow_slice_make(authority.base + len, authority.len - len);
		authority.len = len;
		if (authority.len != p->host.len ||
		    strncasecmp((const char *)authority.base, (const char *)p->host.base, len) != 0)
			return refuse(p, 400);
		return 0;
	}
	return refuse(p, 400);
}

static int check(struct parse *p)
{
	struct request_head *head = p->head;
	int rc;

	if (head->chunked && (head->has_length || is_1_0(p)))
		return refuse(p, 400);
	rc = check_host(p);
	if (rc == 0)
		rc = check_target(p);
	/* An upgrade after a body would leave open where the new protocol begins. */
	head->upgrade = rc == 0 && p->upgrades == 1 && (p->connection & SAYS_UPGRADE) != 0 &&
	                !is_1_0(p) && !head->chunked && head->length == 0;
	return rc;
}

static int read_lines(struct parse *p, struct tow_slice head)
{
	int rc = 0, first = 1;

	while (rc == 0) {
		struct tow_slice line = split(&head, '\n');

		/* The caller has seen two CRLF at the end: there is a line, and an empty one. */
		if (line.len == 0 || line.base[line.len - 1] != '\r')
			return refuse(p, 400);
		line.len--;
		if (line.len == 0)
			return head.len == 0 && !first ? 0 : refuse(p, 400);
		if (memchr(line.base, '\r', line.len) != NULL)
			return refuse(p, 400);
		rc = first ? read_request_line(p, line) : read_field(p, line);
		first = 0;
	}
	return rc;
}

/* --- writing --- */

static int put(struct tow_buf *to, const char *before, struct tow_slice text, const char *after)
{
	int rc = tow_buf_append_text(to, before);

	if (rc == 0)
		rc = tow_buf_append(to, text.base, text.len);
	return rc != 0 ? rc : tow_buf_append_text(to, after);
}

static int put_request_line(const struct parse *p, struct tow_buf *to)
{
	int rc = put(to, "", p->method, " ");

	if (rc == 0 && (p->target.len == 0 || p->target.base[0] == '?'))
		rc = tow_buf_append_text(to, "/");
	if (rc == 0)
		rc = put(to, "", p->target, " ");
	return rc != 0 ? rc : put(to, "", p->version, "\r\n");
}

static int is_nominated(const struct parse *p, struct tow_slice name)
{
	for (size_t i = 0; i < p->nominated_count; i++) {
		if (name.len == p->nominated[i].len &&
		    strncasecmp((const char *)name.base, (const char *)p->nominated[i].base,
		                name.len) == 0)
			return 1;
	}
	return 0;
}

static int put_fields(const struct parse *p, struct tow_buf *to)
{
	int rc = put(to, "Host: ", p->host, "\r\n");

	for (size_t i = 0; rc == 0 && i < p->field_count; i++) {
		const struct field *field = &p->fields[i];

		if (field->kind != OTHER || is_nominated(p, field->name) ||
		    (equals(field->name, "te") && (p->connection & SAYS_TE) == 0))
			continue;
		rc = put(to, "", field->name, ": ");
		if (rc == 0)
			rc = put(to, "", field->value, "\r\n");
	}
	if (rc == 0 && p->head->has_length)
		rc = tow_buf_printf(to, "Content-Length: %llu\r\n",
		                    (unsigned long long)p->head->length);
	if (rc == 0 && p->head->chunked)
		rc = tow_buf_append_text(to, "Transfer-Encoding: chunked\r\n");
	return rc;
}

/* Cleartext HTTP/2 and TLS inside would take the origin out of our sight (RFC 9113 section 3.1). */
static int put_upgrade(struct parse *p, struct tow_buf *to)
{
	struct tow_slice value = { NULL, 0 };
	int rc = 0, count = 0;

	for (size_t i = 0; p->head->upgrade && i < p->field_count; i++) {
		if (p->fields[i].kind == UPGRADE)
			value = p->fields[i].value;
	}
	while (rc == 0 && value.len > 0) {
		struct tow_slice protocol = trim(split(&value, ','));

		if (protocol.len == 0 || alike(protocol, "h2c", 3) || alike(protocol, "http", 4) ||
		    alike(protocol, "tls", 3))
			continue;
		rc = put(to, count++ == 0 ? "Upgrade: " : ", ", protocol, "");
	}
	p->head->upgrade = count > 0;
	return rc != 0 || count == 0 ? rc : tow_buf_append_text(to, "\r\n");
}

static int put_connection(const struct parse *p, struct tow_buf *to)
{
	static const char *const texts[] = { "close", "keep-alive", "upgrade", "TE" };
	unsigned says = p->connection;
	int rc = 0, count = 0;

	if (!p->head->upgrade)
		says &= ~(unsigned)SAYS_UPGRADE;
	for (size_t i = 0; rc == 0 && i < sizeof(texts) / sizeof(*texts); i++) {
		if ((says & 1U << i) != 0)
			rc = tow_buf_printf(to, "%s%s", count++ == 0 ? "Connection: " : ", ",
			                    texts[i]);
	}
	return rc != 0 || count == 0 ? rc : tow_buf_append_text(to, "\r\n");
}

static int put_forwarded(const struct parse *p, struct tow_buf *to)
{
	const struct http_place *place = p->place;
	int rc = tow_buf_printf(to,
	                        "X-Forwarded-For: %s\r\n"
	                        "X-Forwarded-Proto: https\r\n",
	                        place->address);

	if (rc == 0)
		rc = put(to, "X-Forwarded-Host: ", p->host, "\r\n");
	/* RFC 7239 section 6: what is no token is quoted. */
	if (rc == 0)
		rc = tow_buf_printf(to, "Forwarded: for=%s%s%s", place->v6 ? "\"[" : "",
		                    place->address, place->v6 ? "]\"" : "");
	return rc != 0 ? rc : put(to, ";host=\"", p->host, "\";proto=https\r\n\r\n");
}

int tow__request_head_rewrite(struct tow_slice head, const struct http_place *place,
                              struct request_head *out, struct tow_buf *to)
{
	struct parse p = { .place = place, .head = out };
	int rc;

	*out = (struct request_head){ .is_head = 0 };
	rc = read_lines(&p, head);
	if (rc == 0)
		rc = check(&p);
	if (rc == 0)
		rc = put_request_line(&p, to);
	if (rc == 0)
		rc = put_fields(&p, to);
	if (rc == 0)
		rc = put_upgrade(&p, to);
	if (rc == 0)
		rc = put_connection(&p, to);
	return rc != 0 ? rc : put_forwarded(&p, to);
}
