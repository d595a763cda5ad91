/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"
#include "pipe/pacing.h"
#include "pipe/socket_io.h"

#include <towonel/tunnel/pipe.h>
#include <towonel/tunnel/tcp.h>
#include <towonel/wire/control_message.h>
#include <towonel/wire/limits.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Each direction has a state of its own:
 *
 *     to_stream   OPEN ──── the socket's FIN ────────────────► CLOSED      (our FIN is queued)
 *                   ├─ the stream's peer wants no more ─► DISCARDING ─ FIN, linger ─► CLOSED
 *                   └─ the socket's reset, after bytes ─► FINISHING ─ a moment ─► a reset
 *
 *     to_socket   OPEN ─ the stream's FIN ─► FINISHING ─ all written ─► CLOSED   (and FIN sent)
 *                   └─ the socket takes no more ─► DISCARDING ─ the stream's end ─► CLOSED
 *
 * DISCARDING is what keeps an answer alive when the other direction breaks first: an origin may
 * answer and close before the request has ended. The rest of the request is then read and dropped
 * until the visitor has seen the answer; closing a socket with unread bytes would reset it and may
 * take the answer along.
 *
 * The pipe is over when both are CLOSED and the stream's peer has everything (`closed`), or when
 * anything breaks; then the socket and the stream are let go of at once, and `done` follows at the
 * end of the turn.
 *
 * A filter stands between the two: what the socket brought goes to it, and what it made of that to
 * the stream. After it has said TOW_EOF, to_stream is DISCARDING, and the filter ends to_socket.
 *
 * Bytes from the stream are gathered in `waiting` and written by a task at the turn's end. Bytes
 * from the socket are read into the stream's own queue until the socket is drained or the queue is
 * full; then reading goes on from `writable`, and the watch changes only when the socket has
 * nothing to read or nobody to read it.
 */

#define DIRECT_MIN  16384 /* not worth gathering: written at once */
#define WAITING_MIN 4096
#define LINGER_NS   (2 * TOW_NSEC_PER_SEC)
#define RECENT_NS   TOW_NSEC_PER_SEC
#define DELIVERY_NS (300 * TOW_NSEC_PER_MSEC)

enum way { OPEN, FINISHING, DISCARDING, CLOSED };

struct tow_pipe {
	struct tow_loop *loop;
	struct tow_io *io;
	struct tow_tls *tls;
	struct tow_quic_stream *stream; /* NULL: it has closed */
	int fd;                         /* -1: closed */
	enum way to_stream, to_socket;
	int read_waits;  /* events that reading waits for; 0: for room in the stream, or nothing */
	int write_waits; /* events that writing waits for; 0: not blocked */
	struct tow_buf waiting;
	size_t retry_len;    /* so much TLS has to be offered again */
	size_t not_credited; /* bytes at the head of waiting that did not come from the stream */
	struct tow_task flush;
	struct tow_task tell;
	struct tow_timer timer; /* idle, or lingering */
	uint64_t idle_timeout_ns;
	uint64_t active_ns;            /* when a byte moved last */
	uint64_t read_ns;              /* when one was read from the socket */
	int broken;                    /* the socket has been reset: its end is no FIN */
	int hung_up;                   /* the socket's end comes after what there is to read */
	struct tow_pipe_filter filter; /* no functions: none */
	int held;                      /* it wants no more bytes from the socket for now */
	struct tow_metric *to_stream_metric, *to_socket_metric;
	struct tow__pacing pacing;
	struct tow_pipe_result result;
	int over;
	void (*done)(void *user, const struct tow_pipe_result *result);
	void *user;
};

/* --- the end --- */

static void close_socket(struct tow_pipe *pipe, int with_reset)
{
	if (pipe->fd < 0)
		return;
	tow_io_free(pipe->io);
	pipe->io = NULL;
	tow_tls_free(pipe->tls);
	pipe->tls = NULL;
	if (with_reset)
		tow_tcp_set_reset(pipe->fd);
	close(pipe->fd);
	pipe->fd = -1;
}

