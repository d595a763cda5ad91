/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_HTTP_CLIENT_H
#define TOWONEL_TUNNEL_HTTP_CLIENT_H

/*
 * HTTPS requests, many at a time, on the loop (libcurl's multi interface). A request may pin the
 * server's Ed25519 key: then the certificate's chain and name do not matter, unless the key differs
 * and the chain is valid for the name. It proves its own identity with a client certificate when it
 * has a key.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/wire/buf.h>
#include <towonel/wire/identity.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_http_client;
struct tow_http_call;

struct tow_http_client_config {
	struct tow_loop *loop;
	struct tow_log *log;
	const char *user_agent;
	const char *ca_file;            /* extra trust; NULL */
	const struct tow_node_key *key; /* client certificate; NULL for none; copied */
};

struct tow_http_client *
tow_http_client_new(const struct tow_http_client_config *config); /* NULL: no memory */
void tow_http_client_free(struct tow_http_client *client); /* cancels what is under way */

struct tow_http_result {
	int status;               /* HTTP status; 0 when there was none */
	/* code 0 when a response came; TOW_EAUTH (key or certificate), TOW_ETIMEDOUT, TOW_EREFUSED,
	 * TOW_ENOTFOUND (name), TOW_ETOOBIG, TOW_EHTTP */
	struct tow_error error;
	struct tow_slice body;    /* borrowed for the call; empty when on_data took it */
	const char *content_type; /* "" when absent */
	uint64_t retry_after_ms;  /* Retry-After in seconds or as a date; 0 when absent */
	/* any response header, case-insensitive; NULL when absent; valid during the callback */
	const char *(*header)(const struct tow_http_result *result, const char *name);
	void *headers;
};

struct tow_http_call_config {
	const char *method;
	const char *url;
	const char *const *headers;   /* "Name: value", NULL-terminated; NULL: none */
	struct tow_slice body;        /* copied */
	const char *content_type;     /* when there is a body */
	const struct tow_id *pin;     /* the server's node id; NULL: chain and name only; copied */
	uint64_t timeout_ns; /* whole request; 0: 30 s; TOW_NEVER for an event stream, which ends 45
	                        s after its last byte */
	size_t body_max;              /* 0: 16 MiB */
	/* Takes body bytes as they come (event streams). May be NULL. */
	void (*on_data)(void *user, int status, struct tow_slice bytes);
	/* Once; never from within _start. */
	void (*done)(void *user, const struct tow_http_result *result);
	void *user;
};

/* Everything in config is copied. Returns 0, TOW_ENOMEM, TOW_EINVAL (URL). */
int tow_http_call_start(struct tow_http_client *client, const struct tow_http_call_config *config,
                        struct tow_http_call **out);
void tow_http_call_cancel(struct tow_http_call *call); /* done is not called */

#ifdef __cplusplus
}
#endif
#endif
