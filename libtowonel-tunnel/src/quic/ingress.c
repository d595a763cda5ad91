/* SPDX-License-Identifier: MIT */

/* Packets that come: to their connection, to one that is to be, or to a stateless answer. */

#include "quic/endpoint.h"
#include "quic/steering.h"

#define RETRY_AGAIN_NS         (50 * TOW_NSEC_PER_MSEC)
#define UNREACHABLE_PER_SECOND 100 /* each is compared with every connection */

/* A ClientHello takes two Initials nowadays: one Retry answers both. */
static int retried_just_now(struct tow_quic_endpoint *endpoint, const ngtcp2_cid *dcid,
                            uint64_t now_ns)
{
	uint32_t hash = tow__cid_map_hash(&endpoint->map, dcid->data, dcid->datalen);
	unsigned i;

	for (i = 0; i < RECENT_RETRIES; i++)
		if (endpoint->recent[i].hash == hash && endpoint->recent[i].until_ns > now_ns)
			return 1;
	i = endpoint->recent_next++ % RECENT_RETRIES;
	endpoint->recent[i].hash = hash;
	endpoint->recent[i].until_ns = now_ns + RETRY_AGAIN_NS;
	return 0;
}

static void send_retry(struct tow_quic_endpoint *endpoint, struct tow_quic_carrier *carrier,
                       const struct tow_udp_packet *packet, const ngtcp2_pkt_hd *initial,
                       uint64_t now_ns)
{
	ngtcp2_cid scid;
	uint8_t out[512];
	size_t len;

	if (retried_just_now(endpoint, &initial->dcid, now_ns))
		return;
	tow__quic_host_cid(&endpoint->host, &scid);
	len = tow__quic_retry(&endpoint->host.crypto, initial, &scid, &packet->remote, now_ns, out,
	                      sizeof(out));
	tow_metric_inc(endpoint->metrics.retries);
	tow__endpoint_reply(endpoint, carrier, &packet->local, &packet->remote, out, len);
}

/* A handshake costs a millisecond or two, and memory until it ends or times out. Beyond the bound
 * Initials are dropped: a client that means it sends them again, and those who are connected go
 * on. */
static int may_begin(struct tow_quic_endpoint *endpoint, uint64_t now_ns)
{
	uint64_t second = now_ns / TOW_NSEC_PER_SEC;

	if (second != endpoint->begun_second) {
		endpoint->begun_second = second;
		endpoint->begun = 0;
	}
	if (endpoint->begun >= endpoint->host.config.handshakes_per_second)
		return 0;
	endpoint->begun++;
	return 1;
}

/* An Initial that belongs to no connection. Returns the new one's link; NULL when there is none to
 * be. */
static struct tow__link *accept_initial(struct tow_quic_endpoint *endpoint,
                                        struct tow_quic_carrier *carrier,
                                        const struct tow_udp_packet *packet, uint64_t now_ns)
{
	struct tow__quic_host *host = &endpoint->host;
	struct tow__quic_conn_params params = {
		.host = host,
		.local = &packet->local,
		.remote = &packet->remote,
		.now_ns = now_ns,
		.carried = carrier != NULL,
	};
	ngtcp2_pkt_hd initial;
	ngtcp2_cid original_dcid;
	struct tow__link *link;
	uint8_t out[512];
	size_t len;

	if (!host->config.accepted ||
	    ngtcp2_accept(&initial, packet->bytes.base, packet->bytes.len) != 0) {
		tow_metric_inc(endpoint->metrics.unknown);
		return NULL;
	}
	if (endpoint->connections >= host->config.max_connections) {
		len = tow__quic_refusal(&initial, NGTCP2_CONNECTION_REFUSED, out, sizeof(out));
		tow__endpoint_reply(endpoint, carrier, &packet->local, &packet->remote, out, len);
		return NULL;
	}
	if (initial.tokenlen > 0) {
		if (tow__quic_retry_check(&host->crypto, &initial, &packet->remote, now_ns,
		                          &original_dcid) != 0) {
			len = tow__quic_refusal(&initial, NGTCP2_INVALID_TOKEN, out, sizeof(out));
			tow__endpoint_reply(endpoint, carrier, &packet->local, &packet->remote, out,
			                    len);
			return NULL;
		}
		params.original_dcid = &original_dcid;
	} else if (endpoint->handshakes >= host->config.retry_above && !carrier) {
		send_retry(endpoint, NULL, packet, &initial, now_ns);
		return NULL;
	}
	if (!may_begin(endpoint, now_ns)) {
		tow_metric_inc(endpoint->metrics.deferred);
		return NULL;
	}
	link = tow__link_new(endpoint);
	if (!link)
		return NULL;
	tow__quic_host_cid(host, &params.scid);
	params.owner = link;
	params.initial = &initial;
	/* The id that the client chose stays the link's for good: an Initial that was repeated or
	 * late would begin another connection. */
	if (tow__link_cid_add(link, params.scid.data, params.scid.datalen) != 0 ||
	    tow__link_cid_add(link, initial.dcid.data, initial.dcid.datalen) != 0 ||
	    tow__quic_conn_new(&params, &link->conn) != 0 ||
	    (carrier && tow__carrier_begin(carrier, link) != 0)) {
		tow__link_drop(link);
		return NULL;
	}
	link->handshaking = 1;
	endpoint->handshakes++;
	return link;
}

