# SPDX-License-Identifier: MIT
LIB := hub
BELOW := tunnel wire
SYSTEM := sqlite3 libpq jansson
BUILT :=
TEXT := The control plane of towonel
SOURCES :=

include mk/library.mk
