/* SPDX-License-Identifier: MIT */

/*
 * What a name has, and how a visitor's question is answered:
 *
 *     a pair of files, somebody's own ───────────────────────► served, expired or not
 *     one of the issuer's, valid ────────────────────────────► served; past renew_at also asked for
 *     none, or expired ── asked for ─► visitors wait ─ installed ─► served
 *                              │                     └ failed ───► the expired one, or nothing
 *                              └ not before retry_at ────────────► the same
 *
 * Files are looked at when a visitor comes, at most so often; what cannot be used leaves what is
 * served as it is, since a pair is replaced one file after the other.
 */

#include "tls/cert_store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>
#include <towonel/wire/identity.h>
#include "tls/cert_files.h"
#include "tls/cert_record.h"

#define GAUGE_EVERY_NS (60 * TOW_NSEC_PER_SEC)
#define GAUGE_SOON_NS  TOW_NSEC_PER_SEC /* after a change */

struct cert {
	struct cert_store *store;
	struct tow_tls_context *context; /* NULL: none */
	struct tow_tls_certificate facts;
	struct cert_record record;
	struct cert_stamp stamp; /* of the files, when they were looked at */
	uint64_t next_look_ns;
	int issued, unsaved;
	int asked;       /* the issuer has not answered yet */
	unsigned writes; /* queued */
	struct tow_tls_context *challenge;
	struct cert_wait *waits;
	size_t wait_count;
	UT_hash_handle hh;
	char name[];
};

/* For the pool's thread. */
struct write_job {
	struct cert_store *store;
	struct cert *cert; /* NULL: the store is closing */
	struct tow_buf chain, key, record;
	struct tow_error error;
	struct write_job *prev, *next;
	char name[TOW_HOSTNAME_SIZE];
};

struct cert_store {
	struct cert_store_config config; /* directory is ours */
	struct cert_issuer issuer;
	struct cert *certs;
	size_t count, wait_count;
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	struct write_job *jobs; /* the first is under way */
	int loading, closed;
	struct tow_timer timer;
	struct tow_metric *by_state[CERT_STATE_COUNT], *soonest_expiry, *obtained, *failed;
};

static const char *const state_names[] = {
	[CERT_SERVED] = "served",   [CERT_RENEWING] = "renewing", [CERT_EXPIRED] = "expired",
	[CERT_ISSUING] = "issuing", [CERT_FAILED] = "failed",     [CERT_UNUSED] = "unused",
};

const char *tow__cert_state_name(enum cert_state state)
{
	return state_names[state];
}

/* --- what a name has --- */

static int expired(const struct cert *cert)
{
	return tow_wall_ms() >= cert->facts.not_after_ms;
}

static enum cert_state state_of(const struct cert *cert)
{
	const struct cert_store_config *config = &cert->store->config;

	if (config->routed != NULL && !config->routed(config->user, cert->name))
		return CERT_UNUSED;
	if (cert->context != NULL && !expired(cert))
		return cert->asked ? CERT_RENEWING : CERT_SERVED;
	if (cert->asked)
		return CERT_ISSUING;
	return cert->context != NULL ? CERT_EXPIRED : CERT_FAILED;
}

static void gauge(struct cert_store *store)
{
	int64_t by_state[CERT_STATE_COUNT] = { 0 };
	uint64_t soonest = 0;
	struct cert *cert, *next;

	HASH_ITER(hh, store->certs, cert, next)
	{
		enum cert_state state = state_of(cert);

		by_state[state]++;
		if (state != CERT_UNUSED && cert->context != NULL &&
		    (soonest == 0 || cert->facts.not_after_ms < soonest))
			soonest = cert->facts.not_after_ms;
	}
	for (int i = 0; i < CERT_STATE_COUNT; i++)
		tow_metric_set(store->by_state[i], by_state[i]);
	tow_metric_set(store->soonest_expiry, (int64_t)(soonest / 1000));
}

static void on_timer(void *user)
{
	struct cert_store *store = user;

	gauge(store);
	tow_timer_start_in(&store->timer, GAUGE_EVERY_NS);
}

/* All names are looked at, so not for each change. */
static void changed(struct cert_store *store)
{
	uint64_t soon = tow_loop_now_ns(store->config.loop) + GAUGE_SOON_NS;

	if (soon < store->timer.deadline_ns)
		tow_timer_start(&store->timer, soon);
}