static void let_go(struct tow_pipe *pipe, uint64_t code)
{
	close_socket(pipe, pipe->result.end != TOW_PIPE_FINISHED);
	if (pipe->stream)
		tow_quic_stream_abandon(pipe->stream, code);
	pipe->stream = NULL;
	tow__loop_give_buf(pipe->loop, &pipe->waiting);
	tow_timer_stop(&pipe->timer);
	tow__pacing_deinit(&pipe->pacing);
	tow_task_cancel(&pipe->flush);
}

/* Nothing happens to the pipe after this but `tell`. */
static void end(struct tow_pipe *pipe, enum tow_pipe_end how, uint64_t code)
{
	if (pipe->over)
		return;
	pipe->over = 1;
	pipe->result.end = how;
	if (how == TOW_PIPE_STREAM_RESET)
		pipe->result.code = code;
	let_go(pipe, code);
	tow_task_schedule(&pipe->tell);
}

static void on_tell(void *user)
{
	struct tow_pipe *pipe = user;

	pipe->done(pipe->user, &pipe->result);
	free(pipe);
}

/* Looks whether both directions are through. */
static void check_end(struct tow_pipe *pipe)
{
	if (pipe->over || pipe->to_socket == OPEN || pipe->to_socket == FINISHING)
		return;
	if (pipe->to_stream == DISCARDING && pipe->to_socket == CLOSED) {
		pipe->active_ns = tow_loop_now_ns(pipe->loop);
		if (pipe->fd >= 0 && !tow_timer_start_in(&pipe->timer, LINGER_NS))
			return;
		pipe->to_stream = CLOSED;
	}
	if (pipe->to_stream != CLOSED)
		return;
	/* A socket that refused bytes is told so by its own kernel. */
	close_socket(pipe, 0);
	if (!pipe->stream)
		end(pipe, TOW_PIPE_FINISHED, TOW_TUNNEL_OK);
}

static void on_timer(void *user)
{
	struct tow_pipe *pipe = user;
	uint64_t since_ns = tow_loop_now_ns(pipe->loop) - pipe->active_ns;

	if (pipe->to_stream == FINISHING) {
		end(pipe, TOW_PIPE_SOCKET_RESET, TOW_TUNNEL_PEER_RESET);
	} else if (pipe->to_stream == DISCARDING && pipe->to_socket == CLOSED) {
		pipe->to_stream = CLOSED;
		check_end(pipe);
	} else if (pipe->idle_timeout_ns && since_ns >= pipe->idle_timeout_ns) {
		end(pipe, TOW_PIPE_IDLE, TOW_TUNNEL_IDLE);
	} else if (pipe->idle_timeout_ns &&
	           tow_timer_start(&pipe->timer, pipe->active_ns + pipe->idle_timeout_ns)) {
		end(pipe, TOW_PIPE_ABORTED, TOW_TUNNEL_INTERNAL);
	}
}

static void watch(struct tow_pipe *pipe)
{
	if (pipe->io)
		tow_io_watch(pipe->io, pipe->read_waits | pipe->write_waits);
}

static void credit(struct tow_pipe *pipe, size_t n)
{
	size_t own = n < pipe->not_credited ? n : pipe->not_credited;

	pipe->not_credited -= own;
	if (pipe->stream && n > own)
		tow_quic_stream_consume(pipe->stream, n - own);
}

/* What waits for the socket is not wanted any more, nor what would follow. */
static void refuse_stream(struct tow_pipe *pipe)
{
	credit(pipe, tow_buf_len(&pipe->waiting));
	tow__loop_give_buf(pipe->loop, &pipe->waiting);
	pipe->write_waits = 0;
	if (pipe->to_socket == FINISHING) {
		pipe->to_socket = CLOSED;
	} else if (pipe->to_socket == OPEN) {
		pipe->to_socket = DISCARDING;
		if (pipe->stream)
			tow_quic_stream_stop(pipe->stream, TOW_TUNNEL_PEER_RESET);
	}
}

