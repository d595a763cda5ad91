/* SPDX-License-Identifier: MIT */
#include "registration.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <towonel/tunnel/backoff.h>
#include <towonel/wire/request_signature.h>

#include "reconcile.h"

/* A batch stays below the hub's bound on bodies: a signed entry is about 5 KB of text. */
#define BATCH_BYTES_MAX     (TOW_HTTP_ENTRIES_BODY_MAX - TOW_ENTRY_MAX)
#define HEARTBEAT_DEFAULT_S 20
/* What a heartbeat tells of services, so that it stays below the hub's bound whatever there is. */
#define TOLD_BYTES_MAX    (TOW_HTTP_HEARTBEAT_BODY_MAX / 2)
#define TOLD_REFUSED_MAX  256
#define HEARTBEAT_MAX_S   300
#define STALE_MAX         64
#define SEQUENCE_STEP     1000
#define SEQUENCE_STEP_MAX 86400000               /* a day in ms */
#define NO_EDGES_REST_NS  (2 * TOW_NSEC_PER_SEC) /* a hub that has just started lists none yet */
#define TELL_SOON_NS      TOW_NSEC_PER_SEC
#define REFUSED_AGAIN_NS  (60 * TOW_NSEC_PER_SEC)
/* Whoever asks for more, a proxy before a hub that is away perhaps, cannot know. */
#define RETRY_AFTER_MAX_NS (60 * TOW_NSEC_PER_SEC)
/* An entry outlives the agent by at most this long when it could not be revoked; it is renewed at
 * half of it. Edges are shown one that is signed for the occasion, so a hub that is down for longer
 * does no harm. */
#define AGENT_ENTRY_LIFE_MS (60 * UINT64_C(60000))

enum state {
	IDLE,
	BOOTSTRAP,
	ANNOUNCE,
	READ,
	READ_MORE, /* another page of it */
	APPLY,
	REST,
	HEARTBEAT,
	REVOKE,  /* of other agents */
	REVOKED, /* this one is, and waits for another key */
	LEAVE,
	ENDED,
};

/* A service that the hub will not have; told once, and to the hub itself with each heartbeat. */
struct refusal {
	char service[TOW_AUTHORITY_SIZE];
	char reason[TOW_ERROR_TEXT_SIZE];
	int now; /* in the round of reading and applying that is under way */
};

struct registration {
	struct registration_config config;
	struct tow_hub_client *hub;
	enum state state;
	struct tow_http_call *call;
	struct tow_timer timer;
	struct tow_backoff backoff;

	const struct tow_service_list *services;
	uint64_t generation;
	uint8_t services_hash[TOW_HASH_SIZE];
	uint64_t renew_at_ms;
	uint64_t next_sequence;
	uint64_t sequence_step; /* after a conflict; grows, for a clock that is far behind */

	struct hub_state has;         /* READ, READ_MORE: what the log has told so far */
	uint64_t read_after;          /* the sequence that the last page ended with */
	struct operations operations; /* what READ found to be said */
	size_t applied;               /* how many of them the hub has answered */
	size_t in_flight;             /* how many are in the request under way */
	size_t batch_max;             /* halved to find the one for which a batch is refused */
	struct refusal *refused;
	size_t refused_count;
	uint64_t refused_again_ns; /* when they are tried again */
	int announced;             /* the hub may have the agent's entry */
	int done;                  /* the hub has the services */
	int told;                  /* and has heard what became of them */
	int has_edges;             /* its last list was not empty */
	uint64_t heartbeat_s;
	struct tow_id stale[STALE_MAX]; /* REVOKE */
	size_t stale_count;

	struct tow_metric *heartbeats_ok, *heartbeats_failed, *refused_now;
};

static void enter(struct registration *r, enum state state);
static const char *state_name(enum state state);

static struct tow_hub_client *client_of(const struct registration_config *config)
{
	struct tow_hub_client_config hub = {
		.http = config->http,
		.hub_id = config->token->hub_id,
		.key = config->agent_key,
	};
	memcpy(hub.url, config->token->hub_url, sizeof hub.url);
	return tow_hub_client_new(&hub);
}

/* --- what is said --- */

