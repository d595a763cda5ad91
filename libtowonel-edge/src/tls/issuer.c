/* SPDX-License-Identifier: MIT */

#include "tls/issuer.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <towonel/tunnel/key_file.h>
#include "tls/acme_advice.h"
#include "tls/acme_run.h"
#include "tls/cert_files.h"
#include "tls/renewal_plan.h"

#define ACCOUNT_KEY_FILE "acme_account.key"
#define ACCOUNT_KEY_MAX  4096
#define BINDING_KEY_MAX  512

enum job_state {
	QUEUED,
	RUNNING,
	RESTING,
};

struct job {
	struct issuer *issuer;
	struct job *prev, *next;
	enum job_state state;
	struct acme_run run;
	struct tow_timer rest;
	enum acme_challenge_type challenge;
	unsigned attempts;
	int other_tried;           /* way of proving the name, */
	struct acme_failure first; /* because of this */
	int published;
	char name[TOW_HOSTNAME_SIZE];
};

struct issuer {
	struct tow_loop *loop;
	struct tow_log *log;
	struct cert_store *store;
	struct tow_http_client *http;
	struct acme_account account; /* its strings are ours */
	char *directory;
	uint8_t binding_key[BINDING_KEY_MAX];
	int http_01;
	int (*served)(void *user, const char *name);
	void *user;
	uint64_t backoff_ns, cooldown_ms;
	struct job *jobs; /* oldest first */
	size_t job_count, running;
	struct tow_task task; /* starts what is queued */
	struct renewal_plan plan;
	struct tow_log_gate gate;
};

static const char nobody_has_it[] = "no service that is connected has the name";

static int on_publish(void *user);
static void on_done(void *user, enum acme_step how);
static void on_rested(void *user);

/* --- jobs --- */

static void leave_running(struct job *job)
{
	struct issuer *issuer = job->issuer;

	tow_timer_stop(&job->rest);
	if (job->published && job->challenge == ACME_TLS_ALPN_01)
		tow__cert_store_set_challenge(issuer->store, job->name, tow_slice_make(NULL, 0),
		                              tow_slice_make(NULL, 0), NULL);
	job->published = 0;
	tow__acme_run_stop(&job->run);
	if (job->state == RUNNING)
		issuer->running--;
	job->state = QUEUED;
}

static void free_job(struct job *job)
{
	leave_running(job);
	DL_DELETE(job->issuer->jobs, job);
	job->issuer->job_count--;
	free(job);
}

/* The first order makes the account; the others find it there. */
static size_t running_max(const struct issuer *issuer)
{
	return issuer->account.kid[0] != '\0' ? TOW_ACME_ORDERS_MAX : 1;
}

/* Anybody can ask for names that it comes to this with, so it is not said for each. */
static void put_off(struct issuer *issuer, const char *name, const char *reason)
{
	uint64_t suppressed;

	if (tow_log_gate_open(&issuer->gate, tow_loop_now_ns(issuer->loop), &suppressed))
		tow_log_warn(issuer->log, "a certificate is not asked for now",
		             tow_f_str("name", name), tow_f_str("reason", reason),
		             tow_f_uint("more", suppressed));
	tow__cert_store_put_off(issuer->store, name);
}

/* It is over for the name. No job may be touched after this: the store calls out. */
static void give_up(struct job *job, const char *reason, uint64_t retry_in_ms)
{
	struct issuer *issuer = job->issuer;
	char name[TOW_HOSTNAME_SIZE];

	memcpy(name, job->name, sizeof(name));
	free_job(job);
	tow__cert_store_failed(issuer->store, name, reason, tow_wall_ms() + retry_in_ms);
}

