/* SPDX-License-Identifier: MIT */
#include "tunnel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/control_message.h>
#include <towonel/wire/limits.h>

#define HELLO_TIMEOUT_NS (10 * TOW_NSEC_PER_SEC)
/* Often enough that a restarted edge's stateless reset is drawn within seconds. */
#define PING_INTERVAL_NS (5 * TOW_NSEC_PER_SEC)
#define PONG_TIMEOUT_NS  (20 * TOW_NSEC_PER_SEC)

enum state {
	CONNECT,
	HELLO,
	UP,
	CLOSING,
};

static const char *const state_names[] = { "connect", "hello", "up", "closing" };

struct tunnel {
	struct tunnel_config config;
	struct tunnel *next; /* the owner's */
	enum state state;
	int draining;
	struct tow_timer timer;           /* HELLO: its time-out; UP: the next ping */
	struct tow_quic_carrier *carrier; /* NULL: it goes by UDP */
	struct tow_quic_conn *conn;
	struct tow_quic_stream *control; /* HELLO and on */
	struct tow_buf received;
	char why[256]; /* set before the connection is closed from here */
	int refused, said_hello, was_up, edge_drains;
	uint64_t up_since_ns, last_pong_ns, last_ping_id, last_ping_ns, rtt_ns;
	struct tunnel_place place;
};

static void enter(struct tunnel *tunnel, enum state state)
{
	tow_log_trace(tunnel->config.log, "tunnel", tow_f_id("edge", &tunnel->config.edge),
	              tow_f_str("from", state_names[tunnel->state]),
	              tow_f_str("to", state_names[state]));
	tunnel->state = state;
}

static void close_with(struct tunnel *tunnel, uint64_t code, const char *why)
{
	snprintf(tunnel->why, sizeof tunnel->why, "%s", why);
	tow_quic_conn_close(tunnel->conn, code, why);
}

/* --- control stream --- */

static int send_message(struct tunnel *tunnel, const struct tow_control_message *message)
{
	struct tow_buf bytes = { 0 };
	int rc = tunnel->control ? tow_control_write(message, &bytes) : TOW_ECLOSED;
	if (rc == 0)
		rc = tow_quic_stream_write(tunnel->control, tow_buf_peek(&bytes));
	tow_buf_deinit(&bytes);
	return rc;
}

static void send_hello(struct tunnel *tunnel)
{
	struct tow_control_message hello = {
		.type = TOW_CONTROL_HELLO,
		.version = TOW_TUNNEL_VERSION,
		.software = TOW_VERSION,
	};
	const struct tunnel_events *events = tunnel->config.events;
	struct tow_buf entry = { 0 };
	int rc = events->sign(tunnel->config.user, &entry);
	if (rc == 0) {
		struct tow_slice jws = tow_buf_peek(&entry);
		hello.entry = strndup((const char *)jws.base, jws.len);
		hello.services = events->services(tunnel->config.user, &hello.service_count);
		rc = hello.entry && hello.services ? send_message(tunnel, &hello) : TOW_ENOMEM;
	}
	tow_buf_deinit(&entry);
	tow_control_message_deinit(&hello);
	if (rc != 0)
		close_with(tunnel, TOW_TUNNEL_INTERNAL, tow_strerror(rc));
}

static void ping(struct tunnel *tunnel)
{
	struct tow_control_message message = {
		.type = TOW_CONTROL_PING,
		.ping_id = ++tunnel->last_ping_id,
		.sent_ms = tow_now_ns() / TOW_NSEC_PER_MSEC,
	};
	tunnel->last_ping_ns = tow_now_ns();
	if (send_message(tunnel, &message) == 0)
		tow_timer_start_in(&tunnel->timer, PING_INTERVAL_NS);
	else
		close_with(tunnel, TOW_TUNNEL_PROTOCOL, "the control stream is gone");
}

/* The edge makes us answer: one that does not read the answers gets no more of them. */
static void answer(struct tunnel *tunnel, const struct tow_control_message *pong)
{
	if (tunnel->control && tow_quic_stream_unsent(tunnel->control) <= TOW_CONTROL_UNSENT_MAX)
		send_message(tunnel, pong);
}

static void welcomed(struct tunnel *tunnel, const struct tow_control_message *welcome)
{
	if (tunnel->state != HELLO)
		return; /* a second hello's answer */
	tunnel->place = (struct tunnel_place){ .worker = welcome->worker,
		                               .workers = welcome->workers,
		                               .tunnels = welcome->tunnels };
	if (welcome->workers == 0) /* one, then */
		tunnel->place.workers = 1;
	if (welcome->tunnels == 0)
		tunnel->place.tunnels = tunnel->place.workers;
	enter(tunnel, UP);
	tunnel->was_up = 1;
	tunnel->up_since_ns = tunnel->last_pong_ns = tow_loop_now_ns(tunnel->config.loop);
	ping(tunnel);
	if (tunnel->draining)
		tow__tunnel_drain(tunnel);
	tunnel->config.events->up(tunnel->config.user, tunnel);
}

