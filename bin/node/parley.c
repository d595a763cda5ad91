/* SPDX-License-Identifier: MIT */
#include "node/parley.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <towonel/wire/limits.h>

#define PATIENCE_S 30

static int make_address(const char *data_dir, struct sockaddr_un *out, struct tow_error *err)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int len = snprintf(out->sun_path, sizeof out->sun_path, "%s/node.sock", data_dir);
	return len < (int)sizeof out->sun_path
	               ? 0
	               : tow_error_set(err, TOW_ETOOBIG, "%s/node.sock is too long for a socket",
	                               data_dir);
}

static int fail(const char *path, struct tow_error *err)
{
	int code = errno == EACCES || errno == EPERM          ? TOW_EDENIED
	           : errno == ENOENT || errno == ECONNREFUSED ? TOW_ENOTFOUND
	                                                      : TOW_EIO;
	return tow_error_set(err, code, "%s: %s", path, strerror(errno));
}

static int new_socket(int type)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | type, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	}
	return fd;
}

int parley_connect(const char *data_dir, int *out, struct tow_error *err)
{
	struct sockaddr_un address;
	int rc = make_address(data_dir, &address, err);
	if (rc != 0)
		return rc;
	int fd = new_socket(0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		rc = fail(address.sun_path, err);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

int parley_listen(const char *data_dir, int *out, struct tow_error *err)
{
	struct sockaddr_un address, aside;
	int other, rc = make_address(data_dir, &address, err);
	if (rc == 0)
		rc = make_address(data_dir, &aside, err);
	if (rc != 0)
		return rc;
	if (parley_connect(data_dir, &other, NULL) == 0) {
		close(other);
		return tow_error_set(err, TOW_EADDRINUSE, "%s: another process listens there",
		                     address.sun_path);
	}
	/* bound aside, so that it has its mode when it can be found, and is there all the time */
	memcpy(aside.sun_path + strlen(aside.sun_path) - 4, "new", 4);
	unlink(aside.sun_path);
	int fd = new_socket(SOCK_NONBLOCK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&aside, sizeof aside) != 0 ||
	    chmod(aside.sun_path, 0600) != 0 || listen(fd, 4) != 0 ||
	    rename(aside.sun_path, address.sun_path) != 0) {
		rc = fail(address.sun_path, err);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

int parley_accept(int listener, int *out, int *pid)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct ucred peer;
	socklen_t len = sizeof peer;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return TOW_BLOCKED;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
	    (peer.uid != geteuid() && peer.uid != 0)) {
		close(fd);
		return TOW_EDENIED;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	*out = fd;
	*pid = (int)peer.pid;
	return 0;
}

int parley_send(int fd, json_t *message, const int *fds, size_t count)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(PARLEY_FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct iovec part = { text, text ? strlen(text) : 0 };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n = -1;

	json_decref(message);
	if (!text)
		return TOW_ENOMEM;
	if (count > 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	do {
		n = sendmsg(fd, &header, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	free(text);
	return n >= 0 ? 0 : TOW_EIO;
}

/* As many as there are: no message of ours has more than there is room for. */
static size_t take_fds(struct msghdr *header, int fds[PARLEY_FDS_MAX])
{
	size_t count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (count < PARLEY_FDS_MAX)
				fds[count++] = fd;
			else
				close(fd);
		}
	}
	return count;
}

int parley_receive(int fd, int wait, struct parley_message *message, int fds[PARLEY_FDS_MAX],
                   size_t *count)
{
	static char text[TOW_HANDOVER_MESSAGE_MAX];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(PARLEY_FDS_MAX * sizeof(int))];
	} control;
	struct iovec part = { text, sizeof text };
	struct msghdr header = { .msg_iov = &part,
		                 .msg_iovlen = 1,
		                 .msg_control = control.bytes,
		                 .msg_controllen = sizeof control };
	ssize_t n;
	int rc;

	do {
		n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? TOW_BLOCKED : TOW_EOF;
	if (n == 0)
		return TOW_EOF;
	*count = take_fds(&header, fds);
	rc = header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)
	             ? TOW_EPARSE
	             : parley_message_read(tow_slice_make(text, (size_t)n), message);
	while (rc != 0 && *count > 0)
		close(fds[--*count]);
	return rc;
}
