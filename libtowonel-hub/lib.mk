# SPDX-License-Identifier: MIT
LIB := hub
ABI := 0
BELOW := tunnel wire
SYSTEM := sqlite3 libpq jansson
BUILT :=
TEXT := The control plane of towonel
SOURCES :=

include mk/library.mk
