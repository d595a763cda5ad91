# SPDX-License-Identifier: MIT
LIB := agent
ABI := 0
BELOW := tunnel wire
SYSTEM := libuv jansson
BUILT :=
TEXT := The agent of towonel, embeddable
SOURCES := \
	src/agent.c \
	src/calls.c \
	src/config.c \
	src/edge_link.c \
	src/events.c \
	src/forward/tcp.c \
	src/forward/udp.c \
	src/inproc.c \
	src/lanes.c \
	src/links.c \
	src/origin.c \
	src/parts.c \
	src/reconcile.c \
	src/registration.c \
	src/roaming.c \
	src/tunnel.c

include mk/library.mk
