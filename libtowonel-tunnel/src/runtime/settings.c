/* SPDX-License-Identifier: MIT */
/*
 * Reading goes over the table twice: rows that are current first, then deprecated names, which
 * count only where the name that replaces them is not set. Both fill the same place.
 *
 * A secret is copied, overwritten where it lies (which also clears /proc/PID/environ, the first
 * place to look for other people's secrets) and taken out of the array, so that no child process
 * inherits it.
 */
#include <towonel/tunnel/settings.h>

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <towonel/tunnel/key_file.h>
#include <towonel/wire/nearest.h>

#define PREFIX      "TOWONEL_"
#define DATA_DIR    "TOWONEL_DATA_DIR"
#define NAME_SHOWN  64
#define SECRET_MAX  65536
#define VALUE_SHOWN 60 /* characters of a bad value in a message */

static const char *value_of(const char *variable, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(variable, name, len) && variable[len] == '=' ? variable + len + 1 : NULL;
}

/* NULL when unset or empty. */
static const char *look_up(char **environment, const char *name)
{
	for (; environment && *environment; environment++) {
		const char *value = value_of(*environment, name);
		if (value)
			return *value ? value : NULL;
	}
	return NULL;
}

static void remove_secret(char **environment, const char *name)
{
	char **to = environment;

	for (char **from = environment; from && *from; from++) {
		char *value = (char *)(uintptr_t)value_of(*from, name);
		if (value)
			explicit_bzero(value, strlen(value));
		else
			*to++ = *from;
	}
	if (to)
		*to = NULL;
}

/* --- one function per type: the text into *place --- */

static int bad(struct tow_error *err, const char *what, const char *text)
{
	return tow_error_set(err, TOW_ECONFIG, "must be %s, not \"%.*s\"%s", what, VALUE_SHOWN,
	                     text, strlen(text) > VALUE_SHOWN ? "..." : "");
}

static int store_string(const char *text, void *place)
{
	char *copy = strdup(text);

	if (!copy)
		return TOW_ENOMEM;
	memcpy(place, &copy, sizeof copy);
	return 0;
}

int tow_setting_secret(const char *text, char **out, struct tow_error *err)
{
	struct tow_buf file = { 0 };
	struct tow_slice secret;
	char *copy = NULL;
	int rc;

	if (text[0] != '@')
		return store_string(text, out);
	rc = tow_file_read(text + 1, SECRET_MAX, &file, err);
	secret = tow_buf_peek(&file);
	while (secret.len && strchr(" \t\r\n", secret.base[secret.len - 1]))
		secret.len--;
	if (!rc && !secret.len)
		rc = tow_error_set(err, TOW_ECONFIG, "%s is empty", text + 1);
	if (!rc) {
		copy = strndup((const char *)secret.base, secret.len);
		rc = copy ? 0 : TOW_ENOMEM;
	}
	if (!rc)
		*out = copy;
	tow_wipe(file.base, file.cap);
	tow_buf_deinit(&file);
	return rc;
}

static int store_default_path(const char *text, const char *data_dir, void *place)
{
	char *joined = NULL;
	size_t dir_len = strlen(data_dir), text_len = strlen(text);

	if (*text == '/' || !strcmp(data_dir, "."))
		return store_string(text, place);
	while (dir_len > 1 && data_dir[dir_len - 1] == '/')
		dir_len--;
	joined = malloc(dir_len + text_len + 2);
	if (!joined)
		return TOW_ENOMEM;
	memcpy(joined, data_dir, dir_len);
	if (joined[dir_len - 1] != '/')
		joined[dir_len++] = '/';
	memcpy(joined + dir_len, text, text_len + 1);
	memcpy(place, &joined, sizeof joined);
	return 0;
}

static int store_bool(const char *text, void *place, struct tow_error *err)
{
	static const char *const words[][2] = {
		{ "false", "true" }, { "0", "1" }, { "no", "yes" }, { "off", "on" }
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		for (int value = 0; value < 2; value++) {
			if (!strcasecmp(text, words[i][value])) {
				memcpy(place, &value, sizeof value);
				return 0;
			}
		}
	}
	return bad(err, "true or false", text);
}

static int store_uint(const struct tow_setting *row, const char *text, void *place,
                      struct tow_error *err)
{
	uint64_t value = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		unsigned digit = (unsigned)(*p - '0');
		if (value > (UINT64_MAX - digit) / 10)
			break;
		value = value * 10 + digit;
	}
	if (*p || p == text || value < row->min || value > row->max) {
		char range[80];
		snprintf(range, sizeof range, "a number from %llu to %llu",
		         (unsigned long long)row->min, (unsigned long long)row->max);
		return bad(err, range, text);
	}
	memcpy(place, &value, sizeof value);
	return 0;
}

static int store_addr(const char *text, void *place, struct tow_error *err)
{
	struct tow_addr addr;

	if (tow_addr_parse(tow_slice_of(text), &addr))
		return bad(err, "an address and port such as 0.0.0.0:8443 or [::]:8443", text);
	memcpy(place, &addr, sizeof addr);
	return 0;
}

