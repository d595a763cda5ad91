/* SPDX-License-Identifier: MIT */
#include "quic_fixture.h"

#include <poll.h>

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)((at * 0x9e3779b97f4a7c15ULL) >> 37);
}

int fixture_turn(struct fixture *f, int *flag, uint64_t for_ns, unsigned want)
{
	uint64_t end = tow_now_ns() + for_ns;
	struct pollfd p = { .fd = tow_loop_fd(f->loop), .events = POLLIN };

	for (;;) {
		int wait;

		tow_loop_dispatch(f->loop);
		if (flag && (unsigned)*flag >= want)
			return 1;
		if (tow_now_ns() >= end)
			return 0;
		wait = tow_loop_timeout_ms(f->loop);
		if (wait < 0 || wait > 20)
			wait = 20;
		(void)poll(&p, 1, wait);
	}
}

/* --- the server's application --- */

static void guest_data(void *user, struct tow_slice bytes, int fin)
{
	struct guest *guest = user;
	struct fixture *f = guest->f;

	switch (guest->service) {
	case ECHO:
	case UNHURRIED:
		assert_int_equal(guest->service == ECHO
		                         ? tow_quic_stream_write(guest->stream, bytes)
		                         : tow_quic_stream_write_unhurried(guest->stream, bytes),
		                 0);
		tow_quic_stream_consume(guest->stream, bytes.len);
		if (fin)
			tow_quic_stream_finish(guest->stream);
		break;
	case HOLD: break;
	case SWALLOW:
		tow_quic_stream_consume(guest->stream, bytes.len);
		if (fin)
			tow_quic_stream_finish(guest->stream);
		break;
	case RESET:
		tow_quic_stream_reset(guest->stream, 7);
		tow_quic_stream_consume(guest->stream, bytes.len);
		break;
	case STOP:
		tow_quic_stream_stop(guest->stream, 8);
		tow_quic_stream_finish(guest->stream);
		break;
	case HANG_UP: tow_quic_conn_close(f->accepted, 99, "no more"); break;
	case FREE_ALL:
		if (f->server)
			tow_quic_endpoint_free(f->server, 3);
		f->server = NULL;
		break;
	}
}

static void guest_closed(void *user)
{
	struct guest *guest = user;

	guest->f->server_stream_closes++;
	free(guest);
}

/* One that holds what it has been given lets go of it. */
static void guest_reset(void *user, uint64_t code)
{
	struct guest *guest = user;

	(void)code;
	guest->f->server_resets++;
	if (guest->service != HOLD)
		return;
	tow_quic_stream_abandon(guest->stream, TOW_TUNNEL_OVERLOADED);
	free(guest);
}

static const struct tow_quic_stream_events guest_events = { .data = guest_data,
	                                                    .reset = guest_reset,
	                                                    .closed = guest_closed };

static void server_stream(void *user, struct tow_quic_stream *stream)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	assert_non_null(guest);
	guest->f = user;
	guest->stream = stream;
	guest->service = guest->f->service;
	guest->f->server_streams++;
	tow_quic_stream_set_events(stream, &guest_events, guest);
}

static void server_closed(void *user, const struct tow_quic_close_reason *reason)
{
	struct fixture *f = user;

	f->server_closes++;
	f->server_reason = *reason;
	f->accepted = NULL;
}

static const struct tow_quic_conn_events server_events = {
	.stream_opened = server_stream,
	.closed = server_closed,
};

static void on_accepted(void *user, struct tow_quic_conn *conn)
{
	struct fixture *f = user;

	f->accepts++;
	f->accepted = conn;
	assert_true(tow_id_equal(tow_quic_conn_peer(conn), &f->client_key.id));
	tow_quic_conn_set_events(conn, &server_events, f);
}

/* --- the client's --- */

static void client_established(void *user)
{
	struct fixture *f = user;

	f->established++;
}

static void client_closed(void *user, const struct tow_quic_close_reason *reason)
{
	struct fixture *f = user;

	f->closes++;
	f->reason = *reason;
	f->conn = NULL;
}

static void client_credit(void *user)
{
	((struct fixture *)user)->credit++;
}

const struct tow_quic_conn_events fixture_client_events = {
	.established = client_established,
	.streams_available = client_credit,
	.closed = client_closed,
};

