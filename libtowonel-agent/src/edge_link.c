/* SPDX-License-Identifier: MIT */
#include "edge_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/tcp.h>
#include <towonel/tunnel/backoff.h>
#include <towonel/wire/control_message.h>

#define HELLO_TIMEOUT_NS (10 * TOW_NSEC_PER_SEC)
/* Often enough that a restarted edge's stateless reset is drawn within seconds. */
#define PING_INTERVAL_NS (5 * TOW_NSEC_PER_SEC)
#define PONG_TIMEOUT_NS  (20 * TOW_NSEC_PER_SEC)
/* A tunnel that lived this long was a good one: the next try is not a repeated failure. */
#define GOOD_TUNNEL_NS   (30 * TOW_NSEC_PER_SEC)
#define REFUSED_DELAY_NS (5 * TOW_NSEC_PER_SEC)

enum state {
	WAIT, /* for the backoff, or for an address */
	RESOLVE,
	CONNECT,
	HELLO,
	UP,
	CLOSING,
};

static const char *const state_names[] = { "wait", "resolve", "connect", "hello", "up", "closing" };

struct edge_link {
	struct edge_link_config config;
	enum state state;
	int draining;
	struct tow_timer timer; /* WAIT: the next try; HELLO: its time-out; UP: the next ping */
	struct tow_backoff backoff;

	char *addresses[LINK_ADDRESSES_MAX];
	size_t address_count, address_next;
	char address[300];           /* the one being tried or in use */
	struct tow_resolve *resolve; /* RESOLVE */
	struct tow_addr remotes[TOW_RESOLVE_MAX];
	size_t remote_count,
		remote_next; /* what the name resolved to; each is tried before the next name */

	struct tow_addr good; /* where the last tunnel was; the first to be tried again */

	struct tow_quic_conn *conn;      /* CONNECT and on */
	struct tow_quic_stream *control; /* HELLO and on */
	struct tow_buf received;
	char why[256]; /* set before the connection is closed from here */
	int refused;
	uint64_t up_since_ns, last_pong_ns, last_ping_id;
};

static void try_next(struct edge_link *link);

static void enter(struct edge_link *link, enum state state)
{
	tow_log_trace(link->config.log, "edge link", tow_f_id("edge", &link->config.edge),
	              tow_f_str("from", state_names[link->state]),
	              tow_f_str("to", state_names[state]));
	link->state = state;
}

static void link_free(struct edge_link *link)
{
	tow_timer_stop(&link->timer);
	if (link->resolve)
		tow_resolve_cancel(link->resolve);
	for (size_t i = 0; i < link->address_count; i++)
		free(link->addresses[i]);
	tow_buf_deinit(&link->received);
	free(link);
}

static void wait_then_try(struct edge_link *link, uint64_t at_least_ns)
{
	uint64_t delay = tow_backoff_next(&link->backoff);
	enter(link, WAIT);
	tow_timer_start_in(&link->timer, delay < at_least_ns ? at_least_ns : delay);
}

/* --- control stream --- */

static int send_message(struct edge_link *link, const struct tow_control_message *message)
{
	struct tow_buf bytes = { 0 };
	int rc = link->control ? tow_control_write(message, &bytes) : TOW_ECLOSED;
	if (rc == 0)
		rc = tow_quic_stream_write(link->control, tow_buf_peek(&bytes));
	tow_buf_deinit(&bytes);
	return rc;
}

static void close_with(struct edge_link *link, uint64_t code, const char *why)
{
	snprintf(link->why, sizeof link->why, "%s", why);
	tow_quic_conn_close(link->conn, code, why);
}

