/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
	int status;
	const char *code;
} table[] = {
#define ROW(name, status, code) [name] = { status, code },
	TOW__FAULT_TABLE(ROW)
#undef ROW
};

enum tow__fault_kind tow__fault_set(struct tow__fault *fault, enum tow__fault_kind kind,
                                    const char *format, ...)
{
	char text[TOW_ERROR_TEXT_SIZE]; /* the arguments may point into the fault's own */
	struct tow_error clean;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	/* wire's errors know how to keep a line one line */
	tow_error_set(&clean, TOW_EINVAL, "%s", text);
	fault->kind = kind;
	snprintf(fault->text, sizeof fault->text, "%s", clean.text);
	return kind;
}

int tow__fault_status(enum tow__fault_kind kind)
{
	assert(kind > TOW__NO_FAULT && (size_t)kind < sizeof table / sizeof *table);
	return table[kind].status;
}

const char *tow__fault_code(enum tow__fault_kind kind)
{
	assert(kind > TOW__NO_FAULT && (size_t)kind < sizeof table / sizeof *table);
	return table[kind].code;
}
