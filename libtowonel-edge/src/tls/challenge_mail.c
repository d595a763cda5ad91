/* SPDX-License-Identifier: MIT */

#include "tls/challenge_mail.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "tls/challenge_forwards.h"
#include "worker.h"

struct challenge_errand {
	struct worker *worker;
	struct challenge_errand *prev, *next;
	struct challenge_fetch *fetch;
	uint64_t serial;
};

struct question {
	uint64_t serial;
	struct challenge_question text;
};

struct reply {
	uint64_t serial;
	int status; /* 0: there is an answer */
	struct short_answer answer; /* without its body, which follows */
	size_t len;
};

/* --- home again --- */

static void on_reply(struct worker *w, void *message)
{
	struct reply *r = message;

	r->answer.body = (struct tow_buf){ NULL, 0, 0, 0 };
	if (tow_buf_append(&r->answer.body, r + 1, r->len) != 0)
		r->status = 503;
	if (w->challenges != NULL)
		tow__challenge_forwards_answered(w->challenges, r->serial, r->status,
		                                 r->status == 0 ? &r->answer : NULL);
	tow_buf_deinit(&r->answer.body);
}

static void send_reply(const struct challenge_errand *e, int status,
                       const struct short_answer *answer)
{
	struct tow_slice body = { NULL, 0 };
	struct reply *r;

	if (answer != NULL)
		body = tow_buf_peek(&answer->body);
	r = malloc(sizeof(*r) + body.len);
	if (r == NULL)
		return; /* who waits there does not for ever */
	memset(r, 0, sizeof(*r));
	r->serial = e->serial;
	r->status = status;
	if (answer != NULL)
		r->answer = *answer;
	r->len = body.len;
	if (body.len > 0)
		memcpy(r + 1, body.base, body.len);
	(void)tow__worker_mail(&e->worker->all->list[0], on_reply, r, sizeof(*r) + body.len);
	free(r);
}

/* --- where the tunnel is --- */

static void errand_free(struct challenge_errand *e)
{
	DL_DELETE(e->worker->errands, e);
	free(e);
}

static void on_fetched(void *user, int status, const struct short_answer *answer)
{
	struct challenge_errand *e = user;

	send_reply(e, status, answer);
	errand_free(e);
}

static void on_question(struct worker *w, void *message)
{
	const struct question *q = message;
	struct challenge_errand *e = w->ended ? NULL : calloc(1, sizeof(*e));

	if (e == NULL)
		return;
	e->worker = w;
	e->serial = q->serial;
	DL_APPEND(w->errands, e);
	if (tow__challenge_fetch_start(w, &q->text, on_fetched, e, &e->fetch) != 0)
		on_fetched(e, 503, NULL);
}

int tow__challenge_mail(struct worker *to, uint64_t serial,
                        const struct challenge_question *question)
{
	const struct question q = { serial, *question };

	return tow__worker_mail(to, on_question, &q, sizeof(q));
}

void tow__challenge_errands_end(struct worker *w)
{
	while (w->errands != NULL) {
		tow__challenge_fetch_cancel(w->errands->fetch);
		on_fetched(w->errands, 503, NULL);
	}
}
