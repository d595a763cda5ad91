/* SPDX-License-Identifier: MIT */

#include "edges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "hub.h"

#define PERIOD_NS  (5 * TOW_NSEC_PER_SEC)    /* on a database that others write to */
#define SPACING_NS (100 * TOW_NSEC_PER_MSEC) /* between two looks */
#define RETRY_NS   TOW_NSEC_PER_SEC
#define TELL_NS    (TOW__EDGE_INTERVAL_SECS * TOW_NSEC_PER_SEC)
/* Agents go on dialling an edge that is silent for as long: the hub may have been away itself. */
#define DIALLED_MS TOW__EDGE_KEPT_MS
/* How long agents are told to let go of one. */
#define REVOKED_MS (24ULL * 3600 * 1000)

struct known {
	struct tow_id id;
	char name[TOW_TENANT_NAME_MAX + 1];
	json_t *report;
	uint64_t seen_ms;
	int is_news; /* was heard since the last look began */
};

/* What the store had when it was looked at. */
struct list {
	struct known *items;
	size_t count;
	json_t *revoked;
};

struct look {
	struct tow__job job;
	struct tow__edges *edges;
	struct list list;
	struct tow__fault fault;
};

struct tell {
	struct tow__job job;
	struct tow__edges *edges;
	char name[TOW_TENANT_NAME_MAX + 1];
	char *json;
	struct tow__fault fault;
};

struct tow__edges {
	struct tow_hub *hub;
	struct list list;
	int stopped;

	struct tow_timer look_timer;
	struct look look;
	uint64_t looked_ns;
	int looking, look_again;

	struct known local; /* report NULL: there is none */
	struct tow_timer tell_timer;
	struct tell tell;
	int telling, tell_again;
};

static void known_deinit(struct known *known)
{
	json_decref(known->report);
	memset(known, 0, sizeof *known);
}

static void list_deinit(struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		known_deinit(&list->items[i]);
	free(list->items);
	json_decref(list->revoked);
	memset(list, 0, sizeof *list);
}

static int list_add(struct list *list, const struct tow_id *id, const char *name, json_t *report,
                    uint64_t seen_ms)
{
	struct known *items = reallocarray(list->items, list->count + 1, sizeof *items);

	if (!items)
		return TOW_ENOMEM;
	list->items = items;
	items[list->count] =
		(struct known){ .id = *id, .report = json_incref(report), .seen_ms = seen_ms };
	snprintf(items[list->count].name, sizeof items->name, "%s", name);
	list->count++;
	return 0;
}

/* --- what the store has --- */

static int take_edge(void *user, const struct tow__edge *edge)
{
	struct look *look = user;
	struct list *list = &look->list;
	json_t *report;
	int rc;

	if (edge->revoked)
		return json_array_append_new(list->revoked, tow__json_id(&edge->node_id))
		               ? TOW_ENOMEM
		               : 0;
	/* what this process's edge is, it says itself, and earlier */
	if (!edge->report.len || tow_id_equal(&edge->node_id, &look->edges->hub->key.id))
		return 0;
	report = json_loadb((const char *)edge->report.base, edge->report.len, 0, NULL);
	if (!report) /* somebody edited the database */
		return 0;
	rc = list_add(list, &edge->node_id, edge->name, report, edge->seen_ms);
	json_decref(report);
	return rc;
}

static void look_on_thread(struct tow__job *job, struct tow__store *store)
{
	struct look *look = (struct look *)job;

	look->list.revoked = json_array();
	tow__store_edge_list(store, tow_wall_ms() - REVOKED_MS, take_edge, look, &look->fault);
}

static struct known *find(struct list *list, const struct tow_id *node_id)
{
	for (size_t i = 0; i < list->count; i++)
		if (tow_id_equal(&list->items[i].id, node_id))
			return &list->items[i];
	return NULL;
}

static void hear(struct known *known, json_t *report, uint64_t seen_ms)
{
	json_decref(known->report);
	known->report = json_incref(report);
	known->seen_ms = seen_ms;
	known->is_news = 1;
}

