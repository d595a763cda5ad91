/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_ACME_ERRAND_H
#define TOW_EDGE_TLS_ACME_ERRAND_H

/*
 * One errand at an ACME server (RFC 8555), without I/O: it says which request comes next, and takes
 * what was answered.
 *
 *     DIRECTORY ─► ACCOUNT ─► ORDER ─► AUTHORIZATION ─► CHALLENGE ─► VALIDATION ─► READY
 *                                                                     ▲ poll '       │
 *                             DONE ◄─ CERTIFICATE ◄─ ISSUANCE ◄─ FINALIZE ◄──────────'
 *                                                     ▲ poll '
 *     DIRECTORY ─► REVOCATION ─► DONE            DIRECTORY ─► RENEWAL ─► DONE
 *
 * What is known already is skipped: the account, a name that was proven before. An account that was
 * there with another address is told the new one (CONTACT, before ORDER). A signed request
 * without a nonce in stock is preceded by one that fetches a nonce; one that is refused for its
 * nonce is repeated with a new one.
 */

#include <towonel/tunnel/ec_key.h>
#include <towonel/wire/hostname.h>
#include "tls/acme_jws.h"
#include "tls/acme_message.h"

#define ACME_RENEWAL_ID_SIZE 128 /* RFC 9773 section 4.1, text */

/* What all errands share. The members up to the gap are the owner's, and borrowed. */
struct acme_account {
	struct tow_ec_key *key;
	const char *directory_url;
	const char *email;
	const char *binding_kid; /* NULL: no external account */
	struct tow_slice binding_key;

	struct acme_directory directory;
	char kid[TOW_URL_MAX]; /* "" while unknown */
	char nonces[TOW_ACME_NONCES_MAX][ACME_TOKEN_MAX + 1];
	size_t nonce_count;
};

enum acme_kind {
	ACME_ISSUE,
	ACME_REVOKE,
	ACME_RENEWAL_INFO, /* when the authority would like a certificate to be renewed */
};

enum acme_step {
	ACME_SEND,    /* the request; tow__acme_errand_answer is due */
	ACME_PAUSE,   /* ask again after pause_ms */
	ACME_PUBLISH, /* answer the challenge from now on, then ask again */
	ACME_DONE,
	ACME_FAILED,
};

struct acme_request {
	const char *method; /* static */
	char url[TOW_URL_MAX + ACME_RENEWAL_ID_SIZE];
	struct tow_buf body; /* application/jose+json; the caller's to free */
	uint64_t pause_ms;
};

struct acme_answer {
	int status; /* 0: there was none, and error says why */
	const char *error;
	struct tow_slice body;
	const char *nonce, *location, *retry_after; /* header fields; NULL: absent */
	uint64_t now_ms;                            /* Unix time */
};

/* What the authority looks for to see that the name is ours. */
struct acme_proof {
	enum acme_challenge_type type;
	const char *token;
	char authorization[ACME_TOKEN_MAX + 1 + ACME_THUMBPRINT_SIZE];
};

enum acme_failure_kind {
	ACME_TRANSIENT,    /* may go better next time */
	ACME_UNREACHABLE,  /* the authority could not connect: another challenge type may help */
	ACME_REFUSED,      /* somebody has to do something */
	ACME_RATE_LIMITED, /* not before retry_after_ms */
};

struct acme_failure {
	enum acme_failure_kind kind;
	uint64_t retry_after_ms; /* 0: the authority did not say */
	char reason[TOW_ERROR_TEXT_SIZE];
	char advice[TOW_ERROR_TEXT_SIZE]; /* what to do about it; "" when we do not know */
};

struct acme_errand;

/* name: what to issue for. challenge: the preferred way of proving it. replaces: the id of the
 * certificate that this one follows; NULL or "" for none. Returns 0; TOW_ECRYPTO, TOW_ENOMEM. */
int tow__acme_issue(struct acme_account *account, const char *name,
                    enum acme_challenge_type challenge, const char *replaces,
                    struct acme_errand **out);
/* certificate: DER; key: its key, borrowed, which proves the right to revoke it (section 7.6). */
int tow__acme_revoke(struct acme_account *account, struct tow_slice certificate,
                     struct tow_ec_key *key, struct acme_errand **out);
int tow__acme_renewal_info(struct acme_account *account, const char *renewal_id,
                           struct acme_errand **out);
void tow__acme_errand_free(struct acme_errand *errand); /* takes NULL */

/* request is written for ACME_SEND and ACME_PAUSE. */
enum acme_step tow__acme_errand_next(struct acme_errand *errand, struct acme_request *request);
void tow__acme_errand_answer(struct acme_errand *errand, const struct acme_answer *answer);
/* Gives up from outside. */
void tow__acme_errand_fail(struct acme_errand *errand, const char *reason);

/* Borrowed until the errand is freed. */
const struct acme_proof *tow__acme_errand_proof(const struct acme_errand *errand); /* published */
const struct acme_failure *tow__acme_errand_failure(const struct acme_errand *errand); /* failed */
/* After ACME_DONE: the chain as PEM, and its key. */
struct tow_slice tow__acme_errand_chain(const struct acme_errand *errand);
struct tow_ec_key *tow__acme_errand_key(const struct acme_errand *errand);
/* After ACME_DONE of ACME_RENEWAL_INFO; both 0 when the authority offers no such thing. */
struct acme_window tow__acme_errand_window(const struct acme_errand *errand);
/* When to ask again; 0: the authority did not say. */
uint64_t tow__acme_errand_window_retry_ms(const struct acme_errand *errand);

#endif
