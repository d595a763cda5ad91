/* SPDX-License-Identifier: MIT */
#include "inproc.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int tow__inproc_offer(const struct inproc_host *host, const struct tow_service *service,
                      const struct tow_proxy_header *header, struct tow_slice greeting, int *fd)
{
	char asked[TOW_AUTHORITY_SIZE] = "";
	char address[TOW_ADDR_TEXT_SIZE], local[TOW_ADDR_TEXT_SIZE];
	struct tow_agent_visitor visitor = {
		.origin = tow_service_inproc(service),
		.service = asked,
		.address = tow_addr_format(&header->source, address),
		.local = tow_addr_format(&header->destination, local),
	};
	int pair[2], rc;

	if (!host->accept)
		return TOW_EREFUSED;
	if (header->authority.len < sizeof asked)
		memcpy(asked, header->authority.base, header->authority.len);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return TOW_EIO;
	rc = fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 ? 0 : TOW_EIO;
	if (rc == 0 && greeting.len &&
	    send(pair[0], greeting.base, greeting.len, MSG_NOSIGNAL) != (ssize_t)greeting.len)
		rc = TOW_EIO;
	if (rc == 0 && host->accept(host->user, &visitor, pair[1]) != 0)
		rc = TOW_EREFUSED;
	if (rc != 0) {
		close(pair[0]);
		close(pair[1]);
		return rc;
	}
	*fd = pair[0];
	return 0;
}