static uint64_t take_sequence(struct registration *r)
{
	/* Sequences need only be unused; the clock makes them so without asking first. */
	uint64_t now = tow_wall_ms();
	if (r->next_sequence < now)
		r->next_sequence = now;
	return r->next_sequence++;
}

static int sign(struct registration *r, struct tow_entry *entry, struct tow_buf *out)
{
	entry->version = TOW_ENTRY_VERSION;
	entry->tenant_id = *tow_tenant_key_id(r->config.tenant_key);
	entry->timestamp_ms = tow_wall_ms();
	entry->sequence = take_sequence(r);
	return tow_entry_sign(entry, r->config.tenant_key, out, NULL);
}

static struct tow_entry agent_entry(const struct registration *r)
{
	struct tow_entry entry = {
		.op = TOW_ENTRY_UPSERT_AGENT,
		.agent_id = r->config.agent_key->id,
		.generation = r->generation,
		.expires_at_ms = tow_wall_ms() + AGENT_ENTRY_LIFE_MS,
	};
	memcpy(entry.services_hash, r->services_hash, sizeof entry.services_hash);
	return entry;
}

int tow__registration_sign_agent(struct registration *r, struct tow_buf *out)
{
	struct tow_entry entry = agent_entry(r);
	return sign(r, &entry, out);
}

/* Appends the signed entry to a JSON array. */
static int append_signed(struct registration *r, json_t *array, const struct tow_entry *entry,
                         size_t *bytes)
{
	struct tow_entry copy = *entry;
	struct tow_buf text = { 0 };
	int rc = sign(r, &copy, &text);
	if (rc == 0) {
		struct tow_slice jws = tow_buf_peek(&text);
		*bytes += jws.len;
		rc = json_array_append_new(array,
		                           json_loadb((const char *)jws.base, jws.len, 0, NULL))
		             ? TOW_ENOMEM
		             : 0;
	}
	tow_buf_deinit(&text);
	return rc;
}

/* Takes array. */
static int post_entries(struct registration *r, json_t *array, tow_hub_answered done)
{
	json_t *body = json_pack("{s:o}", "entries", array);
	return body ? tow_hub_call(r->hub, "POST", "/v1/entries", body, TOW_HUB_NO_AUTH, NULL, done,
	                           r, &r->call)
	            : TOW_ENOMEM;
}

static int post_one(struct registration *r, const struct tow_entry *entry, tow_hub_answered done)
{
	json_t *array = json_array();
	size_t bytes = 0;
	int rc = array ? append_signed(r, array, entry, &bytes) : TOW_ENOMEM;
	if (rc != 0) {
		json_decref(array);
		return rc;
	}
	return post_entries(r, array, done);
}

static void authority_of(const struct tow_entry *entry, char out[TOW_AUTHORITY_SIZE])
{
	const char *prefix = "";
	if (entry->op == TOW_ENTRY_UPSERT_TCP_SERVICE || entry->op == TOW_ENTRY_DELETE_TCP_SERVICE)
		prefix = "tcp:";
	if (entry->op == TOW_ENTRY_UPSERT_UDP_SERVICE || entry->op == TOW_ENTRY_DELETE_UDP_SERVICE)
		prefix = "udp:";
	snprintf(out, TOW_AUTHORITY_SIZE, "%s%s", prefix, entry->name);
}

/* --- refusals --- */

/* Tells of a refused service, unless the last round told it. */
static void tell_refused(struct registration *r, const struct tow_entry *entry, const char *text)
{
	struct refusal refusal = { .now = 1 };
	authority_of(entry, refusal.service);
	snprintf(refusal.reason, sizeof refusal.reason, "%s", text);
	for (size_t i = 0; i < r->refused_count; i++) {
		if (strcmp(r->refused[i].service, refusal.service) == 0) {
			r->refused[i] = refusal;
			return;
		}
	}
	struct refusal *wider = reallocarray(r->refused, r->refused_count + 1, sizeof *wider);
	if (wider) {
		r->refused = wider;
		wider[r->refused_count++] = refusal;
	}
	tow_log_error(r->config.log, "the hub refuses a service",
	              tow_f_str("service", refusal.service), tow_f_str("error", text));
	r->config.events->refused(r->config.user, refusal.service, text);
}

