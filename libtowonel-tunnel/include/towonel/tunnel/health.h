/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_HEALTH_H
#define TOWONEL_TUNNEL_HEALTH_H

/*
 * The health listener of a program part: GET /healthz (the loop answers), /readyz (200 and what
 * is worth a note, or 503 and the reasons, as JSON), /metrics (Prometheus text), and what more the
 * part has to show.
 */

#include <towonel/tunnel/http_server.h>
#include <towonel/tunnel/metrics.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_health;

#define TOW_HEALTH_PAGES_MAX 4

struct tow_health_config {
	struct tow_loop *loop;
	struct tow_log *log;
	struct tow_addr listen;
	int dual_stack;
	struct tow_metrics *metrics;
	/* Appends one reason per line for not being ready; nothing when ready. May be NULL. */
	void (*not_ready)(void *user, struct tow_buf *reasons);
	/* Appends one line for each thing that is worth knowing though it is ready. May be NULL. */
	void (*notes)(void *user, struct tow_buf *notes);
	/* What more there is to see, TOW_HEALTH_PAGES_MAX at most: rows whose handlers are given
	 * pages_user. */
	const struct tow_http_route *pages; /* static */
	size_t page_count;
	void *pages_user;
	void *user;
};

/* Returns 0; TOW_EADDRINUSE, TOW_EDENIED, TOW_EIO, TOW_ENOMEM. */
int tow_health_new(const struct tow_health_config *config, struct tow_health **out,
                   struct tow_error *err);
void tow_health_free(struct tow_health *health);
const struct tow_addr *tow_health_addr(const struct tow_health *health);

#ifdef __cplusplus
}
#endif
#endif
