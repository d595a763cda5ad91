/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_VISITOR_PRIVATE_H
#define TOW_EDGE_VISITOR_PRIVATE_H

/*
 * What the files of a visitor share: visitor.c has its states, visitor_tls.c those of one whose TLS
 * ends here, visitor_alert.c what one is told that is not served, visitor_move.c how one gets to
 * another worker.
 */

#include <towonel/tunnel/pipe.h>
#include <towonel/wire/client_hello.h>
#include "dial.h"
#include "http/exchange.h"
#include "tls/cert_store.h"
#include "visitor.h"
#include "worker.h"

enum state {
	HELLO,
	ROUTE,
	CERT,
	HANDSHAKE,
	REQUEST,
	DIAL,
	PIPE,
	ALERT,
	MOVE, /* on the way to another worker */
	CLOSING,
};

enum answer {
	ANSWER_NONE,  /* close */
	ANSWER_RESET, /* close with a reset: a TCP service has no other words */
	ANSWER_TLS,   /* an alert */
	ANSWER_HTTP,  /* plain HTTP on the TLS port */
	ANSWER_PAGE,  /* HTTP inside the TLS that ends here */
	ANSWER_SAID,  /* the TLS session has said what there is to say */
};

/* In front of what is read there is room for the PROXY header, so that both leave in one piece. */
#define TOW__HEADER_ROOM 640

struct opening {
	struct tow_client_hello_parser parser;
	struct tow_client_hello hello;
	size_t early;            /* bytes of it that are counted at the worker */
	struct dial dial;        /* in HELLO its bytes are room, then what was read */
	unsigned move_to, moves; /* worker; how often it has moved */
	enum state move_as;
	unsigned home; /* where it came in */
	/* where TLS ends here */
	enum tow_http_mode http_mode;
	int challenge; /* an acme-tls/1 handshake, and nothing after it */
	int denied;    /* by the service's lists: is told so once there is a request */
	int carrier;   /* no visitor but an agent without UDP */
	int waited;
	struct cert_wait wait;
	struct tow_tls_context *context; /* the store has called: to be used before anything else */
};

struct visitor {
	struct worker *worker;
	struct visitor *prev, *next;
	enum state state;
	int stepping, again; /* inside step(); something happened meanwhile */
	int fd;              /* -1 once the pipe has it */
	uint16_t service_port;
	uint16_t header_len; /* of the PROXY header in front of the visitor's bytes */
	struct tow_addr peer, local;
	struct tow_io *io;
	struct tow_tls *tls;       /* NULL: the socket carries the bytes as they are */
	struct exchange *exchange; /* NULL: nobody looks into them */
	struct tow_timer timer;
	/* what has happened, for the state to see */
	int readable, timed_out, aborted;
	int carries; /* it goes on as a carrier, which its place among the source's is for now */

	struct opening *opening;     /* NULL from PIPE on */
	struct agent_session *agent; /* PIPE */
	struct tenant_use *use;      /* NULL before it is known whose visitor this is */
	struct tow_pipe *pipe;
	struct tow_pipe_result result;
	enum answer answer;
	enum tow_tls_alert alert;
	unsigned status; /* of the page */
	size_t drained;  /* ALERT: bytes thrown away */
	uint8_t id[TOW_UNIQUE_ID_SIZE];
};

/* --- visitor.c --- */

void tow__visitor_step(struct visitor *v);
/* The worker has it: in its list, and its loop. io is NULL when there is no memory. */
void tow__visitor_join(struct visitor *v);
int tow__visitor_restart_timer(struct visitor *v); /* as the state has it; 0, TOW_ENOMEM */
void tow__visitor_forget_hello(struct opening *o); /* its slices go with the parser */
void tow__visitor_forget_opening(struct visitor *v);
/* Reads once, and appends to what goes to the agent. Memory is taken for what is there, not for
 * what may come: many visitors say nothing. fresh may be empty where HTTP is looked into. Returns
 * 0; TOW_BLOCKED, TOW_EOF, TOW_ERESET, TOW_ETLS, TOW_ENOMEM; TOW_ELIMIT: visitors hold too much
 * already, and nothing was read; TOW_MORE: nothing more is to be read
 * before the agent has answered. */
int tow__visitor_receive(struct visitor *v, size_t cap, struct tow_slice *fresh);
/* Puts the PROXY header right before what was read. Returns 0, or a failure. */
int tow__visitor_write_header(struct visitor *v);
enum state tow__visitor_no_agent(struct visitor *v); /* none is left */
enum state tow__visitor_deny(struct visitor *v);     /* the service's lists keep it out */

/* --- visitor_tls.c --- */

int tow__visitor_is_challenge(const struct visitor *v);
enum state tow__visitor_terminate(struct visitor *v); /* from ROUTE */
enum state tow__visitor_carry(struct visitor *v);     /* from ROUTE */
enum state tow__visitor_cert(struct visitor *v);
enum state tow__visitor_handshake(struct visitor *v);
enum state tow__visitor_request(struct visitor *v);

/* --- visitor_move.c --- */

/* For a state that has an opening: it goes on at that worker, in that state. */
enum state tow__visitor_move(struct visitor *v, unsigned to, enum state as);
void tow__visitor_depart(struct visitor *v); /* after MOVE: v is not ours any more */

/* --- visitor_alert.c --- */

/* The end of a visitor that was not served: what it is told, and what is noted. */
enum state tow__visitor_refuse(struct visitor *v, enum refusal why, enum answer answer,
                               enum tow_tls_alert alert);
/* For failures that are ours: what fits where the visitor stands. */
enum state tow__visitor_refuse_all(struct visitor *v, enum refusal why);
enum state tow__visitor_refuse_inside(struct visitor *v, enum refusal why, unsigned status);
enum state tow__visitor_alert(struct visitor *v);

#endif
