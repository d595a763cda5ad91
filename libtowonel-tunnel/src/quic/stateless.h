/* SPDX-License-Identifier: MIT */
#ifndef TOW_QUIC_STATELESS_H
#define TOW_QUIC_STATELESS_H

/*
 * Answers to packets that belong to no connection, made from the packet alone: nothing is kept for
 * a stranger. Each writes one datagram into out, smaller than what it answers, and returns its
 * length, 0 for no answer.
 */

#include <ngtcp2/ngtcp2.h>

#include <towonel/wire/addr.h>
#include <towonel/wire/buf.h>

#include "quic/crypto.h"

/* RFC 9000 section 6: only to a datagram that could be an Initial. */
size_t tow__quic_version_negotiation(const ngtcp2_version_cid *asked, size_t datagram_len,
                                     uint8_t *out, size_t cap);
/* Section 10.3: for a short header that nobody knows. */
size_t tow__quic_stateless_reset(const struct tow__quic_crypto *crypto,
                                 const ngtcp2_version_cid *asked, size_t datagram_len, uint8_t *out,
                                 size_t cap);
/* Section 8.1.2 */
size_t tow__quic_retry(const struct tow__quic_crypto *crypto, const ngtcp2_pkt_hd *initial,
                       const ngtcp2_cid *scid, const struct tow_addr *remote, uint64_t now_ns,
                       uint8_t *out, size_t cap);
/* Is the Initial's token one of ours for that address, and fresh? Returns 0 and the id the client
 * chose first; TOW_EAUTH. */
int tow__quic_retry_check(const struct tow__quic_crypto *crypto, const ngtcp2_pkt_hd *initial,
                          const struct tow_addr *remote, uint64_t now_ns,
                          ngtcp2_cid *original_dcid);
/* CONNECTION_CLOSE with a transport error to an Initial. */
size_t tow__quic_refusal(const ngtcp2_pkt_hd *initial, uint64_t code, uint8_t *out, size_t cap);

#endif
