/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_WIRE_SERVICE_H
#define TOWONEL_WIRE_SERVICE_H

/*
 * What an agent exposes: the JSON arrays of TOWONEL_AGENT_SERVICES, _TCP_SERVICES and
 * _UDP_SERVICES, and the hash over all of them that tells replicas from a new configuration.
 * Parsing refuses unknown keys by name and says which element is wrong.
 */

#include "access.h"
#include "hostname.h"
#include "identity.h"

#ifdef __cplusplus
extern "C" {
#endif

enum tow_service_kind {
	TOW_SERVICE_HTTPS,
	TOW_SERVICE_TCP,
	TOW_SERVICE_UDP,
};

enum tow_tls_mode {
	TOW_TLS_PASSTHROUGH,
	TOW_TLS_TERMINATE,
};

/* What an edge does with HTTP that it can see: what was inside a name's TLS that it ends, or what
 * comes to port 80. */
enum tow_http_mode {
	TOW_HTTP_FORWARDED, /* HTTP/1.1, with the headers that tell the visitor's address */
	TOW_HTTP_PLAIN,     /* HTTP/1.1, as it is */
	TOW_HTTP_H2C,       /* HTTP/2 where the visitor speaks it, else HTTP/1.1; as it is */
	TOW_HTTP_CHALLENGE, /* TLS passes through; what ACME asks on port 80 goes to http_origin */
};

enum tow_proxy_protocol {
	TOW_PROXY_NONE,
	TOW_PROXY_V2,
};

struct tow_service {
	enum tow_service_kind kind;
	char name[TOW_HOSTNAME_SIZE];        /* pattern (https) or service name */
	char origin_host[TOW_HOSTNAME_SIZE]; /* name or literal address, or "inproc:NAME" */
	uint16_t origin_port;
	char origin_server_name[TOW_HOSTNAME_SIZE]; /* "" unless the origin is dialled with TLS */
	enum tow_tls_mode tls_mode;                 /* https only */
	enum tow_http_mode http_mode; /* https: with terminate, or http_origin; else 0 */
	char http_origin_host[TOW_HOSTNAME_SIZE]; /* "" and 0 unless the mode is CHALLENGE */
	uint16_t http_origin_port;
	enum tow_proxy_protocol proxy_protocol;
	uint16_t listen_port;       /* tcp and udp; 0 for https */
	uint16_t port_count;        /* from listen_port and origin_port on; 0 for https */
	uint16_t idle_timeout_secs; /* udp; 0 for the others */
	struct tow_access access;   /* which visitors edges let in */
};

/* All-zero is valid and empty. */
struct tow_service_list {
	struct tow_service *items;
	size_t count;
};

/* Appends the services of one JSON array of the given kind. Empty text is an empty array.
 * On failure the list is as before. Returns 0; TOW_EPARSE, TOW_ETOOBIG, TOW_ENOMEM. */
int tow_service_list_parse(struct tow_service_list *list, enum tow_service_kind kind,
                           struct tow_slice json, struct tow_error *err);
/* Rules over the whole list: names unique within tcp and within udp, hostnames unique, a service
 * name equal to no hostname, no listen port in two services of a protocol. Returns 0,
 * TOW_ECONFLICT. */
int tow_service_list_check(const struct tow_service_list *list, struct tow_error *err);
int tow_service_list_copy(const struct tow_service_list *list, struct tow_service_list *out);
void tow_service_list_deinit(struct tow_service_list *list);

/* BLAKE2b-256 over the list in a canonical order and coding: equal lists, in whatever order they
 * were written, give equal hashes. */
void tow_service_list_hash(const struct tow_service_list *list, uint8_t out[TOW_HASH_SIZE]);

/* The service that answers to an authority ("app.example.eu", "tcp:NAME", "udp:NAME", and
 * "http:app.example.eu" for one with http_origin); an exact name before a wildcard. NULL when there
 * is none. Borrowed from the list. */
const struct tow_service *tow_service_list_find(const struct tow_service_list *list,
                                                const char *authority);
/* "tcp:NAME", "udp:NAME" or the hostname pattern. */
#define TOW_AUTHORITY_SIZE (TOW_HOSTNAME_SIZE + 4)
char *tow_service_authority(const struct tow_service *service, char out[TOW_AUTHORITY_SIZE]);
/* What a visitor's stream may ask for is an authority, or "http:HOSTNAME". */
#define TOW_ASKED_SIZE (TOW_HOSTNAME_SIZE + 5)
/* Is it "http:HOSTNAME"? Then _take_plain_http makes http_origin the origin, without TLS and PROXY
 * header: who answers challenges expects neither. */
int tow_service_is_plain_http(const char *authority);
void tow_service_take_plain_http(struct tow_service *service);
/* The NAME of an origin "inproc:NAME": the program that the agent is part of takes the visitors.
 * NULL for an origin that is dialled. Borrowed from the service. */
const char *tow_service_inproc(const struct tow_service *service);
/* The origin's port for a visitor of a public port: the one as far into the origin's ports as the
 * public one is into the service's (https: always the same). Returns 0; TOW_EINVAL when the service
 * does not have the public port, as while it moves. */
int tow_service_origin_port(const struct tow_service *service, uint16_t public_port, uint16_t *out);

const char *tow_tls_mode_name(enum tow_tls_mode mode);            /* "passthrough", "terminate" */
int tow_tls_mode_parse(const char *name, enum tow_tls_mode *out); /* 0, TOW_EPARSE */
const char *tow_http_mode_name(enum tow_http_mode mode); /* "forwarded", "plain" ... */
int tow_http_mode_parse(const char *name, enum tow_http_mode *out); /* 0, TOW_EPARSE */
/* 1 to 64 bytes, no control characters, valid UTF-8. Returns 0, TOW_EPARSE. */
int tow_service_name_check(struct tow_slice name, struct tow_error *err);

#ifdef __cplusplus
}
#endif
#endif
