/* SPDX-License-Identifier: MIT */
#include "http/server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <towonel/tunnel/tcp.h>

#include "http/connection.h"

static const struct tow__http_limits usual_limits = {
	.request_ns = TOW_HTTP_REQUEST_TIMEOUT_MS * TOW_NSEC_PER_MSEC,
	.idle_ns = TOW_HTTP_IDLE_TIMEOUT_MS * TOW_NSEC_PER_MSEC,
	.stall_ns = TOW_HTTP_STALL_TIMEOUT_MS * TOW_NSEC_PER_MSEC,
	.handshake_ns = TOW_HTTP_REQUEST_TIMEOUT_MS * TOW_NSEC_PER_MSEC,
	.linger_ns = TOW_HTTP_LINGER_MS * TOW_NSEC_PER_MSEC,
	.connections_max = TOW_HTTP_CONNECTIONS_MAX,
};

static void on_accepted(void *user, int fd, const struct tow_addr *peer,
                        const struct tow_addr *local)
{
	(void)local;
	tow_http_server_adopt(user, fd, peer, tow_slice_make(NULL, 0));
}

static void end(void *user)
{
	struct tow_http_server *server = user;

	tow_timer_stop(&server->grace);
	server->closed = true;
	if (server->done)
		server->done(server->done_user);
	tow__http_server_unref(server);
}

static void abort_all(struct tow_http_server *server)
{
	struct tow__connection *c = server->connections;

	/* Closing one calls out, and what is called may close others: start over each time. */
	while (c) {
		if (tow__connection_is_failed(c)) {
			c = tow__connection_next(c);
		} else {
			tow__connection_abort(c);
			c = server->connections;
		}
	}
}

static void on_grace_over(void *user)
{
	abort_all(user);
}

int tow_http_server_new(const struct tow_http_server_config *config, struct tow_http_server **out,
                        struct tow_error *err)
{
	struct tow_http_server *server = calloc(1, sizeof *server);
	int rc;

	if (!server)
		return tow_error_set(err, TOW_ENOMEM, "%s", tow_strerror(TOW_ENOMEM));
	server->loop = config->loop;
	server->log = config->log;
	server->config = *config;
	server->rules.routes = config->routes;
	server->rules.route_count = config->route_count;
	server->rules.fallback = config->fallback;
	server->rules.head_max = TOW_HTTP_HEADER_MAX;
	server->limits = usual_limits;
	server->references = 1;
	tow_timer_init(&server->grace, server->loop, on_grace_over, server);
	tow_task_init(&server->end, server->loop, end, server);
	rc = tow_tcp_listener_new(config->loop, config->log, &config->listen, config->dual_stack, 0,
	                          on_accepted, server, &server->listener, err);
	if (rc)
		free(server);
	else
		*out = server;
	return rc;
}

static void wind_down_all(struct tow_http_server *server)
{
	struct tow__connection *c = server->connections;

	while (c) { /* as in abort_all */
		if (tow__connection_is_ending(c)) {
			c = tow__connection_next(c);
		} else {
			tow__connection_wind_down(c);
			c = server->connections;
		}
	}
}

void tow_http_server_close(struct tow_http_server *server, uint64_t grace_ns,
                           void (*done)(void *user), void *user)
{
	tow_tcp_listener_free(server->listener);
	server->listener = NULL;
	server->closing = true;
	if (!grace_ns && !done) {
		server->closed = true;
		abort_all(server);
		tow__http_server_unref(server);
		return;
	}
	server->done = done;
	server->done_user = user;
	server->references++; /* while connections go, until the end is arranged for */
	if (grace_ns)
		wind_down_all(server);
	if (!grace_ns || tow_timer_start_in(&server->grace, grace_ns))
		abort_all(server);
	if (!server->connection_count)
		tow_task_schedule(&server->end);
	tow__http_server_unref(server);
}

const struct tow_addr *tow_http_server_addr(const struct tow_http_server *server)
{
	return tow_tcp_listener_addr(server->listener);
}

/* When all places are taken, whoever is only keeping one warm has to leave, else whoever has been
 * here for longest without a whole request. To shut others out it would take as many strangers as
 * there are places, in the moment that a request needs to arrive. */
static bool make_room(struct tow_http_server *server)
{
	struct tow__connection *c, *idle = NULL, *slow = NULL;

	if (server->connection_count < server->limits.connections_max)
		return true;
	for (c = server->connections; c; c = tow__connection_next(c)) { /* the newest first */
		if (tow__connection_is_idle(c))
			idle = c;
		if (tow__connection_is_asking(c))
			slow = c;
	}
	if (idle || slow)
		tow__connection_abort(idle ? idle : slow);
	return idle || slow;
}

void tow_http_server_adopt(struct tow_http_server *server, int fd, const struct tow_addr *peer,
                           struct tow_slice early)
{
	uint64_t suppressed;

	if (server->closing) {
		close(fd);
		return;
	}
	if (make_room(server)) {
		if (!tow__connection_start(server, fd, peer, early))
			return;
	} else {
		close(fd);
	}
	if (tow_log_gate_open(&server->refused, tow_loop_now_ns(server->loop), &suppressed))
		tow_log_warn(server->log, "connection refused: too many are open",
		             tow_f_addr("client", peer),
		             tow_f_uint("open", server->connection_count),
		             tow_f_uint("also", suppressed));
}

void tow__http_server_set_limits(struct tow_http_server *server,
                                 const struct tow__http_limits *limits)
{
	server->limits = *limits;
}

void tow__http_server_connection_gone(struct tow_http_server *server)
{
	server->connection_count--;
	if (server->closing && !server->closed && !server->connection_count)
		tow_task_schedule(&server->end);
	tow__http_server_unref(server);
}

void tow__http_server_unref(struct tow_http_server *server)
{
	if (!--server->references)
		free(server);
}
