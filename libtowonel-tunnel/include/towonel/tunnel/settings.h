/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_SETTINGS_H
#define TOWONEL_TUNNEL_SETTINGS_H

/*
 * Settings from the environment, by a table: one row per variable, with its type, default and one
 * line of help, so that reading, checking, `--help` and the manual page come from the same place. A
 * bad value names its variable. A TOWONEL_* variable that no row knows is warned about, with the
 * nearest known name.
 */

#include <stddef.h>
#include <towonel/tunnel/log.h>
#include <towonel/wire/addr.h>
#include <towonel/wire/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tow_setting_type {
	TOW_SETTING_STRING,  /* char *; NULL when unset and without default */
	TOW_SETTING_SECRET,  /* char *, or in the file after an "@"; never shown; removed from the
	                      * environment once read */
	TOW_SETTING_PATH,    /* char *; relative defaults are put below the data directory */
	TOW_SETTING_BOOL,    /* int; true/false, 1/0, yes/no, on/off */
	TOW_SETTING_UINT,    /* uint64_t, between min and max */
	TOW_SETTING_ADDR,    /* struct tow_addr; literal host:port */
	TOW_SETTING_LIST,    /* struct tow_string_list; CSV or a JSON array of strings */
	TOW_SETTING_LEVEL,   /* enum tow_log_level */
	TOW_SETTING_FORMAT,  /* enum tow_log_format */
};

struct tow_string_list {
	char **items;
	size_t count;
};

struct tow_setting {
	const char *name;          /* "TOWONEL_HUB_LISTEN_ADDR" */
	enum tow_setting_type type;
	size_t offset;             /* in the struct that is filled */
	const char *default_text;  /* NULL: none */
	uint64_t min, max;         /* UINT */
	const char *help;
	const char *deprecated_by; /* the name that replaces this one; a warning says so */
};

/* Fills the struct (all-zero before) from environment, a NULL-terminated array of "NAME=value"
 * (environ). data_dir is the value of the row named TOWONEL_DATA_DIR. Empty values count as unset.
 * Returns 0; TOW_ECONFIG. */
int tow_settings_read(const struct tow_setting *table, size_t count, char **environment, void *out,
                      struct tow_error *err);
/* Frees what _read put into the struct; wipes secrets. */
void tow_settings_deinit(const struct tow_setting *table, size_t count, void *out);
/* Was the variable set to something in the environment that was read? (A default that means "IPv6
 * too" asks.)
 * Ask before reading: a secret is gone after that. */
int tow_settings_is_set(char **environment, const char *name);
/* Warns about TOWONEL_* variables that none of the tables knows. */
void tow_settings_warn_unknown(const struct tow_setting *const *tables, const size_t *counts,
                               size_t table_count, char **environment, struct tow_log *log);
/* As a row's SECRET is read: the text itself, or what is in the file after an "@", without white
 * space at the end. The caller wipes and frees *out. Returns 0; TOW_ECONFIG for an empty file,
 * TOW_ENOMEM, or as tow_file_read. */
int tow_setting_secret(const char *text, char **out, struct tow_error *err);
/* The rows as text for --help, one or two lines each. Returns 0, TOW_ENOMEM. */
int tow_settings_help(const struct tow_setting *table, size_t count, struct tow_buf *out);

#ifdef __cplusplus
}
#endif
#endif
