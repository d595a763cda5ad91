/* SPDX-License-Identifier: MIT */
/*
 * One connection of a client, from accept to close:
 *
 *     HANDSHAKE ─► FRESH ─► HEAD ─► BODY ─► DISPATCH ─► HANDLING ─► WRITING ─► SHUTTING
 *                            ▲                                         │           │
 *                            └──────────────── IDLE ◄── kept alive ────┘           ▼
 *                                                              CLOSING ◄────── LINGERING
 *
 * Some are passed over: BODY when there is none, HANDLING by an answer given at once, all up to
 * WRITING by a refusal. An event stream is in EVENT_STREAM in WRITING's place. What fails or is
 * late goes to CLOSING from anywhere.
 *
 * One request is worked on at a time, so that answers leave in order; what a client sent ahead
 * stays in `in`, at most one read of it, and then in the kernel. Buffers exist while there is
 * something in them, so that a kept-alive connection costs little.
 *
 * After the last answer the connection lingers: closing with unread bytes in the kernel would make
 * it send a reset, which can overtake the answer and destroy it on its way.
 */
#include "http/connection.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <towonel/wire/client_hello.h>

#include "http/answer.h"
#include "tls/context.h"

#define READ_SIZE           16384
#define WRITE_SIZE          16384
#define REQUESTS_PER_TURN   32 /* of one connection, before others have their turn */
#define JUNK_READS_PER_TURN 16

enum state {
	HANDSHAKE,
	FRESH,
	IDLE,
	HEAD,
	BODY,
	DISPATCH,
	HANDLING,
	WRITING,
	EVENT_STREAM,
	SHUTTING,
	LINGERING,
	CLOSING,
	CLOSED,
};

/* Until it is complete. */
struct hello {
	struct tow_client_hello_parser parser;
	size_t seen; /* of `in` */
};

struct tow__connection {
	struct tow_http_server *server;
	struct tow__connection *next, **link;
	struct tow_addr peer;
	enum state state;
	int fd;
	int events; /* what the state waits for */
	struct tow_io *io;
	struct tow_tls *tls;
	struct hello *hello; /* NULL: not begun, or read */
	struct tow_timer timer;
	struct tow_task flush;
	struct tow_buf in, out;
	struct tow_http_request *request;     /* until it is answered */
	struct tow_http_event_stream *stream; /* until it has ended */
	unsigned requests_left;               /* this turn */
	bool keep_alive;                      /* after the answer in `out` */
	bool winding_down;                    /* this request is the last one */
	bool timed_out;                       /* the state's deadline has passed */
	bool failed;
	bool stepping, again;
};

static enum state do_handshake(struct tow__connection *c);
static enum state do_idle(struct tow__connection *c);
static enum state do_read(struct tow__connection *c);
static enum state do_dispatch(struct tow__connection *c);
static enum state do_handling(struct tow__connection *c);
static enum state do_writing(struct tow__connection *c);
static enum state do_event_stream(struct tow__connection *c);
static enum state do_shutting(struct tow__connection *c);
static enum state do_lingering(struct tow__connection *c);
static enum state do_closing(struct tow__connection *c);

#define LIMIT(member) offsetof(struct tow__http_limits, member)
#define NO_LIMIT      SIZE_MAX

static const struct {
	const char *name;
	enum state (*run)(struct tow__connection *c);
	size_t limit; /* the deadline's offset in the limits */
} states[] = {
	[HANDSHAKE] = { "handshake", do_handshake, LIMIT(handshake_ns) },
	[FRESH] = { "fresh", do_idle, LIMIT(request_ns) },
	[IDLE] = { "idle", do_idle, LIMIT(idle_ns) },
	[HEAD] = { "head", do_read, LIMIT(request_ns) },
	[BODY] = { "body", do_read, LIMIT(request_ns) },
	[DISPATCH] = { "dispatch", do_dispatch, NO_LIMIT },
	[HANDLING] = { "handling", do_handling, NO_LIMIT },
	[WRITING] = { "writing", do_writing, LIMIT(stall_ns) },
	[EVENT_STREAM] = { "event stream", do_event_stream, NO_LIMIT },
	[SHUTTING] = { "shutting", do_shutting, NO_LIMIT },
	[LINGERING] = { "lingering", do_lingering, LIMIT(linger_ns) },
	[CLOSING] = { "closing", do_closing, NO_LIMIT },
	[CLOSED] = { "closed", NULL, NO_LIMIT },
};

