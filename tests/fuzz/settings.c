/* SPDX-License-Identifier: MIT */
/* The first byte picks the type, the rest is the value of a variable of that type. */
#include <towonel/tunnel/settings.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	union {
		char *text;
		int flag;
		uint64_t number;
		struct tow_addr addr;
		struct tow_string_list list;
		enum tow_log_level level;
		enum tow_log_format format;
	} value;
	struct tow_setting row = { "TOWONEL_VALUE", 0, 0, NULL, 1, 1000000, "", NULL };
	const struct tow_setting *tables[] = { &row };
	const size_t counts[] = { 1 };
	static const char name[] = "TOWONEL_VALUE=";
	struct tow_error err;
	char *variable, *environment[2];

	if (!len)
		return 0;
	row.type = bytes[0] % (TOW_SETTING_FORMAT + 1);
	variable = malloc(sizeof name + len);
	if (!variable)
		abort();
	memcpy(variable, name, sizeof name - 1);
	memcpy(variable + sizeof name - 1, bytes + 1, len - 1);
	variable[sizeof name + len - 2] = '\0';
	environment[0] = variable;
	environment[1] = NULL;
	memset(&value, 0, sizeof value);
	if (!tow_settings_read(&row, 1, environment, &value, &err))
		tow_settings_deinit(&row, 1, &value);
	/* and once as a name that nobody knows */
	memcpy(variable + 8, "VALVE", 5);
	environment[0] = variable;
	tow_settings_warn_unknown(tables, counts, 1, environment, NULL);
	free(variable);
	return 0;
}
