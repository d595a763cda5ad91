/* SPDX-License-Identifier: MIT */

#include "carriers.h"

#include <stdlib.h>
#include <towonel/wire/limits.h>

struct edge_carrier {
	struct worker *worker;
	struct tow_quic_carrier *quic;
	struct tow_addr peer;
};

int tow__wants_carrier(const struct tow_client_hello *hello)
{
	for (size_t i = 0; i < hello->alpn_count; i++)
		if (tow_slice_equal(hello->alpn[i], tow_slice_of(TOW_CARRIER_ALPN)))
			return 1;
	return 0;
}

static void on_closed(void *user, int status)
{
	struct edge_carrier *carrier = user;
	struct worker *w = carrier->worker;

	tow_log_debug(w->log, "carrier is gone", tow_f_addr("from", &carrier->peer),
	              tow_f_str("status", tow_strerror(status)));
	tow_quic_carrier_free(carrier->quic);
	pthread_mutex_lock(&w->all->limits_lock);
	tow__source_limit_leave(&w->all->sources, &carrier->peer);
	pthread_mutex_unlock(&w->all->limits_lock);
	atomic_fetch_sub(&w->all->carriers, 1);
	free(carrier);
}

int tow__edge_carrier_take(struct worker *w, int fd, struct tow_tls *tls,
                           const struct tow_addr *peer, const struct tow_addr *local)
{
	struct edge_carrier *carrier = calloc(1, sizeof(*carrier));
	const struct tow_quic_carrier_config config = {
		.endpoint = w->endpoint,
		.fd = fd,
		.tls = tls,
		.local = *local,
		.remote = *peer,
		.begin_timeout_ns = w->timing.carrier_begin_ns,
		.closed = on_closed,
		.user = carrier,
	};

	if (carrier == NULL || w->endpoint == NULL ||
	    tow_quic_carrier_new(&config, &carrier->quic) != 0) {
		free(carrier);
		return TOW_ENOMEM;
	}
	carrier->worker = w;
	carrier->peer = *peer;
	atomic_fetch_add(&w->all->carriers, 1);
	tow_log_debug(w->log, "carrier came", tow_f_addr("from", peer));
	return 0;
}