static void send_hello(struct edge_link *link)
{
	struct tow_control_message hello = {
		.type = TOW_CONTROL_HELLO,
		.version = TOW_TUNNEL_VERSION,
		.software = TOW_VERSION,
	};
	struct tow_buf entry = { 0 };
	int rc = link->config.events->sign(link->config.user, &entry);
	if (rc == 0) {
		struct tow_slice jws = tow_buf_peek(&entry);
		hello.entry = strndup((const char *)jws.base, jws.len);
		hello.services = link->config.services(link->config.user, &hello.service_count);
		rc = hello.entry && hello.services ? send_message(link, &hello) : TOW_ENOMEM;
	}
	tow_buf_deinit(&entry);
	tow_control_message_deinit(&hello);
	if (rc != 0)
		close_with(link, TOW_TUNNEL_INTERNAL, tow_strerror(rc));
}

static void ping(struct edge_link *link)
{
	struct tow_control_message message = {
		.type = TOW_CONTROL_PING,
		.ping_id = ++link->last_ping_id,
		.sent_ms = tow_now_ns() / TOW_NSEC_PER_MSEC,
	};
	if (send_message(link, &message) == 0)
		tow_timer_start_in(&link->timer, PING_INTERVAL_NS);
	else
		close_with(link, TOW_TUNNEL_PROTOCOL, "the control stream is gone");
}

static void welcomed(struct edge_link *link)
{
	if (link->state != HELLO)
		return; /* a second hello's answer */
	enter(link, UP);
	link->good = link->remotes[link->remote_next - 1];
	link->up_since_ns = link->last_pong_ns = tow_loop_now_ns(link->config.loop);
	ping(link);
	if (link->draining)
		tow__edge_link_drain(link);
	link->config.events->up(link->config.user, link);
}

static void handle(struct edge_link *link, const struct tow_control_message *message)
{
	const struct edge_link_events *events = link->config.events;
	struct tow_control_message pong = {
		.type = TOW_CONTROL_PONG,
		.ping_id = message->ping_id,
		.sent_ms = message->sent_ms,
	};

	switch (message->type) {
	case TOW_CONTROL_WELCOME: welcomed(link); break;
	case TOW_CONTROL_PING: send_message(link, &pong); break;
	case TOW_CONTROL_PONG:
		if (message->ping_id <= link->last_ping_id)
			link->last_pong_ns = tow_loop_now_ns(link->config.loop);
		break;
	case TOW_CONTROL_REFUSED:
		link->refused = 1;
		snprintf(link->why, sizeof link->why, "the edge refuses this agent: %s",
		         message->text);
		events->refused(link->config.user, link, message->text);
		break;
	case TOW_CONTROL_SUPERSEDED: events->superseded(link->config.user, link); break;
	case TOW_CONTROL_DRAIN:
		tow_log_info(link->config.log, "the edge is draining",
		             tow_f_id("edge", &link->config.edge));
		break;
	case TOW_CONTROL_HELLO:
	case TOW_CONTROL_UNKNOWN: break;
	}
}

static void control_data(void *user, struct tow_slice bytes, int fin)
{
	struct edge_link *link = user;
	struct tow_control_message message;
	size_t len;
	int rc = tow_buf_append(&link->received, bytes.base, bytes.len);

	tow_quic_stream_consume(link->control, bytes.len);
	while (rc == 0) {
		rc = tow_control_read(tow_buf_peek(&link->received), &message, &len);
		if (rc != 0)
			break;
		tow_buf_consume(&link->received, len);
		handle(link, &message);
		tow_control_message_deinit(&message);
		if (link->state == CLOSING)
			return;
	}
	if (link->state == CLOSING)
		return;
	if (rc != TOW_MORE)
		close_with(link, TOW_TUNNEL_PROTOCOL, "the edge sent a bad control message");
	else if (fin && !link->refused)
		close_with(link, TOW_TUNNEL_PROTOCOL, "the edge ended the control stream");
}

static void control_reset(void *user, uint64_t code)
{
	struct edge_link *link = user;
	(void)code;
	if (link->state != CLOSING)
		close_with(link, TOW_TUNNEL_PROTOCOL, "the edge reset the control stream");
}

static void control_closed(void *user)
{
	struct edge_link *link = user;
	link->control = NULL;
}

static void control_writable(void *user)
{
	(void)user;
}

