/* SPDX-License-Identifier: MIT */
#include "udp/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/limits.h>

#include "loop/loop.h"

/*
 * Datagrams that wait for the end of the loop's turn. Those of one size to one address form a run,
 * which leaves as one message with UDP_SEGMENT; the runs of a socket that follow one another leave
 * in one sendmmsg:
 *
 *      datagrams   a b a a c b      in order of arrival, each with its place in `bytes`
 *      runs        a ─► a ─► a      b ─► b      c
 *
 * A run goes on while its datagrams are equally long; a shorter one ends it, and what follows to
 * that address begins another, behind it. The run that is open for an address is found through a
 * table that may forget it: that costs a message, not the order.
 */

#define DATAGRAMS_MAX 512
#define BYTES_MAX     (256 * 1024)
#define OPEN_MAX      64
#define MESSAGES_MAX  64
/* Larger ones leave singly: segments must not be IP fragments. */
#define SEGMENT_MAX 1472

#define NONE UINT16_MAX

struct datagram {
	uint32_t at, len;
	uint16_t next; /* of its run */
};

struct run {
	struct tow_udp_socket *socket;
	struct tow_addr remote, local;
	uint32_t segment, len;
	uint16_t first, last, count;
	uint16_t closed;
};

struct outbox {
	struct tow_task task;
	size_t used;
	unsigned datagram_count, run_count;
	uint16_t open[OPEN_MAX]; /* index of a run */
	struct datagram datagrams[DATAGRAMS_MAX];
	struct run runs[DATAGRAMS_MAX];
	uint8_t bytes[BYTES_MAX];
};

/* --- in --- */

static void flush(void *user);

static struct outbox *outbox_of(struct tow_loop *loop)
{
	struct outbox *box = loop->udp_outbox;

	if (box)
		return box;
	box = malloc(sizeof *box);
	if (!box)
		return NULL;
	tow_task_init(&box->task, loop, flush, box);
	box->used = box->datagram_count = box->run_count = 0;
	memset(box->open, 0xff, sizeof box->open);
	loop->udp_outbox = box;
	return box;
}

static unsigned slot_of(const struct tow_udp_socket *socket, const struct tow_addr *remote)
{
	unsigned hash = (unsigned)((uintptr_t)socket >> 5);

	hash += remote->port * 31u + remote->bytes[3] + remote->bytes[15] * 7u;
	return hash % OPEN_MAX;
}

static int goes_on(const struct run *run, const struct tow_udp_socket *socket,
                   const struct tow_addr *remote, const struct tow_addr *local, size_t len)
{
	return !run->closed && run->socket == socket && len > 0 && len <= run->segment &&
	       run->len + len <= TOW__UDP_GSO_BYTES_MAX && run->count < TOW__UDP_SEGMENTS_MAX &&
	       tow_addr_equal(&run->remote, remote) && tow_addr_equal(&run->local, local);
}

static struct run *begin(struct outbox *box, struct tow_udp_socket *socket,
                         const struct tow_addr *remote, const struct tow_addr *local, size_t len)
{
	struct run *run = &box->runs[box->run_count++];

	run->socket = socket;
	run->remote = *remote;
	run->local = *local;
	run->segment = (uint32_t)len;
	run->len = 0;
	run->count = 0;
	run->first = NONE;
	run->closed = socket->gso_refused || len == 0 || len > SEGMENT_MAX;
	socket->queued++;
	return run;
}

static void append(struct outbox *box, struct run *run, struct tow_slice bytes)
{
	uint16_t index = (uint16_t)box->datagram_count++;
	struct datagram *datagram = &box->datagrams[index];

	*datagram = (struct datagram){ (uint32_t)box->used, (uint32_t)bytes.len, NONE };
	if (bytes.len)
		memcpy(box->bytes + box->used, bytes.base, bytes.len);
	box->used += bytes.len;
	if (run->first == NONE)
		run->first = index;
	else
		box->datagrams[run->last].next = index;
	run->last = index;
	run->count++;
	run->len += datagram->len;
	if (datagram->len < run->segment)
		run->closed = 1;
}

void tow_udp_queue(struct tow_udp_socket *socket, const struct tow_addr *remote,
                   const struct tow_addr *local, struct tow_slice bytes)
{
	static const struct tow_addr none;
	struct outbox *box = outbox_of(socket->loop);
	uint16_t *open;
	struct run *run;

	if (!box || bytes.len > TOW_UDP_PAYLOAD_MAX) {
		tow__udp_lost(socket, box ? TOW_ETOOBIG : TOW_EIO);
		return;
	}
	if (box->datagram_count == DATAGRAMS_MAX || box->used + bytes.len > BYTES_MAX)
		flush(box);
	remote = remote ? remote : &none;
	local = local ? local : &none;
	open = &box->open[slot_of(socket, remote)];
	run = *open == NONE ? NULL : &box->runs[*open];
	if (!run || !goes_on(run, socket, remote, local, bytes.len)) {
		run = begin(box, socket, remote, local, bytes.len);
		*open = (uint16_t)(run - box->runs);
	}
	append(box, run, bytes);
	tow_task_schedule(&box->task);
}

/* --- out --- */

struct message {
	struct sockaddr_storage name;
	struct tow__udp_control control;
};

/* The messages of one sendmmsg, and what they point to. */
struct batch {
	struct mmsghdr headers[MESSAGES_MAX];
	struct message messages[MESSAGES_MAX];
	struct iovec iovs[DATAGRAMS_MAX];
	unsigned count, iov_count;
};

static struct msghdr *address(struct batch *batch, const struct run *run)
{
	struct message *message = &batch->messages[batch->count];
	struct msghdr *header = &batch->headers[batch->count++].msg_hdr;