static void free_list(struct tow_string_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	memset(list, 0, sizeof *list);
}

/* items has room for it. */
static int add_item(struct tow_string_list *list, const char *text, size_t len)
{
	while (len && strchr(" \t\r\n", text[0])) {
		text++;
		len--;
	}
	while (len && strchr(" \t\r\n", text[len - 1]))
		len--;
	if (!len)
		return 0;
	list->items[list->count] = strndup(text, len);
	if (!list->items[list->count])
		return TOW_ENOMEM;
	list->count++;
	return 0;
}

static int split_json(const char *text, struct tow_string_list *list, struct tow_error *err)
{
	json_error_t where;
	json_t *array = json_loads(text, 0, &where), *item;
	size_t i;
	int rc = 0;

	if (!array)
		return tow_error_set(err, TOW_ECONFIG, "is not valid JSON: %s (column %d)",
		                     where.text, where.column);
	list->items = calloc(json_array_size(array) + 1, sizeof *list->items);
	if (!list->items)
		rc = TOW_ENOMEM;
	for (i = 0; !rc && i < json_array_size(array); i++) {
		item = json_array_get(array, i);
		if (!json_is_string(item))
			rc = tow_error_set(err, TOW_ECONFIG,
			                   "must be a JSON array of strings; item %zu is not",
			                   i + 1);
		else
			rc = add_item(list, json_string_value(item), json_string_length(item));
	}
	json_decref(array);
	return rc;
}

static int split_csv(const char *text, struct tow_string_list *list)
{
	size_t items = 1;
	int rc = 0;

	for (const char *p = text; *p; p++)
		items += *p == ',';
	list->items = calloc(items, sizeof *list->items);
	if (!list->items)
		return TOW_ENOMEM;
	while (!rc) {
		size_t len = strcspn(text, ",");
		rc = add_item(list, text, len);
		if (!text[len])
			break;
		text += len + 1;
	}
	return rc;
}

/* A list of addresses may begin with a bracket as well: [2001:db8::1]:443 */
static int is_json(const char *text)
{
	size_t digits;

	text += strspn(text, " \t\r\n");
	if (*text != '[')
		return 0;
	digits = strspn(text + 1, "0123456789abcdefABCDEF:.");
	return text[1 + digits] != ']' || !memchr(text + 1, ':', digits);
}

static int store_list(const char *text, void *place, struct tow_error *err)
{
	struct tow_string_list list = { NULL, 0 };
	int rc = is_json(text) ? split_json(text, &list, err) : split_csv(text, &list);

	if (rc)
		free_list(&list);
	else
		memcpy(place, &list, sizeof list);
	return rc;
}

static int store_level(const char *text, void *place, struct tow_error *err)
{
	enum tow_log_level level;

	if (tow_log_level_parse(text, &level))
		return bad(err, "error, warn, info, debug or trace", text);
	memcpy(place, &level, sizeof level);
	return 0;
}

static int store_format(const char *text, void *place, struct tow_error *err)
{
	enum tow_log_format format;

	if (tow_log_format_parse(text, &format))
		return bad(err, "text or json", text);
	memcpy(place, &format, sizeof format);
	return 0;
}

/* --- rows --- */

static void clear_row(const struct tow_setting *row, void *out)
{
	void *place = (char *)out + row->offset;
	char *text;

	switch (row->type) {
	case TOW_SETTING_STRING:
	case TOW_SETTING_SECRET:
	case TOW_SETTING_PATH:
		memcpy(&text, place, sizeof text);
		if (text && row->type == TOW_SETTING_SECRET)
			explicit_bzero(text, strlen(text));
		free(text);
		memset(place, 0, sizeof text);
		break;
	case TOW_SETTING_LIST: free_list(place); break;
	case TOW_SETTING_BOOL:
	case TOW_SETTING_UINT:
	case TOW_SETTING_ADDR:
	case TOW_SETTING_LEVEL:
	case TOW_SETTING_FORMAT: break;
	}
}

static int fill_row(const struct tow_setting *row, const char *text, bool is_default,
                    const char *data_dir, void *out, struct tow_error *err)
{
	void *place = (char *)out + row->offset;
	int rc = TOW_EINVAL;

	clear_row(row, out);
	switch (row->type) {
	case TOW_SETTING_STRING: rc = store_string(text, place); break;
	case TOW_SETTING_SECRET: rc = tow_setting_secret(text, place, err); break;
	case TOW_SETTING_PATH:
		rc = is_default ? store_default_path(text, data_dir, place)
		                : store_string(text, place);
		break;
	case TOW_SETTING_BOOL: rc = store_bool(text, place, err); break;
	case TOW_SETTING_UINT: rc = store_uint(row, text, place, err); break;
	case TOW_SETTING_ADDR: rc = store_addr(text, place, err); break;
	case TOW_SETTING_LIST: rc = store_list(text, place, err); break;
	case TOW_SETTING_LEVEL: rc = store_level(text, place, err); break;
	case TOW_SETTING_FORMAT: rc = store_format(text, place, err); break;
	}
	if (rc == TOW_ENOMEM)
		tow_error_set(err, rc, "%s", tow_strerror(rc));
	if (rc)
		tow_error_prefix(err, "%s", row->name);
	return rc;
}

