/* SPDX-License-Identifier: MIT */
#ifndef FEED_READER_H
#define FEED_READER_H

/* An edge that follows the routes of a live hub: a thread that reads the event stream into a list. */

#include <pthread.h>
#include <towonel/wire/event_parser.h>

#include "live_hub.h"

struct feed_event {
	char type[16];
	uint64_t id;
	char *data;
};

struct feed_reader {
	struct live_hub *hub;
	char auth[256], last_id[64]; /* "": no Last-Event-ID */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock */
	struct feed_event events[64];
	size_t count;
	int status, over;
	int held; /* reads nothing now */
	int slow; /* has a small window */
	struct tow_event_parser parser;
};

/* last_id: NULL or what Last-Event-ID says. auth: NULL to sign with the key. */
void feed_start(struct feed_reader *r, struct live_hub *h, const struct tow_node_key *key,
                const char *last_id, const char *auth, int slow);
/* Waits for event number n (from 0). */
const struct feed_event *feed_event(struct feed_reader *r, size_t n);
/* Waits until the stream is over; gives the HTTP status. */
int feed_over(struct feed_reader *r);
/* Has it stop reading, from the next byte on, or go on. */
void feed_hold(struct feed_reader *r, int hold);
/* Ends the stream from this side, unless it is over. */
void feed_stop(struct feed_reader *r);

#endif
