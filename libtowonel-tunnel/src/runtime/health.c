/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/health.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { USUAL_COUNT = 3 };

struct tow_health {
	struct tow_health_config config;
	struct tow_http_server *server;
	struct tow_http_route routes[USUAL_COUNT + TOW_HEALTH_PAGES_MAX];
};

static void on_healthz(void *user, struct tow_http_request *request)
{
	(void)user;
	tow_http_respond_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

/* One line each into an array. NULL when out of memory. */
static json_t *split_lines(struct tow_slice text)
{
	json_t *lines = json_array();
	size_t at = 0;

	while (lines && at < text.len) {
		const uint8_t *end = memchr(text.base + at, '\n', text.len - at);
		size_t len = end ? (size_t)(end - text.base) - at : text.len - at;
		if (len &&
		    json_array_append_new(lines, json_stringn((const char *)text.base + at, len))) {
			json_decref(lines);
			return NULL;
		}
		at += len + 1;
	}
	return lines;
}

/* Takes lines. */
static json_t *readiness(const char *status, const char *name, struct tow_buf *lines)
{
	json_t *body = tow_buf_len(lines) ? json_pack("{s:s,s:o}", "status", status, name,
	                                              split_lines(tow_buf_peek(lines)))
	                                  : json_pack("{s:s}", "status", status);

	tow_buf_deinit(lines);
	return body;
}

static void on_readyz(void *user, struct tow_http_request *request)
{
	struct tow_health *health = user;
	struct tow_buf lines = { 0 };

	if (health->config.not_ready)
		health->config.not_ready(health->config.user, &lines);
	if (tow_buf_len(&lines)) {
		tow_http_respond_json(request, 503, readiness("not_ready", "reasons", &lines));
		return;
	}
	if (health->config.notes)
		health->config.notes(health->config.user, &lines);
	tow_http_respond_json(request, 200, readiness("ready", "notes", &lines));
}

static void on_metrics(void *user, struct tow_http_request *request)
{
	struct tow_health *health = user;
	struct tow_buf text = { 0 };

	if (health->config.metrics && tow_metrics_render(health->config.metrics, &text))
		tow_http_respond_error(request, 503, "unavailable", "out of memory");
	else
		tow_http_respond(request, 200, "text/plain; version=0.0.4; charset=utf-8",
		                 tow_buf_peek(&text));
	tow_buf_deinit(&text);
}

static void on_page(void *user, struct tow_http_request *request)
{
	struct tow_health *health = user;
	size_t row = (size_t)(tow_http_route_of(request) - health->routes);

	health->config.pages[row - USUAL_COUNT].handle(health->config.pages_user, request);
}

static const struct tow_http_route usual_routes[USUAL_COUNT] = {
	{ "GET", "/healthz", 0, 0, on_healthz },
	{ "GET", "/readyz", 0, 0, on_readyz },
	{ "GET", "/metrics", 0, 0, on_metrics },
};

int tow_health_new(const struct tow_health_config *config, struct tow_health **out,
                   struct tow_error *err)
{
	struct tow_health *health = calloc(1, sizeof *health);
	struct tow_http_server_config server = {
		.loop = config->loop,
		.log = config->log,
		.listen = config->listen,
		.dual_stack = config->dual_stack,
		.route_count = USUAL_COUNT + config->page_count,
		.user = health,
	};
	int rc;

	if (!health)
		return tow_error_set(err, TOW_ENOMEM, "%s", tow_strerror(TOW_ENOMEM));
	health->config = *config;
	memcpy(health->routes, usual_routes, sizeof usual_routes);
	assert(config->page_count <= TOW_HEALTH_PAGES_MAX);
	for (size_t i = 0; i < config->page_count; i++) {
		health->routes[USUAL_COUNT + i] = config->pages[i];
		health->routes[USUAL_COUNT + i].handle = on_page;
	}
	server.routes = health->routes;
	rc = tow_http_server_new(&server, &health->server, err);
	if (rc)
		free(health);
	else
		*out = health;
	return rc;
}

void tow_health_free(struct tow_health *health)
{
	if (!health)
		return;
	tow_http_server_close(health->server, 0, NULL, NULL);
	free(health);
}

const struct tow_addr *tow_health_addr(const struct tow_health *health)
{
	return tow_http_server_addr(health->server);
}
