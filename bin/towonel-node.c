/* SPDX-License-Identifier: MIT */
/*
 * towonel-node: a hub, an edge, or both in one process, with the hub's route feed handed to the
 * edge. An edge alone follows a hub that is elsewhere.
 *
 *     keys and addresses from settings ─► hub ─► edge ─► feed joined ─► loop
 *     signal ─► edge drains ─► hub closes ─► end           a second signal ends it at once
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <towonel/tunnel/key_file.h>
#include <towonel/tunnel/tcp.h>

#include "common.h"
#include "node/activation.h"
#include "node/background.h"
#include "node/browser_cert.h"
#include "node/first_run.h"
#include "node/node.h"
#include "notify.h"

#define PROGRAM "towonel-node"

extern char **environ;

static void help(void)
{
	struct tow_buf text = { 0 };
	fputs("usage: towonel-node [--takeover | --help | --version]\n"
	      "\n"
	      "Runs a hub (invites, tenants, routes), an edge (takes visitors, forwards them to "
	      "agents),\n"
	      "or both. With TOWONEL_EDGE_INVITE_TOKEN alone it is an edge of the hub that the "
	      "token "
	      "is of.\n"
	      "With --takeover it takes the place of the node that runs in the data directory, "
	      "without a\n"
	      "dropped connection, and goes on in the background.\n"
	      "\n"
	      "Settings, from the environment:\n",
	      stdout);
	if (tow_settings_help(settings_table, settings_count, &text) == 0)
		fwrite(tow_buf_peek(&text).base, 1, tow_buf_len(&text), stdout);
	tow_buf_deinit(&text);
	fputs("\n"
	      "SIGTERM and SIGINT finish the open visitors and stop; a second one stops at once.\n"
	      "\n"
	      "Exit status: 0 stopped in order, 1 failure, 2 bad settings, an address in use, or "
	      "an "
	      "edge that\n"
	      "its hub refuses. --takeover: 0 when it has, else the node before goes on.\n",
	      stdout);
}

/* --- the node --- */

/* What root makes there, a service that runs as the directory's owner cannot read. */
static void warn_of_owner(const struct node *node)
{
	struct stat st;
	if (geteuid() == 0 && stat(node->settings.data_dir, &st) == 0 && st.st_uid != 0)
		tow_log_warn(node->log,
		             "this runs as root in another user's data directory: what is made "
		             "there is root's",
		             tow_f_str("path", node->settings.data_dir),
		             tow_f_uint("owner", st.st_uid));
}

