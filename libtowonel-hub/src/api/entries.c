/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/wire/limits.h>

/* --- submit --- */

struct submit {
	struct tow__call call;
	struct tow_slice single;
	struct tow_slice *jws; /* &single, or count texts that are ours */
	size_t count;
	struct tow__submitted out;
};

static void submit_work(struct tow__call *call, struct tow__store *store)
{
	struct submit *s = (struct submit *)call;
	struct tow__submission in = { s->jws, s->count, NULL, tow_wall_ms() };

	tow__store_submit(store, &in, &s->out, &call->fault);
	call->is_member = s->out.is_signed;
	call->member = s->out.tenant;
}

static void submit_respond(struct tow__call *call)
{
	struct submit *s = (struct submit *)call;

	tow_metric_add(call->hub->entries_accepted, (int64_t)s->count);
	call->answer =
		json_pack("{s:s, s:I}", "status", "ok", "sequence", (json_int_t)s->out.sequence);
}

static void submit_release(struct tow__call *call)
{
	struct submit *s = (struct submit *)call;
	char labels[64];

	if (call->fault.kind)
		tow_metric_inc(tow_metrics_series(
			call->hub->metrics, TOW_METRIC_COUNTER,
			"towonel_hub_entries_rejected_total",
			tow_metric_label(labels, sizeof labels, "reason",
		                         tow__fault_code(call->fault.kind)),
			"Requests with entries that were refused, by error code."));
	if (s->jws == &s->single)
		return;
	for (size_t i = 0; i < s->count; i++)
		free((void *)(uintptr_t)s->jws[i].base);
	free(s->jws);
}

/* Each entry as text again, for that is what is verified and kept. */
static void read_batch(struct submit *s)
{
	struct tow__call *call = &s->call;
	json_t *list = json_object_get(call->body, "entries"), *value;
	size_t i;

	if (!json_is_array(list) || !json_array_size(list) ||
	    json_array_size(list) > TOW_ENTRIES_PER_BATCH) {
		tow__fault_set(&call->fault, TOW__INVALID_REQUEST,
		               "\"entries\" is no list of 1 to %d entries", TOW_ENTRIES_PER_BATCH);
		return;
	}
	s->count = 0;
	s->jws = calloc(json_array_size(list), sizeof *s->jws);
	json_array_foreach(list, i, value)
	{
		char *text = s->jws ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
		if (!text) {
			tow__call_made(call, NULL);
			return;
		}
		s->jws[s->count++] = tow_slice_of(text);
	}
}

void tow__api_entries(void *user, struct tow_http_request *request)
{
	/* of a batch, or of one JWS, whose members are checked with its signature */
	static const char *const keys[] = { "entries",   "payload", "protected",
		                            "signature", "header",  NULL };
	struct submit *s = tow__call_new(user, request, sizeof *s);

	if (!s)
		return;
	s->call.access = TOW__DB_WRITE;
	s->call.work = submit_work;
	s->call.respond = submit_respond;
	s->call.release = submit_release;
	s->single = tow_http_body(request);
	s->jws = &s->single;
	s->count = 1;
	tow__call_body(&s->call, keys);
	if (!s->call.fault.kind && json_object_get(s->call.body, "entries")) {
		if (json_object_size(s->call.body) > 1)
			tow__fault_set(&s->call.fault, TOW__INVALID_REQUEST,
			               "\"entries\" stands alone, or the body is one entry");
		else
			read_batch(s);
	}
	tow__call_run(&s->call);
}

/* --- read --- */

/* Entries in one answer, at most: an entry is 5 KiB and more. The rest is asked for with
 * ?after=next_after. */
#define LOG_PAGE 2000

struct log {
	struct tow__call call;
	struct tow_id tenant;
	enum { BY_OPERATOR, BY_AGENT, BY_TENANT } by;
	struct tow_id agent;
	struct tow_tenant_request_signature *signature;
	struct tow__page page; /* offset: the sequence to go on from */
	json_t *entries;
	uint64_t last, latest; /* shown; in the log */
};

