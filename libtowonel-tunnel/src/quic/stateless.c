/* SPDX-License-Identifier: MIT */
#include "quic/stateless.h"

#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/tcp.h>

#define TOKEN_LIFE_NS (10 * TOW_NSEC_PER_SEC)

/* What stands before the token looks like a short header with a connection id. */
#define RESET_RANDOM 22

size_t tow__quic_version_negotiation(const ngtcp2_version_cid *asked, size_t datagram_len,
                                     uint8_t *out, size_t cap)
{
	const uint32_t versions[] = { NGTCP2_PROTO_VER_V1 };
	uint8_t unused;
	ngtcp2_ssize n;

	if (datagram_len < NGTCP2_MAX_UDP_PAYLOAD_SIZE)
		return 0;
	tow_random(&unused, 1);
	n = ngtcp2_pkt_write_version_negotiation(out, cap, unused, asked->scid, asked->scidlen,
	                                         asked->dcid, asked->dcidlen, versions, 1);
	return n > 0 ? (size_t)n : 0;
}

size_t tow__quic_stateless_reset(const struct tow__quic_crypto *crypto,
                                 const ngtcp2_version_cid *asked, size_t datagram_len, uint8_t *out,
                                 size_t cap)
{
	ngtcp2_stateless_reset_token token;
	uint8_t noise[RESET_RANDOM];
	size_t len;
	ngtcp2_ssize n;

	/* Shorter than what it answers, so that two who have forgotten each other fall silent. */
	if (datagram_len < 1 + NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN)
		return 0;
	len = datagram_len - 1 - NGTCP2_STATELESS_RESET_TOKENLEN;
	if (len > sizeof(noise))
		len = sizeof(noise);
	tow_random(noise, len);
	tow__quic_reset_token(crypto, asked->dcid, asked->dcidlen, token.data);
	n = ngtcp2_pkt_write_stateless_reset2(out, cap, &token, noise, len);
	return n > 0 ? (size_t)n : 0;
}

size_t tow__quic_retry(const struct tow__quic_crypto *crypto, const ngtcp2_pkt_hd *initial,
                       const ngtcp2_cid *scid, const struct tow_addr *remote, uint64_t now_ns,
                       uint8_t *out, size_t cap)
{
	uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
	struct sockaddr_storage addr;
	socklen_t addr_len = tow_addr_to_sockaddr(remote, &addr);
	ngtcp2_ssize n;

	n = ngtcp2_crypto_generate_retry_token(token, crypto->retry_key, sizeof(crypto->retry_key),
	                                       initial->version, (const ngtcp2_sockaddr *)&addr,
	                                       addr_len, scid, &initial->dcid, now_ns);
	if (n < 0)
		return 0;
	n = ngtcp2_crypto_write_retry(out, cap, initial->version, &initial->scid, scid,
	                              &initial->dcid, token, (size_t)n);
	return n > 0 ? (size_t)n : 0;
}

int tow__quic_retry_check(const struct tow__quic_crypto *crypto, const ngtcp2_pkt_hd *initial,
                          const struct tow_addr *remote, uint64_t now_ns, ngtcp2_cid *original_dcid)
{
	struct sockaddr_storage addr;
	socklen_t addr_len = tow_addr_to_sockaddr(remote, &addr);

	if (initial->tokenlen == 0 || initial->token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY)
		return TOW_EAUTH;
	return ngtcp2_crypto_verify_retry_token(
		       original_dcid, initial->token, initial->tokenlen, crypto->retry_key,
		       sizeof(crypto->retry_key), initial->version, (const ngtcp2_sockaddr *)&addr,
		       addr_len, &initial->dcid, TOKEN_LIFE_NS, now_ns) == 0
	               ? 0
	               : TOW_EAUTH;
}

size_t tow__quic_refusal(const ngtcp2_pkt_hd *initial, uint64_t code, uint8_t *out, size_t cap)
{
	ngtcp2_ssize n = ngtcp2_crypto_write_connection_close(
		out, cap, initial->version, &initial->scid, &initial->dcid, code, NULL, 0);

	return n > 0 ? (size_t)n : 0;
}
