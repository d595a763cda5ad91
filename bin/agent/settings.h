/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_AGENT_SETTINGS_H
#define TOWONEL_BIN_AGENT_SETTINGS_H

/* What the agent reads from its environment. */

#include <towonel/tunnel/settings.h>

struct agent_settings {
	char *invite_token;
	char *services, *tcp_services, *udp_services;
	struct tow_string_list trusted_edges;
	char *health_listen;
	uint64_t drain_secs;
	enum tow_log_level log_level;
	enum tow_log_format log_format;
};

extern const struct tow_setting agent_settings_table[];
extern const size_t agent_settings_count;

/* The services of a setting as text: the setting itself, or what is in the file that it names after
 * an "@". *text is malloc'd, or NULL when nothing was set. Returns 0; TOW_ENOMEM, or as
 * tow_file_read, and err names the variable. */
int agent_settings_load(const char *variable, const char *setting, char **text,
                        struct tow_error *err);

#endif
