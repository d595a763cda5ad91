/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_CONFIG_H
#define TOWONEL_AGENT_CONFIG_H

/* What the host's config says, checked and made into values. Errors begin with
 * the member's name. */

#include <towonel/agent.h>
#include <towonel/tunnel/log.h>
#include <towonel/wire/service.h>

/* All services, at least one, and none with an origin in process unless inproc. out is all-zero
 * before, and the caller's to free in any case. Returns 0; what the parsers return, TOW_EINVAL. */
int tow__config_services(const struct tow_agent_config *config, int inproc,
                         struct tow_service_list *out, struct tow_error *err);
/* *out is malloc'd, or NULL when whoever the hub lists is trusted. Returns 0, TOW_EINVAL,
 * TOW_ENOMEM. */
int tow__config_trusted(const struct tow_agent_config *config, struct tow_id **out,
                        struct tow_error *err);
/* Warns of what is allowed, but seldom meant. */
void tow__config_warn(const struct tow_service_list *list, struct tow_log *log);
/* The names under which edges ask for the services: a malloc'd array of malloc'd strings; NULL when
 * out of memory. */
char **tow__config_authorities(const struct tow_service_list *list, size_t *count);

#endif