static int open_keys(struct node *node, struct tow_error *err)
{
	struct settings *s = &node->settings;
	uint8_t key[TOW_SECRET_SIZE];
	char path[4096];
	int created = 0;

	int rc = tow_directory_make(s->data_dir, err);
	warn_of_owner(node);
	if (rc == 0 && node->remote.has_key) {
		node->key = node->remote.key;
		return 0;
	}
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
	node->is_new = created;
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

/* config: all but what every part has. */
static int start_health(struct node *node, const char *variable, struct tow_health_config config,
                        struct tow_health **out, struct tow_error *err)
{
	config.loop = node->loop;
	config.log = node->log;
	config.dual_stack = settings_widen(&config.listen, variable);
	int rc = tow_health_new(&config, out, err);
	return rc == 0 ? 0 : tow_error_prefix(err, "%s", variable);
}

static void hub_not_ready(void *user, struct tow_buf *reasons)
{
	struct node *node = user;
	if (node->signals)
		tow_buf_append_text(reasons, "the node is draining\n");
	if (node->hub)
		tow_hub_not_ready(node->hub, reasons);
	else
		tow_buf_append_text(reasons, "another process is taking over\n");
}

static struct tow_tls_context *api_certificate(void *user, const struct tow_client_hello *hello)
{
	struct node *node = user;
	struct tow_tls_context *context =
		node->edge ? tow_edge_api_certificate(node->edge, hello->server_name) : NULL;
	return context || hello->takes_ed25519 ? context : node->browser_tls;
}

static void open_browser_cert(struct node *node)
{
	char fingerprint[2 * TOW_HASH_SIZE + 1];
	struct tow_error err = { 0 };
	if (!node->settings.hub_enabled)
		return;
	if (browser_cert_open(node->settings.data_dir, node->outside.public_host,
	                      &node->browser_tls, fingerprint, &err) != 0)
		tow_log_warn(node->log, "browsers cannot open the hub's status page",
		             tow_f_err(&err));
	else
		tow_log_info(node->log, "browsers are shown this certificate of the hub",
		             tow_f_str("sha256", fingerprint));
}

int node_start_hub(struct node *node, struct tow_error *err)
{
	struct settings *s = &node->settings;
	char file[4096];
	/* Ports that a service may not claim, because this host needs them. */
	const uint16_t reserved[] = { 80,
		                      s->http_listen.port,
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
		.public_url = node->outside.public_url,
		.db_driver = s->db_driver,
		.db_dsn = s->db_dsn ? s->db_dsn : file,
		.db_max_open_conns = s->db_max_open_conns,
		.allow_privileged_ports = s->allow_privileged_ports,
		.reserved_ports = reserved,
		.reserved_port_count = sizeof reserved / sizeof *reserved,
		.version = TOW_VERSION,
		.health_names = tow_addr_is_loopback(&s->hub_health_listen),
		.certificate = api_certificate,
		.user = node,
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
	config.dual_stack = settings_widen(&config.listen, "TOWONEL_HUB_LISTEN_ADDR");
	int rc = tow_hub_new(&config, &node->hub, err);
	if (rc != 0) {
		name_variable(err->text, sizeof err->text, members,
		              sizeof members / sizeof *members);
		return rc;
	}
	tow_log_info(node->log, "hub is up", tow_f_addr("listen", tow_hub_addr(node->hub)),
	             tow_f_str("url", node->outside.public_url), tow_f_id("node", &node->key.id));
	if (node->hub_health)
		return 0;
	const struct tow_health_config health = {
		.listen = s->hub_health_listen,
		.metrics = node->hub_metrics,
		.not_ready = hub_not_ready,
		.pages = tow_hub_health_pages,
		.page_count = TOW_HUB_HEALTH_PAGES,
		.pages_user = node->hub,
		.user = node,
	};
	return start_health(node, "TOWONEL_HUB_HEALTH_LISTEN_ADDR", health, &node->hub_health, err);
}

void node_api_visitor(void *user, int fd, const struct tow_addr *peer, struct tow_slice early)
{
	struct node *node = user;
	if (node->hub && !node->hub_closing)
		tow_hub_adopt(node->hub, fd, peer, early);
	else if (node->successor)
		successor_keep(node->successor, fd, peer, early);
	else
		close(fd);
}

static void edge_reported(void *user, const struct tow_edge_report *report)
{
	struct node *node = user;
	if (node->hub && !node->hub_closing)
		tow_hub_edge_report(node->hub, report);
	if (node->follower)
		tow_follower_report(node->follower, report);
}

/* --- an edge alone --- */

static char *routes_path(const struct node *node, char path[4096])
{
	snprintf(path, 4096, "%s/routes.json", node->settings.data_dir);
	return path;
}

static void edge_not_ready(void *user, struct tow_buf *reasons)
{
	struct node *node = user;
	tow_edge_not_ready(node->edge, reasons);
	if (node->follower && tow_buf_len(reasons) > 0)
		tow_follower_note(node->follower, reasons);
}

/* An edge that serves what it has is ready, whatever the hub does. */
static void edge_notes(void *user, struct tow_buf *notes)
{
	struct node *node = user;
	tow_edge_notes(node->edge, notes);
	if (node->follower)
		tow_follower_note(node->follower, notes);
}

static void show_certificates(void *edge, struct tow_http_request *request)
{
	tow_http_respond_json(request, 200, tow_edge_certificates(edge));
}

static const struct tow_http_route edge_pages[] = {
	{ "GET", "/certificates", .handle = show_certificates },
};

static void revoked_edge_closed(void *user)
{
	struct node *node = user;
	char path[4096];
	node->edge = NULL;
	/* what it has of the hub's is none of its business any more */
	unlink(routes_path(node, path));
	tow_log_info(node->log, "node has stopped");
	tow_loop_stop(node->loop);
}

static void edge_revoked(void *user, const char *text)
{
	struct node *node = user;
	tow_log_error(node->log,
	              "the hub refuses this edge: tunnels and ports are closed; ask the hub's "
	              "operator for a new token",
	              tow_f_str("hub", node->remote.url), tow_f_id("edge", &node->key.id),
	              tow_f_str("error", text));
	tow_follower_free(node->follower);
	node->follower = NULL;
	tow_health_free(node->edge_health);
	node->edge_health = NULL;
	node->status = EXIT_USAGE;
	if (node->edge)
		tow_edge_close(node->edge, 0, revoked_edge_closed, node);
}

static int start_follower(struct node *node)
{
	struct tow_follower_config config = {
		.loop = node->loop,
		.log = node->log,
		.metrics = node->edge_metrics,
		.key = &node->key,
		.hub_id = node->remote.id,
		.user_agent = PROGRAM "/" TOW_VERSION,
		.sink = tow_edge_apply,
		.sink_user = node->edge,
		.revoked = edge_revoked,
		.user = node,
	};
	memcpy(config.hub_url, node->remote.url, sizeof config.hub_url);
	return tow_follower_new(&config, &node->follower);
}

static int start_edge(struct node *node, struct tow_error *err)
{
	struct settings *s = &node->settings;
	const char *derived[] = { node->outside.derived_address };
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
		.workers = handover_workers(node, (unsigned)s->workers),
		.version = TOW_VERSION,
		.api_name = node->hub && node->outside.public_name[0] ? node->outside.public_name
		                                                      : NULL,
		.api_visitor = node->hub ? node_api_visitor : NULL,
		.reported = edge_reported,
		.user = node,
	};
	static const struct member members[] = {
		{ "listen", "TOWONEL_EDGE_LISTEN_ADDR" },
		{ "tunnel_listen", "TOWONEL_EDGE_TUNNEL_LISTEN_ADDR" },
		{ "http_listen", "TOWONEL_EDGE_TLS_HTTP_LISTEN_ADDR" },
		{ "binding_kid", "TOWONEL_EDGE_TLS_ACME_EAB_KID" },
		{ "binding_hmac", "TOWONEL_EDGE_TLS_ACME_EAB_HMAC" },
	};
	struct tow_edge_acme acme;
	routes_path(node, cache);
	snprintf(certs, sizeof certs, "%s/certs",
	         tow_settings_is_set(environ, "TOWONEL_DATA_DIR") ? s->data_dir : "/data");
	if (s->public_addresses.count > 0) {
		config.public_addresses = (const char *const *)s->public_addresses.items;
		config.public_address_count = s->public_addresses.count;
	}
	settings_limit(s, &config);
	config.listen_dual_stack = settings_widen(&config.listen, "TOWONEL_EDGE_LISTEN_ADDR");
	config.tunnel_dual_stack =
		settings_widen(&config.tunnel_listen, "TOWONEL_EDGE_TUNNEL_LISTEN_ADDR");
	config.http_dual_stack =
		settings_widen(&s->http_listen, "TOWONEL_EDGE_TLS_HTTP_LISTEN_ADDR");
	int rc = acme_apply(&s->acme, &s->http_listen,
	                    tow_settings_is_set(environ, "TOWONEL_EDGE_TLS_HTTP_LISTEN_ADDR"),
	                    &acme, &config, err);
	if (rc != 0)
		return rc;
	rc = tow_edge_new(&config, &node->edge, err);
	if (rc != 0) {
		name_variable(err->text, sizeof err->text, members,
		              sizeof members / sizeof *members);
		return rc;
	}
	tow_log_info(node->log, "edge is up", tow_f_addr("visitors", tow_edge_addr(node->edge)),
	             tow_f_addr("agents", tow_edge_tunnel_addr(node->edge)),
	             tow_f_str("address", config.public_addresses[0]),
	             tow_f_id("node", &node->key.id));
	rc = node->hub
	             ? tow_hub_subscribe(node->hub, tow_edge_apply, node->edge, &node->subscription)
	             : start_follower(node);
	if (rc != 0)
		return tow_error_set(err, rc, "%s", tow_strerror(rc));
	const struct tow_health_config health = {
		.listen = s->edge_health_listen,
		.metrics = node->edge_metrics,
		.not_ready = edge_not_ready,
		.notes = edge_notes,
		.pages = edge_pages,
		.page_count = sizeof edge_pages / sizeof *edge_pages,
		.pages_user = node->edge,
		.user = node,
	};
	return start_health(node, "TOWONEL_EDGE_HEALTH_LISTEN_ADDR", health, &node->edge_health,
	                    err);
}

/* --- the end --- */

void node_hub_closed(void *user)
{
	struct node *node = user;
	node->hub = NULL;
	tow_log_info(node->log, "node has stopped");
	tow_loop_stop(node->loop);
}

void node_close_hub(struct node *node)
{
	tow_health_free(node->hub_health);
	node->hub_health = NULL;
	node->end_waits = node->hub_closing;
	if (node->hub_closing)
		return;
	if (node->hub)
		tow_hub_close(node->hub, node->signals > 1 ? 0 : HUB_GRACE_NS, node_hub_closed,
		              node);
	else
		node_hub_closed(node);
}

void node_edge_closed(void *user)
{
	struct node *node = user;
	node->edge = NULL;
	tow_health_free(node->edge_health);
	node->edge_health = NULL;
	node_close_hub(node);
}

void node_stop_following(struct node *node)
{
	if (node->subscription)
		tow_hub_unsubscribe(node->subscription);
	node->subscription = NULL;
	tow_follower_free(node->follower);
	node->follower = NULL;
}

static void stop(struct node *node)
{
	uint64_t grace = node->settings.drain_secs * TOW_NSEC_PER_SEC;
	if (node->signals++ > 1)
		return;
	if (node->signals == 2) {
		tow_log_warn(node->log, "stopping at once");
		if (node->edge)
			tow_edge_close(node->edge, 0, node_edge_closed, node);
		return; /* a hub that is closing already takes HUB_GRACE_NS at most */
	}
	tow_log_info(node->log, "draining");
	if (!node->relieved)
		notify("STOPPING=1");
	handover_end(node);
	node_stop_following(node);
	if (node->edge)
		tow_edge_close(node->edge, grace, node_edge_closed, node);
	else
		node_close_hub(node);
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

/* --- the service manager --- */

static void watchdog_due(void *user)
{
	struct node *node = user;
	notify("WATCHDOG=1");
	tow_timer_start_in(&node->watchdog, notify_watchdog_ms() * TOW_NSEC_PER_MSEC);
}

void node_start_watchdog(struct node *node)
{
	if (notify_watchdog_ms())
		watchdog_due(node);
}

/* --- start --- */

static int start(struct node *node, struct tow_error *err)
{
	struct settings *s = &node->settings;
	if (!s->hub_enabled && !s->edge_enabled)
		return tow_error_set(err, TOW_ECONFIG,
		                     "TOWONEL_HUB_ENABLED and TOWONEL_EDGE_ENABLED are both false");
	int rc = remote_hub_read(s->edge_token, &s->edge_hub_urls,
	                         tow_settings_is_set(environ, "TOWONEL_HUB_ENABLED"),
	                         &s->hub_enabled, &node->remote, err);
	if (rc != 0)
		return rc;
	if (!s->hub_enabled && !s->edge_enabled)
		return tow_error_set(err, TOW_ECONFIG,
		                     "TOWONEL_EDGE_ENABLED is false, and the token is for an edge");
	node->loop = tow_loop_new();
	node->hub_metrics = tow_metrics_new();
	node->edge_metrics = tow_metrics_new();
	if (!node->loop || !node->hub_metrics || !node->edge_metrics)
		return tow_error_set(err, TOW_ENOMEM, "%s", tow_strerror(TOW_ENOMEM));
	tow_metrics_add_process(node->hub_metrics);
	tow_metrics_add_process(node->edge_metrics);

	node->activated = activation_take(node->loop);
	rc = watch_signals(node, err);
	if (rc == 0)
		rc = open_keys(node, err);
	if (rc == 0)
		rc = outside_find(&node->settings, node->log, &node->outside, err);
	if (rc == 0)
		open_browser_cert(node);
	if (rc == 0 && node->waiter >= 0)
		rc = handover_begin(node, err);
	if (rc == 0)
		rc = s->hub_enabled ? node_start_hub(node, err) : 0;
	if (rc == 0 && s->edge_enabled)
		rc = start_edge(node, err);
	if (rc == 0)
		activation_check(node->activated, node->log);
	return rc;
}

static void node_deinit(struct node *node)
{
	handover_deinit(node);
	if (node->signal_io)
		tow_io_free(node->signal_io);
	if (node->signal_fd >= 0)
		close(node->signal_fd);
	if (node->loop)
		tow_loop_free(node->loop);
	tow_inherited_free(node->activated);
	tow_tls_context_free(node->browser_tls);
	tow_metrics_free(node->hub_metrics);
	tow_metrics_free(node->edge_metrics);
	tow_node_key_wipe(&node->key);
	remote_hub_wipe(&node->remote);
	tow_wipe(node->operator_key, sizeof node->operator_key);
	tow_wipe(node->invite_hash_key, sizeof node->invite_hash_key);
	tow_settings_deinit(settings_table, settings_count, &node->settings);
	tow_log_free(node->log);
}

/* What passes by itself, as a full disk does, is a failure: a service manager tries again. What
 * only people can mend is not. */
static int status_of(const struct node *node, const struct tow_error *err)
{
	/* of PostgreSQL it is one that answers, and refuses */
	int passes = err->code == TOW_ENOMEM || (err->code == TOW_EUNAVAILABLE &&
	                                         strcmp(node->settings.db_driver, "sqlite") == 0);
	return passes ? EXIT_FAILED : EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static struct node node = { .signal_fd = -1, .waiter = -1 };
	struct tow_error err = { 0 };

	int takeover = argc == 2 && strcmp(argv[1], "--takeover") == 0;

	if (!takeover)
		program_flags(argc, argv, PROGRAM, help);
	raise_descriptor_limit();
	if (tow_settings_read(settings_table, settings_count, environ, &node.settings, &err) != 0) {
		complain(PROGRAM, "%s", err.text);
		return EXIT_USAGE;
	}
	if (takeover && (node.waiter = background_start(PROGRAM)) < 0) {
		complain(PROGRAM, "cannot go into the background: %s", strerror(errno));
		return EXIT_FAILED;
	}
	node.log = tow_log_new(node.settings.log_level, node.settings.log_format, NULL, NULL);
	tow_settings_warn_unknown((const struct tow_setting *const[]){ settings_table },
	                          &settings_count, 1, environ, node.log);
	int rc = start(&node, &err);
	if (node.is_new)
		first_run_tell(&node.settings, &node.outside, node.log);
	if (rc != 0) {
		complain(PROGRAM, "%s", err.text);
		if (err.code == TOW_EADDRINUSE && node.waiter < 0 && handover_is_possible(&node))
			complain(PROGRAM,
			         "another process runs the node in %s: --takeover takes its place",
			         node.settings.data_dir);
		/* Threads may be running and half of the parts exist: the system takes
		 * it all back. */
		int status = status_of(&node, &err);
		background_failed(node.waiter, status);
		_exit(status);
	}
	tow_timer_init(&node.watchdog, node.loop, watchdog_due, &node);
	if (node.predecessor) {
		handover_finish(&node);
	} else {
		handover_await(&node);
		notify("READY=1");
		node_start_watchdog(&node);
	}
	tow_loop_run(node.loop);
	tow_timer_stop(&node.watchdog);
	node_deinit(&node);
	background_failed(node.waiter, node.status);
	return node.status;
}