static void start_errand(struct job *job)
{
	struct issuer *issuer = job->issuer;
	struct tow_buf chain = { NULL, 0, 0, 0 };
	struct acme_errand *errand;
	char replaces[ACME_RENEWAL_ID_SIZE] = "";
	int rc;

	if (tow__cert_files_read_chain(issuer->directory, job->name, &chain) == 0)
		tow_tls_certificate_renewal_id(tow_buf_peek(&chain), replaces, sizeof(replaces));
	tow_buf_deinit(&chain);
	rc = tow__acme_issue(&issuer->account, job->name, job->challenge, replaces, &errand);
	if (rc != 0) {
		give_up(job, tow_strerror(rc), issuer->cooldown_ms);
		return;
	}
	job->state = RUNNING;
	issuer->running++;
	job->attempts++;
	tow_log_debug(issuer->log, "a certificate is being obtained", tow_f_str("name", job->name),
	              tow_f_str("challenge", tow__acme_challenge_name(job->challenge)),
	              tow_f_uint("attempt", job->attempts));
	tow__acme_run_start(&job->run, errand);
}

static struct job *next_queued(struct issuer *issuer)
{
	struct job *job;

	DL_FOREACH(issuer->jobs, job)
	{
		if (job->state == QUEUED)
			return job;
	}
	return NULL;
}

static void run_queue(void *user)
{
	struct issuer *issuer = user;
	struct job *job;
	char name[TOW_HOSTNAME_SIZE];

	while (issuer->running < running_max(issuer) && (job = next_queued(issuer)) != NULL) {
		/* It was when it was asked for; that may have been a while ago. */
		if (issuer->served(issuer->user, job->name)) {
			start_errand(job);
			continue;
		}
		memcpy(name, job->name, sizeof(name));
		free_job(job);
		put_off(issuer, name, nobody_has_it);
	}
}

/* What follows the first label: where a wildcard would be. */
static const char *zone_of(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot != NULL ? dot : "";
}

static int has_room(const struct issuer *issuer, const char *name)
{
	size_t in_zone = 0;
	const struct job *job;

	DL_FOREACH(issuer->jobs, job)
	in_zone += strcmp(zone_of(job->name), zone_of(name)) == 0;
	return issuer->job_count < TOW_ACME_QUEUE_MAX && in_zone < TOW_ACME_QUEUE_PER_ZONE;
}

static void on_wanted(void *user, const char *name)
{
	struct issuer *issuer = user;
	struct job *job;

	if (!issuer->served(issuer->user, name)) {
		put_off(issuer, name, nobody_has_it);
		return;
	}
	job = has_room(issuer, name) ? calloc(1, sizeof(*job)) : NULL;
	if (job == NULL) {
		put_off(issuer, name, "too many certificates are wanted");
		return;
	}
	job->issuer = issuer;
	job->challenge = issuer->http_01 ? ACME_HTTP_01 : ACME_TLS_ALPN_01;
	snprintf(job->name, sizeof(job->name), "%s", name);
	job->run.http = issuer->http;
	job->run.publish = on_publish;
	job->run.done = on_done;
	job->run.user = job;
	tow__acme_run_init(&job->run, issuer->loop);
	tow_timer_init(&job->rest, issuer->loop, on_rested, job);
	DL_APPEND(issuer->jobs, job);
	issuer->job_count++;
	tow_task_schedule(&issuer->task);
}

/* --- the end of an attempt --- */

static void finished(struct job *job)
{
	struct issuer *issuer = job->issuer;
	struct tow_slice chain = tow__acme_errand_chain(job->run.errand);
	struct tow_buf key = { NULL, 0, 0, 0 };
	struct tow_error err;
	int rc = tow_ec_key_write(tow__acme_errand_key(job->run.errand), &key);

	if (rc != 0)
		tow_error_set(&err, rc, "%s", tow_strerror(rc));
	else
		rc = tow__cert_store_installed(issuer->store, job->name, chain, tow_buf_peek(&key),
		                               0, &err);
	tow_buf_wipe(&key);
	if (rc == 0)
		free_job(job);
	else
		give_up(job, err.text, issuer->cooldown_ms);
}

