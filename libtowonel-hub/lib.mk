# SPDX-License-Identifier: MIT
LIB := hub
ABI := 0
BELOW := tunnel wire
SYSTEM := sqlite3 jansson
HEADERS := libpq
BUILT :=
TEXT := The control plane of towonel
SOURCES := \
	src/api/audit.c \
	src/api/bootstrap.c \
	src/api/call.c \
	src/api/edge_heartbeat.c \
	src/api/edge_invites.c \
	src/api/edges.c \
	src/api/entries.c \
	src/api/health.c \
	src/api/heartbeat.c \
	src/api/invites.c \
	src/api/openapi.c \
	src/api/ports.c \
	src/api/status.c \
	src/api/subscribe.c \
	src/api/table.c \
	src/api/tenants.c \
	src/auth.c \
	src/edges.c \
	src/fault.c \
	src/heard.c \
	src/hub.c \
	src/names.c \
	src/page/page.c \
	src/replay.c \
	src/routes.c \
	src/standing.c \
	src/store/access.c \
	src/store/agents.c \
	src/store/audit.c \
	src/store/db.c \
	src/store/dsn.c \
	src/store/edges.c \
	src/store/entries.c \
	src/store/entry_ops.c \
	src/store/invites.c \
	src/store/libpq.c \
	src/store/log.c \
	src/store/pool.c \
	src/store/port_claims.c \
	src/store/ports.c \
	src/store/postgres.c \
	src/store/routes.c \
	src/store/schema.c \
	src/store/sqlite.c \
	src/store/store.c \
	src/store/tenants.c \
	src/subscribers.c \
	src/summary.c \
	src/watch.c

include mk/library.mk

# These are compiled into schema.o, openapi.o and page.o.
$(BUILD)/obj/libtowonel-hub/src/store/schema.o: $(wildcard libtowonel-hub/src/store/schema/*.sql)
$(BUILD)/obj/libtowonel-hub/src/api/openapi.o: libtowonel-hub/src/api/openapi.json

# The status page, in one file, and the policy that lets in what is in it.
status_page := $(BUILD)/generated/status_page
hub_includes += -I$(BUILD)/generated
$(status_page).h: scripts/page $(wildcard libtowonel-hub/src/page/status.*)
	$(say) PAGE $@
	@mkdir -p $(@D)
	$(run)scripts/page libtowonel-hub/src/page/status $(status_page)
$(BUILD)/obj/libtowonel-hub/src/page/page.o: $(status_page).h