static const struct tow_quic_stream_events control_events = {
	.data = control_data,
	.writable = control_writable,
	.reset = control_reset,
	.stopped = control_reset,
	.closed = control_closed,
};

/* --- connection --- */

static void established(void *user)
{
	struct edge_link *link = user;
	if (link->state != CONNECT)
		return;
	enter(link, HELLO);
	if (tow_quic_open_stream(link->conn, &control_events, link, &link->control) != 0) {
		close_with(link, TOW_TUNNEL_PROTOCOL, "the edge allows no control stream");
		return;
	}
	tow_timer_start_in(&link->timer, HELLO_TIMEOUT_NS);
	send_hello(link);
}

static void stream_opened(void *user, struct tow_quic_stream *stream)
{
	struct edge_link *link = user;
	link->config.events->stream(link->config.user, link, stream);
}

static void conn_closed(void *user, const struct tow_quic_close_reason *reason)
{
	struct edge_link *link = user;
	int was_up = link->state == UP;
	const char *why = link->why[0]          ? link->why
	                  : reason->text[0]     ? reason->text
	                  : reason->application ? tow_tunnel_error_name(reason->code)
	                                        : tow_strerror(reason->status);

	link->conn = NULL;
	link->control = NULL;
	tow_buf_deinit(&link->received);
	tow_timer_stop(&link->timer);
	if (link->state == CLOSING) {
		link->config.events->gone(link->config.user, link);
		link_free(link);
		return;
	}
	if (was_up) {
		if (tow_loop_now_ns(link->config.loop) - link->up_since_ns >= GOOD_TUNNEL_NS)
			tow_backoff_reset(&link->backoff);
		link->remote_count = 0; /* ask for the address again: it may be why */
		enter(link, WAIT);
		link->config.events->lost(link->config.user, link, why);
	} else {
		tow_log_warn(link->config.log, "no tunnel to the edge; trying again",
		             tow_f_id("edge", &link->config.edge),
		             tow_f_str("address", link->address), tow_f_str("error", why));
	}
	/* An agent that was welcome and is no more gets no control message, only this. */
	if (!link->refused && reason->by_peer && reason->application &&
	    reason->code == TOW_TUNNEL_UNAUTHORIZED) {
		link->refused = 1;
		link->config.events->refused(link->config.user, link, why);
	}
	uint64_t at_least = link->refused ? REFUSED_DELAY_NS : 0;
	link->refused = 0;
	link->why[0] = 0;
	if (!link->draining)
		wait_then_try(link, at_least);
}

static const struct tow_quic_conn_events conn_events = {
	.established = established,
	.stream_opened = stream_opened,
	.closed = conn_closed,
};

static void connect_remote(struct edge_link *link)
{
	const struct tow_addr *remote = &link->remotes[link->remote_next++];
	tow_addr_format(remote, link->address);
	enter(link, CONNECT);
	int rc = tow_quic_connect(link->config.endpoint, remote, &link->config.edge, &conn_events,
	                          link, &link->conn);
	if (rc != 0) {
		tow_log_warn(link->config.log, "no tunnel to the edge; trying again",
		             tow_f_id("edge", &link->config.edge),
		             tow_f_str("address", link->address),
		             tow_f_str("error", tow_strerror(rc)));
		wait_then_try(link, 0);
	}
}

static void resolved(void *user, int status, const struct tow_addr *addrs, size_t count,
                     const struct tow_error *err)
{
	struct edge_link *link = user;
	link->resolve = NULL;
	if (status != 0) {
		tow_log_warn(link->config.log,
		             "the edge's address cannot be resolved; trying again",
		             tow_f_str("address", link->address), tow_f_str("error", err->text));
		wait_then_try(link, 0);
		return;
	}
	link->remote_count = count < TOW_RESOLVE_MAX ? count : TOW_RESOLVE_MAX;
	link->remote_next = 0;
	memcpy(link->remotes, addrs, link->remote_count * sizeof *addrs);
	for (size_t i = 1; i < link->remote_count; i++) {
		if (tow_addr_equal(&link->remotes[i], &link->good)) {
			link->remotes[i] = link->remotes[0];
			link->remotes[0] = link->good;
		}
	}
	connect_remote(link);
}

