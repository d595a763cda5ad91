# SPDX-License-Identifier: MIT
LIB := agent
BELOW := tunnel wire
SYSTEM := libuv
BUILT :=
TEXT := The agent of towonel, embeddable
SOURCES :=

include mk/library.mk
