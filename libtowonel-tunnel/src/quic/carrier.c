/* SPDX-License-Identifier: MIT */

/*
 * Packets of one connection over TLS over TCP, for networks that let no UDP through: each is a
 * frame of u16 length and the packet, as many to a record as come in one turn.
 *
 *     link ─► batch ─► frames ─► TLS ─► socket    what the socket does not take waits in `out`;
 *     link ◄─ packet ◄─ frames ◄─ TLS ◄─ socket   the connection is asked for no more until then
 *
 * A socket that is full holds the connection back instead of losing packets: TCP delivers what it
 * has taken, and a loss would make both send it again, each at its own idea of the rate. The kernel
 * is given little that it cannot send yet (TCP_NOTSENT_LOWAT), so that what is queued is queued in
 * the connection, where streams take turns, and a request does not wait behind a download.
 *
 * A carrier carries one connection in its life, and is over when that has ended.
 */

#include "quic/carrier.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <towonel/wire/limits.h>
#include <towonel/wire/udp_frame.h>

#include "quic/endpoint.h"

#define READ_SIZE      16384 /* a TLS record */
#define READS_PER_TURN 16    /* then others get their turn */
#define NOT_SENT_MAX   (128 * 1024)

struct tow_quic_carrier {
	struct tow_quic_endpoint *endpoint;
	struct tow_quic_carrier *prev, *next; /* of the endpoint */
	int fd;
	struct tow_tls *tls;
	struct tow_io *io;
	struct tow_addr local, remote;
	struct tow__link *link; /* NULL: none yet, or none any more */
	struct tow_buf partial; /* of a frame that came */
	struct tow_buf out;     /* what the socket has not taken */
	struct tow_timer timer; /* for a connection to begin; for the socket to take something */
	struct tow_task tell;
	int status; /* of `closed` */
	unsigned over : 1;
	unsigned ending : 1;  /* the connection has ended: over when all is written */
	unsigned starved : 1; /* the link waits for room */
	unsigned busy : 1;    /* on the stack */
	unsigned freed : 1;   /* by its owner */
	void (*closed)(void *user, int status);
	void *user;
};

/* --- the end --- */

static void tell(void *user)
{
	struct tow_quic_carrier *carrier = user;

	if (carrier->closed)
		carrier->closed(carrier->user, carrier->status);
}

static void finish(struct tow_quic_carrier *carrier, int status)
{
	struct tow__link *link = carrier->link;

	if (carrier->over)
		return;
	carrier->over = 1;
	carrier->status = status;
	tow_timer_stop(&carrier->timer);
	tow_io_watch(carrier->io, 0);
	if (link && link->conn)
		tow__quic_conn_end(link->conn, TOW_ERESET, TOW__QUIC_SILENT, 0,
		                   "the TCP connection that carried it is gone");
	else
		tow_task_schedule(&carrier->tell);
}

void tow__carrier_leave(struct tow_quic_carrier *carrier)
{
	carrier->link = NULL;
	carrier->ending = 1;
	if (carrier->over)
		tow_task_schedule(&carrier->tell);
	else if (tow_buf_len(&carrier->out) == 0)
		finish(carrier, 0);
}

/* --- out --- */

static void watch(struct tow_quic_carrier *carrier)
{
	if (!carrier->over)
		tow_io_watch(carrier->io,
		             TOW_IO_READ | (tow_buf_len(&carrier->out) ? TOW_IO_WRITE : 0));
}

/* Returns how much of bytes was taken; fewer when the socket is full, or gone. */
static size_t write_some(struct tow_quic_carrier *carrier, struct tow_slice bytes)
{
	size_t done = 0, n;
	int rc = 0;

	while (done < bytes.len && rc == 0) {
		rc = tow_tls_write(carrier->tls, bytes.base + done, bytes.len - done, &n);
		done += rc == 0 ? n : 0;
	}
	if (rc < 0)
		finish(carrier, rc);
	return done;
}

