/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_SRC_HUB_H
#define TOWONEL_HUB_SRC_HUB_H

/* The hub's parts, for the files that serve its API. */

#include <towonel/hub.h>
#include <towonel/tunnel/http_server.h>
#include <towonel/tunnel/rate_limit.h>

#include "edges.h"
#include "heard.h"
#include "replay.h"
#include "routes.h"
#include "store/pool.h"
#include "subscribers.h"
#include "watch.h"

struct tow_hub {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;
	struct tow_node_key key;
	uint8_t invite_hash_key[TOW_SECRET_SIZE];
	uint8_t operator_hash[TOW_HASH_SIZE]; /* of the operator's key, with operator_hash_key */
	uint8_t operator_hash_key[TOW_SECRET_SIZE];
	char public_url[TOW_URL_MAX];
	char version[64];
	int health_names;
	uint64_t started_ns;
	uint16_t *reserved_ports;
	struct tow__pool *pool;
	struct tow_rate_limit *rate_limit;   /* of addresses */
	struct tow_rate_limit *member_limit; /* of tenants and edges */
	struct tow__replay *replay;
	struct tow__routes *routes;
	struct tow__heard *heard;
	struct tow__edges *edges;
	struct tow__subscribers *subscribers;
	struct tow_tls_context *tls;
	struct tow_tls_context *(*certificate)(void *user,
	                                       const struct tow_client_hello *hello); /* or NULL */
	void *certificate_user;
	struct tow_http_server *server;
	struct tow__watch *watch;
	struct tow_log_gate refused;
	struct tow_metric *tenants_total;
	struct tow_metric *entries_accepted;
	void (*closed)(void *user);
	void *closed_user;
};

#endif
