# SPDX-License-Identifier: MIT
LIB := tunnel
ABI := 0
BELOW := wire
SYSTEM := libuv libsodium jansson
BUILT := wolfssl libngtcp2 libngtcp2_crypto_wolfssl libcurl libnghttp3 libllhttp
TEXT := Moving bytes for towonel: event loop, QUIC, TLS, HTTP, pipes
SOURCES := \
	src/http/answer.c \
	src/http/client.c \
	src/http/client_proxy.c \
	src/http/connection.c \
	src/http/event_stream.c \
	src/http/hub_client.c \
	src/http/peer_check.c \
	src/http/proxy.c \
	src/http/proxy_connect.c \
	src/http/request.c \
	src/http/router.c \
	src/http/server.c \
	src/loop/io.c \
	src/loop/loop.c \
	src/loop/spare.c \
	src/loop/task.c \
	src/loop/timer.c \
	src/pipe/pacing.c \
	src/pipe/pipe.c \
	src/pipe/socket_io.c \
	src/quic/callbacks.c \
	src/quic/carrier.c \
	src/quic/carrier_dial.c \
	src/quic/cid_map.c \
	src/quic/closing.c \
	src/quic/connection.c \
	src/quic/crypto.c \
	src/quic/datagram.c \
	src/quic/endpoint.c \
	src/quic/ingress.c \
	src/quic/link.c \
	src/quic/narrow.c \
	src/quic/send_queue.c \
	src/quic/stateless.c \
	src/quic/steering.c \
	src/quic/stream.c \
	src/runtime/backoff.c \
	src/runtime/health.c \
	src/runtime/inherited.c \
	src/runtime/key_file.c \
	src/runtime/log.c \
	src/runtime/metrics.c \
	src/runtime/network_watch.c \
	src/runtime/pace.c \
	src/runtime/rate_limit.c \
	src/runtime/settings.c \
	src/tcp/dial.c \
	src/tcp/listener.c \
	src/tcp/resolve.c \
	src/tcp/socket.c \
	src/tls/certificate.c \
	src/tls/context.c \
	src/tls/cpu.c \
	src/tls/ec_key.c \
	src/tls/ec_request.c \
	src/tls/identity_cert.c \
	src/tls/preferences.c \
	src/tls/tls_stream.c \
	src/udp/channel.c \
	src/udp/errors.c \
	src/udp/flow.c \
	src/udp/outbox.c \
	src/udp/socket.c

include mk/library.mk