static void on_lingering(struct tow__link *link)
{
	/* 1st, 2nd, 4th, 8th ... packet: enough for a peer that lost it, no mirror for a flood */
	link->heard++;
	if ((link->heard & (link->heard - 1)) == 0 && link->farewell)
		tow__endpoint_reply(link->endpoint, NULL, &link->farewell_local,
		                    &link->farewell_remote, link->farewell, link->farewell_len);
}

static void receive(struct tow__link *link, const struct tow_udp_packet *packet, uint64_t now_ns)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;

	tow__endpoint_enter(endpoint);
	tow__quic_conn_receive(
		link->conn, link->conn->server || link->carried ? &packet->local : &endpoint->addr,
		&packet->remote, packet->ecn, packet->bytes, now_ns);
	tow__link_received(link, packet->bytes.len, now_ns);
	tow__endpoint_leave(endpoint);
	tow__link_look(link);
}

/* A short header with an id that is nobody's. From a server that we are connected to it may be a
 * stateless reset, whose token only its connection knows. From others it may be for a connection
 * of before a restart, which is then reset. */
static void on_unknown(struct tow_quic_endpoint *endpoint, struct tow_quic_carrier *carrier,
                       const struct tow_udp_packet *packet, const ngtcp2_version_cid *id,
                       uint64_t now_ns)
{
	struct tow__link *link;
	uint8_t out[256];
	size_t len;

	tow_metric_inc(endpoint->metrics.unknown);
	if (endpoint->client_count > 0 && !carrier) {
		for (link = endpoint->links; link && !endpoint->freeing; link = link->next) {
			if (link->conn->server || link->carried ||
			    !tow_addr_equal(&link->conn->remote, &packet->remote))
				continue;
			receive(link, packet, now_ns);
			if (link->conn->state >= TOW__QUIC_ENDING)
				return;
		}
	}
	if (endpoint->freeing || !endpoint->host.config.accepted)
		return;
	len = tow__quic_stateless_reset(&endpoint->host.crypto, id, packet->bytes.len, out,
	                                sizeof(out));
	tow_metric_inc(endpoint->metrics.resets);
	tow__endpoint_reply(endpoint, carrier, &packet->local, &packet->remote, out, len);
}

/* A packet of a connection that is here is taken, whatever its id says: it may have come another
 * way. */
static int is_stray(const struct tow_quic_endpoint *endpoint, struct tow_slice bytes,
                    unsigned *home)
{
	const struct tow_quic_config *config = &endpoint->host.config;

	if (config->workers <= 1 || config->stray == NULL)
		return 0;
	*home = tow__steer_home(bytes, config->workers);
	return *home != config->worker;
}

void tow__endpoint_packet(void *user, const struct tow_udp_packet *packet)
{
	tow__endpoint_take(user, NULL, packet, 0);
}