static void rest(struct job *job, const struct acme_failure *failure)
{
	struct issuer *issuer = job->issuer;
	uint64_t random, span = issuer->backoff_ns << (job->attempts - 1);

	tow_log_info(issuer->log, "a certificate could not be obtained yet",
	             tow_f_str("name", job->name), tow_f_str("reason", failure->reason),
	             tow_f_uint("attempt", job->attempts));
	tow_random(&random, sizeof(random));
	leave_running(job);
	job->state = RESTING;
	if (tow_timer_start_in(&job->rest, span / 2 + random % (span / 2)) != 0)
		give_up(job, tow_strerror(TOW_ENOMEM), issuer->cooldown_ms);
}

static void try_other_way(struct job *job, const struct acme_failure *failure)
{
	tow_log_info(job->issuer->log, "the certificate authority is asked to look elsewhere",
	             tow_f_str("name", job->name), tow_f_str("reason", failure->reason),
	             tow_f_str("challenge", tow__acme_challenge_name(job->challenge)));
	job->first = *failure;
	leave_running(job);
	job->other_tried = 1;
	job->challenge = job->challenge == ACME_HTTP_01 ? ACME_TLS_ALPN_01 : ACME_HTTP_01;
}

/* What to do comes first: the rest may have to be cut. Whoever opens port 80 needs no other way. */
static void explain(const struct job *job, const struct acme_failure *failure, char *out,
                    size_t cap)
{
	if (job->first.advice[0] != '\0' && failure->kind != ACME_RATE_LIMITED)
		snprintf(out, cap, "%s (%s; %s)", job->first.advice, job->first.reason,
		         failure->reason);
	else if (failure->advice[0] != '\0')
		snprintf(out, cap, "%s (%s)", failure->advice, failure->reason);
	else
		snprintf(out, cap, "%s", failure->reason);
}

static void failed(struct job *job)
{
	struct issuer *issuer = job->issuer;
	const struct acme_failure *failure = tow__acme_errand_failure(job->run.errand);
	uint64_t retry_in_ms = issuer->cooldown_ms;
	char reason[4 * TOW_ERROR_TEXT_SIZE];

	if (failure->kind == ACME_TRANSIENT && job->attempts < TOW_ACME_ATTEMPTS &&
	    failure->retry_after_ms <= retry_in_ms) {
		rest(job, failure);
		return;
	}
	if (failure->kind == ACME_UNREACHABLE && !job->other_tried && issuer->http_01) {
		try_other_way(job, failure);
		return;
	}
	if (failure->retry_after_ms > retry_in_ms ||
	    (failure->kind == ACME_RATE_LIMITED && failure->retry_after_ms > 0))
		retry_in_ms = failure->retry_after_ms;
	explain(job, failure, reason, sizeof(reason));
	give_up(job, reason, retry_in_ms);
}

/* --- an attempt --- */

/* The certificate's key is for the challenge alone. */
static int publish_by_tls(struct job *job, const struct acme_proof *proof)
{
	struct tow_buf certificate = { NULL, 0, 0, 0 }, pem = { NULL, 0, 0, 0 };
	uint8_t digest[crypto_hash_sha256_BYTES];
	struct tow_ec_key *key = NULL;
	int rc = tow_ec_key_generate(&key);

	crypto_hash_sha256(digest, (const uint8_t *)proof->authorization,
	                   strlen(proof->authorization));
	if (rc == 0)
		rc = tow_ec_key_challenge_certificate(key, job->name, digest, &certificate);
	if (rc == 0)
		rc = tow_ec_key_write(key, &pem);
	if (rc == 0)
		rc = tow__cert_store_set_challenge(job->issuer->store, job->name,
		                                   tow_buf_peek(&certificate), tow_buf_peek(&pem),
		                                   NULL);
	tow_ec_key_free(key);
	tow_buf_deinit(&certificate);
	tow_buf_wipe(&pem);
	return rc;
}