static void start_deadline(struct tow__connection *c, size_t limit)
{
	uint64_t delay;

	c->timed_out = false;
	tow_timer_stop(&c->timer);
	if (limit == NO_LIMIT)
		return;
	memcpy(&delay, (const char *)&c->server->limits + limit, sizeof delay);
	if (tow_timer_start_in(&c->timer, delay))
		c->failed = true;
}

static void step(struct tow__connection *c)
{
	struct tow_http_server *server = c->server;

	if (c->stepping) {
		c->again = true;
		return;
	}
	c->stepping = true;
	do {
		enum state next;
		c->again = false;
		c->events = 0;
		next = states[c->state].run(c);
		if (next != c->state) {
			tow_log_trace(server->log, "http connection",
			              tow_f_addr("client", &c->peer),
			              tow_f_str("from", states[c->state].name),
			              tow_f_str("to", states[next].name));
			c->state = next;
			start_deadline(c, states[next].limit);
			c->again = true;
		}
	} while (c->again && c->state != CLOSED);
	c->stepping = false;
	if (c->state == CLOSED) {
		free(c);
		tow__http_server_connection_gone(server);
		return;
	}
	tow_io_watch(c->io, c->events);
}

static void on_ready(void *user, int events)
{
	struct tow__connection *c = user;

	(void)events;
	c->requests_left = REQUESTS_PER_TURN;
	step(c);
}

static void on_deadline(void *user)
{
	struct tow__connection *c = user;

	c->timed_out = true;
	step(c);
}

static void on_flush(void *user)
{
	step(user);
}

/* --- bytes --- */

static void wait_for(struct tow__connection *c, int events)
{
	c->events |= c->tls ? tow_tls_events(c->tls) : events;
}

static int receive(struct tow__connection *c, void *to, size_t cap, size_t *n)
{
	ssize_t got;

	if (c->tls)
		return tow_tls_read(c->tls, to, cap, n);
	do
		got = recv(c->fd, to, cap, 0);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		*n = (size_t)got;
		return 0;
	}
	if (!got)
		return TOW_EOF;
	return errno == EAGAIN || errno == EWOULDBLOCK ? TOW_BLOCKED : TOW_ERESET;
}

/* One read into `in`. Returns 0; TOW_BLOCKED, and then waits; TOW_EOF; failures. */
static int fill(struct tow__connection *c)
{
	uint8_t *to = tow_buf_reserve(&c->in, READ_SIZE);
	size_t n = 0;
	int rc = to ? receive(c, to, READ_SIZE, &n) : TOW_ENOMEM;

	if (!rc)
		tow_buf_commit(&c->in, n);
	else if (!tow_buf_len(&c->in))
		tow_buf_deinit(&c->in);
	if (rc == TOW_BLOCKED)
		wait_for(c, TOW_IO_READ);
	return rc;
}

static int transmit(struct tow__connection *c, struct tow_slice bytes, size_t *n)
{
	ssize_t sent;

	if (c->tls)
		return tow_tls_write(c->tls, bytes.base,
		                     bytes.len < WRITE_SIZE ? bytes.len : WRITE_SIZE, n);
	do
		sent = send(c->fd, bytes.base, bytes.len, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0) {
		*n = (size_t)sent;
		return 0;
	}
	return errno == EAGAIN || errno == EWOULDBLOCK ? TOW_BLOCKED : TOW_ERESET;
}

/* Sends `out`. Returns 0 when all is sent; TOW_BLOCKED, and then waits; failures. Whenever the
 * client takes something, it has the whole stall time again. */
static int drain(struct tow__connection *c)
{
	int rc = 0;

	while (!rc && tow_buf_len(&c->out)) {
		size_t n = 0;
		rc = transmit(c, tow_buf_peek(&c->out), &n);
		if (rc)
			break;
		tow_buf_consume(&c->out, n);
		if (c->state == WRITING || c->state == EVENT_STREAM)
			start_deadline(c, LIMIT(stall_ns));
	}
	if (rc == TOW_BLOCKED)
		wait_for(c, TOW_IO_WRITE);
	if (!tow_buf_len(&c->out))
		tow_buf_wipe(&c->out);
	return rc;
}

/* --- the states, in the order of the table --- */

