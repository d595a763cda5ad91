/* SPDX-License-Identifier: MIT */
#include <towonel/tunnel/proxy.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <towonel/wire/identity.h>
#include <towonel/wire/limits.h>

/*
 *     ASKING ──► READING ──► TOLD
 *         └───────────┴───────▲  the proxy says no, or nothing
 *
 * Whoever goes on with the connection speaks first there, so nothing may follow the answer's head.
 */

enum connect_state { ASKING, READING, TOLD };

struct tow_proxy_connect {
	enum connect_state state;
	int fd;
	struct tow_io *io;
	struct tow_timer deadline;
	struct tow_task tell;
	struct tow_buf request;
	struct tow_buf answer;
	struct tow_error err;
	void (*done)(void *user, int status, const struct tow_error *err);
	void *user;
};

static void let_go(struct tow_proxy_connect *connect)
{
	tow_timer_stop(&connect->deadline);
	if (connect->io)
		tow_io_free(connect->io);
	connect->io = NULL;
	if (connect->request.base)
		tow_wipe(connect->request.base, connect->request.cap);
	tow_buf_deinit(&connect->request);
	tow_buf_deinit(&connect->answer);
}

static void on_tell(void *user)
{
	struct tow_proxy_connect *connect = user;
	struct tow_error err = connect->err;

	let_go(connect);
	connect->done(connect->user, err.code, err.code ? &err : NULL);
	free(connect);
}

static void settle(struct tow_proxy_connect *connect, int code, const char *text)
{
	connect->state = TOLD;
	if (code)
		tow_error_set(&connect->err, code, "%s", text);
	let_go(connect);
	tow_task_schedule(&connect->tell);
}

static void ask(struct tow_proxy_connect *connect)
{
	struct tow_slice left = tow_buf_peek(&connect->request);
	ssize_t n = send(connect->fd, left.base, left.len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		settle(connect, TOW_ERESET, "the proxy closed the connection");
		return;
	}
	if (n > 0)
		tow_buf_consume(&connect->request, (size_t)n);
	if (tow_buf_len(&connect->request) == 0) {
		connect->state = READING;
		tow_io_watch(connect->io, TOW_IO_READ);
	}
}

static void judge(struct tow_proxy_connect *connect, unsigned status)
{
	char text[96];

	if (status >= 200 && status < 300) {
		settle(connect, 0, NULL);
	} else if (status == 401 || status == 407) {
		snprintf(text, sizeof(text), "the proxy wants another user or password (%u)",
		         status);
		settle(connect, TOW_EDENIED, text);
	} else {
		snprintf(text, sizeof(text), "the proxy refuses the way there (%u)", status);
		settle(connect, status == 403 ? TOW_EDENIED : TOW_EHTTP, text);
	}
}

static void read_answer(struct tow_proxy_connect *connect)
{
	uint8_t bytes[1024];
	unsigned status;
	size_t len;
	ssize_t n = recv(connect->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	int rc;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		settle(connect, TOW_ERESET, "the proxy closed the connection");
		return;
	}
	if (tow_buf_append(&connect->answer, bytes, (size_t)n) != 0) {
		settle(connect, TOW_ENOMEM, "out of memory");
		return;
	}
	rc = tow_proxy_answer_read(tow_buf_peek(&connect->answer), &status, &len);
	if (rc == 0 && (status < 300 && len < tow_buf_len(&connect->answer)))
		rc = TOW_EPARSE;
	if (rc == 0)
		judge(connect, status);
	else if (rc != TOW_MORE)
		settle(connect, TOW_EHTTP, "the proxy's answer is not HTTP");
}

static void on_ready(void *user, int events)
{
	struct tow_proxy_connect *connect = user;

	(void)events;
	if (connect->state == ASKING)
		ask(connect);
	else if (connect->state == READING)
		read_answer(connect);
}

static void on_deadline(void *user)
{
	settle(user, TOW_ETIMEDOUT, "the proxy does not answer");
}

/* --- */

static int write_request(struct tow_buf *out, const struct tow_proxy *proxy, const char *host,
                         uint16_t port)
{
	const char *open = strchr(host, ':') ? "[" : "", *close = *open ? "]" : "";
	char plain[TOW_PROXY_USER_MAX + TOW_PROXY_PASSWORD_MAX + 2];
	char basic[sodium_base64_ENCODED_LEN(sizeof(plain), sodium_base64_VARIANT_ORIGINAL)];
	int rc = tow_buf_printf(out, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n", open,
	                        host, close, port, open, host, close, port);

	if (rc == 0 && proxy->user[0]) { /* RFC 7617 */
		snprintf(plain, sizeof(plain), "%s:%s", proxy->user, proxy->password);
		sodium_bin2base64(basic, sizeof(basic), (const uint8_t *)plain, strlen(plain),
		                  sodium_base64_VARIANT_ORIGINAL);
		rc = tow_buf_printf(out, "Proxy-Authorization: Basic %s\r\n", basic);
		tow_wipe(plain, sizeof(plain));
		tow_wipe(basic, sizeof(basic));
	}
	return rc == 0 ? tow_buf_append_text(out, "\r\n") : rc;
}

int tow_proxy_connect_start(struct tow_loop *loop, const struct tow_proxy *proxy, int fd,
                            const char *host, uint16_t port, uint64_t timeout_ns,
                            void (*done)(void *user, int status, const struct tow_error *err),
                            void *user, struct tow_proxy_connect **out)
{
	struct tow_proxy_connect *connect = calloc(1, sizeof(*connect));

	if (!connect)
		return TOW_ENOMEM;
	connect->fd = fd;
	connect->done = done;
	connect->user = user;
	tow_timer_init(&connect->deadline, loop, on_deadline, connect);
	tow_task_init(&connect->tell, loop, on_tell, connect);
	connect->io = tow_io_new(loop, fd, on_ready, connect);
	if (!connect->io || write_request(&connect->request, proxy, host, port) != 0 ||
	    tow_timer_start_in(&connect->deadline, timeout_ns) != 0) {
		let_go(connect);
		free(connect);
		return TOW_ENOMEM;
	}
	tow_io_watch(connect->io, TOW_IO_WRITE);
	*out = connect;
	return 0;
}

void tow_proxy_connect_cancel(struct tow_proxy_connect *connect)
{
	if (!connect)
		return;
	let_go(connect);
	tow_task_cancel(&connect->tell);
	free(connect);
}

int tow_proxy_answer_read(struct tow_slice bytes, unsigned *status, size_t *len)
{
	static const char version[] = "HTTP/1.";
	const uint8_t *end = memmem(bytes.base, bytes.len, "\r\n\r\n", 4);
	const uint8_t *at = bytes.base;
	size_t known = bytes.len < sizeof(version) - 1 ? bytes.len : sizeof(version) - 1;

	if (memcmp(at, version, known) != 0)
		return TOW_EPARSE;
	if (!end)
		return bytes.len >= TOW_PROXY_ANSWER_MAX ? TOW_ETOOBIG : TOW_MORE;
	/* HTTP/1.x SSS */
	if (end - at < 12 || at[8] != ' ')
		return TOW_EPARSE;
	for (int i = 9; i < 12; i++)
		if (at[i] < '0' || at[i] > '9')
			return TOW_EPARSE;
	if (end - at > 12 && at[12] != ' ' && at[12] != '\r')
		return TOW_EPARSE;
	*status = (at[9] - '0') * 100u + (at[10] - '0') * 10u + (at[11] - '0');
	*len = (size_t)(end - at) + 4;
	return 0;
}