/* What was heard meanwhile may have come too late to be found. */
static void keep_news(struct list *found, const struct list *before)
{
	for (size_t i = 0; i < before->count; i++) {
		const struct known *news = &before->items[i];
		struct known *known = news->is_news ? find(found, &news->id) : NULL;

		if (known)
			hear(known, news->report, news->seen_ms);
		else if (news->is_news) /* without memory, the next look finds it */
			list_add(found, &news->id, news->name, news->report, news->seen_ms);
	}
}

static void look_done(struct tow__job *job)
{
	struct look *look = (struct look *)job;
	struct tow__edges *edges = look->edges;
	struct tow_hub *hub = edges->hub;

	edges->looking = 0;
	edges->looked_ns = tow_now_ns();
	if (!look->fault.kind) {
		keep_news(&look->list, &edges->list);
		list_deinit(&edges->list);
		edges->list = look->list;
		memset(&look->list, 0, sizeof look->list);
	}
	list_deinit(&look->list);
	if (edges->stopped)
		return;
	tow__subscribers_cut(hub->subscribers, edges->list.revoked);
	if (edges->look_again)
		tow__edges_look(edges);
	else if (look->fault.kind)
		tow_timer_start_in(&edges->look_timer, RETRY_NS);
	else if (tow__pool_is_shared(hub->pool))
		tow_timer_start_in(&edges->look_timer, PERIOD_NS);
}

static void look(void *user)
{
	struct tow__edges *edges = user;

	edges->look_again = 0;
	for (size_t i = 0; i < edges->list.count; i++)
		edges->list.items[i].is_news = 0;
	edges->look = (struct look){ .job = { .work = look_on_thread, .done = look_done },
		                     .edges = edges };
	edges->looking = 1;
	if (tow__pool_submit(edges->hub->pool, TOW__DB_READ, &edges->look.job)) {
		edges->looking = 0;
		tow_timer_start_in(&edges->look_timer, RETRY_NS);
	}
}

void tow__edges_look(struct tow__edges *edges)
{
	uint64_t at = edges->looked_ns ? edges->looked_ns + SPACING_NS : 0;

	if (edges->stopped)
		return;
	if (edges->looking)
		edges->look_again = 1;
	else if (at < edges->look_timer.deadline_ns)
		tow_timer_start(&edges->look_timer, at);
}

/* --- what edges say --- */

/* Other hubs have to know of the edge in this process, and nobody else: on a database of its own
 * nothing is written. */
static void tell_on_thread(struct tow__job *job, struct tow__store *store)
{
	struct tell *tell = (struct tell *)job;
	struct tow__edge_report report = { .node_id = tell->edges->local.id,
		                           .own_name = tell->name,
		                           .json = tell->json,
		                           .now_ms = tow_wall_ms() };

	tow__store_edge_report(store, &report, NULL, &tell->fault);
}

static void tell_done(struct tow__job *job)
{
	struct tell *tell = (struct tell *)job;
	struct tow__edges *edges = tell->edges;

	free(tell->json);
	edges->telling = 0;
	if (!edges->stopped)
		tow_timer_start_in(&edges->tell_timer, edges->tell_again  ? 0
		                                       : tell->fault.kind ? RETRY_NS
		                                                          : TELL_NS);
}

static void tell(void *user)
{
	struct tow__edges *edges = user;
	struct tell *t = &edges->tell;
	char id[TOW_ID_TEXT_SIZE];

	edges->tell_again = 0;
	*t = (struct tell){ .job = { .work = tell_on_thread, .done = tell_done }, .edges = edges };
	/* one that is read beside other hubs' */
	snprintf(t->name, sizeof t->name, "hub-%.8s", tow_id_format(&edges->local.id, id));
	t->json = json_dumps(edges->local.report, JSON_COMPACT);
	edges->telling = 1;
	if (!t->json || tow__pool_submit(edges->hub->pool, TOW__DB_WRITE, &t->job)) {
		free(t->json);
		edges->telling = 0;
		tow_timer_start_in(&edges->tell_timer, RETRY_NS);
	}
}