static void pump(struct tow_quic_carrier *carrier)
{
	size_t done = write_some(carrier, tow_buf_peek(&carrier->out));

	tow_buf_consume(&carrier->out, done);
	if (carrier->over)
		return;
	if (tow_buf_len(&carrier->out)) {
		if (done)
			(void)tow_timer_start_in(&carrier->timer,
			                         TOW_CARRIER_STALL_MS * TOW_NSEC_PER_MSEC);
		return;
	}
	tow_buf_deinit(&carrier->out);
	tow_timer_stop(&carrier->timer);
	if (carrier->ending) {
		finish(carrier, 0);
	} else if (carrier->starved) {
		carrier->starved = 0;
		tow__link_look(carrier->link);
	}
}

static size_t frame(uint8_t *out, const uint8_t *bytes, size_t len, size_t segment)
{
	size_t at = 0;

	while (len > 0) {
		size_t n = len < segment ? len : segment;

		out[at++] = (uint8_t)(n >> 8);
		out[at++] = (uint8_t)n;
		memcpy(out + at, bytes, n);
		at += n;
		bytes += n;
		len -= n;
	}
	return at;
}

void tow__carrier_send(struct tow_quic_carrier *carrier, const uint8_t *bytes, size_t len,
                       size_t segment)
{
	uint8_t *frames = carrier->endpoint->frames;
	size_t size, done = 0;

	if (carrier->over || tow_buf_len(&carrier->out) > TOW_CARRIER_UNSENT_MAX)
		return;
	size = frame(frames, bytes, len, segment);
	if (!tow_buf_len(&carrier->out))
		done = write_some(carrier, tow_slice_make(frames, size));
	if (carrier->over || done == size)
		return;
	if (tow_buf_append(&carrier->out, frames + done, size - done) != 0) {
		finish(carrier, TOW_ENOMEM);
		return;
	}
	if (carrier->timer.deadline_ns == TOW_NEVER)
		(void)tow_timer_start_in(&carrier->timer, TOW_CARRIER_STALL_MS * TOW_NSEC_PER_MSEC);
	watch(carrier);
}

int tow__carrier_full(struct tow_quic_carrier *carrier)
{
	carrier->starved = !carrier->over && tow_buf_len(&carrier->out) > 0;
	return carrier->starved;
}

/* --- in --- */

static void on_packet(void *user, struct tow_slice bytes)
{
	struct tow_quic_carrier *carrier = user;
	const struct tow_udp_packet packet = {
		.bytes = bytes,
		.remote = carrier->remote,
		.local = carrier->local,
	};

	if (!carrier->over && !carrier->freed)
		tow__endpoint_take(carrier->endpoint, carrier, &packet, 0);
}

static void receive(struct tow_quic_carrier *carrier)
{
	uint8_t bytes[READ_SIZE];
	size_t n;
	int rc = 0;

	for (int i = 0; rc == 0 && !carrier->over && !carrier->freed &&
	                (i < READS_PER_TURN || tow_tls_pending(carrier->tls));
	     i++) {
		rc = tow_tls_read(carrier->tls, bytes, sizeof(bytes), &n);
		if (rc == 0)
			rc = tow_udp_frames_read(&carrier->partial, tow_slice_make(bytes, n),
			                         on_packet, carrier);
	}
	if (rc != 0 && rc != TOW_BLOCKED && !carrier->freed)
		finish(carrier, rc == TOW_EOF ? TOW_ECLOSED : rc);
}

static void destroy(struct tow_quic_carrier *carrier);

static void on_ready(void *user, int events)
{
	struct tow_quic_carrier *carrier = user;
	struct tow_quic_endpoint *endpoint = carrier->endpoint;

	carrier->busy = 1;
	tow__endpoint_enter(endpoint);
	if (events & TOW_IO_WRITE && tow_buf_len(&carrier->out))
		pump(carrier);
	receive(carrier);
	tow__endpoint_batch_end(endpoint);
	tow__endpoint_leave(endpoint);
	carrier->busy = 0;
	if (carrier->freed && !endpoint->freeing)
		destroy(carrier);
	else
		watch(carrier);
}

static void on_timer(void *user)
{
	finish(user, TOW_ETIMEDOUT);
}

/* --- lifetime --- */

int tow_quic_carrier_new(const struct tow_quic_carrier_config *config,
                         struct tow_quic_carrier **out)
{
	struct tow_quic_endpoint *endpoint = config->endpoint;
	struct tow_quic_carrier *carrier = calloc(1, sizeof(*carrier));
	int not_sent_max = NOT_SENT_MAX;

