/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_CARRIERS_H
#define TOW_EDGE_CARRIERS_H

/*
 * Agents whose network lets no UDP through, and who come to the visitors' port instead. To the
 * limits a carrier is a visitor still; it ends with the QUIC connection that it carries.
 */

#include <towonel/tunnel/quic_carrier.h>
#include <towonel/wire/client_hello.h>
#include "worker.h"

int tow__wants_carrier(const struct tow_client_hello *hello);
/* Takes fd and tls, and a source that has been let enter, when it returns 0. Else TOW_ENOMEM. */
int tow__edge_carrier_take(struct worker *w, int fd, struct tow_tls *tls,
                           const struct tow_addr *peer, const struct tow_addr *local);

#endif
