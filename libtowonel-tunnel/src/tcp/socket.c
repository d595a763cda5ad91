/* SPDX-License-Identifier: MIT */
#include "tcp/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include <towonel/wire/limits.h>

#include "runtime/inherited.h"

socklen_t tow_addr_to_sockaddr(const struct tow_addr *addr, struct sockaddr_storage *out)
{
	return tow__addr_to_sockaddr_for(addr->family == 6 ? AF_INET6 : AF_INET, addr, out);
}

socklen_t tow__addr_to_sockaddr_for(int family, const struct tow_addr *addr,
                                    struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	if (family == AF_INET) {
		memset(in, 0, sizeof *in);
		in->sin_family = AF_INET;
		in->sin_port = htons(addr->port);
		memcpy(&in->sin_addr, addr->bytes, 4);
		return sizeof *in;
	}
	memset(in6, 0, sizeof *in6);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(addr->port);
	if (addr->family == 4) {
		in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
		memcpy(in6->sin6_addr.s6_addr + 12, addr->bytes, 4);
	} else {
		memcpy(&in6->sin6_addr, addr->bytes, 16);
	}
	return sizeof *in6;
}

int tow_addr_from_sockaddr(const struct sockaddr *sa, struct tow_addr *out)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;

	if (sa->sa_family == AF_INET) {
		*out = (struct tow_addr){ .family = 4, .port = ntohs(in->sin_port) };
		memcpy(out->bytes, &in->sin_addr, 4);
		return 0;
	}
	if (sa->sa_family != AF_INET6)
		return TOW_EINVAL;
	*out = (struct tow_addr){ .family = 6, .port = ntohs(in6->sin6_port) };
	memcpy(out->bytes, &in6->sin6_addr, 16);
	tow_addr_unmap(out);
	return 0;
}

int tow__addr_is_any(const struct tow_addr *addr)
{
	static const uint8_t zero[16];

	return !memcmp(addr->bytes, zero, addr->family == 4 ? 4 : 16);
}

int tow__socket_error(int error_number)
{
	switch (error_number) {
	case EADDRINUSE: return TOW_EADDRINUSE;
	case EACCES:
	case EPERM: return TOW_EDENIED;
	case ECONNREFUSED: return TOW_EREFUSED;
	case ETIMEDOUT: return TOW_ETIMEDOUT;
	case ECONNRESET:
	case EPIPE: return TOW_ERESET;
	case ENOMEM:
	case ENOBUFS: return TOW_ENOMEM;
	default: return TOW_EIO;
	}
}

static int share_port(int fd)
{
	const int one = 1;

	return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
}

static int bind_family(const struct tow__bind *config, int family, const struct tow_addr *addr)
{
	struct sockaddr_storage sa;
	socklen_t len = tow__addr_to_sockaddr_for(family, addr, &sa);
	int one = 1, only6 = !config->dual_stack, saved_errno;
	int fd = socket(family, config->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof only6);
	/* A restarted server must not wait for its old connections to be forgotten. For UDP the
	 * same option would let another process take the port over. */
	if (config->type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if ((config->sharing == TOW_PORT_JOIN && share_port(fd)) ||
	    bind(fd, (struct sockaddr *)&sa, len) ||
	    (config->sharing == TOW_PORT_FOUND && share_port(fd))) {
		saved_errno = errno;
		close(fd);
		errno = saved_errno;
		return -1;
	}
	return fd;
}

int tow__socket_bind(const struct tow__bind *config, int *fd, int *family, int *channel,
                     struct tow_addr *bound, struct tow_error *err)
{
	const struct tow_addr any4 = { .family = 4, .port = config->addr.port };
	char text[TOW_ADDR_TEXT_SIZE];
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;

	*fd = tow__inherited_take(config->inherited, config->type, &config->addr, family, channel);
	if (*fd >= 0 && config->sharing == TOW_PORT_FOUND)
		share_port(*fd); /* whoever bound it did so alone */
	if (*fd < 0) {
		*family = config->addr.family == 6 ? AF_INET6 : AF_INET;
		*fd = bind_family(config, *family, &config->addr);
	}
	if (*fd < 0 && errno == EAFNOSUPPORT && config->dual_stack && *family == AF_INET6 &&
	    tow__addr_is_any(&config->addr)) {
		*family = AF_INET;
		*fd = bind_family(config, *family, &any4);
	}
	if (*fd < 0)
		return tow_error_set(err, tow__socket_error(errno), "cannot listen on %s %s: %s",
		                     config->type == SOCK_STREAM ? "TCP" : "UDP",
		                     tow_addr_format(&config->addr, text), strerror(errno));
	getsockname(*fd, (struct sockaddr *)&sa, &len);
	tow_addr_from_sockaddr((struct sockaddr *)&sa, bound);
	return 0;
}

int tow_route_source(const struct tow_addr *remote, struct tow_addr *out)
{
	struct sockaddr_storage sa;
	socklen_t len = tow_addr_to_sockaddr(remote, &sa);
	int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int status = TOW_ENOTFOUND;

	if (fd < 0)
		return TOW_ENOTFOUND;
	if (!connect(fd, (struct sockaddr *)&sa, len)) {
		len = sizeof sa;
		if (!getsockname(fd, (struct sockaddr *)&sa, &len) &&
		    !tow_addr_from_sockaddr((struct sockaddr *)&sa, out)) {
			out->port = 0;
			status = 0;
		}
	}
	close(fd);
	return status;
}

int tow_default_route_addr(int family, struct tow_addr *out)
{
	/* Addresses for documentation (RFC 5737, RFC 3849): nobody's, so only a default route leads
	 * there. */
	static const struct tow_addr anywhere4 = { .family = 4,
		                                   .port = 9,
		                                   .bytes = { 192, 0, 2, 1 } };
	static const struct tow_addr anywhere6 = { .family = 6,
		                                   .port = 9,
		                                   .bytes = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };

	return tow_route_source(family == 6 ? &anywhere6 : &anywhere4, out);
}

void tow__socket_set_options(int fd)
{
	const int on = 1, idle = TOW_KEEPALIVE_IDLE_S, interval = TOW_KEEPALIVE_INTERVAL_S,
		  probes = TOW_KEEPALIVE_PROBES;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	/* Dead peers are found, however long their connections last. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

void tow_tcp_set_reset(int fd)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}
