/* SPDX-License-Identifier: MIT */
#include "node/settings.h"

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <towonel/wire/limits.h>

#define AT(member) .offset = offsetof(struct settings, member)

const struct tow_setting settings_table[] = {
	{ .name = "TOWONEL_DATA_DIR",
	  .type = TOW_SETTING_STRING,
	  AT(data_dir),
	  .default_text = ".",
	  .help = "where keys and the database are kept" },
	{ .name = "TOWONEL_IDENTITY_KEY_PATH",
	  .type = TOW_SETTING_PATH,
	  AT(identity_key_path),
	  .default_text = "node.key",
	  .help = "identity of this node; made on first start" },
	{ .name = "TOWONEL_LOG",
	  .type = TOW_SETTING_LEVEL,
	  AT(log_level),
	  .default_text = "info",
	  .help = "error, warn, info, debug or trace" },
	{ .name = "TOWONEL_LOG_FORMAT",
	  .type = TOW_SETTING_FORMAT,
	  AT(log_format),
	  .default_text = "text",
	  .help = "text (logfmt) or json" },
	{ .name = "TOWONEL_DRAIN_SECS",
	  .type = TOW_SETTING_UINT,
	  AT(drain_secs),
	  .default_text = "25",
	  .min = 1,
	  .max = 3600,
	  .help = "how long open visitors may go on after SIGTERM" },
	{ .name = "TOWONEL_TAKEOVER_DRAIN_SECS",
	  .type = TOW_SETTING_UINT,
	  AT(takeover_drain_secs),
	  .default_text = "0",
	  .max = 31536000,
	  .help = "how long they may in a process that another has taken over from; 0 for as "
	          "long as they last" },

	{ .name = "TOWONEL_HUB_ENABLED",
	  .type = TOW_SETTING_BOOL,
	  AT(hub_enabled),
	  .default_text = "true",
	  .help = "run a hub in this node" },
	{ .name = "TOWONEL_INVITE_HASH_KEY",
	  .type = TOW_SETTING_SECRET,
	  AT(invite_hash_key),
	  .help = "64 hex digits; default: invite_hash.key in the data directory, made on first "
	          "start" },
	{ .name = "TOWONEL_HUB_LISTEN_ADDR",
	  .type = TOW_SETTING_ADDR,
	  AT(hub_listen),
	  .default_text = "0.0.0.0:8443",
	  .help = "hub API, HTTPS" },
	{ .name = "TOWONEL_HUB_HEALTH_LISTEN_ADDR",
	  .type = TOW_SETTING_ADDR,
	  AT(hub_health_listen),
	  .default_text = "0.0.0.0:9091",
	  .help = "health and metrics of the hub" },
	{ .name = "TOWONEL_HUB_PUBLIC_URL",
	  .type = TOW_SETTING_STRING,
	  AT(hub_public_url),
	  .help = "https://HOST:PORT that goes into tokens; default: derived from the edge's "
	          "address" },
	{ .name = "TOWONEL_HUB_OPERATOR_API_KEY_PATH",
	  .type = TOW_SETTING_PATH,
	  AT(operator_key_path),
	  .default_text = "operator.key",
	  .help = "the operator's key; made on first start" },
	{ .name = "TOWONEL_HUB_DB_DRIVER",
	  .type = TOW_SETTING_STRING,
	  AT(db_driver),
	  .default_text = "sqlite",
	  .help = "sqlite or postgres" },
	{ .name = "TOWONEL_HUB_DB_DSN",
	  .type = TOW_SETTING_SECRET,
	  AT(db_dsn),
	  .help = "a file (default: hub.db in the data directory), or "
	          "postgres://USER:PASSWORD@HOST:PORT/DATABASE" },
	{ .name = "TOWONEL_HUB_DB_MAX_OPEN_CONNS",
	  .type = TOW_SETTING_UINT,
	  AT(db_max_open_conns),
	  .min = 1,
	  .max = 64,
	  .help = "database connections; default: 4 for sqlite, 25 for postgres (which takes one "
	          "more to listen)" },
	{ .name = "TOWONEL_HUB_ALLOW_PRIVILEGED_PORTS",
	  .type = TOW_SETTING_BOOL,
	  AT(allow_privileged_ports),
	  .default_text = "false",
	  .help = "let services claim ports below 1024" },

	{ .name = "TOWONEL_EDGE_ENABLED",
	  .type = TOW_SETTING_BOOL,
	  AT(edge_enabled),
	  .default_text = "true",
	  .help = "run an edge in this node" },
	{ .name = "TOWONEL_EDGE_INVITE_TOKEN",
	  .type = TOW_SETTING_SECRET,
	  AT(edge_token),
	  .help = "tt_edge_2_...: run an edge alone, for the hub that the token is of" },
	{ .name = "TOWONEL_EDGE_HUB_URL",
	  .type = TOW_SETTING_LIST,
	  AT(edge_hub_urls),
	  .help = "https://HOST:PORT[#NODE-ID] of the hub of an edge alone; default: the token's" },
	{ .name = "TOWONEL_EDGE_HUB_URLS",
	  .type = TOW_SETTING_LIST,
	  AT(edge_hub_urls),
	  .help = "the same",
	  .deprecated_by = "TOWONEL_EDGE_HUB_URL" },
	{ .name = "TOWONEL_EDGE_LISTEN_ADDR",
	  .type = TOW_SETTING_ADDR,
	  AT(edge_listen),
	  .default_text = "0.0.0.0:443",
	  .help = "visitors, TCP" },
	{ .name = "TOWONEL_EDGE_TUNNEL_LISTEN_ADDR",
	  .type = TOW_SETTING_ADDR,
	  AT(edge_tunnel_listen),
	  .default_text = "0.0.0.0:443",
	  .help = "agents, UDP" },
	{ .name = "TOWONEL_EDGE_HEALTH_LISTEN_ADDR",
	  .type = TOW_SETTING_ADDR,
	  AT(edge_health_listen),
	  .default_text = "0.0.0.0:9090",
	  .help = "health and metrics of the edge" },
	{ .name = "TOWONEL_EDGE_PUBLIC_ADDRESSES",
	  .type = TOW_SETTING_LIST,
	  AT(public_addresses),
	  .help = "HOST:PORT list that agents dial; default: derived from the default route" },
	{ .name = "TOWONEL_EDGE_TLS_CERT_DIR",
	  .type = TOW_SETTING_PATH,
	  AT(cert_dir),
	  .help = "NAME.crt and NAME.key where TLS ends here; default: certs in the data "
	          "directory, or /data/certs" },
	{ .name = "TOWONEL_EDGE_TLS_ACME_EMAIL",
	  .type = TOW_SETTING_STRING,
	  AT(acme.email),
	  .help = "turns on certificates on demand (ACME), and is where the authority writes to" },
	{ .name = "TOWONEL_EDGE_TLS_ACME_DIRECTORY",
	  .type = TOW_SETTING_STRING,
	  AT(acme.directory),
	  .help = "https URL of the authority's directory; default: Let's Encrypt" },
	{ .name = "TOWONEL_EDGE_TLS_ACME_STAGING",
	  .type = TOW_SETTING_BOOL,
	  AT(acme.staging),
	  .default_text = "false",
	  .help = "Let's Encrypt for tests: generous limits, certificates that no browser takes" },
	{ .name = "TOWONEL_EDGE_TLS_ACME_CA_FILE",
	  .type = TOW_SETTING_STRING,
	  AT(acme.ca_file),
	  .help = "certificates to trust at the directory, beside the system's" },
	{ .name = "TOWONEL_EDGE_TLS_ACME_EAB_KID",
	  .type = TOW_SETTING_STRING,
	  AT(acme.binding_kid),
	  .help = "account with the authority, where it wants one (external account binding)" },
	{ .name = "TOWONEL_EDGE_TLS_ACME_EAB_HMAC",
	  .type = TOW_SETTING_SECRET,
	  AT(acme.binding_hmac),
	  .help = "its key, base64url" },
	{ .name = "TOWONEL_EDGE_TLS_HTTP_LISTEN_ADDR",
	  .type = TOW_SETTING_ADDR,
	  AT(http_listen),
	  .default_text = "0.0.0.0:80",
	  .help = "plain HTTP, for challenges and redirects; used when set, or with ACME" },
	{ .name = "TOWONEL_EDGE_WORKERS",
	  .type = TOW_SETTING_UINT,
	  AT(workers),
	  .default_text = "1",
	  .min = 1,
	  .max = TOW_WORKERS_MAX,
	  .help = "threads that serve visitors and agents: as many as there are processors for "
	          "them" },
	{ .name = "TOWONEL_EDGE_CONNECTIONS_MAX",
	  .type = TOW_SETTING_UINT,
	  AT(connections_max),
	  .default_text = "0",
	  .max = UINT32_MAX,
	  .help = "visitors at once; 0: as many as there are descriptors for" },
	{ .name = "TOWONEL_EDGE_CONNECTIONS_PER_ADDRESS",
	  .type = TOW_SETTING_UINT,
	  AT(connections_per_address),
	  .default_text = "4096",
	  .max = UINT32_MAX,
	  .help = "visitors at once from one address (IPv6: a /64); 0 for no limit" },
	{ .name = "TOWONEL_EDGE_CONNECTION_RATE",
	  .type = TOW_SETTING_UINT,
	  AT(connection_rate),
	  .default_text = "500",
	  .max = 1000000,
	  .help = "visitors a second from one address; 0 for no limit" },
	{ .name = "TOWONEL_EDGE_CONNECTION_BURST",
	  .type = TOW_SETTING_UINT,
	  AT(connection_burst),
	  .default_text = "2000",
	  .min = 1,
	  .max = 1000000,
	  .help = "visitors that may come from it at once after a quiet while" },
	{ .name = "TOWONEL_EDGE_UDP_SESSIONS_MAX",
	  .type = TOW_SETTING_UINT,
	  AT(udp_sessions_max),
	  .default_text = "65536",
	  .min = 1,
	  .max = UINT32_MAX,
	  .help = "UDP sessions at once" },
	{ .name = "TOWONEL_EDGE_UDP_SESSIONS_PER_PORT",
	  .type = TOW_SETTING_UINT,
	  AT(udp_sessions_per_port),
	  .default_text = "16384",
	  .min = 1,
	  .max = UINT32_MAX,
	  .help = "UDP sessions at once on one port" },
	{ .name = "TOWONEL_EDGE_UDP_SESSIONS_PER_ADDRESS",
	  .type = TOW_SETTING_UINT,
	  AT(udp_sessions_per_address),
	  .default_text = "4096",
	  .min = 1,
	  .max = UINT32_MAX,
	  .help = "UDP sessions at once from one address (IPv6: a /64)" },
	{ .name = "TOWONEL_EDGE_MEMORY_MIB",
	  .type = TOW_SETTING_UINT,
	  AT(memory_mib),
	  .default_text = "0",
	  .max = 1048576,
	  .help = "MiB under way between visitors and agents; 0: a quarter of the machine's "
	          "memory" },
	{ .name = "TOWONEL_EDGE_AGENT_HANDSHAKE_RATE",
	  .type = TOW_SETTING_UINT,
	  AT(handshakes_per_second),
	  .default_text = "200",
	  .min = 1,
	  .max = 1000000,
	  .help = "QUIC handshakes of agents a second" },
};
const size_t settings_count = sizeof settings_table / sizeof *settings_table;

extern char **environ;

int settings_widen(struct tow_addr *addr, const char *variable)
{
	static const struct tow_addr any = { .family = 4 };
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };
	if (tow_settings_is_set(environ, variable) || !tow_addr_same_host(addr, &any))
		return addr->family == 6;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int has = fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
	if (fd >= 0)
		close(fd);
	if (has)
		addr->family = 6;
	return has;
}

/* 0: it is not known. */
static uint64_t machine_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

void settings_limit(const struct settings *s, struct tow_edge_config *config)
{
	config->connections_max = s->connections_max;
	config->connections_per_address = s->connections_per_address;
	config->connection_rate = (unsigned)s->connection_rate;
	config->connection_burst = (unsigned)s->connection_burst;
	config->udp_sessions_max = s->udp_sessions_max;
	config->udp_sessions_per_port = s->udp_sessions_per_port;
	config->udp_sessions_per_address = s->udp_sessions_per_address;
	config->memory_max = s->memory_mib ? s->memory_mib << 20 : machine_memory() / 4;
	config->handshakes_per_second = (unsigned)s->handshakes_per_second;
}
