/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_INPROC_H
#define TOWONEL_AGENT_INPROC_H

/* Origins inside of the program that the agent is part of: each visitor gets a pair of sockets, and
 * the host one end of it. */

#include <towonel/agent.h>
#include <towonel/wire/proxy_header.h>
#include <towonel/wire/service.h>

struct inproc_host {
	int (*accept)(void *user, const struct tow_agent_visitor *visitor, int fd);
	void *user;
};

/* Offers the visitor to the host; greeting (may be empty) is what its end has first. *fd is our
 * end, non-blocking. Returns 0; TOW_EREFUSED when the host does not take it, TOW_EIO. */
int tow__inproc_offer(const struct inproc_host *host, const struct tow_service *service,
                      const struct tow_proxy_header *header, struct tow_slice greeting, int *fd);

#endif
