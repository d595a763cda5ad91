/* SPDX-License-Identifier: MIT */

/*
 *     LINE ──► NAME ──':'──► SPACE ──► VALUE      any ──end of line──► LINE
 *
 * A line without a colon is a field without a value; one that begins with a colon is a comment. The
 * value of `data` goes to the event as it comes: a snapshot of the routes is one line of many
 * megabytes.
 */

#include <towonel/wire/event_parser.h>

#include <string.h>

enum state {
	LINE, /* at its start */
	NAME,
	SPACE, /* behind the colon */
	VALUE,
};

enum field {
	UNKNOWN,
	DATA,
	TYPE,
	ID,
};

#define NAME_TOO_LONG (sizeof(((struct tow_event_parser *)NULL)->name) + 1)

/* The byte order mark that a stream may begin with. */
static const uint8_t mark[] = { 0xef, 0xbb, 0xbf };
#define MARK_OVER (sizeof mark + 1)

static enum field field_named(const struct tow_event_parser *p)
{
	static const struct {
		const char *name;
		enum field field;
	} fields[] = { { "data", DATA }, { "event", TYPE }, { "id", ID } };

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (strlen(fields[i].name) == p->name_len &&
		    !memcmp(fields[i].name, p->name, p->name_len))
			return fields[i].field;
	return UNKNOWN;
}

/* The end of an event. One without data is none. */
static int dispatch(struct tow_event_parser *p,
                    int (*take)(void *user, const struct tow_event *event), void *user)
{
	struct tow_event event = { p->type, p->id, tow_buf_peek(&p->data) };
	int rc = 0;

	if (event.data.len) {
		event.data.len--; /* the last line's LF */
		rc = take(user, &event);
	}
	/* a snapshot's memory is not kept for the small ones that follow */
	tow_buf_deinit(&p->data);
	p->type[0] = '\0';
	return rc;
}

static int end_field(struct tow_event_parser *p)
{
	if (p->state == NAME)
		p->field = field_named(p);
	p->value[p->value_len] = '\0';
	if (p->field == DATA)
		return tow_buf_append(&p->data, "\n", 1);
	if (p->field == TYPE)
		memcpy(p->type, p->value, sizeof p->type);
	else if (p->field == ID && !memchr(p->value, '\0', p->value_len))
		memcpy(p->id, p->value, sizeof p->id);
	return 0;
}

static int end_line(struct tow_event_parser *p,
                    int (*take)(void *user, const struct tow_event *event), void *user)
{
	int rc = p->state == LINE ? dispatch(p, take, user) : end_field(p);

	p->state = LINE;
	p->field = UNKNOWN;
	p->name_len = p->value_len = 0;
	return rc;
}

static void add_to_name(struct tow_event_parser *p, uint8_t byte)
{
	if (byte == ':') {
		p->field = field_named(p);
		p->state = SPACE;
		return;
	}
	p->state = NAME;
	if (p->name_len < sizeof p->name)
		p->name[p->name_len++] = (char)byte;
	else
		p->name_len = NAME_TOO_LONG;
}

static int add_to_value(struct tow_event_parser *p, struct tow_slice bytes)
{
	if (p->field == UNKNOWN)
		return 0;
	if (p->field == DATA) {
		if (bytes.len > TOW_ROUTE_EVENT_MAX - tow_buf_len(&p->data))
			return TOW_ETOOBIG;
		return tow_buf_append(&p->data, bytes.base, bytes.len);
	}
	if (bytes.len > (size_t)TOW_EVENT_WORD_MAX - p->value_len)
		return TOW_ETOOBIG;
	memcpy(p->value + p->value_len, bytes.base, bytes.len);
	p->value_len += (unsigned char)bytes.len;
	return 0;
}

/* 1: the byte belongs to the mark. What only began as one is a field that nobody knows. */
static int is_mark(struct tow_event_parser *p, uint8_t byte)
{
	if (p->mark < sizeof mark && byte == mark[p->mark]) {
		p->mark++;
		return 1;
	}
	if (p->mark > 0 && p->mark < sizeof mark) {
		p->state = NAME;
		p->name_len = NAME_TOO_LONG;
	}
	p->mark = MARK_OVER;
	return 0;
}

static size_t length_of_line(struct tow_slice bytes)
{
	size_t len = 0;

	while (len < bytes.len && bytes.base[len] != '\n' && bytes.base[len] != '\r')
		len++;
	return len;
}

int tow_event_parse(struct tow_event_parser *p, struct tow_slice bytes,
                    int (*take)(void *user, const struct tow_event *event), void *user)
{
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && at < bytes.len) {
		uint8_t byte = bytes.base[at];
		int behind_cr = p->after_cr;

		p->after_cr = byte == '\r';
		if ((behind_cr && byte == '\n') || (p->mark < MARK_OVER && is_mark(p, byte))) {
			at++;
		} else if (byte == '\n' || byte == '\r') {
			rc = end_line(p, take, user);
			at++;
		} else if (p->state == VALUE || (p->state == SPACE && byte != ' ')) {
			struct tow_slice rest = tow_slice_make(bytes.base + at, bytes.len - at);

			rest.len = length_of_line(rest);
			rc = add_to_value(p, rest);
			p->state = VALUE;
			at += rest.len;
		} else if (p->state == SPACE) {
			p->state = VALUE;
			at++;
		} else {
			add_to_name(p, byte);
			at++;
		}
	}
	return rc;
}

void tow_event_parser_deinit(struct tow_event_parser *p)
{
	tow_buf_deinit(&p->data);
	memset(p, 0, sizeof *p);
}