static void begin_round(struct registration *r)
{
	for (size_t i = 0; i < r->refused_count; i++)
		r->refused[i].now = 0;
}

/* Those that the hub has taken meanwhile are refused no longer. */
static void end_round(struct registration *r)
{
	size_t kept = 0;
	for (size_t i = 0; i < r->refused_count; i++)
		if (r->refused[i].now)
			r->refused[kept++] = r->refused[i];
	r->refused_count = kept;
	tow_metric_set(r->refused_now, (int64_t)kept);
}

/* --- states --- */

static void answered(void *user, const struct tow_hub_answer *answer);

static int start_bootstrap(struct registration *r)
{
	char id[TOW_INVITE_ID_TEXT_SIZE], secret[TOW_BASE64URL_SIZE(TOW_SECRET_SIZE)];
	tow_base64url_encode(r->config.token->invite_id, TOW_INVITE_ID_SIZE, id);
	tow_base64url_encode(r->config.token->secret, TOW_SECRET_SIZE, secret);
	json_t *body = json_pack("{s:s,s:s}", "invite_id", id, "invite_secret", secret);
	tow_wipe(secret, sizeof secret);
	return body ? tow_hub_call(r->hub, "POST", "/v1/bootstrap", body, TOW_HUB_NO_AUTH, NULL,
	                           answered, r, &r->call)
	            : TOW_ENOMEM;
}

static void take_edges(struct registration *r, const struct tow_hub_answer *answer)
{
	const json_t *edges = json_object_get(answer->body, "edges");
	r->has_edges = json_array_size(edges) > 0;
	r->config.events->edges(r->config.user, edges);
}

/* A refusal that means the hub has another idea of us than we have: tell it again, with a pause. */
static enum state start_over(struct registration *r, const struct tow_hub_answer *answer,
                             enum state from)
{
	tow_log_warn(r->config.log, "the hub refuses this agent; registering again",
	             tow_f_str("state", state_name(r->state)),
	             tow_f_str("error", answer->error.text));
	return from;
}

static enum state after_bootstrap(struct registration *r, const struct tow_hub_answer *answer)
{
	const char *text = NULL;
	if (answer->status == 410)
		text = "the invite token has expired; ask the operator for a new one";
	else if (answer->status == 401)
		text = "the hub does not accept the invite token: it was revoked, or is not this "
		       "hub's";
	if (text) {
		tow_log_error(r->config.log, text);
		r->config.events->fatal(r->config.user, TOW_EAUTH, text);
		return ENDED;
	}
	/* Anything else need not be the token's fault: a proxy in between, or a hub with another
	 * key, as while it moves. */
	if (answer->error.code != 0)
		return start_over(r, answer, BOOTSTRAP);
	tow_log_info(r->config.log, "the hub knows this agent's tenant",
	             tow_f_id("tenant", tow_tenant_key_id(r->config.tenant_key)));
	take_edges(r, answer);
	return ANNOUNCE;
}

static int start_announce(struct registration *r)
{
	struct tow_entry entry = agent_entry(r);
	r->renew_at_ms = tow_wall_ms() + AGENT_ENTRY_LIFE_MS / 2;
	r->announced = 1;
	return post_one(r, &entry, answered);
}

static enum state after_announce(struct registration *r, const struct tow_hub_answer *answer)
{
	if (strcmp(answer->code, "sequence_conflict") == 0) {
		r->sequence_step = r->sequence_step < SEQUENCE_STEP       ? SEQUENCE_STEP
		                   : r->sequence_step < SEQUENCE_STEP_MAX ? r->sequence_step * 4
		                                                          : SEQUENCE_STEP_MAX;
		r->next_sequence += r->sequence_step;
		return ANNOUNCE;
	}
	r->sequence_step = 0;
	return answer->error.code == 0 ? READ : start_over(r, answer, BOOTSTRAP);
}

static int start_read_more(struct registration *r)
{
	char path[160], tenant[TOW_ID_TEXT_SIZE];
	snprintf(path, sizeof path, "/v1/tenants/%s/entries?after=%" PRIu64,
	         tow_id_format(tow_tenant_key_id(r->config.tenant_key), tenant), r->read_after);
	return tow_hub_call(r->hub, "GET", path, NULL, TOW_HUB_SIGNED, TOW_DOMAIN_TENANT_ENTRIES,
	                    answered, r, &r->call);
}

