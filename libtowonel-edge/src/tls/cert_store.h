/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TLS_CERT_STORE_H
#define TOW_EDGE_TLS_CERT_STORE_H

/*
 * Certificates of the names whose TLS ends at the edge, each for exactly one name, in a directory:
 *
 *   NAME.crt   the chain, PEM, the name's own certificate first
 *   NAME.key   its key, PEM, mode 0600
 *   NAME.json  of a name that the issuer has been asked for: what came of it (see cert_record.h)
 *
 * A pair that somebody has put there is used as it is and never replaced; it is read again when it
 * changes. Where there is none, an issuer (ACME) may be asked: once per name, however many visitors
 * wait. What it brings is served from then on, while older sessions go on with what they began, and
 * written to the directory on a thread of the pool; a directory that cannot be written to costs
 * only that the certificate is gone after a restart.
 *
 * Names come from visitors. The owner asks only for those that a route has, so a certificate of a
 * name that was removed stays on disk and is not served.
 *
 * Everything here is for the loop's thread.
 */

#include <towonel/tunnel/log.h>
#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/metrics.h>
#include <towonel/tunnel/tls.h>
#include <towonel/wire/hostname.h>

struct cert_store;

struct cert_store_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_metrics *metrics;
	const char *directory;   /* copied */
	uint64_t check_every_ns; /* between two looks at a name's files */
	/* Is the name routed now? For listings. May be NULL: all are. */
	int (*routed)(void *user, const char *name);
	void *user;
};

/* Reads what is in the directory, which need not exist. Files that cannot be used are logged.
 * Returns 0, TOW_ENOMEM. */
int tow__cert_store_new(const struct cert_store_config *config, struct cert_store **out);
/* Nobody may be waiting. What is being written will be. Takes NULL. */
void tow__cert_store_free(struct cert_store *store);

/* --- for visitors --- */

/* Somebody who waits; embedded in him. */
struct cert_wait {
	/* The context as from _get, or NULL when there is none to be had. Never called from within
	 * _get. */
	void (*done)(void *user, struct tow_tls_context *context);
	void *user;
	struct cert *cert; /* NULL: not waiting */
	struct cert_wait *prev, *next;
};

/* A server context for an exact name that is routed. Borrowed until the next turn of the loop: make
 * a session of it at once. Returns 0; TOW_BLOCKED: the issuer works on it, wait->done follows;
 * TOW_ENOTFOUND: there is none, and nobody to ask; TOW_EUNAVAILABLE: the issuer has failed, and is
 * not asked again for a while; TOW_ELIMIT: too many names or waits; TOW_ENOMEM. With wait
 * NULL nobody is asked: TOW_ENOTFOUND when there is none now. */
int tow__cert_store_get(struct cert_store *store, const char *name, struct cert_wait *wait,
                        struct tow_tls_context **out);
void tow__cert_wait_cancel(struct cert_wait *wait); /* nothing when not waiting */
/* What answers an acme-tls/1 handshake (RFC 8737) for the name, as from _get; NULL: none. */
struct tow_tls_context *tow__cert_store_challenge(struct cert_store *store, const char *name);

/* --- for the issuer --- */

struct cert_issuer {
	/* A certificate for an exact name is wanted: _installed, _failed or _put_off must follow,
	 * also from within this call. Not called again for the name before that. */
	void (*wanted)(void *user, const char *name);
	void *user;
};

/* Copied; NULL: none. Names that were asked for and not answered are asked for again when a visitor
 * comes. */
void tow__cert_store_set_issuer(struct cert_store *store, const struct cert_issuer *issuer);
/* The issuer has obtained a certificate; PEM, copied. renew_at_ms: from when on the next one is
 * wanted (Unix time); 0: when two thirds of its life are over. Returns 0; TOW_ECRYPTO, TOW_EPARSE
 * when it cannot be used, TOW_ENOMEM: nothing has changed then, and _failed is due. */
int tow__cert_store_installed(struct cert_store *store, const char *name, struct tow_slice chain,
                              struct tow_slice key, uint64_t renew_at_ms, struct tow_error *err);
/* It could not; not to be asked for that name before retry_at_ms (Unix time), which survives a
 * restart. reason is for people, one line. */
void tow__cert_store_failed(struct cert_store *store, const char *name, const char *reason,
                            uint64_t retry_at_ms);
/* It has not tried, and may be asked again: nothing is remembered. */
void tow__cert_store_put_off(struct cert_store *store, const char *name);
/* Other plans for a certificate of the issuer's (RFC 9773): wanted anew from then on. Returns 0;
 * TOW_ENOTFOUND when it is not the issuer's. */
int tow__cert_store_renew_at(struct cert_store *store, const char *name, uint64_t renew_at_ms);
/* How often in a row the issuer has failed for the name, also before a restart. */
unsigned tow__cert_store_failures(const struct cert_store *store, const char *name);
/* The certificate for a TLS-ALPN-01 validation, PEM, until cleared with empty slices. Returns 0;
 * TOW_ECRYPTO, TOW_ELIMIT, TOW_ENOMEM. */
int tow__cert_store_set_challenge(struct cert_store *store, const char *name,
                                  struct tow_slice chain, struct tow_slice key,
                                  struct tow_error *err);

/* --- for people --- */

enum cert_state {
	CERT_SERVED,
	CERT_RENEWING, /* served while the issuer works on the next one */
	CERT_EXPIRED,
	CERT_ISSUING, /* there is none yet */
	CERT_FAILED,  /* there is none, and the issuer could not help */
	CERT_UNUSED,  /* no route has the name */
	CERT_STATE_COUNT,
};
const char *tow__cert_state_name(enum cert_state state);

struct cert_info {
	const char *name;
	enum cert_state state;
	const char *issuer; /* "" without a certificate */
	uint64_t not_before_ms, not_after_ms;
	int issued;             /* by our issuer; else somebody has put it there */
	int unsaved;            /* could not be written to the directory */
	uint64_t next_try_ms;   /* when the issuer may be asked next; 0: no plan */
	const char *last_error; /* "" when there was none */
};

/* Every name that has a certificate, or has been asked for; in no order. */
void tow__cert_store_each(struct cert_store *store,
                          void (*visit)(void *user, const struct cert_info *info), void *user);

#endif
