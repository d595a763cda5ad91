/* SPDX-License-Identifier: MIT */

#include "http/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include "http/refusal.h"

#define NS_PER_MS 1000000ULL

struct exchange {
	struct requests requests;
	struct responses responses;
	struct tow_buf held; /* read, and waits for an answer */
	uint64_t begun_ns;   /* when the head began that is being read; 0: none is */
	uint64_t read_ns, active_ns;
	char address[TOW_ADDR_TEXT_SIZE];
	char name[TOW_HOSTNAME_SIZE];
};

struct exchange *tow__exchange_new(const char *name, const struct tow_addr *visitor,
                                   uint64_t now_ns)
{
	struct exchange *x = calloc(1, sizeof(*x));
	struct http_place place;

	if (x == NULL)
		return NULL;
	snprintf(x->name, sizeof(x->name), "%s", name);
	tow_addr_format_host(visitor, x->address);
	place = (struct http_place){ x->name, x->address, visitor->family == 6 };
	tow__requests_init(&x->requests, &place);
	tow__responses_init(&x->responses);
	x->read_ns = x->active_ns = now_ns;
	return x;
}

void tow__exchange_free(struct exchange *x)
{
	if (x == NULL)
		return;
	tow__requests_deinit(&x->requests);
	tow_buf_deinit(&x->held);
	free(x);
}

static int take(struct exchange *x, struct tow_slice bytes, size_t *taken, struct tow_buf *to)
{
	int rc = 0;

	*taken = 0;
	while (rc == 0) {
		size_t n;

		if (x->responses.count == TOW_REQUESTS_OPEN_MAX)
			return TOW_BLOCKED;
		rc = tow__requests_feed(&x->requests,
		                        tow_slice_make(bytes.base + *taken, bytes.len - *taken), &n,
		                        to);
		*taken += n;
		if (rc != TOW_MORE)
			return rc;
		tow__responses_expect(&x->responses, x->requests.head.is_head,
		                      x->requests.head.upgrade);
		rc = 0;
	}
	return rc;
}

int tow__exchange_from_visitor(void *user, uint64_t now_ns, struct tow_slice bytes,
                               struct tow_buf *to)
{
	struct exchange *x = user;
	size_t taken;
	int rc;

	if (bytes.len > 0)
		x->read_ns = x->active_ns = now_ns;
	if (x->requests.state == REQUESTS_REFUSED)
		return TOW_EOF;
	if (tow_buf_len(&x->held) > 0) {
		if (tow_buf_append(&x->held, bytes.base, bytes.len) != 0)
			return TOW_ENOMEM;
		bytes = tow_buf_peek(&x->held);
	}
	rc = take(x, bytes, &taken, to);
	if (rc == TOW_BLOCKED && taken == bytes.len)
		rc = 0; /* it waits when there is something to wait for */
	if (tow_buf_len(&x->held) > 0)
		tow_buf_consume(&x->held, taken);
	else if (rc == TOW_BLOCKED &&
	         tow_buf_append(&x->held, bytes.base + taken, bytes.len - taken) != 0)
		rc = TOW_ENOMEM;
	if (tow_buf_len(&x->held) == 0)
		tow_buf_deinit(&x->held);
	if (x->requests.state != REQUESTS_HEAD || !tow__requests_partial(&x->requests))
		x->begun_ns = 0;
	else if (x->begun_ns == 0)
		x->begun_ns = now_ns;
	return rc == TOW_EHTTP ? TOW_EOF : rc;
}

/* The end of a connection whose last request was refused: when, and with what. */
static int end(struct exchange *x, struct tow_buf *tail)
{
	const struct requests *requests = &x->requests;
	const struct responses *responses = &x->responses;
	/* The one that was refused may itself be open, and be answered already. */
	size_t own = requests->refused_inside ? 1 : 0;

	if (responses->lost)
		return TOW_EOF;
	if (responses->count > own)
		return 0;
	if (requests->status == 0 || responses->begun || responses->count < own)
		return TOW_EOF;
	return tow__http_refusal(requests->status, requests->head.is_head, tail) == 0 ? TOW_EOF
	                                                                              : TOW_ENOMEM;
}

/* An origin may answer and close without having read the whole request. Its kernel then resets the
 * connection, which is not to take the answer along. */
static int is_early_end(const struct exchange *x)
{
	return x->requests.state == REQUESTS_BODY && x->responses.count == 0 && x->responses.closes;
}

int tow__exchange_from_origin(void *user, uint64_t now_ns, struct tow_slice bytes, int fin,
                              struct tow_buf *tail)
{
	struct exchange *x = user;

	if (bytes.len > 0)
		x->active_ns = now_ns;
	tow__responses_feed(&x->responses, bytes.base, bytes.len);
	if (fin)
		tow__responses_end(&x->responses);
	if (x->responses.upgraded || x->responses.count == 0)
		tow__requests_upgraded(&x->requests, x->responses.upgraded);
	if (is_early_end(x))
		return TOW_EOF;
	return x->requests.state == REQUESTS_REFUSED ? end(x, tail) : 0;
}

unsigned tow__exchange_refused(const struct exchange *x)
{
	return x->requests.state == REQUESTS_REFUSED ? x->requests.status : 0;
}

int tow__exchange_begun(const struct exchange *x)
{
	return tow__requests_partial(&x->requests);
}

int tow__exchange_expire(struct exchange *x, uint64_t now_ns, int reading)
{
	switch (x->requests.state) {
	case REQUESTS_HEAD:
		if (x->begun_ns != 0) {
			if (now_ns - x->begun_ns < TOW_REQUEST_TIMEOUT_MS * NS_PER_MS)
				return 0;
			tow__requests_refuse(&x->requests, 408);
			return 1;
		}
		if (x->responses.count > 0 ||
		    now_ns - x->active_ns < TOW_REQUEST_IDLE_MS * NS_PER_MS)
			return 0;
		tow__requests_refuse(&x->requests, 0);
		return 1;
	case REQUESTS_BODY:
		if (!reading || now_ns - x->read_ns < TOW_REQUEST_STALL_MS * NS_PER_MS)
			return 0;
		tow__requests_refuse(&x->requests, 408);
		return 1;
	default: return 0;
	}
}