static int start_read(struct registration *r)
{
	tow__hub_state_deinit(&r->has);
	r->read_after = 0;
	return start_read_more(r);
}

static int fold(struct registration *r, const json_t *log)
{
	size_t index;
	json_t *jws;
	json_array_foreach(log, index, jws)
	{
		struct tow_entry entry;
		char *text = json_dumps(jws, JSON_COMPACT);
		if (!text)
			return TOW_ENOMEM;
		int rc =
			tow_entry_verify(tow_slice_of(text),
		                         tow_tenant_key_public(r->config.tenant_key), &entry, NULL);
		free(text);
		if (rc != 0)
			tow_log_warn(r->config.log,
			             "the hub has an entry that this tenant did not sign");
		else if (tow__hub_state_fold(&r->has, &entry) != 0)
			return TOW_ENOMEM;
	}
	return 0;
}

static uint64_t number_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static enum state after_read(struct registration *r, const struct tow_hub_answer *answer)
{
	if (answer->error.code != 0)
		return start_over(r, answer, ANNOUNCE);

	uint64_t latest = number_of(answer->body, "latest_sequence");
	uint64_t next_after = number_of(answer->body, "next_after");
	if (latest >= r->next_sequence)
		r->next_sequence = latest + 1;
	if (fold(r, json_object_get(answer->body, "entries")) != 0)
		return READ;
	if (next_after > r->read_after) {
		r->read_after = next_after;
		return READ_MORE;
	}

	tow__operations_deinit(&r->operations);
	r->applied = r->in_flight = 0;
	begin_round(r);
	r->batch_max = TOW_ENTRIES_PER_BATCH;
	int rc = tow__reconcile(r->services, &r->has, &r->operations);
	tow__hub_state_deinit(&r->has);
	return rc == 0 ? APPLY : READ;
}

static int start_apply(struct registration *r)
{
	size_t bytes = 0, count = 0;
	json_t *array = json_array();
	int rc = array ? 0 : TOW_ENOMEM;
	while (rc == 0 && r->applied + count < r->operations.count && count < r->batch_max &&
	       bytes < BATCH_BYTES_MAX) {
		rc = append_signed(r, array, &r->operations.items[r->applied + count], &bytes);
		count++;
	}
	if (rc != 0) {
		json_decref(array);
		return rc;
	}
	r->in_flight = count;
	return post_entries(r, array, answered);
}

static enum state applied(struct registration *r)
{
	if (r->applied < r->operations.count)
		return APPLY;
	end_round(r);
	r->refused_again_ns = tow_loop_now_ns(r->config.loop) + REFUSED_AGAIN_NS;
	tow_log_info(r->config.log, "services are registered",
	             tow_f_uint("services", r->services->count),
	             tow_f_uint("changes", r->operations.count),
	             tow_f_uint("refused", r->refused_count));
	r->done = 1;
	r->config.events->registered(r->config.user);
	r->told = 0;
	return REST;
}

static enum state after_apply(struct registration *r, const struct tow_hub_answer *answer)
{
	if (answer->error.code == 0) {
		r->applied += r->in_flight;
		if (r->batch_max < TOW_ENTRIES_PER_BATCH)
			r->batch_max *= 2;
		return applied(r);
	}
	if (strcmp(answer->code, "sequence_conflict") == 0)
		return READ; /* somebody else wrote: look again */
	if (answer->status == 0 || answer->status == 401)
		return start_over(r, answer, BOOTSTRAP);
	if (r->in_flight > 1) {
		r->batch_max = r->in_flight / 2;
		return APPLY;
	}
	tell_refused(r, &r->operations.items[r->applied], answer->error.text);
	r->applied++;
	return applied(r);
}

static json_t *services_json(const struct registration *r)
{
	json_t *list = json_array();
	size_t bytes = 0;
	for (size_t i = 0; list && i < r->services->count && bytes < TOLD_BYTES_MAX; i++) {
		char authority[TOW_AUTHORITY_SIZE];
		tow_service_authority(&r->services->items[i], authority);
		bytes += strlen(authority) + 3;
		json_array_append_new(list, json_string(authority));
	}
	return list;
}

