/* SPDX-License-Identifier: MIT */

#include "tls/renewal_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include "tls/cert_files.h"

static void rest(struct renewal_plan *plan)
{
	free(plan->names);
	plan->names = NULL;
	plan->count = 0;
	tow_timer_start_in(&plan->timer, TOW_ACME_RENEWAL_CHECK_MS * TOW_NSEC_PER_MSEC);
}

/* Asks about the last name of the list that has a certificate to be asked about. */
static void ask(struct renewal_plan *plan)
{
	struct acme_errand *errand = NULL;

	while (plan->count > 0 && errand == NULL) {
		struct tow_buf chain = { NULL, 0, 0, 0 };
		char id[ACME_RENEWAL_ID_SIZE];

		if (tow__cert_files_read_chain(plan->directory, plan->names[plan->count - 1].name,
		                               &chain) != 0 ||
		    tow_tls_certificate_renewal_id(tow_buf_peek(&chain), id, sizeof(id)) != 0 ||
		    tow__acme_renewal_info(plan->account, id, &errand) != 0)
			plan->count--;
		tow_buf_deinit(&chain);
	}
	if (errand != NULL)
		tow__acme_run_start(&plan->run, errand);
	else
		rest(plan);
}

/* Whoever has a time within the window keeps it. */
static void take_window(struct renewal_plan *plan, const struct planned *planned,
                        struct acme_window window)
{
	uint64_t random, at;

	if (planned->renew_at_ms >= window.start_ms && planned->renew_at_ms <= window.end_ms)
		return;
	tow_random(&random, sizeof(random));
	at = window.start_ms + random % (window.end_ms - window.start_ms + 1);
	tow_log_info(plan->log, "the authority suggests when to renew a certificate",
	             tow_f_str("name", planned->name), tow_f_uint("renew_at_ms", at));
	tow__cert_store_renew_at(plan->store, planned->name, at);
}

static void on_done(void *user, enum acme_step how)
{
	struct renewal_plan *plan = user;
	struct acme_window window = { 0, 0 };

	if (how == ACME_DONE)
		window = tow__acme_errand_window(plan->run.errand);
	else
		tow_log_debug(plan->log, "no suggestion when to renew a certificate",
		              tow_f_str("name", plan->names[plan->count - 1].name),
		              tow_f_str("reason",
		                        tow__acme_errand_failure(plan->run.errand)->reason));
	tow__acme_run_stop(&plan->run);
	plan->count--;
	if (window.end_ms != 0)
		take_window(plan, &plan->names[plan->count], window);
	else if (how == ACME_DONE) /* nothing is offered here */
		plan->count = 0;
	ask(plan);
}

static void list_name(void *user, const struct cert_info *info)
{
	struct renewal_plan *plan = user;
	struct planned *more;

	if (!info->issued || info->state != CERT_SERVED)
		return;
	more = realloc(plan->names, (plan->count + 1) * sizeof(*more));
	if (more == NULL)
		return;
	plan->names = more;
	more += plan->count++;
	snprintf(more->name, sizeof(more->name), "%s", info->name);
	more->renew_at_ms = info->next_try_ms;
}

static void on_timer(void *user)
{
	struct renewal_plan *plan = user;

	tow__cert_store_each(plan->store, list_name, plan);
	ask(plan);
}

void tow__renewal_plan_start(struct renewal_plan *plan)
{
	plan->run.done = on_done;
	plan->run.user = plan;
	tow__acme_run_init(&plan->run, plan->loop);
	tow_timer_init(&plan->timer, plan->loop, on_timer, plan);
	tow_timer_start_in(&plan->timer, TOW_ACME_RENEWAL_FIRST_MS * TOW_NSEC_PER_MSEC);
}

void tow__renewal_plan_stop(struct renewal_plan *plan)
{
	if (plan->run.done == NULL) /* was not started */
		return;
	tow__acme_run_stop(&plan->run);
	tow_timer_stop(&plan->timer);
	free(plan->names);
}