static void handle(struct tunnel *tunnel, const struct tow_control_message *message)
{
	const struct tunnel_events *events = tunnel->config.events;
	struct tow_control_message pong = {
		.type = TOW_CONTROL_PONG,
		.ping_id = message->ping_id,
		.sent_ms = message->sent_ms,
	};

	switch (message->type) {
	case TOW_CONTROL_WELCOME: welcomed(tunnel, message); break;
	case TOW_CONTROL_PING: answer(tunnel, &pong); break;
	case TOW_CONTROL_PONG:
		if (message->ping_id <= tunnel->last_ping_id)
			tunnel->last_pong_ns = tow_loop_now_ns(tunnel->config.loop);
		if (message->ping_id == tunnel->last_ping_id)
			tunnel->rtt_ns = tow_now_ns() - tunnel->last_ping_ns;
		break;
	case TOW_CONTROL_REFUSED:
		if (tunnel->refused)
			break; /* it has been told */
		tunnel->refused = 1;
		snprintf(tunnel->why, sizeof tunnel->why, "the edge refuses this agent: %s",
		         message->text);
		events->refused(tunnel->config.user, tunnel, message->text);
		break;
	case TOW_CONTROL_SUPERSEDED: events->superseded(tunnel->config.user, tunnel); break;
	case TOW_CONTROL_DRAIN:
		if (!tunnel->edge_drains)
			tow_log_info(tunnel->config.log, "the edge is draining",
			             tow_f_id("edge", &tunnel->config.edge));
		tunnel->edge_drains = 1;
		if (message->redial)
			events->moved(tunnel->config.user, tunnel);
		break;
	case TOW_CONTROL_HELLO:
	case TOW_CONTROL_UNKNOWN: break;
	}
}

static void control_data(void *user, struct tow_slice bytes, int fin)
{
	struct tunnel *tunnel = user;
	struct tow_control_message message;
	size_t len;
	int rc = tow_buf_append(&tunnel->received, bytes.base, bytes.len);

	tow_quic_stream_consume(tunnel->control, bytes.len);
	while (rc == 0) {
		rc = tow_control_read(tow_buf_peek(&tunnel->received), &message, &len);
		if (rc != 0)
			break;
		tow_buf_consume(&tunnel->received, len);
		handle(tunnel, &message);
		tow_control_message_deinit(&message);
		if (tunnel->state == CLOSING)
			return;
	}
	if (tunnel->state == CLOSING)
		return;
	if (rc != TOW_MORE)
		close_with(tunnel, TOW_TUNNEL_PROTOCOL, "the edge sent a bad control message");
	else if (fin && !tunnel->refused)
		close_with(tunnel, TOW_TUNNEL_PROTOCOL, "the edge ended the control stream");
}

static void control_reset(void *user, uint64_t code)
{
	struct tunnel *tunnel = user;
	(void)code;
	if (tunnel->state != CLOSING)
		close_with(tunnel, TOW_TUNNEL_PROTOCOL, "the edge reset the control stream");
}

static void control_closed(void *user)
{
	struct tunnel *tunnel = user;
	tunnel->control = NULL;
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
	struct tunnel *tunnel = user;
	if (tunnel->state != CONNECT)
		return;
	enter(tunnel, HELLO);
	if (tow_quic_open_stream(tunnel->conn, &control_events, tunnel, &tunnel->control) != 0) {
		close_with(tunnel, TOW_TUNNEL_PROTOCOL, "the edge allows no control stream");
		return;
	}
	tow_timer_start_in(&tunnel->timer, HELLO_TIMEOUT_NS);
	tunnel->said_hello = 1;
	send_hello(tunnel);
}

static void stream_opened(void *user, struct tow_quic_stream *stream)
{
	struct tunnel *tunnel = user;
	tunnel->config.events->stream(tunnel->config.user, tunnel, stream);
}

static void conn_closed(void *user, const struct tow_quic_close_reason *reason)
{
	struct tunnel *tunnel = user;
	const struct tunnel_events *events = tunnel->config.events;
	const char *why = tunnel->why[0]        ? tunnel->why
	                  : reason->text[0]     ? reason->text
	                  : reason->application ? tow_tunnel_error_name(reason->code)
	                                        : tow_strerror(reason->status);

	/* An agent that was welcome and is no more gets no control message, only this. */
	if (tunnel->state != CLOSING && !tunnel->refused && reason->by_peer &&
	    reason->application && reason->code == TOW_TUNNEL_UNAUTHORIZED) {
		tunnel->refused = 1;
		events->refused(tunnel->config.user, tunnel, why);
	}
	tow_timer_stop(&tunnel->timer);
	enter(tunnel, CLOSING);
	events->closed(tunnel->config.user, tunnel,
	               &(struct tunnel_end){
			       .why = why,
			       .said_hello = tunnel->said_hello,
			       .was_up = tunnel->was_up,
			       .refused = tunnel->refused,
			       .silent = reason->status == TOW_ETIMEDOUT,
			       .lived_ns = tunnel->was_up ? tow_loop_now_ns(tunnel->config.loop) -
	                                                            tunnel->up_since_ns
	                                                  : 0,
		       });
	tow_quic_carrier_free(tunnel->carrier);
	tow_buf_deinit(&tunnel->received);
	free(tunnel);
}