/* --- the table --- */

static unsigned hash_of(const struct cert_store *store, const char *name)
{
	uint8_t out[crypto_shorthash_BYTES];
	unsigned value;

	crypto_shorthash(out, (const uint8_t *)name, strlen(name), store->hash_key);
	memcpy(&value, out, sizeof(value));
	return value;
}

static struct cert *find(const struct cert_store *store, const char *name)
{
	struct cert *cert;

	HASH_FIND_BYHASHVALUE(hh, store->certs, name, strlen(name), hash_of(store, name), cert);
	return cert;
}

static void free_cert(struct cert *cert)
{
	struct cert_store *store = cert->store;

	assert(cert->waits == NULL);
	HASH_DEL(store->certs, cert);
	store->count--;
	tow_tls_context_free(cert->context);
	tow_tls_context_free(cert->challenge);
	free(cert);
}

/* Nothing but what is on disk would be lost with it. */
static int idle(const struct cert *cert)
{
	return cert->context == NULL && cert->challenge == NULL && !cert->asked &&
	       cert->writes == 0 && cert->waits == NULL;
}

static void make_room(struct cert_store *store)
{
	struct cert *cert, *next;

	HASH_ITER(hh, store->certs, cert, next)
	{
		if (idle(cert))
			free_cert(cert);
	}
}

static void read_record(struct cert *cert)
{
	struct cert_store *store = cert->store;
	struct tow_buf json = { NULL, 0, 0, 0 };
	int rc = tow__cert_files_read_record(store->config.directory, cert->name, &json);

	if (rc == 0)
		rc = tow__cert_record_read(tow_buf_peek(&json), &cert->record);
	if (rc != 0 && rc != TOW_ENOTFOUND)
		tow_log_warn(store->config.log, "the record of a certificate cannot be used",
		             tow_f_str("directory", store->config.directory),
		             tow_f_str("name", cert->name), tow_f_str("error", tow_strerror(rc)));
	tow_buf_deinit(&json);
}

static int find_or_make(struct cert_store *store, const char *name, struct cert **out)
{
	size_t len = strlen(name);
	struct cert *cert = find(store, name);
	unsigned hash = hash_of(store, name);

	if (cert != NULL) {
		*out = cert;
		return 0;
	}
	if (store->count >= TOW_CERT_NAMES_MAX)
		make_room(store);
	if (store->count >= TOW_CERT_NAMES_MAX)
		return TOW_ELIMIT;
	cert = calloc(1, sizeof(*cert) + len + 1);
	if (cert == NULL)
		return TOW_ENOMEM;
	cert->store = store;
	memcpy(cert->name, name, len + 1);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, store->certs, cert->name, len, hash, cert);
	if (cert->hh.tbl == NULL) {
		free(cert);
		return TOW_ENOMEM;
	}
	store->count++;
	read_record(cert);
	*out = cert;
	return 0;
}

/* --- the files --- */

/* When the one before the last is there, the last was not written, and is made up for. */
static int is_issued(struct cert *cert)
{
	struct cert_record *record = &cert->record;
	const uint8_t *fingerprint = cert->facts.fingerprint;

	if (memcmp(fingerprint, record->issued, sizeof(record->issued)) == 0)
		return 1;
	if (memcmp(fingerprint, record->replaced, sizeof(record->replaced)) != 0)
		return 0;
	record->renew_at_ms = 0;
	return 1;
}

static void set_context(struct cert *cert, struct tow_tls_context *context,
                        const struct tow_tls_certificate *facts)
{
	tow_tls_context_free(cert->context);
	cert->context = context;
	if (context != NULL)
		cert->facts = *facts;
	cert->issued = context != NULL && is_issued(cert);
	changed(cert->store);
}

static void tell_loaded(const struct cert *cert, int open_to_others)
{
	struct tow_log *log = cert->store->config.log;

	tow_log_at(log, cert->store->loading ? TOW_LOG_DEBUG : TOW_LOG_INFO,
	           "a certificate has been read", tow_f_str("name", cert->name),
	           tow_f_str("issuer", cert->facts.issuer),
	           tow_f_uint("not_after_ms", cert->facts.not_after_ms));
	if (open_to_others)
		tow_log_warn(log, "the key of a certificate can be read by others: chmod 600",
		             tow_f_str("name", cert->name));
	if (!cert->facts.covers)
		tow_log_warn(log, "a certificate is for other names than its file's",
		             tow_f_str("name", cert->name));
	if (expired(cert))
		tow_log_warn(log, "a certificate has expired", tow_f_str("name", cert->name),
		             tow_f_uint("not_after_ms", cert->facts.not_after_ms));
}