/* The socket has been reset. A stream's reset drops what is queued and overtakes what is under way,
 * so what the socket has said just before, an answer perhaps, is given a moment to arrive. */
static void socket_broke(struct tow_pipe *pipe)
{
	uint64_t since_ns = tow_loop_now_ns(pipe->loop) - pipe->read_ns;

	if (pipe->to_stream != OPEN || !pipe->stream || since_ns > RECENT_NS ||
	    tow_timer_start_in(&pipe->timer, DELIVERY_NS)) {
		end(pipe, TOW_PIPE_SOCKET_RESET, TOW_TUNNEL_PEER_RESET);
		return;
	}
	close_socket(pipe, 1);
	refuse_stream(pipe);
	pipe->read_waits = 0;
	pipe->to_stream = FINISHING;
}

/* --- from the socket to the stream --- */

static void note_read(struct tow_pipe *pipe, size_t n)
{
	pipe->result.bytes_to_stream += n;
	pipe->read_ns = pipe->active_ns = tow_loop_now_ns(pipe->loop);
	if (pipe->to_stream_metric)
		tow_metric_add(pipe->to_stream_metric, (int64_t)n);
	tow__pacing_spend(&pipe->pacing, TOW__TO_STREAM, n);
}

static void no_more_to_read(struct tow_pipe *pipe, int status)
{
	pipe->read_waits = 0;
	if (status != TOW_EOF || pipe->broken) {
		socket_broke(pipe);
		return;
	}
	if (pipe->to_stream == OPEN)
		tow_quic_stream_finish(pipe->stream);
	pipe->to_stream = CLOSED;
	check_end(pipe);
}

static int keep(struct tow_pipe *pipe, struct tow_slice bytes);

/* What the filter says of bytes that the stream brought, which wait already. */
static void ask_about_stream(struct tow_pipe *pipe, struct tow_slice bytes, int fin)
{
	struct tow_buf tail = { NULL, 0, 0, 0 };
	int rc = pipe->filter.from_stream(pipe->filter.user, tow_loop_now_ns(pipe->loop), bytes,
	                                  fin, &tail);

	if (rc == TOW_EOF) {
		rc = keep(pipe, tow_buf_peek(&tail));
		if (pipe->stream)
			tow_quic_stream_abandon(pipe->stream, TOW_TUNNEL_OK);
		pipe->stream = NULL;
		if (pipe->to_stream == OPEN)
			pipe->to_stream = DISCARDING;
		pipe->to_socket = FINISHING;
		tow_task_schedule(&pipe->flush);
	}
	tow_buf_deinit(&tail);
	if (rc < 0)
		end(pipe, TOW_PIPE_ABORTED, TOW_TUNNEL_INTERNAL);
}

/* Hands bytes of the socket to the filter, and what it makes of them to the stream. */
static void filter_socket(struct tow_pipe *pipe, struct tow_slice bytes)
{
	struct tow_buf out = { NULL, 0, 0, 0 };
	int rc = pipe->filter.from_socket(pipe->filter.user, tow_loop_now_ns(pipe->loop), bytes,
	                                  &out);

	/* A connection that is ending says so itself. */
	if (rc >= 0 && tow_buf_len(&out) &&
	    tow_quic_stream_write(pipe->stream, tow_buf_peek(&out)) == TOW_ENOMEM)
		rc = TOW_ENOMEM;
	tow_buf_deinit(&out);
	pipe->held = rc == TOW_BLOCKED;
	if (rc == TOW_EOF) {
		pipe->to_stream = DISCARDING;
		pipe->read_waits = TOW_IO_READ;
		if (pipe->to_socket == OPEN || pipe->to_socket == FINISHING)
			ask_about_stream(pipe, tow_slice_make(NULL, 0), 0);
		else
			check_end(pipe);
	} else if (rc < 0) {
		end(pipe, TOW_PIPE_ABORTED, TOW_TUNNEL_INTERNAL);
	}
}

