/* SPDX-License-Identifier: MIT */
#ifndef TOW_QUIC_PATH_H
#define TOW_QUIC_PATH_H

/* Addresses as ngtcp2 has them, and back. */

#include <ngtcp2/ngtcp2.h>

#include <towonel/tunnel/tcp.h>

struct tow__quic_path {
	struct sockaddr_storage local, remote;
	ngtcp2_path path;
};

/* Returns &out->path, which points into out. */
static inline ngtcp2_path *tow__quic_path_of(struct tow__quic_path *out,
                                             const struct tow_addr *local,
                                             const struct tow_addr *remote)
{
	out->path.local.addr = (ngtcp2_sockaddr *)&out->local;
	out->path.local.addrlen = tow_addr_to_sockaddr(local, &out->local);
	out->path.remote.addr = (ngtcp2_sockaddr *)&out->remote;
	out->path.remote.addrlen = tow_addr_to_sockaddr(remote, &out->remote);
	out->path.user_data = NULL;
	return &out->path;
}

static inline void tow__quic_path_to_addrs(const ngtcp2_path *path, struct tow_addr *local,
                                           struct tow_addr *remote)
{
	(void)tow_addr_from_sockaddr((const struct sockaddr *)path->local.addr, local);
	(void)tow_addr_from_sockaddr((const struct sockaddr *)path->remote.addr, remote);
}

#endif