static void read_files(struct cert *cert)
{
	const struct cert_store_config *config = &cert->store->config;
	struct tow_buf chain = { NULL, 0, 0, 0 }, key = { NULL, 0, 0, 0 };
	struct tow_tls_context *context = NULL;
	struct tow_tls_certificate facts;
	struct tow_error err;
	int open_to_others = 0;
	int rc = tow__cert_files_read(config->directory, cert->name, &chain, &key, &open_to_others,
	                              &err);

	if (rc == 0)
		rc = tow_tls_certificate_read(tow_buf_peek(&chain), cert->name, &facts, &err);
	if (rc == 0)
		rc = tow_tls_context_new_server(tow_buf_peek(&chain), tow_buf_peek(&key), NULL,
		                                &context, &err);
	if (rc == 0) {
		set_context(cert, context, &facts);
		tell_loaded(cert, open_to_others);
	} else {
		tow_log_warn(config->log, "a certificate cannot be used",
		             tow_f_str("directory", config->directory),
		             tow_f_str("name", cert->name), tow_f_err(&err));
	}
	tow_buf_deinit(&chain);
	tow_buf_wipe(&key);
}

static void look(struct cert *cert)
{
	static const struct cert_stamp none = { .chain = { 0 } };
	struct cert_store *store = cert->store;
	uint64_t now = tow_loop_now_ns(store->config.loop);
	struct cert_stamp stamp;

	if (cert->writes > 0 || now < cert->next_look_ns)
		return;
	cert->next_look_ns = now + store->config.check_every_ns;
	tow__cert_files_stamp(store->config.directory, cert->name, &stamp);
	if (memcmp(&stamp, &cert->stamp, sizeof(stamp)) == 0)
		return;
	cert->stamp = stamp;
	if (memcmp(&stamp, &none, sizeof(stamp)) != 0) {
		read_files(cert);
	} else {
		tow_log_info(store->config.log, "the files of a certificate are gone",
		             tow_f_str("name", cert->name));
		set_context(cert, NULL, NULL);
	}
}

static void start_job(struct cert_store *store);

static void on_write(void *user)
{
	struct write_job *job = user;

	job->error.code = 0;
	tow__cert_files_write(job->store->config.directory, job->name, tow_buf_peek(&job->chain),
	                      tow_buf_peek(&job->key), tow_buf_peek(&job->record), &job->error);
}

static void free_store(struct cert_store *store)
{
	free((char *)(uintptr_t)store->config.directory);
	free(store);
}

static void free_job(struct write_job *job)
{
	tow_buf_deinit(&job->chain);
	tow_buf_wipe(&job->key);
	tow_buf_deinit(&job->record);
	free(job);
}

static void end_job(struct cert_store *store)
{
	struct write_job *job = store->jobs;
	struct cert *cert = job->cert;

	DL_DELETE(store->jobs, job);
	if (job->error.code != 0)
		tow_log_warn(store->config.log,
		             tow_buf_len(&job->chain) > 0
		                     ? "a certificate is kept in memory only"
		                     : "the record of a certificate is kept in memory only",
		             tow_f_str("name", job->name), tow_f_err(&job->error));
	if (cert != NULL) {
		cert->writes--;
		if (tow_buf_len(&job->chain) > 0)
			cert->unsaved = job->error.code != 0;
		if (cert->writes == 0)
			tow__cert_files_stamp(store->config.directory, cert->name, &cert->stamp);
	}
	free_job(job);
}

static void on_written(void *user)
{
	struct write_job *job = user;
	struct cert_store *store = job->store;

	end_job(store);
	if (store->jobs != NULL)
		start_job(store);
	else if (store->closed)
		free_store(store);
}

