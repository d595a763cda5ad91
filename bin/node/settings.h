/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NODE_SETTINGS_H
#define TOWONEL_BIN_NODE_SETTINGS_H

/* What the node reads from its environment. */

#include <towonel/edge.h>
#include <towonel/tunnel/settings.h>

#include "acme_settings.h"

struct settings {
	char *data_dir;
	char *identity_key_path;
	enum tow_log_level log_level;
	enum tow_log_format log_format;
	uint64_t drain_secs, takeover_drain_secs;

	int hub_enabled;
	char *invite_hash_key;
	struct tow_addr hub_listen, hub_health_listen;
	char *hub_public_url;
	char *operator_key_path;
	char *db_driver, *db_dsn; /* db_dsn: NULL for hub.db */
	uint64_t db_max_open_conns;
	int allow_privileged_ports;

	int edge_enabled;
	char *edge_token;
	struct tow_string_list edge_hub_urls;
	struct tow_addr edge_listen, edge_tunnel_listen, edge_health_listen;
	struct tow_string_list public_addresses;
	char *cert_dir; /* NULL: the default */
	struct acme_settings acme;
	struct tow_addr http_listen;
	uint64_t workers;
	uint64_t connections_max, connections_per_address, connection_rate, connection_burst;
	uint64_t udp_sessions_max, udp_sessions_per_port, udp_sessions_per_address;
	uint64_t handshakes_per_second, memory_mib;
};

extern const struct tow_setting settings_table[];
extern const size_t settings_count;

/* What 0.0.0.0 means when nobody chose it: every address of the host, IPv6 ones too where there are
 * any. Returns 1 when it is to be both. */
int settings_widen(struct tow_addr *addr, const char *variable);
/* The limits of what visitors and agents may take. */
void settings_limit(const struct settings *settings, struct tow_edge_config *config);

#endif
