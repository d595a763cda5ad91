/* SPDX-License-Identifier: MIT */

#include "heartbeat.h"

#include <towonel/wire/request_signature.h>

#define USUAL_SECS 10
#define MAX_SECS   300

static void beat_later(struct heartbeat *beat, uint64_t delay_ns)
{
	tow_timer_start_in(&beat->timer, delay_ns);
}

static int is_revoked(const struct tow_hub_answer *answer)
{
	return answer->status == 401 &&
	       json_is_true(json_object_get(json_object_get(answer->body, "error"), "revoked"));
}

static void failed(struct heartbeat *beat, const struct tow_hub_answer *answer)
{
	uint64_t delay = tow_backoff_next(&beat->backoff);

	tow_metric_inc(beat->failed);
	if (delay < answer->retry_after_ms * TOW_NSEC_PER_MSEC)
		delay = answer->retry_after_ms * TOW_NSEC_PER_MSEC;
	if (!beat->failing)
		tow_log_warn(beat->log, "the hub does not take this edge's heartbeat; trying again",
		             tow_f_err(&answer->error));
	beat->failing = 1;
	beat_later(beat, delay);
}

static void answered(void *user, const struct tow_hub_answer *answer)
{
	struct heartbeat *beat = user;
	json_int_t secs = json_integer_value(json_object_get(answer->body, "next_interval_secs"));

	beat->call = NULL;
	if (is_revoked(answer)) {
		beat->refused(beat->user, answer->error.text);
		return;
	}
	if (answer->error.code != 0) {
		failed(beat, answer);
		return;
	}
	tow_metric_inc(beat->ok);
	if (beat->failing)
		tow_log_info(beat->log, "the hub takes this edge's heartbeat again");
	beat->failing = 0;
	tow_backoff_reset(&beat->backoff);
	if (secs < 1 || secs > MAX_SECS)
		secs = USUAL_SECS;
	beat_later(beat, beat->changed ? 0 : (uint64_t)secs * TOW_NSEC_PER_SEC);
}

static void send_report(void *user)
{
	struct heartbeat *beat = user;

	if (beat->call != NULL || beat->report == NULL)
		return;
	beat->changed = 0;
	if (tow_hub_call(beat->hub, "POST", "/v1/edge/heartbeat", json_incref(beat->report),
	                 TOW_HUB_SIGNED, TOW_DOMAIN_EDGE_HEARTBEAT, answered, beat,
	                 &beat->call) != 0) {
		beat->call = NULL;
		beat_later(beat, tow_backoff_next(&beat->backoff));
	}
}

void tow__heartbeat_now(struct heartbeat *beat)
{
	if (beat->call == NULL && !beat->failing)
		beat_later(beat, 0);
}

void tow__heartbeat_report(struct heartbeat *beat, const struct tow_edge_report *report)
{
	int can_wait = report->minor && beat->report != NULL;
	struct tow_buf text = { 0 };
	json_t *json = NULL;

	if (tow_edge_report_write(report, &text) == 0)
		json = json_loadb((const char *)text.base, tow_buf_len(&text), 0, NULL);
	tow_buf_deinit(&text);
	if (json == NULL) {
		tow_log_warn(beat->log, "out of memory for a report to the hub");
		return;
	}
	json_decref(beat->report);
	beat->report = json;
	if (can_wait)
		return;
	beat->changed = 1;
	tow__heartbeat_now(beat);
}

void tow__heartbeat_init(struct heartbeat *beat, struct tow_loop *loop, struct tow_metrics *metrics)
{
	static const char name[] = "towonel_edge_heartbeats_total";
	static const char help[] = "Heartbeats sent to the hub, by outcome.";

	beat->ok = tow_metrics_series(metrics, TOW_METRIC_COUNTER, name, "outcome=\"ok\"", help);
	beat->failed =
		tow_metrics_series(metrics, TOW_METRIC_COUNTER, name, "outcome=\"error\"", help);
	tow_timer_init(&beat->timer, loop, send_report, beat);
}

void tow__heartbeat_deinit(struct heartbeat *beat)
{
	tow_timer_stop(&beat->timer);
	if (beat->call != NULL)
		tow_http_call_cancel(beat->call);
	beat->call = NULL;
	json_decref(beat->report);
	beat->report = NULL;
}