static void start_job(struct cert_store *store)
{
	while (store->jobs != NULL) {
		if (tow_loop_work(store->config.loop, on_write, on_written, store->jobs) == 0)
			return;
		tow_error_set(&store->jobs->error, TOW_ENOMEM, "out of memory");
		end_job(store);
	}
}

/* Writes the record, and the pair if there is one. */
static void save(struct cert *cert, struct tow_slice chain, struct tow_slice key)
{
	struct cert_store *store = cert->store;
	struct write_job *job = calloc(1, sizeof(*job));
	int idle_before = store->jobs == NULL;

	if (job == NULL || tow__cert_record_write(&cert->record, &job->record) != 0 ||
	    tow_buf_append(&job->chain, chain.base, chain.len) != 0 ||
	    tow_buf_append(&job->key, key.base, key.len) != 0) {
		tow_log_warn(store->config.log, "out of memory for writing a certificate",
		             tow_f_str("name", cert->name));
		cert->unsaved |= chain.len > 0;
		if (job != NULL)
			free_job(job);
		return;
	}
	job->store = store;
	job->cert = cert;
	snprintf(job->name, sizeof(job->name), "%s", cert->name);
	cert->writes++;
	DL_APPEND(store->jobs, job);
	if (idle_before)
		start_job(store);
}

/* --- lifetime --- */

static void load_name(void *user, const char *name)
{
	struct cert_store *store = user;
	struct cert *cert;

	if (find_or_make(store, name, &cert) == 0)
		look(cert);
}

static void make_metrics(struct cert_store *store, struct tow_metrics *metrics)
{
	char label[64];

	for (int i = 0; i < CERT_STATE_COUNT; i++)
		store->by_state[i] = tow_metrics_series(
			metrics, TOW_METRIC_GAUGE, "towonel_edge_certificates",
			tow_metric_label(label, sizeof(label), "state", state_names[i]),
			"Names that have a certificate or have asked for one, by state.");
	store->soonest_expiry = tow_metrics_series(
		metrics, TOW_METRIC_GAUGE, "towonel_edge_certificate_soonest_expiry_seconds", NULL,
		"Unix time at which the first of the certificates that are served expires.");
	store->obtained = tow_metrics_series(metrics, TOW_METRIC_COUNTER,
	                                     "towonel_edge_certificates_obtained_total", NULL,
	                                     "Certificates that the issuer has brought.");
	store->failed = tow_metrics_series(metrics, TOW_METRIC_COUNTER,
	                                   "towonel_edge_certificate_failures_total", NULL,
	                                   "Certificates that the issuer could not obtain.");
}

int tow__cert_store_new(const struct cert_store_config *config, struct cert_store **out)
{
	struct cert_store *store = calloc(1, sizeof(*store));
	struct tow_error err;
	int rc;

	if (store == NULL)
		return TOW_ENOMEM;
	store->config = *config;
	store->config.directory = strdup(config->directory);
	if (store->config.directory == NULL) {
		free(store);
		return TOW_ENOMEM;
	}
	tow_random(store->hash_key, sizeof(store->hash_key));
	make_metrics(store, config->metrics);
	tow_timer_init(&store->timer, config->loop, on_timer, store);
	store->loading = 1;
	rc = tow__cert_files_each(config->directory, load_name, store, &err);
	store->loading = 0;
	if (rc != 0 && rc != TOW_ENOTFOUND)
		tow_log_warn(config->log, "certificates cannot be read", tow_f_err(&err));
	if (store->count > 0)
		tow_log_info(config->log, "certificates have been read",
		             tow_f_str("directory", config->directory),
		             tow_f_uint("names", store->count));
	on_timer(store);
	*out = store;
	return 0;
}

void tow__cert_store_free(struct cert_store *store)
{
	struct write_job *job;
	struct cert *cert, *next;

	if (store == NULL)
		return;
	tow_timer_stop(&store->timer);
	DL_FOREACH(store->jobs, job)
	job->cert = NULL;
	HASH_ITER(hh, store->certs, cert, next)
	free_cert(cert);
	store->closed = 1;
	if (store->jobs == NULL)
		free_store(store);
}

/* --- visitors --- */

/* A time that nobody can have meant is of a clock that was wrong. */
static int is_cooling_down(const struct cert *cert)
{
	uint64_t now = tow_wall_ms(), until = cert->record.retry_at_ms;

	return now < until && until - now <= TOW_ACME_RETRY_AFTER_MAX_MS;
}

