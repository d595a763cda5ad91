/* SPDX-License-Identifier: MIT */
#include "agent_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/control_message.h>

#include "config.h"

/*
 * One agent: a registration with the hub, a link to each edge, and the forwards of visitors'
 * streams.
 *
 *     RUNNING ──drain, superseded──► DRAINING ──idle or late──► LEAVING ──► STOPPED
 *        └──────────────── fatal, second drain ────────────────────┘
 *
 * Tunnels are closed, and the hub is told, only after the open streams have ended: a hub that knows
 * the agent is gone cuts its tunnels.
 */

#define FAREWELL_NS       (3 * TOW_NSEC_PER_SEC) /* for the hub to hear that the agent goes */
#define HASTY_FAREWELL_NS (300 * TOW_NSEC_PER_MSEC)
/* An edge has to be missing from this many of the hub's lists in a row before its tunnel is given
 * up: a hub that has just started lists no edges yet. */
#define EDGE_MISSING_MAX 3

static void begin_leaving(struct tow_agent *agent, uint64_t farewell_ns);

/* --- events --- */

static void push(struct tow_agent *agent, const struct tow_agent_event *event)
{
	tow__events_push(&agent->events, event);
	if (agent->on_event)
		tow_task_schedule(&agent->deliver);
}

void tow__agent_deliver(void *user)
{
	struct tow_agent *agent = user;
	struct tow_agent_event event;
	while (agent->on_event && tow__events_take(&agent->events, &event) == 1)
		agent->on_event(agent->on_event_user, &event);
}

static void push_link(struct tow_agent *agent, enum tow_agent_event_kind kind,
                      const struct edge_link *link, const char *text)
{
	struct tow_agent_event event = {
		.kind = kind,
		.edge_address = tow__edge_link_address(link),
		.text = text,
	};
	tow_id_format(tow__edge_link_edge(link), event.edge_id);
	push(agent, &event);
}

static void push_plain(struct tow_agent *agent, enum tow_agent_event_kind kind, const char *text)
{
	push(agent, &(struct tow_agent_event){ .kind = kind, .text = text });
}

/* --- edges --- */

/* Visitors can come when there is a tunnel and the hub knows the names. */
static void tell_serving(struct tow_agent *agent)
{
	int serving = agent->up_count > 0 && agent->registered;
	if (serving == agent->serving || agent->state != RUNNING)
		return;
	agent->serving = serving;
	push_plain(agent, serving ? TOW_AGENT_SERVING : TOW_AGENT_NOT_SERVING, NULL);
}

static void set_up_count(struct tow_agent *agent, size_t count)
{
	agent->up_count = count;
	tow_metric_set(agent->tunnels, (int64_t)count);
	tell_serving(agent);
}

static void link_up(void *user, struct edge_link *link)
{
	struct tow_agent *agent = user;
	tow_log_info(agent->log, "tunnel is up", tow_f_id("edge", tow__edge_link_edge(link)),
	             tow_f_str("address", tow__edge_link_address(link)),
	             tow_f_str("by", tow__edge_link_is_carried(link) ? "tcp" : "udp"));
	tow_metric_inc(agent->links_accepted);
	push_link(agent, TOW_AGENT_CONNECTED, link, NULL);
	set_up_count(agent, agent->up_count + 1);
	/* it hears of the tunnel, too */
	tow__registration_check(agent->registration);
}

static void link_moved(void *user, struct edge_link *link)
{
	struct tow_agent *agent = user;
	int carried = tow__edge_link_is_carried(link);
	tow_log_info(agent->log,
	             carried ? "UDP does not get through; the tunnel goes by TCP now"
	                     : "UDP gets through again; the tunnel goes by it now",
	             tow_f_id("edge", tow__edge_link_edge(link)),
	             tow_f_str("address", tow__edge_link_address(link)),
	             tow_f_str("by", carried ? "tcp" : "udp"));
	tow_metric_inc(agent->transport_changes);
	tow__registration_check(agent->registration);
}

static void link_lost(void *user, struct edge_link *link, const char *why)
{
	struct tow_agent *agent = user;
	tow_log_warn(agent->log, "tunnel is lost; dialling again",
	             tow_f_id("edge", tow__edge_link_edge(link)),
	             tow_f_str("address", tow__edge_link_address(link)), tow_f_str("error", why));
	push_link(agent, TOW_AGENT_LOST, link, why);
	set_up_count(agent, agent->up_count - 1);
	tow_task_schedule(&agent->advance);
}

