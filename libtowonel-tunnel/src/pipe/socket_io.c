/* SPDX-License-Identifier: MIT */
#include "pipe/socket_io.h"

#include <errno.h>
#include <sys/socket.h>

int tow__socket_receive(int fd, struct tow_tls *tls, void *to, size_t cap, size_t *n, int *waits)
{
	ssize_t got;
	int status;

	if (tls) {
		status = tow_tls_read(tls, to, cap, n);
		if (status == TOW_BLOCKED)
			*waits = tow_tls_events(tls);
		return status;
	}
	do
		got = recv(fd, to, cap, 0);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		*n = (size_t)got;
		return 0;
	}
	if (!got)
		return TOW_EOF;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		return TOW_ERESET;
	*waits = TOW_IO_READ;
	return TOW_BLOCKED;
}

int tow__socket_transmit(int fd, struct tow_tls *tls, struct tow_slice bytes, size_t *n, int *waits)
{
	ssize_t put;
	int status;

	if (tls) {
		status = tow_tls_write(tls, bytes.base, bytes.len, n);
		if (status == TOW_BLOCKED)
			*waits = tow_tls_events(tls);
		return status;
	}
	do
		put = send(fd, bytes.base, bytes.len, MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	if (put >= 0) {
		*n = (size_t)put;
		return 0;
	}
	if (errno == EPIPE)
		return TOW_ECLOSED;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		return TOW_ERESET;
	*waits = TOW_IO_WRITE;
	return TOW_BLOCKED;
}
