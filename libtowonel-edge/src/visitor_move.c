/* SPDX-License-Identifier: MIT */

/*
 * A visitor goes to another worker: to one that has a tunnel of the agent that it wants, or to the
 * first for what only that one has. Between two workers it is a letter's: no socket is watched, no
 * clock runs, and the limits count it on.
 *
 *     run() ─ returns MOVE, having said where to and as what
 *       '─► depart: leaves the worker ──mail──► arrive: joins the other, and goes on
 */

#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>
#include "visitor_private.h"

enum state tow__visitor_move(struct visitor *v, unsigned to, enum state as)
{
	v->opening->move_to = to;
	v->opening->move_as = as;
	v->opening->moves++;
	return MOVE;
}

static void arrive(struct worker *w, void *message)
{
	struct visitor *v = *(struct visitor **)message;

	v->worker = w;
	w->early += v->opening->early;
	tow__dial_moved(&v->opening->dial, w);
	tow__visitor_join(v);
	v->state = v->opening->move_as;
	if (v->state == HANDSHAKE)
		atomic_fetch_add(&w->all->handshakes, 1);
	v->readable = 1; /* or was, on the way */
	if (w->ended || v->io == NULL || tow__visitor_restart_timer(v) != 0)
		v->aborted = 1;
	else
		tow_io_watch(v->io, TOW_IO_READ);
	tow__visitor_step(v);
}

void tow__visitor_depart(struct visitor *v)
{
	struct worker *w = v->worker, *to = &w->all->list[v->opening->move_to];

	tow_timer_stop(&v->timer);
	if (v->opening->move_as == ROUTE) { /* where it is looked up anew whose visitor it is */
		tow__tenants_leave(&w->all->tenants, v->use);
		v->use = NULL;
	}
	w->early -= v->opening->early;
	tow_io_free(v->io);
	tow_loop_disown(w->loop, v->fd);
	v->io = NULL;
	DL_DELETE(w->visitors, v);
	v->stepping = 0;
	tow_metric_inc(w->metrics.handed_over);
	if (tow__worker_mail(to, arrive, &v, sizeof(struct visitor *)) == 0)
		return;
	/* Out of memory: it stays, and goes. */
	DL_PREPEND(w->visitors, v);
	w->early += v->opening->early;
	v->aborted = 1;
	tow__visitor_step(v);
}