static void pupil_write(struct pupil *pupil)
{
	uint8_t *room;
	size_t len, i;

	while (pupil->sent < pupil->to_send &&
	       tow_quic_stream_unsent(pupil->stream) < TOW_PIPE_UNSENT_MAX) {
		room = tow_quic_stream_reserve(pupil->stream, &len);
		assert_non_null(room);
		if (len > pupil->to_send - pupil->sent)
			len = (size_t)(pupil->to_send - pupil->sent);
		for (i = 0; i < len; i++)
			room[i] = pattern(pupil->sent + i);
		tow_quic_stream_commit(pupil->stream, len);
		pupil->sent += len;
	}
	if (pupil->sent < pupil->to_send)
		tow_quic_stream_want_writable(pupil->stream);
	else if (pupil->finish)
		tow_quic_stream_finish(pupil->stream);
}

static void pupil_data(void *user, struct tow_slice bytes, int fin)
{
	struct pupil *pupil = user;
	size_t i;

	for (i = 0; i < bytes.len; i++)
		if (bytes.base[i] != pattern(pupil->received + i))
			fail_msg("byte %llu is wrong", (unsigned long long)(pupil->received + i));
	pupil->received += bytes.len;
	tow_quic_stream_consume(pupil->stream, bytes.len);
	pupil->got_fin |= fin;
}

static void pupil_writable(void *user)
{
	pupil_write(user);
}

static void pupil_reset(void *user, uint64_t code)
{
	struct pupil *pupil = user;

	pupil->reset = 1;
	pupil->code = code;
}

static void pupil_stopped(void *user, uint64_t code)
{
	struct pupil *pupil = user;

	pupil->stopped = 1;
	pupil->code = code;
}

static void pupil_closed(void *user)
{
	((struct pupil *)user)->closed++;
}

const struct tow_quic_stream_events fixture_pupil_events = {
	.data = pupil_data,
	.writable = pupil_writable,
	.reset = pupil_reset,
	.stopped = pupil_stopped,
	.closed = pupil_closed,
};

/* --- set-up --- */

struct tow_addr fixture_loopback(uint16_t port)
{
	struct tow_addr addr = { .family = 4, .port = port, .bytes = { 127, 0, 0, 1 } };

	return addr;
}

struct tow_quic_config fixture_config_of(struct fixture *f, int server)
{
	struct tow_quic_config config = {
		.loop = f->loop,
		.key = server ? &f->server_key : &f->client_key,
		.alpn = "towonel/1",
		.udp.bind = fixture_loopback(0),
		.handshake_timeout_ns = 500 * MSEC,
		.accepted = server ? on_accepted : NULL,
		.user = f,
	};

	return config;
}

void fixture_endpoint_start(struct fixture *f, int server, const struct tow_quic_config *config)
{
	struct tow_quic_config standard = fixture_config_of(f, server);
	struct tow_error err;

	if (tow_quic_endpoint_new(config ? config : &standard, server ? &f->server : &f->client,
	                          &err) != 0)
		fail_msg("%s", err.text);
}

void fixture_dial(struct fixture *f)
{
	assert_int_equal(tow_quic_connect(f->client, tow_quic_endpoint_addr(f->server),
	                                  &f->server_key.id, &fixture_client_events, f, &f->conn),
	                 0);
}

void fixture_connect_up(struct fixture *f)
{
	fixture_dial(f);
	until(f, f->established);
	until(f, f->accepts);
}

void fixture_pupil_open(struct fixture *f, struct pupil *pupil, uint64_t to_send, int finish)
{
	memset(pupil, 0, sizeof(*pupil));
	pupil->f = f;
	pupil->to_send = to_send;
	pupil->finish = finish;
	assert_int_equal(
		tow_quic_open_stream(f->conn, &fixture_pupil_events, pupil, &pupil->stream), 0);
	pupil_write(pupil);
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->loop = tow_loop_new();
	tow_node_key_generate(&f->server_key);
	tow_node_key_generate(&f->client_key);
	*state = f;
	return f->loop ? 0 : -1;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	tow_quic_endpoint_free(f->client, 0);
	tow_quic_endpoint_free(f->server, 0);
	tow_loop_free(f->loop);
	free(f);
	return 0;
}

void fixture_both(struct fixture *f)
{
	fixture_endpoint_start(f, 1, NULL);
	fixture_endpoint_start(f, 0, NULL);
}
