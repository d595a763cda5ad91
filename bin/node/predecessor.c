/* SPDX-License-Identifier: MIT */
#include "node/predecessor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <towonel/tunnel/loop.h>
#include <towonel/wire/identity.h>

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
static void take_manager(const json_t *lent)
{
	const char *socket = json_string_value(json_object_get(lent, "notify_socket"));
	const char *watchdog = json_string_value(json_object_get(lent, "watchdog_usec"));
	if (socket && socket[0])
		setenv("NOTIFY_SOCKET", socket, 1);
	if (watchdog && watchdog[0])
		setenv("WATCHDOG_USEC", watchdog, 1);
	unsetenv("WATCHDOG_PID");
}

/* Returns 0 after the last one. */
static int take_sockets(struct predecessor *p, struct tow_inherited *set)
{
	int fds[PARLEY_FDS_MAX], rc;
	json_t *message;
	size_t count;
	for (;;) {
		rc = parley_receive(p->fd, 1, &message, fds, &count);
		if (rc != 0)
			return rc;
		int last = json_object_get(message, "lent") != NULL;
		if (last)
			take_manager(message);
		json_decref(message);
		if (last)
			return 0;
		if (count > 0)
			rc = tow_inherited_add(set, fds[0], count > 1 ? fds[1] : -1);
		if (rc == TOW_ENOMEM)
			return rc;
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
	json_t *message;
	size_t count;
	int rc = ask(p, "hub");
	if (rc == 0)
		rc = parley_receive(p->fd, 1, &message, fds, &count);
	if (rc != 0)
		return tow_error_set(err, TOW_EIO,
		                     "the node that runs does not close its hub, or has ended");
	while (count > 0)
		close(fds[--count]);
	json_decref(message);
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

static void take_visitor(struct predecessor *p, const json_t *message, int fd)
{
	const char *peer_text = json_string_value(json_object_get(message, "visitor"));
	const char *text = json_string_value(json_object_get(message, "early"));
	size_t cap = text ? strlen(text) : 0;
	uint8_t *early = malloc(cap + 1);
	struct tow_addr peer;
	int len = early && text ? tow_base64url_decode(tow_slice_of(text), early, cap) : -1;
	if (len >= 0 && peer_text && tow_addr_parse(tow_slice_of(peer_text), &peer) == 0)
		p->relief.adopt(p->relief.user, fd, &peer, tow_slice_make(early, (size_t)len));
	else
		close(fd);
	free(early);
}

static void heed(struct predecessor *p, const json_t *message)
{
	const json_t *agents = json_object_get(message, "agents");
	if (agents && p->state == ASKED) {
		p->state = AGENTS;
		p->agents = (size_t)json_integer_value(agents);
		p->seen_ns = p->begun_ns = tow_now_ns();
		look(p);
	} else if (json_object_get(message, "done") && p->state == COMMITTED) {
		finish(p);
	}
}

static void on_message(void *user, int events)
{
	struct predecessor *p = user;
	int fds[PARLEY_FDS_MAX], rc;
	json_t *message;
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
	if (count == 1 && json_object_get(message, "visitor"))
		take_visitor(p, message, fds[--count]);
	while (count > 0)
		close(fds[--count]);
	heed(p, message);
	json_decref(message);
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
