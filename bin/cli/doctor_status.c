/* SPDX-License-Identifier: MIT */
/* What a hub and an edge say: of edges, tenants, certificates; and this machine of its clock. */
#include "cli/doctor_node.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>

#define DAY_MS               86400000ULL
#define CERTIFICATE_DOUBTFUL (14 * DAY_MS)

static const char *format_ago(uint64_t ms, char out[32])
{
	static const struct {
		uint64_t ms;
		const char *unit;
	} units[] = { { DAY_MS, "d" }, { 3600000, "h" }, { 60000, "min" }, { 1000, "s" } };
	size_t i = 0;
	while (i < 3 && ms < 2 * units[i].ms)
		i++;
	snprintf(out, 32, "%" PRIu64 " %s ago", ms / units[i].ms, units[i].unit);
	return out;
}

/* --- edges and tenants --- */

static void judge_edge(struct doctor *doctor, const json_t *edge, uint64_t now_ms)
{
	uint64_t seen = cli_number(edge, "last_seen_ms");
	char ago[32];
	format_ago(now_ms > seen ? now_ms - seen : 0, ago);
	if (json_is_true(json_object_get(edge, "live")))
		doctor_find(doctor, WELL, "contact", NULL, "edge %s was heard of %s",
		            cli_text(edge, "name"), ago);
	else
		doctor_find(
			doctor, ILL, "contact",
			"start it, or towonel edge-invite revoke; towonel doctor on its machine "
			"says more",
			"edge %s is not there; it was heard of %s", cli_text(edge, "name"),
			seen ? ago : "never");
}

static void judge_agents(struct doctor *doctor, const json_t *tenant)
{
	const json_t *agents = json_object_get(tenant, "agents");
	uint64_t heard = UINT64_MAX;
	size_t live = 0, index;
	json_t *agent;
	char ago[32];
	json_array_foreach(agents, index, agent)
	{
		const json_t *age = json_object_get(agent, "heard_age_ms");
		live += json_is_true(json_object_get(agent, "live"));
		if (json_is_integer(age) && cli_number(agent, "heard_age_ms") < heard)
			heard = cli_number(agent, "heard_age_ms");
	}
	if (json_array_size(agents) == 0)
		return;
	if (live > 0)
		doctor_find(doctor, WELL, "contact", NULL, "agents of %s: %zu, heard of %s",
		            cli_text(tenant, "name"), live,
		            heard < UINT64_MAX ? format_ago(heard, ago) : "by an edge");
	else
		doctor_find(doctor, ILL, "contact",
		            "start towonel-agent; towonel doctor on its machine says more",
		            "no agent of %s is there; the last was heard of %s",
		            cli_text(tenant, "name"),
		            heard < UINT64_MAX ? format_ago(heard, ago) : "before the hub's start");
}

static const char *fix_of(const char *state)
{
	if (strcmp(state, "port failed") == 0)
		return "stop what has the port on that edge: ss -lntup";
	if (strcmp(state, "refused") == 0)
		return "change the service, or what the invite allows";
	return "towonel doctor on the agent's machine says more";
}

static void judge_services(struct doctor *doctor, const json_t *tenant, json_t *names)
{
	size_t index, up = 0;
	json_t *service;
	json_array_foreach(json_object_get(tenant, "services"), index, service)
	{
		const char *name = cli_text(service, "service"),
			   *state = cli_text(service, "state");
		if (!strchr(name, ':') && strcmp(state, "refused") != 0)
			json_array_append(names, json_object_get(service, "service"));
		if (strcmp(state, "up") == 0)
			up++;
		else
			doctor_find(doctor, ILL, "service", fix_of(state), "%s of %s: %s%s%s", name,
			            cli_text(tenant, "name"), state,
			            *cli_text(service, "why") ? ", " : "",
			            cli_text(service, "why"));
	}
	if (up > 0)
		doctor_find(doctor, WELL, "service", NULL, "services of %s that are up: %zu",
		            cli_text(tenant, "name"), up);
}

void doctor_judge_status(struct doctor *doctor, const json_t *status)
{
	const json_t *edges = json_object_get(status, "edges");
	uint64_t now_ms = cli_number(json_object_get(status, "hub"), "time_ms");
	json_t *names = json_array(), *item;
	struct doctor_edges found;
	size_t index;
	json_array_foreach(edges, index, item) judge_edge(doctor, item, now_ms);
	json_array_foreach(json_object_get(status, "tenants"), index, item)
	{
		judge_agents(doctor, item);
		judge_services(doctor, item, names);
	}
	doctor_judge_edges(doctor, edges, &found);
	doctor_judge_names(doctor, names, &found);
	doctor_edges_deinit(&found);
	json_decref(names);
}

/* --- certificates --- */

void doctor_judge_certificates(struct doctor *doctor, const json_t *list)
{
	static const char fix[] = "towonel cert list says more; the name has to lead here, and "
				  "port 80 or 443 to be open";
	uint64_t now_ms = tow_wall_ms();
	size_t index;
	json_t *item;
	json_array_foreach(json_object_get(list, "certificates"), index, item)
	{
		const char *name = cli_text(item, "name"), *error = cli_text(item, "last_error");
		uint64_t end_ms = cli_number(item, "not_after_ms");
		uint64_t left = end_ms > now_ms ? end_ms - now_ms : 0;
		if (end_ms == 0)
			doctor_find(doctor, ILL, "certificate", fix, "%s has none: %s", name,
			            *error ? error : cli_text(item, "state"));
		else if (left == 0)
			doctor_find(doctor, ILL, "certificate", fix, "that of %s has expired%s%s",
			            name, *error ? ": " : "", error);
		else if (left < CERTIFICATE_DOUBTFUL || *error)
			doctor_find(doctor, DOUBTFUL, "certificate", fix,
			            "that of %s is good for %llu days%s%s", name, left / DAY_MS,
			            *error ? ", and: " : "", error);
		else
			doctor_find(doctor, WELL, "certificate", NULL,
			            "that of %s is good for %llu days", name, left / DAY_MS);
	}
}

/* --- the clock --- */

void doctor_judge_own_clock(struct doctor *doctor)
{
	struct timex state = { 0 };
	if (adjtimex(&state) < 0)
		return;
	if (state.status & STA_UNSYNC)
		doctor_find(doctor, DOUBTFUL, "clock", "timedatectl set-ntp true",
		            "nothing is known to keep this machine's clock");
	else
		doctor_find(doctor, WELL, "clock", NULL, "kept by NTP");
}