static int add_entry(void *user, uint64_t sequence, struct tow_slice jws)
{
	struct log *l = user;

	l->last = sequence;
	return json_array_append_new(l->entries,
	                             json_loadb((const char *)jws.base, jws.len, 0, NULL))
	               ? TOW_ENOMEM
	               : 0;
}

static void log_work(struct tow__call *call, struct tow__store *store)
{
	struct log *l = (struct log *)call;
	uint8_t public_key[TOW_MLDSA_PUBLIC_SIZE];
	struct tow_slice body = tow_http_body(call->request);

	if (l->by == BY_AGENT &&
	    tow__store_agent_check(store, &l->tenant, &l->agent, tow_wall_ms(), &call->fault))
		return;
	if (l->by == BY_TENANT) {
		if (tow__store_tenant_key(store, &l->tenant, public_key, &call->fault))
			return;
		if (tow_tenant_request_signature_verify(l->signature, public_key,
		                                        TOW_DOMAIN_TENANT_ENTRIES, body)) {
			tow__fault_set(&call->fault, TOW__UNAUTHORIZED,
			               "the request's signature does not verify");
			return;
		}
	}
	call->is_member = l->by != BY_OPERATOR;
	call->member = l->tenant;
	l->entries = tow__call_made(call, json_array());
	if (l->entries)
		tow__store_entries(store, &l->tenant, &l->page, add_entry, l, &l->latest,
		                   &call->fault);
}

static void log_respond(struct tow__call *call)
{
	struct log *l = (struct log *)call;

	if (l->by == BY_TENANT &&
	    tow__auth_use_once(call->hub, &l->tenant, l->signature->timestamp_ms, &call->fault))
		return;
	call->answer = json_pack("{s:O, s:I}", "entries", l->entries, "latest_sequence",
	                         (json_int_t)l->latest);
	if (call->answer && json_array_size(l->entries) == l->page.limit)
		tow__call_made(call, json_object_set_new(call->answer, "next_after",
		                                         json_integer((json_int_t)l->last))
		                             ? NULL
		                             : call->answer);
}

static void log_release(struct tow__call *call)
{
	struct log *l = (struct log *)call;

	free(l->signature);
	json_decref(l->entries);
}

/* Who asks: the operator, the tenant itself, or one of its agents. */
static void identify(struct log *l)
{
	struct tow__call *call = &l->call;
	struct tow__fault not_operator = { TOW__NO_FAULT, "" };

	l->by = BY_OPERATOR;
	if (!tow__auth_operator(call->hub, call->request, &not_operator))
		return;
	if (!tow__auth_is_tenant(call->request)) {
		l->by = BY_AGENT;
		tow__auth_signed(call->hub, call->request, TOW_DOMAIN_TENANT_ENTRIES, &l->agent,
		                 &call->fault);
		return;
	}
	l->by = BY_TENANT;
	l->signature = calloc(1, sizeof *l->signature);
	if (!l->signature) {
		tow__call_made(call, NULL);
		return;
	}
	if (!tow__auth_tenant(call->request, l->signature, &call->fault) &&
	    !tow_id_equal(&l->signature->tenant_id, &l->tenant))
		tow__fault_set(&call->fault, TOW__TENANT_NOT_ALLOWED,
		               "these are the entries of another tenant");
}

void tow__api_tenant_entries(void *user, struct tow_http_request *request)
{
	struct log *l = tow__call_new(user, request, sizeof *l);

	if (!l)
		return;
	l->call.work = log_work;
	l->call.respond = log_respond;
	l->call.release = log_release;
	tow__call_path_tenant(&l->call, &l->tenant);
	l->page.offset = tow__call_query_int(&l->call, "after", 0, INT64_MAX, 0);
	l->page.limit = tow__call_query_int(&l->call, "limit", 1, LOG_PAGE, LOG_PAGE);
	if (!l->call.fault.kind)
		identify(l);
	tow__call_run(&l->call);
}
