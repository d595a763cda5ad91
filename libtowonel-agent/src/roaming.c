/* SPDX-License-Identifier: MIT */
#include "roaming.h"

static void changed(void *user)
{
	struct roaming *roaming = user;
	struct tow_error err = { 0 };
	int moved = 0;

	for (size_t i = 0; i < roaming->links->count; i++)
		moved |= tow__edge_link_has_moved(roaming->links->slots[i].link);
	if (moved && tow_quic_endpoint_rebind(roaming->endpoint, &err) != 0)
		tow_log_warn(roaming->log, "tunnels cannot move to another socket",
		             tow_f_err(&err));
	else if (moved)
		tow_metric_inc(roaming->moves);
	for (size_t i = 0; i < roaming->links->count; i++)
		tow__edge_link_look(roaming->links->slots[i].link);
}

void tow__roaming_init(struct roaming *roaming, struct tow_loop *loop, struct tow_metrics *metrics)
{
	roaming->moves = tow_metrics_series(
		metrics, TOW_METRIC_COUNTER, "towonel_agent_moves_total", NULL,
		"Times that the tunnels moved because this host's address had changed.");
	if (tow_network_watch_new(loop, changed, roaming, &roaming->watch) != 0)
		tow_log_info(roaming->log,
		             "the system does not tell when this host's address changes");
}

void tow__roaming_deinit(struct roaming *roaming)
{
	tow_network_watch_free(roaming->watch);
	roaming->watch = NULL;
}
