/* SPDX-License-Identifier: MIT */
#include "agent/settings.h"

#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/key_file.h>

#define SERVICES_FILE_MAX (4 * 1024 * 1024)

const struct tow_setting agent_settings_table[] = {
	{ .name = "TOWONEL_INVITE_TOKEN",
	  .type = TOW_SETTING_SECRET,
	  .offset = offsetof(struct agent_settings, invite_token),
	  .help = "the token that `towonel invite create` printed, or @FILE that holds it; "
	          "required" },
	{ .name = "TOWONEL_AGENT_SERVICES",
	  .type = TOW_SETTING_STRING,
	  .offset = offsetof(struct agent_settings, services),
	  .help = "HTTPS services: JSON, or @FILE that holds it" },
	{ .name = "TOWONEL_AGENT_TCP_SERVICES",
	  .type = TOW_SETTING_STRING,
	  .offset = offsetof(struct agent_settings, tcp_services),
	  .help = "TCP services: JSON, or @FILE" },
	{ .name = "TOWONEL_AGENT_UDP_SERVICES",
	  .type = TOW_SETTING_STRING,
	  .offset = offsetof(struct agent_settings, udp_services),
	  .help = "UDP services: JSON, or @FILE" },
	{ .name = "TOWONEL_AGENT_TRUSTED_EDGES",
	  .type = TOW_SETTING_LIST,
	  .offset = offsetof(struct agent_settings, trusted_edges),
	  .help = "node ids of the only edges to connect to; default: those the hub lists" },
	{ .name = "TOWONEL_AGENT_HEALTH_LISTEN_ADDR",
	  .type = TOW_SETTING_STRING,
	  .offset = offsetof(struct agent_settings, health_listen),
	  .default_text = "127.0.0.1:9092",
	  .help = "/healthz, /readyz and /metrics; \"none\" for no listener" },
	{ .name = "TOWONEL_DRAIN_SECS",
	  .type = TOW_SETTING_UINT,
	  .offset = offsetof(struct agent_settings, drain_secs),
	  .default_text = "25",
	  .min = 1,
	  .max = 3600,
	  .help = "how long open streams may go on after SIGTERM" },
	{ .name = "TOWONEL_LOG",
	  .type = TOW_SETTING_LEVEL,
	  .offset = offsetof(struct agent_settings, log_level),
	  .default_text = "info",
	  .help = "error, warn, info, debug or trace" },
	{ .name = "TOWONEL_LOG_FORMAT",
	  .type = TOW_SETTING_FORMAT,
	  .offset = offsetof(struct agent_settings, log_format),
	  .default_text = "text",
	  .help = "text (logfmt) or json" },
};
const size_t agent_settings_count = sizeof agent_settings_table / sizeof *agent_settings_table;

int agent_settings_load(const char *variable, const char *setting, char **text,
                        struct tow_error *err)
{
	struct tow_buf file = { 0 };
	*text = NULL;
	if (!setting)
		return 0;
	if (setting[0] != '@') {
		*text = strdup(setting);
		return *text ? 0 : TOW_ENOMEM;
	}
	int rc = tow_file_read(setting + 1, SERVICES_FILE_MAX, &file, err);
	if (rc != 0) {
		tow_error_prefix(err, "%s", variable);
	} else {
		*text = strndup((const char *)tow_buf_peek(&file).base, tow_buf_len(&file));
		rc = *text ? 0 : TOW_ENOMEM;
	}
	tow_buf_deinit(&file);
	return rc;
}
