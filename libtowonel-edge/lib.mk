# SPDX-License-Identifier: MIT
LIB := edge
ABI := 0
BELOW := tunnel wire
SYSTEM := libuv jansson
BUILT :=
TEXT := The data plane of towonel for visitors
SOURCES :=

include mk/library.mk