/* Has the issuer been asked, and not answered yet? */
static int ask(struct cert *cert)
{
	struct cert_store *store = cert->store;

	if (cert->asked)
		return 1;
	if (store->issuer.wanted == NULL || is_cooling_down(cert))
		return 0;
	cert->asked = 1;
	changed(store);
	store->issuer.wanted(store->issuer.user, cert->name);
	return cert->asked;
}

static int start_waiting(struct cert *cert, struct cert_wait *wait)
{
	struct cert_store *store = cert->store;

	if (store->wait_count >= TOW_CERT_WAITS_MAX || cert->wait_count >= TOW_CERT_WAITS_PER_NAME)
		return TOW_ELIMIT;
	store->wait_count++;
	cert->wait_count++;
	wait->cert = cert;
	DL_APPEND(cert->waits, wait);
	return TOW_BLOCKED;
}

int tow__cert_store_get(struct cert_store *store, const char *name, struct cert_wait *wait,
                        struct tow_tls_context **out)
{
	struct cert *cert;
	int rc = find_or_make(store, name, &cert);

	if (rc != 0)
		return rc;
	look(cert);
	if (wait == NULL) {
		*out = cert->context;
		if (cert->context == NULL && cert->record.failures == 0 && idle(cert))
			free_cert(cert);
		return *out != NULL ? 0 : TOW_ENOTFOUND;
	}
	if (cert->context == NULL || (cert->issued && expired(cert))) {
		if (ask(cert))
			return start_waiting(cert, wait);
	} else if (cert->issued && tow_wall_ms() >= cert->record.renew_at_ms) {
		ask(cert);
	}
	if (cert->context != NULL) {
		*out = cert->context;
		return 0;
	}
	if (cert->record.failures == 0 && idle(cert))
		free_cert(cert);
	return store->issuer.wanted != NULL ? TOW_EUNAVAILABLE : TOW_ENOTFOUND;
}

void tow__cert_wait_cancel(struct cert_wait *wait)
{
	struct cert *cert = wait->cert;

	if (cert == NULL)
		return;
	DL_DELETE(cert->waits, wait);
	wait->cert = NULL;
	cert->store->wait_count--;
	cert->wait_count--;
}

/* Whoever comes to wait meanwhile is not among them. */
static void wake(struct cert *cert)
{
	struct cert_wait *wait;
	size_t count;

	DL_COUNT(cert->waits, wait, count);
	for (; count > 0 && cert->waits != NULL; count--) {
		wait = cert->waits;
		tow__cert_wait_cancel(wait);
		wait->done(wait->user, cert->context);
	}
}

struct tow_tls_context *tow__cert_store_challenge(struct cert_store *store, const char *name)
{
	struct cert *cert = find(store, name);

	return cert != NULL ? cert->challenge : NULL;
}

/* --- the issuer --- */

void tow__cert_store_set_issuer(struct cert_store *store, const struct cert_issuer *issuer)
{
	struct cert *cert, *next;

	store->issuer = issuer != NULL ? *issuer : (struct cert_issuer){ NULL, NULL };
	HASH_ITER(hh, store->certs, cert, next)
	{
		cert->asked = 0;
		wake(cert);
	}
}

int tow__cert_store_installed(struct cert_store *store, const char *name, struct tow_slice chain,
                              struct tow_slice key, uint64_t renew_at_ms, struct tow_error *err)
{
	struct tow_tls_context *context = NULL;
	struct tow_tls_certificate facts;
	struct cert_record before;
	struct cert *cert;
	int rc = tow_tls_certificate_read(chain, name, &facts, err);

