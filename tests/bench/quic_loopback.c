/* SPDX-License-Identifier: MIT */

/*
 * What QUIC itself costs on this machine: a server and a client process on loopback, nothing else.
 *
 *      quic_loopback bulk [SECONDS] [MAX_UDP_PAYLOAD]   one stream, as fast as it goes
 *      quic_loopback ping [SECONDS] [STREAMS]           100 bytes there and back, again and again
 *      quic_loopback idle [CONNECTIONS] [MAX_UDP_PAYLOAD] memory per idle connection and side
 *
 * With tcp- in front of bulk or ping, over TLS over TCP, as where UDP is blocked. Each prints one
 * line for the whole and one for each process: CPU seconds per gigabyte or per request.
 */

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <towonel/tunnel/quic_carrier.h>
#include <towonel/tunnel/tcp.h>
#include <towonel/wire/limits.h>

#define REQUEST      100
#define KEEP_IDLE_NS (600 * TOW_NSEC_PER_SEC)

enum mode {
	BULK,
	PING,
	IDLE,
};

static enum mode mode;
static int carried;
static struct tow_loop *loop;
static struct tow_node_key server_key, client_key;
static struct tow_quic_endpoint *endpoint;
static size_t payload;
static unsigned count;
static uint64_t bytes, requests, established, started_ns;
static int answers; /* the server writes its usage here when it is told to end */

static void die(const char *what)
{
	fprintf(stderr, "quic_loopback: %s\n", what);
	exit(1);
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static size_t heap_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* --- both ends --- */

struct peer {
	struct tow_quic_stream *stream;
	size_t pending; /* of a request or its answer */
};

static struct peer *peer_new(struct tow_quic_stream *stream)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		die("out of memory");
	peer->stream = stream;
	return peer;
}

static void ask(struct peer *peer)
{
	static const uint8_t request[REQUEST];

	(void)tow_quic_stream_write(peer->stream, tow_slice_make(request, sizeof(request)));
}

static void server_data(void *user, struct tow_slice data, int fin)
{
	struct peer *peer = user;

	bytes += data.len;
	tow_quic_stream_consume(peer->stream, data.len);
	if (mode == PING) {
		peer->pending += data.len;
		for (; peer->pending >= REQUEST; peer->pending -= REQUEST)
			ask(peer);
	}
	if (fin)
		tow_quic_stream_finish(peer->stream);
}

static void client_data(void *user, struct tow_slice data, int fin)
{
	struct peer *peer = user;

	(void)fin;
	tow_quic_stream_consume(peer->stream, data.len);
	peer->pending += data.len;
	for (; peer->pending >= REQUEST; peer->pending -= REQUEST) {
		requests++;
		ask(peer);
	}
}

static void fill(void *user)
{
	struct peer *peer = user;
	size_t len;

	while (tow_quic_stream_unsent(peer->stream) < TOW_PIPE_UNSENT_MAX) {
		if (!tow_quic_stream_reserve(peer->stream, &len))
			die("out of memory");
		/* what a read from a socket would have put there */
		tow_quic_stream_commit(peer->stream, len);
		bytes += len;
	}
	tow_quic_stream_want_writable(peer->stream);
}

static void stream_closed(void *user)
{
	free(user);
}

static const struct tow_quic_stream_events server_stream_events = {
	.data = server_data,
	.closed = stream_closed,
};

static const struct tow_quic_stream_events client_stream_events = {
	.data = client_data,
	.writable = fill,
	.closed = stream_closed,
};

static void server_stream(void *user, struct tow_quic_stream *stream)
{
	(void)user;
	tow_quic_stream_set_events(stream, &server_stream_events, peer_new(stream));
}

static void server_closed(void *user, const struct tow_quic_close_reason *reason)
{
	double result[3] = { cpu_seconds(), (double)bytes, (double)heap_in_use() };

	(void)user;
	(void)reason;
	if (mode == IDLE)
		return;
	if (write(answers, result, sizeof(result)) != sizeof(result))
		die("cannot report");
	tow_loop_stop(loop);
}

static const struct tow_quic_conn_events server_events = {
	.stream_opened = server_stream,
	.closed = server_closed,
};

static void accepted(void *user, struct tow_quic_conn *conn)
{
	(void)user;
	established++;
	tow_quic_conn_set_events(conn, &server_events, NULL);
}

static void client_closed(void *user, const struct tow_quic_close_reason *reason)
{
	(void)user;
	if (reason->status != 0)
		die(reason->text);
}

static struct tow_quic_conn *the_connection;

