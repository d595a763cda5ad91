/* SPDX-License-Identifier: MIT */
#ifndef TOW_EDGE_TIMING_H
#define TOW_EDGE_TIMING_H

#include <stdint.h>

/* The edge's times, all from limits.h but in tests, which cannot wait that long. */
struct timing {
	uint64_t client_hello_ns;
	uint64_t cert_wait_ns;
	uint64_t handshake_ns;
	uint64_t carrier_begin_ns;
	uint64_t request_ns;
	uint64_t request_check_ns;
	uint64_t dial_ns;
	uint64_t dial_silence_ns;
	uint64_t dial_unreachable_ns;
	uint64_t dial_alone_ns;
	uint64_t linger_ns;
	uint64_t visitor_idle_ns;
	uint64_t agent_hello_ns;
	uint64_t tenant_wait_ns;
	uint64_t agent_close_ns;
	uint64_t ping_interval_ns;
	uint64_t ping_timeout_ns;
	uint64_t udp_idle_second_ns; /* of a service's idle_timeout_secs */
	uint64_t udp_drain_ns;
	uint64_t port_retry_min_ns;
	uint64_t port_retry_max_ns;
	uint64_t cert_check_ns;
	uint64_t cache_delay_ns;
	uint64_t report_interval_ns;
	uint64_t report_refresh_ns;
};

void tow__timing_default(struct timing *timing);

#endif
