# SPDX-License-Identifier: MIT
LIB := edge
BELOW := tunnel wire
SYSTEM := libuv
BUILT :=
TEXT := The data plane of towonel for visitors
SOURCES :=

include mk/library.mk