/* As fill_stream, through the filter. */
static void fill_filter(struct tow_pipe *pipe)
{
	uint8_t bytes[16384];
	size_t n, cap;
	int status;

	while (!pipe->over && pipe->to_stream == OPEN && pipe->stream) {
		cap = pipe->held ? 0
		                 : tow__pacing_allow(&pipe->pacing, TOW__TO_STREAM, sizeof bytes);
		if (!cap) {
			pipe->read_waits = 0;
			return;
		}
		if (tow_quic_stream_unsent(pipe->stream) >=
		    tow_quic_stream_unsent_max(pipe->stream)) {
			pipe->read_waits = 0;
			tow_quic_stream_want_writable(pipe->stream);
			return;
		}
		status =
			tow__socket_receive(pipe->fd, pipe->tls, bytes, cap, &n, &pipe->read_waits);
		if (status == TOW_BLOCKED)
			return;
		if (status) {
			no_more_to_read(pipe, status);
			return;
		}
		note_read(pipe, n);
		filter_socket(pipe, tow_slice_make(bytes, n));
	}
}

/* Reads until the socket is drained or the stream full. */
static void fill_stream(struct tow_pipe *pipe)
{
	if (pipe->filter.from_socket) {
		fill_filter(pipe);
		return;
	}

	size_t most = tow_quic_stream_unsent_max(pipe->stream);
	int progress = 0;

	for (;;) {
		size_t cap, n = 0;
		uint8_t *to;
		int status;

		if (tow_quic_stream_unsent(pipe->stream) >= most) {
			/* It may have room again by the next turn: then the watch stays
			 * as it is. */
			if (!progress)
				pipe->read_waits = 0;
			tow_quic_stream_want_writable(pipe->stream);
			return;
		}
		to = tow_quic_stream_reserve(pipe->stream, &cap);
		if (!to) {
			end(pipe, TOW_PIPE_ABORTED, TOW_TUNNEL_INTERNAL);
			return;
		}
		if (most < TOW_PIPE_UNSENT_MAX && cap > most - tow_quic_stream_unsent(pipe->stream))
			cap = most - tow_quic_stream_unsent(pipe->stream);
		cap = tow__pacing_allow(&pipe->pacing, TOW__TO_STREAM, cap);
		if (!cap) {
			tow_quic_stream_commit(pipe->stream, 0);
			pipe->read_waits = 0;
			return;
		}
		status = tow__socket_receive(pipe->fd, pipe->tls, to, cap, &n, &pipe->read_waits);
		tow_quic_stream_commit(pipe->stream, n);
		if (n) {
			note_read(pipe, n);
			progress = 1;
		}
		if (status == TOW_BLOCKED)
			return;
		if (status) {
			no_more_to_read(pipe, status);
			return;
		}
		/* A short read has drained the socket; asking again would only confirm it, or
		 * bring the end that is known to be there. */
		if (!pipe->tls && n < cap && !pipe->hung_up) {
			pipe->read_waits = TOW_IO_READ;
			return;
		}
	}
}

/* As much as the stream would take in a turn, to nobody. */
static void discard(struct tow_pipe *pipe)
{
	uint8_t bytes[16384];
	size_t n, total = 0;
	int status = 0;

	while (!status && total < TOW_PIPE_UNSENT_MAX) {
		status = tow__socket_receive(pipe->fd, pipe->tls, bytes, sizeof bytes, &n,
		                             &pipe->read_waits);
		if (!status)
			total += n;
	}
	if (status && status != TOW_BLOCKED)
		/* A reset too: what this socket was to get, it has, or has not wanted. */
		no_more_to_read(pipe, pipe->to_socket == CLOSED ? TOW_EOF : status);
}

static void read_socket(struct tow_pipe *pipe)
{
	if (pipe->to_stream == OPEN && pipe->stream)
		fill_stream(pipe);
	else if (pipe->to_stream == DISCARDING)
		discard(pipe);
}

/* --- from the stream to the socket --- */

