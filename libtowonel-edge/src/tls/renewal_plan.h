/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_RENEWAL_PLAN_H
#define TOW_EDGE_TLS_RENEWAL_PLAN_H

/*
 * When to renew, as the authority would like it (RFC 9773): some of them ask for less traffic at
 * one time, or have to revoke what they have issued. All certificates of the issuer's are asked
 * about soon after the start and then several times a day, one after the other; a time within the
 * window that is suggested becomes the store's. Where nothing is offered, two thirds of a
 * certificate's life stay the plan.
 */

#include <towonel/tunnel/log.h>
#include "tls/acme_run.h"
#include "tls/cert_store.h"

struct renewal_plan {
	struct tow_loop *loop;
	struct tow_log *log;
	struct acme_account *account; /* borrowed, as the rest */
	struct cert_store *store;
	const char *directory;
	struct acme_run run;
	struct tow_timer timer;
	struct planned {
		char name[TOW_HOSTNAME_SIZE];
		uint64_t renew_at_ms;
	} *names; /* still to be asked about: the last first */
	size_t count;
};

/* The members up to `directory`, and run.http, are the caller's to set. */
void tow__renewal_plan_start(struct renewal_plan *plan);
void tow__renewal_plan_stop(struct renewal_plan *plan);

#endif
