/* SPDX-License-Identifier: MIT */
#ifndef LIVE_HUB_H
#define LIVE_HUB_H

/* A hub that listens, on a loop in a thread of its own, and a client (libcurl) to ask it. */

#include <jansson.h>
#include <pthread.h>
#include <towonel/hub.h>

struct live_hub {
	char dir[64], db[80]; /* of SQLite's file */
	char dsn[160];        /* of PostgreSQL's schema */
	char url[64];
	const char *driver;
	struct tow_node_key key;
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;
	struct tow_hub *hub;
	pthread_t thread;
	pthread_mutex_t lock;
	struct tow_buf logged; /* every line, under the lock */
};

#define OPERATOR_KEY "b3BlcmF0b3Iga2V5IG9mIHRoZSB0ZXN0cywgMzIgYnk"

struct reply {
	int status;
	json_t *body;
	char total_count[16], retry_after[16], request_id[80];
};

/* *state: the driver, as run_on_drivers has it; NULL: sqlite. */
int live_hub_setup(void **state);
int live_hub_teardown(void **state);
void live_hub_restart(struct live_hub *h);
/* A second hub on the same PostgreSQL. */
struct live_hub *live_hub_beside(const struct live_hub *h);
void live_hub_free(struct live_hub *h); /* leaves the database */
/* Runs fn on the hub's loop, and waits for it. */
void live_hub_do(struct live_hub *h, void (*fn)(struct live_hub *h));

/* auth: the Authorization header's value, or NULL. body: JSON text, or NULL. */
struct reply ask(struct live_hub *h, const char *method, const char *path, const char *auth,
                 const char *body);
struct reply ask_as_operator(struct live_hub *h, const char *method, const char *path,
                             const char *body);
void reply_deinit(struct reply *reply);
/* Expects an error; "" for code: success. Frees. */
void expect(struct reply reply, int status, const char *code);
/* A text of the answer's top level, "" when absent. */
const char *text_of(const struct reply *reply, const char *key);

#endif
