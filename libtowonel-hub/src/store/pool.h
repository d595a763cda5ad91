/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_HUB_STORE_POOL_H
#define TOWONEL_HUB_STORE_POOL_H

/*
 * The store's threads, each with a connection of its own. A job is done by one of them and comes
 * back to the loop's thread. Writes are for the first thread alone, in the order they came; reads
 * are for the others, so that they do not wait behind a write's fsync. (With one thread, it does
 * both.) On a database that other hubs use too, one more thread with a connection listens for the
 * versions that they make.
 */

#include <towonel/tunnel/loop.h>

#include "store/db.h"
#include "store/store.h"

/* Jobs that wait, at most. */
#define TOW__POOL_QUEUE_MAX 1024

struct tow__pool;

/* Embedded in what the work is about. */
struct tow__job {
	void (*work)(struct tow__job *job,
	             struct tow__store *store); /* on a thread of the store's */
	void (*done)(struct tow__job *job);     /* on the loop's */
	/* the pool's */
	struct tow__job *next;
	struct tow__pool *pool;
	uint64_t version;
};

struct tow__pool_config {
	struct tow_loop *loop;
	struct tow__store_config store;
	size_t threads; /* 0: as the driver thinks best */
	/* on the loop's thread, before the job's done: the routes have this version now */
	void (*changed)(void *user, uint64_t version);
	/* on the loop's thread: the connection that listens was lost; may be NULL */
	void (*lost)(void *user);
	void *user;
};

/* Opens the connections and brings the schema up to date, which blocks. Returns as tow__store_open,
 * and 0 also when no server answers, or none yet: then err says so, and jobs fail until one does.
 */
int tow__pool_new(const struct tow__pool_config *config, struct tow__pool **out,
                  struct tow_error *err);
/* Has others' versions told from now on, if the database is one that others use. Returns 0;
 * TOW_ENOMEM, and the pool goes on without. */
int tow__pool_listen(struct tow__pool *pool);
int tow__pool_is_shared(const struct tow__pool *pool); /* as tow__store_is_shared */
/* Returns 0, TOW_EUNAVAILABLE when too many wait. */
int tow__pool_submit(struct tow__pool *pool, enum tow__db_access access, struct tow__job *job);
/* Lets the jobs finish; then closes the connections, frees the pool, and calls done from the loop.
 * Blocks while they are at work. */
void tow__pool_close(struct tow__pool *pool, void (*done)(void *user), void *user);
/* At once, for a pool that was given no job and does not listen. */
void tow__pool_free(struct tow__pool *pool);

#endif
