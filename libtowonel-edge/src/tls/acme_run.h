/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_ACME_RUN_H
#define TOW_EDGE_TLS_ACME_RUN_H

/* Carries an errand out: its requests over HTTP, its pauses by a timer. */

#include <towonel/tunnel/http_client.h>
#include <towonel/tunnel/loop.h>
#include "tls/acme_errand.h"

struct acme_run {
	struct tow_http_client *http;
	/* Answers the errand's challenge from now on. Returns 0 or why not. May be NULL when no
	 * challenge can come. */
	int (*publish)(void *user);
	/* The errand is done or has failed; it is there until _stop. Also from within _start. */
	void (*done)(void *user, enum acme_step how);
	void *user;
	struct acme_errand *errand; /* NULL: at rest */
	struct tow_http_call *call;
	struct tow_timer timer;
};

/* The members above `errand` are the caller's to set. */
void tow__acme_run_init(struct acme_run *run, struct tow_loop *loop);
void tow__acme_run_start(struct acme_run *run, struct acme_errand *errand); /* takes it */
/* Ends what is under way without a word, and frees the errand. */
void tow__acme_run_stop(struct acme_run *run);

#endif
