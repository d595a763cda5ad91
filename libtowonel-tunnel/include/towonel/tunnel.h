/* SPDX-License-Identifier: MIT */
#ifndef TOWONEL_TUNNEL_H
#define TOWONEL_TUNNEL_H

/*
 * libtowonel-tunnel: moving bytes. The loop, UDP, QUIC, TLS, HTTP and the pipe between a socket and
 * a stream, and what a long-running program needs around them: log, metrics, settings, key files,
 * health.
 */

#include "tunnel/backoff.h"
#include "tunnel/ec_key.h"
#include "tunnel/health.h"
#include "tunnel/http_client.h"
#include "tunnel/http_server.h"
#include "tunnel/hub_client.h"
#include "tunnel/inherited.h"
#include "tunnel/key_file.h"
#include "tunnel/log.h"
#include "tunnel/loop.h"
#include "tunnel/metrics.h"
#include "tunnel/pipe.h"
#include "tunnel/quic.h"
#include "tunnel/settings.h"
#include "tunnel/tcp.h"
#include "tunnel/tls.h"
#include "tunnel/udp.h"
#include "tunnel/udp_flow.h"

#endif
