/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct table {
	size_t columns, rows;
	char **cells; /* the headings are row 0 */
};

struct table *table_new(const char *const *headings, size_t columns)
{
	struct table *table = calloc(1, sizeof *table);
	if (!table)
		abort();
	table->columns = columns;
	table_add(table, headings);
	return table;
}

void table_add(struct table *table, const char *const *cells)
{
	size_t first = table->rows * table->columns;
	table->cells = reallocarray(table->cells, first + table->columns, sizeof *table->cells);
	for (size_t i = 0; i < table->columns; i++) {
		char *cell = table->cells ? strdup(cells[i] ? cells[i] : "") : NULL;
		if (!cell)
			abort();
		/* what a hub sends must not steer the terminal: C0, and C1 in UTF-8 */
		for (char *c = cell; *c; c++) {
			if (c[0] == '\xc2' && (c[1] & '\xe0') == '\x80')
				c[0] = c[1] = '?';
			else if (iscntrl((unsigned char)*c))
				*c = '?';
		}
		table->cells[first + i] = cell;
	}
	table->rows++;
}

void table_print(const struct table *table)
{
	for (size_t row = 0; row < table->rows; row++) {
		for (size_t column = 0; column < table->columns; column++) {
			const char *cell = table->cells[row * table->columns + column];
			size_t width = 0;
			for (size_t i = column; i < table->rows * table->columns;
			     i += table->columns)
				width = strlen(table->cells[i]) > width ? strlen(table->cells[i])
				                                        : width;
			if (column + 1 < table->columns)
				printf("%-*s  ", (int)width, cell);
			else
				printf("%s\n", cell);
		}
	}
}

void table_free(struct table *table)
{
	for (size_t i = 0; i < table->rows * table->columns; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

char *cli_format_time(uint64_t unix_ms, char out[32])
{
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm tm;
	if (unix_ms == 0 || !gmtime_r(&seconds, &tm) ||
	    strftime(out, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(out, 32, "never");
	return out;
}

int cli_parse_duration(const char *text, uint64_t *seconds)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	if (strcmp(text, "never") == 0) {
		*seconds = 0;
		return 0;
	}
	if (!isdigit((unsigned char)text[0]))
		return -1;
	uint64_t number = strtoull(text, &end, 10);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (end[0] == units[i].unit && end[1] == 0 && number > 0 && number < 1000000) {
			*seconds = number * units[i].seconds;
			return 0;
		}
	}
	return -1;
}

json_t *cli_split_list(const char *text)
{
	json_t *list = json_array();
	while (*text) {
		size_t len = strcspn(text, ", \t\n");
		if (len > 0)
			json_array_append_new(list, json_stringn(text, len));
		text += len;
		text += strspn(text, ", \t\n");
	}
	return list;
}

int cli_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t number =
		digits && digits < 19 && !text[digits] ? strtoull(text, NULL, 10) : UINT64_MAX;
	if (number < min || number > max)
		return -1;
	*out = number;
	return 0;
}

const char *cli_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

uint64_t cli_number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

const char *cli_join(const json_t *strings, struct tow_buf *out)
{
	size_t index;
	json_t *string;
	json_array_foreach(strings, index, string)
	{
		tow_buf_append_text(out, index ? "," : "");
		tow_buf_append_text(out, json_is_string(string) ? json_string_value(string) : "?");
	}
	if (tow_buf_append(out, "", 1) != 0)
		abort();
	return (const char *)tow_buf_peek(out).base;
}

int cli_print_json(const json_t *value)
{
	return json_dumpf(value, stdout, JSON_INDENT(2)) == 0 && putchar('\n') == '\n' ? 0 : 1;
}