static json_t *refused_json(const struct registration *r)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < r->refused_count && i < TOLD_REFUSED_MAX; i++)
		json_array_append_new(list, json_pack("{s:s,s:s}", "service", r->refused[i].service,
		                                      "reason", r->refused[i].reason));
	return list;
}

static int start_heartbeat(struct registration *r)
{
	char tenant[TOW_ID_TEXT_SIZE], agent[TOW_ID_TEXT_SIZE], hash[TOW_HEX_SIZE(TOW_HASH_SIZE)];
	json_t *body = json_pack(
		"{s:s,s:s,s:s,s:I,s:s,s:o,s:o,s:o}", "tenant_id",
		tow_id_format(tow_tenant_key_id(r->config.tenant_key), tenant), "agent_id",
		tow_id_format(&r->config.agent_key->id, agent), "services_hash",
		tow_hex_encode(r->services_hash, TOW_HASH_SIZE, hash), "generation",
		(json_int_t)r->generation, "version", TOW_VERSION, "services", services_json(r),
		"refused", refused_json(r), "tunnels", r->config.events->tunnels(r->config.user));
	return body ? tow_hub_call(r->hub, "POST", "/v1/agent/heartbeat", body, TOW_HUB_SIGNED,
	                           TOW_DOMAIN_AGENT_HEARTBEAT, answered, r, &r->call)
	            : TOW_ENOMEM;
}

static void take_stale(struct registration *r, const json_t *ids)
{
	size_t index;
	json_t *item;
	r->stale_count = 0;
	json_array_foreach(ids, index, item)
	{
		const char *text = json_string_value(item);
		struct tow_id *id = &r->stale[r->stale_count];
		if (text && tow_id_parse(tow_slice_of(text), id) == 0 &&
		    !tow_id_equal(id, &r->config.agent_key->id) && ++r->stale_count == STALE_MAX)
			break;
	}
}

static enum state after_heartbeat(struct registration *r, const struct tow_hub_answer *answer)
{
	if (answer->error.code != 0) {
		tow_metric_inc(r->heartbeats_failed);
		return start_over(r, answer, ANNOUNCE);
	}
	tow_metric_inc(r->heartbeats_ok);
	r->told = 1;
	json_int_t interval =
		json_integer_value(json_object_get(answer->body, "next_interval_secs"));
	r->heartbeat_s = interval >= 1 && interval <= HEARTBEAT_MAX_S ? (uint64_t)interval
	                                                              : HEARTBEAT_DEFAULT_S;
	r->config.events->revoked_edges(r->config.user,
	                                json_object_get(answer->body, "revoked_edges"));
	take_edges(r, answer);
	if (json_is_true(json_object_get(answer->body, "superseded")))
		r->config.events->superseded(r->config.user);
	take_stale(r, json_object_get(answer->body, "stale_agents"));
	if (r->stale_count)
		return REVOKE;
	if (r->refused_count && tow_loop_now_ns(r->config.loop) >= r->refused_again_ns)
		return READ;
	return REST;
}

static int start_revoke(struct registration *r)
{
	size_t bytes = 0;
	json_t *array = json_array();
	int rc = array ? 0 : TOW_ENOMEM;
	for (size_t i = 0; rc == 0 && i < r->stale_count; i++) {
		struct tow_entry entry = { .op = TOW_ENTRY_REVOKE_AGENT, .agent_id = r->stale[i] };
		rc = append_signed(r, array, &entry, &bytes);
	}
	if (rc != 0) {
		json_decref(array);
		return rc;
	}
	return post_entries(r, array, answered);
}

/* When it was not taken, the next heartbeat tells whether it is still to be done. */
static enum state after_revoke(struct registration *r, const struct tow_hub_answer *answer)
{
	if (answer->error.code == 0)
		tow_log_info(r->config.log, "agents that had gone without a farewell are revoked",
		             tow_f_uint("agents", r->stale_count));
	else
		tow_log_debug(r->config.log, "the hub did not take a revocation",
		              tow_f_str("error", answer->error.text));
	return REST;
}

