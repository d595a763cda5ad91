/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_EVENT_PARSER_H
#define TOWONEL_WIRE_EVENT_PARSER_H

/*
 * Reads text/event-stream (the HTML standard, section 9.2), in pieces of any size. Lines end with
 * LF, CR or CRLF; a blank line ends an event. Comments and fields that are not known are skipped,
 * and so is what the stream breaks off in the middle of.
 */

#include "buf.h"
#include "error.h"
#include "limits.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tow_event {
	const char *type;      /* "" when the stream did not say */
	const char *id;        /* the last one that the stream gave; "" before the first */
	struct tow_slice data; /* its lines, with LF between them */
};

/* All-zero is valid: the start of a stream. */
struct tow_event_parser {
	unsigned char state, field, mark, after_cr, name_len, value_len;
	char name[8];
	char value[TOW_EVENT_WORD_MAX + 1]; /* of a field other than data */
	char type[TOW_EVENT_WORD_MAX + 1], id[TOW_EVENT_WORD_MAX + 1];
	struct tow_buf data; /* each line with its LF */
};

/* Calls take for each event that is complete, all of it borrowed for the call; one that returns
 * something else than 0 ends the parsing with that. Returns 0, TOW_ENOMEM, TOW_ETOOBIG (an event of
 * more than TOW_ROUTE_EVENT_MAX bytes, a type or an id of more than TOW_EVENT_WORD_MAX): then the
 * stream is over for this parser. */
int tow_event_parse(struct tow_event_parser *parser, struct tow_slice bytes,
                    int (*take)(void *user, const struct tow_event *event), void *user);
void tow_event_parser_deinit(struct tow_event_parser *parser); /* all-zero again */

#ifdef __cplusplus
}
#endif
#endif