static int read_row(const struct tow_setting *row, char **environment, const char *data_dir,
                    void *out, struct tow_error *err)
{
	const char *text = look_up(environment, row->name);
	bool is_default = !text;
	int rc;

	if (row->deprecated_by && (!text || look_up(environment, row->deprecated_by)))
		return 0;
	if (is_default)
		text = row->default_text;
	if (!text)
		return 0;
	rc = fill_row(row, text, is_default, data_dir, out, err);
	if (row->type == TOW_SETTING_SECRET && !is_default)
		remove_secret(environment, row->name);
	return rc;
}

static const char *find_data_dir(const struct tow_setting *table, size_t count, char **environment)
{
	const char *dir = look_up(environment, DATA_DIR);

	for (size_t i = 0; !dir && i < count; i++)
		if (!strcmp(table[i].name, DATA_DIR))
			dir = table[i].default_text;
	return dir ? dir : ".";
}

int tow_settings_read(const struct tow_setting *table, size_t count, char **environment, void *out,
                      struct tow_error *err)
{
	const char *data_dir = find_data_dir(table, count, environment);
	int rc = 0;

	for (int deprecated = 0; deprecated < 2; deprecated++)
		for (size_t i = 0; !rc && i < count; i++)
			if (!table[i].deprecated_by == !deprecated)
				rc = read_row(&table[i], environment, data_dir, out, err);
	if (rc)
		tow_settings_deinit(table, count, out);
	return rc;
}

void tow_settings_deinit(const struct tow_setting *table, size_t count, void *out)
{
	for (size_t i = 0; i < count; i++)
		clear_row(&table[i], out);
}

int tow_settings_is_set(char **environment, const char *name)
{
	return look_up(environment, name) != NULL;
}

/* --- names that nobody knows --- */

/* The row of that name, deprecated ones too; NULL when there is none. */
static const struct tow_setting *find_row(const struct tow_setting *const *tables,
                                          const size_t *counts, size_t table_count,
                                          struct tow_slice name)
{
	for (size_t t = 0; t < table_count; t++)
		for (size_t i = 0; i < counts[t]; i++)
			if (tow_slice_equal(name, tow_slice_of(tables[t][i].name)))
				return &tables[t][i];
	return NULL;
}

/* All names in use, for suggestions; *count of them. NULL when out of memory. */
static const char **list_names(const struct tow_setting *const *tables, const size_t *counts,
                               size_t table_count, size_t *count)
{
	const char **names;
	size_t total = 0;

	for (size_t t = 0; t < table_count; t++)
		total += counts[t];
	names = calloc(total + 1, sizeof *names);
	*count = 0;
	for (size_t t = 0; names && t < table_count; t++)
		for (size_t i = 0; i < counts[t]; i++)
			if (!tables[t][i].deprecated_by)
				names[(*count)++] = tables[t][i].name;
	return names;
}

static void warn_unknown(struct tow_log *log, struct tow_slice name, const char *nearest)
{
	char shown[NAME_SHOWN + 1];

	snprintf(shown, sizeof shown, "%.*s", (int)(name.len < NAME_SHOWN ? name.len : NAME_SHOWN),
	         (const char *)name.base);
	if (nearest)
		tow_log_warn(log, "unknown variable is ignored", tow_f_str("variable", shown),
		             tow_f_str("did_you_mean", nearest));
	else
		tow_log_warn(log, "unknown variable is ignored", tow_f_str("variable", shown));
}

void tow_settings_warn_unknown(const struct tow_setting *const *tables, const size_t *counts,
                               size_t table_count, char **environment, struct tow_log *log)
{
	size_t count;
	const char **names = list_names(tables, counts, table_count, &count);

	for (; environment && *environment; environment++) {
		const char *variable = *environment;
		struct tow_slice name = tow_slice_make(variable, strcspn(variable, "="));
		const struct tow_setting *row;

		if (strncmp(variable, PREFIX, strlen(PREFIX)) || !variable[name.len])
			continue;
		row = find_row(tables, counts, table_count, name);
		if (!row)
			warn_unknown(log, name, names ? tow_nearest(name, names, count) : NULL);
		else if (row->deprecated_by)
			tow_log_warn(log, "this variable has a new name",
			             tow_f_str("variable", row->name),
			             tow_f_str("use", row->deprecated_by));
	}
	free(names);
}

int tow_settings_help(const struct tow_setting *table, size_t count, struct tow_buf *out)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < count; i++) {
		const struct tow_setting *row = &table[i];
		rc = tow_buf_printf(out, "  %s", row->name);
		if (!rc && row->deprecated_by)
			rc = tow_buf_printf(out, " (old name of %s)", row->deprecated_by);
		else if (!rc && row->default_text)
			rc = tow_buf_printf(out, " (default: %s)", row->default_text);
		if (!rc)
			rc = tow_buf_printf(out, "\n      %s\n", row->help ? row->help : "");
	}
	return rc;
}