/* Of the agents in a report those that the next one does not have. */
static void note_lost(struct tow__edges *edges, const json_t *before, const json_t *after)
{
	json_t *still = json_object(), *item;
	struct tow_id id;
	size_t index;

	json_array_foreach(json_object_get(after, "agents"), index, item)
	{
		if (json_is_string(item))
			json_object_set_new(still, json_string_value(item), json_true());
	}
	json_array_foreach(json_object_get(before, "agents"), index, item)
	{
		const char *text = json_string_value(item);
		if (text && !json_object_get(still, text) &&
		    !tow_id_parse(tow_slice_of(text), &id))
			tow__heard_lost(edges->hub->heard, &id, tow_wall_ms());
	}
	json_decref(still);
}

int tow__edges_report(struct tow__edges *edges, const struct tow_edge_report *report)
{
	int can_wait = report->minor && edges->local.report;
	struct tow_buf text = { 0 };
	json_t *json = NULL;

	if (!tow_edge_report_write(report, &text))
		json = json_loadb((const char *)text.base, tow_buf_len(&text), 0, NULL);
	tow_buf_deinit(&text);
	if (!json)
		return TOW_ENOMEM;
	note_lost(edges, edges->local.report, json);
	json_decref(edges->local.report);
	edges->local.report = json;
	edges->local.id = report->node_id;
	edges->local.seen_ms = tow_wall_ms();
	if (edges->stopped || can_wait || !tow__pool_is_shared(edges->hub->pool))
		return 0;
	edges->tell_again = edges->telling;
	if (!edges->telling)
		tow_timer_start_in(&edges->tell_timer, 0);
	return 0;
}

void tow__edges_heard(struct tow__edges *edges, const struct tow_id *node_id, const char *name,
                      json_t *report)
{
	struct known *known = find(&edges->list, node_id);

	/* when there is no memory, the next look finds it */
	if (!known && list_add(&edges->list, node_id, name, report, 0) == 0)
		known = find(&edges->list, node_id);
	if (!known)
		return;
	note_lost(edges, known->report, report);
	hear(known, report, tow_wall_ms());
}

void tow__edges_revoked(struct tow__edges *edges, const struct tow_id *node_id)
{
	struct known *known = find(&edges->list, node_id);

	if (known) {
		known_deinit(known);
		*known = edges->list.items[--edges->list.count];
	}
	if (!edges->list.revoked)
		edges->list.revoked = json_array();
	json_array_append_new(edges->list.revoked, tow__json_id(node_id));
	if (!edges->stopped)
		tow__subscribers_cut(edges->hub->subscribers, edges->list.revoked);
	/* one look that began before may bring it back for a moment */
	tow__edges_look(edges);
}

/* --- what is told of them --- */

static int is_silent(const struct known *known, uint64_t for_ms)
{
	uint64_t now = tow_wall_ms();

	return now > known->seen_ms && now - known->seen_ms > for_ms;
}

