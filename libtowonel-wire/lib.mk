# SPDX-License-Identifier: MIT
LIB := wire
ABI := 0
BELOW :=
SYSTEM := libsodium jansson
BUILT := wolfssl
TEXT := Bytes and meanings of towonel: identities, tokens, entries, parsers
SOURCES := \
	src/access.c \
	src/access_json.c \
	src/addr.c \
	src/buf.c \
	src/client_hello.c \
	src/control_message.c \
	src/edge_report.c \
	src/entry.c \
	src/error.c \
	src/event_parser.c \
	src/host_port.c \
	src/hostname.c \
	src/identity.c \
	src/json.c \
	src/key_backup.c \
	src/nearest.c \
	src/proxy_header.c \
	src/request_signature.c \
	src/route_event.c \
	src/route_feed.c \
	src/route_table.c \
	src/service.c \
	src/tenant_key.c \
	src/text_coding.c \
	src/token.c \
	src/udp_frame.c \
	src/utf8.c

include mk/library.mk
