/* SPDX-License-Identifier: MIT */

#include "tls/challenge_fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <towonel/wire/control_message.h>
#include <towonel/wire/proxy_header.h>
#include "dial.h"
#include "worker.h"

struct challenge_fetch {
	struct dial dial;
	struct short_answer answer;
	int answering; /* an agent has accepted: no other is asked */
	struct tow_timer timer;
	challenge_fetched done;
	void *user;
};

void tow__challenge_fetch_cancel(struct challenge_fetch *f)
{
	tow_timer_stop(&f->timer);
	tow__dial_deinit(&f->dial, TOW_TUNNEL_OK);
	tow__short_answer_deinit(&f->answer);
	free(f);
}

static void finish(struct challenge_fetch *f, int status)
{
	f->done(f->user, status, status == 0 ? &f->answer : NULL);
	tow__challenge_fetch_cancel(f);
}

static void on_changed(void *user)
{
	struct challenge_fetch *f = user;
	struct dial *d = &f->dial;
	struct tow_slice reply = tow_buf_peek(&d->reply);
	int rc;

	if (d->state == DIAL_FAILED) {
		if (f->answering || tow__dial_next(d) != 0)
			finish(f, d->failure == TOW_TUNNEL_IDLE ? 504 : 502);
		return;
	}
	f->answering = 1;
	rc = tow__short_answer_feed(&f->answer, reply, d->reply_finished);
	tow_buf_consume(&d->reply, reply.len);
	if (rc != TOW_MORE)
		finish(f, rc == 0 ? 0 : 502);
}

static void on_timer(void *user)
{
	finish(user, 504);
}

static int write_request(struct challenge_fetch *f, const struct challenge_question *q)
{
	char authority[TOW_AUTHORITY_SIZE + sizeof("http:")], address[TOW_ADDR_TEXT_SIZE];
	struct tow_proxy_header header = {
		.command = TOW_PROXY_PROXY,
		.transport = TOW_PROXY_STREAM,
		.source = q->visitor,
		.destination = { .family = q->visitor.family, .port = 80 },
	};
	uint8_t text[TOW_PROXY_HEADER_MAX];
	int len;

	snprintf(authority, sizeof(authority), "http:%s", q->name);
	header.authority = tow_slice_of(authority);
	len = tow_proxy_header_write(&header, 0, text, sizeof(text));
	if (len < 0)
		return len;
	if (tow_buf_append(&f->dial.bytes, text, (size_t)len) != 0)
		return TOW_ENOMEM;
	return tow_buf_printf(&f->dial.bytes,
	                      "GET /.well-known/acme-challenge/%s HTTP/1.1\r\n"
	                      "Host: %s\r\n"
	                      "X-Forwarded-For: %s\r\n"
	                      "X-Forwarded-Proto: http\r\n"
	                      "Connection: close\r\n\r\n",
	                      q->token, q->name, tow_addr_format_host(&q->visitor, address));
}

int tow__challenge_fetch_start(struct worker *worker, const struct challenge_question *question,
                               challenge_fetched done, void *user, struct challenge_fetch **out)
{
	struct challenge_fetch *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return TOW_ENOMEM;
	f->done = done;
	f->user = user;
	f->dial.worker = worker;
	f->dial.changed = on_changed;
	f->dial.user = f;
	f->dial.tenant = question->tenant;
	snprintf(f->dial.authority, sizeof(f->dial.authority), "%s", question->name);
	tow__dial_init(&f->dial);
	tow__short_answer_init(&f->answer);
	tow_timer_init(&f->timer, worker->loop, on_timer, f);
	if (write_request(f, question) != 0 ||
	    tow_timer_start_in(&f->timer, worker->timing.dial_ns) != 0) {
		tow__challenge_fetch_cancel(f);
		return TOW_ENOMEM;
	}
	*out = f;
	if (tow__dial_next(&f->dial) != 0)
		finish(f, 502);
	return 0;
}