/* Calls add for each edge in order: the own one, those that live, those that do not. */
static json_t *make(const struct tow__edges *edges,
                    json_t *(*add)(const struct known *known, int live, int details), int details)
{
	const struct known *local = &edges->local;
	json_t *list = json_array();
	int rc = 0;

	if (local->report)
		rc = json_array_append_new(list, add(local, 1, details));
	for (int live = 1; live >= 0; live--) {
		for (size_t i = 0; !rc && i < edges->list.count; i++) {
			const struct known *known = &edges->list.items[i];
			json_t *item;
			if (live == is_silent(known, TOW__EDGE_LIVE_MS))
				continue;
			if (!details && is_silent(known, DIALLED_MS))
				continue;
			item = add(known, live, details);
			rc = json_array_append_new(list, item);
		}
	}
	if (!rc)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *part(const struct known *known, const char *name)
{
	json_t *value = json_object_get(known->report, name);

	return value ? json_incref(value) : json_array();
}

/* One of before ports were told listens where visitors expect it. */
static json_t *tcp_port(const struct known *known)
{
	json_int_t port = json_integer_value(json_object_get(known->report, "tcp_port"));

	return json_integer(port ? port : TOW_CARRIER_PORT);
}

static json_t *for_agents(const struct known *known, int live, int details)
{
	(void)live;
	(void)details;
	return json_pack("{s:o, s:o, s:o}", "node_id", tow__json_id(&known->id), "addresses",
	                 part(known, "addresses"), "tcp_port", tcp_port(known));
}

static json_t *id_alone(const struct known *known, int live, int details)
{
	(void)live;
	(void)details;
	return tow__json_id(&known->id);
}

enum details { OF_AGENTS, OF_ALL, OF_OPERATOR };

static int add_traffic(json_t *edge, const struct known *known)
{
	json_t *traffic = json_object_get(known->report, "traffic");

	/* an edge of another version may not tell */
	return traffic ? json_object_set(edge, "traffic", traffic) : 0;
}

static json_t *for_all(const struct known *known, int live, int details)
{
	const char *version = json_string_value(json_object_get(known->report, "version"));
	json_t *edge =
		json_pack("{s:o, s:s, s:o, s:o, s:b}", "node_id", tow__json_id(&known->id), "name",
	                  known->name[0] ? known->name : TOW__LOCAL_EDGE_NAME, "addresses",
	                  part(known, "addresses"), "tcp_port", tcp_port(known), "live", live);

	if (edge && details == OF_OPERATOR &&
	    (json_object_set_new(edge, "version", json_string(version ? version : "")) ||
	     json_object_set_new(edge, "agents", part(known, "agents")) ||
	     json_object_set_new(edge, "failed_ports", part(known, "failed_ports")) ||
	     json_object_set_new(edge, "certificates", part(known, "certificates")) ||
	     add_traffic(edge, known) ||
	     json_object_set_new(
		     edge, "last_seen_ms",
		     tow__json_time(known->name[0] ? known->seen_ms : tow_wall_ms())))) {
		json_decref(edge);
		return NULL;
	}
	return edge;
}

json_t *tow__edges_for_agents(const struct tow__edges *edges)
{
	return make(edges, for_agents, OF_AGENTS);
}

json_t *tow__edges_ids(const struct tow__edges *edges)
{
	return make(edges, id_alone, OF_AGENTS);
}

json_t *tow__edges_for_all(const struct tow__edges *edges, int details)
{
	return make(edges, for_all, details ? OF_OPERATOR : OF_ALL);
}

static int may_serve(const struct known *known, const char *agent)
{
	const json_t *agents = json_object_get(known->report, "agents");
	size_t index;
	json_t *item;

	json_array_foreach(agents, index, item)
	{
		if (json_is_string(item) && strcmp(json_string_value(item), agent) == 0)
			return 1;
	}
	return known->report && (!agents || json_array_size(agents) >= TOW_EDGE_AGENTS_TOLD_MAX);
}

int tow__edges_may_serve(const struct tow__edges *edges, const struct tow_id *agent)
{
	char text[TOW_ID_TEXT_SIZE];
	int may;

	tow_id_format(agent, text);
	may = may_serve(&edges->local, text);
	for (size_t i = 0; !may && i < edges->list.count; i++)
		may = may_serve(&edges->list.items[i], text);
	return may;
}

json_t *tow__edges_revoked_ids(const struct tow__edges *edges)
{
	return edges->list.revoked ? json_incref(edges->list.revoked) : json_array();
}

/* --- lifetime --- */

struct tow__edges *tow__edges_new(struct tow_hub *hub)
{
	struct tow__edges *edges = calloc(1, sizeof *edges);

	if (!edges)
		return NULL;
	edges->hub = hub;
	tow_timer_init(&edges->look_timer, hub->loop, look, edges);
	tow_timer_init(&edges->tell_timer, hub->loop, tell, edges);
	return edges;
}

void tow__edges_start(struct tow__edges *edges)
{
	look(edges);
}

void tow__edges_stop(struct tow__edges *edges)
{
	edges->stopped = 1;
	tow_timer_stop(&edges->look_timer);
	tow_timer_stop(&edges->tell_timer);
}

void tow__edges_free(struct tow__edges *edges)
{
	if (!edges)
		return;
	tow__edges_stop(edges);
	list_deinit(&edges->list);
	known_deinit(&edges->local);
	free(edges);
}
