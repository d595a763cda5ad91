# SPDX-License-Identifier: MIT
#
# What we stand on. "Built" libraries come from scripts/deps (see there), or with
# DEPS=system from pkg-config; the others are the system's. A library names both
# kinds by their pkg-config names.

built_all := wolfssl libngtcp2 libngtcp2_crypto_wolfssl libcurl libnghttp3 libllhttp
# Each before what it needs itself: the order of linking.
built_order := libcurl libngtcp2_crypto_wolfssl libngtcp2 libnghttp3 libllhttp wolfssl

.PHONY: packages test-packages lint-packages bench-packages demo-packages static-packages
packages test-packages lint-packages bench-packages demo-packages static-packages:
	@[ -n "$(NO_PACKAGES)" ] || scripts/packages build $(filter-out packages,$(@:-packages=))

ifeq ($(DEPS),system)
  deps_ready := $(BUILD)/deps-probed
  built_cflags = $(shell pkg-config --cflags $(1))
  built_libs = $(shell pkg-config --libs $(filter $(1),$(built_order)))
  built_archives =
$(deps_ready): scripts/deps.probe.c | packages
	@mkdir -p $(@D)
	@pkg-config --exists --print-errors '$(built_all)'
	$(run)$(CC) -O1 -o $(BUILD)/deps-probe $< $(call built_cflags,$(built_all)) \
		$(call built_libs,$(built_all)) -lm
	@$(BUILD)/deps-probe
	@touch $@
else
  deps_prefix := $(shell $(deps) --where)
  deps_ready := $(deps_prefix)/complete
  built_cflags = -isystem $(deps_prefix)/include
  built_archives = $(foreach lib,$(filter $(1),$(built_order)),$(deps_prefix)/lib/lib$(lib:lib%=%).a)
  built_libs = $(call built_archives,$(1)) -lm -lpthread
$(deps_ready): | packages
	@$(deps)
endif