static int start_leave(struct registration *r)
{
	struct tow_entry entry = { .op = TOW_ENTRY_REVOKE_AGENT,
		                   .agent_id = r->config.agent_key->id };
	return post_one(r, &entry, answered);
}

static enum state after_leave(struct registration *r, const struct tow_hub_answer *answer)
{
	if (answer->error.code != 0)
		tow_log_debug(r->config.log, "the hub did not take the farewell",
		              tow_f_str("error", answer->error.text));
	return ENDED;
}

static const struct {
	const char *name;
	int (*start)(struct registration *r);
	enum state (*after)(struct registration *r, const struct tow_hub_answer *answer);
} states[] = {
	[IDLE] = { "idle", NULL, NULL },
	[BOOTSTRAP] = { "bootstrap", start_bootstrap, after_bootstrap },
	[ANNOUNCE] = { "announce", start_announce, after_announce },
	[READ] = { "read", start_read, after_read },
	[READ_MORE] = { "read more", start_read_more, after_read },
	[APPLY] = { "apply", start_apply, after_apply },
	[REST] = { "rest", NULL, NULL },
	[HEARTBEAT] = { "heartbeat", start_heartbeat, after_heartbeat },
	[REVOKE] = { "revoke", start_revoke, after_revoke },
	[REVOKED] = { "revoked", NULL, NULL },
	[LEAVE] = { "leave", start_leave, after_leave },
	[ENDED] = { "ended", NULL, NULL },
};

static const char *state_name(enum state state)
{
	return states[state].name;
}

static void retry_later(struct registration *r, const char *error, uint64_t at_least_ns)
{
	uint64_t delay = tow_backoff_next(&r->backoff);
	if (at_least_ns > RETRY_AFTER_MAX_NS)
		at_least_ns = RETRY_AFTER_MAX_NS;
	if (delay < at_least_ns)
		delay += at_least_ns; /* others were told the same */
	tow_log_warn(r->config.log, "the hub cannot be used now; trying again",
	             tow_f_str("state", states[r->state].name), tow_f_str("error", error),
	             tow_f_uint("retry_in_ms", delay / TOW_NSEC_PER_MSEC));
	if (r->state == HEARTBEAT)
		tow_metric_inc(r->heartbeats_failed);
	tow_timer_start_in(&r->timer, delay);
}

static void enter(struct registration *r, enum state state)
{
	if (state == APPLY && r->applied == r->operations.count)
		state = applied(r); /* nothing has to be said */
	tow_log_trace(r->config.log, "registration", tow_f_str("state", states[state].name));
	r->state = state;
	if (state == REST) {
		tow_backoff_reset(&r->backoff);
		tow_timer_start_in(&r->timer, !r->told       ? TELL_SOON_NS
		                              : r->has_edges ? r->heartbeat_s * TOW_NSEC_PER_SEC
		                                             : NO_EDGES_REST_NS);
	} else if (state == ENDED) {
		tow_timer_stop(&r->timer);
		r->config.events->left(r->config.user);
	} else if (states[state].start) {
		int rc = states[state].start(r);
		if (rc != 0) {
			r->call = NULL;
			retry_later(r, tow_strerror(rc), 0);
		}
	}
}

static int is_revoked(const struct tow_hub_answer *answer)
{
	const json_t *error = json_object_get(answer->body, "error");
	return json_is_true(json_object_get(error, "revoked"));
}

/* Not at once: who revokes may do so again. */
static void wait_for_key(struct registration *r)
{
	tow_log_warn(r->config.log, "this agent was revoked; it goes on with a new key");
	r->state = REVOKED;
	r->done = 0;
	tow_timer_start_in(&r->timer, tow_backoff_next(&r->backoff));
}

static void answered(void *user, const struct tow_hub_answer *answer)
{
	struct registration *r = user;
	r->call = NULL;
	if (r->state != LEAVE && is_revoked(answer)) {
		wait_for_key(r);
		return;
	}
	if (answer->error.code != 0 && answer->retriable && r->state != LEAVE &&
	    r->state != REVOKE) {
		retry_later(r, answer->error.text, answer->retry_after_ms * TOW_NSEC_PER_MSEC);
		return;
	}
	enum state was = r->state;
	enum state next = states[was].after(r, answer);
	if (r->state != was)
		return; /* an event handler has moved on already */
	if (next <= READ && (answer->error.code != 0 || next == was)) {
		/* Not a hot loop, whatever the hub answers. */
		r->state = next;
		tow_timer_start_in(&r->timer, tow_backoff_next(&r->backoff));
		return;
	}
	enter(r, next);
}