static void client_established(void *user)
{
	struct tow_quic_stream *stream;
	struct peer *peer;
	unsigned i;

	(void)user;
	established++;
	started_ns = tow_now_ns();
	for (i = 0; i < (mode == BULK ? 1 : mode == PING ? count : 0); i++) {
		peer = peer_new(NULL);
		if (tow_quic_open_stream(the_connection, &client_stream_events, peer, &stream) != 0)
			die("cannot open a stream");
		peer->stream = stream;
		if (mode == BULK)
			fill(peer);
		else
			ask(peer);
	}
}

static const struct tow_quic_conn_events client_events = {
	.established = client_established,
	.closed = client_closed,
};

static void start(int server)
{
	struct tow_quic_config config = {
		.key = server ? &server_key : &client_key,
		.alpn = "towonel/1",
		.handshakes_per_second = 1000000,
		.udp.bind = { .family = 4, .bytes = { 127, 0, 0, 1 } },
		.max_udp_payload = payload,
		.idle_timeout_ns = KEEP_IDLE_NS,
		.keep_alive_ns = KEEP_IDLE_NS / 2,
		.retry_above = 100000,
		.accepted = server ? accepted : NULL,
	};
	struct tow_error err;

	loop = tow_loop_new();
	if (!loop)
		die("out of memory");
	config.loop = loop;
	if (tow_quic_endpoint_new(&config, &endpoint, &err) != 0)
		die(err.text);
}

/* --- the server --- */

static struct tow_tls_context *context;
static struct tow_tcp_listener *listener;
static struct tow_quic_carrier *carrier;

struct arrival {
	int fd;
	struct tow_tls *tls;
	struct tow_io *io;
	struct tow_addr peer;
};

static void shake_hands(void *user, int events)
{
	struct arrival *arrival = user;
	int rc = tow_tls_handshake(arrival->tls, NULL);
	struct tow_quic_carrier_config config = {
		.endpoint = endpoint,
		.fd = arrival->fd,
		.tls = arrival->tls,
		.local = *tow_tcp_listener_addr(listener),
		.remote = arrival->peer,
		.begin_timeout_ns = 10 * TOW_NSEC_PER_SEC,
	};

	(void)events;
	if (rc == TOW_BLOCKED) {
		tow_io_watch(arrival->io, tow_tls_events(arrival->tls));
		return;
	}
	tow_io_free(arrival->io);
	if (rc != 0 || tow_quic_carrier_new(&config, &carrier) != 0)
		die("no carrier");
	free(arrival);
}

static void arrived(void *user, int fd, const struct tow_addr *peer, const struct tow_addr *local)
{
	struct arrival *arrival = calloc(1, sizeof(*arrival));

	(void)user;
	(void)local;
	if (!arrival ||
	    tow_tls_accept(context, fd, NULL, tow_slice_make(NULL, 0), &arrival->tls) != 0)
		die("out of memory");
	arrival->fd = fd;
	arrival->peer = *peer;
	arrival->io = tow_io_new(loop, fd, shake_hands, arrival);
	if (!arrival->io)
		die("out of memory");
	tow_io_watch(arrival->io, TOW_IO_READ);
}

static uint16_t listen_port(void)
{
	struct tow_addr addr = { .family = 4, .bytes = { 127, 0, 0, 1 } };

	if (!carried)
		return tow_quic_endpoint_addr(endpoint)->port;
	if (tow_tls_context_new_identity(&server_key, TOW_CARRIER_ALPN, &context, NULL) != 0 ||
	    tow_tcp_listener_new(loop, NULL, &addr, 0, 0, arrived, NULL, &listener, NULL) != 0)
		die("cannot listen");
	return tow_tcp_listener_addr(listener)->port;
}

static void report_idle(void *user)
{
	struct tow_timer *timer = user;
	double result[3] = { 0, 0, (double)heap_in_use() };

	if (established < count) {
		(void)tow_timer_start_in(timer, 100 * TOW_NSEC_PER_MSEC);
		return;
	}
	if (write(answers, result, sizeof(result)) != sizeof(result))
		die("cannot report");
}

static void serve(int port_fd)
{
	struct tow_timer timer;
	double before;
	uint16_t port;

	start(1);
	before = (double)heap_in_use();
	port = listen_port();
	if (write(port_fd, &port, sizeof(port)) != sizeof(port))
		die("cannot report");
	if (mode == IDLE) {
		if (write(answers, &before, sizeof(before)) != sizeof(before))
			die("cannot report");
		tow_timer_init(&timer, loop, report_idle, &timer);
		(void)tow_timer_start_in(&timer, 100 * TOW_NSEC_PER_MSEC);
	}
	tow_loop_run(loop);
}

/* --- the client --- */

static void stop(void *user)
{
	(void)user;
	tow_loop_stop(loop);
}

