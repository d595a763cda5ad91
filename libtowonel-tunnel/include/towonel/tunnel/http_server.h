/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_HTTP_SERVER_H
#define TOWONEL_TUNNEL_HTTP_SERVER_H

/*
 * HTTP/1.1 (RFC 9110, 9112), with or without TLS, for the hub API, health and metrics: small
 * requests and answers, kept-alive connections, pipelining, event streams. A server has a table of
 * routes; a row is method, path pattern and handler. The head and the body are bounded (limits.h),
 * slow clients time out.
 *
 * A handler answers at once or later, from the loop's thread, exactly once. A request stays valid
 * until it is answered, also when the client has gone (the answer is then dropped).
 */

#include <jansson.h>
#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/tls.h>
#include <towonel/wire/addr.h>
#include <towonel/wire/buf.h>
#include <towonel/wire/client_hello.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_http_server;
struct tow_http_request;

struct tow_http_route {
	const char *method;   /* "GET"; HEAD is served by GET's handler */
	const char *path;     /* "/v1/invites/{id}/hostnames/{hostname}" */
	size_t body_max;      /* 0: TOW_HTTP_BODY_MAX */
	unsigned flags;       /* for the owner: what authorisation the row wants, ... */
	void (*handle)(void *user, struct tow_http_request *request);
};

struct tow_http_server_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_addr listen;
	int dual_stack;
	struct tow_tls_context *tls;         /* NULL: plain HTTP; borrowed for the server's life */
	/* Another context for what a client asks for and understands, borrowed until the next turn
	 * of the loop; NULL: tls will do. May be NULL. */
	struct tow_tls_context *(*choose_tls)(void *user, const struct tow_client_hello *hello);
	const struct tow_http_route *routes; /* borrowed for the server's life */
	size_t route_count;
	/* Takes what no row takes, of any method, also when its target is too odd to be taken apart
	 * (path and parameters are empty then). NULL: 404, 405 and 400. Borrowed too. */
	const struct tow_http_route *fallback;
	/* Called with the whole request before the handler; non-zero when it has answered itself.
	 * May be NULL. */
	int (*before)(void *user, struct tow_http_request *request);
	/* Called after an answer of any kind was given, errors of the server's own included. May be
	 * NULL. */
	void (*after)(void *user, const struct tow_http_request *request, int status);
	void *user;
};

/* Returns 0; TOW_EADDRINUSE, TOW_EDENIED, TOW_EIO, TOW_ENOMEM. */
int tow_http_server_new(const struct tow_http_server_config *config, struct tow_http_server **out,
                        struct tow_error *err);
/* Stops listening, lets answers that are under way finish for at most grace_ns, then closes and
 * frees. Event streams end at once. done may be NULL; it is called from the loop, and nothing of
 * the server's after it. With a grace_ns of 0 and no done all is over when this returns. */
void tow_http_server_close(struct tow_http_server *server, uint64_t grace_ns,
                           void (*done)(void *user), void *user);
const struct tow_addr *tow_http_server_addr(const struct tow_http_server *server);
/* Serves a connection that somebody else accepted, and has read early from. fd is taken, early is
 * copied. */
void tow_http_server_adopt(struct tow_http_server *server, int fd, const struct tow_addr *peer,
                           struct tow_slice early);

/* What was asked. Pointers live as long as the request. */
const char *tow_http_method(const struct tow_http_request *request);
const char *tow_http_target(const struct tow_http_request *request); /* as sent */
const char *tow_http_path(const struct tow_http_request *request); /* as sent, without the query */
const struct tow_http_route *
tow_http_route_of(const struct tow_http_request *request); /* NULL: none matched */
struct tow_slice tow_http_body(const struct tow_http_request *request);
const char *tow_http_header(const struct tow_http_request *request,
                            const char *name); /* NULL: absent */
const char *tow_http_param(const struct tow_http_request *request,
                           const char *name); /* {id}, percent-decoded */
const char *tow_http_query(const struct tow_http_request *request,
                           const char *name); /* percent-decoded; NULL */
const struct tow_addr *tow_http_peer(const struct tow_http_request *request);
const char *
tow_http_request_id(const struct tow_http_request *request); /* X-Request-Id, taken over or made */

/* Answers. */
void tow_http_set_header(struct tow_http_request *request, const char *name, const char *value);
void tow_http_respond(struct tow_http_request *request, int status, const char *content_type,
                      struct tow_slice body);
void tow_http_respond_json(struct tow_http_request *request, int status,
                           json_t *body); /* takes body */
/* {"error":{"code":code,"message":...}} */
void tow_http_respond_error(struct tow_http_request *request, int status, const char *code,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

/* An answer without end: text/event-stream. closed is called once: from the loop when the client
 * has gone, or from within _end; the stream is freed after it. NULL when out of memory or when the
 * client has gone already: the request is answered in any case, and closed is not called. */
struct tow_http_event_stream;
struct tow_http_event_stream *tow_http_event_stream_start(struct tow_http_request *request,
                                                          void (*closed)(void *user), void *user);
/* Queues one event (id 0: none; event NULL: none). Returns 0, TOW_ENOMEM, TOW_ECLOSED. */
int tow_http_event_stream_send(struct tow_http_event_stream *stream, uint64_t id, const char *event,
                               struct tow_slice data);
int tow_http_event_stream_comment(struct tow_http_event_stream *stream, const char *text);
/* Bytes that the client has not taken yet. */
size_t tow_http_event_stream_queued(const struct tow_http_event_stream *stream);
void tow_http_event_stream_end(struct tow_http_event_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