static void note_written(struct tow_pipe *pipe, size_t n)
{
	pipe->result.bytes_to_socket += n;
	pipe->active_ns = tow_loop_now_ns(pipe->loop);
	if (pipe->to_socket_metric)
		tow_metric_add(pipe->to_socket_metric, (int64_t)n);
	credit(pipe, n);
}

/* The socket's peer has closed for good. What it has said before is still to be read. */
static void no_more_to_write(struct tow_pipe *pipe, int status)
{
	if (status == TOW_ECLOSED) {
		refuse_stream(pipe);
		check_end(pipe);
		return;
	}
	pipe->broken = 1;
	if (pipe->to_stream == OPEN && pipe->stream)
		fill_stream(pipe);
	if (!pipe->over && pipe->fd >= 0)
		socket_broke(pipe);
}

static void finish_socket(struct tow_pipe *pipe)
{
	/* When nothing is to be read any more, closing sends the FIN. */
	int last = pipe->to_stream == CLOSED;

	if (pipe->tls && tow_tls_shutdown(pipe->tls) == TOW_BLOCKED) {
		pipe->write_waits = tow_tls_events(pipe->tls);
		return;
	}
	if (!last)
		shutdown(pipe->fd, SHUT_WR);
	pipe->to_socket = CLOSED;
	check_end(pipe);
}

/* Writes bytes until the socket is full, or the pace says that it is enough. Returns how many it
 * took; *status is a failure, or 0. */
static size_t drain(struct tow_pipe *pipe, struct tow_slice bytes, int *status)
{
	size_t done = 0;

	pipe->write_waits = 0;
	*status = 0;
	while (done < bytes.len && !*status) {
		size_t n = 0;
		size_t most = tow__pacing_allow(&pipe->pacing, TOW__TO_SOCKET, bytes.len - done);

		if (most < pipe->retry_len)
			most = pipe->retry_len;
		if (!most)
			break;
		*status = tow__socket_transmit(pipe->fd, pipe->tls,
		                               tow_slice_make(bytes.base + done, most), &n,
		                               &pipe->write_waits);
		pipe->retry_len = pipe->tls && *status == TOW_BLOCKED ? most : 0;
		tow__pacing_spend(&pipe->pacing, TOW__TO_SOCKET, n);
		done += n;
		/* A short write has filled the socket. */
		if (!*status && !pipe->tls && n < most)
			*status = TOW_BLOCKED;
	}
	if (*status == TOW_BLOCKED) {
		if (!pipe->write_waits)
			pipe->write_waits = TOW_IO_WRITE;
		*status = 0;
	}
	if (done)
		note_written(pipe, done);
	return done;
}

static void write_socket(struct tow_pipe *pipe)
{
	if (tow_buf_len(&pipe->waiting)) {
		int status;
		tow_buf_consume(&pipe->waiting, drain(pipe, tow_buf_peek(&pipe->waiting), &status));
		if (status) {
			no_more_to_write(pipe, status);
			return;
		}
	}
	if (tow_buf_len(&pipe->waiting))
		return;
	tow__loop_give_buf(pipe->loop, &pipe->waiting);
	pipe->write_waits = 0;
	if (pipe->to_socket == FINISHING)
		finish_socket(pipe);
}

static void on_flush(void *user)
{
	struct tow_pipe *pipe = user;

	if ((pipe->to_socket == OPEN || pipe->to_socket == FINISHING) && !pipe->write_waits)
		write_socket(pipe);
	watch(pipe);
}

/* There may be bytes again that the pace allows. */
static void on_resume(void *user)
{
	struct tow_pipe *pipe = user;

	if (pipe->to_stream == OPEN && pipe->stream && !pipe->read_waits)
		fill_stream(pipe);
	if (!pipe->over)
		on_flush(pipe);
}

static int keep(struct tow_pipe *pipe, struct tow_slice bytes)
{
	if (!bytes.len)
		return 0;
	if (!pipe->waiting.base) {
		tow__loop_take_buf(pipe->loop, &pipe->waiting);
		if (!tow_buf_reserve(&pipe->waiting,
		                     bytes.len > WAITING_MIN ? bytes.len : WAITING_MIN))
			return TOW_ENOMEM;
	}
	return tow_buf_append(&pipe->waiting, bytes.base, bytes.len);
}

