/* SPDX-License-Identifier: MIT */
#include "node/predecessor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <towonel/tunnel/loop.h>

#include "node/parley.h"

#define LOOK_NS     (20 * TOW_NSEC_PER_MSEC)
#define STALLED_NS  (3 * TOW_NSEC_PER_SEC) /* since the last agent came */
#define AGENTS_NS   (20 * TOW_NSEC_PER_SEC)
#define PATIENCE_NS (30 * TOW_NSEC_PER_SEC) /* for an answer of its loop */

enum state {
	ASKED, /* it is told to send the agents here */
	AGENTS,
	COMMITTED,
	DONE,
};

struct predecessor {
	int fd, pid;
	struct predecessor_relief relief;
	enum state state;
	struct tow_io *io;
	struct tow_timer timer;
	size_t agents, seen; /* that it had, and that are here */
	uint64_t seen_ns, begun_ns;
};

static int ask(const struct predecessor *p, const char *what)
{
	return parley_send(p->fd, json_pack("{s:s,s:i}", "do", what, "version", PARLEY_VERSION),
	                   NULL, 0);
}

/* The service manager speaks of one process, and is to be spoken to by it. */
static void take_manager(const struct parley_message *lent)
{
	if (lent->notify_socket[0])
		setenv("NOTIFY_SOCKET", lent->notify_socket, 1);
	if (lent->watchdog_usec[0])
		setenv("WATCHDOG_USEC", lent->watchdog_usec, 1);
	unsetenv("WATCHDOG_PID");
}

/* On those that nobody expected. */
static void hang_up_on(const int *fds, size_t count)
{
	while (count > 0)
		close(fds[--count]);
}

/* Returns 0 after the last one. */
static int take_sockets(struct predecessor *p, struct tow_inherited *set)
{
	int fds[PARLEY_FDS_MAX], rc;
	struct parley_message message;
	size_t count;
	for (;;) {
		rc = parley_receive(p->fd, 1, &message, fds, &count);
		if (rc != 0)
			return rc;
		if (message.word == PARLEY_SOCKET && count > 0) {
			rc = tow_inherited_add(set, fds[0], count > 1 ? fds[1] : -1);
			count = 0;
		}
		hang_up_on(fds, count);
		parley_message_deinit(&message);
		if (rc == TOW_ENOMEM)
			return rc;
		if (message.word == PARLEY_LENT) {
			take_manager(&message);
			return 0;
		}
	}
}

int predecessor_find(const char *data_dir, struct tow_inherited *set, struct predecessor **out,
                     struct tow_error *err)
{
	struct predecessor *p = calloc(1, sizeof *p);
	struct ucred peer = { 0 };
	socklen_t len = sizeof peer;
	if (!p)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	int rc = parley_connect(data_dir, &p->fd, err);
	if (rc != 0) {
		free(p);
		return rc == TOW_ENOTFOUND
		               ? tow_error_set(err, rc, "no node runs in %s to take over from",
		                               data_dir)
		               : rc;
	}
	getsockopt(p->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	p->pid = (int)peer.pid;
	if (peer.uid != geteuid()) { /* what this one wrote, the next could not read */
		predecessor_free(p);
		return tow_error_set(err, TOW_EDENIED,
		                     "the node in %s runs as another user: take over as that one",
		                     data_dir);
	}
	rc = ask(p, "lend");
	if (rc == 0)
		rc = take_sockets(p, set);
	if (rc != 0) {
		predecessor_free(p);
		return tow_error_set(err, TOW_EIO, "the node that runs in %s does not give way",
		                     data_dir);
	}
	*out = p;
	return 0;
}

int predecessor_stop_hub(struct predecessor *p, struct tow_error *err)
{
	int fds[PARLEY_FDS_MAX];
	struct parley_message message;
	size_t count;
	int rc = ask(p, "hub");
	if (rc == 0)
		rc = parley_receive(p->fd, 1, &message, fds, &count);
	if (rc == 0) {
		hang_up_on(fds, count);
		parley_message_deinit(&message);
		if (message.word != PARLEY_HUB_STOPPED)
			rc = TOW_EPARSE;
	}
	if (rc != 0)
		return tow_error_set(err, TOW_EIO,
		                     "the node that runs does not close its hub, or has ended");
	return 0;
}

/* --- on the loop --- */

static void finish(struct predecessor *p)
{
	if (p->state == DONE)
		return;
	p->state = DONE;
	tow_timer_stop(&p->timer);
	p->relief.done(p->relief.user);
}

static void give_up(struct predecessor *p)
{
	tow_log_warn(p->relief.log, "the process before has ended, or says nothing: going on alone",
	             tow_f_int("pid", p->pid));
	finish(p);
}

static void commit(struct predecessor *p)
{
	p->state = COMMITTED;
	if (ask(p, "commit") != 0)
		give_up(p);
	else
		tow_timer_start_in(&p->timer, PATIENCE_NS);
}

/* Are the agents here, or will those that are not be long? */
static void look(void *user)
{
	struct predecessor *p = user;
	uint64_t now = tow_now_ns();
	size_t here;

	if (p->state != AGENTS) {
		give_up(p);
		return;
	}
	here = p->relief.agents(p->relief.user);
	if (here > p->seen)
		p->seen_ns = now;
	p->seen = here;
	if (here < p->agents && now - p->seen_ns < STALLED_NS && now - p->begun_ns < AGENTS_NS) {
		tow_timer_start_in(&p->timer, LOOK_NS);
		return;
	}
	if (here < p->agents)
		tow_log_warn(p->relief.log, "some agents have not come over",
		             tow_f_uint("here", here), tow_f_uint("there", p->agents));
	commit(p);
}

static void heed(struct predecessor *p, const struct parley_message *message)
{
	if (message->word == PARLEY_AGENTS && p->state == ASKED) {
		p->state = AGENTS;
		p->agents = message->number;
		p->seen_ns = p->begun_ns = tow_now_ns();
		look(p);
	} else if (message->word == PARLEY_DONE && p->state == COMMITTED) {
		finish(p);
	}
}

static void on_message(void *user, int events)
{
	struct predecessor *p = user;
	int fds[PARLEY_FDS_MAX], rc;
	struct parley_message message;
	size_t count;

	(void)events;
	rc = parley_receive(p->fd, 0, &message, fds, &count);
	if (rc == TOW_BLOCKED)
		return;
	if (rc != 0) {
		tow_io_free(p->io);
		p->io = NULL;
		if (p->state != DONE)
			give_up(p);
		return;
	}
	if (count == 1 && message.word == PARLEY_VISITOR)
		p->relief.adopt(p->relief.user, fds[--count], &message.visitor,
		                tow_buf_peek(&message.early));
	hang_up_on(fds, count);
	heed(p, &message);
	parley_message_deinit(&message);
}

void predecessor_relieve(struct predecessor *p, const struct predecessor_relief *relief)
{
	p->relief = *relief;
	tow_timer_init(&p->timer, relief->loop, look, p);
	p->io = tow_io_new(relief->loop, p->fd, on_message, p);
	if (!p->io || ask(p, "yield") != 0 || tow_timer_start_in(&p->timer, PATIENCE_NS) != 0) {
		give_up(p);
		return;
	}
	tow_io_watch(p->io, TOW_IO_READ);
}

int predecessor_pid(const struct predecessor *p)
{
	return p->pid;
}

void predecessor_free(struct predecessor *p)
{
	if (!p)
		return;
	if (p->relief.loop)
		tow_timer_stop(&p->timer);
	if (p->io)
		tow_io_free(p->io);
	close(p->fd);
	free(p);
}
