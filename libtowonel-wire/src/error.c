/* SPDX-License-Identifier: MIT */
#include <towonel/wire/error.h>

#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *tow_strerror(int code)
{
	switch (code) {
#define ERROR_CASE(name, value, text)                                                              \
	case value: return text;
		TOW_ERROR_TABLE(ERROR_CASE)
#undef ERROR_CASE
	default: return "unknown error";
	}
}

/* The text ends up in terminals, logs and JSON, and parts of it come from outside: what is a
 * control character or no UTF-8 becomes '?'. A sequence that the end of the text cut off is
 * dropped. */
static void defuse(char *text, int cut)
{
	struct tow_slice left = tow_slice_of(text);

	while (left.len) {
		uint32_t c;
		size_t len = tow__utf8_read(left, &c);
		char *at = text + (left.base - (const uint8_t *)text);
		if (!len && cut && left.len < 4 && (left.base[0] & 0xc0) == 0xc0) {
			*at = '\0';
			return;
		}
		if (!len || tow__utf8_is_control(c)) {
			len = len ? len : 1;
			memset(at, '?', len);
		}
		left.base += len;
		left.len -= len;
	}
}

/* Formats `format: rest`, or without rest what format says. The arguments may point into err. */
static __attribute__((format(printf, 2, 0))) void
write_text(struct tow_error *err, const char *format, va_list args, const char *rest)
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
	defuse(text, cut);
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
