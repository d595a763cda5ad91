/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_BIN_NODE_NODE_H
#define TOWONEL_BIN_NODE_NODE_H

/* A node: towonel-node.c brings its parts up and down, handover.c shares them with the process
 * before and the one after. */

#include <towonel/edge.h>
#include <towonel/edge/follower.h>
#include <towonel/hub.h>
#include <towonel/tunnel/health.h>
#include <towonel/tunnel/inherited.h>

#include "node/outside.h"
#include "node/predecessor.h"
#include "node/remote_hub.h"
#include "node/settings.h"
#include "node/successor.h"

#define HUB_GRACE_NS (3 * TOW_NSEC_PER_SEC)

struct node {
	struct settings settings;
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_node_key key;
	uint8_t invite_hash_key[TOW_SECRET_SIZE];
	char operator_key[TOW_BASE64URL_SIZE(TOW_SECRET_SIZE)];
	struct outside outside;
	struct tow_tls_context *browser_tls; /* NULL: browsers are shown what others are */

	struct tow_metrics *hub_metrics, *edge_metrics;
	struct remote_hub remote;
	int is_new;          /* the operator's key was made just now */
	int status;          /* to exit with */
	struct tow_hub *hub; /* NULL: the edge has a follower */
	int hub_closing;     /* for a successor */
	int end_waits;       /* for that */
	struct tow_follower *follower;
	struct tow_hub_subscription *subscription;
	struct tow_edge *edge;
	struct tow_health *hub_health, *edge_health;
	struct tow_inherited *activated; /* by the service manager */
	struct tow_inherited *inherited; /* with a predecessor */
	struct tow_timer forget_inherited;
	struct predecessor *predecessor; /* NULL: there is none */
	struct successor *successor;
	int relieved; /* by it */
	int waiter;   /* told when the predecessor is relieved; -1: nobody */
	int signal_fd;
	struct tow_io *signal_io;
	int signals; /* how many have come */
	struct tow_timer watchdog;
};

/* --- towonel-node.c --- */

int node_start_hub(struct node *node, struct tow_error *err);
void node_stop_following(struct node *node); /* the hub, here or elsewhere */
void node_edge_closed(void *node);
void node_close_hub(struct node *node);
void node_hub_closed(void *node);
void node_start_watchdog(struct node *node); /* it is the one that a service manager watches */
/* One who has come to the edge for the hub. */
void node_api_visitor(void *node, int fd, const struct tow_addr *peer, struct tow_slice early);

/* --- handover.c --- */

void handover_await(struct node *node); /* another process may take over from now on */
/* Does a process run that could be taken over from? */
int handover_is_possible(const struct node *node);
/* Takes the sockets of the process that runs, and has its hub closed. What is bound then waits. */
int handover_begin(struct node *node, struct tow_error *err);
/* Each worker of the edge has a socket, and those that are taken over want a reader each. Returns
 * how many workers there are to be: wanted, when that is free to choose. */
unsigned handover_workers(const struct node *node, unsigned wanted);
/* The parts are there: has agents and visitors come here. */
void handover_finish(struct node *node);
/* The node is to stop: nobody takes over from it, nor it from anybody. */
void handover_end(struct node *node);
void handover_deinit(struct node *node);

#endif
