/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include <towonel/tunnel/tcp.h>

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <uv.h>

/*
 * A literal is answered by a task of this turn, a name by getaddrinfo on a worker thread:
 *
 *     query ─┐
 *     query ─┼─► lookup ─► thread      all who ask for a name meanwhile share one
 *     query ─┘
 *
 * The thread cannot be stopped, and there are few: a name that is looked up for ever, and asked for
 * by one visitor after the other, is not to take them all. So a lookup whose queries are all
 * cancelled goes on, for the next who asks, unless it has not begun. It may outlive the loop.
 */

struct tow__lookup {
	uv_getaddrinfo_t request;
	char host[256];
	struct tow_loop *loop; /* where others find it; NULL: no more */
	struct tow__lookup *prev, *next;
	struct tow_resolve *queries;
};

struct tow_resolve {
	struct tow_loop *loop;
	struct tow__lookup *lookup; /* NULL: a literal */
	struct tow_resolve *prev, *next;
	struct tow_task answer;
	struct tow_addr literal;
	uint16_t port;
	tow_resolved done;
	void *user;
};

static void on_literal(void *user)
{
	struct tow_resolve *resolve = user;

	resolve->done(resolve->user, 0, &resolve->literal, 1, NULL);
	free(resolve);
}

/* Copies what is an IP address and not there yet. Returns how many there are then. */
static size_t gather(const struct addrinfo *list, uint16_t port, struct tow_addr *addrs)
{
	size_t count = 0;

	for (; list && count < TOW_RESOLVE_MAX; list = list->ai_next) {
		size_t i;
		if (tow_addr_from_sockaddr(list->ai_addr, &addrs[count]))
			continue;
		addrs[count].port = port;
		for (i = 0; i < count && !tow_addr_equal(&addrs[i], &addrs[count]); i++)
			;
		if (i == count)
			count++;
	}
	return count;
}

static void forget(struct tow__lookup *lookup)
{
	if (lookup->loop)
		DL_DELETE(lookup->loop->lookups, lookup);
	lookup->loop = NULL;
}

void tow__lookups_leave(struct tow_loop *loop)
{
	while (loop->lookups)
		forget(loop->lookups);
}

static void join(struct tow__lookup *lookup, struct tow_resolve *resolve)
{
	resolve->lookup = lookup;
	DL_APPEND(lookup->queries, resolve);
	resolve->loop->waits++;
}

static void leave(struct tow_resolve *resolve)
{
	DL_DELETE(resolve->lookup->queries, resolve);
	resolve->loop->waits--;
}

static void answer(struct tow_resolve *resolve, int status, const struct addrinfo *list)
{
	struct tow_addr addrs[TOW_RESOLVE_MAX];
	struct tow_error err;
	size_t count = status ? 0 : gather(list, resolve->port, addrs);

	if (count) {
		resolve->done(resolve->user, 0, addrs, count, NULL);
		return;
	}
	tow_error_set(&err, TOW_ENOTFOUND, "cannot resolve %s: %s", resolve->lookup->host,
	              status ? uv_strerror(status) : "it has no address");
	resolve->done(resolve->user, TOW_ENOTFOUND, NULL, 0, &err);
}

static void on_name(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct tow__lookup *lookup = request->data;
	struct tow_resolve *resolve;

	forget(lookup);
	while ((resolve = lookup->queries) != NULL) {
		leave(resolve);
		answer(resolve, status, list);
		free(resolve);
	}
	uv_freeaddrinfo(list);
	free(lookup);
}

/* Returns NULL when there is no memory, or no such name. */
static struct tow__lookup *look_up(struct tow_loop *loop, const char *host)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct tow__lookup *lookup;

	DL_FOREACH(loop->lookups, lookup)
	if (!strcmp(lookup->host, host))
		return lookup;
	lookup = calloc(1, sizeof *lookup);
	if (!lookup)
		return NULL;
	lookup->request.data = lookup;
	snprintf(lookup->host, sizeof lookup->host, "%s", host);
	if (uv_getaddrinfo(tow_loop_uv(loop), &lookup->request, on_name, host, NULL, &hints)) {
		free(lookup);
		return NULL;
	}
	lookup->loop = loop;
	DL_APPEND(loop->lookups, lookup);
	return lookup;
}

int tow_resolve_start(struct tow_loop *loop, const char *host, uint16_t port, tow_resolved done,
                      void *user, struct tow_resolve **out)
{
	struct tow_resolve *resolve;
	struct tow__lookup *lookup;

	if (strlen(host) >= sizeof lookup->host)
		return TOW_EINVAL;
	resolve = calloc(1, sizeof *resolve);
	if (!resolve)
		return TOW_ENOMEM;
	resolve->loop = loop;
	resolve->done = done;
	resolve->user = user;
	resolve->port = port;
	tow_task_init(&resolve->answer, loop, on_literal, resolve);
	if (!tow_addr_parse_host(tow_slice_of(host), &resolve->literal)) {
		resolve->literal.port = port;
		tow_task_schedule(&resolve->answer);
	} else {
		lookup = look_up(loop, host);
		if (!lookup) {
			free(resolve);
			return TOW_EINVAL;
		}
		join(lookup, resolve);
	}
	*out = resolve;
	return 0;
}

void tow_resolve_cancel(struct tow_resolve *resolve)
{
	struct tow__lookup *lookup;

	if (!resolve)
		return;
	lookup = resolve->lookup;
	if (!lookup) {
		tow_task_cancel(&resolve->answer);
	} else {
		leave(resolve);
		if (!lookup->queries && !uv_cancel((uv_req_t *)&lookup->request))
			forget(lookup); /* its end comes with the next turn */
	}
	free(resolve);
}
