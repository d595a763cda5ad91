/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/network_watch.h>

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <towonel/wire/error.h>

/* A new lease is several changes, and the last of them, the route, is the one that matters: each is
 * told at once. But a router's routes may change all the time. */
#define PER_SECOND     16
#define READS_PER_TURN 64

struct tow_network_watch {
	struct tow_loop *loop;
	void (*changed)(void *user);
	void *user;
	int fd;
	struct tow_io *io;
	struct tow_timer timer;
	uint64_t second;
	unsigned told; /* in that second */
};

static void tell(void *user)
{
	struct tow_network_watch *watch = user;
	uint64_t second = tow_loop_now_ns(watch->loop) / TOW_NSEC_PER_SEC;

	if (watch->second != second)
		watch->told = 0;
	watch->second = second;
	if (watch->told++ < PER_SECOND)
		watch->changed(watch->user);
	else
		tow_timer_start(&watch->timer, (second + 1) * TOW_NSEC_PER_SEC);
}

/* What the messages say is not looked at: it may no longer be so, and some may be lost. */
static void on_ready(void *user, int events)
{
	struct tow_network_watch *watch = user;
	char message[4096];
	int heard = 0;

	(void)events;
	for (int i = 0; i < READS_PER_TURN; i++) {
		if (recv(watch->fd, message, sizeof message, MSG_DONTWAIT) < 0 && errno != ENOBUFS)
			break;
		heard = 1;
	}
	if (heard)
		tell(watch);
}

static int open_socket(void)
{
	struct sockaddr_nl groups = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
		             RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&groups, sizeof groups) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int tow_network_watch_new(struct tow_loop *loop, void (*changed)(void *user), void *user,
                          struct tow_network_watch **out)
{
	struct tow_network_watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return TOW_ENOMEM;
	watch->loop = loop;
	watch->changed = changed;
	watch->user = user;
	tow_timer_init(&watch->timer, loop, tell, watch);
	watch->fd = open_socket();
	if (watch->fd < 0) {
		free(watch);
		return TOW_EIO;
	}
	watch->io = tow_io_new(loop, watch->fd, on_ready, watch);
	if (!watch->io) {
		close(watch->fd);
		free(watch);
		return TOW_ENOMEM;
	}
	tow_io_watch(watch->io, TOW_IO_READ);
	*out = watch;
	return 0;
}

void tow_network_watch_free(struct tow_network_watch *watch)
{
	if (!watch)
		return;
	tow_timer_stop(&watch->timer);
	tow_io_free(watch->io);
	close(watch->fd);
	free(watch);
}
