/* SPDX-License-Identifier: MIT */

#include "tls/issuance.h"

#include <stdlib.h>
#include <string.h>
#include "agents.h"
#include "tls/challenge_forwards.h"
#include "tls/http_port.h"
#include "tls/issuer.h"
#include "worker.h"

struct issuance {
	struct worker *worker;
	struct http_port *http; /* NULL: not listened on */
	struct issuer *issuer;  /* NULL: no certificates on demand */
	struct challenge_forwards forwards;
};

static int is_routed(void *user, const char *name)
{
	const struct worker *w = ((const struct issuance *)user)->worker;

	return strcmp(name, w->api.name) == 0 || tow_route_lookup(w->table, name) != NULL;
}

static int is_served(void *user, const char *name)
{
	struct worker *w = ((struct issuance *)user)->worker;
	const struct tow_route_hostname *route = tow_route_lookup(w->table, name);

	if (strcmp(name, w->api.name) == 0)
		return 1;
	return route != NULL && route->tls_mode == TOW_TLS_TERMINATE &&
	       (tow__agents_pick(&w->agents, &route->tenant_id, name, NULL, 0,
	                         tow_loop_now_ns(w->loop)) != NULL ||
	        tow__roster_find(&w->all->roster, &route->tenant_id, name, NULL, 0, w->index, 0) !=
	                ROSTER_NOBODY);
}

static const char *authorization(void *user, const char *token)
{
	const struct issuance *issuance = user;

	return issuance->issuer != NULL ? tow__issuer_authorization(issuance->issuer, token) : NULL;
}

static int forward(void *user, const char *name, const char *token,
                   struct tow_http_request *request)
{
	struct issuance *issuance = user;

	return tow__challenge_forward(&issuance->forwards, name, token, request);
}

/* A port that nobody insists on may be another's, or not for us to take. */
static int open_http(struct issuance *issuance, const struct tow_edge_config *config,
                     uint16_t https_port, struct tow_error *err)
{
	struct worker *w = issuance->worker;
	const struct http_port_config http = {
		.loop = w->loop,
		.log = w->log,
		.metrics = config->metrics,
		.listen = *config->http_listen,
		.dual_stack = config->http_dual_stack,
		.https_port = https_port,
		.routed = is_routed,
		.authorization = authorization,
		.forward = forward,
		.user = issuance,
	};
	int rc = tow__http_port_new(&http, &issuance->http, err);

	if (rc == 0 || !config->http_optional)
		return rc == 0 ? 0 : tow_error_prefix(err, "http_listen");
	tow_log_warn(w->log, "no redirects from plain HTTP, and certificates by TLS-ALPN-01 only",
	             tow_f_err(err));
	return 0;
}

static int open_issuer(struct issuance *issuance, const struct tow_edge_config *config,
                       struct tow_error *err)
{
	struct worker *w = issuance->worker;
	const struct issuer_config issuer = {
		.loop = w->loop,
		.log = w->log,
		.store = w->certs,
		.directory = config->cert_dir,
		.directory_url = config->acme->directory_url,
		.ca_file = config->acme->ca_file,
		.email = config->acme->email,
		.binding_kid = config->acme->binding_kid,
		.binding_hmac = config->acme->binding_hmac,
		.version = config->version != NULL ? config->version : "",
		.http = issuance->http != NULL,
		.served = is_served,
		.user = issuance,
	};

	return tow__issuer_new(&issuer, &issuance->issuer, err);
}

int tow__issuance_new(struct worker *worker, const struct tow_edge_config *config,
                      uint16_t https_port, struct issuance **out, struct tow_error *err)
{
	struct issuance *issuance;
	int rc = 0;

	*out = NULL;
	if (config->http_listen == NULL && config->acme == NULL)
		return 0;
	issuance = calloc(1, sizeof(*issuance));
	if (issuance == NULL)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	issuance->worker = worker;
	issuance->forwards.worker = worker;
	worker->challenges = &issuance->forwards;
	if (config->http_listen != NULL)
		rc = open_http(issuance, config, https_port, err);
	if (rc == 0 && config->acme != NULL)
		rc = open_issuer(issuance, config, err);
	if (rc == 0)
		*out = issuance;
	else
		tow__issuance_free(issuance);
	return rc;
}

void tow__issuance_free(struct issuance *issuance)
{
	if (issuance == NULL)
		return;
	issuance->worker->challenges = NULL;
	tow__challenge_forwards_deinit(&issuance->forwards);
	tow__issuer_free(issuance->issuer);
	tow__http_port_free(issuance->http);
	free(issuance);
}
