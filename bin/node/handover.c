/* SPDX-License-Identifier: MIT */

/*
 * A node that another process takes over from, and one that takes over: what each of its parts does
 * then. How they talk is in successor.h and predecessor.h.
 */
#include "node/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "node/background.h"
#include "node/parley.h"
#include "notify.h"

#define FORGET_INHERITED_NS (30 * TOW_NSEC_PER_SEC)

/* --- a process that takes over --- */

static void hub_given_up(void *user)
{
	struct node *node = user;
	node->hub = NULL;
	node->hub_closing = 0;
	if (node->end_waits)
		node_hub_closed(node);
	else if (node->successor)
		successor_hub_closed(node->successor);
}

static void give_up_hub(void *user)
{
	struct node *node = user;
	if (!node->hub) {
		successor_hub_closed(node->successor);
		return;
	}
	if (node->subscription)
		tow_hub_unsubscribe(node->subscription);
	node->subscription = NULL;
	node->hub_closing = 1;
	tow_hub_close(node->hub, HUB_GRACE_NS, hub_given_up, node);
}

static size_t yield_tunnels(void *user)
{
	struct node *node = user;
	if (!node->edge)
		return 0;
	tow_edge_yield(node->edge);
	return tow_edge_agents(node->edge);
}

static void give_way(void *user, int pid)
{
	struct node *node = user;
	uint64_t secs = node->settings.takeover_drain_secs;
	char state[64];
	snprintf(state, sizeof state, "MAINPID=%d", pid);
	notify(state);
	tow_log_info(node->log, "another process has taken over; this one ends with its visitors",
	             tow_f_int("pid", pid));
	node->relieved = 1;
	tow_timer_stop(&node->watchdog);
	node_stop_following(node);
	tow_health_free(node->edge_health);
	node->edge_health = NULL;
	tow_health_free(node->hub_health);
	node->hub_health = NULL;
	if (node->edge)
		tow_edge_close(node->edge, secs ? secs * TOW_NSEC_PER_SEC : TOW_NEVER,
		               node_edge_closed, node);
	else
		node_close_hub(node);
}

static void successor_failed(void *user, int hub_was_closed)
{
	struct node *node = user;
	struct tow_error err = { 0 };
	if (node->edge)
		tow_edge_resume(node->edge);
	if (!hub_was_closed || !node->settings.hub_enabled)
		return;
	if (node_start_hub(node, &err) != 0)
		tow_log_error(node->log, "the hub cannot be opened again", tow_f_err(&err));
	else if (node->edge &&
	         tow_hub_subscribe(node->hub, tow_edge_apply, node->edge, &node->subscription) != 0)
		tow_log_error(node->log, "out of memory: the edge does not follow the hub");
}

void handover_await(struct node *node)
{
	const struct successor_config config = {
		.loop = node->loop,
		.log = node->log,
		.data_dir = node->settings.data_dir,
		.close_hub = give_up_hub,
		.yield = yield_tunnels,
		.commit = give_way,
		.failed = successor_failed,
		.adopt = node_api_visitor,
		.user = node,
	};
	node->successor = successor_new(&config);
}

/* --- one that this one takes over from --- */

int handover_is_possible(const struct node *node)
{
	int fd;
	if (parley_connect(node->settings.data_dir, &fd, NULL) != 0)
		return 0;
	close(fd);
	return 1;
}

int handover_begin(struct node *node, struct tow_error *err)
{
	node->inherited = tow_inherited_new();
	if (!node->inherited)
		return tow_error_set(err, TOW_ENOMEM, "%s", tow_strerror(TOW_ENOMEM));
	int rc =
		predecessor_find(node->settings.data_dir, node->inherited, &node->predecessor, err);
	if (rc != 0)
		return rc;
	tow_loop_set_inherited(node->loop, node->inherited);
	tow_loop_hold(node->loop);
	return predecessor_stop_hub(node->predecessor, err);
}

unsigned handover_workers(const struct node *node, unsigned wanted)
{
	struct tow_inherited *set = node->inherited;
	if (!set)
		return wanted;
	size_t count = tow_inherited_count(set, SOCK_DGRAM, &node->settings.edge_tunnel_listen);
	if (count == 0) /* it has moved */
		count = tow_inherited_count(set, SOCK_STREAM, &node->settings.edge_listen);
	if (count == 0 || count == wanted)
		return wanted;
	tow_log_warn(node->log, "as many workers as the process before; a restart changes that",
	             tow_f_uint("workers", count), tow_f_uint("wanted", wanted));
	return (unsigned)count;
}

static size_t agents_here(void *user)
{
	struct node *node = user;
	return node->edge ? tow_edge_agents(node->edge) : SIZE_MAX;
}

/* Of ports whose services have gone meanwhile. */
static void forget_inherited(void *user)
{
	struct node *node = user;
	tow_loop_set_inherited(node->loop, NULL);
	tow_inherited_free(node->inherited);
	node->inherited = NULL;
}

static void relieved(void *user)
{
	struct node *node = user;
	tow_loop_release(node->loop);
	tow_log_info(node->log, "this process has taken over",
	             tow_f_int("from_pid", predecessor_pid(node->predecessor)));
	tow_timer_start_in(&node->forget_inherited, FORGET_INHERITED_NS);
	handover_await(node);
	notify("READY=1");
	node_start_watchdog(node);
	background_ready(node->waiter, predecessor_pid(node->predecessor));
	node->waiter = -1;
}

void handover_finish(struct node *node)
{
	const struct predecessor_relief relief = {
		.loop = node->loop,
		.log = node->log,
		.agents = agents_here,
		.adopt = node_api_visitor,
		.done = relieved,
		.user = node,
	};
	tow_timer_init(&node->forget_inherited, node->loop, forget_inherited, node);
	predecessor_relieve(node->predecessor, &relief);
}

void handover_end(struct node *node)
{
	successor_free(node->successor);
	node->successor = NULL;
	if (node->waiter < 0)
		return;
	/* it goes on, as this one has not relieved it */
	predecessor_free(node->predecessor);
	node->predecessor = NULL;
	node->status = EXIT_FAILED;
}

void handover_deinit(struct node *node)
{
	successor_free(node->successor);
	predecessor_free(node->predecessor);
	if (!node->inherited)
		return;
	tow_timer_stop(&node->forget_inherited);
	forget_inherited(node);
}
