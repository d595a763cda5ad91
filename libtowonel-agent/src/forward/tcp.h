/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_FORWARD_TCP_H
#define TOWONEL_AGENT_FORWARD_TCP_H

/*
 * A visitor's stream, from its PROXY header to the origin and back:
 *
 *     HEADER ──► DIAL ──► PIPE ──► (gone)
 *
 * That of a UDP session goes on in udp.h. What the visitor sends before the origin answers waits
 * here, bounded by the stream's flow control: no credit is given before the pipe has the bytes. The
 * accept byte goes back only when the origin has been reached, so that the edge can still try
 * another agent.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/tunnel/quic.h>
#include <towonel/wire/service.h>

#include "forward/udp.h"
#include "inproc.h"
#include "origin.h"

struct forward;

/* What all forwards of an agent share. Zero it, then set the first
 * four, then tow__forwards_init. */
struct forwards {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;
	const struct tow_service_list
		*services;        /* the present list; a reload points it elsewhere */
	int draining;             /* new streams are refused */
	struct inproc_host host;  /* takes visitors of services that are its own */
	void (*idle)(void *user); /* the last forward or UDP session has ended; may be NULL */
	void *user;

	struct forward *first;
	size_t active;
	struct udp_forwards udp;
	struct origin_tls tls;
	struct tow_log_gate gate;
	struct tow_metric *accepted, *completed, *streams_active, *bytes_in, *bytes_out;
	struct tow_metric *errors[9]; /* by enum forward_error */
};

void tow__forwards_init(struct forwards *forwards);
/* Streams that are open. */
size_t tow__forwards_active(const struct forwards *forwards);
/* No new streams; UDP sessions do not wait for their idle timeout any more. */
void tow__forwards_drain(struct forwards *forwards);
/* Resets what is open. */
void tow__forwards_deinit(struct forwards *forwards);
/* Takes a stream that the edge has opened. */
void tow__forward_accept(struct forwards *forwards, struct tow_quic_stream *stream);

#endif
