/* SPDX-License-Identifier: MIT */

#include "tls/challenge_forwards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <towonel/wire/control_message.h>
#include <towonel/wire/proxy_header.h>
#include <utlist.h>
#include "dial.h"
#include "http/short_answer.h"
#include "tls/acme_message.h"
#include "worker.h"

struct challenge_forward {
	struct challenge_forwards *owner;
	struct challenge_forward *prev, *next;
	struct tow_http_request *request;
	struct dial dial;
	struct short_answer answer;
	int answering; /* an agent has accepted: no other is asked */
	struct tow_timer timer;
};

static void forward_free(struct challenge_forward *f)
{
	tow_timer_stop(&f->timer);
	tow__dial_deinit(&f->dial, TOW_TUNNEL_OK);
	tow__short_answer_deinit(&f->answer);
	DL_DELETE(f->owner->first, f);
	f->owner->count--;
	free(f);
}

static void fail(struct challenge_forward *f, int status)
{
	tow_http_respond(f->request, status, "text/plain",
	                 tow_slice_of("The site itself does not answer this challenge now.\n"));
	forward_free(f);
}

static void succeed(struct challenge_forward *f)
{
	const struct short_answer *a = &f->answer;

	if (a->location[0] != '\0')
		tow_http_set_header(f->request, "Location", a->location);
	tow_http_respond(f->request, (int)a->status,
	                 a->content_type[0] != '\0' ? a->content_type : "application/octet-stream",
	                 tow_buf_peek(&a->body));
	forward_free(f);
}

static void on_changed(void *user)
{
	struct challenge_forward *f = user;
	struct dial *d = &f->dial;
	struct tow_slice reply = tow_buf_peek(&d->reply);
	int rc;

	if (d->state == DIAL_FAILED) {
		if (f->answering || tow__dial_next(d) != 0)
			fail(f, d->failure == TOW_TUNNEL_IDLE ? 504 : 502);
		return;
	}
	f->answering = 1;
	rc = tow__short_answer_feed(&f->answer, reply, d->reply_finished);
	tow_buf_consume(&d->reply, reply.len);
	if (rc == 0)
		succeed(f);
	else if (rc != TOW_MORE)
		fail(f, 502);
}

static void on_timer(void *user)
{
	fail(user, 504);
}

/* Base64url (RFC 8555 section 8.1), so it cannot lead out of the folder. */
static int is_token(const char *text)
{
	return text[0] != '\0' && strlen(text) <= ACME_TOKEN_MAX &&
	       text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                         "0123456789-_")] == '\0';
}

static int write_request(struct challenge_forward *f, const char *token)
{
	const char *name = f->dial.authority;
	const struct tow_addr *visitor = tow_http_peer(f->request);
	char authority[TOW_AUTHORITY_SIZE + sizeof("http:")], address[TOW_ADDR_TEXT_SIZE];
	struct tow_proxy_header header = {
		.command = TOW_PROXY_PROXY,
		.transport = TOW_PROXY_STREAM,
		.source = *visitor,
		.destination = { .family = visitor->family, .port = 80 },
	};
	uint8_t text[TOW_PROXY_HEADER_MAX];
	int len;

	snprintf(authority, sizeof(authority), "http:%s", name);
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
	                      token, name, tow_addr_format_host(visitor, address));
}

static void start(struct challenge_forward *f, const char *token)
{
	int status = 503;

	if (write_request(f, token) == 0 &&
	    tow_timer_start_in(&f->timer, f->dial.worker->timing.dial_ns) == 0) {
		status = 502;
		if (tow__dial_next(&f->dial) == 0)
			return;
	}
	fail(f, status);
}

int tow__challenge_forward(struct challenge_forwards *forwards, const char *name, const char *token,
                           struct tow_http_request *request)
{
	struct worker *w = forwards->worker;
	const struct tow_route_hostname *route = tow_route_lookup(w->table, name);
	struct challenge_forward *f;

	if (route == NULL || route->http_mode != TOW_HTTP_CHALLENGE || !is_token(token))
		return 0;
	f = forwards->count < TOW_CHALLENGE_FORWARDS_MAX ? calloc(1, sizeof(*f)) : NULL;
	if (f == NULL) {
		tow_http_respond(request, 503, "text/plain", tow_slice_of("Try again later.\n"));
		return 1;
	}
	f->owner = forwards;
	f->request = request;
	f->dial.worker = w;
	f->dial.changed = on_changed;
	f->dial.user = f;
	f->dial.tenant = route->tenant_id;
	snprintf(f->dial.authority, sizeof(f->dial.authority), "%s", name);
	tow__dial_init(&f->dial);
	tow__short_answer_init(&f->answer);
	tow_timer_init(&f->timer, w->loop, on_timer, f);
	DL_APPEND(forwards->first, f);
	forwards->count++;
	start(f, token);
	return 1;
}

void tow__challenge_forwards_deinit(struct challenge_forwards *forwards)
{
	while (forwards->first != NULL)
		fail(forwards->first, 503);
}
