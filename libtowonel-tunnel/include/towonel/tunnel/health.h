/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_HEALTH_H
#define TOWONEL_TUNNEL_HEALTH_H

/*
 * The health listener of a program part: GET /healthz (the loop answers), /readyz (200 and what
 * is worth a note, or 503 and the reasons, as JSON), /metrics (Prometheus text), and one more page
 * if the part has one.
 */

#include <towonel/tunnel/http_server.h>
#include <towonel/tunnel/metrics.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tow_health;

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
	/* What GET page_path shows; the JSON is taken. page_path NULL: nothing more. */
	const char *page_path; /* static */
	json_t *(*page)(void *user);
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
