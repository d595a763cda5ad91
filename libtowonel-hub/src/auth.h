/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_AUTH_H
#define TOWONEL_HUB_AUTH_H

/* Who is asking: the Authorization header of a request. */

#include <towonel/wire/request_signature.h>

#include "hub.h"

/* Keeps a hash of the operator's key. */
void tow__auth_init(struct tow_hub *hub, const char *operator_key);

/* 0: the request carries the operator's key. Else TOW__UNAUTHORIZED. */
enum tow__fault_kind tow__auth_operator(struct tow_hub *hub, const struct tow_http_request *request,
                                        struct tow__fault *fault);
/* Signed by a node, fresh, and for the first time; *id is whose key it was. */
enum tow__fault_kind tow__auth_signed(struct tow_hub *hub, const struct tow_http_request *request,
                                      const char *domain, struct tow_id *id,
                                      struct tow__fault *fault);
/* Does the header hold a tenant's signature? */
int tow__auth_is_tenant(const struct tow_http_request *request);
/* The part of it that can be checked before the tenant's public key is known: form and freshness.
 * Once the signature has been verified, _use_once makes sure that it was not used before. */
enum tow__fault_kind tow__auth_tenant(const struct tow_http_request *request,
                                      struct tow_tenant_request_signature *out,
                                      struct tow__fault *fault);
enum tow__fault_kind tow__auth_use_once(struct tow_hub *hub, const struct tow_id *id,
                                        uint64_t timestamp_ms, struct tow__fault *fault);

#endif
