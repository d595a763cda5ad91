/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_PIPE_H
#define TOWONEL_TUNNEL_PIPE_H

/*
 * Joins a TCP socket and a QUIC stream, for the edge and the agent alike:
 *
 *      socket ──read──►  stream send queue (bounded by unsent)  ──►  peer
 *      socket ◄─write──  bytes the socket did not take          ◄──  peer (bounded by flow control)
 *
 * A FIN on one side becomes a FIN on the other, a reset a reset. Reading stops when the bound is
 * reached; flow-control credit is given for what the socket took. Memory is held only while bytes
 * wait. The writes of a loop turn are gathered, so a stream's packets of one batch become one
 * system call.
 */

#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/tunnel/pace.h>
#include <towonel/tunnel/quic.h>
#include <towonel/tunnel/tls.h>
#include <towonel/wire/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_pipe;

enum tow_pipe_end {
	TOW_PIPE_FINISHED,      /* both directions ended in order */
	TOW_PIPE_SOCKET_RESET,  /* the TCP peer reset, or timed out */
	TOW_PIPE_STREAM_RESET,  /* the stream's peer did; code tells why */
	TOW_PIPE_CONNECTION_LOST,
	TOW_PIPE_IDLE,
	TOW_PIPE_ABORTED,       /* tow_pipe_abort */
};

struct tow_pipe_result {
	enum tow_pipe_end end;
	uint64_t code;            /* application error code of a stream reset */
	uint64_t bytes_to_stream; /* read from the socket */
	uint64_t bytes_to_socket; /* written to the socket */
};

/* Somebody who reads along, and says what the stream gets. */
struct tow_pipe_filter {
	/* The socket brought bytes; appends what is to go on instead. Returns 0; TOW_BLOCKED: not
	 * to be given more before the stream has brought something, and then once without any;
	 * TOW_EOF: nothing more goes to the stream, `from_stream` says when the socket is done; a
	 * failure, which aborts the pipe. */
	int (*from_socket)(void *user, uint64_t now_ns, struct tow_slice bytes, struct tow_buf *to);
	/* The stream brought bytes, which go to the socket as they are; or none, after TOW_EOF.
	 * Returns 0; TOW_EOF: the socket ends behind them and what was appended to tail, and the
	 * stream is let go of; a failure. */
	int (*from_stream)(void *user, uint64_t now_ns, struct tow_slice bytes, int fin,
	                   struct tow_buf *tail);
	void *user;
};

struct tow_pipe_config {
	struct tow_loop *loop;
	int fd;                         /* taken */
	struct tow_io *io;              /* taken: a watcher on fd, when there is one already */
	struct tow_tls *tls;            /* taken; NULL: the socket carries the bytes as they are */
	struct tow_quic_stream *stream; /* taken: the pipe sets its events */
	struct tow_buf to_socket;       /* taken: goes to the socket first */
	size_t to_socket_credit; /* how many bytes of to_socket came from the stream, and are to be
	                            consumed */
	int stream_finished;            /* the stream's FIN has been seen already */
	int stream_stopped;             /* its STOP_SENDING has */
	const struct tow_pipe_filter *filter; /* copied; may be NULL */
	uint64_t idle_timeout_ns;             /* no byte either way; 0: none */
	struct tow_metric *to_stream;   /* byte counters, added to as it goes; may be NULL */
	struct tow_metric *to_socket_count;
	/* Shared with other pipes, and outlives this one; may be NULL. Beyond it the socket is not
	 * read, and what the stream brought waits unconsumed. */
	struct tow_pace *to_stream_pace, *to_socket_pace;
	/* Once, when all is over; socket, session and stream have been let go of, the pipe is freed
	 * on return. */
	void (*done)(void *user, const struct tow_pipe_result *result);
	void *user;
};

/* Takes what the config says is taken, on failure too (then it is closed, with reset). Returns 0,
 * TOW_ENOMEM. */
int tow_pipe_start(const struct tow_pipe_config *config, struct tow_pipe **out);
/* The filter has come to something by itself: asks it, without bytes. */
void tow_pipe_nudge(struct tow_pipe *pipe);
/* Is it the socket that is waited for? */
int tow_pipe_reading(const struct tow_pipe *pipe);
/* Resets both sides; done follows before this returns. */
void tow_pipe_abort(struct tow_pipe *pipe, uint64_t code);

#ifdef __cplusplus
}
#endif
#endif
