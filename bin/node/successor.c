/* SPDX-License-Identifier: MIT */
#include "node/successor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <towonel/tunnel/inherited.h>
#include <towonel/wire/identity.h>

#include "node/parley.h"

#define KEPT_MAX 256

enum state {
	ABSENT,
	LENT,
	HUB_CLOSING,
	HUB_CLOSED,
	YIELDED,
	GONE,
};

/* A connection for the hub. */
struct kept {
	int fd;
	struct tow_addr peer;
	struct tow_buf early;
};

struct successor {
	struct successor_config config;
	enum state state;
	int listener, fd, pid; /* -1: none */
	struct tow_io *listener_io, *io;
	struct tow_inherited *mine; /* of what was lent: to open it again */
	size_t lent;
	int reopen; /* it has failed while the hub was closing */
	struct kept *kept;
	size_t kept_count;
};

/* --- connections that wait for the hub --- */

static void forget_kept(struct successor *s)
{
	for (size_t i = 0; i < s->kept_count; i++)
		tow_buf_deinit(&s->kept[i].early);
	free(s->kept);
	s->kept = NULL;
	s->kept_count = 0;
}

static void take_back_kept(struct successor *s)
{
	for (size_t i = 0; i < s->kept_count; i++)
		s->config.adopt(s->config.user, s->kept[i].fd, &s->kept[i].peer,
		                tow_buf_peek(&s->kept[i].early));
	forget_kept(s);
}

static void send_kept(struct successor *s)
{
	char peer[TOW_ADDR_TEXT_SIZE];
	for (size_t i = 0; i < s->kept_count; i++) {
		struct kept *kept = &s->kept[i];
		struct tow_slice early = tow_buf_peek(&kept->early);
		char *text = malloc(TOW_BASE64URL_SIZE(early.len));
		if (text)
			parley_send(s->fd,
			            json_pack("{s:s,s:s}", "visitor",
			                      tow_addr_format(&kept->peer, peer), "early",
			                      tow_base64url_encode(early.base, early.len, text)),
			            &kept->fd, 1);
		free(text);
		tow_loop_disown(s->config.loop, kept->fd);
		close(kept->fd);
	}
	forget_kept(s);
}

void successor_keep(struct successor *s, int fd, const struct tow_addr *peer,
                    struct tow_slice early)
{
	struct kept *kept = s->kept_count < KEPT_MAX
	                            ? reallocarray(s->kept, s->kept_count + 1, sizeof *kept)
	                            : NULL;
	if (kept) {
		s->kept = kept;
		kept += s->kept_count;
		*kept = (struct kept){ .fd = fd, .peer = *peer };
	}
	if (!kept || tow_buf_append(&kept->early, early.base, early.len) != 0) {
		close(fd);
		return;
	}
	s->kept_count++;
	if (s->state == GONE)
		send_kept(s);
}

/* --- it comes and goes --- */

static void hang_up(struct successor *s)
{
	if (s->io)
		tow_io_free(s->io);
	if (s->fd >= 0)
		close(s->fd);
	s->io = NULL;
	s->fd = -1;
}

static void reopen(struct successor *s, int hub_closed)
{
	tow_loop_set_inherited(s->config.loop, s->mine);
	s->config.failed(s->config.user, hub_closed);
	tow_loop_set_inherited(s->config.loop, NULL);
	tow_inherited_free(s->mine);
	s->mine = NULL;
	take_back_kept(s);
}

static void wait_for_one(struct successor *s);

static void lost(struct successor *s)
{
	enum state state = s->state;

	hang_up(s);
	s->state = ABSENT;
	if (state == GONE) /* what this one still has may be needed by the next */
		wait_for_one(s);
	if (state == GONE || state == ABSENT)
		return;
	tow_log_error(s->config.log,
	              "the process that was to take over has failed; this one goes on",
	              tow_f_int("pid", s->pid));
	if (state == HUB_CLOSING) {
		s->state = HUB_CLOSING; /* to the end, and then back */
		s->reopen = 1;
	} else {
		reopen(s, state != LENT);
	}
}

void successor_hub_closed(struct successor *s)
{
	if (s->state != HUB_CLOSING)
		return;
	if (s->reopen) {
		s->reopen = 0;
		s->state = ABSENT;
		reopen(s, 1);
		return;
	}
	s->state = HUB_CLOSED;
	if (parley_send(s->fd, json_pack("{s:s}", "hub", "stopped"), NULL, 0) != 0)
		lost(s);
}

