# SPDX-License-Identifier: MIT
#
# Tests are found by their place:
#   tests/unit/LIB/NAME_test.c   one program each, on libtowonel-LIB and below; the
#                                other .c files beside it are linked into each
#   tests/fuzz/NAME.c            one fuzz target each; seeds in tests/fuzz/seeds/NAME/
#   tests/house, tests/e2e       Python
# All C tests speak TAP and run through prove, JOBS at a time. End-to-end tests wait more than they
# work: E2E_JOBS of their files run side by side.

JOBS ?= 2
E2E_JOBS ?= $(shell expr 2 '*' $$(nproc))
PYTEST ?=

# --- unit tests ---------------------------------------------------------------

unit_programs :=

define unit_lib
unit_sources_$(1) := $(sort $(wildcard tests/unit/$(1)/*.c))
unit_helpers_$(1) := $$(patsubst %.c,$(BUILD)/obj/%.o,$$(filter-out %_test.c,$$(unit_sources_$(1))))
unit_programs_$(1) := $$(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,\
	$$(filter %_test.c,$$(unit_sources_$(1))))
unit_programs += $$(unit_programs_$(1))
$(BUILD)/obj/tests/unit/$(1)/%.o: tests/unit/$(1)/%.c $(flags_file) | test-packages $(deps_ready)
	$$(call compile,-Itests/unit/$(1) -I$$($(1)_dir)/src $$($(1)_includes) \
		$$(call built_cflags,$$($(1)_built_all)))
$(BUILD)/tests/unit/$(1)/%: $(BUILD)/obj/tests/unit/$(1)/%.o $$(unit_helpers_$(1)) \
		$$(foreach lib,$$($(1)_closure),$$($$(lib)_archive))
	$$(say) LINK $$@
	@mkdir -p $$(@D)
	$$(run)$$(CC) -pie -o $$@ $$(filter %.o,$$^) $$(all_ldflags) \
		$$(call link_libs,$$($(1)_closure)) -lcmocka
-include $$(patsubst %.c,$(BUILD)/obj/%.d,$$(unit_sources_$(1)))
endef
$(foreach lib,$(all_libs),$(eval $(call unit_lib,$(lib))))

# --- fuzz targets -------------------------------------------------------------

# In the ordinary tests each runs its seeds, their prefixes and their neighbours.
fuzz_names := $(filter-out standalone,$(basename $(notdir $(sort $(wildcard tests/fuzz/*.c)))))
fuzz_seeded := $(fuzz_names:%=$(BUILD)/tests/fuzz/%)
fuzz_targets := $(fuzz_names:%=$(BUILD)/fuzz/%)
fuzz_objects := $(patsubst %,$(BUILD)/obj/tests/fuzz/%.o,standalone $(fuzz_names))

# Of what is no library's: the program's objects that hold it.
$(BUILD)/tests/fuzz/parley_message $(BUILD)/fuzz/parley_message: $(BUILD)/obj/bin/node/parley_message.o

$(fuzz_objects): $(BUILD)/obj/tests/fuzz/%.o: tests/fuzz/%.c $(flags_file) | test-packages $(deps_ready)
	$(call compile,-Itests/fuzz -Ibin $(foreach lib,$(all_libs),-Ilibtowonel-$(lib)/include \
		-Ilibtowonel-$(lib)/src) $(call built_cflags,$(built_all)),-Wno-missing-prototypes)

$(fuzz_seeded): $(BUILD)/tests/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o \
		$(BUILD)/obj/tests/fuzz/standalone.o $(foreach lib,$(all_libs),$($(lib)_archive))
	$(say) LINK $@
	@mkdir -p $(@D)
	$(run)$(CC) -pie -o $@ $(filter %.o,$^) $(all_ldflags) $(call link_libs,$(all_libs))

$(fuzz_targets): $(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o \
		$(foreach lib,$(all_libs),$($(lib)_archive))
	$(say) LINK $@
	@mkdir -p $(@D)
	$(run)$(CC) -pie -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(all_ldflags) \
		$(call link_libs,$(all_libs))
-include $(fuzz_objects:.o=.d)

FUZZ_SECONDS ?= 300
FUZZ_TARGETS ?= $(fuzz_names)
.PHONY: fuzz fuzz-targets
fuzz-targets: $(fuzz_targets)
fuzz: | test-packages
	@$(MAKE) --no-print-directory CC=clang FUZZ=1 BUILD=build-fuzz fuzz-targets
	@scripts/fuzz build-fuzz/fuzz $(FUZZ_SECONDS) $(JOBS) $(FUZZ_TARGETS)

# --- benchmarks in C: tests/bench/NAME.c, one program each, on libtowonel-agent ------------

bench_names := $(basename $(notdir $(sort $(wildcard tests/bench/*.c))))
bench_programs := $(bench_names:%=$(BUILD)/tests/bench/%)
bench_objects := $(bench_names:%=$(BUILD)/obj/tests/bench/%.o)

$(bench_objects): $(BUILD)/obj/tests/bench/%.o: tests/bench/%.c $(flags_file) | $(deps_ready)
	$(call compile,$(agent_includes))
$(bench_programs): $(BUILD)/tests/bench/%: $(BUILD)/obj/tests/bench/%.o \
		$(foreach lib,$(agent_closure),$($(lib)_archive))
	$(say) LINK $@
	@mkdir -p $(@D)
	$(run)$(CC) -pie -o $@ $(filter %.o,$^) $(all_ldflags) $(call link_libs,$(agent_closure))
-include $(bench_objects:.o=.d)

# --- what people call ---------------------------------------------------------

.PHONY: check unit unit-programs house e2e bench bench-routes bench-crowd demo
check: all
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory house
	@$(MAKE) --no-print-directory e2e

unit-programs: $(unit_programs) $(fuzz_seeded)
unit: unit-programs | test-packages
	@CMOCKA_MESSAGE_OUTPUT=TAP prove -j$(JOBS) --timer --failures --comments -e "" \
		$(unit_programs) $(fuzz_seeded)

# What has several threads, under ThreadSanitizer: minutes, and so not part of check.
tsan_unit := $(foreach name,tunnel/loop tunnel/log tunnel/metrics tunnel/inherited edge/workers \
	hub/pool,$(filter %/$(name)_test,$(unit_programs)))
.PHONY: tsan tsan-run
tsan: | test-packages
	@$(MAKE) --no-print-directory TSAN=1 tsan-run
tsan-run: all $(tsan_unit)
	@TSAN_OPTIONS=halt_on_error=1 CMOCKA_MESSAGE_OUTPUT=TAP prove -j$(JOBS) --failures --comments \
		-e "" $(tsan_unit)
	@TSAN_OPTIONS=halt_on_error=1 $(call run_pytest,tests/e2e/test_workers.py tests/e2e/test_main_job.py)

run_pytest = TOWONEL_BUILD=$(abspath $(BUILD)) CC=$(CC) TOWONEL_SANITIZE="$(sanitize)" \
	$(PYTHON) -m pytest -p no:cacheprovider -q -rfEs --timeout=300 \
	$(PYTEST) $(1)
house: all | test-packages
	@rm -rf $(BUILD)/installed
	@$(MAKE) --no-print-directory install PREFIX=$(abspath $(BUILD))/installed >/dev/null
	@$(call run_pytest,tests/house)
e2e: all | test-packages
	@$(call run_pytest,-n $(E2E_JOBS) --dist loadfile tests/e2e)
bench: all $(bench_programs) | bench-packages
	@TOWONEL_BUILD=$(abspath $(BUILD)) tests/bench/run
	@TOWONEL_BUILD=$(abspath $(BUILD)) tests/bench/run --ways tls
	@TOWONEL_BUILD=$(abspath $(BUILD)) tests/bench/udp
	@$(MAKE) --no-print-directory bench-routes
	@$(MAKE) --no-print-directory bench-crowd
bench-crowd: all $(BUILD)/tests/bench/agents | bench-packages
	@TOWONEL_BUILD=$(abspath $(BUILD)) tests/bench/crowd
bench-routes: all | bench-packages
	@TOWONEL_BUILD=$(abspath $(BUILD)) CC=$(CC) tests/bench/routes
demo: all | demo-packages
	@TOWONEL_BUILD=$(abspath $(BUILD)) scripts/demo
