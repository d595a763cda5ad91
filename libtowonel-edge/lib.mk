# SPDX-License-Identifier: MIT
LIB := edge
ABI := 0
BELOW := tunnel wire
SYSTEM := libsodium jansson
BUILT := libllhttp
TEXT := The data plane of towonel for visitors
SOURCES := \
	src/agent_session.c \
	src/agents.c \
	src/dial.c \
	src/edge.c \
	src/edge_metrics.c \
	src/hello.c \
	src/http/exchange.c \
	src/http/refusal.c \
	src/http/request_head.c \
	src/http/requests.c \
	src/http/responses.c \
	src/ports.c \
	src/routes/cache.c \
	src/source_limit.c \
	src/tls/acme_advice.c \
	src/tls/acme_errand.c \
	src/tls/acme_jws.c \
	src/tls/acme_message.c \
	src/tls/cert_files.c \
	src/tls/cert_record.c \
	src/tls/cert_store.c \
	src/udp/limits.c \
	src/udp/listener.c \
	src/udp/session.c \
	src/visitor.c \
	src/visitor_alert.c \
	src/visitor_tls.c

include mk/library.mk