static void on_data(void *user, struct tow_slice bytes, int fin)
{
	struct tow_pipe *pipe = user;

	if (pipe->to_socket == DISCARDING) {
		credit(pipe, bytes.len);
		if (fin) {
			pipe->to_socket = CLOSED;
			check_end(pipe);
		}
		return;
	}
	if (bytes.len >= DIRECT_MIN && !tow_buf_len(&pipe->waiting) && !pipe->write_waits) {
		int status;
		size_t n = drain(pipe, bytes, &status);
		bytes = tow_slice_make(bytes.base + n, bytes.len - n);
		if (status) {
			no_more_to_write(pipe, status);
			if (!pipe->over)
				on_data(pipe, bytes, fin);
			return;
		}
	}
	if (keep(pipe, bytes)) {
		end(pipe, TOW_PIPE_ABORTED, TOW_TUNNEL_INTERNAL);
		return;
	}
	if (fin)
		pipe->to_socket = FINISHING;
	tow_task_schedule(&pipe->flush);
}

/* The filter sees what comes before the socket does, and may have waited for it. */
static void on_filtered_data(void *user, struct tow_slice bytes, int fin)
{
	struct tow_pipe *pipe = user;

	on_data(pipe, bytes, fin);
	if (pipe->over || (pipe->to_socket != OPEN && pipe->to_socket != FINISHING))
		return;
	ask_about_stream(pipe, bytes, fin);
	if (!pipe->over && pipe->held && pipe->to_stream == OPEN && pipe->stream) {
		filter_socket(pipe, tow_slice_make(NULL, 0));
		read_socket(pipe);
		watch(pipe);
	}
}

/* --- events --- */

static void on_ready(void *user, int events)
{
	struct tow_pipe *pipe = user;
	int writes = pipe->write_waits, reads = pipe->read_waits;

	if (events & TOW_IO_HANGUP)
		pipe->hung_up = 1;
	if (events & TOW_IO_ERROR)
		events |= writes | reads;
	if (events & writes)
		write_socket(pipe);
	if (!pipe->over && events & reads)
		read_socket(pipe);
	watch(pipe);
}

static void on_writable(void *user)
{
	struct tow_pipe *pipe = user;

	if (pipe->to_stream == OPEN)
		fill_stream(pipe);
	watch(pipe);
}

static void on_reset(void *user, uint64_t code)
{
	struct tow_pipe *pipe = user;

	/* After the stream's FIN, this is a socket that takes too little of what came before it. */
	if (pipe->to_socket == OPEN || pipe->to_socket == FINISHING) {
		end(pipe, TOW_PIPE_STREAM_RESET, code);
	} else if (pipe->to_socket == DISCARDING) {
		/* The answer to our own STOP_SENDING. */
		pipe->to_socket = CLOSED;
		check_end(pipe);
	}
}

static void on_stopped(void *user, uint64_t code)
{
	struct tow_pipe *pipe = user;

	pipe->result.code = code;
	if (pipe->to_stream != OPEN)
		return;
	pipe->to_stream = DISCARDING;
	pipe->read_waits = TOW_IO_READ;
	check_end(pipe);
	watch(pipe);
}

static void on_closed(void *user)
{
	struct tow_pipe *pipe = user;

	pipe->stream = NULL;
	if (pipe->to_socket == DISCARDING)
		pipe->to_socket = CLOSED;
	if (pipe->to_stream == OPEN || pipe->to_socket == OPEN)
		end(pipe, TOW_PIPE_CONNECTION_LOST, 0);
	else
		check_end(pipe);
}

static const struct tow_quic_stream_events stream_events = {
	.data = on_data,
	.writable = on_writable,
	.reset = on_reset,
	.stopped = on_stopped,
	.closed = on_closed,
};

static const struct tow_quic_stream_events filtered_events = {
	.data = on_filtered_data,
	.writable = on_writable,
	.reset = on_reset,
	.stopped = on_stopped,
	.closed = on_closed,
};

