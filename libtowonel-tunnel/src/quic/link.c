/* SPDX-License-Identifier: MIT */
#include "quic/endpoint.h"

#include <stdlib.h>

#define LINGERING_MAX 4096
#define ACK_EVERY     10
#define ACK_BYTES     100000
#define ACK_DELAY_NS  (2 * TOW_NSEC_PER_MSEC)

void tow__link_wake(void *owner)
{
	struct tow__link *link = owner;

	link->asked = 1;
	tow__link_look(link);
}

void tow__link_look(struct tow__link *link)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;

	if (link->dirty || !link->conn)
		return;
	link->dirty = 1;
	link->dirty_next = NULL;
	*endpoint->dirty_end = link;
	endpoint->dirty_end = &link->dirty_next;
	tow_task_schedule(&endpoint->task);
}

static void link_unwake(struct tow__link *link)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;
	struct tow__link **at;

	if (!link->dirty)
		return;
	for (at = &endpoint->dirty; *at != link; at = &(*at)->dirty_next)
		;
	*at = link->dirty_next;
	if (endpoint->dirty_end == &link->dirty_next)
		endpoint->dirty_end = at;
	link->dirty = 0;
}

int tow__link_cid_add(void *owner, const uint8_t *cid, size_t len)
{
	struct tow__link *link = owner;

	return tow__cid_map_add(&link->endpoint->map, cid, len, link, &link->cids);
}

void tow__link_cid_remove(void *owner, const uint8_t *cid, size_t len)
{
	struct tow__link *link = owner;

	tow__cid_map_remove(&link->endpoint->map, cid, len, &link->cids);
}

static void link_settled(struct tow__link *link)
{
	if (link->handshaking) {
		link->handshaking = 0;
		link->endpoint->handshakes--;
	}
}

void tow__link_accepted(void *owner)
{
	struct tow__link *link = owner;
	struct tow_quic_endpoint *endpoint = link->endpoint;

	link_settled(link);
	tow_metric_inc(endpoint->metrics.accepted);
	if (!endpoint->freeing)
		endpoint->host.config.accepted(endpoint->host.config.user, link->conn);
}

static void link_timer(void *user);

struct tow__link *tow__link_new(struct tow_quic_endpoint *endpoint)
{
	struct tow__link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->endpoint = endpoint;
	tow_timer_init(&link->timer, endpoint->host.config.loop, link_timer, link);
	link->next = endpoint->links;
	if (link->next)
		link->next->prev = link;
	endpoint->links = link;
	endpoint->connections++;
	tow_metric_inc(endpoint->metrics.connections);
	return link;
}

static void link_leave_connections(struct tow__link *link)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;

	link_unwake(link);
	link_settled(link);
	if (link->client)
		endpoint->client_count--;
	if (link->carrier)
		tow__carrier_leave(link->carrier);
	link->carrier = NULL;
	if (link->prev)
		link->prev->next = link->next;
	else
		endpoint->links = link->next;
	if (link->next)
		link->next->prev = link->prev;
	endpoint->connections--;
	tow_metric_dec(endpoint->metrics.connections);
	tow__quic_conn_free(link->conn);
	link->conn = NULL;
	link->prev = NULL;
	link->next = NULL;
}

static void link_destroy(struct tow__link *link)
{
	tow_timer_stop(&link->timer);
	tow__cid_map_remove_all(&link->endpoint->map, &link->cids);
	free(link->farewell);
	free(link);
}

/* Of one that has a connection, or was about to. */
void tow__link_drop(struct tow__link *link)
{
	link_leave_connections(link);
	link_destroy(link);
}

void tow__link_forget(struct tow__link *link)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;

	if (link->prev)
		link->prev->next = link->next;
	else
		endpoint->lingering = link->next;
	if (link->next)
		link->next->prev = link->prev;
	else
		endpoint->lingering_end = link->prev;
	endpoint->lingering_count--;
	link_destroy(link);
}

void tow__link_linger(struct tow__link *link, uint64_t for_ns)
{
	struct tow_quic_endpoint *endpoint = link->endpoint;

	link_leave_connections(link);
	if (endpoint->lingering_count >= LINGERING_MAX)
		tow__link_forget(endpoint->lingering);
	link->prev = endpoint->lingering_end;
	if (link->prev)
		link->prev->next = link;
	else
		endpoint->lingering = link;
	endpoint->lingering_end = link;
	endpoint->lingering_count++;
	if (tow_timer_start_in(&link->timer, for_ns) != 0)
		tow__link_forget(link);
}

/* ngtcp2 acknowledges after an eighth of the round trip, on a short path a few microseconds: a
 * timer, a wake-up and a packet of its own for each request, when the answer could carry it. So
 * what came is left unanswered for a while, as long as there is nothing else to send. A few packets
 * of 64 KiB are all that a peer may have under way, who then waits for us. */
int tow__link_may_wait(const struct tow__link *link, uint64_t now_ns)
{
	return link->owed > 0 && link->owed < ACK_EVERY && link->owed_bytes < ACK_BYTES &&
	       now_ns < link->patient_until_ns && link->conn->state == TOW__QUIC_UP &&
	       !tow__quic_conn_has_more(link->conn);
}

void tow__link_received(struct tow__link *link, size_t bytes, uint64_t now_ns)
{
	link->owed_bytes += bytes;
	if (!link->owed++)
		link->patient_until_ns = now_ns + ACK_DELAY_NS;
}

void tow__link_set_timer(struct tow__link *link, uint64_t now_ns)
{
	uint64_t deadline_ns = tow__quic_conn_deadline(link->conn);
	uint64_t patient_until_ns = link->owed ? link->patient_until_ns : now_ns + ACK_DELAY_NS;

	/* What ngtcp2 is waiting for may wait as long, if it is not what it paces. */
	if (deadline_ns < patient_until_ns && !tow__quic_conn_has_more(link->conn))
		deadline_ns = patient_until_ns;
	if (deadline_ns > patient_until_ns && link->asked)
		deadline_ns = patient_until_ns;
	if (tow_timer_start(&link->timer, deadline_ns) != 0)
		tow__quic_conn_end(link->conn, TOW_ENOMEM, TOW__QUIC_SAY_TRANSPORT,
		                   NGTCP2_INTERNAL_ERROR, "out of memory");
}

static void link_timer(void *user)
{
	struct tow__link *link = user;
	struct tow_quic_endpoint *endpoint = link->endpoint;

	if (!link->conn) {
		tow__link_forget(link);
		return;
	}
	tow__endpoint_enter(endpoint);
	link->patient_until_ns = 0;
	tow__quic_conn_expire(link->conn, tow_now_ns());
	tow__link_look(link);
	tow__endpoint_leave(endpoint);
}
