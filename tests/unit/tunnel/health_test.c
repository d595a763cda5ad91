/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/health.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "http_fixture.h"

static _Atomic int ready;

static void not_ready(void *user, struct tow_buf *reasons)
{
	assert_ptr_equal(user, (void *)&ready);
	if (!ready)
		assert_int_equal(
			tow_buf_append_text(reasons, "no edge is connected\nthe store is closed\n"),
			0);
}

static void *run(void *user)
{
	tow_loop_run(user);
	return NULL;
}

static int pages_user;

static void show(void *user, struct tow_http_request *request)
{
	assert_ptr_equal(user, &pages_user);
	tow_http_respond(request, 200, "text/plain", tow_slice_of("more"));
}

static const struct tow_http_route pages[] = { { "GET", "/more", .handle = show } };

static const char *ask(const struct tow_health *health, const char *path)
{
	struct fixture f = { .addr = *tow_health_addr(health) };
	char text[128];

	snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
	         path);
	return client_talk(&f, text);
}

static void health_readiness_and_metrics_are_told(void **state)
{
	struct tow_loop *loop = tow_loop_new();
	struct tow_metrics *metrics = tow_metrics_new();
	struct tow_health_config config = { .loop = loop,
		                            .metrics = metrics,
		                            .pages = pages,
		                            .page_count = 1,
		                            .pages_user = &pages_user,
		                            .user = (void *)&ready };
	struct tow_health *health;
	struct tow_error err;
	pthread_t thread;
	const char *answer;

	(void)state;
	assert_non_null(loop);
	config.not_ready = not_ready;
	config.listen = (struct tow_addr){ 4, 0, { 127, 0, 0, 1 } };
	tow_metric_add(tow_metrics_series(metrics, TOW_METRIC_COUNTER, "towonel_things_total", NULL,
	                                  "Things."),
	               3);
	assert_int_equal(tow_health_new(&config, &health, &err), 0);
	assert_int_equal(pthread_create(&thread, NULL, run, loop), 0);

	answer = ask(health, "/healthz");
	assert_non_null(strstr(answer, "HTTP/1.1 200 "));
	assert_non_null(strstr(answer, "\r\n\r\n{\"status\":\"ok\"}"));
	assert_non_null(strstr(ask(health, "/more"), "\r\n\r\nmore"));
	answer = ask(health, "/readyz");
	assert_non_null(strstr(answer, "HTTP/1.1 503 "));
	assert_non_null(strstr(answer, "\r\n\r\n{\"status\":\"not_ready\",\"reasons\":["
	                               "\"no edge is connected\",\"the store is closed\"]}"));
	ready = 1;
	answer = ask(health, "/readyz");
	assert_non_null(strstr(answer, "HTTP/1.1 200 "));
	assert_non_null(strstr(answer, "\r\n\r\n{\"status\":\"ready\"}"));
	answer = ask(health, "/metrics");
	assert_non_null(strstr(answer, "\r\nContent-Type: text/plain; version=0.0.4"));
	assert_non_null(strstr(answer, "\ntowonel_things_total 3\n"));
	assert_non_null(strstr(ask(health, "/"), "HTTP/1.1 404 "));

	tow_loop_stop(loop);
	assert_int_equal(pthread_join(thread, NULL), 0);
	tow_health_free(health);
	tow_metrics_free(metrics);
	tow_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(health_readiness_and_metrics_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
