/* SPDX-License-Identifier: MIT */

/*
 *     WAIT ──► STREAM ──► WAIT      backoff, unless the stream was good for something
 *
 * A stream that breaks is taken up where it ended (Last-Event-ID). The first one of a process is
 * not: the copy on disk may be of another time, and a snapshot is right in any case.
 */

#include <towonel/edge/follower.h>

#include <stdlib.h>
#include <string.h>
#include <towonel/wire/event_parser.h>
#include <towonel/wire/request_signature.h>

#include "heartbeat.h"

struct tow_follower {
	struct tow_follower_config config;
	struct tow_http_client *http;
	struct tow_hub_client *hub;
	struct heartbeat beat;

	struct tow_http_call *stream; /* NULL: waiting */
	struct tow_event_parser parser;
	struct tow_timer timer;
	struct tow_backoff backoff;
	uint64_t version;  /* of the last event that was taken; 0: none */
	int connected;     /* the stream has brought something */
	uint64_t since_ns; /* that is so, or not */
	struct tow_error error;
	struct tow_metric *connected_gauge;
};

static void set_connected(struct tow_follower *f, int connected)
{
	if (f->connected != connected)
		f->since_ns = tow_now_ns();
	f->connected = connected;
	tow_metric_set(f->connected_gauge, connected);
}

static void open_stream(void *user);

static void wait_and_retry(struct tow_follower *f)
{
	uint64_t delay = tow_backoff_next(&f->backoff);

	tow_log_warn(f->config.log, "the hub's routes cannot be followed now; trying again",
	             tow_f_err(&f->error), tow_f_uint("retry_in_ms", delay / TOW_NSEC_PER_MSEC));
	f->stream = NULL;
	tow_event_parser_deinit(&f->parser);
	set_connected(f, 0);
	tow_timer_start_in(&f->timer, delay);
}

static int take_event(void *user, const struct tow_event *event)
{
	struct tow_follower *f = user;
	struct tow_route_event route = { .version = strtoull(event->id, NULL, 10),
		                         .json = event->data };
	int rc;

	if (strcmp(event->type, "snapshot") == 0)
		route.kind = TOW_ROUTE_SNAPSHOT;
	else if (strcmp(event->type, "delta") == 0)
		route.kind = TOW_ROUTE_DELTA;
	else
		return 0; /* the edge may be older than its hub */
	rc = f->config.sink(f->config.sink_user, &route);
	/* whatever is wrong with what this edge has, a snapshot mends it */
	f->version = rc == 0 ? route.version : 0;
	return rc;
}

static void on_data(void *user, struct tow_slice bytes)
{
	struct tow_follower *f = user;
	int rc;

	if (!f->connected) {
		tow_log_info(f->config.log, "following the hub's routes",
		             tow_f_str("hub", f->config.hub_url), tow_f_uint("from", f->version));
		set_connected(f, 1);
		tow__heartbeat_now(&f->beat);
	}
	rc = tow_event_parse(&f->parser, bytes, take_event, f);
	if (rc == 0) {
		if (f->version != 0)
			tow_backoff_reset(&f->backoff);
		return;
	}
	tow_http_call_cancel(f->stream);
	tow_error_set(&f->error, rc, "an event of the hub's cannot be used: %s", tow_strerror(rc));
	wait_and_retry(f);
}

static void on_over(void *user, const struct tow_hub_answer *answer)
{
	struct tow_follower *f = user;

	f->error = answer->error;
	/* whether this edge is meant, or its clock is wrong, the heartbeat is told for certain */
	if (answer->status == 401)
		tow__heartbeat_now(&f->beat);
	wait_and_retry(f);
}

static void open_stream(void *user)
{
	struct tow_follower *f = user;
	int rc = tow_hub_stream(f->hub, "/v1/routes/subscribe", TOW_DOMAIN_EDGE_SUBSCRIBE,
	                        f->version, on_data, on_over, f, &f->stream);

	if (rc == 0)
		return;
	tow_error_set(&f->error, rc, "%s", tow_strerror(rc));
	wait_and_retry(f);
}

static void on_refused(void *user, const char *text)
{
	struct tow_follower *f = user;

	tow_timer_stop(&f->timer);
	if (f->stream != NULL)
		tow_http_call_cancel(f->stream);
	f->stream = NULL;
	f->config.revoked(f->config.user, text);
}

int tow_follower_new(const struct tow_follower_config *config, struct tow_follower **out)
{
	struct tow_follower *f = calloc(1, sizeof(*f));
	const struct tow_http_client_config http = {
		.loop = config->loop,
		.log = config->log,
		.user_agent = config->user_agent,
	};
	struct tow_hub_client_config hub = { .hub_id = config->hub_id, .key = config->key };

	if (f == NULL)
		return TOW_ENOMEM;
	f->config = *config;
	f->config.key = NULL;
	f->config.user_agent = NULL;
	f->since_ns = tow_now_ns();
	tow_timer_init(&f->timer, config->loop, open_stream, f);
	tow__heartbeat_init(&f->beat, config->loop, config->metrics);
	f->http = tow_http_client_new(&http);
	if (f->http != NULL) {
		hub.http = f->http;
		memcpy(hub.url, config->hub_url, sizeof(hub.url));
		f->hub = tow_hub_client_new(&hub);
	}
	if (f->hub == NULL) {
		tow_follower_free(f);
		return TOW_ENOMEM;
	}
	f->beat.log = config->log;
	f->beat.hub = f->hub;
	f->beat.refused = on_refused;
	f->beat.user = f;
	f->connected_gauge =
		tow_metrics_series(config->metrics, TOW_METRIC_GAUGE, "towonel_edge_hub_connected",
	                           NULL, "Whether the hub's routes are followed now.");
	tow_error_set(&f->error, TOW_EUNAVAILABLE, "not asked yet");
	tow_timer_start_in(&f->timer, 0);
	*out = f;
	return 0;
}

void tow_follower_free(struct tow_follower *f)
{
	if (f == NULL)
		return;
	tow_timer_stop(&f->timer);
	tow__heartbeat_deinit(&f->beat);
	if (f->stream != NULL)
		tow_http_call_cancel(f->stream);
	tow_hub_client_free(f->hub);
	tow_http_client_free(f->http);
	tow_event_parser_deinit(&f->parser);
	free(f);
}

void tow_follower_report(struct tow_follower *f, const struct tow_edge_report *report)
{
	tow__heartbeat_report(&f->beat, report);
}

void tow_follower_note(const struct tow_follower *f, struct tow_buf *notes)
{
	if (!f->connected)
		tow_buf_printf(
			notes, "no hub for %llu s: %s\n",
			(unsigned long long)((tow_now_ns() - f->since_ns) / TOW_NSEC_PER_SEC),
			f->error.text);
}
