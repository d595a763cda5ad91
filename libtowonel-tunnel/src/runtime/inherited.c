/* SPDX-License-Identifier: MIT */
#include "runtime/inherited.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include <towonel/tunnel/tcp.h>

#include "loop/loop.h"
#include "tcp/socket.h"

#define ACTIVATED_FIRST 3
#define ACTIVATED_MAX   4096

struct inherited_socket {
	int fd, channel;
	int type, family;
	struct tow_addr addr;
};

struct tow_inherited {
	pthread_mutex_t lock;
	struct inherited_socket *sockets; /* in the order added */
	size_t count, cap;
};

struct tow_inherited *tow_inherited_new(void)
{
	struct tow_inherited *set = calloc(1, sizeof *set);

	if (set)
		pthread_mutex_init(&set->lock, NULL);
	return set;
}

static void close_both(int fd, int channel)
{
	close(fd);
	if (channel >= 0)
		close(channel);
}

void tow_inherited_free(struct tow_inherited *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->count; i++)
		close_both(set->sockets[i].fd, set->sockets[i].channel);
	free(set->sockets);
	pthread_mutex_destroy(&set->lock);
	free(set);
}

static int examine(int fd, struct inherited_socket *out)
{
	struct sockaddr_storage sa;
	socklen_t addr_len = sizeof sa, type_len = sizeof out->type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &out->type, &type_len) ||
	    getsockname(fd, (struct sockaddr *)&sa, &addr_len) ||
	    tow_addr_from_sockaddr((struct sockaddr *)&sa, &out->addr) || !out->addr.port)
		return TOW_EINVAL;
	out->family = sa.ss_family;
	/* what binds sockets here makes them so */
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return 0;
}

int tow_inherited_add(struct tow_inherited *set, int fd, int channel)
{
	struct inherited_socket socket = { .fd = fd, .channel = channel }, *sockets;
	int rc = examine(fd, &socket);

	pthread_mutex_lock(&set->lock);
	if (!rc && set->count == set->cap) {
		sockets = reallocarray(set->sockets, set->cap + 16, sizeof *sockets);
		rc = sockets ? 0 : TOW_ENOMEM;
		if (sockets) {
			set->sockets = sockets;
			set->cap += 16;
		}
	}
	if (!rc)
		set->sockets[set->count++] = socket;
	pthread_mutex_unlock(&set->lock);
	if (rc)
		close_both(fd, channel);
	return rc;
}

size_t tow_inherited_add_activated(struct tow_inherited *set)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	size_t added = 0;

	if (pid && fds && strtoul(pid, NULL, 10) == (unsigned long)getpid()) {
		unsigned long count = strtoul(fds, NULL, 10);

		for (unsigned long i = 0; i < count && i < ACTIVATED_MAX; i++)
			if (!tow_inherited_add(set, (int)(ACTIVATED_FIRST + i), -1))
				added++;
	}
	/* they are not for what this process may start */
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return added;
}

size_t tow_inherited_left(struct tow_inherited *set)
{
	size_t count;

	pthread_mutex_lock(&set->lock);
	count = set->count;
	pthread_mutex_unlock(&set->lock);
	return count;
}

void tow_inherited_addr(struct tow_inherited *set, size_t i, struct tow_addr *out)
{
	pthread_mutex_lock(&set->lock);
	*out = i < set->count ? set->sockets[i].addr : (struct tow_addr){ .family = 0 };
	pthread_mutex_unlock(&set->lock);
}

static int fits(const struct inherited_socket *socket, int type, const struct tow_addr *addr)
{
	return socket->type == type && socket->addr.port == addr->port &&
	       (tow_addr_same_host(&socket->addr, addr) ||
	        (tow__addr_is_any(&socket->addr) && tow__addr_is_any(addr)));
}

size_t tow_inherited_count(struct tow_inherited *set, int type, const struct tow_addr *addr)
{
	size_t count = 0;

	pthread_mutex_lock(&set->lock);
	for (size_t i = 0; i < set->count; i++)
		count += fits(&set->sockets[i], type, addr) != 0;
	pthread_mutex_unlock(&set->lock);
	return count;
}

int tow__inherited_take(struct tow_inherited *set, int type, const struct tow_addr *addr,
                        int *family, int *channel)
{
	int fd = -1;

	if (!set || !addr->port)
		return -1;
	pthread_mutex_lock(&set->lock);
	for (size_t i = 0; i < set->count && fd < 0; i++) {
		struct inherited_socket *socket = &set->sockets[i];

		if (!fits(socket, type, addr))
			continue;
		fd = socket->fd;
		*family = socket->family;
		if (channel)
			*channel = socket->channel;
		memmove(socket, socket + 1, (--set->count - i) * sizeof *socket);
	}
	pthread_mutex_unlock(&set->lock);
	return fd;
}

/* --- what is bound on a loop, and those beside it --- */

/* One thread has them all, until go_on. Returns 0, or what stands in the way. */
static int pause_others(struct tow_loop *loop)
{
	return loop->pause ? loop->pause(loop->pause_user) : 0;
}

static void go_on(struct tow_loop *loop)
{
	if (loop->go_on)
		loop->go_on(loop->pause_user);
}

void tow_loop_set_inherited(struct tow_loop *loop, struct tow_inherited *set)
{
	int paused = pause_others(loop) == 0;

	for (struct tow_loop *l = loop; l; l = l->beside)
		l->inherited = set;
	if (paused)
		go_on(loop);
}

void tow__bound_enter(struct tow_loop *loop, struct tow__bound *bound)
{
	DL_APPEND(loop->bound, bound);
}

void tow__bound_leave(struct tow_loop *loop, struct tow__bound *bound)
{
	DL_DELETE(loop->bound, bound);
}

static int lend_all(struct tow_loop *loop, int (*give)(void *user, int fd, int channel), void *user)
{
	struct tow__bound *bound;
	int rc = 0;

	DL_FOREACH(loop->bound, bound)
	{
		int fd, channel = -1;

		rc = bound->lend(bound->owner, &fd, &channel);
		if (!rc)
			rc = give(user, fd, channel);
		if (channel >= 0)
			close(channel);
		if (rc)
			break;
	}
	return rc;
}

int tow_loop_lend(struct tow_loop *loop, int (*give)(void *user, int fd, int channel), void *user)
{
	int rc = pause_others(loop);

	if (rc)
		return rc;
	for (struct tow_loop *l = loop; l && !rc; l = l->beside)
		rc = lend_all(l, give, user);
	go_on(loop);
	return rc;
}

void tow_loop_hold(struct tow_loop *loop)
{
	loop->held = 1;
}

static void release_all(struct tow_loop *loop)
{
	struct tow__bound *bound;

	loop->held = 0;
	DL_FOREACH(loop->bound, bound)
	bound->release(bound->owner);
}

void tow_loop_release(struct tow_loop *loop)
{
	int paused = pause_others(loop) == 0;

	for (struct tow_loop *l = loop; l; l = l->beside)
		release_all(l);
	if (paused)
		go_on(loop);
}