static void run_for(uint64_t ns)
{
	struct tow_timer timer;

	tow_timer_init(&timer, loop, stop, NULL);
	(void)tow_timer_start_in(&timer, ns);
	tow_loop_run(loop);
	tow_timer_stop(&timer);
}

static void measure_idle(const struct tow_addr *to, int results)
{
	double before = (double)heap_in_use(), server_before, server[3];
	unsigned i;

	if (read(results, &server_before, sizeof(server_before)) != sizeof(server_before))
		die("no word from the server");
	for (i = 0; i < count; i++) {
		if (tow_quic_connect(endpoint, to, &server_key.id, &client_events, NULL,
		                     &the_connection) != 0)
			die("cannot connect");
		while (established <= i)
			run_for(TOW_NSEC_PER_MSEC);
	}
	run_for(2 * TOW_NSEC_PER_SEC);
	if (read(results, server, sizeof(server)) != sizeof(server))
		die("no word from the server");
	printf("idle: %u connections, heap per connection: client %.1f KB, server %.1f KB\n", count,
	       ((double)heap_in_use() - before) / count / 1e3,
	       (server[2] - server_before) / count / 1e3);
}

static void dialled(void *user, int status, struct tow_quic_carrier *dialled_carrier,
                    const struct tow_error *err)
{
	(void)user;
	if (status != 0)
		die(err->text);
	carrier = dialled_carrier;
	if (tow_quic_connect_over(carrier, &server_key.id, &client_events, NULL, &the_connection) !=
	    0)
		die("cannot connect");
}

static void connect_to(const struct tow_addr *to)
{
	const struct tow_quic_carrier_dial_config config = {
		.loop = loop,
		.endpoint = endpoint,
		.host = "127.0.0.1",
		.port = to->port,
		.peer = &server_key.id,
		.done = dialled,
	};
	struct tow_quic_carrier_dial *dial;
	int rc = carried ? tow_quic_carrier_dial_start(&config, &dial)
	                 : tow_quic_connect(endpoint, to, &server_key.id, &client_events, NULL,
	                                    &the_connection);

	if (rc != 0)
		die("cannot connect");
}

static void measure(const struct tow_addr *to, int results, double seconds)
{
	struct tow_quic_stats stats;
	double server[3], took, cpu;

	connect_to(to);
	while (!established)
		run_for(TOW_NSEC_PER_MSEC);
	run_for((uint64_t)(seconds * 1e9));
	took = (double)(tow_now_ns() - started_ns) / 1e9;
	cpu = cpu_seconds();
	tow_quic_conn_stats(the_connection, &stats);
	tow_quic_conn_close(the_connection, 0, "");
	run_for(10 * TOW_NSEC_PER_MSEC);
	if (read(results, server, sizeof(server)) != sizeof(server))
		die("no word from the server");
	if (mode == BULK)
		printf("bulk: payload %zu, %.2f Gbit/s, CPU s/GB: sender %.3f, receiver %.3f, "
		       "lost %llu of %llu packets, rtt %.0f us, window %llu KB\n",
		       stats.max_udp_payload, server[1] * 8 / took / 1e9, cpu / (server[1] / 1e9),
		       server[0] / (server[1] / 1e9), (unsigned long long)stats.packets_lost,
		       (unsigned long long)stats.packets_sent, (double)stats.smoothed_rtt_ns / 1e3,
		       (unsigned long long)stats.congestion_window / 1000);
	else
		printf("ping: %u streams, %.0f requests/s, CPU us/request: client %.2f, server "
		       "%.2f\n",
		       count, (double)requests / took, cpu / (double)requests * 1e6,
		       server[0] / (double)requests * 1e6);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "bulk";
	struct tow_addr to = { .family = 4, .bytes = { 127, 0, 0, 1 } };
	int port[2], results[2];
	double seconds = 3;
	pid_t child;

	carried = strncmp(what, "tcp-", 4) == 0;
	what += carried ? 4 : 0;
	if (strcmp(what, "idle") == 0) {
		mode = IDLE;
		count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 500;
		payload = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	} else {
		mode = strcmp(what, "ping") == 0 ? PING : BULK;
		seconds = argc > 2 ? strtod(argv[2], NULL) : 3;
		count = mode == PING && argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 64;
		payload = mode == BULK && argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	}
	if (pipe(port) != 0 || pipe(results) != 0)
		die("no pipe");
	tow_node_key_generate(&server_key);
	tow_node_key_generate(&client_key);
	answers = results[1];
	child = fork();
	if (child < 0)
		die("cannot fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(port[1]);
		_exit(0);
	}
	if (read(port[0], &to.port, 2) != 2)
		die("the server did not start");
	start(0);
	if (mode == IDLE)
		measure_idle(&to, results[0]);
	else
		measure(&to, results[0], seconds);
	fflush(stdout);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}
