/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_AGENT_ORIGIN_H
#define TOWONEL_AGENT_ORIGIN_H

/*
 * Reaching the service behind the agent: TCP, then a PROXY header when it asks for one, then TLS
 * when it has a server name of its own. The header goes in front of TLS, in clear, where nginx and
 * HAProxy expect it.
 */

#include <towonel/tunnel/loop.h>
#include <towonel/tunnel/tls.h>
#include <towonel/wire/service.h>

#define ORIGIN_DIAL_TIMEOUT_NS (10 * TOW_NSEC_PER_SEC)

/* The client contexts, made when the first service asks for TLS; all-zero is valid. */
struct origin_tls {
	struct tow_tls_context *verified;
	struct tow_tls_context
		*local; /* an origin on this host needs no certificate that anyone signed */
};
void tow__origin_tls_deinit(struct origin_tls *tls);

struct origin_dial;

/* status 0: fd, and tls unless NULL, are the callee's, and the greeting has been sent. Otherwise
 * TOW_EREFUSED, TOW_ETIMEDOUT, TOW_ENOTFOUND, TOW_ETLS, TOW_EIO, TOW_ENOMEM. Called once, never
 * from within _dial. */
typedef void (*origin_dialled)(void *user, int status, int fd, struct tow_tls *tls,
                               const struct tow_error *err);

/* greeting (may be empty) is copied; it is sent before anything else. Returns 0, TOW_ENOMEM,
 * TOW_ECRYPTO. */
int tow__origin_dial(struct tow_loop *loop, struct origin_tls *tls,
                     const struct tow_service *service, struct tow_slice greeting,
                     origin_dialled done, void *user, struct origin_dial **out);
void tow__origin_dial_cancel(struct origin_dial *dial);

#endif
