/* SPDX-License-Identifier: MIT */
/*
 * towonel-node: a hub, an edge, or both in one process, with the hub's route feed handed to the
 * edge.
 *
 *     keys and addresses from settings ─► hub ─► edge ─► feed joined ─► loop
 *     signal ─► edge drains ─► hub closes ─► end           a second signal ends it at once
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <towonel/edge.h>
#include <towonel/hub.h>
#include <towonel/tunnel/health.h>
#include <towonel/tunnel/key_file.h>
#include <towonel/tunnel/settings.h>
#include <towonel/tunnel/tcp.h>

#include "common.h"

#define PROGRAM      "towonel-node"
#define HUB_GRACE_NS (3 * TOW_NSEC_PER_SEC)

/* --- settings --- */

struct settings {
	char *data_dir;
	char *identity_key_path;
	enum tow_log_level log_level;
	enum tow_log_format log_format;
	uint64_t drain_secs;

	int hub_enabled;
	char *invite_hash_key;
	struct tow_addr hub_listen, hub_health_listen;
	char *hub_public_url;
	char *operator_key_path;
	char *db_driver, *db_dsn; /* db_dsn: NULL for hub.db */
	uint64_t db_max_open_conns;
	int allow_privileged_ports;

	int edge_enabled;
	struct tow_addr edge_listen, edge_tunnel_listen, edge_health_listen;
	struct tow_string_list public_addresses;
	char *cert_dir; /* NULL: the default */
	uint64_t connections_max, connections_per_address;
};

#define AT(member) .offset = offsetof(struct settings, member)

static const struct tow_setting table[] = {
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
	  .help = "NAME.crt and NAME.key of names whose TLS ends here; default: certs in the data "
	          "directory, or /data/certs when that is not set" },
	{ .name = "TOWONEL_EDGE_CONNECTIONS_MAX",
	  .type = TOW_SETTING_UINT,
	  AT(connections_max),
	  .default_text = "0",
	  .max = UINT32_MAX,
	  .help = "visitors at once; 0 for no limit" },
	{ .name = "TOWONEL_EDGE_CONNECTIONS_PER_ADDRESS",
	  .type = TOW_SETTING_UINT,
	  AT(connections_per_address),
	  .default_text = "0",
	  .max = UINT32_MAX,
	  .help = "visitors at once from one address; 0 for no limit" },
};
#define TABLE_COUNT (sizeof table / sizeof *table)

extern char **environ;

static void help(void)
{
	struct tow_buf text = { 0 };
	fputs("usage: towonel-node [--help | --version]\n"
	      "\n"
	      "Runs a hub (invites, tenants, routes), an edge (takes visitors, forwards them to "
	      "agents),\n"
	      "or both.\n"
	      "\n"
	      "Settings, from the environment:\n",
	      stdout);
	if (tow_settings_help(table, TABLE_COUNT, &text) == 0)
		fwrite(tow_buf_peek(&text).base, 1, tow_buf_len(&text), stdout);
	tow_buf_deinit(&text);
	fputs("\n"
	      "SIGTERM and SIGINT finish the open visitors and stop; a second one stops at once.\n"
	      "\n"
	      "Exit status: 0 stopped in order, 1 failure, 2 bad settings or an address in use.\n",
	      stdout);
}

/* --- the node --- */

struct node {
	struct settings settings;
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_node_key key;
	uint8_t invite_hash_key[TOW_SECRET_SIZE];
	char operator_key[TOW_BASE64URL_SIZE(TOW_SECRET_SIZE)];
	char public_url[TOW_URL_MAX];
	char derived_address[TOW_ADDR_TEXT_SIZE]; /* when no public address was set */

	struct tow_metrics *hub_metrics, *edge_metrics;
	struct tow_hub *hub;
	struct tow_hub_subscription *subscription;
	struct tow_edge *edge;
	struct tow_health *hub_health, *edge_health;
	int signal_fd;
	struct tow_io *signal_io;
	int signals; /* how many have come */
};

