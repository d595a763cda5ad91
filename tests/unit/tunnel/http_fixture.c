/* SPDX-License-Identifier: MIT */
#include "http_fixture.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <towonel/tunnel/tcp.h>

static void on_hello(void *user, struct tow_http_request *request)
{
	struct fixture *f = user;

	f->handled++;
	tow_http_set_header(request, "X-Test", "yes");
	tow_http_set_header(request, "X-Split", "a\r\nX-Injected: b");
	tow_http_respond(request, 200, "text/plain", tow_slice_of("hello\n"));
}

static void on_echo(void *user, struct tow_http_request *request)
{
	struct fixture *f = user;

	f->handled++;
	tow_http_respond(request, 200, "application/octet-stream", tow_http_body(request));
}

static void on_item(void *user, struct tow_http_request *request)
{
	const char *limit = tow_http_query(request, "limit");

	(void)user;
	tow_http_respond_json(request, 200,
	                      json_pack("{s:s,s:s,s:s}", "id", tow_http_param(request, "id"),
	                                "limit", limit ? limit : "none", "method",
	                                tow_http_method(request)));
}

static void on_json(void *user, struct tow_http_request *request)
{
	struct tow_slice body = tow_http_body(request);

	(void)user;
	tow_http_respond_json(request, 201,
	                      json_loadb((const char *)body.base, body.len, 0, NULL));
}

static void on_big(void *user, struct tow_http_request *request)
{
	const char *size = tow_http_query(request, "size");
	size_t len = size ? strtoul(size, NULL, 10) : 0;
	uint8_t *bytes = malloc(len + 1);

	(void)user;
	assert(bytes);
	memset(bytes, 'x', len);
	tow_http_respond(request, 200, "text/plain", tow_slice_make(bytes, len));
	free(bytes);
}

static void answer_later(void *user)
{
	struct fixture *f = user;
	struct tow_http_request *request = f->waiting;

	f->waiting = NULL;
	if (request)
		tow_http_respond(request, 200, "text/plain", tow_slice_of("late\n"));
}

static void on_later(void *user, struct tow_http_request *request)
{
	struct fixture *f = user;

	f->handled++;
	assert(!f->waiting);
	f->waiting = request;
	assert(!tow_timer_start_in(&f->later, 150 * TOW_NSEC_PER_MSEC));
}

static void on_stream_closed(void *user)
{
	struct fixture *f = user;

	f->stream = NULL;
	f->streams_closed++;
}

static void on_events(void *user, struct tow_http_request *request)
{
	struct fixture *f = user;

	f->stream = tow_http_event_stream_start(request, on_stream_closed, f);
	if (!f->stream)
		return;
	f->streams_opened++;
	assert(!tow_http_event_stream_comment(f->stream, "welcome"));
	assert(!tow_http_event_stream_send(f->stream, 7, "delta",
	                                   tow_slice_of("one\ntwo\r\nthree")));
	assert(!tow_http_event_stream_send(f->stream, 0, NULL, tow_slice_of("")));
}

static const struct tow_http_route routes[] = {
	{ "GET", "/hello", 0, 0, on_hello },    { "POST", "/echo", 0, 0, on_echo },
	{ "PUT", "/echo", 100000, 0, on_echo }, { "GET", "/items/{id}", 0, 0, on_item },
	{ "POST", "/json", 0, 0, on_json },     { "GET", "/big", 0, 0, on_big },
	{ "GET", "/later", 0, 0, on_later },    { "GET", "/events", 0, 0, on_events },
	{ "GET", "/guarded", 0, 1, on_hello },
};

static int before(void *user, struct tow_http_request *request)
{
	(void)user;
	if (!tow_http_route_of(request)->flags)
		return 0;
	tow_http_respond_error(request, 401, "unauthorized", "an operator key is wanted");
	return 1;
}

static void after(void *user, const struct tow_http_request *request, int status)
{
	struct fixture *f = user;

	assert(tow_http_request_id(request)[0]);
	assert(tow_http_path(request) && tow_http_method(request));
	f->last_status = status;
	f->answers++;
}

static void *run(void *user)
{
	tow_loop_run(((struct fixture *)user)->loop);
	return NULL;
}