static void link_refused(void *user, struct edge_link *link, const char *why)
{
	struct tow_agent *agent = user;
	/* If the invite is gone, the hub says so at once; the edge's idea of it may also be old. */
	tow__registration_check(agent->registration);
	tow_metric_inc(agent->links_rejected);
	tow_log_error(agent->log, "the edge refuses this agent",
	              tow_f_id("edge", tow__edge_link_edge(link)), tow_f_str("error", why));
	push_link(agent, TOW_AGENT_REFUSED, link, why);
}

static void supersede(struct tow_agent *agent)
{
	if (agent->superseded || agent->state != RUNNING)
		return;
	agent->superseded = 1;
	tow_log_warn(agent->log, "superseded: an agent with another service list has taken over");
	push_plain(agent, TOW_AGENT_SUPERSEDED, NULL);
	tow_agent_drain(agent);
}

static void link_superseded(void *user, struct edge_link *link)
{
	(void)link;
	supersede(user);
}

static void link_stream(void *user, struct edge_link *link, struct tow_quic_stream *stream)
{
	struct tow_agent *agent = user;
	(void)link;
	tow__forward_accept(&agent->forwards, stream);
}

static void link_gone(void *user, struct edge_link *link)
{
	struct tow_agent *agent = user;
	tow__links_forget(&agent->links, link);
	tow_task_schedule(&agent->advance);
}

static int sign_entry(void *user, struct tow_buf *out)
{
	struct tow_agent *agent = user;
	return tow__registration_sign_agent(agent->registration, out);
}

static char **authorities(void *user, size_t *count)
{
	struct tow_agent *agent = user;
	return tow__config_authorities(&agent->services, count);
}

static const struct edge_link_events link_events = {
	.sign = sign_entry,
	.up = link_up,
	.moved = link_moved,
	.lost = link_lost,
	.refused = link_refused,
	.superseded = link_superseded,
	.stream = link_stream,
	.gone = link_gone,
};

static int is_trusted(const struct tow_agent *agent, const struct tow_id *edge)
{
	for (size_t i = 0; i < agent->trusted_count; i++)
		if (tow_id_equal(&agent->trusted[i], edge))
			return 1;
	return agent->trusted == NULL;
}

static struct link_slot *slot_new(struct tow_agent *agent, const struct tow_id *edge)
{
	struct edge_link_config config = {
		.loop = agent->loop,
		.log = agent->log,
		.endpoint = agent->endpoint,
		.proxies = &agent->proxies,
		.edge = *edge,
		.services = authorities,
		.events = &link_events,
		.user = agent,
	};
	return tow__links_add(&agent->links, &config);
}

static void follow_edge(struct tow_agent *agent, const json_t *edge)
{
	struct tow_id id;
	const char *id_text = json_string_value(json_object_get(edge, "node_id"));
	const json_t *list = json_object_get(edge, "addresses");
	const char *addresses[LINK_ADDRESSES_MAX];
	json_int_t port = json_integer_value(json_object_get(edge, "tcp_port"));
	size_t count = 0, index;
	json_t *item;

	if (!id_text || tow_id_parse(tow_slice_of(id_text), &id) != 0 || !is_trusted(agent, &id))
		return;
	json_array_foreach(list, index, item)
	{
		if (json_is_string(item) && count < LINK_ADDRESSES_MAX)
			addresses[count++] = json_string_value(item);
	}
	struct link_slot *slot = tow__links_find(&agent->links, &id);
	if (!slot)
		slot = slot_new(agent, &id);
	if (!slot || count == 0)
		return;
	slot->missing = 0;
	tow__edge_link_set_addresses(slot->link, addresses, count,
	                             port > 0 && port <= UINT16_MAX ? (uint16_t)port
	                                                            : TOW_CARRIER_PORT);
}

static void let_go(struct tow_agent *agent, struct edge_link *link, const char *why)
{
	tow_log_info(agent->log, why, tow_f_id("edge", tow__edge_link_edge(link)));
	if (tow__edge_link_is_up(link)) {
		push_link(agent, TOW_AGENT_LOST, link, why);
		set_up_count(agent, agent->up_count - 1);
	}
	tow__edge_link_close(link, TOW_TUNNEL_OK);
}

static void hub_edges(void *user, const json_t *edges)
{
	struct tow_agent *agent = user;
	size_t index;
	json_t *edge;
	if (agent->state != RUNNING || json_array_size(edges) == 0)
		return;
	for (size_t i = 0; i < agent->links.count; i++)
		agent->links.slots[i].missing++;
	json_array_foreach(edges, index, edge) follow_edge(agent, edge);
	for (size_t i = agent->links.count; i-- > 0;)
		if (agent->links.slots[i].missing >= EDGE_MISSING_MAX)
			let_go(agent, agent->links.slots[i].link,
			       "the hub no longer lists the edge");
}

