/* SPDX-License-Identifier: MIT */

#include "tls/acme_run.h"

static void step(struct acme_run *run);

static void on_answer(void *user, const struct tow_http_result *result)
{
	struct acme_run *run = user;
	const struct acme_answer answer = {
		.status = result->error.code == 0 ? result->status : 0,
		.error = result->error.text,
		.body = result->body,
		.nonce = result->header(result, "Replay-Nonce"),
		.location = result->header(result, "Location"),
		.retry_after = result->header(result, "Retry-After"),
		.now_ms = tow_wall_ms(),
	};

	run->call = NULL;
	tow__acme_errand_answer(run->errand, &answer);
	step(run);
}

static int send_request(struct acme_run *run, const struct acme_request *request)
{
	const struct tow_http_call_config config = {
		.method = request->method,
		.url = request->url,
		.body = tow_buf_peek(&request->body),
		.content_type = "application/jose+json",
		.body_max = TOW_ACME_ANSWER_MAX,
		.done = on_answer,
		.user = run,
	};

	return tow_http_call_start(run->http, &config, &run->call);
}

/* Goes on until something has to be waited for, or all is over. */
static void step(struct acme_run *run)
{
	struct acme_request request;
	enum acme_step next;
	int rc;

	for (;;) {
		next = tow__acme_errand_next(run->errand, &request);
		switch (next) {
		case ACME_SEND:
			rc = send_request(run, &request);
			tow_buf_deinit(&request.body);
			if (rc == 0)
				return;
			break;
		case ACME_PAUSE:
			rc = tow_timer_start_in(&run->timer, request.pause_ms * TOW_NSEC_PER_MSEC);
			if (rc == 0)
				return;
			break;
		case ACME_PUBLISH: rc = run->publish(run->user); break;
		case ACME_DONE:
		case ACME_FAILED:
		default: run->done(run->user, next); return;
		}
		if (rc != 0)
			tow__acme_errand_fail(run->errand, tow_strerror(rc));
	}
}

static void on_timer(void *user)
{
	step(user);
}

void tow__acme_run_init(struct acme_run *run, struct tow_loop *loop)
{
	tow_timer_init(&run->timer, loop, on_timer, run);
}

void tow__acme_run_start(struct acme_run *run, struct acme_errand *errand)
{
	run->errand = errand;
	step(run);
}

void tow__acme_run_stop(struct acme_run *run)
{
	if (run->call != NULL)
		tow_http_call_cancel(run->call);
	run->call = NULL;
	tow_timer_stop(&run->timer);
	tow__acme_errand_free(run->errand);
	run->errand = NULL;
}