/* What 0.0.0.0 means when nobody chose it: every address of the host, IPv6 ones too where there are
 * any. */
static int widen(struct tow_addr *addr, const char *variable)
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

static int is_any(const struct tow_addr *addr)
{
	static const struct tow_addr any4 = { .family = 4 }, any6 = { .family = 6 };
	return tow_addr_same_host(addr, &any4) || tow_addr_same_host(addr, &any6);
}

static int open_keys(struct node *node, struct tow_error *err)
{
	struct settings *s = &node->settings;
	uint8_t key[TOW_SECRET_SIZE];
	char path[4096];
	int created = 0;

	int rc = tow_directory_make(s->data_dir, err);
	if (rc == 0)
		rc = tow_key_file_open(s->identity_key_path, TOW_KEY_RAW, key, &created, err);
	if (rc != 0)
		return rc;
	tow_node_key_from_seed(key, &node->key);
	if (created)
		tow_log_info(node->log, "made the node's identity",
		             tow_f_str("path", s->identity_key_path));
	if (!s->hub_enabled)
		return 0;

	rc = tow_key_file_open(s->operator_key_path, TOW_KEY_BASE64URL, key, &created, err);
	if (rc != 0)
		return rc;
	tow_base64url_encode(key, sizeof key, node->operator_key);
	if (created)
		tow_log_info(node->log, "made the operator's key",
		             tow_f_str("path", s->operator_key_path));
	tow_wipe(key, sizeof key);

	if (s->invite_hash_key) {
		if (tow_hex_decode(tow_slice_of(s->invite_hash_key), node->invite_hash_key,
		                   TOW_SECRET_SIZE) != TOW_SECRET_SIZE)
			return tow_error_set(err, TOW_ECONFIG,
			                     "TOWONEL_INVITE_HASH_KEY is not 64 hex digits");
		return 0;
	}
	snprintf(path, sizeof path, "%s/invite_hash.key", s->data_dir);
	return tow_key_file_open(path, TOW_KEY_HEX, node->invite_hash_key, NULL, err);
}

/* The address that agents are told, and the URL that goes into tokens, when they were not set. */
static int derive_addresses(struct node *node, struct tow_error *err)
{
	struct settings *s = &node->settings;
	struct tow_addr addr = s->edge_tunnel_listen;
	char host[TOW_HOSTNAME_SIZE], text[TOW_ADDR_TEXT_SIZE];
	uint16_t port;

	for (size_t i = s->public_addresses.count; i-- > 0;) {
		if (tow_host_port_split(tow_slice_of(s->public_addresses.items[i]), host, &port,
		                        err) != 0)
			return tow_error_prefix(err, "TOWONEL_EDGE_PUBLIC_ADDRESSES: \"%s\"",
			                        s->public_addresses.items[i]);
	}
	if (is_any(&addr) && tow_default_route_addr(4, &addr) != 0 &&
	    tow_default_route_addr(6, &addr) != 0)
		addr = (struct tow_addr){ .family = 4, .bytes = { 127, 0, 0, 1 } };
	addr.port = s->edge_tunnel_listen.port;
	tow_addr_format(&addr, node->derived_address);
	if (s->edge_enabled && s->public_addresses.count == 0 && tow_addr_is_private(&addr))
		tow_log_warn(
			node->log,
			"agents will be told a private address; set TOWONEL_EDGE_PUBLIC_ADDRESSES",
			tow_f_str("address", node->derived_address));

	if (s->hub_public_url) {
		struct tow_id fragment;
		if (tow_hub_url_parse(tow_slice_of(s->hub_public_url), node->public_url, &fragment,
		                      err) != 0)
			return tow_error_prefix(err, "TOWONEL_HUB_PUBLIC_URL");
		return 0;
	}
	if (s->edge_enabled && s->public_addresses.count > 0) {
		tow_host_port_split(tow_slice_of(s->public_addresses.items[0]), host, &port, NULL);
		struct tow_addr literal;
		int v6 = tow_addr_parse_host(tow_slice_of(host), &literal) == 0 &&
		         literal.family == 6;
		snprintf(node->public_url, sizeof node->public_url,
		         v6 ? "https://[%s]:%u" : "https://%s:%u", host, s->hub_listen.port);
		return 0;
	}
	if (!is_any(&s->hub_listen)) {
		addr = s->hub_listen;
		tow_addr_unmap(&addr);
	}
	addr.port = s->hub_listen.port;
	snprintf(node->public_url, sizeof node->public_url, "https://%s",
	         tow_addr_format(&addr, text));
	if (s->hub_enabled && tow_addr_is_private(&addr))
		tow_log_warn(node->log,
		             "tokens will name a private address; set TOWONEL_HUB_PUBLIC_URL",
		             tow_f_str("url", node->public_url));
	return 0;
}

