/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_HTTP_PORT_H
#define TOW_EDGE_TLS_HTTP_PORT_H

/*
 * Port 80: answers what a certificate authority asks for (HTTP-01, RFC 8555 section 8.3), sends
 * everybody else who wants a name of ours to https, and knows nothing else. A challenge may be for
 * an origin that gets its own certificates.
 */

#include <towonel/tunnel/http_server.h>
#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>

struct http_port;

struct http_port_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;
	struct tow_addr listen;
	int dual_stack;
	uint16_t https_port; /* where https is; 443 is left out of URLs */
	/* Is the name ours? */
	int (*routed)(void *user, const char *name);
	/* The text that belongs to a challenge's token; NULL: none. */
	const char *(*authorization)(void *user, const char *token);
	/* Takes a challenge that is for the name's own origin; returns 0 when it is not. */
	int (*forward)(void *user, const char *name, const char *token,
	               struct tow_http_request *request);
	void *user;
};

/* Returns 0; TOW_EADDRINUSE, TOW_EDENIED, TOW_EIO, TOW_ENOMEM. */
int tow__http_port_new(const struct http_port_config *config, struct http_port **out,
                       struct tow_error *err);
void tow__http_port_free(struct http_port *port); /* takes NULL */
const struct tow_addr *tow__http_port_addr(const struct http_port *port);

#endif