	if (rc != 0)
		return rc;
	if (!facts.covers)
		return tow_error_set(err, TOW_ECRYPTO, "the certificate is not for %s", name);
	rc = find_or_make(store, name, &cert);
	if (rc != 0)
		return tow_error_set(err, rc, "%s", tow_strerror(rc));
	cert->next_look_ns = 0;
	look(cert);
	if (cert->context == NULL || cert->issued) {
		rc = tow_tls_context_new_server(chain, key, NULL, &context, err);
		if (rc != 0)
			return rc;
		before = cert->record;
		cert->record = (struct cert_record){ .renew_at_ms = renew_at_ms };
		memcpy(cert->record.replaced, /* what the directory has */
		       cert->unsaved ? before.replaced : cert->facts.fingerprint,
		       sizeof(before.replaced));
		if (renew_at_ms == 0)
			cert->record.renew_at_ms =
				facts.not_before_ms +
				(facts.not_after_ms - facts.not_before_ms) / 3 * 2;
		memcpy(cert->record.issued, facts.fingerprint, sizeof(facts.fingerprint));
		set_context(cert, context, &facts);
		save(cert, chain, key);
		tow_log_info(store->config.log, "a certificate has been obtained",
		             tow_f_str("name", name), tow_f_str("issuer", facts.issuer),
		             tow_f_uint("not_after_ms", facts.not_after_ms));
	} /* else somebody has put one of his own there meanwhile */
	cert->asked = 0;
	tow_metric_inc(store->obtained);
	changed(store);
	wake(cert);
	return 0;
}

void tow__cert_store_failed(struct cert_store *store, const char *name, const char *reason,
                            uint64_t retry_at_ms)
{
	struct tow_error text;
	struct cert *cert;

	if (find_or_make(store, name, &cert) != 0)
		return;
	tow_error_set(&text, 0, "%s", reason);
	memcpy(cert->record.last_error, text.text, sizeof(text.text));
	cert->record.failures++;
	cert->record.retry_at_ms = retry_at_ms;
	save(cert, tow_slice_make(NULL, 0), tow_slice_make(NULL, 0));
	tow_log_warn(store->config.log, "a certificate could not be obtained",
	             tow_f_str("name", name), tow_f_str("reason", cert->record.last_error),
	             tow_f_uint("retry_at_ms", retry_at_ms));
	cert->asked = 0;
	tow_metric_inc(store->failed);
	changed(store);
	wake(cert);
}

void tow__cert_store_put_off(struct cert_store *store, const char *name)
{
	struct cert *cert = find(store, name);

	if (cert == NULL)
		return;
	cert->asked = 0;
	changed(store);
	wake(cert);
}

int tow__cert_store_renew_at(struct cert_store *store, const char *name, uint64_t renew_at_ms)
{
	struct cert *cert = find(store, name);

	if (cert == NULL || cert->context == NULL || !cert->issued)
		return TOW_ENOTFOUND;
	cert->record.renew_at_ms = renew_at_ms;
	save(cert, tow_slice_make(NULL, 0), tow_slice_make(NULL, 0));
	return 0;
}

unsigned tow__cert_store_failures(const struct cert_store *store, const char *name)
{
	const struct cert *cert = find(store, name);

	return cert != NULL ? cert->record.failures : 0;
}

int tow__cert_store_set_challenge(struct cert_store *store, const char *name,
                                  struct tow_slice chain, struct tow_slice key,
                                  struct tow_error *err)
{
	struct tow_tls_context *context = NULL;
	struct cert *cert;
	int rc = find_or_make(store, name, &cert);

	if (rc != 0)
		return tow_error_set(err, rc, "%s", tow_strerror(rc));
	if (chain.len > 0)
		rc = tow_tls_context_new_server(chain, key, "acme-tls/1", &context, err);
	if (rc == 0) {
		tow_tls_context_free(cert->challenge);
		cert->challenge = context;
	}
	return rc;
}

/* --- people --- */

void tow__cert_store_each(struct cert_store *store,
                          void (*visit)(void *user, const struct cert_info *info), void *user)
{
	struct cert *cert, *next;

	HASH_ITER(hh, store->certs, cert, next)
	{
		struct cert_info info = {
			.name = cert->name,
			.state = state_of(cert),
			.issuer = "",
			.issued = cert->issued,
			.unsaved = cert->unsaved,
			.next_try_ms = cert->record.retry_at_ms,
			.last_error = cert->record.last_error,
		};

		if (cert->context != NULL) {
			info.issuer = cert->facts.issuer;
			info.not_before_ms = cert->facts.not_before_ms;
			info.not_after_ms = cert->facts.not_after_ms;
			if (cert->issued && info.next_try_ms < cert->record.renew_at_ms)
				info.next_try_ms = cert->record.renew_at_ms;
		}
		if (cert->context != NULL || cert->asked || cert->record.failures > 0)
			visit(user, &info);
	}
}