static int start_health(struct node *node, const char *variable, struct tow_addr listen,
                        struct tow_metrics *metrics, void (*not_ready)(void *, struct tow_buf *),
                        void *user, struct tow_health **out, struct tow_error *err)
{
	struct tow_health_config config = {
		.loop = node->loop,
		.log = node->log,
		.listen = listen,
		.metrics = metrics,
		.not_ready = not_ready,
		.user = user,
	};
	config.dual_stack = widen(&config.listen, variable);
	int rc = tow_health_new(&config, out, err);
	return rc == 0 ? 0 : tow_error_prefix(err, "%s", variable);
}

static int start_hub(struct node *node, struct tow_error *err)
{
	struct settings *s = &node->settings;
	char file[4096];
	/* Ports that a service may not claim, because this host needs them. */
	const uint16_t reserved[] = { 80,
		                      s->hub_listen.port,
		                      s->hub_health_listen.port,
		                      s->edge_listen.port,
		                      s->edge_tunnel_listen.port,
		                      s->edge_health_listen.port };
	struct tow_hub_config config = {
		.loop = node->loop,
		.log = node->log,
		.metrics = node->hub_metrics,
		.key = &node->key,
		.invite_hash_key = node->invite_hash_key,
		.operator_key = node->operator_key,
		.listen = s->hub_listen,
		.public_url = node->public_url,
		.db_driver = s->db_driver,
		.db_dsn = s->db_dsn ? s->db_dsn : file,
		.db_max_open_conns = s->db_max_open_conns,
		.allow_privileged_ports = s->allow_privileged_ports,
		.reserved_ports = reserved,
		.reserved_port_count = sizeof reserved / sizeof *reserved,
		.version = TOW_VERSION,
	};
	static const struct member members[] = {
		{ "listen", "TOWONEL_HUB_LISTEN_ADDR" },
		{ "db_driver", "TOWONEL_HUB_DB_DRIVER" },
		{ "db_dsn", "TOWONEL_HUB_DB_DSN" },
	};
	if (!s->db_dsn && strcmp(s->db_driver, "postgres") == 0)
		return tow_error_set(err, TOW_ECONFIG,
		                     "TOWONEL_HUB_DB_DSN: the driver postgres needs "
		                     "postgres://USER:PASSWORD@HOST:PORT/DATABASE");
	snprintf(file, sizeof file, "%s/hub.db", s->data_dir);
	config.dual_stack = widen(&config.listen, "TOWONEL_HUB_LISTEN_ADDR");
	int rc = tow_hub_new(&config, &node->hub, err);
	if (rc != 0) {
		name_variable(err->text, sizeof err->text, members,
		              sizeof members / sizeof *members);
		return rc;
	}
	tow_log_info(node->log, "hub is up", tow_f_addr("listen", tow_hub_addr(node->hub)),
	             tow_f_str("url", node->public_url), tow_f_id("node", &node->key.id));
	return start_health(node, "TOWONEL_HUB_HEALTH_LISTEN_ADDR", s->hub_health_listen,
	                    node->hub_metrics, tow_hub_not_ready, node->hub, &node->hub_health,
	                    err);
}

