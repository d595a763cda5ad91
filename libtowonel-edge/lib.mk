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
	src/carriers.c \
	src/dial.c \
	src/edge.c \
	src/edge_metrics.c \
	src/heartbeat.c \
	src/hello.c \
	src/http/exchange.c \
	src/http/refusal.c \
	src/http/request_head.c \
	src/http/requests.c \
	src/http/responses.c \
	src/http/short_answer.c \
	src/port_log.c \
	src/ports.c \
	src/roster.c \
	src/routes/cache.c \
	src/routes/follow.c \
	src/source_limit.c \
	src/tenants.c \
	src/tls/acme_advice.c \
	src/tls/acme_errand.c \
	src/tls/acme_jws.c \
	src/tls/acme_message.c \
	src/tls/acme_run.c \
	src/tls/cert_files.c \
	src/tls/cert_listing.c \
	src/tls/cert_record.c \
	src/tls/cert_store.c \
	src/tls/challenge_fetch.c \
	src/tls/challenge_forwards.c \
	src/tls/challenge_mail.c \
	src/tls/http_port.c \
	src/tls/issuance.c \
	src/tls/issuer.c \
	src/tls/renewal_plan.c \
	src/tls/revocation.c \
	src/udp/limits.c \
	src/udp/listener.c \
	src/udp/session.c \
	src/udp/session_move.c \
	src/udp/turned_away.c \
	src/visitor.c \
	src/visitor_alert.c \
	src/visitor_move.c \
	src/visitor_tls.c \
	src/worker.c \
	src/workers.c

include mk/library.mk
