/* SPDX-License-Identifier: MIT */

#include "tls/acme_errand.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tls/acme_advice.h"

enum state {
	DIRECTORY,
	ACCOUNT,
	CONTACT,
	ORDER,
	AUTHORIZATION,
	CHALLENGE,
	VALIDATION,
	READY,
	FINALIZE,
	ISSUANCE,
	CERTIFICATE,
	REVOCATION,
	RENEWAL,
	DONE,
	FAILED,
};

struct acme_errand {
	struct acme_account *account;
	enum acme_kind kind;
	enum state state;
	char name[TOW_HOSTNAME_SIZE];
	enum acme_challenge_type challenge;
	char renewal_id
		[ACME_RENEWAL_ID_SIZE]; /* of the certificate that is asked about or replaced */
	struct tow_buf revoked;         /* DER */
	struct tow_ec_key *key;         /* the certificate's */
	int key_is_ours;

	char order_url[TOW_URL_MAX];
	struct acme_order_object order;
	struct acme_authorization authorization;
	struct acme_proof proof;
	struct tow_buf chain;
	struct acme_window window;
	uint64_t window_retry_ms;
	struct acme_failure failure;

	uint64_t pause_ms;
	unsigned polls, nonce_retries; /* retries in a row */
	int nonce_asked;    /* the request under way is for a nonce only */
	int publish;        /* before the next request */
	int account_forgot; /* once is enough */
};

static int fetch_directory(struct acme_errand *e, struct acme_request *request);
static int post_account(struct acme_errand *e, struct acme_request *request);
static int post_contact(struct acme_errand *e, struct acme_request *request);
static int post_order(struct acme_errand *e, struct acme_request *request);
static int read_authorization(struct acme_errand *e, struct acme_request *request);
static int post_challenge(struct acme_errand *e, struct acme_request *request);
static int read_order(struct acme_errand *e, struct acme_request *request);
static int post_finalize(struct acme_errand *e, struct acme_request *request);
static int read_certificate(struct acme_errand *e, struct acme_request *request);
static int post_revocation(struct acme_errand *e, struct acme_request *request);
static int fetch_renewal(struct acme_errand *e, struct acme_request *request);
static enum state after_directory(struct acme_errand *e, const struct acme_answer *answer);
static enum state after_account(struct acme_errand *e, const struct acme_answer *answer);
static enum state after_contact(struct acme_errand *e, const struct acme_answer *answer);
static enum state after_order(struct acme_errand *e, const struct acme_answer *answer);
static enum state after_authorization(struct acme_errand *e, const struct acme_answer *answer);
static enum state after_challenge(struct acme_errand *e, const struct acme_answer *answer);
static enum state after_validation(struct acme_errand *e, const struct acme_answer *answer);
static enum state after_ready(struct acme_errand *e, const struct acme_answer *answer);
static enum state after_issuance(struct acme_errand *e, const struct acme_answer *answer);
static enum state after_certificate(struct acme_errand *e, const struct acme_answer *answer);
static enum state after_revocation(struct acme_errand *e, const struct acme_answer *answer);
static enum state after_renewal(struct acme_errand *e, const struct acme_answer *answer);

static const struct {
	int (*request)(struct acme_errand *e, struct acme_request *request);
	enum state (*after)(struct acme_errand *e, const struct acme_answer *answer);
	int is_signed;
} states[] = {
	[DIRECTORY] = { fetch_directory, after_directory, 0 },
	[ACCOUNT] = { post_account, after_account, 1 },
	[CONTACT] = { post_contact, after_contact, 1 },
	[ORDER] = { post_order, after_order, 1 },
	[AUTHORIZATION] = { read_authorization, after_authorization, 1 },
	[CHALLENGE] = { post_challenge, after_challenge, 1 },
	[VALIDATION] = { read_authorization, after_validation, 1 },
	[READY] = { read_order, after_ready, 1 },
	[FINALIZE] = { post_finalize, after_issuance, 1 },
	[ISSUANCE] = { read_order, after_issuance, 1 },
	[CERTIFICATE] = { read_certificate, after_certificate, 1 },
	[REVOCATION] = { post_revocation, after_revocation, 1 },
	[RENEWAL] = { fetch_renewal, after_renewal, 0 },
	[DONE] = { NULL, NULL, 0 },
	[FAILED] = { NULL, NULL, 0 },
};

/* --- failing --- */

