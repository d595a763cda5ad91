/* SPDX-License-Identifier: MIT */
#ifndef HTTP_FIXTURE_H
#define HTTP_FIXTURE_H

/* A server with a few routes on a loop of its own thread, and a client that sends what it is told
 * to. */

#include <pthread.h>
#include <stdatomic.h>

#include "http/server.h"

struct fixture {
	struct tow_loop *loop;
	struct tow_http_server *server;
	struct tow_tls_context *tls;
	struct tow_node_key key;
	struct tow_addr addr;
	const char *host; /* for URLs */
	pthread_t thread;
	struct tow_timer later;
	struct tow_http_request *waiting; /* at /later */
	struct tow_http_event_stream *stream;
	_Atomic int answers, last_status, handled, streams_closed, streams_opened;
};

/* limits NULL: short enough for a test. */
void fixture_start(struct fixture *f, int tls, const struct tow__http_limits *limits);
/* Closes with that grace, and joins the thread. */
void fixture_stop(struct fixture *f, uint64_t grace_ns);
/* Runs fn on the server's thread and waits for it. */
void fixture_run(struct fixture *f, void (*fn)(void *user), void *user);

int client_connect(const struct fixture *f);
void client_send(int fd, const char *text);
/* Reads until the other side closes, for at most that time; NUL-terminated, static. */
const char *client_read_all(int fd, int timeout_ms);
/* Reads until the text has come. */
const char *client_read_until(int fd, const char *text, int timeout_ms);
/* connect, send, read all, close */
const char *client_talk(const struct fixture *f, const char *text);

#endif