void tow__endpoint_take(struct tow_quic_endpoint *endpoint, struct tow_quic_carrier *carrier,
                        const struct tow_udp_packet *packet, int handed)
{
	uint64_t now_ns;
	ngtcp2_version_cid id;
	struct tow__link *link;
	uint8_t out[256];
	size_t len;
	unsigned home;
	int rv;

	if (endpoint->freeing || packet->bytes.len == 0)
		return;
	if (endpoint->batch_ns == 0)
		endpoint->batch_ns = tow_now_ns();
	now_ns = endpoint->batch_ns;
	tow_metric_inc(endpoint->metrics.packets);
	tow_metric_add(endpoint->metrics.bytes_in, (int64_t)packet->bytes.len);
	rv = ngtcp2_pkt_decode_version_cid(&id, packet->bytes.base, packet->bytes.len,
	                                   TOW__QUIC_CID_SIZE);
	if (rv == NGTCP2_ERR_VERSION_NEGOTIATION && endpoint->host.config.accepted) {
		len = tow__quic_version_negotiation(&id, packet->bytes.len, out, sizeof(out));
		tow__endpoint_reply(endpoint, carrier, &packet->local, &packet->remote, out, len);
		return;
	}
	if (rv != 0) {
		tow_metric_inc(endpoint->metrics.unknown);
		return;
	}
	link = tow__cid_map_find(&endpoint->map, id.dcid, id.dcidlen);
	if (!link && !handed && !carrier && is_stray(endpoint, packet->bytes, &home)) {
		tow_metric_inc(endpoint->metrics.strays);
		endpoint->host.config.stray(endpoint->host.config.user, home, packet);
		return;
	}
	if (!link && !carrier && tow_udp_pass(endpoint->socket, packet))
		return;
	if (!link && id.version != 0)
		link = accept_initial(endpoint, carrier, packet, now_ns);
	if (!link) {
		if (id.version == 0)
			on_unknown(endpoint, carrier, packet, &id, now_ns);
		return;
	}
	/* A connection does not change between carrier and socket: its peer takes a new one. */
	if (link->carrier != carrier || (link->carried && !carrier)) {
		tow_metric_inc(endpoint->metrics.unknown);
		return;
	}
	if (!link->conn) {
		on_lingering(link);
		return;
	}
	receive(link, packet, now_ns);
	if (link->conn->never_was && !endpoint->freeing) {
		ngtcp2_pkt_hd initial;

		if (link->conn->wants_retry &&
		    ngtcp2_accept(&initial, packet->bytes.base, packet->bytes.len) == 0)
			send_retry(endpoint, carrier, packet, &initial, now_ns);
		if (endpoint->begun > 0)
			endpoint->begun--; /* noise, which anybody can make a lot of */
		tow__link_drop(link);
	}
}

/* Returns 1 when it was for a connection that is here. */
static int tell_unreachable(struct tow_quic_endpoint *endpoint, struct tow_slice quoted)
{
	struct tow__link *link = endpoint->links;

	while (link && !tow__quic_conn_is_own(link->conn, quoted))
		link = link->next;
	if (!link)
		return 0;
	if (!link->conn->events.unreachable)
		return 1;
	tow__endpoint_enter(endpoint);
	link->conn->events.unreachable(link->conn->user);
	tow__endpoint_leave(endpoint);
	return 1;
}

void tow_quic_endpoint_hand_unreachable(struct tow_quic_endpoint *endpoint, struct tow_slice quoted)
{
	if (!endpoint->freeing)
		tell_unreachable(endpoint, quoted);
}

void tow__endpoint_unreachable(void *user, struct tow_slice quoted)
{
	struct tow_quic_endpoint *endpoint = user;
	const struct tow_quic_config *config = &endpoint->host.config;
	uint64_t second = tow_loop_now_ns(config->loop) / TOW_NSEC_PER_SEC;

	if (second != endpoint->unreachable_second) {
		endpoint->unreachable_second = second;
		endpoint->unreachable = 0;
	}
	if (endpoint->freeing || endpoint->unreachable++ >= UNREACHABLE_PER_SECOND)
		return;
	if (!tell_unreachable(endpoint, quoted) && config->stray_unreachable)
		config->stray_unreachable(config->user, quoted);
}
