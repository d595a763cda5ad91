/* SPDX-License-Identifier: MIT */

#include "port_log.h"

#include <string.h>

static const struct {
	const char *of_one, *of_many;
} texts[] = {
	[PORT_BOUND] = { "port is bound", "ports are bound" },
	[PORT_BOUND_AT_LAST] = { "port is bound after all", "ports are bound after all" },
	[PORT_FAILED] = { "port cannot be bound, trying again",
	                  "ports cannot be bound, trying again" },
	[PORT_RELEASED] = { "port is released", "ports are released" },
};

static void say(struct port_log *l)
{
	const struct tow_route_port *first = &l->first;
	enum tow_log_level level = l->news == PORT_FAILED ? TOW_LOG_WARN : TOW_LOG_INFO;
	struct tow_field fields[8] = { { .kind = TOW_FIELD_END } };
	size_t count = 0;

	if (l->news == PORT_NOTHING)
		return;
	fields[count++] = tow_f_uint("port", first->port);
	if (l->last != first->port)
		fields[count++] = tow_f_uint("last", l->last);
	fields[count++] = tow_f_str("protocol", tow_protocol_name(first->protocol));
	if (first->service[0] != '\0') {
		fields[count++] = tow_f_str("service", first->service);
		fields[count++] = tow_f_id("tenant", &first->tenant_id);
	}
	if (l->news == PORT_FAILED)
		fields[count++] = tow_f_err(&l->err);
	if (tow_log_enabled(l->log, level))
		tow_log_write(l->log, level,
		              l->last != first->port ? texts[l->news].of_many
		                                     : texts[l->news].of_one,
		              fields);
	l->news = PORT_NOTHING;
}

static void on_flush(void *user)
{
	say(user);
}

/* Routes come in no order, and those of a range backwards. */
static int joins(struct port_log *l, enum port_news news, const struct tow_route_port *route,
                 const struct tow_error *err)
{
	const struct tow_route_port *first = &l->first;

	if (news != l->news || route->protocol != first->protocol ||
	    strcmp(route->service, first->service) != 0 ||
	    !tow_id_equal(&route->tenant_id, &first->tenant_id) ||
	    (err != NULL && err->code != l->err.code))
		return 0;
	if (route->port == first->port - 1)
		l->first.port = route->port;
	else if (route->port == l->last + 1)
		l->last = route->port;
	else
		return 0;
	return 1;
}

void tow__port_log_note(struct port_log *l, enum port_news news, const struct tow_route_port *route,
                        const struct tow_error *err)
{
	if (joins(l, news, route, err))
		return;
	say(l);
	l->news = news;
	l->first = *route;
	l->last = route->port;
	if (err != NULL)
		l->err = *err;
	tow_task_schedule(&l->flush);
}

void tow__port_log_init(struct port_log *l, struct tow_loop *loop, struct tow_log *to)
{
	*l = (struct port_log){ .log = to };
	tow_task_init(&l->flush, loop, on_flush, l);
}

void tow__port_log_deinit(struct port_log *l)
{
	say(l);
	tow_task_cancel(&l->flush);
}
