/* SPDX-License-Identifier: MIT */
#ifndef TOW__HTTP_SERVER_H
#define TOW__HTTP_SERVER_H

/* What the files of the server share: the server, and the limits that tests make short. */

#include <towonel/tunnel/http_server.h>

#include <stdbool.h>

#include "http/request.h"

struct tow__connection;
struct tow_tcp_listener;

struct tow__http_limits {
	uint64_t request_ns; /* for the head, and again for the body */
	uint64_t idle_ns;    /* between requests */
	uint64_t stall_ns;   /* a client that takes nothing of the answer */
	uint64_t handshake_ns;
	uint64_t linger_ns; /* for a client to read the last answer before the connection goes */
	size_t connections_max;
};

struct tow_http_server {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_http_server_config config;
	struct tow__request_rules rules;
	struct tow__http_limits limits;
	struct tow_tcp_listener *listener;
	struct tow_log_gate refused;
	struct tow__connection *connections; /* newest first */
	size_t connection_count;
	/* The owner, each connection and each unanswered request hold on to the server: a handler
	 * may answer after everything was closed. */
	size_t references;
	bool closing; /* no new requests */
	bool closed;  /* no callbacks any more */
	struct tow_timer grace;
	struct tow_task end;
	void (*done)(void *user);
	void *done_user;
};

void tow__http_server_set_limits(struct tow_http_server *server,
                                 const struct tow__http_limits *limits);
void tow__http_server_unref(struct tow_http_server *server);
/* A connection has gone, memory and all. */
void tow__http_server_connection_gone(struct tow_http_server *server);

#endif
