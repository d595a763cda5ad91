/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_ISSUER_H
#define TOW_EDGE_TLS_ISSUER_H

/*
 * The certificate store's issuer: obtains certificates from an ACME server, one order per name, a
 * few at once, the rest in a queue. It needs two ways to show that a name is ours: what is asked
 * for on port 80 (HTTP-01), and the edge's own TLS (TLS-ALPN-01), whichever the authority can
 * reach.
 *
 *     wanted ─► QUEUED ─► RUNNING ─► installed
 *                 ▲          │ ├───► failed: cooldown, which the store remembers
 *                 └─ RESTING ◄─┘ the cause may pass; a few times
 *
 * The account's key is acme_account.key in the certificate directory, made when it is not there.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/wire/hostname.h>
#include "tls/cert_store.h"

struct issuer;

struct issuer_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct cert_store *store;  /* outlives the issuer */
	const char *directory;     /* of the store; strings are copied */
	const char *directory_url; /* RFC 8555 section 7.1.1 */
	const char *ca_file;       /* extra trust for that server; NULL */
	const char *email;         /* NULL */
	const char *binding_kid;   /* an account with the authority to bind ours to; NULL: none */
	const char *binding_hmac;  /* base64url, as the authority gives it */
	const char *version;       /* for the User-Agent field */
	int http;                  /* port 80 is ours: HTTP-01 is tried first */
	/* Does a service match the name, and can it be reached? */
	int (*served)(void *user, const char *name);
	void *user;
	uint64_t backoff_ns, cooldown_ms; /* 0: as in limits.h */
};

/* Becomes the store's issuer. Returns 0; TOW_ECONFIG (err begins with the member), TOW_ECRYPTO,
 * TOW_ENOMEM. */
int tow__issuer_new(const struct issuer_config *config, struct issuer **out, struct tow_error *err);
/* What is under way is given up, without a word to the store. Takes NULL. */
void tow__issuer_free(struct issuer *issuer);

/* What HTTP-01 asks for (RFC 8555 section 8.3): the text for a token; NULL: nobody waits for it. */
const char *tow__issuer_authorization(const struct issuer *issuer, const char *token);

#endif
