/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_HUB_CLIENT_H
#define TOWONEL_TUNNEL_HUB_CLIENT_H

/*
 * The hub's HTTP API from the caller's side, for the agent, a remote edge and the command line:
 * where the hub is, whose key it has, who is calling, and answers as JSON or as the error that the
 * hub reported.
 */

#include <jansson.h>
#include <towonel/tunnel/http_client.h>
#include <towonel/wire/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_hub_client;

struct tow_hub_client_config {
	struct tow_http_client *http;            /* borrowed */
	char url[TOW_URL_MAX];                   /* without a trailing slash */
	struct tow_id hub_id;                    /* zero: verify chain and name */
	const struct tow_node_key *key;          /* for signed requests; NULL; copied */
	const struct tow_tenant_key *tenant_key; /* for requests of the tenant; NULL; borrowed */
	const char *operator_key;                /* bearer; NULL; copied */
};

enum tow_hub_auth {
	TOW_HUB_NO_AUTH,
	TOW_HUB_OPERATOR,
	TOW_HUB_SIGNED, /* by the node key, with the domain given */
	TOW_HUB_TENANT, /* by the tenant key, with the domain given */
};

struct tow_hub_answer {
	int status;             /* HTTP status; 0: the hub could not be reached */
	struct tow_error error; /* code 0 on 2xx; text says what to do with it */
	char code[48];          /* the hub's error code, "" otherwise */
	json_t *body;           /* borrowed for the call; NULL when there was none */
	uint64_t retry_after_ms;
	uint64_t total_count; /* X-Total-Count; 0 when absent */
	int retriable;        /* not reached, 429 or 5xx: the same request may succeed later */
};
typedef void (*tow_hub_answered)(void *user, const struct tow_hub_answer *answer);

struct tow_hub_client *
tow_hub_client_new(const struct tow_hub_client_config *config); /* NULL: no memory */
void tow_hub_client_free(
	struct tow_hub_client *client); /* wipes keys; calls under way are cancelled */

/* body is taken (NULL: none). domain: of the signature, where there is one. *out may be
 * cancelled until done was called. Returns 0, TOW_ENOMEM, TOW_EINVAL (URL), TOW_ECRYPTO. */
int tow_hub_call(struct tow_hub_client *client, const char *method, const char *path, json_t *body,
                 enum tow_hub_auth auth, const char *domain, tow_hub_answered done, void *user,
                 struct tow_http_call **out);

/* Follows an event stream of the hub's, as an edge does: a signed GET, with Last-Event-ID unless
 * that is 0. on_data gets the bytes as they come; done is called when it is over, always with an
 * error, which is TOW_ECLOSED for a stream that had begun. Otherwise as tow_hub_call. */
int tow_hub_stream(struct tow_hub_client *client, const char *path, const char *domain,
                   uint64_t last_event_id, void (*on_data)(void *user, struct tow_slice bytes),
                   tow_hub_answered done, void *user, struct tow_http_call **out);

#ifdef __cplusplus
}
#endif
#endif