	memset(header, 0, sizeof *header);
	message->control.len = 0;
	if (!run->socket->connected) {
		header->msg_name = &message->name;
		header->msg_namelen = tow__addr_to_sockaddr_for(run->socket->family, &run->remote,
		                                                &message->name);
		tow__udp_control_source(&message->control, run->socket, &run->local,
		                        run->remote.family == 4, 0);
	}
	header->msg_iov = &batch->iovs[batch->iov_count];
	return header;
}

static void add_bytes(struct batch *batch, struct msghdr *header, struct outbox *box,
                      const struct datagram *datagram)
{
	batch->iovs[batch->iov_count++] =
		(struct iovec){ box->bytes + datagram->at, datagram->len };
	header->msg_iovlen++;
}

static void finish(struct batch *batch, struct msghdr *header)
{
	struct tow__udp_control *control = &batch->messages[batch->count - 1].control;

	if (control->len) {
		header->msg_control = control->u.bytes;
		header->msg_controllen = control->len;
	}
}

static void add_run(struct batch *batch, struct outbox *box, const struct run *run)
{
	struct msghdr *header = address(batch, run);
	uint16_t segment = (uint16_t)run->segment;

	for (uint16_t i = run->first; i != NONE; i = box->datagrams[i].next)
		add_bytes(batch, header, box, &box->datagrams[i]);
	if (run->count > 1)
		tow__udp_control_add(&batch->messages[batch->count - 1].control, IPPROTO_UDP,
		                     UDP_SEGMENT, &segment, sizeof segment);
	finish(batch, header);
}

/* Its datagrams one by one. */
static void add_each(struct batch *batch, struct outbox *box, const struct run *run)
{
	for (uint16_t i = run->first; i != NONE; i = box->datagrams[i].next) {
		struct msghdr *header = address(batch, run);
		add_bytes(batch, header, box, &box->datagrams[i]);
		finish(batch, header);
	}
}

enum verdict {
	AGAIN,
	SKIP,   /* this message is lost */
	SINGLY, /* segmentation is not to be had, or not for this path */
	FULL,
};

static enum verdict judge(struct tow_udp_socket *socket, int error_number, int is_run)
{
	switch (error_number) {
	case EINTR: return AGAIN;
	case ECONNREFUSED: /* of an earlier one; the socket has forgotten it now */
		tow__udp_lost(socket, TOW_EREFUSED);
		return AGAIN;
	case EAGAIN:
	case ENOBUFS: return FULL;
	case EIO: socket->gso_refused |= is_run; break;
	default: break;
	}
	return is_run ? SINGLY : SKIP;
}

/* Sends the batch, from message `from` on. Returns how many were dealt with; *verdict is about the
 * one that follows. */
static unsigned transmit(struct tow_udp_socket *socket, struct batch *batch, int runs,
                         enum verdict *verdict)
{
	unsigned sent = 0;
	int tries = 0, error_number;

	*verdict = SKIP;
	while (sent < batch->count) {
		int n = sendmmsg(socket->fd, batch->headers + sent, batch->count - sent,
		                 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			sent += (unsigned)n;
			tries = 0;
			continue;
		}
		error_number = errno;
		*verdict = judge(socket, error_number,
		                 runs && batch->headers[sent].msg_hdr.msg_iovlen > 1);
		if (*verdict == AGAIN && tries++ < 4)
			continue;
		if (*verdict == FULL || *verdict == SINGLY)
			return sent;
		tow__udp_lost(socket, error_number == EMSGSIZE ? TOW_ETOOBIG : TOW_EIO);
		sent++;
	}
	return sent;
}

static void lose_run(const struct run *run)
{
	for (uint16_t i = 0; i < run->count; i++)
		tow__udp_lost(run->socket, TOW_BLOCKED);
}

static int send_singly(struct batch *batch, struct outbox *box, const struct run *run)
{
	enum verdict verdict;
	unsigned sent;

	batch->count = batch->iov_count = 0;
	add_each(batch, box, run);
	sent = transmit(run->socket, batch, 0, &verdict);
	for (; sent < run->count; sent++)
		tow__udp_lost(run->socket, TOW_BLOCKED);
	return verdict != FULL;
}

/* Sends the runs from `at` on that are of one socket, as many as fit a batch. Returns how many were
 * dealt with. */
static unsigned send_some(struct batch *batch, struct outbox *box, unsigned at)
{
	struct tow_udp_socket *socket = box->runs[at].socket;
	enum verdict verdict;
	unsigned end = at, done;

	batch->count = batch->iov_count = 0;
	while (end < box->run_count && box->runs[end].socket == socket &&
	       batch->count < MESSAGES_MAX)
		add_run(batch, box, &box->runs[end++]);
	done = at + transmit(socket, batch, 1, &verdict);
	if (done < end && verdict == SINGLY && send_singly(batch, box, &box->runs[done]))
		return done + 1 - at;
	if (done < end && verdict == SINGLY)
		done++;
	for (; done < end; done++) /* the socket is full */
		lose_run(&box->runs[done]);
	return end - at;
}

static void flush(void *user)
{
	struct outbox *box = user;
	struct batch batch;
	unsigned at = 0, sent;

	while (at < box->run_count) {
		sent = send_some(&batch, box, at);
		for (; sent > 0; sent--)
			box->runs[at++].socket->queued--;
	}
	box->used = box->datagram_count = box->run_count = 0;
	memset(box->open, 0xff, sizeof box->open);
	tow_task_cancel(&box->task);
}

void tow__udp_outbox_flush(struct tow_loop *loop)
{
	if (loop->udp_outbox)
		flush(loop->udp_outbox);
}
