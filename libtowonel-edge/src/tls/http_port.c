/* SPDX-License-Identifier: MIT */

#include "tls/http_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/wire/hostname.h>
#include <towonel/wire/limits.h>

struct http_port {
	struct http_port_config config;
	struct tow_http_server *server;
	struct tow_metric *challenges, *forwarded, *redirects, *unknown;
};

static void say(struct tow_http_request *request, int status, const char *text)
{
	tow_http_respond(request, status, "text/plain", tow_slice_of(text));
}

/* The name in the Host field, without a port. Returns 0, TOW_EPARSE. */
static int read_host(const struct tow_http_request *request, char name[TOW_HOSTNAME_SIZE])
{
	const char *host = tow_http_header(request, "Host");

	return host != NULL ? tow_hostname_parse(tow_slice_make(host, strcspn(host, ":")),
	                                         TOW_HOSTNAME_EXACT, name, NULL)
	                    : TOW_EPARSE;
}

static void on_challenge(void *user, struct tow_http_request *request)
{
	struct http_port *port = user;
	const struct http_port_config *c = &port->config;
	const char *token = tow_http_param(request, "token");
	const char *text = c->authorization(c->user, token);
	char name[TOW_HOSTNAME_SIZE];

	if (text != NULL) {
		tow_metric_inc(port->challenges);
		tow_log_debug(port->config.log, "a challenge is answered",
		              tow_f_addr("from", tow_http_peer(request)));
		tow_http_respond(request, 200, "application/octet-stream", tow_slice_of(text));
	} else if (read_host(request, name) == 0 && c->forward(c->user, name, token, request)) {
		tow_metric_inc(port->forwarded);
	} else {
		tow_metric_inc(port->unknown);
		say(request, 404, "Nobody waits for this challenge here.\n");
	}
}

static void on_other(void *user, struct tow_http_request *request)
{
	struct http_port *port = user;
	const char *target = tow_http_target(request);
	char name[TOW_HOSTNAME_SIZE], number[8] = "";
	struct tow_buf location = { NULL, 0, 0, 0 };

	if (read_host(request, name) != 0 || !port->config.routed(port->config.user, name)) {
		tow_metric_inc(port->unknown);
		say(request, 404, "There is no such site here.\n");
		return;
	}
	if (port->config.https_port != 443)
		snprintf(number, sizeof(number), ":%u", port->config.https_port);
	if (tow_buf_printf(&location, "https://%s%s%s", name, number,
	                   target[0] == '/' ? target : "/") == 0 &&
	    tow_buf_append(&location, "", 1) == 0) {
		tow_metric_inc(port->redirects);
		tow_http_set_header(request, "Location",
		                    (const char *)tow_buf_peek(&location).base);
		say(request, 308, "This site is at https://.\n");
	} else {
		say(request, 503, "Out of memory.\n");
	}
	tow_buf_deinit(&location);
}

static const struct tow_http_route challenge_route = {
	.method = "GET",
	.path = "/.well-known/acme-challenge/{token}",
	.handle = on_challenge,
};
static const struct tow_http_route other_route = { .handle = on_other };

static struct tow_metric *answers(struct tow_metrics *metrics, const char *labels)
{
	return tow_metrics_series(metrics, TOW_METRIC_COUNTER, "towonel_edge_http_requests_total",
	                          labels, "Requests on the port of plain HTTP, by answer.");
}

int tow__http_port_new(const struct http_port_config *config, struct http_port **out,
                       struct tow_error *err)
{
	struct http_port *port = calloc(1, sizeof(*port));
	const struct tow_http_server_config server = {
		.loop = config->loop,
		.log = config->log,
		.listen = config->listen,
		.dual_stack = config->dual_stack,
		.routes = &challenge_route,
		.route_count = 1,
		.fallback = &other_route,
		.user = port,
	};
	int rc;

	if (port == NULL)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	port->config = *config;
	port->challenges = answers(config->metrics, "answer=\"challenge\"");
	port->forwarded = answers(config->metrics, "answer=\"forwarded\"");
	port->redirects = answers(config->metrics, "answer=\"redirect\"");
	port->unknown = answers(config->metrics, "answer=\"unknown\"");
	rc = tow_http_server_new(&server, &port->server, err);
	if (rc != 0) {
		free(port);
		return rc;
	}
	*out = port;
	return 0;
}

void tow__http_port_free(struct http_port *port)
{
	if (port == NULL)
		return;
	tow_http_server_close(port->server, 0, NULL, NULL);
	free(port);
}

const struct tow_addr *tow__http_port_addr(const struct http_port *port)
{
	return tow_http_server_addr(port->server);
}