static int on_publish(void *user)
{
	struct job *job = user;
	const struct acme_proof *proof = tow__acme_errand_proof(job->run.errand);
	int rc = proof->type == ACME_TLS_ALPN_01 ? publish_by_tls(job, proof) : 0;

	job->published = rc == 0;
	return rc;
}

static void on_done(void *user, enum acme_step how)
{
	struct job *job = user;

	tow_task_schedule(&job->issuer->task);
	if (how == ACME_DONE)
		finished(job);
	else
		failed(job);
}

static void on_rested(void *user)
{
	struct job *job = user;

	job->state = QUEUED;
	tow_task_schedule(&job->issuer->task);
}

const char *tow__issuer_authorization(const struct issuer *issuer, const char *token)
{
	const struct job *job;

	DL_FOREACH(issuer->jobs, job)
	{
		const struct acme_proof *proof;

		if (!job->published)
			continue;
		proof = tow__acme_errand_proof(job->run.errand);
		if (proof->type == ACME_HTTP_01 && strcmp(proof->token, token) == 0)
			return proof->authorization;
	}
	return NULL;
}

/* --- the account --- */

static int make_account_key(struct issuer *issuer, const char *path)
{
	struct tow_buf pem = { NULL, 0, 0, 0 };
	struct tow_error err;
	int rc = tow_ec_key_generate(&issuer->account.key);

	if (rc == 0)
		rc = tow_ec_key_write(issuer->account.key, &pem);
	if (rc != 0)
		return rc;
	rc = tow_directory_make(issuer->directory, &err);
	if (rc == 0)
		rc = tow_file_create(path, tow_buf_peek(&pem), 0600, &err);
	tow_buf_wipe(&pem);
	if (rc == TOW_ECONFLICT) { /* another process was faster: its key it is */
		tow_ec_key_free(issuer->account.key);
		issuer->account.key = NULL;
		return rc;
	}
	if (rc != 0)
		tow_log_warn(issuer->log, "the key of the ACME account is kept in memory only",
		             tow_f_err(&err));
	return 0;
}

static int read_account_key(struct issuer *issuer, const char *path, struct tow_error *err)
{
	struct tow_buf pem = { NULL, 0, 0, 0 };
	int rc = tow_file_read(path, ACCOUNT_KEY_MAX, &pem, err);

	if (rc == 0 && tow_ec_key_parse(tow_buf_peek(&pem), &issuer->account.key) != 0)
		rc = tow_error_set(err, TOW_EPARSE, "%s: this is no P-256 key in PEM form", path);
	tow_buf_wipe(&pem);
	return rc;
}

static int open_account_key(struct issuer *issuer, struct tow_error *err)
{
	struct tow_buf path = { NULL, 0, 0, 0 };
	int rc = tow_buf_printf(&path, "%s/%s", issuer->directory, ACCOUNT_KEY_FILE);
	const char *text;

	if (rc == 0)
		rc = tow_buf_append(&path, "", 1);
	if (rc != 0)
		return tow_error_set(err, rc, "%s", tow_strerror(rc));
	text = (const char *)tow_buf_peek(&path).base;
	rc = read_account_key(issuer, text, err);
	if (rc == TOW_ENOTFOUND) {
		rc = make_account_key(issuer, text);
		if (rc == TOW_ECONFLICT)
			rc = read_account_key(issuer, text, err);
		else if (rc != 0)
			tow_error_set(err, rc, "%s", tow_strerror(rc));
	}
	tow_buf_deinit(&path);
	return rc;
}

static int copy(const char *text, const char **out)
{
	*out = text != NULL ? strdup(text) : NULL;
	return text != NULL && *out == NULL ? TOW_ENOMEM : 0;
}

static void free_text(const char *text)
{
	free((char *)(uintptr_t)text);
}

static int set_binding(struct issuer *issuer, const struct issuer_config *config,
                       struct tow_error *err)
{
	int len;

