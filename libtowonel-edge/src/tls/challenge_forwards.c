/* SPDX-License-Identifier: MIT */

#include "tls/challenge_forwards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "tls/challenge_fetch.h"
#include "tls/challenge_mail.h"
#include "worker.h"

struct challenge_forward {
	struct challenge_forwards *owner;
	struct challenge_forward *prev, *next;
	struct tow_id tenant;
	struct tow_http_request *request;
	struct challenge_fetch *fetch; /* NULL: another worker was asked, */
	uint64_t serial;
	struct tow_timer timer; /* and is not waited for longer than a fetch may take */
};

static void forward_free(struct challenge_forward *f)
{
	tow_timer_stop(&f->timer);
	DL_DELETE(f->owner->first, f);
	f->owner->count--;
	free(f);
}

static void respond(struct tow_http_request *request, int status, const struct short_answer *answer)
{
	if (answer == NULL) {
		tow_http_respond(
			request, status, "text/plain",
			tow_slice_of("The site itself does not answer this challenge now.\n"));
		return;
	}
	if (answer->location[0] != '\0')
		tow_http_set_header(request, "Location", answer->location);
	tow_http_respond(request, (int)answer->status,
	                 answer->content_type[0] != '\0' ? answer->content_type
	                                                 : "application/octet-stream",
	                 tow_buf_peek(&answer->body));
}

static void on_fetched(void *user, int status, const struct short_answer *answer)
{
	struct challenge_forward *f = user;

	respond(f->request, status, answer);
	forward_free(f);
}

void tow__challenge_forwards_answered(struct challenge_forwards *forwards, uint64_t serial,
                                      int status, const struct short_answer *answer)
{
	struct challenge_forward *f;

	DL_FOREACH(forwards->first, f)
	if (f->fetch == NULL && f->serial == serial) {
		on_fetched(f, status, answer);
		return;
	}
}

static void on_timer(void *user)
{
	on_fetched(user, 504, NULL);
}

/* By an agent with a tunnel to this worker, else by the worker that has one. */
static int start(struct challenge_forward *f, const struct challenge_question *q)
{
	struct worker *w = f->owner->worker;
	int at = ROSTER_NOBODY;

	if (tow__agents_pick(&w->agents, &q->tenant, q->name, NULL, 0, tow_loop_now_ns(w->loop)) ==
	    NULL)
		at = tow__roster_find(&w->all->roster, &q->tenant, q->name, NULL, 0, w->index, 0);
	if (at == ROSTER_NOBODY)
		return tow__challenge_fetch_start(w, q, on_fetched, f, &f->fetch);
	f->serial = ++f->owner->last_serial;
	if (tow_timer_start_in(&f->timer, w->timing.dial_ns * 2) != 0)
		return TOW_ENOMEM;
	return tow__challenge_mail(&w->all->list[at], f->serial, q);
}

/* Base64url (RFC 8555 section 8.1), so it cannot lead out of the folder. */
static int is_token(const char *text)
{
	return text[0] != '\0' && strlen(text) <= ACME_TOKEN_MAX &&
	       text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                         "0123456789-_")] == '\0';
}

static int has_room(const struct challenge_forwards *forwards, const struct tow_id *tenant)
{
	const struct challenge_forward *f;
	size_t of_tenant = 0;

	DL_FOREACH(forwards->first, f)
	of_tenant += (size_t)tow_id_equal(&f->tenant, tenant);
	return forwards->count < TOW_CHALLENGE_FORWARDS_MAX &&
	       of_tenant < TOW_CHALLENGE_FORWARDS_PER_TENANT;
}

int tow__challenge_forward(struct challenge_forwards *forwards, const char *name, const char *token,
                           struct tow_http_request *request)
{
	struct worker *w = forwards->worker;
	const struct tow_route_hostname *route = tow_route_lookup(w->table, name);
	struct challenge_question question = { .visitor = *tow_http_peer(request) };
	struct challenge_forward *f;

	if (route == NULL || route->http_mode != TOW_HTTP_CHALLENGE || !is_token(token))
		return 0;
	question.tenant = route->tenant_id;
	snprintf(question.name, sizeof(question.name), "%s", name);
	snprintf(question.token, sizeof(question.token), "%s", token);
	f = has_room(forwards, &question.tenant) ? calloc(1, sizeof(*f)) : NULL;
	if (f == NULL) {
		respond(request, 503, NULL);
		return 1;
	}
	f->owner = forwards;
	f->tenant = question.tenant;
	f->request = request;
	tow_timer_init(&f->timer, w->loop, on_timer, f);
	DL_APPEND(forwards->first, f);
	forwards->count++;
	if (start(f, &question) != 0)
		on_fetched(f, 503, NULL);
	return 1;
}

void tow__challenge_forwards_deinit(struct challenge_forwards *forwards)
{
	while (forwards->first != NULL) {
		if (forwards->first->fetch != NULL)
			tow__challenge_fetch_cancel(forwards->first->fetch);
		on_fetched(forwards->first, 503, NULL);
	}
}
