/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_WORKERS_H
#define TOW_EDGE_WORKERS_H

/*
 * The workers of an edge, each a thread with its own loop, and what they share. The first is the
 * thread of the edge's owner. It alone changes the routes, and it alone has what there is one of:
 * certificates and their issuer, port 80, the hub's API, the copy of the routes on disk.
 *
 * They talk by mail: a call with a copy of a message, which runs on the other's thread, in the
 * order in which it was sent.
 *
 *     open ──► start ──► (serving) ──► drain ──► end ──► ended ──► deinit
 *      '─ threads wait   '─ and run    '─ by mail '─ and are joined: one thread does the rest
 */

#include <pthread.h>
#include <stdatomic.h>
#include <towonel/edge.h>
#include <towonel/tunnel/rate_limit.h>
#include <towonel/tunnel/udp.h>
#include "roster.h"
#include "source_limit.h"
#include "tenants.h"
#include "timing.h"
#include "udp/limits.h"

struct worker;

struct workers {
	unsigned count;
	struct worker *list;
	unsigned threads;     /* that have been made: one less, but while starting and ending */
	pthread_mutex_t gate; /* where they wait until all is ready, */
	int started;
	unsigned pauses; /* and when the first is to have everything for a moment */
	unsigned paused; /* those who wait for the end of the present one */
	pthread_cond_t arrived, go;
	struct timing timing;

	/* Only the first worker changes it, and needs no lock to read it. */
	struct tow_route_table *table;
	pthread_rwlock_t table_lock;
	struct roster roster;
	struct tenants tenants;

	pthread_mutex_t limits_lock;  /* of the next three */
	struct tow_rate_limit *rates; /* of visitors by source; NULL: no limit */
	struct source_limit sources;  /* of visitors */
	struct udp_limits udp;
	atomic_size_t carriers;   /* of tunnels, which count as visitors */
	size_t visitors_max;      /* 0: no limit */
	atomic_size_t visitors;   /* now, those who are being handed over included */
	atomic_size_t sessions;   /* of UDP */
	atomic_size_t handshakes; /* under way */
	atomic_uint_least64_t next_serial;
	atomic_int draining;

	/* What the edge wants to know, on its thread. */
	void (*changed)(void *user);  /* see tow__worker_changed */
	void (*deserted)(void *user); /* draining, and the last visitor or session has gone */
	void (*ended)(void *user);    /* all have, after tow__workers_end */
	void *user;
	atomic_int change_told;
	struct tow_timer again; /* short of memory for the last letter */
	int over;               /* one thread is left, and nobody is to write to it any more */
};

/* Returns 0, TOW_ENOMEM; _free is due then, too. */
int tow__workers_init(struct workers *all, const struct tow_edge_config *config,
                      const struct timing *timing);
/* Makes the threads and opens all sockets. Returns 0, or as tow__worker_open. */
int tow__workers_open(struct workers *all, const struct tow_edge_config *config,
                      struct tow_error *err);
/* Lets the other threads run, when all else is ready. */
void tow__workers_start(struct workers *all);
void tow__workers_drain(struct workers *all, int hurried);
/* Another process takes over, or has failed to. */
void tow__workers_yield(struct workers *all, int yields);
/* This process is between two others: the way from the one to the other. */
int tow__workers_are_relay(struct workers *all);
/* There is no visitor and no UDP session. */
int tow__workers_are_deserted(const struct workers *all);
/* Resets what is left; `ended` follows, from within or later. */
void tow__workers_end(struct workers *all);
/* After `ended`, or before _start. */
void tow__workers_deinit(struct workers *all);

/* A visitor of a worker has gone, or a UDP session. */
void tow__workers_left(struct worker *w, atomic_size_t *counter);

/* --- mail --- */

/* Runs fn on the worker's thread with a copy of the message. Returns 0, TOW_ENOMEM. */
int tow__worker_mail(struct worker *to, void (*fn)(struct worker *w, void *message),
                     const void *message, size_t len);
/* To all but one; what cannot be sent is logged. */
void tow__workers_mail(const struct worker *from, void (*fn)(struct worker *w, void *message),
                       const void *message, size_t len);
/* A datagram that another worker is to have: of the tunnel, or (service_port not 0) of a UDP
 * service, which the kernel has given to home. Lost when many are under way. */
void tow__worker_mail_packet(struct worker *to, const struct tow_udp_packet *packet,
                             uint16_t service_port, unsigned home);

/* --- routes --- */

/* What a look-up gives is good until _unlock. */
void tow__routes_lock(const struct worker *w);
void tow__routes_unlock(const struct worker *w);

#endif