static void renew_key(struct registration *r)
{
	struct tow_hub_client *hub = NULL;
	if (r->config.events->revoked(r->config.user) == 0)
		hub = client_of(&r->config);
	if (!hub) {
		tow_timer_start_in(&r->timer, tow_backoff_next(&r->backoff));
		return;
	}
	tow_hub_client_free(r->hub);
	r->hub = hub;
	r->announced = 0;
	enter(r, BOOTSTRAP);
}

static void timer_fired(void *user)
{
	struct registration *r = user;
	switch (r->state) {
	case LEAVE:
		if (r->call)
			tow_http_call_cancel(r->call);
		r->call = NULL;
		enter(r, ENDED);
		break;
	case REST: enter(r, tow_wall_ms() >= r->renew_at_ms ? ANNOUNCE : HEARTBEAT); break;
	/* What was sent may have been taken, though the answer was lost. */
	case APPLY: enter(r, READ); break;
	case REVOKED: renew_key(r); break;
	default: enter(r, r->state); break;
	}
}

/* --- lifetime --- */

int tow__registration_new(const struct registration_config *config, struct registration **out)
{
	struct registration *r = calloc(1, sizeof *r);
	if (!r)
		return TOW_ENOMEM;
	r->config = *config;
	r->heartbeat_s = HEARTBEAT_DEFAULT_S;
	r->hub = client_of(config);
	if (!r->hub) {
		free(r);
		return TOW_ENOMEM;
	}
	tow_timer_init(&r->timer, config->loop, timer_fired, r);
	r->heartbeats_ok = tow_metrics_series(config->metrics, TOW_METRIC_COUNTER,
	                                      "towonel_agent_heartbeats_total", "outcome=\"ok\"",
	                                      "Heartbeats sent to the hub, by outcome.");
	r->heartbeats_failed = tow_metrics_series(
		config->metrics, TOW_METRIC_COUNTER, "towonel_agent_heartbeats_total",
		"outcome=\"error\"", "Heartbeats sent to the hub, by outcome.");
	r->refused_now = tow_metrics_series(config->metrics, TOW_METRIC_GAUGE,
	                                    "towonel_agent_services_refused", NULL,
	                                    "Services that the hub does not let this agent have.");
	*out = r;
	return 0;
}

static void cancel(struct registration *r)
{
	tow_timer_stop(&r->timer);
	if (r->call)
		tow_http_call_cancel(r->call);
	r->call = NULL;
}

void tow__registration_free(struct registration *r)
{
	if (!r)
		return;
	cancel(r);
	tow_hub_client_free(r->hub);
	tow__hub_state_deinit(&r->has);
	tow__operations_deinit(&r->operations);
	free(r->refused);
	free(r);
}

void tow__registration_serve(struct registration *r, const struct tow_service_list *services,
                             uint64_t generation)
{
	if (r->state == LEAVE || r->state == ENDED)
		return;
	cancel(r);
	r->services = services;
	r->generation = generation;
	r->refused_count = 0;
	tow_metric_set(r->refused_now, 0);
	r->done = 0;
	tow_service_list_hash(services, r->services_hash);
	enter(r, r->announced ? ANNOUNCE : BOOTSTRAP);
}

void tow__registration_check(struct registration *r)
{
	if (r->state != REST)
		return;
	cancel(r);
	enter(r, HEARTBEAT);
}

void tow__registration_leave(struct registration *r, uint64_t timeout_ns)
{
	if (r->state == LEAVE || r->state == ENDED)
		return;
	cancel(r);
	if (!r->announced) {
		enter(r, ENDED);
		return;
	}
	tow_timer_start_in(&r->timer, timeout_ns);
	enter(r, LEAVE);
}

int tow__registration_done(const struct registration *r)
{
	return r->done;
}

int tow__registration_left(const struct registration *r)
{
	return r->state == ENDED;
}
