/* SPDX-License-Identifier: MIT */
#ifndef EDGE_FIXTURE_H
#define EDGE_FIXTURE_H

/*
 * An edge on loopback, agents that speak the tunnel protocol to it, and visitors, all in one
 * thread: whatever waits turns the loop until its condition holds.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <towonel/edge.h>
#include <towonel/tunnel/quic.h>
#include <towonel/wire/control_message.h>
#include <towonel/wire/proxy_header.h>
#include "edge_private.h"

#define AGENTS_MAX  4
#define PATIENCE_MS 5000

struct tenant {
	struct tow_tenant_key *key;
	struct tow_id id;
};

/* What an agent does with visitor streams. */
enum habit {
	HABIT_ECHO,
	HABIT_REFUSE,  /* resets with TOW_TUNNEL_ORIGIN_REFUSED */
	HABIT_SILENT,  /* never answers */
	HABIT_GARBAGE, /* answers with another byte */
	HABIT_END,     /* accepts, and ends its direction at once */
};

struct agent;

struct agent_stream {
	struct agent *agent;
	struct agent_stream *next;
	struct tow_quic_stream *stream; /* NULL: closed */
	struct tow_buf in;              /* header first, then what the visitor sent */
	struct tow_buf kept;            /* what the slices of header point into */
	struct tow_proxy_header header;
	int answered, finished, was_reset;
	size_t datagrams; /* DATAGRAM frames that came */
	uint64_t reset_code;
};

struct agent {
	struct fixture *f;
	struct tow_node_key key;
	struct tow_quic_endpoint *endpoint;
	struct tow_quic_conn *conn;
	struct tow_quic_stream *control;
	struct tow_buf input;
	enum habit habit;
	int mute;         /* answers no pings */
	unsigned worker;  /* of the edge, that it goes to */
	unsigned tunnels; /* that the edge wants of it */
	int established, welcomed, refused, drained, closed;
	uint64_t refused_code, superseded_by, pings;
	struct tow_quic_close_reason reason;
	struct agent_stream *streams; /* the newest first */
	size_t stream_count;
};

struct fixture {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;
	struct tow_node_key key;
	struct timing timing; /* before fixture_start */
	struct tow_edge_config config;
	struct tow_edge *edge;
	int closed;
	struct tenant alice, bob;
	struct agent agents[AGENTS_MAX];
	size_t reports, reported_agents, reported_failed_ports;
	int reported_minor, reported_traffic;
	struct tow_failed_port reported_failed_port; /* the first of them */
	char reported_address[64];
};

int fixture_setup(void **state); /* keys and loop; the edge is not started */
int fixture_teardown(void **state);
void fixture_start(struct fixture *f);
void fixture_stop(struct fixture *f, uint64_t grace_ns); /* and waits */

void fixture_closed(void *f); /* what it waits for: sets closed */

/* Turns the loop once, for at most ms. */
void turn(struct fixture *f, int ms);
uint64_t now_ms(void);
/* Turns until the condition holds; fails the test when it does not. */
#define await(f, condition)                                                                        \
	do {                                                                                       \
		uint64_t await_end = now_ms() + PATIENCE_MS;                                       \
		while (!(condition)) {                                                             \
			if (now_ms() > await_end)                                                  \
				fail_msg("waited in vain for: %s", #condition);                    \
			turn((f), 10);                                                             \
		}                                                                                  \
	} while (0)
/* Turns for that long. */
void pass(struct fixture *f, uint64_t ms);

/* Routes. */
struct tow_route_writer *routes(uint64_t from, uint64_t version);
void add_tenant(struct tow_route_writer *w, const struct tenant *t);
void add_tenant_limited(struct tow_route_writer *w, const struct tenant *t,
                        const struct tow_tenant_limits *limits);
void add_hostname(struct tow_route_writer *w, const struct tenant *t, const char *pattern);
void add_port(struct tow_route_writer *w, const struct tenant *t, uint16_t port,
              const char *service);
void add_udp_port(struct tow_route_writer *w, const struct tenant *t, uint16_t port,
                  const char *service, uint16_t idle_timeout_secs);
/* The same with a list of who may not come: "192.0.2.0/24,::1". */
void add_hostname_denied(struct tow_route_writer *w, const struct tenant *t, const char *pattern,
                         const char *denied);
void add_port_denied(struct tow_route_writer *w, const struct tenant *t, enum tow_protocol protocol,
                     uint16_t port, const char *service, const char *denied);
int apply(struct fixture *f, struct tow_route_writer *w); /* frees w */
/* alice with app.alice.test and *.wild.alice.test, bob with app.bob.test: version 1 */
void apply_usual(struct fixture *f);

/* Agents. The entry says what these say. */
struct claim {
	const struct tenant *tenant;
	uint64_t generation;
	uint8_t services; /* the first byte of services_hash */
	const char *const
		*authorities;   /* NULL at the end; NULL: app.alice.test, *.wild.alice.test */
	uint64_t expires_in_ms; /* 0: an hour */
	int expired;
	int forged;                       /* somebody has touched the signature */
	const struct tow_node_key *agent; /* NULL: its own */
	uint32_t version;                 /* 0: TOW_TUNNEL_VERSION */
	int op;                           /* 0: TOW_ENTRY_UPSERT_AGENT */
};
void agent_free(struct agent *a); /* and makes room for another one */
void agent_connect(struct fixture *f,
                   struct agent *a); /* fresh key unless it has one; waits for the handshake */
void agent_say(struct agent *a, const struct tow_control_message *message);
void agent_say_bytes(struct agent *a, const void *bytes, size_t len);
void agent_hello(struct agent *a, const struct claim *claim);
/* connect, hello, and waits for welcome */
struct agent *agent_up(struct fixture *f, size_t index, const struct claim *claim);
void agent_write(struct agent_stream *s, struct tow_slice bytes);
void agent_leave(struct agent *a); /* closes its endpoint at once */

/* Visitors: non-blocking sockets. */
int visit(struct fixture *f);
int visit_port(struct fixture *f, uint16_t port);
void visitor_send(int fd, const void *bytes, size_t len);
/* Reads until len bytes are there, or the end (-1: until the end); returns how many. *how: 0 still
 * open, 1 FIN, -1 reset */
size_t visitor_read(struct fixture *f, int fd, void *out, size_t len, int *how);
void expect_alert(struct fixture *f, int fd, int alert); /* then an orderly end; closes */
void expect_end(struct fixture *f, int fd);              /* nothing more, FIN or reset; closes */
void expect_reset(struct fixture *f, int fd);

/* A ClientHello in one record; name and alpn may be NULL; padding makes it longer. */
struct tow_buf client_hello(const char *name, const char *alpn, size_t padding);
void visit_says_hello(int fd, const char *name);

int64_t metric(struct fixture *f, const char *name, const char *labels);
int64_t refused(struct fixture *f, const char *reason);

#endif
