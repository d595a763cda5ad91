/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_API_API_H
#define TOWONEL_HUB_API_API_H

/*
 * The HTTP API. table.c has one row per endpoint; each noun has a file. An endpoint that needs the
 * store is a struct that begins with a struct tow__call and goes three ways:
 *
 *     handler   on the loop: reads the request into the struct, then tow__call_run
 *     work      on a store thread: asks the store, and puts what it said into the struct
 *               or into answer
 *     respond   on the loop, when there was no fault: completes answer from what only the
 *               loop knows; may be NULL
 *     failed    on the loop, when there was one: may clear it and make an answer all the
 *               same; may be NULL
 *
 * after which the answer or the fault is sent and the struct freed (release first). A fault
 * anywhere ends it.
 */

#include <jansson.h>

#include "auth.h"
#include "hub.h"

/* The rows of the table. */
extern const struct tow_http_route tow__api_routes[];
extern const size_t tow__api_route_count;

/* What they are, in OpenAPI 3.1; held against the table by a test. */
extern const char tow__openapi[];

/* Flags of a row. */
enum {
	TOW__API_OPERATOR = 1, /* the operator's key is asked for */
	TOW__API_PUBLIC = 2,   /* not; so the rate per address is limited, unless the key is there
	                          all the same, or it turns out that the asker is known */
};

/* For the HTTP server: authorisation and rate; metrics and the request's log line. */
int tow__api_before(void *user, struct tow_http_request *request);
void tow__api_after(void *user, const struct tow_http_request *request, int status);

struct tow__call {
	struct tow__job job;
	struct tow_hub *hub;
	struct tow_http_request *request;
	json_t *body; /* of the request, once tow__call_body was called */
	struct tow__fault fault;
	json_t *answer;       /* made by work or respond */
	int status;           /* of the answer; 0: 200 */
	uint64_t total_count; /* for X-Total-Count, when counted */
	int counted;
	int answered; /* respond has given another answer than JSON */
	/* Work sets these when the asker has shown to be a tenant, one of its agents, or an
	 * edge, whatever else is wrong: then it is not counted against its address. */
	int is_member;
	struct tow_id member;
	enum tow__db_access access;
	void (*work)(struct tow__call *call, struct tow__store *store);
	void (*respond)(struct tow__call *call);
	void (*failed)(struct tow__call *call);
	void (*release)(struct tow__call *call);
};

/* size: of the struct around it; all-zero but for hub and request. NULL: out of memory, which has
 * been answered. */
void *tow__call_new(struct tow_hub *hub, struct tow_http_request *request, size_t size);
/* Hands the call to the store, or, with a fault or without work, answers at once. */
void tow__call_run(struct tow__call *call);

/* Reads the body, a JSON object that has no other members than keys (NULL-terminated). */
void tow__call_body(struct tow__call *call, const char *const *keys);
/* A name for people, from the member `name`; PREFIX-random when there is none. */
void tow__call_name(struct tow__call *call, const char *prefix, char out[TOW_TENANT_NAME_MAX + 1]);
/* Members of the body. Nothing is written, and the fault names the member, when it is of another
 * kind, or absent and required. Text is borrowed from the body. */
const char *tow__call_text(struct tow__call *call, const char *key, int required);
uint64_t tow__call_int(struct tow__call *call, const char *key, uint64_t max, int required);
void tow__call_id(struct tow__call *call, const char *key, struct tow_id *out);
void tow__call_bytes(struct tow__call *call, const char *key, uint8_t *out,
                     size_t len); /* base64url */
void tow__call_hostnames(struct tow__call *call, const char *key,
                         struct tow__names *out); /* 1 or more, no doubles */
/* An id of the query, if it is there; 1 when it is. */
int tow__call_query_id(struct tow__call *call, const char *key, struct tow_id *out);
/* Parts of the path; what is no id is not found. */
void tow__call_path_tenant(struct tow__call *call, struct tow_id *out);
void tow__call_path_invite(struct tow__call *call, uint8_t out[TOW_INVITE_ID_SIZE]);
/* limit and offset of the query. */
void tow__call_page(struct tow__call *call, struct tow__page *out);
/* A number of the query; fallback when absent. */
uint64_t tow__call_query_int(struct tow__call *call, const char *key, uint64_t min, uint64_t max,
                             uint64_t fallback);

/* A whole number in digits alone. Returns 0, TOW_EPARSE. */
int tow__digits_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out);

json_t *tow__json_names(const struct tow__names *names);
json_t *tow__json_time(uint64_t ms); /* null for 0 */
json_t *tow__json_id(const struct tow_id *id);
json_t *tow__json_access(const struct tow_access *access, enum tow_access_list list);
json_t *tow__json_port(const struct tow__port *port);
json_t *tow__json_health(const struct tow_hub *hub);
json_t *tow__json_tenant(const struct tow__tenant *tenant);
/* Adds to its agents what only this hub has heard. */
void tow__tenant_add_heard(struct tow_hub *hub, json_t *tenant);
/* Says that an answer could not be made for want of memory, when json is NULL; then as json. */
json_t *tow__call_made(struct tow__call *call, json_t *json);

/* Answers 429 when the asker's address asks too often, and returns 1 then. */
int tow__api_limited(struct tow_hub *hub, struct tow_http_request *request);
/* It was a member who asked, and counts as one, unless that one asks too often. */
void tow__api_member_asked(struct tow_hub *hub, const struct tow_http_request *request,
                           const struct tow_id *member);

/* Handlers, in the order of the table. */
void tow__api_page(void *user, struct tow_http_request *request);
void tow__api_health(void *user, struct tow_http_request *request);
void tow__api_openapi(void *user, struct tow_http_request *request);
void tow__api_status(void *user, struct tow_http_request *request);
void tow__api_edges(void *user, struct tow_http_request *request);
void tow__api_invite_create(void *user, struct tow_http_request *request);
void tow__api_invite_list(void *user, struct tow_http_request *request);
void tow__api_invite_get(void *user, struct tow_http_request *request);
void tow__api_invite_revoke(void *user, struct tow_http_request *request);
void tow__api_invite_add_hostnames(void *user, struct tow_http_request *request);
void tow__api_invite_remove_hostname(void *user, struct tow_http_request *request);
void tow__api_tenant_list(void *user, struct tow_http_request *request);
void tow__api_tenant_limit(void *user, struct tow_http_request *request);
void tow__api_tenant_remove(void *user, struct tow_http_request *request);
void tow__api_tenant_leave(void *user, struct tow_http_request *request);
void tow__api_tenant_entries(void *user, struct tow_http_request *request);
void tow__api_entries(void *user, struct tow_http_request *request);
void tow__api_bootstrap(void *user, struct tow_http_request *request);
void tow__api_agent_heartbeat(void *user, struct tow_http_request *request);
void tow__api_edge_invite_create(void *user, struct tow_http_request *request);
void tow__api_edge_invite_list(void *user, struct tow_http_request *request);
void tow__api_edge_invite_revoke(void *user, struct tow_http_request *request);
void tow__api_edge_heartbeat(void *user, struct tow_http_request *request);
void tow__api_subscribe(void *user, struct tow_http_request *request);
void tow__api_port_list(void *user, struct tow_http_request *request);
void tow__api_port_available(void *user, struct tow_http_request *request);
void tow__api_tenant_port_reserve(void *user, struct tow_http_request *request);
void tow__api_tenant_port_list(void *user, struct tow_http_request *request);
void tow__api_tenant_port_release(void *user, struct tow_http_request *request);
void tow__api_audit(void *user, struct tow_http_request *request);

#endif
