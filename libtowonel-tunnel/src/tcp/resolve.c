/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include <towonel/tunnel/tcp.h>

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

/*
 * A literal is answered by a task of this turn, a name by getaddrinfo on a worker thread. That
 * thread cannot be stopped: a cancelled query is freed when it comes back, which the loop may not
 * live to see.
 */

struct tow_resolve {
	struct tow_loop *loop; /* until it is cancelled */
	struct tow_task answer;
	uv_getaddrinfo_t request;
	char host[256];
	struct tow_addr literal;
	uint16_t port;
	tow_resolved done; /* NULL: cancelled */
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

static void on_name(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct tow_resolve *resolve = request->data;
	tow_resolved done = resolve->done;
	struct tow_addr addrs[TOW_RESOLVE_MAX];
	struct tow_error err;
	size_t count = status ? 0 : gather(list, resolve->port, addrs);

	if (done)
		resolve->loop->waits--;
	resolve->done = NULL;
	if (done && count) {
		done(resolve->user, 0, addrs, count, NULL);
	} else if (done) {
		tow_error_set(&err, TOW_ENOTFOUND, "cannot resolve %s: %s", resolve->host,
		              status ? uv_strerror(status) : "it has no address");
		done(resolve->user, TOW_ENOTFOUND, NULL, 0, &err);
	}
	uv_freeaddrinfo(list);
	free(resolve);
}

int tow_resolve_start(struct tow_loop *loop, const char *host, uint16_t port, tow_resolved done,
                      void *user, struct tow_resolve **out)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct tow_resolve *resolve;

	if (strlen(host) >= sizeof resolve->host)
		return TOW_EINVAL;
	resolve = calloc(1, sizeof *resolve);
	if (!resolve)
		return TOW_ENOMEM;
	resolve->loop = loop;
	resolve->done = done;
	resolve->user = user;
	resolve->port = port;
	resolve->request.data = resolve;
	snprintf(resolve->host, sizeof resolve->host, "%s", host);
	tow_task_init(&resolve->answer, loop, on_literal, resolve);
	if (!tow_addr_parse_host(tow_slice_of(host), &resolve->literal)) {
		resolve->literal.port = port;
		tow_task_schedule(&resolve->answer);
	} else if (uv_getaddrinfo(tow_loop_uv(loop), &resolve->request, on_name, host, NULL,
	                          &hints)) {
		free(resolve);
		return TOW_EINVAL;
	} else {
		loop->waits++;
	}
	*out = resolve;
	return 0;
}

void tow_resolve_cancel(struct tow_resolve *resolve)
{
	if (!resolve)
		return;
	if (resolve->literal.family) {
		tow_task_cancel(&resolve->answer);
		free(resolve);
		return;
	}
	if (resolve->done)
		resolve->loop->waits--;
	resolve->done = NULL;
	uv_cancel((uv_req_t *)&resolve->request);
}
