# SPDX-License-Identifier: MIT
LIB := hub
ABI := 0
BELOW := tunnel wire
SYSTEM := sqlite3 libpq jansson
BUILT :=
TEXT := The control plane of towonel
SOURCES := \
	src/fault.c \
	src/names.c \
	src/store/agents.c \
	src/store/db.c \
	src/store/entries.c \
	src/store/invites.c \
	src/store/pool.c \
	src/store/ports.c \
	src/store/routes.c \
	src/store/schema.c \
	src/store/sqlite.c \
	src/store/store.c \
	src/store/tenants.c

include mk/library.mk

# These are compiled into schema.o.
$(BUILD)/obj/libtowonel-hub/src/store/schema.o: $(wildcard libtowonel-hub/src/store/schema/*.sql)