static void try_next(struct edge_link *link)
{
	char host[TOW_HOSTNAME_SIZE];
	uint16_t port;

	if (link->remote_next < link->remote_count) {
		connect_remote(link);
		return;
	}
	link->remote_count = link->remote_next = 0;
	if (link->address_count == 0) {
		enter(link, WAIT);
		return;
	}
	snprintf(link->address, sizeof link->address, "%s",
	         link->addresses[link->address_next++ % link->address_count]);
	enter(link, RESOLVE);
	if (tow_host_port_split(tow_slice_of(link->address), host, &port, NULL) != 0 ||
	    tow_resolve_start(link->config.loop, host, port, resolved, link, &link->resolve) != 0) {
		link->resolve = NULL;
		wait_then_try(link, 0);
	}
}

static void timer_fired(void *user)
{
	struct edge_link *link = user;
	uint64_t now = tow_loop_now_ns(link->config.loop);
	switch (link->state) {
	case WAIT: try_next(link); break;
	case HELLO:
		close_with(link, TOW_TUNNEL_PROTOCOL, "the edge does not answer the hello");
		break;
	case UP:
		if (now - link->last_pong_ns >= PONG_TIMEOUT_NS)
			close_with(link, TOW_TUNNEL_IDLE, "nothing comes back through the tunnel");
		else
			ping(link);
		break;
	case RESOLVE:
	case CONNECT:
	case CLOSING: break;
	}
}

/* --- lifetime --- */

int tow__edge_link_new(const struct edge_link_config *config, struct edge_link **out)
{
	struct edge_link *link = calloc(1, sizeof *link);
	if (!link)
		return TOW_ENOMEM;
	link->config = *config;
	tow_timer_init(&link->timer, config->loop, timer_fired, link);
	*out = link;
	return 0;
}

void tow__edge_link_set_addresses(struct edge_link *link, const char *const *addresses,
                                  size_t count)
{
	int idle = link->state == WAIT && link->address_count == 0;
	if (count > LINK_ADDRESSES_MAX)
		count = LINK_ADDRESSES_MAX;
	for (size_t i = 0; i < link->address_count; i++)
		free(link->addresses[i]);
	link->address_count = 0;
	for (size_t i = 0; i < count; i++) {
		link->addresses[link->address_count] = strdup(addresses[i]);
		if (link->addresses[link->address_count])
			link->address_count++;
	}
	if (idle && link->address_count && !link->draining)
		try_next(link);
}

void tow__edge_link_hello(struct edge_link *link)
{
	if (link->state == UP)
		send_hello(link);
}

void tow__edge_link_drain(struct edge_link *link)
{
	struct tow_control_message message = { .type = TOW_CONTROL_DRAIN };
	link->draining = 1;
	if (link->state == UP)
		send_message(link, &message);
	else if (link->state == WAIT)
		tow_timer_stop(&link->timer);
}

void tow__edge_link_close(struct edge_link *link, uint64_t code)
{
	if (link->state == CLOSING)
		return;
	enter(link, CLOSING);
	tow_timer_stop(&link->timer);
	if (link->conn) {
		tow_quic_conn_close(link->conn, code, "");
		return; /* conn_closed does the rest */
	}
	link->config.events->gone(link->config.user, link);
	link_free(link);
}

int tow__edge_link_is_up(const struct edge_link *link)
{
	return link->state == UP;
}

const struct tow_id *tow__edge_link_edge(const struct edge_link *link)
{
	return &link->config.edge;
}

const char *tow__edge_link_address(const struct edge_link *link)
{
	return link->address;
}

uint64_t tow__edge_link_last_pong_ns(const struct edge_link *link)
{
	return link->last_pong_ns;
}