/* One that was revoked may not go on until it has been missing for long enough. */
static void hub_revoked_edges(void *user, const json_t *ids)
{
	struct tow_agent *agent = user;
	size_t index;
	json_t *item;
	json_array_foreach(ids, index, item)
	{
		const char *text = json_string_value(item);
		struct tow_id id;
		struct link_slot *slot = NULL;
		if (agent->state == RUNNING && text && tow_id_parse(tow_slice_of(text), &id) == 0)
			slot = tow__links_find(&agent->links, &id);
		if (slot)
			let_go(agent, slot->link, "the edge was revoked");
	}
}

/* --- hub --- */

static void hub_registered(void *user)
{
	struct tow_agent *agent = user;
	push_plain(agent, TOW_AGENT_REGISTERED, NULL);
	agent->registered = 1;
	tell_serving(agent);
}

static void hub_refused(void *user, const char *service, const char *text)
{
	push(user, &(struct tow_agent_event){
			   .kind = TOW_AGENT_REFUSED, .service = service, .text = text });
}

static json_t *hub_tunnels(void *user)
{
	struct tow_agent *agent = user;
	return tow__links_tell(&agent->links, tow_loop_now_ns(agent->loop));
}

static void hub_superseded(void *user)
{
	supersede(user);
}

static void hub_fatal(void *user, int code, const char *text)
{
	struct tow_agent *agent = user;
	agent->code = code;
	free(agent->stop_text);
	agent->stop_text = strdup(text);
}

/* To edges another key is another agent, so all tunnels are given up; they are cut already. */
static int hub_revoked(void *user)
{
	struct tow_agent *agent = user;
	struct tow_quic_endpoint *before = agent->endpoint;
	struct tow_node_key key = agent->key;
	struct tow_error err = { 0 };
	int rc;
	tow_node_key_generate(&agent->key);
	rc = tow__agent_make_endpoint(agent, &err);
	if (rc != 0) {
		tow_log_error(agent->log, "no new key", tow_f_err(&err));
		agent->key = key;
		tow_node_key_wipe(&key);
		return rc;
	}
	tow_node_key_wipe(&key);
	agent->registered = 0;
	for (size_t i = agent->links.count; i-- > 0;)
		let_go(agent, agent->links.slots[i].link, "the agent was revoked");
	tow_quic_endpoint_free(before, TOW_TUNNEL_OK);
	agent->roaming.endpoint = agent->endpoint;
	tow_id_format(&agent->key.id, agent->id);
	tow_log_info(agent->log, "the agent has a new key", tow_f_id("agent", &agent->key.id));
	return 0;
}

static void hub_left(void *user)
{
	struct tow_agent *agent = user;
	if (agent->state == STOPPED)
		return;
	if (agent->state != LEAVING)
		begin_leaving(agent, 0);
	tow_task_schedule(&agent->advance);
}

const struct registration_events tow__agent_registration_events = {
	.edges = hub_edges,
	.revoked_edges = hub_revoked_edges,
	.registered = hub_registered,
	.refused = hub_refused,
	.tunnels = hub_tunnels,
	.superseded = hub_superseded,
	.revoked = hub_revoked,
	.fatal = hub_fatal,
	.left = hub_left,
};

/* --- the end --- */

static void stopped(struct tow_agent *agent)
{
	agent->state = STOPPED;
	tow_timer_stop(&agent->drain_timer);
	tow_log_info(agent->log, "agent has stopped");
	push(agent, &(struct tow_agent_event){ .kind = TOW_AGENT_STOPPED,
	                                       .code = agent->code,
	                                       .text = agent->stop_text });
	tow_loop_stop(agent->loop);
}

/* Closes the tunnels and tells the hub. */
static void begin_leaving(struct tow_agent *agent, uint64_t farewell_ns)
{
	agent->state = LEAVING;
	tow__forwards_drain(&agent->forwards);
	tow_timer_stop(&agent->drain_timer);
	set_up_count(agent, 0);
	for (size_t i = agent->links.count; i-- > 0;)
		tow__edge_link_close(agent->links.slots[i].link, TOW_TUNNEL_DRAINING);
	tow__registration_leave(agent->registration, farewell_ns);
	tow_task_schedule(&agent->advance);
}

void tow__agent_advance(void *user)
{
	struct tow_agent *agent = user;
	if (agent->state == DRAINING && tow__forwards_active(&agent->forwards) == 0)
		begin_leaving(agent, FAREWELL_NS);
	if (agent->state == LEAVING && agent->links.count == 0 &&
	    tow__registration_left(agent->registration))
		stopped(agent);
}

void tow__agent_forwards_idle(void *user)
{
	struct tow_agent *agent = user;
	tow_task_schedule(&agent->advance);
}

