/* SPDX-License-Identifier: MIT */
#ifndef QUIC_SIM_H
#define QUIC_SIM_H

/*
 * Two real connections over a link in memory, under a clock that only moves when something is due.
 * The link loses, repeats, reorders, delays and damages datagrams as a seed says; every byte that
 * arrives is checked. A failure prints the seed, and the seed gives the same run again (TOW_SEED=n
 * runs just that one).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <towonel/wire/limits.h>

#include "quic/connection.h"

#define MSEC          TOW_NSEC_PER_MSEC
#define STREAMS_MAX   16
#define IN_FLIGHT_MAX 65536

struct weather {
	unsigned loss, repeat, damage; /* per 1000 datagrams */
	uint64_t delay_ns, jitter_ns;
	size_t mtu; /* larger datagrams are lost; 0: none is too large */
};

struct sim;

/* One end: its connection and what its application does. */
struct side {
	struct sim *sim;
	const char *name;
	struct tow_node_key key;
	struct tow__quic_host host;
	struct tow_quic_conn *conn;
	struct tow_addr addr;
	unsigned established, closed, woken;
	struct tow_quic_close_reason reason;
	struct flow *flows;
	unsigned flow_count, flows_done;
	void (*opened)(struct side *side, struct tow_quic_stream *stream); /* NULL: it is a flow */
	unsigned opens; /* streams to open when established */
	size_t bytes;   /* on each stream, each way */
};

/* One direction pair of a stream, as one side sees it. */
struct flow {
	struct side *side;
	struct tow_quic_stream *stream;
	uint64_t id, to_send, sent, received;
	int got_fin, closed;
	struct flow *next;
};

struct datagram {
	uint64_t at_ns, order;
	struct tow_addr from, to;
	uint8_t ecn;
	size_t len;
	uint8_t *bytes;
};

struct sim {
	uint64_t seed, rng, now_ns, orders;
	struct weather weather;
	struct side client, server;
	struct datagram *in_flight[IN_FLIGHT_MAX]; /* a heap by at_ns */
	size_t count;
	struct tow_addr nat; /* what the server sees the client as; family 0: its own address */
	unsigned sent, lost;
	uint64_t rate;    /* bytes a second, of both directions together; 0: as many as come */
	uint64_t free_ns; /* when the link has carried what it was given */
	int black_hole;
	int retried; /* the server's connection began with a token */
};

extern uint64_t sim_current_seed;

#define check(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			print_error("seed %llu: ", (unsigned long long)sim_current_seed);          \
			fail_msg("%s", #what);                                                     \
		}                                                                                  \
	} while (0)

uint64_t sim_draw(struct sim *sim);
struct sim *sim_new(uint64_t seed);
void sim_connect(struct sim *sim, const struct tow_id *expected);
int sim_step(struct sim *sim); /* 0 when nothing is due any more */
void sim_run(struct sim *sim,
             uint64_t for_ns);       /* until all streams are done, or the time is over */
void sim_establish(struct sim *sim); /* connects, and runs until both are up */
void sim_check_complete(struct sim *sim);
void sim_free(struct sim *sim);
struct tow_addr sim_addr(uint8_t last, uint16_t port);

#endif