static const struct tow_quic_conn_events conn_events = {
	.established = established,
	.stream_opened = stream_opened,
	.closed = conn_closed,
};

static void look(struct tunnel *tunnel)
{
	uint64_t now = tow_loop_now_ns(tunnel->config.loop);
	if (now - tunnel->last_pong_ns >= PONG_TIMEOUT_NS)
		close_with(tunnel, TOW_TUNNEL_IDLE, "nothing comes back through the tunnel");
	else
		ping(tunnel);
}

static void timer_fired(void *user)
{
	struct tunnel *tunnel = user;
	if (tunnel->state == HELLO)
		close_with(tunnel, TOW_TUNNEL_PROTOCOL, "the edge does not answer the hello");
	else if (tunnel->state == UP)
		look(tunnel);
}

static struct tunnel *tunnel_new(const struct tunnel_config *config)
{
	struct tunnel *tunnel = calloc(1, sizeof *tunnel);
	if (!tunnel)
		return NULL;
	tunnel->config = *config;
	tow_timer_init(&tunnel->timer, config->loop, timer_fired, tunnel);
	return tunnel;
}

int tow__tunnel_dial(const struct tunnel_config *config, const struct tow_addr *remote,
                     struct tunnel **out)
{
	struct tunnel *tunnel = tunnel_new(config);
	if (!tunnel)
		return TOW_ENOMEM;
	int rc = tow_quic_connect_at(config->endpoint, remote, &config->edge, config->worker,
	                             config->workers, &conn_events, tunnel, &tunnel->conn);
	if (rc != 0)
		free(tunnel);
	else
		*out = tunnel;
	return rc;
}

int tow__tunnel_dial_over(const struct tunnel_config *config, struct tow_quic_carrier *carrier,
                          struct tunnel **out)
{
	struct tunnel *tunnel = tunnel_new(config);
	if (!tunnel)
		return TOW_ENOMEM;
	int rc = tow_quic_connect_over(carrier, &config->edge, &conn_events, tunnel, &tunnel->conn);
	if (rc != 0) {
		free(tunnel);
		return rc;
	}
	tunnel->carrier = carrier;
	*out = tunnel;
	return 0;
}

void tow__tunnel_hello(struct tunnel *tunnel)
{
	if (tunnel->state == HELLO || tunnel->state == UP)
		send_hello(tunnel);
}

void tow__tunnel_look(struct tunnel *tunnel)
{
	if (tunnel->state == UP)
		look(tunnel);
}

void tow__tunnel_drain(struct tunnel *tunnel)
{
	struct tow_control_message message = { .type = TOW_CONTROL_DRAIN };
	tunnel->draining = 1;
	if (tunnel->state == UP)
		send_message(tunnel, &message);
}

void tow__tunnel_close(struct tunnel *tunnel, uint64_t code)
{
	if (tunnel->state == CLOSING)
		return;
	enter(tunnel, CLOSING);
	tow_timer_stop(&tunnel->timer);
	tow_quic_conn_close(tunnel->conn, code, "");
}

struct tunnel **tow__tunnel_next(struct tunnel *tunnel)
{
	return &tunnel->next;
}

int tow__tunnel_is_up(const struct tunnel *tunnel)
{
	return tunnel->state == UP;
}

int tow__tunnel_is_draining(const struct tunnel *tunnel)
{
	return tunnel->draining;
}

int tow__tunnel_is_answered(const struct tunnel *tunnel)
{
	return tunnel->state == HELLO || tunnel->state == UP;
}

size_t tow__tunnel_streams(const struct tunnel *tunnel)
{
	struct tow_quic_stats stats;
	if (tunnel->state == CLOSING)
		return 0;
	tow_quic_conn_stats(tunnel->conn, &stats);
	return stats.open_streams - (tunnel->control != NULL);
}

const struct tunnel_place *tow__tunnel_place(const struct tunnel *tunnel)
{
	return &tunnel->place;
}

uint64_t tow__tunnel_last_pong_ns(const struct tunnel *tunnel)
{
	return tunnel->last_pong_ns;
}

uint64_t tow__tunnel_rtt_ns(const struct tunnel *tunnel)
{
	return tunnel->rtt_ns;
}