static bool new_request(struct tow__connection *c)
{
	c->request = tow__request_new(&c->server->rules, &c->peer);
	if (!c->request)
		return false;
	c->request->server = c->server;
	c->request->connection = c;
	c->server->references++;
	return true;
}

/* Where an answered request leads to. */
static enum state after_answer(const struct tow__connection *c)
{
	if (c->failed)
		return CLOSING;
	return c->stream ? EVENT_STREAM : c->request ? HANDLING : WRITING;
}

static enum state answer_plain_client(struct tow__connection *c)
{
	if (!new_request(c))
		return CLOSING;
	tow_http_respond_error(c->request, 400, "invalid_request",
	                       "this port speaks HTTPS: use https:// in the URL");
	return after_answer(c);
}

static void forget_hello(struct tow__connection *c)
{
	if (!c->hello)
		return;
	tow_client_hello_deinit(&c->hello->parser);
	free(c->hello);
	c->hello = NULL;
}

/* Reads once what TLS has not read yet. Returns 0; TOW_BLOCKED, TOW_EOF, TOW_ERESET, TOW_ENOMEM. */
static int read_raw(struct tow__connection *c)
{
	uint8_t *room = tow_buf_reserve(&c->in, READ_SIZE);
	ssize_t n;

	if (!room)
		return TOW_ENOMEM;
	n = recv(c->fd, room, READ_SIZE, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? TOW_BLOCKED
		                                                                 : TOW_ERESET;
	tow_buf_commit(&c->in, (size_t)n);
	return n ? 0 : TOW_EOF;
}

/* The hello is read as a whole before there is a session: it says whose certificate is wanted. What
 * is none is for TLS to complain about. */
static int begin_session(struct tow__connection *c)
{
	const struct tow_http_server_config *config = &c->server->config;
	struct tow_tls_context *context = NULL;
	struct tow_client_hello hello = { .server_name = "" };
	struct tow_slice bytes;
	int rc = TOW_MORE;

	if (!c->hello)
		c->hello = calloc(1, sizeof *c->hello);
	if (!c->hello)
		return TOW_ENOMEM;
	while (rc == TOW_MORE) {
		bytes = tow_buf_peek(&c->in);
		if (bytes.len > c->hello->seen) {
			rc = tow_client_hello_feed(&c->hello->parser,
			                           tow_slice_make(bytes.base + c->hello->seen,
			                                          bytes.len - c->hello->seen),
			                           &hello);
			c->hello->seen = bytes.len;
		} else {
			rc = read_raw(c);
			if (rc)
				return rc;
			rc = TOW_MORE;
		}
		if (tow_buf_peek(&c->in).base[0] >= 'A' && tow_buf_peek(&c->in).base[0] <= 'Z')
			return TOW_EHTTP;
	}
	if (!rc && config->choose_tls)
		context = config->choose_tls(config->user, &hello);
	rc = tow_tls_accept(context ? context : config->tls, c->fd, config->tls->alpn,
	                    tow_buf_peek(&c->in), &c->tls);
	forget_hello(c);
	tow_buf_clear(&c->in);
	return rc;
}

/* People forget the s of https. The first byte tells: TLS starts with 22, HTTP with a capital
 * letter. */
static enum state do_handshake(struct tow__connection *c)
{
	struct tow_error err = { 0 };
	int rc = 0;

	if (c->failed || c->timed_out)
		return CLOSING;
	if (!c->tls)
		rc = begin_session(c);
	if (rc == TOW_BLOCKED) {
		c->events = TOW_IO_READ;
		return HANDSHAKE;
	}
	if (rc == TOW_EHTTP) {
		tow_buf_clear(&c->in);
		return answer_plain_client(c);
	}
	if (rc)
		return CLOSING;
	rc = tow_tls_handshake(c->tls, &err);
	if (!rc)
		return FRESH;
	if (rc != TOW_BLOCKED) {
		tow_log_debug(c->server->log, "TLS handshake failed",
		              tow_f_addr("client", &c->peer), tow_f_err(&err));
		return CLOSING;
	}
	wait_for(c, TOW_IO_READ);
	return HANDSHAKE;
}

static enum state do_idle(struct tow__connection *c)
{
	/* one that has just come may ask, even of a server that is about to go */
	if (c->failed || c->timed_out || (c->winding_down && c->state == IDLE))
		return CLOSING;
	if (!c->requests_left) { /* a writable socket calls again in the next turn */
		c->events = TOW_IO_READ | TOW_IO_WRITE;
		return c->state;
	}
	if (!tow_buf_len(&c->in)) {
		int rc = fill(c);
		if (rc)
			return rc == TOW_BLOCKED ? c->state : CLOSING;
	}
	c->requests_left--;
	return new_request(c) ? HEAD : CLOSING;
}

static enum state answer_refusal(struct tow__connection *c)
{
	const struct tow__refusal *refusal = &c->request->refusal;

	tow_http_respond_error(c->request, refusal->status, refusal->code, "%s", refusal->message);
	return after_answer(c);
}

static enum state answer_late_client(struct tow__connection *c)
{
	c->request->keep_alive = false;
	tow_http_respond_error(c->request, 408, "invalid_request",
	                       "the request took too long to arrive");
	return after_answer(c);
}

/* Before the client has sent any of its body: then it need not wait. */
static bool send_continue(struct tow__connection *c)
{
	if (!c->request->expects_continue)
		return true;
	c->request->expects_continue = false;
	return tow_buf_len(&c->in) ||
	       !tow_buf_append_text(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* HEAD and BODY. */
static enum state do_read(struct tow__connection *c)
{
	int rc;

	if (c->failed)
		return CLOSING;
	if (c->timed_out)
		return answer_late_client(c);
	if (c->state == BODY && !send_continue(c))
		return CLOSING;
	rc = drain(c);
	if (rc && rc != TOW_BLOCKED)
		return CLOSING;
	for (;;) {
		struct tow_slice bytes = tow_buf_peek(&c->in);
		size_t consumed;

		rc = tow__request_feed(c->request, bytes.base, bytes.len, &consumed);
		tow_buf_consume(&c->in, consumed);
		if (rc == TOW_EHTTP)
			c->request->keep_alive = false;
		if (rc != TOW_MORE)
			return c->request->refusal.status ? answer_refusal(c) : DISPATCH;
		if (c->state == HEAD && c->request->progress == TOW__READING_BODY)
			return BODY;
		rc = fill(c);
		if (rc)
			return rc == TOW_BLOCKED ? c->state : CLOSING;
	}
}

static void drop_request(struct tow__connection *c)
{
	tow__request_free(c->request);
	c->request = NULL;
	tow__http_server_unref(c->server);
}

static enum state do_dispatch(struct tow__connection *c)
{
	const struct tow_http_server_config *config = &c->server->config;

	if (c->failed || c->server->closed) {
		drop_request(c);
		return CLOSING;
	}
	if (!config->before || !config->before(config->user, c->request))
		c->request->match.route->handle(config->user, c->request);
	return after_answer(c);
}

static enum state do_handling(struct tow__connection *c)
{
	return after_answer(c);
}

static enum state do_writing(struct tow__connection *c)
{
	int rc;

	if (c->failed || c->timed_out)
		return CLOSING;
	rc = drain(c);
	if (rc)
		return rc == TOW_BLOCKED ? WRITING : CLOSING;
	return c->keep_alive && !c->winding_down ? IDLE : SHUTTING;
}

/* Nothing is expected from the client any more but that it goes. */
static int read_junk(struct tow__connection *c)
{
	int rc = 0;

	for (int i = 0; !rc && i < JUNK_READS_PER_TURN; i++) {
		tow_buf_clear(&c->in);
		rc = fill(c);
	}
	if (!rc)
		wait_for(c, TOW_IO_READ);
	tow_buf_deinit(&c->in);
	return rc;
}

static enum state do_event_stream(struct tow__connection *c)
{
	int rc;

	if (c->failed || c->timed_out)
		return CLOSING;
	rc = drain(c);
	if (rc && rc != TOW_BLOCKED)
		return CLOSING;
	if (!rc && !c->stream)
		return SHUTTING;
	if (!rc)
		tow_timer_stop(&c->timer);
	else if (c->timer.deadline_ns == TOW_NEVER)
		start_deadline(c, LIMIT(stall_ns));
	rc = read_junk(c);
	return rc && rc != TOW_BLOCKED ? CLOSING : EVENT_STREAM;
}

static enum state do_shutting(struct tow__connection *c)
{
	if (c->failed)
		return CLOSING;
	if (c->tls) {
		(void)tow_tls_shutdown(c->tls); /* a courtesy: nobody waits when it doesn't fit */
		tow_tls_free(c->tls);
		c->tls = NULL; /* from here on bytes are only thrown away */
	}
	return shutdown(c->fd, SHUT_WR) ? CLOSING : LINGERING;
}

static enum state do_lingering(struct tow__connection *c)
{
	int rc;

	if (c->failed || c->timed_out)
		return CLOSING;
	rc = read_junk(c);
	return rc && rc != TOW_BLOCKED ? CLOSING : LINGERING;
}

static enum state do_closing(struct tow__connection *c)
{
	struct tow_http_event_stream *stream = c->stream;

	tow_io_free(c->io);
	tow_timer_stop(&c->timer);
	tow_task_cancel(&c->flush);
	tow_tls_free(c->tls);
	forget_hello(c);
	close(c->fd);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	if (c->request && c->request->progress == TOW__WHOLE && !c->request->refusal.status) {
		c->request->connection = NULL; /* its handler has it */
		c->request = NULL;
	} else if (c->request) {
		drop_request(c);
	}
	tow_buf_wipe(&c->in);
	tow_buf_wipe(&c->out);
	c->stream = NULL;
	if (stream)
		tow__event_stream_lost(stream);
	return CLOSED;
}

/* --- from the server and from answers --- */

int tow__connection_start(struct tow_http_server *server, int fd, const struct tow_addr *peer,
                          struct tow_slice early)
{
	struct tow__connection *c = calloc(1, sizeof *c);

	if (c) {
		c->server = server;
		c->peer = *peer;
		c->fd = fd;
		c->io = tow_io_new(server->loop, fd, on_ready, c);
	}
	if (!c || !c->io || tow_buf_append(&c->in, early.base, early.len)) {
		if (c && c->io)
			tow_io_free(c->io);
		free(c);
		close(fd);
		return TOW_ENOMEM;
	}
	c->state = server->config.tls ? HANDSHAKE : FRESH;
	c->requests_left = REQUESTS_PER_TURN;
	tow_timer_init(&c->timer, server->loop, on_deadline, c);
	tow_task_init(&c->flush, server->loop, on_flush, c);
	c->next = server->connections;
	c->link = &server->connections;
	if (c->next)
		c->next->link = &c->next;
	server->connections = c;
	server->connection_count++;
	server->references++;
	start_deadline(c, states[c->state].limit);
	step(c);
	return 0;
}

void tow__connection_abort(struct tow__connection *c)
{
	c->failed = true;
	step(c);
}

void tow__connection_wind_down(struct tow__connection *c)
{
	struct tow_http_event_stream *stream = c->stream;

	c->winding_down = true;
	c->stream = NULL;
	if (stream)
		tow__event_stream_lost(stream);
	step(c);
}

struct tow__connection *tow__connection_next(const struct tow__connection *c)
{
	return c->next;
}

bool tow__connection_is_idle(const struct tow__connection *c)
{
	return c->state == IDLE && !tow_buf_len(&c->in);
}

bool tow__connection_is_asking(const struct tow__connection *c)
{
	return c->state == HANDSHAKE || c->state == FRESH || c->state == HEAD || c->state == BODY;
}

bool tow__connection_is_ending(const struct tow__connection *c)
{
	return c->failed || c->winding_down;
}

bool tow__connection_is_failed(const struct tow__connection *c)
{
	return c->failed;
}

struct tow_buf *tow__connection_out(struct tow__connection *c)
{
	return &c->out;
}

bool tow__connection_keeps_alive(const struct tow__connection *c,
                                 const struct tow_http_request *request)
{
	return request->keep_alive && !c->winding_down;
}

void tow__connection_answered(struct tow__connection *c, bool keep_alive)
{
	c->request = NULL;
	c->keep_alive = keep_alive;
	step(c);
}

/* Never steps at once: `closed` must not be called before the handler has its stream. */
void tow__connection_events(struct tow__connection *c, struct tow_http_event_stream *stream)
{
	c->request = NULL;
	c->keep_alive = false;
	c->stream = stream;
	tow_task_schedule(&c->flush);
}

void tow__connection_flush(struct tow__connection *c)
{
	tow_task_schedule(&c->flush);
}

void tow__connection_end_events(struct tow__connection *c)
{
	c->stream = NULL;
	tow_task_schedule(&c->flush);
}
