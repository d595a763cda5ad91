# SPDX-License-Identifier: MIT
LIB := agent
ABI := 0
BELOW := tunnel wire
SYSTEM := libuv jansson
BUILT :=
TEXT := The agent of towonel, embeddable
SOURCES :=

include mk/library.mk
