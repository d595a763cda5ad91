/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_H
#define TOWONEL_AGENT_H

/*
 * libtowonel-agent: expose services of this machine through a towonel hub and its edges, from any C
 * or C++ program. The agent needs one secret, the invite token, and a list of services; it keeps a
 * connection to every edge and reconnects by itself after anything.
 *
 *     struct tow_agent_config config = {
 *             .invite_token = token,
 *             .services = "[{\"hostname\":\"app.example.eu\",\"origin\":\"127.0.0.1:8443\"}]",
 *     };
 *     struct tow_agent *agent;
 *     char error[256];
 *     if (tow_agent_new(&config, &agent, error, sizeof error) != 0) ...
 *     tow_agent_run(agent);            // blocks, until tow_agent_stop or a fatal event
 *     tow_agent_free(agent);
 *
 * Or from a loop of your own: wait until tow_agent_fd is readable or tow_agent_timeout_ms has
 * passed, call tow_agent_dispatch, then take events until there are none. All calls on one agent
 * come from one thread at a time, except tow_agent_stop and _wake. Several agents in one process
 * are fine. The library installs no signal handler, never calls exit, and prints nothing. A child
 * of fork(2) has no agent: what it sees is the parent's, and not to be touched, by _free neither.
 *
 * A program can be the origin itself, and listen nowhere: a service with "origin": "inproc:NAME"
 * hands each visitor to the config's accept.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_agent;

enum tow_agent_log_level {
	TOW_AGENT_LOG_ERROR,
	TOW_AGENT_LOG_WARN,
	TOW_AGENT_LOG_INFO,
	TOW_AGENT_LOG_DEBUG,
	TOW_AGENT_LOG_TRACE,
};

/* A visitor of a service whose origin is "inproc:NAME". Strings are valid during the call. */
struct tow_agent_visitor {
	const char *origin;  /* NAME */
	const char *service; /* what the visitor asked for: "app.example.eu", "tcp:ssh" */
	const char *address; /* the visitor's, "192.0.2.7:49152" or "[2001:db8::7]:49152" */
	const char *local;   /* where it connected to, likewise */
};

/* All-zero but for invite_token is valid. Everything is copied by tow_agent_new. */
struct tow_agent_config {
	const char *invite_token; /* tt_inv_2_...; required; never logged */
	const char *services; /* JSON arrays as in TOWONEL_AGENT_SERVICES, ... ; NULL or "": none */
	const char *tcp_services;
	const char *udp_services;
	const char *const
		*trusted_edges; /* node ids (64 hex digits) that override the hub's list */
	size_t trusted_edge_count;
	const char *health_listen; /* "127.0.0.1:9092"; NULL: no health listener */
	uint64_t drain_ms;         /* how long open streams may finish; 0: 25000 */
	/* Finished log lines (logfmt, or JSON objects when log_json), without newline. NULL: no
	 * log. Called on the thread that drives the agent; of the agent's functions only _stop and
	 * _wake may be called from within. */
	void (*log)(void *user, enum tow_agent_log_level level, const char *line);
	void *log_user;
	enum tow_agent_log_level log_level; /* zero is ERROR */
	int log_json;
	/* Takes the visitors of services with an origin "inproc:NAME"; NULL: there may be none. fd
	 * is one end of a pair of stream sockets, blocking and close-on-exec: what the visitor
	 * sends is read from it, and what is written to it the visitor gets. shutdown(2) ends one
	 * direction. Returns 0: fd is the host's, to be closed by it, on any thread; anything else:
	 * the visitor is turned away. Called on the thread that drives the agent; of the agent's
	 * functions only _stop and _wake may be called from within. */
	int (*accept)(void *user, const struct tow_agent_visitor *visitor, int fd);
	void *accept_user;
};

enum tow_agent_event_kind {
	TOW_AGENT_REGISTERED,  /* the hub has the services */
	TOW_AGENT_CONNECTED,   /* a tunnel is up */
	TOW_AGENT_LOST,        /* a tunnel is gone; the agent dials again */
	TOW_AGENT_SERVING,     /* registered, and a tunnel is up: visitors can come */
	TOW_AGENT_NOT_SERVING, /* last tunnel gone */
	TOW_AGENT_REFUSED,    /* the hub or an edge refuses a service or the agent; text says why */
	TOW_AGENT_SUPERSEDED, /* an agent with another service list took over; streams finish, then
	                         STOPPED */
	TOW_AGENT_WOKEN,      /* tow_agent_wake was called */
	TOW_AGENT_STOPPED, /* nothing is left; the last event. code is 0, or why it had to stop */
};

/* One struct for all kinds; what does not apply is zero. Strings are valid until the next call on
 * the agent. */
struct tow_agent_event {
	enum tow_agent_event_kind kind;
	char edge_id[65];         /* CONNECTED, LOST, REFUSED by an edge */
	const char *edge_address; /* "host:port"; CONNECTED, LOST */
	const char *service;      /* REFUSED: which one, or NULL for the agent as a whole */
	const char *text;         /* LOST, REFUSED, STOPPED: for people */
	int code;                 /* STOPPED: 0 or negative (see tow_agent_strerror) */
};

/* Checks the token and the services and makes an agent that has not dialled anybody yet. Returns 0;
 * negative when the configuration is bad or memory is short: error (may be NULL) gets one line of
 * at most error_size bytes that says what is wrong, without secrets. It starts with the name of the
 * config's member that is to blame and ": ", when one is. */
int tow_agent_new(const struct tow_agent_config *config, struct tow_agent **out, char *error,
                  size_t error_size);
/* Drops everything at once. Takes NULL. */
void tow_agent_free(struct tow_agent *agent);

/* Blocks until the agent has stopped; returns the code of STOPPED. Events are passed to on_event
 * (may be NULL), which may call what it likes but _run, _dispatch and _free. */
int tow_agent_run(struct tow_agent *agent,
                  void (*on_event)(void *user, const struct tow_agent_event *event), void *user);

int tow_agent_fd(struct tow_agent *agent);         /* poll for reading */
int tow_agent_timeout_ms(struct tow_agent *agent); /* -1: none */
void tow_agent_dispatch(struct tow_agent *agent);  /* never blocks */
int tow_agent_next_event(struct tow_agent *agent,
                         struct tow_agent_event *event); /* 1: one, 0: none */

/* Takes a new service list and reconciles the hub with it, without dropping a stream. As _new: on
 * failure the old list stays. Nothing but the services changes. */
int tow_agent_reload(struct tow_agent *agent, const struct tow_agent_config *config, char *error,
                     size_t error_size);
/* Takes no new streams, finishes the open ones within drain_ms, then STOPPED. A second call stops
 * at once. */
void tow_agent_drain(struct tow_agent *agent);
/* The same, from any thread or a signal handler. */
void tow_agent_stop(struct tow_agent *agent);
/* Makes an event WOKEN come, from any thread or a signal handler: a way into tow_agent_run's
 * thread. */
void tow_agent_wake(struct tow_agent *agent);

size_t tow_agent_tunnels(const struct tow_agent *agent); /* how many are up */
const char *tow_agent_id(const struct tow_agent *agent); /* 64 hex digits, of its key */
const char *tow_agent_strerror(int code);
const char *tow_agent_version(void);

#ifdef __cplusplus
}
#endif
#endif