	if (config->binding_kid == NULL && config->binding_hmac == NULL)
		return 0;
	if (config->binding_kid == NULL)
		return tow_error_set(err, TOW_ECONFIG, "binding_kid: is missing");
	if (config->binding_hmac == NULL)
		return tow_error_set(err, TOW_ECONFIG, "binding_hmac: is missing");
	if (strpbrk(config->binding_kid, "\"\\") != NULL)
		return tow_error_set(err, TOW_ECONFIG, "binding_kid: has a quote in it");
	len = tow_base64url_decode(tow_slice_of(config->binding_hmac), issuer->binding_key,
	                           sizeof(issuer->binding_key));
	if (len <= 0)
		return tow_error_set(err, TOW_ECONFIG, "binding_hmac: is not base64url");
	issuer->account.binding_key = tow_slice_make(issuer->binding_key, (size_t)len);
	return copy(config->binding_kid, &issuer->account.binding_kid);
}

/* --- lifetime --- */

int tow__issuer_new(const struct issuer_config *config, struct issuer **out, struct tow_error *err)
{
	struct issuer *issuer = calloc(1, sizeof(*issuer));
	struct tow_http_client_config http = {
		.loop = config->loop,
		.log = config->log,
		.ca_file = config->ca_file,
	};
	struct cert_issuer asked = { .wanted = on_wanted, .user = issuer };
	char agent[64];
	int rc = TOW_ENOMEM;

	if (issuer == NULL)
		return tow_error_set(err, TOW_ENOMEM, "out of memory");
	snprintf(agent, sizeof(agent), "towonel/%s", config->version);
	http.user_agent = agent;
	issuer->loop = config->loop;
	issuer->log = config->log;
	issuer->store = config->store;
	issuer->http_01 = config->http;
	issuer->served = config->served;
	issuer->user = config->user;
	issuer->backoff_ns = config->backoff_ns != 0 ? config->backoff_ns
	                                             : TOW_ACME_BACKOFF_MIN_MS * TOW_NSEC_PER_MSEC;
	issuer->cooldown_ms = config->cooldown_ms != 0 ? config->cooldown_ms : TOW_ACME_COOLDOWN_MS;
	tow_task_init(&issuer->task, config->loop, run_queue, issuer);
	issuer->directory = strdup(config->directory);
	issuer->http = tow_http_client_new(&http);
	tow_error_set(err, rc, "out of memory");
	if (issuer->directory == NULL || issuer->http == NULL ||
	    copy(config->directory_url, &issuer->account.directory_url) != 0 ||
	    copy(config->email, &issuer->account.email) != 0)
		goto out;
	rc = set_binding(issuer, config, err);
	if (rc == 0)
		rc = open_account_key(issuer, err);
	if (rc != 0)
		goto out;
	tow__cert_store_set_issuer(config->store, &asked);
	issuer->plan.loop = issuer->loop;
	issuer->plan.log = issuer->log;
	issuer->plan.account = &issuer->account;
	issuer->plan.store = issuer->store;
	issuer->plan.directory = issuer->directory;
	issuer->plan.run.http = issuer->http;
	tow__renewal_plan_start(&issuer->plan);
	*out = issuer;
	return 0;
out:
	tow__issuer_free(issuer);
	return rc;
}

void tow__issuer_free(struct issuer *issuer)
{
	if (issuer == NULL)
		return;
	tow__cert_store_set_issuer(issuer->store, NULL);
	while (issuer->jobs != NULL)
		free_job(issuer->jobs);
	tow_task_cancel(&issuer->task);
	tow__renewal_plan_stop(&issuer->plan);
	tow_http_client_free(issuer->http);
	tow_ec_key_free(issuer->account.key);
	free_text(issuer->account.directory_url);
	free_text(issuer->account.email);
	free_text(issuer->account.binding_kid);
	tow_wipe(issuer->binding_key, sizeof(issuer->binding_key));
	free(issuer->directory);
	free(issuer);
}
