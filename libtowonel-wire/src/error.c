/* SPDX-License-Identifier: MIT */
#include <towonel/wire/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *tow_strerror(int code)
{
	switch (code) {
#define ERROR_CASE(name, value, text)                                                              \
	case value:                                                                                \
		return text;
		TOW_ERROR_TABLE(ERROR_CASE)
#undef ERROR_CASE
	default:
		return "unknown error";
	}
}

/* The text ends up in terminals and logs, and parts of it come from outside: no control characters,
 * neither those of ASCII nor U+0080 to U+009F, which a terminal obeys as well. */
static void defuse(char *text)
{
	unsigned char *p = (unsigned char *)text;

	for (; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
		else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			p[0] = p[1] = '?';
	}
}

/* Drops the first bytes of a UTF-8 sequence whose last ones were cut off. */
static void drop_cut_sequence(char *text)
{
	size_t len = strlen(text), start = len, need;
	unsigned char lead;

	while (start && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	if (!start)
		return;
	lead = (unsigned char)text[start - 1];
	need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	if (len - (start - 1) < need)
		text[start - 1] = '\0';
}

/* Formats `format: rest`, or without rest what format says. The arguments may point into err. */
__attribute__((format(printf, 2, 0)))
static void write_text(struct tow_error *err, const char *format, va_list args, const char *rest)
{
	char text[TOW_ERROR_TEXT_SIZE];
	int len = vsnprintf(text, sizeof text, format, args);
	int cut = len < 0 || (size_t)len >= sizeof text;

	if (len < 0)
		text[0] = '\0';
	if (rest && !cut) {
		size_t room = sizeof text - (size_t)len;
		int more = snprintf(text + len, room, ": %s", rest);
		cut = more < 0 || (size_t)more >= room;
	}
	if (cut)
		drop_cut_sequence(text);
	defuse(text);
	memcpy(err->text, text, sizeof text);
}

int tow_error_set(struct tow_error *err, int code, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	va_start(args, format);
	write_text(err, format, args, NULL);
	va_end(args);
	err->code = code;
	return code;
}

int tow_error_prefix(struct tow_error *err, const char *format, ...)
{
	va_list args;

	if (!err)
		return 0;
	va_start(args, format);
	write_text(err, format, args, err->text);
	va_end(args);
	return err->code;
}