static int give(void *user, int fd, int channel)
{
	struct successor *s = user;
	const int fds[] = { fd, channel };
	if (channel < 0 && tow_inherited_add(s->mine, dup(fd), -1) != 0)
		return TOW_ENOMEM;
	s->lent++;
	return parley_send(s->fd, json_pack("{s:b}", "socket", 1), fds, channel < 0 ? 1 : 2);
}

static int lend(struct successor *s, uint64_t version)
{
	const char *manager = getenv("NOTIFY_SOCKET"), *watchdog = getenv("WATCHDOG_USEC");
	if (s->state != ABSENT || version != PARLEY_VERSION)
		return TOW_EVERSION;
	tow_log_info(s->config.log, "another process wants to take over", tow_f_int("pid", s->pid));
	s->state = LENT;
	s->lent = 0;
	s->mine = tow_inherited_new();
	int rc = s->mine ? tow_loop_lend(s->config.loop, give, s) : TOW_ENOMEM;
	if (rc != 0)
		return rc;
	return parley_send(s->fd,
	                   json_pack("{s:I,s:s,s:s}", "lent", (json_int_t)s->lent, "notify_socket",
	                             manager ? manager : "", "watchdog_usec",
	                             watchdog ? watchdog : ""),
	                   NULL, 0);
}

static int commit(struct successor *s)
{
	send_kept(s);
	s->state = GONE;
	/* it listens at the same path from now on */
	tow_io_free(s->listener_io);
	close(s->listener);
	s->listener_io = NULL;
	s->listener = -1;
	tow_inherited_free(s->mine);
	s->mine = NULL;
	s->config.commit(s->config.user, s->pid);
	return parley_send(s->fd, json_pack("{s:b}", "done", 1), NULL, 0);
}

static int obey(struct successor *s, const struct parley_message *message)
{
	if (message->word == PARLEY_LEND)
		return lend(s, message->number);
	if (message->word == PARLEY_HUB && s->state == LENT) {
		s->state = HUB_CLOSING;
		s->config.close_hub(s->config.user);
		return 0;
	}
	if (message->word == PARLEY_YIELD && s->state == HUB_CLOSED) {
		s->state = YIELDED;
		size_t agents = s->config.yield(s->config.user);
		return parley_send(s->fd, json_pack("{s:I}", "agents", (json_int_t)agents), NULL,
		                   0);
	}
	if (message->word == PARLEY_COMMIT && s->state == YIELDED)
		return commit(s);
	return TOW_EPARSE;
}

static void on_message(void *user, int events)
{
	struct successor *s = user;
	int fds[PARLEY_FDS_MAX], rc;
	struct parley_message message;
	size_t count;

	(void)events;
	rc = parley_receive(s->fd, 0, &message, fds, &count);
	if (rc == TOW_BLOCKED)
		return;
	if (rc == 0) {
		while (count > 0)
			close(fds[--count]);
		rc = obey(s, &message);
		parley_message_deinit(&message);
	}
	if (rc != 0)
		lost(s);
}

static void on_visit(void *user, int events)
{
	struct successor *s = user;
	int fd, pid, rc = parley_accept(s->listener, &fd, &pid);

	(void)events;
	if (rc == TOW_EDENIED)
		tow_log_warn(s->config.log, "somebody else's process wanted to take over");
	if (rc != 0)
		return;
	if (s->state != ABSENT) { /* one at a time */
		close(fd);
		return;
	}
	hang_up(s); /* on one who has said nothing */
	s->fd = fd;
	s->pid = pid;
	s->io = tow_io_new(s->config.loop, fd, on_message, s);
	if (s->io)
		tow_io_watch(s->io, TOW_IO_READ);
	else
		hang_up(s);
}

static void wait_for_one(struct successor *s)
{
	struct tow_error err;
	if (parley_listen(s->config.data_dir, &s->listener, &err) != 0) {
		tow_log_warn(s->config.log,
		             "no other process will be able to take over from this one",
		             tow_f_err(&err));
		s->listener = -1;
		return;
	}
	s->listener_io = tow_io_new(s->config.loop, s->listener, on_visit, s);
	if (s->listener_io)
		tow_io_watch(s->listener_io, TOW_IO_READ);
}

struct successor *successor_new(const struct successor_config *config)
{
	struct successor *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->config = *config;
	s->listener = s->fd = -1;
	wait_for_one(s);
	return s;
}

void successor_free(struct successor *s)
{
	if (!s)
		return;
	hang_up(s);
	if (s->listener_io)
		tow_io_free(s->listener_io);
	if (s->listener >= 0)
		close(s->listener);
	for (size_t i = 0; i < s->kept_count; i++)
		close(s->kept[i].fd);
	forget_kept(s);
	tow_inherited_free(s->mine);
	free(s);
}