	if (!carrier)
		return TOW_ENOMEM;
	if (!endpoint->frames)
		endpoint->frames = malloc(TOW__CARRIER_FRAMES_MAX);
	tow_timer_init(&carrier->timer, endpoint->host.config.loop, on_timer, carrier);
	tow_task_init(&carrier->tell, endpoint->host.config.loop, tell, carrier);
	if (endpoint->freeing || !endpoint->frames ||
	    (config->begin_timeout_ns &&
	     tow_timer_start_in(&carrier->timer, config->begin_timeout_ns) != 0))
		goto fail;
	carrier->io = tow_io_new(endpoint->host.config.loop, config->fd, on_ready, carrier);
	if (!carrier->io)
		goto fail;
	(void)setsockopt(config->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &not_sent_max,
	                 sizeof(not_sent_max));
	carrier->endpoint = endpoint;
	carrier->fd = config->fd;
	carrier->tls = config->tls;
	carrier->local = config->local;
	carrier->remote = config->remote;
	carrier->closed = config->closed;
	carrier->user = config->user;
	carrier->next = endpoint->carriers;
	if (carrier->next)
		carrier->next->prev = carrier;
	endpoint->carriers = carrier;
	tow_metric_inc(endpoint->metrics.carriers);
	watch(carrier);
	*out = carrier;
	return 0;
fail:
	tow_timer_stop(&carrier->timer);
	free(carrier);
	return TOW_ENOMEM;
}

static void destroy(struct tow_quic_carrier *carrier)
{
	struct tow_quic_endpoint *endpoint = carrier->endpoint;
	struct tow__link *link = carrier->link;

	if (link) {
		link->carrier = NULL;
		if (link->conn)
			tow__quic_conn_end(link->conn, TOW_ECLOSED, TOW__QUIC_SILENT, 0, "");
	}
	if (carrier->prev)
		carrier->prev->next = carrier->next;
	else
		endpoint->carriers = carrier->next;
	if (carrier->next)
		carrier->next->prev = carrier->prev;
	tow_metric_dec(endpoint->metrics.carriers);
	if (!carrier->over && tow_buf_len(&carrier->out) == 0)
		(void)tow_tls_shutdown(carrier->tls);
	tow_timer_stop(&carrier->timer);
	tow_task_cancel(&carrier->tell);
	tow_io_free(carrier->io);
	tow_tls_free(carrier->tls);
	close(carrier->fd);
	tow_buf_deinit(&carrier->partial);
	tow_buf_deinit(&carrier->out);
	free(carrier);
}

void tow_quic_carrier_free(struct tow_quic_carrier *carrier)
{
	if (!carrier)
		return;
	carrier->freed = 1;
	carrier->closed = NULL;
	if (!carrier->busy && !carrier->endpoint->freeing)
		destroy(carrier);
}

void tow__carriers_close(struct tow_quic_endpoint *endpoint)
{
	struct tow_quic_carrier *carrier;

	for (carrier = endpoint->carriers; carrier; carrier = carrier->next)
		if (carrier->closed)
			carrier->closed(carrier->user, TOW_ECLOSED);
}

void tow__carriers_deinit(struct tow_quic_endpoint *endpoint)
{
	while (endpoint->carriers)
		destroy(endpoint->carriers);
	free(endpoint->frames);
}

int tow__carrier_begin(struct tow_quic_carrier *carrier, struct tow__link *link)
{
	if (carrier->link || carrier->over || carrier->ending)
		return TOW_ECLOSED;
	carrier->link = link;
	link->carrier = carrier;
	link->carried = 1;
	tow_timer_stop(&carrier->timer);
	return 0;
}

const struct tow_addr *tow__carrier_local(const struct tow_quic_carrier *carrier)
{
	return &carrier->local;
}

const struct tow_addr *tow__carrier_remote(const struct tow_quic_carrier *carrier)
{
	return &carrier->remote;
}

struct tow_quic_endpoint *tow__carrier_endpoint(const struct tow_quic_carrier *carrier)
{
	return carrier->endpoint;
}