static void edge_reported(void *user, const struct tow_edge_report *report)
{
	struct node *node = user;
	if (node->hub)
		tow_hub_edge_report(node->hub, report);
}

static int start_edge(struct node *node, struct tow_error *err)
{
	struct settings *s = &node->settings;
	const char *derived[] = { node->derived_address };
	char cache[4096], certs[4096];
	struct tow_edge_config config = {
		.loop = node->loop,
		.log = node->log,
		.metrics = node->edge_metrics,
		.key = &node->key,
		.listen = s->edge_listen,
		.tunnel_listen = s->edge_tunnel_listen,
		.public_addresses = derived,
		.public_address_count = 1,
		.routes_cache_path = cache,
		.cert_dir = s->cert_dir ? s->cert_dir : certs,
		.connections_max = s->connections_max,
		.connections_per_address = s->connections_per_address,
		.version = TOW_VERSION,
		.reported = edge_reported,
		.user = node,
	};
	static const struct member members[] = {
		{ "listen", "TOWONEL_EDGE_LISTEN_ADDR" },
		{ "tunnel_listen", "TOWONEL_EDGE_TUNNEL_LISTEN_ADDR" },
	};
	snprintf(cache, sizeof cache, "%s/routes.json", s->data_dir);
	snprintf(certs, sizeof certs, "%s/certs",
	         tow_settings_is_set(environ, "TOWONEL_DATA_DIR") ? s->data_dir : "/data");
	if (s->public_addresses.count > 0) {
		config.public_addresses = (const char *const *)s->public_addresses.items;
		config.public_address_count = s->public_addresses.count;
	}
	config.listen_dual_stack = widen(&config.listen, "TOWONEL_EDGE_LISTEN_ADDR");
	config.tunnel_dual_stack = widen(&config.tunnel_listen, "TOWONEL_EDGE_TUNNEL_LISTEN_ADDR");
	int rc = tow_edge_new(&config, &node->edge, err);
	if (rc != 0) {
		name_variable(err->text, sizeof err->text, members,
		              sizeof members / sizeof *members);
		return rc;
	}
	tow_log_info(node->log, "edge is up", tow_f_addr("visitors", tow_edge_addr(node->edge)),
	             tow_f_addr("agents", tow_edge_tunnel_addr(node->edge)),
	             tow_f_str("address", config.public_addresses[0]));
	rc = tow_hub_subscribe(node->hub, tow_edge_apply, node->edge, &node->subscription);
	if (rc != 0)
		return tow_error_set(err, rc, "%s", tow_strerror(rc));
	return start_health(node, "TOWONEL_EDGE_HEALTH_LISTEN_ADDR", s->edge_health_listen,
	                    node->edge_metrics, tow_edge_not_ready, node->edge, &node->edge_health,
	                    err);
}

/* --- the end --- */

static void hub_closed(void *user)
{
	struct node *node = user;
	node->hub = NULL;
	tow_log_info(node->log, "node has stopped");
	tow_loop_stop(node->loop);
}

static void close_hub(struct node *node)
{
	tow_health_free(node->hub_health);
	node->hub_health = NULL;
	if (node->hub)
		tow_hub_close(node->hub, node->signals > 1 ? 0 : HUB_GRACE_NS, hub_closed, node);
	else
		hub_closed(node);
}

static void edge_closed(void *user)
{
	struct node *node = user;
	node->edge = NULL;
	close_hub(node);
}

static void stop(struct node *node)
{
	uint64_t grace = node->settings.drain_secs * TOW_NSEC_PER_SEC;
	if (node->signals++ > 1)
		return;
	if (node->signals == 2) {
		tow_log_warn(node->log, "stopping at once");
		if (node->edge)
			tow_edge_close(node->edge, 0, edge_closed, node);
		return; /* a hub that is closing already takes HUB_GRACE_NS at most */
	}
	tow_log_info(node->log, "draining");
	if (node->subscription)
		tow_hub_unsubscribe(node->subscription);
	node->subscription = NULL;
	tow_health_free(node->edge_health);
	node->edge_health = NULL;
	if (node->edge)
		tow_edge_close(node->edge, grace, edge_closed, node);
	else
		close_hub(node);
}

