/* SPDX-License-Identifier: MIT */

#include "ports.h"

#include <stdlib.h>
#include <towonel/tunnel/tcp.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include "udp/listener.h"
#include "visitor.h"
#include "worker.h"

struct port {
	struct ports *ports;
	struct tow_route_port route; /* as it was when the port was added */
	uint32_t key;
	struct tow_tcp_listener *tcp; /* one of them, unless it could not be bound */
	struct udp_listener *udp;
	int why; /* not bound */
	struct tow_timer retry;
	uint64_t retry_ns;
	UT_hash_handle hh;
};

static uint32_t key_of(enum tow_protocol protocol, uint16_t number)
{
	return (uint32_t)protocol << 16 | number;
}

static int is_bound(const struct port *port)
{
	return port->tcp != NULL || port->udp != NULL;
}

static void count(struct ports *ports)
{
	struct worker *w = ports->worker;

	if (w->index > 0)
		return;
	tow_metric_set(w->metrics.ports_bound, (int64_t)ports->bound);
	tow_metric_set(w->metrics.ports_failed, (int64_t)ports->failed);
	tow__worker_changed(w);
}

/* --- the other workers --- */

static void on_add(struct worker *w, void *route)
{
	tow__ports_add(&w->ports, route);
}

static void on_remove(struct worker *w, void *message)
{
	const struct tow_route_port *route = message;

	tow__ports_remove(&w->ports, route->protocol, route->port);
}

static void tell_others(const struct port *port, void (*fn)(struct worker *w, void *route))
{
	struct worker *w = port->ports->worker;

	if (w->index == 0 && !w->draining)
		tow__workers_mail(w, fn, &port->route, sizeof(port->route));
}

/* --- here --- */

/* The first one's say it for all, unless one of theirs cannot follow. */
static void note(struct ports *ports, enum port_news news, const struct tow_route_port *route,
                 const struct tow_error *err)
{
	if (ports->worker->index == 0 || err != NULL)
		tow__port_log_note(&ports->log, news, route, err);
}

/* Who the visitor is for is looked up when he comes: the port may have changed hands. */
static void on_accepted(void *user, int fd, const struct tow_addr *peer,
                        const struct tow_addr *local)
{
	struct port *port = user;

	tow__visitor_accept(port->ports->worker, fd, peer, local, port->route.port);
}

static int bind_port(struct port *port, struct tow_error *err)
{
	struct ports *ports = port->ports;
	struct worker *w = ports->worker;
	struct tow_addr addr = ports->host;

	addr.port = port->route.port;
	port->why = port->route.protocol == TOW_PROTOCOL_UDP
	                    ? tow__udp_listener_new(w, &addr, ports->dual_stack, &port->udp, err)
	                    : tow_tcp_listener_new(w->loop, w->log, &addr, ports->dual_stack,
	                                           tow__worker_sharing(w), on_accepted, port,
	                                           &port->tcp, err);
	return port->why;
}

static void retry_later(struct port *port)
{
	const struct timing *t = &port->ports->worker->timing;
	uint64_t delay = port->retry_ns;

	port->retry_ns = delay * 2 < t->port_retry_max_ns ? delay * 2 : t->port_retry_max_ns;
	if (tow_timer_start_in(&port->retry, delay) != 0)
		tow_log_error(port->ports->worker->log, "out of memory: a port will not be retried",
		              tow_f_uint("port", port->route.port));
}

static void on_retry(void *user)
{
	struct port *port = user;
	struct worker *w = port->ports->worker;
	struct tow_error err;

	if (bind_port(port, &err) != 0) {
		tow_log_debug(w->log, "a port still cannot be bound",
		              tow_f_uint("port", port->route.port),
		              tow_f_str("protocol", tow_protocol_name(port->route.protocol)),
		              tow_f_err(&err));
		retry_later(port);
		return;
	}
	port->ports->failed--;
	port->ports->bound++;
	note(port->ports, PORT_BOUND_AT_LAST, &port->route, NULL);
	count(port->ports);
	tell_others(port, on_add);
}

static void release(struct port *port)
{
	struct ports *ports = port->ports;

	if (is_bound(port))
		ports->bound--;
	else
		ports->failed--;
	if (is_bound(port))
		tell_others(port, on_remove);
	if (port->tcp != NULL)
		tow_tcp_listener_free(port->tcp);
	if (port->udp != NULL)
		tow__udp_listener_free(port->udp);
	tow_timer_stop(&port->retry);
	HASH_DEL(ports->ports, port);
	free(port);
}

void tow__ports_init(struct ports *ports, struct worker *worker, const struct tow_addr *host,
                     int dual_stack)
{
	*ports = (struct ports){ .worker = worker, .host = *host, .dual_stack = dual_stack };
	tow__port_log_init(&ports->log, worker->loop, worker->log);
}

void tow__ports_deinit(struct ports *ports)
{
	struct port *port, *next;

	tow__port_log_deinit(&ports->log);
	if (ports->ports == NULL)
		return;
	HASH_ITER(hh, ports->ports, port, next)
	release(port);
	count(ports);
}

void tow__ports_drain(struct ports *ports)
{
	struct port *port, *next;

	if (ports->ports == NULL)
		return;
	HASH_ITER(hh, ports->ports, port, next)
	if (port->udp == NULL || !tow__udp_listener_drain(port->udp))
		release(port);
	count(ports);
}

void tow__ports_add(struct ports *ports, const struct tow_route_port *route)
{
	struct worker *w = ports->worker;
	uint32_t key = key_of(route->protocol, route->port);
	struct tow_error err;
	struct port *port;

	if (w->draining)
		return;
	HASH_FIND(hh, ports->ports, &key, sizeof(key), port);
	if (port != NULL)
		return;
	port = calloc(1, sizeof(*port));
	if (port != NULL) {
		port->ports = ports;
		port->route = *route;
		port->key = key;
		port->retry_ns = w->timing.port_retry_min_ns;
		tow_timer_init(&port->retry, w->loop, on_retry, port);
		HASH_ADD(hh, ports->ports, key, sizeof(port->key), port);
	}
	if (port == NULL || port->hh.tbl == NULL) {
		free(port);
		tow_log_error(w->log, "out of memory for a port", tow_f_uint("port", route->port));
		return;
	}
	if (bind_port(port, &err) == 0) {
		ports->bound++;
		note(ports, PORT_BOUND, route, NULL);
		tell_others(port, on_add);
	} else {
		ports->failed++;
		note(ports, PORT_FAILED, route, &err);
		retry_later(port);
	}
	count(ports);
}

void tow__ports_remove(struct ports *ports, enum tow_protocol protocol, uint16_t number)
{
	uint32_t key = key_of(protocol, number);
	struct port *port;

	HASH_FIND(hh, ports->ports, &key, sizeof(key), port);
	if (port == NULL)
		return;
	note(ports, PORT_RELEASED, &port->route, NULL);
	release(port);
	count(ports);
}

struct udp_listener *tow__ports_udp(const struct ports *ports, uint16_t number)
{
	uint32_t key = key_of(TOW_PROTOCOL_UDP, number);
	struct port *port;

	HASH_FIND(hh, ports->ports, &key, sizeof(key), port);
	return port != NULL ? port->udp : NULL;
}

size_t tow__ports_failed(const struct ports *ports, struct tow_failed_port *out, size_t cap)
{
	const struct port *port;
	size_t n = 0;

	for (port = ports->ports; port != NULL && n < cap; port = port->hh.next)
		if (!is_bound(port))
			out[n++] = (struct tow_failed_port){ port->route.protocol, port->route.port,
				                             port->why };
	return n;
}
