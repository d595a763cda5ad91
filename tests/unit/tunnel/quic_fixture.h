/* SPDX-License-Identifier: MIT */
#ifndef QUIC_FIXTURE_H
#define QUIC_FIXTURE_H

/* A server's and a client's endpoint on loopback sockets, both in one loop. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <towonel/tunnel/quic.h>
#include <towonel/wire/control_message.h>
#include <towonel/wire/limits.h>

#define MSEC TOW_NSEC_PER_MSEC

/* What a server's application does with streams. */
enum service {
	ECHO,
	UNHURRIED, /* an echo that may wait */
	HOLD,      /* takes, and never consumes */
	SWALLOW,   /* takes, never answers, finishes at FIN */
	RESET,     /* resets with 7 at the first byte */
	STOP,      /* STOP_SENDING with 8 at the first byte */
	HANG_UP,   /* closes the connection at the first byte */
	FREE_ALL,  /* frees its endpoint at the first byte */
};

struct fixture {
	struct tow_loop *loop;
	struct tow_node_key server_key, client_key;
	struct tow_quic_endpoint *server, *client;
	enum service service;
	/* server */
	struct tow_quic_conn *accepted;
	unsigned accepts, server_closes;
	struct tow_quic_close_reason server_reason;
	unsigned server_streams, server_stream_closes, server_resets;
	/* client */
	struct tow_quic_conn *conn;
	unsigned established, closes, credit;
	struct tow_quic_close_reason reason;
};

struct pupil { /* a stream of the client */
	struct fixture *f;
	struct tow_quic_stream *stream;
	uint64_t to_send, sent, received;
	int finish, got_fin, reset, stopped, closed;
	uint64_t code;
};

struct guest { /* a stream of the server */
	struct fixture *f;
	struct tow_quic_stream *stream;
	enum service service; /* as it was when the stream was opened */
};

extern const struct tow_quic_conn_events fixture_client_events;
extern const struct tow_quic_stream_events fixture_pupil_events;

int fixture_setup(void **state);
int fixture_teardown(void **state);
/* Lets the loop go on until *flag >= want; 0 when that was not within for_ns. flag may be NULL. */
int fixture_turn(struct fixture *f, int *flag, uint64_t for_ns, unsigned want);
#define until(f, counter)                                                                          \
	assert_true(fixture_turn((f), (int *)&(counter), 20 * TOW_NSEC_PER_SEC, 1))
#define until_n(f, counter, n)                                                                     \
	assert_true(fixture_turn((f), (int *)&(counter), 20 * TOW_NSEC_PER_SEC, (n)))

struct tow_addr fixture_loopback(uint16_t port);
struct tow_quic_config fixture_config_of(struct fixture *f, int server);
void fixture_endpoint_start(struct fixture *f, int server, const struct tow_quic_config *config);
void fixture_both(struct fixture *f);
void fixture_dial(struct fixture *f);
void fixture_connect_up(struct fixture *f); /* and waits for both sides */
void fixture_pupil_open(struct fixture *f, struct pupil *pupil, uint64_t to_send, int finish);

#endif