/* --- lifetime --- */

static struct tow_pipe *make(const struct tow_pipe_config *config)
{
	struct tow_pipe *pipe = calloc(1, sizeof *pipe);

	if (!pipe) {
		tow_io_free(config->io);
		return NULL;
	}
	pipe->loop = config->loop;
	pipe->tls = config->tls;
	pipe->stream = config->stream;
	pipe->fd = config->fd;
	pipe->waiting = config->to_socket;
	pipe->not_credited = tow_buf_len(&config->to_socket) - config->to_socket_credit;
	pipe->to_stream = config->stream_stopped ? DISCARDING : OPEN;
	pipe->to_socket = config->stream_finished ? FINISHING : OPEN;
	pipe->read_waits = TOW_IO_READ;
	pipe->idle_timeout_ns = config->idle_timeout_ns;
	pipe->active_ns = tow_loop_now_ns(config->loop);
	pipe->to_stream_metric = config->to_stream;
	pipe->to_socket_metric = config->to_socket_count;
	pipe->pacing =
		(struct tow__pacing){ .loop = config->loop,
		                      .paces = { config->to_stream_pace, config->to_socket_pace },
		                      .resume = on_resume,
		                      .user = pipe };
	if (config->filter)
		pipe->filter = *config->filter;
	pipe->done = config->done;
	pipe->user = config->user;
	tow_task_init(&pipe->flush, config->loop, on_flush, pipe);
	tow_task_init(&pipe->tell, config->loop, on_tell, pipe);
	tow_timer_init(&pipe->timer, config->loop, on_timer, pipe);
	pipe->io = config->io;
	if (pipe->io)
		tow_io_hand_over(pipe->io, on_ready, pipe);
	else
		pipe->io = tow_io_new(config->loop, config->fd, on_ready, pipe);
	if (!pipe->io || (config->idle_timeout_ns &&
	                  tow_timer_start_in(&pipe->timer, config->idle_timeout_ns))) {
		tow_io_free(pipe->io);
		free(pipe);
		return NULL;
	}
	return pipe;
}

int tow_pipe_start(const struct tow_pipe_config *config, struct tow_pipe **out)
{
	struct tow_pipe *pipe = make(config);
	struct tow_buf to_socket = config->to_socket;

	if (!pipe) {
		tow_tls_free(config->tls);
		tow_tcp_set_reset(config->fd);
		close(config->fd);
		tow_quic_stream_abandon(config->stream, TOW_TUNNEL_INTERNAL);
		tow_buf_deinit(&to_socket);
		return TOW_ENOMEM;
	}
	tow_quic_stream_set_events(pipe->stream, config->filter ? &filtered_events : &stream_events,
	                           pipe);
	if (config->filter) {
		ask_about_stream(pipe, tow_buf_peek(&pipe->waiting), config->stream_finished);
		tow_pipe_nudge(pipe); /* it may have bytes already */
	}
	/* The first look at the socket is the poller's, unless TLS holds bytes that
	 * it cannot see. */
	if (pipe->tls && tow_tls_pending(pipe->tls))
		read_socket(pipe);
	if (!pipe->over)
		tow_task_schedule(&pipe->flush);
	*out = pipe;
	return 0;
}

void tow_pipe_nudge(struct tow_pipe *pipe)
{
	if (!pipe->over && pipe->to_stream == OPEN && pipe->stream)
		filter_socket(pipe, tow_slice_make(NULL, 0));
	watch(pipe);
}

int tow_pipe_reading(const struct tow_pipe *pipe)
{
	return pipe->to_stream == OPEN && pipe->read_waits;
}

void tow_pipe_abort(struct tow_pipe *pipe, uint64_t code)
{
	if (!pipe->over) {
		pipe->over = 1;
		pipe->result.end = TOW_PIPE_ABORTED;
		let_go(pipe, code);
	}
	tow_task_cancel(&pipe->tell);
	on_tell(pipe);
}