static enum state fail(struct acme_errand *e, enum acme_failure_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static enum state fail(struct acme_errand *e, enum acme_failure_kind kind, const char *format, ...)
{
	va_list arguments;

	e->failure.kind = kind;
	va_start(arguments, format);
	vsnprintf(e->failure.reason, sizeof(e->failure.reason), format, arguments);
	va_end(arguments);
	return FAILED;
}

static enum state fail_with(struct acme_errand *e, const struct acme_problem *problem,
                            enum acme_failure_kind kind)
{
	enum state state = fail(e, kind, "%s: %s", problem->type,
	                        problem->detail[0] != '\0' ? problem->detail : "no reason given");

	tow__acme_advise(problem->type, e->name, e->challenge, e->failure.advice,
	                 sizeof(e->failure.advice));
	return state;
}

/* An answer that is not what it should be. */
static enum state nonsense(struct acme_errand *e, const struct tow_error *err)
{
	return fail(e, ACME_TRANSIENT, "the certificate authority cannot be understood: %s",
	            err->text);
}

static enum state refused(struct acme_errand *e, const struct acme_answer *answer)
{
	struct acme_problem problem;

	tow__acme_read_problem(answer->body, &problem);
	if (strcmp(problem.type, "badNonce") == 0 && e->nonce_retries < TOW_ACME_NONCE_RETRIES) {
		e->nonce_retries++;
		return e->state;
	}
	if (strcmp(problem.type, "accountDoesNotExist") == 0 && e->kind == ACME_ISSUE &&
	    !e->account_forgot && e->state != ACCOUNT) {
		e->account_forgot = 1;
		e->account->kid[0] = '\0';
		return ACCOUNT;
	}
	/* No reason to go without a certificate. */
	if (e->state == CONTACT && answer->status < 500 && answer->status != 429)
		return ORDER;
	/* The order that was to be replaced has a successor already, or is not known. */
	if (e->state == ORDER && e->renewal_id[0] != '\0' && answer->status < 500 &&
	    answer->status != 429) {
		e->renewal_id[0] = '\0';
		return ORDER;
	}
	if (problem.type[0] == '\0') {
		snprintf(problem.type, sizeof(problem.type), "%s",
		         answer->status == 429 ? "rateLimited" : "HTTP");
		snprintf(problem.detail, sizeof(problem.detail), "status %d", answer->status);
	}
	e->failure.retry_after_ms = tow__acme_retry_after(answer->retry_after, answer->now_ms);
	if (answer->status == 429 || strcmp(problem.type, "rateLimited") == 0)
		return fail_with(e, &problem, ACME_RATE_LIMITED);
	/* A path that is not there: the server has others since it began anew. */
	if (answer->status >= 500 || answer->status == 404 || strcmp(problem.type, "badNonce") == 0)
		return fail_with(e, &problem, ACME_TRANSIENT);
	return fail_with(e, &problem, ACME_REFUSED);
}

/* --- requests --- */

static void keep_nonce(struct acme_account *account, const char *nonce)
{
	size_t len = nonce != NULL ? strlen(nonce) : 0;

	/* RFC 8555 section 6.5.1: base64url */
	if (len == 0 || len > ACME_TOKEN_MAX || account->nonce_count == TOW_ACME_NONCES_MAX ||
	    strspn(nonce, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") !=
	            len)
		return;
	memcpy(account->nonces[account->nonce_count++], nonce, len + 1);
}

static int get(struct acme_request *request, const char *method, const char *url)
{
	request->method = method;
	snprintf(request->url, sizeof(request->url), "%s", url);
	return 0;
}

/* payload is taken; NULL: POST-as-GET. */
static int post(struct acme_errand *e, struct acme_request *request, const char *url,
                json_t *payload, int asks_for_payload)
{
	struct acme_account *account = e->account;
	int by_account = e->state != ACCOUNT && e->state != REVOCATION;
	char *text = payload != NULL ? json_dumps(payload, JSON_COMPACT) : NULL;
	const struct acme_jws jws = {
		.key = e->state == REVOCATION ? e->key : account->key,
		.kid = by_account ? account->kid : NULL,
		.nonce = account->nonces[--account->nonce_count],
		.url = url,
		.payload = tow_slice_of(text != NULL ? text : ""),
	};
	int rc = TOW_ENOMEM;

	if (text != NULL || !asks_for_payload)
		rc = tow__acme_jws_write(&jws, &request->body);
	json_decref(payload);
	free(text);
	request->method = "POST";
	snprintf(request->url, sizeof(request->url), "%s", url);
	return rc;
}

static int post_json(struct acme_errand *e, struct acme_request *request, const char *url,
                     json_t *payload)
{
	return post(e, request, url, payload, 1);
}

static int post_as_get(struct acme_errand *e, struct acme_request *request, const char *url)
{
	return post(e, request, url, NULL, 0);
}

static json_t *base64url_json(struct tow_slice bytes)
{
	char *text = malloc(TOW_BASE64URL_SIZE(bytes.len));
	json_t *json = NULL;

	if (text != NULL)
		json = json_string(tow_base64url_encode(bytes.base, bytes.len, text));
	free(text);
	return json;
}

enum acme_step tow__acme_errand_next(struct acme_errand *e, struct acme_request *request)
{
	int rc;

	*request = (struct acme_request){ .method = NULL };
	if (e->state == DONE)
		return ACME_DONE;
	if (e->state == FAILED)
		return ACME_FAILED;
	if (e->publish) {
		e->publish = 0;
		return ACME_PUBLISH;
	}
	if (e->pause_ms != 0) {
		request->pause_ms = e->pause_ms;
		e->pause_ms = 0;
		return ACME_PAUSE;
	}
	e->nonce_asked = states[e->state].is_signed && e->account->nonce_count == 0;
	if (e->nonce_asked)
		rc = get(request, "HEAD", e->account->directory.new_nonce);
	else
		rc = states[e->state].request(e, request);
	if (rc == 0)
		return ACME_SEND;
	tow_buf_deinit(&request->body);
	e->state = fail(e, ACME_TRANSIENT, "%s", tow_strerror(rc));
	return ACME_FAILED;
}

void tow__acme_errand_answer(struct acme_errand *e, const struct acme_answer *answer)
{
	size_t before = e->account->nonce_count;

	keep_nonce(e->account, answer->nonce);
	if (answer->status == 0)
		e->state =
			fail(e, ACME_TRANSIENT, "the certificate authority cannot be reached: %s",
		             answer->error != NULL ? answer->error : "no answer");
	else if (answer->status >= 400)
		e->state = refused(e, answer);
	else if (answer->status < 200 || answer->status >= 300)
		e->state =
			fail(e, ACME_TRANSIENT, "the certificate authority answered with status %d",
		             answer->status);
	else if (e->nonce_asked && e->account->nonce_count == before)
		e->state = fail(e, ACME_TRANSIENT, "the certificate authority gives no nonce");
	else if (!e->nonce_asked) {
		e->nonce_retries = 0;
		e->state = states[e->state].after(e, answer);
	}
}

void tow__acme_errand_fail(struct acme_errand *e, const char *reason)
{
	e->state = fail(e, ACME_TRANSIENT, "%s", reason);
}

/* Waits before the state's request is sent again. */
static enum state poll_again(struct acme_errand *e, const struct acme_answer *answer,
                             enum state state)
{
	uint64_t asked = tow__acme_retry_after(answer->retry_after, answer->now_ms);
	uint64_t usual = (uint64_t)TOW_ACME_POLL_MIN_MS << (e->polls < 8 ? e->polls : 8);

	if (e->polls++ == TOW_ACME_POLLS_MAX)
		return fail(e, ACME_TRANSIENT, "the certificate authority does not come to an end");
	e->pause_ms = usual < TOW_ACME_POLL_MAX_MS ? usual : TOW_ACME_POLL_MAX_MS;
	if (asked > e->pause_ms)
		e->pause_ms =
			asked < TOW_ACME_POLL_ASKED_MAX_MS ? asked : TOW_ACME_POLL_ASKED_MAX_MS;
	return state;
}

/* --- DIRECTORY: asked each time, so that a server that moved is found --- */

static int fetch_directory(struct acme_errand *e, struct acme_request *request)
{
	return get(request, "GET", e->account->directory_url);
}

static enum state after_directory(struct acme_errand *e, const struct acme_answer *answer)
{
	struct acme_account *account = e->account;
	struct tow_error err;

	if (tow__acme_read_directory(answer->body, &account->directory, &err) != 0)
		return nonsense(e, &err);
	switch (e->kind) {
	case ACME_ISSUE: return account->kid[0] != '\0' ? ORDER : ACCOUNT;
	case ACME_REVOKE:
		if (account->directory.revoke_cert[0] == '\0')
			return fail(e, ACME_REFUSED, "the certificate authority revokes nothing");
		return REVOCATION;
	case ACME_RENEWAL_INFO: break;
	}
	return account->directory.renewal_info[0] != '\0' ? RENEWAL : DONE;
}

/* --- ACCOUNT: the same key gives the same account, however often it is asked for --- */

static json_t *binding(struct acme_account *account)
{
	struct tow_buf jws = { NULL, 0, 0, 0 };
	json_t *json = NULL;

	if (tow__acme_binding_write(account->key, account->binding_kid, account->binding_key,
	                            account->directory.new_account, &jws) == 0)
		json = json_loadb((const char *)jws.base + jws.head, tow_buf_len(&jws), 0, NULL);
	tow_buf_deinit(&jws);
	return json;
}

#define CONTACT_SIZE 320

static const char *contact_of(const struct acme_account *account, char out[CONTACT_SIZE])
{
	snprintf(out, CONTACT_SIZE, "mailto:%s", account->email);
	return out;
}

static int post_account(struct acme_errand *e, struct acme_request *request)
{
	struct acme_account *account = e->account;
	json_t *payload = json_pack("{s:b}", "termsOfServiceAgreed", 1);
	char contact[CONTACT_SIZE];

	if (account->email != NULL && payload != NULL)
		json_object_set_new(payload, "contact",
		                    json_pack("[s]", contact_of(account, contact)));
	if (account->binding_kid != NULL && payload != NULL)
		json_object_set_new(payload, "externalAccountBinding", binding(account));
	return post_json(e, request, account->directory.new_account, payload);
}

static int is_plain_url(const char *text)
{
	size_t len = text != NULL ? strlen(text) : 0;

	return len > 0 && len < TOW_URL_MAX && strncmp(text, "https://", 8) == 0 &&
	       strpbrk(text, "\"\\ ") == NULL;
}

/* One that was there (status 200) keeps its contact, whatever was asked for (section 7.3.1). */
static enum state after_account(struct acme_errand *e, const struct acme_answer *answer)
{
	char contact[CONTACT_SIZE];

	if (!is_plain_url(answer->location))
		return fail(e, ACME_TRANSIENT,
		            "the certificate authority does not say where the account is");
	snprintf(e->account->kid, sizeof(e->account->kid), "%s", answer->location);
	if (answer->status == 200 && e->account->email != NULL &&
	    !tow__acme_has_contact(answer->body, contact_of(e->account, contact)))
		return CONTACT;
	return ORDER;
}

static int post_contact(struct acme_errand *e, struct acme_request *request)
{
	char contact[CONTACT_SIZE];

	return post_json(e, request, e->account->kid,
	                 json_pack("{s:[s]}", "contact", contact_of(e->account, contact)));
}

static enum state after_contact(struct acme_errand *e, const struct acme_answer *answer)
{
	(void)e;
	(void)answer;
	return ORDER;
}

/* --- ORDER --- */

static int post_order(struct acme_errand *e, struct acme_request *request)
{
	json_t *payload =
		json_pack("{s:[{s:s,s:s}]}", "identifiers", "type", "dns", "value", e->name);

	if (e->account->directory.renewal_info[0] == '\0')
		e->renewal_id[0] = '\0';
	if (e->renewal_id[0] != '\0' && payload != NULL)
		json_object_set_new(payload, "replaces", json_string(e->renewal_id));
	return post_json(e, request, e->account->directory.new_order, payload);
}

static enum state after_order(struct acme_errand *e, const struct acme_answer *answer)
{
	struct tow_error err;

	if (tow__acme_read_order(answer->body, &e->order, &err) != 0)
		return nonsense(e, &err);
	if (!is_plain_url(answer->location))
		return fail(e, ACME_TRANSIENT,
		            "the certificate authority does not say where the order is");
	snprintf(e->order_url, sizeof(e->order_url), "%s", answer->location);
	switch (e->order.status) {
	case ACME_PENDING: return AUTHORIZATION;
	case ACME_READY: return FINALIZE;
	default: break;
	}
	return fail(e, ACME_TRANSIENT, "a new order is not new");
}

/* --- AUTHORIZATION, CHALLENGE, VALIDATION --- */

static int read_authorization(struct acme_errand *e, struct acme_request *request)
{
	return post_as_get(e, request, e->order.authorization);
}

static enum state invalid(struct acme_errand *e)
{
	const struct acme_problem *problem = &e->authorization.problem;

	if (problem->type[0] == '\0')
		return fail(e, ACME_REFUSED,
		            "the certificate authority takes no proof of the name");
	return fail_with(e, problem,
	                 strcmp(problem->type, "connection") == 0 ||
	                                 strcmp(problem->type, "tls") == 0
	                         ? ACME_UNREACHABLE
	                         : ACME_REFUSED);
}

static enum state choose_challenge(struct acme_errand *e)
{
	struct acme_challenge *all = e->authorization.challenges;
	char thumbprint[ACME_THUMBPRINT_SIZE];

	if (all[e->challenge].url[0] == '\0')
		return fail(e, ACME_UNREACHABLE,
		            "the certificate authority does not offer the challenge %s",
		            tow__acme_challenge_name(e->challenge));
	e->proof.type = e->challenge;
	e->proof.token = all[e->challenge].token;
	snprintf(e->proof.authorization, sizeof(e->proof.authorization), "%s.%s", e->proof.token,
	         tow__acme_thumbprint(e->account->key, thumbprint));
	e->publish = 1;
	return CHALLENGE;
}

static enum state after_authorization(struct acme_errand *e, const struct acme_answer *answer)
{
	struct tow_error err;

	if (tow__acme_read_authorization(answer->body, &e->authorization, &err) != 0)
		return nonsense(e, &err);
	switch (e->authorization.status) {
	case ACME_VALID: return READY;
	case ACME_PENDING: return choose_challenge(e);
	default: return invalid(e);
	}
}

static int post_challenge(struct acme_errand *e, struct acme_request *request)
{
	return post_json(e, request, e->authorization.challenges[e->challenge].url, json_object());
}

static enum state after_challenge(struct acme_errand *e, const struct acme_answer *answer)
{
	return poll_again(e, answer, VALIDATION);
}

/* The challenge that was published stays what it is: its token is borrowed by the proof. */
static enum state after_validation(struct acme_errand *e, const struct acme_answer *answer)
{
	struct acme_authorization now;
	struct tow_error err;

	if (tow__acme_read_authorization(answer->body, &now, &err) != 0)
		return nonsense(e, &err);
	e->authorization.status = now.status;
	e->authorization.problem = now.problem;
	switch (now.status) {
	case ACME_VALID: return READY;
	case ACME_INVALID: return invalid(e);
	default: return poll_again(e, answer, VALIDATION);
	}
}

/* --- READY, FINALIZE, ISSUANCE: the order's own state --- */

static int read_order(struct acme_errand *e, struct acme_request *request)
{
	return post_as_get(e, request, e->order_url);
}

static enum state order_failed(struct acme_errand *e)
{
	if (e->order.problem.type[0] == '\0')
		return fail(e, ACME_REFUSED, "the certificate authority has dropped the order");
	return fail_with(e, &e->order.problem, ACME_REFUSED);
}

static enum state after_ready(struct acme_errand *e, const struct acme_answer *answer)
{
	struct tow_error err;

	if (tow__acme_read_order(answer->body, &e->order, &err) != 0)
		return nonsense(e, &err);
	switch (e->order.status) {
	case ACME_READY: return FINALIZE;
	case ACME_PENDING: return poll_again(e, answer, READY);
	default: return order_failed(e);
	}
}

static int post_finalize(struct acme_errand *e, struct acme_request *request)
{
	struct tow_buf der = { NULL, 0, 0, 0 };
	json_t *payload = NULL;
	int rc = tow_ec_key_request(e->key, e->name, &der);

	if (rc == 0) {
		payload = json_pack("{s:o}", "csr", base64url_json(tow_buf_peek(&der)));
		rc = post_json(e, request, e->order.finalize, payload);
	}
	tow_buf_deinit(&der);
	return rc;
}

static enum state after_issuance(struct acme_errand *e, const struct acme_answer *answer)
{
	struct tow_error err;

	if (tow__acme_read_order(answer->body, &e->order, &err) != 0)
		return nonsense(e, &err);
	switch (e->order.status) {
	case ACME_VALID: return CERTIFICATE;
	case ACME_READY:
	case ACME_PROCESSING: return poll_again(e, answer, ISSUANCE);
	default: return order_failed(e);
	}
}

/* --- CERTIFICATE --- */

static int read_certificate(struct acme_errand *e, struct acme_request *request)
{
	return post_as_get(e, request, e->order.certificate);
}

static enum state after_certificate(struct acme_errand *e, const struct acme_answer *answer)
{
	if (answer->body.len > TOW_ACME_ANSWER_MAX)
		return fail(e, ACME_TRANSIENT, "the chain of certificates is too large");
	if (tow_buf_append(&e->chain, answer->body.base, answer->body.len) != 0)
		return fail(e, ACME_TRANSIENT, "%s", tow_strerror(TOW_ENOMEM));
	return DONE;
}

/* --- REVOCATION --- */

static int post_revocation(struct acme_errand *e, struct acme_request *request)
{
	json_t *payload =
		json_pack("{s:o}", "certificate", base64url_json(tow_buf_peek(&e->revoked)));

	return post_json(e, request, e->account->directory.revoke_cert, payload);
}

static enum state after_revocation(struct acme_errand *e, const struct acme_answer *answer)
{
	(void)e;
	(void)answer;
	return DONE;
}

/* --- RENEWAL (RFC 9773) --- */

static int fetch_renewal(struct acme_errand *e, struct acme_request *request)
{
	request->method = "GET";
	snprintf(request->url, sizeof(request->url), "%s/%s", e->account->directory.renewal_info,
	         e->renewal_id);
	return 0;
}

static enum state after_renewal(struct acme_errand *e, const struct acme_answer *answer)
{
	struct tow_error err;

	if (tow__acme_read_window(answer->body, &e->window, &err) != 0)
		return nonsense(e, &err);
	e->window_retry_ms = tow__acme_retry_after(answer->retry_after, answer->now_ms);
	return DONE;
}

/* --- lifetime --- */

static struct acme_errand *new_errand(struct acme_account *account, enum acme_kind kind)
{
	struct acme_errand *e = calloc(1, sizeof(*e));

	if (e != NULL) {
		e->account = account;
		e->kind = kind;
		e->state = DIRECTORY;
	}
	return e;
}

int tow__acme_issue(struct acme_account *account, const char *name,
                    enum acme_challenge_type challenge, const char *replaces,
                    struct acme_errand **out)
{
	struct acme_errand *e = new_errand(account, ACME_ISSUE);
	int rc;

	if (e == NULL)
		return TOW_ENOMEM;
	rc = tow_ec_key_generate(&e->key);
	if (rc != 0) {
		tow__acme_errand_free(e);
		return rc;
	}
	e->key_is_ours = 1;
	e->challenge = challenge;
	snprintf(e->name, sizeof(e->name), "%s", name);
	snprintf(e->renewal_id, sizeof(e->renewal_id), "%s", replaces != NULL ? replaces : "");
	*out = e;
	return 0;
}

int tow__acme_revoke(struct acme_account *account, struct tow_slice certificate,
                     struct tow_ec_key *key, struct acme_errand **out)
{
	struct acme_errand *e = new_errand(account, ACME_REVOKE);

	if (e == NULL)
		return TOW_ENOMEM;
	if (tow_buf_append(&e->revoked, certificate.base, certificate.len) != 0) {
		tow__acme_errand_free(e);
		return TOW_ENOMEM;
	}
	e->key = key;
	*out = e;
	return 0;
}

int tow__acme_renewal_info(struct acme_account *account, const char *renewal_id,
                           struct acme_errand **out)
{
	struct acme_errand *e = new_errand(account, ACME_RENEWAL_INFO);

	if (e == NULL)
		return TOW_ENOMEM;
	snprintf(e->renewal_id, sizeof(e->renewal_id), "%s", renewal_id);
	*out = e;
	return 0;
}

void tow__acme_errand_free(struct acme_errand *e)
{
	if (e == NULL)
		return;
	if (e->key_is_ours)
		tow_ec_key_free(e->key);
	tow_buf_deinit(&e->revoked);
	tow_buf_deinit(&e->chain);
	free(e);
}

const struct acme_proof *tow__acme_errand_proof(const struct acme_errand *e)
{
	return &e->proof;
}

const struct acme_failure *tow__acme_errand_failure(const struct acme_errand *e)
{
	return &e->failure;
}

struct tow_slice tow__acme_errand_chain(const struct acme_errand *e)
{
	return tow_buf_peek(&e->chain);
}

struct tow_ec_key *tow__acme_errand_key(const struct acme_errand *e)
{
	return e->key;
}

struct acme_window tow__acme_errand_window(const struct acme_errand *e)
{
	return e->window;
}

uint64_t tow__acme_errand_window_retry_ms(const struct acme_errand *e)
{
	return e->window_retry_ms;
}
