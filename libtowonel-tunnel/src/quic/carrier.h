/* SPDX-License-Identifier: MIT */
#ifndef TOW_QUIC_CARRIER_H
#define TOW_QUIC_CARRIER_H

/* What the endpoint asks of a carrier (see carrier.c). */

#include <towonel/tunnel/quic_carrier.h>

struct tow__link;

/* A batch of packets, each in its frame. */
#define TOW__CARRIER_FRAMES_MAX (65536 + 64 * 2)

/* Takes a link; one in its life. Returns 0, TOW_ECLOSED. */
int tow__carrier_begin(struct tow_quic_carrier *carrier, struct tow__link *link);
/* The link goes, and has said what it had to. */
void tow__carrier_leave(struct tow_quic_carrier *carrier);
/* Is nothing to be sent now? The link is woken when that changes. */
int tow__carrier_full(struct tow_quic_carrier *carrier);
/* Packets of segment bytes each, the last may be shorter. */
void tow__carrier_send(struct tow_quic_carrier *carrier, const uint8_t *bytes, size_t len,
                       size_t segment);

const struct tow_addr *tow__carrier_local(const struct tow_quic_carrier *carrier);
const struct tow_addr *tow__carrier_remote(const struct tow_quic_carrier *carrier);
struct tow_quic_endpoint *tow__carrier_endpoint(const struct tow_quic_carrier *carrier);

/* The endpoint is about to be freed: the owners are told. */
void tow__carriers_close(struct tow_quic_endpoint *endpoint);
void tow__carriers_deinit(struct tow_quic_endpoint *endpoint);

#endif