void fixture_start(struct fixture *f, int tls, const struct tow__http_limits *limits)
{
	static const struct tow__http_limits usual = {
		.request_ns = 400 * TOW_NSEC_PER_MSEC,
		.idle_ns = 600 * TOW_NSEC_PER_MSEC,
		.stall_ns = 400 * TOW_NSEC_PER_MSEC,
		.handshake_ns = 400 * TOW_NSEC_PER_MSEC,
		.linger_ns = 300 * TOW_NSEC_PER_MSEC,
		.connections_max = 64,
	};
	struct tow_http_server_config config = {
		.routes = routes,
		.route_count = sizeof routes / sizeof routes[0],
		.before = before,
		.after = after,
		.user = f,
	};
	struct tow_error err = { 0 };

	memset(f, 0, sizeof *f);
	f->host = "127.0.0.1";
	tow_node_key_generate(&f->key);
	f->loop = tow_loop_new();
	assert(f->loop);
	tow_timer_init(&f->later, f->loop, answer_later, f);
	config.loop = f->loop;
	assert(!tow_addr_parse(tow_slice_of("127.0.0.1:1"), &config.listen));
	config.listen.port = 0;
	if (tls)
		assert(!tow_tls_context_new_identity(&f->key, "http/1.1", &f->tls, &err));
	config.tls = f->tls;
	assert(!tow_http_server_new(&config, &f->server, &err));
	tow__http_server_set_limits(f->server, limits ? limits : &usual);
	f->addr = *tow_http_server_addr(f->server);
	assert(!pthread_create(&f->thread, NULL, run, f));
}

struct call {
	void (*fn)(void *user);
	void *user;
	_Atomic int done;
};

static void make_call(void *user)
{
	struct call *call = user;

	call->fn(call->user);
	call->done = 1;
}

void fixture_run(struct fixture *f, void (*fn)(void *user), void *user)
{
	struct call call = { fn, user, 0 };

	assert(!tow_loop_post(f->loop, make_call, &call));
	while (!call.done)
		usleep(500);
}

struct stop {
	struct fixture *f;
	uint64_t grace_ns;
};

static void on_closed(void *user)
{
	struct fixture *f = user;

	tow_loop_stop(f->loop);
}

static void close_server(void *user)
{
	struct stop *stop = user;

	tow_http_server_close(stop->f->server, stop->grace_ns, on_closed, stop->f);
}

void fixture_stop(struct fixture *f, uint64_t grace_ns)
{
	struct stop stop = { f, grace_ns };

	fixture_run(f, close_server, &stop);
	assert(!pthread_join(f->thread, NULL));
	tow_timer_stop(&f->later);
	answer_later(f); /* a request outlives its server */
	tow_tls_context_free(f->tls);
	tow_loop_free(f->loop);
}

int client_connect(const struct fixture *f)
{
	struct sockaddr_storage to;
	socklen_t len = tow_addr_to_sockaddr(&f->addr, &to);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert(fd >= 0);
	assert(!connect(fd, (struct sockaddr *)&to, len));
	return fd;
}

void client_send(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		if (n <= 0)
			return; /* the server may have had enough; what it says is read next */
		text += n;
		len -= (size_t)n;
	}
}

static char received[1 << 20];

static const char *client_read(int fd, const char *until, int timeout_ms)
{
	size_t len = 0;
	uint64_t end = tow_now_ns() + (uint64_t)timeout_ms * TOW_NSEC_PER_MSEC;

	received[0] = '\0';
	while (len < sizeof received - 1 && (!until || !strstr(received, until))) {
		struct pollfd poll_fd = { fd, POLLIN, 0 };
		uint64_t now = tow_now_ns();
		ssize_t n;

		if (now >= end ||
		    poll(&poll_fd, 1, (int)((end - now) / TOW_NSEC_PER_MSEC) + 1) <= 0)
			break;
		n = recv(fd, received + len, sizeof received - 1 - len, 0);
		if (n <= 0) {
			if (n < 0)
				snprintf(received + len, sizeof received - len, "<%s>",
				         strerror(errno));
			break;
		}
		len += (size_t)n;
		received[len] = '\0';
	}
	return received;
}

const char *client_read_all(int fd, int timeout_ms)
{
	return client_read(fd, NULL, timeout_ms);
}

const char *client_read_until(int fd, const char *text, int timeout_ms)
{
	return client_read(fd, text, timeout_ms);
}

const char *client_talk(const struct fixture *f, const char *text)
{
	int fd = client_connect(f);
	const char *answer;

	client_send(fd, text);
	answer = client_read_all(fd, 3000);
	close(fd);
	return answer;
}