static void signalled(void *user, int events)
{
	struct node *node = user;
	struct signalfd_siginfo info;
	(void)events;
	while (read(node->signal_fd, &info, sizeof info) == sizeof info)
		stop(node);
}

static int watch_signals(struct node *node, struct tow_error *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	/* Before any thread is started, so that all of them leave the signals to the descriptor. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	node->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (node->signal_fd < 0)
		return tow_error_set(err, TOW_EIO, "signalfd: %s", strerror(errno));
	node->signal_io = tow_io_new(node->loop, node->signal_fd, signalled, node);
	if (!node->signal_io)
		return tow_error_set(err, TOW_ENOMEM, "%s", tow_strerror(TOW_ENOMEM));
	tow_io_watch(node->signal_io, TOW_IO_READ);
	return 0;
}

/* --- start --- */

static int start(struct node *node, struct tow_error *err)
{
	struct settings *s = &node->settings;
	if (!s->hub_enabled && !s->edge_enabled)
		return tow_error_set(err, TOW_ECONFIG,
		                     "TOWONEL_HUB_ENABLED and TOWONEL_EDGE_ENABLED are both false");
	if (!s->hub_enabled)
		return tow_error_set(err, TOW_ECONFIG,
		                     "TOWONEL_HUB_ENABLED: an edge needs the hub in the same node");
	node->loop = tow_loop_new();
	node->hub_metrics = tow_metrics_new();
	node->edge_metrics = tow_metrics_new();
	if (!node->loop || !node->hub_metrics || !node->edge_metrics)
		return tow_error_set(err, TOW_ENOMEM, "%s", tow_strerror(TOW_ENOMEM));
	tow_metrics_add_process(node->hub_metrics);
	tow_metrics_add_process(node->edge_metrics);

	int rc = watch_signals(node, err);
	if (rc == 0)
		rc = open_keys(node, err);
	if (rc == 0)
		rc = derive_addresses(node, err);
	if (rc == 0)
		rc = start_hub(node, err);
	if (rc == 0 && s->edge_enabled)
		rc = start_edge(node, err);
	return rc;
}

static void node_deinit(struct node *node)
{
	if (node->signal_io)
		tow_io_free(node->signal_io);
	if (node->signal_fd >= 0)
		close(node->signal_fd);
	if (node->loop)
		tow_loop_free(node->loop);
	tow_metrics_free(node->hub_metrics);
	tow_metrics_free(node->edge_metrics);
	tow_node_key_wipe(&node->key);
	tow_wipe(node->operator_key, sizeof node->operator_key);
	tow_wipe(node->invite_hash_key, sizeof node->invite_hash_key);
	tow_settings_deinit(table, TABLE_COUNT, &node->settings);
	tow_log_free(node->log);
}

int main(int argc, char **argv)
{
	static const struct tow_setting *const tables[] = { table };
	static const size_t counts[] = { TABLE_COUNT };
	static struct node node = { .signal_fd = -1 };
	struct tow_error err = { 0 };

	program_flags(argc, argv, PROGRAM, help);
	raise_descriptor_limit();
	if (tow_settings_read(table, TABLE_COUNT, environ, &node.settings, &err) != 0) {
		complain(PROGRAM, "%s", err.text);
		return EXIT_USAGE;
	}
	node.log = tow_log_new(node.settings.log_level, node.settings.log_format, NULL, NULL);
	tow_settings_warn_unknown(tables, counts, 1, environ, node.log);
	if (start(&node, &err) != 0) {
		complain(PROGRAM, "%s", err.text);
		/* Threads may be running and half of the parts exist: the system takes
		 * it all back. */
		_exit(EXIT_USAGE);
	}
	tow_loop_run(node.loop);
	node_deinit(&node);
	return EXIT_OK;
}