void tow__agent_drain_late(void *user)
{
	struct tow_agent *agent = user;
	tow_log_warn(agent->log, "streams are still open; closing them",
	             tow_f_uint("streams", tow__forwards_active(&agent->forwards)));
	begin_leaving(agent, FAREWELL_NS);
}

void tow_agent_drain(struct tow_agent *agent)
{
	if (agent->state == DRAINING) {
		tow_log_warn(agent->log, "stopping at once",
		             tow_f_uint("streams", tow__forwards_active(&agent->forwards)));
		begin_leaving(agent, HASTY_FAREWELL_NS);
	}
	if (agent->state != RUNNING)
		return;
	tow_log_info(agent->log, "draining",
	             tow_f_uint("streams", tow__forwards_active(&agent->forwards)));
	agent->state = DRAINING;
	tow__forwards_drain(&agent->forwards);
	for (size_t i = 0; i < agent->links.count; i++)
		tow__edge_link_drain(agent->links.slots[i].link);
	tow_timer_start_in(&agent->drain_timer, agent->drain_ms * TOW_NSEC_PER_MSEC);
	tow_task_schedule(&agent->advance);
}

void tow__agent_called(void *user, unsigned wakes, unsigned stops)
{
	struct tow_agent *agent = user;
	if (agent->state == STOPPED)
		return; /* that was the last event */
	if (wakes)
		push_plain(agent, TOW_AGENT_WOKEN, NULL);
	for (; stops > 0 && agent->state < LEAVING; stops--)
		tow_agent_drain(agent);
}

void tow_agent_stop(struct tow_agent *agent)
{
	tow__call(&agent->calls, CALL_STOP);
}

void tow_agent_wake(struct tow_agent *agent)
{
	tow__call(&agent->calls, CALL_WAKE);
}

/* --- driving one --- */

int tow_agent_run(struct tow_agent *agent,
                  void (*on_event)(void *user, const struct tow_agent_event *event), void *user)
{
	agent->on_event = on_event;
	agent->on_event_user = user;
	if (on_event)
		tow_task_schedule(&agent->deliver);
	if (agent->state != STOPPED)
		tow_loop_run(agent->loop);
	tow__agent_deliver(agent);
	agent->on_event = NULL;
	return agent->code;
}

int tow_agent_fd(struct tow_agent *agent)
{
	return tow_loop_fd(agent->loop);
}

int tow_agent_timeout_ms(struct tow_agent *agent)
{
	return tow_loop_timeout_ms(agent->loop);
}

void tow_agent_dispatch(struct tow_agent *agent)
{
	tow_loop_dispatch(agent->loop);
}

int tow_agent_next_event(struct tow_agent *agent, struct tow_agent_event *event)
{
	return tow__events_take(&agent->events, event);
}

int tow_agent_reload(struct tow_agent *agent, const struct tow_agent_config *config, char *error,
                     size_t error_size)
{
	uint8_t before[TOW_HASH_SIZE], after[TOW_HASH_SIZE];
	struct tow_service_list services = { 0 };
	struct tow_error err = { 0 };
	int inproc = agent->forwards.host.accept != NULL;
	int rc = tow__config_services(config, inproc, &services, &err);
	if (rc == 0 && agent->state != RUNNING)
		rc = tow_error_set(&err, TOW_ECLOSED, "the agent is stopping");
	if (rc != 0) {
		tow_service_list_deinit(&services);
		if (error && error_size)
			snprintf(error, error_size, "%s",
			         err.text[0] ? err.text : tow_strerror(rc));
		return rc;
	}
	tow_service_list_hash(&agent->services, before);
	tow_service_list_hash(&services, after);
	tow_service_list_deinit(&agent->services);
	agent->services = services;
	if (memcmp(before, after, sizeof before) == 0) {
		tow_log_info(agent->log, "services are as before");
		return 0;
	}
	uint64_t now = tow_wall_ms();
	agent->generation = now > agent->generation ? now : agent->generation + 1;
	tow_log_info(agent->log, "services have changed", tow_f_uint("services", services.count));
	tow__config_warn(&agent->services, agent->log);
	tow__udp_forwards_reload(&agent->forwards.udp, &agent->services);
	tow__registration_serve(agent->registration, &agent->services, agent->generation);
	for (size_t i = 0; i < agent->links.count; i++)
		tow__edge_link_hello(agent->links.slots[i].link);
	return 0;
}

size_t tow_agent_tunnels(const struct tow_agent *agent)
{
	return agent->up_count;
}

const char *tow_agent_id(const struct tow_agent *agent)
{
	return agent->id;
}

const char *tow_agent_strerror(int code)
{
	return tow_strerror(code);
}

const char *tow_agent_version(void)
{
	return TOW_VERSION;
}
